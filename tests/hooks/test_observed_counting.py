"""What is done over HTTP is counted, and what is ignored has a name (issue 5, part 6)."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import cds_service
from cds_service.fhir import bundles
from cds_service.fhir.index import sort
from cds_service.metrics import IGNORED
from cds_service.store.pseudonyms import new_line
from tests.hooks.calling import PATH, body
from tests.hooks.living import b12, bundle, prefetch
from tests.hooks.processes import free_port, insist, running, until
from tests.hooks.test_clients_serve import is_up, token
from tests.hooks.test_observed_metrics import asked
from tests.hooks.tokens import PUBLIC, write

QUIET = "https://quiet.example.org"
FHIR = Path(cds_service.__file__).parent / "fhir"


def test_feedback_cards_and_ignored_data_are_counted_as_they_come_over_http(tmp_path):
    port, metrics_port = free_port(), free_port()
    (tmp_path / "store.keys").write_text(new_line("k"))
    settings = {
        "CDS_CLIENTS": str(write(tmp_path, main={}, quiet={"iss": QUIET, "mode": "silent"})),
        "CDS_STORE_URL": f"sqlite:///{tmp_path}/store.sqlite",
        "CDS_STORE_KEYS": str(tmp_path / "store.keys"),
        "CDS_METRICS_PORT": str(metrics_port),
    }
    noted = bundle(b12(), {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "value"}]})
    sent = json.dumps(body(prefetch=prefetch(b12=noted))).encode()
    with running("serve", "--port", str(port), **settings) as process:
        until(is_up(port), process)
        before = asked(metrics_port)
        status, _, told = insist(port, "POST", PATH, sent, token)
        assert status == 200, told
        given = [{"card": each["uuid"], "outcome": "overridden"} for each in json.loads(told)["cards"]]
        for_feedback = partial(token, aud=f"{PUBLIC}{PATH}/feedback")
        feedback = json.dumps({"feedback": given}).encode()
        assert insist(port, "POST", f"{PATH}/feedback", feedback, for_feedback)[0] == 200
        active = asked(metrics_port)
        assert insist(port, "POST", PATH, sent, partial(token, iss=QUIET))[0] == 200
        after = asked(metrics_port)
    assert before["refused_total", "500"] == before["refused_total", "503"] == before["missing_total", "b12"] == 0
    assert active["feedback_total", "main", "overridden"] == len(given)
    assert rows(after) == rows(active) > 0, "a silent client is shown nothing"
    assert after["calls_total", "quiet", "patient-view", "yes", "200"] == 1
    assert {key[1] for key in after if key[0] == "ignored_total"} == {
        "the server gave a warning that is not known here"
    }


def rows(told: dict[tuple[str, ...], float]) -> float:
    return sum(value for key, value in told.items() if key[0] == "rows_shown_total")


def labels(sent: Any) -> set[str]:
    """Why something of what was sent is not used, as it is counted."""
    return {each.reason.partition(":")[0] for each in sort(bundles.decode(json.dumps(sent).encode())).ignored}


@pytest.mark.parametrize(
    "sent",
    [
        bundle({"resourceType": "OperationOutcome", "issue": [{"severity": each} for each in ("error", "warning")]}),
        bundle(entry=[{"resource": {"resourceType": "Basic"}, "search": {"mode": "outcome"}}]),
        bundle(link="none"),
        {"resourceType": "Bundle", "entry": "none"},
        {"resourceType": "Bundle", "entry": [{}, {"resource": {}}, 1, {"resource": {**b12(), "status": 1}}]},
        {"resourceType": "Bundle", "entry": [{"resource": {**b12(), "valueQuantity": 1}}]},
    ],
)
def test_what_arrives_odd_is_counted_by_a_reason_of_the_closed_set(sent):
    assert labels(sent)
    assert labels(sent) <= IGNORED


def reasons_in_place(tree: ast.AST) -> Iterator[ast.AST]:
    """Where a reason is written out where something is ignored: words that no closed set can know."""
    for each in ast.walk(tree):
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id == "Ignored":
            reason = each.args[1]
            if isinstance(reason, ast.JoinedStr) and not isinstance(reason.values[0], ast.FormattedValue):
                yield each
            if isinstance(reason, ast.Constant) and reason.value not in IGNORED:
                yield each


def test_no_reason_is_written_where_the_closed_set_does_not_see_it():
    places = [
        f"{path.name}:{each.lineno}"
        for path in FHIR.rglob("*.py")
        for each in reasons_in_place(ast.parse(path.read_text()))
    ]
    assert not places
