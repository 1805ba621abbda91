"""Promise 8: for the same record and day a population run gives what the HTTP call of a patient-view gives."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, time

import pytest
import structlog
from flask import Flask
from werkzeug.test import Client

from cds_service.app import build_site
from cds_service.population.decisions import label_text, next_injection
from cds_service.web.calls import add_routes
from tests.api import ENCODER, SEVERITY, Settings, evaluate, hook_request, overlay_folder
from tests.book import NEVER, PATHWAYS, book, service
from tests.depth import chosen
from tests.hooks.calling import ENVIRON
from tests.population.patients import TYPES, as_patient, cut_off, lines_of, resources_of, write_extract

LABS = {key for key, kind in TYPES.items() if kind == "Observation"}
EVERY = chosen(3, 1)
VIGNETTES = [each for pathway in PATHWAYS for each in book(pathway) if each.hook == "patient-view"]


def kind_of(vignette):
    """Which vignettes can stand in one extract: those of one content and day that know of the same types."""
    missing = frozenset(TYPES[key] for key in vignette.fields.get("unavailable", ()))
    return vignette.pathway, vignette.overlay, vignette.as_of, tuple(sorted(missing))


def asked_of(vignette):
    """The client that both ways ask for."""
    return replace(service(vignette.pathway, overlay_folder(vignette)), default_seconds=NEVER)


class Answers:
    """Answers of the service over HTTP, each with the evaluation that it was made from."""

    def __init__(self, client, day):
        self.evaluations = []
        now = datetime.combine(day, time(12), UTC)
        site = build_site(client, Settings(demo=True), lambda: now, structlog.wrap_logger(structlog.ReturnLogger()))
        app = Flask("cds_service", static_folder=None)
        add_routes(app, replace(site, evaluate=self.recorded))
        self.http = Client(app)

    def recorded(self, *given, **named):
        self.evaluations.append(evaluate(*given, **named))
        return self.evaluations[-1]

    def __call__(self, body):
        """Status, body and evaluation of one call."""
        answer = self.http.post(
            "/cds-services/b12-patient-view", data=ENCODER.encode(body), content_type="application/json",
            environ_overrides=ENVIRON,
        )  # fmt: skip
        return answer.status_code, json.loads(answer.data), self.evaluations[-1]


def as_row(status, body, found):
    """What the HTTP answer says, in the columns of a run. Cards and indicator are those on the wire."""
    cards = body["cards"] if status == 200 else []
    return {
        "label": found.decision.label,
        "label_text": label_text(found.decision.label, found.assessment.case.pathway.messages),
        "rows": list(found.decision.rows),
        "indicator": max((card["indicator"] for card in cards), key=SEVERITY.__getitem__, default=""),
        "drafts": list(dict.fromkeys(f"{each.kind}:{each.draft}" for each in found.offered)),
        "course": found.decision.course,
        "due": due.isoformat() if (due := next_injection(found)) else None,
        "cards": len(cards),
    }


def test_promise_8_every_vignette_in_an_extract_is_answered_as_over_http(tmp_path, run):
    groups = {}
    for vignette in VIGNETTES:
        groups.setdefault(kind_of(vignette), []).append(vignette)
    compared = Counter()
    for number, vignettes in enumerate(groups.values()):
        compared += compare(vignettes[::EVERY], tmp_path / str(number), run)
    assert compared["equal"] == sum(len(vignettes[::EVERY]) for vignettes in groups.values()) > 1000 // EVERY
    print(f"{compared['equal']} vignettes: every row equals the HTTP answer")


def compare(vignettes, folder, run):
    """The vignettes of one extract, both ways; what differs is raised."""
    client, day = asked_of(vignettes[0]), vignettes[0].as_of
    missing = set(kind_of(vignettes[0])[3])
    answers, patients, told = Answers(client, day), {}, {}
    for place, vignette in enumerate(vignettes):
        patient = f"p{place}"
        body = hook_request(vignette, client.content)
        for key in [key for key in body["prefetch"] if TYPES[key] in missing]:
            del body["prefetch"][key]
        told[patient] = as_row(*answers(body)), vignette.name
        lines = {
            kind: own for kind, own in lines_of(resources_of(vignette, client.content)).items() if kind not in missing
        }
        for key in vignette.fields.get("incomplete", ()):
            lines.setdefault(TYPES[key], []).append(cut_off(client.templates[key], TYPES[key]))
        patients[patient] = lines
    types = {kind for kind in TYPES.values() if kind not in missing}
    for row in run(write_extract(folder / "in", patients, types), folder / "out", day, client):
        expected, name = told.pop(row["patient"])
        assert {key: row[key] for key in expected} == expected, name
    assert not told
    return Counter(equal=len(patients))


@pytest.mark.parametrize("key", sorted(LABS))
def test_a_line_that_was_cut_off_leaves_the_key_incomplete_that_asked_for_it(key, tmp_path, run):
    client = service("uk-ng239")
    vignette = next(each for each in VIGNETTES if each.name == "01-deficient-vegan")
    lines = lines_of(resources_of(vignette, client.content))
    lines["Observation"] = [*lines["Observation"], cut_off(client.templates[key], TYPES[key])]
    extract = write_extract(
        tmp_path / "in", {"whole": lines_of(resources_of(vignette, client.content)), "cut": lines}, TYPES.values()
    )
    cut, whole = run(extract)
    assert (cut["patient"], whole["patient"]) == ("cut", "whole")
    assert whole["not_judged"] == [] and cut["not_judged"] != []
    assert "fixed/incomplete" in cut["rows"] or cut["cards"] >= whole["cards"]


def test_the_lines_of_a_patient_are_renamed_wholly():
    vignette = VIGNETTES[0]
    lines = lines_of(resources_of(vignette, service("uk-ng239").content))
    assert all(b"pt-1" not in line for own in as_patient(lines, "x").values() for line in own)
