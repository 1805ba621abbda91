"""One test for each promise that the design makes, over the whole service."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.examples.vignette_fhir import request_bytes
from cds_service.explanation import explanation
from tests.book import book, content, play, service
from tests.fhir import loopback
from tests.hooks.living import b12, bundle, post, problem

VIGNETTES = [each for each in book("uk-ng239") if not each.overlay]
PATHWAY = content().pathways["uk-ng239"]
SECRET = "Zebedee-4711"


def asked(**prefetch: object) -> dict:
    """A patient-view call about pt-1 with this prefetch and nothing else."""
    return {
        "hook": "patient-view",
        "hookInstance": "7f0d2a0e-3a1b-4f0c-9a55-5d6b8f1f6a10",
        "context": {"userId": "Practitioner/gp-1", "patientId": "pt-1"},
        "prefetch": {"patient": {"resourceType": "Patient", "id": "pt-1", "birthDate": "1960-01-01"}, **prefetch},
    }


def everything(**changed: object) -> dict:
    """The same with every other key sent and empty."""
    keys = dict.fromkeys(content().prefetch["full"], bundle())
    return asked(**{**keys, "patient": asked()["prefetch"]["patient"], **changed})


FAULT = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]}


@pytest.mark.parametrize("key", sorted(content().prefetch["full"]))
def test_promise_1_no_key_that_failed_turns_into_silence_unless_nothing_could_rest_on_it(key):
    sent = everything(**{key: FAULT})
    quiet = post(everything())
    answer = post(sent)
    assert quiet.get_json() == {"cards": []}
    needed = {"patient", "b12", "bloodCount", "conditions", "status"}
    if key in ("patient", "b12"):
        assert answer.status_code == 412
    elif key in needed:
        (card,) = answer.get_json()["cards"]
        assert PATHWAY.messages[f"prefetch.{key}"] in card["detail"]
    else:
        assert answer.status_code == 200


def test_promise_1_a_safety_card_is_sent_although_required_data_is_missing():
    response = post(everything(b12=FAULT, conditions=bundle(problem("60576007"))))
    assert response.status_code == 200
    first, *rest = response.get_json()["cards"]
    assert first["indicator"] == "critical"
    assert PATHWAY.messages["prefetch.b12"] in "".join(card["detail"] for card in rest)


def pattern(template: str) -> re.Pattern[str]:
    """A line of content as a pattern: each placeholder stands for anything."""
    return re.compile(re.sub(r"\\\{[a-z0-9_]+\\\}", ".*", re.escape(template.strip())))


def shipped_lines() -> list[re.Pattern[str]]:
    """Every line that the content can say."""
    rows = [*PATHWAY.course, *PATHWAY.interpret, *PATHWAY.treat, *PATHWAY.safety, *PATHWAY.orders, *PATHWAY.notes]
    rows += PATHWAY.fixed.values()
    texts = [text for row in rows for text in (row.summary, *row.detail.splitlines())]
    regimens = [regimen.words.strip() for regimen in PATHWAY.regimens.values()]
    texts += [f"- {each}" for each in regimens]
    texts += [f"- {PATHWAY.messages['or']} {each}" for each in regimens]
    texts += [f"{{oral_now}} {text}" for key, text in PATHWAY.messages.items() if key.startswith("oral.")]
    texts += [f"**{row.summary}**" for row in rows]  # as the last card absorbs another
    texts += [f"{row.summary.rstrip('.')}." for row in rows]  # as a card takes another in
    texts += [text[:1].upper() + text[1:] for text in texts]
    texts += [f"- {text}" for key, text in PATHWAY.messages.items() if key.startswith("difference.")]
    texts += [PATHWAY.messages[key] for key in ("not-approved", "accepted-earlier")]
    return [pattern(text) for text in texts if re.sub(r"\{[a-z0-9_]+\}", "", text).strip()]


def test_promise_2_every_line_of_every_card_is_a_line_of_the_content():
    lines = shipped_lines()
    for vignette in VIGNETTES:
        for card in play(vignette).cards:
            said = [card["summary"], *(line.strip() for line in card["detail"].splitlines() if line.strip())]
            strange = [line for line in said if not any(known.fullmatch(line) for known in lines)]
            assert strange == [], vignette.name


def test_promise_2_every_row_regimen_and_threshold_has_source_grade_and_date():
    parts = [*PATHWAY.interpret, *PATHWAY.treat, *PATHWAY.safety, *PATHWAY.notes, *PATHWAY.orders]
    parts += [*PATHWAY.regimens.values(), *PATHWAY.orderables.values(), *PATHWAY.thresholds.values()]
    for part in parts:
        assert part.provenance.source in PATHWAY.sources
        assert part.provenance.evidence in ("primary", "secondary", "design")
        assert part.provenance.checked


@pytest.mark.parametrize("vignette", VIGNETTES[::7], ids=lambda vignette: vignette.name)
def test_promise_3_every_answer_names_its_findings_evidence_row_and_content_version(vignette):
    told = explanation(play(vignette), service(vignette.pathway), vignette.as_of)
    assert told["contentVersion"]
    expected = vignette.expect
    assert told["label"] == expected.get("label", told["label"])
    assert told["course"] == expected.get("course", told["course"])
    assert set(expected.get("rows", ())) | set(expected.get("rows_include", ())) <= set(told["rows"])
    assert all(finding["because"] for finding in told["findings"])
    assert json.loads(json.dumps(told, default=str))["asOf"] == str(vignette.as_of)


def test_promise_4_nothing_of_the_patient_is_in_the_log_or_in_an_error(capfdbinary):
    patient = {"resourceType": "Patient", "id": "pt-1", "name": [{"family": SECRET}], "birthDate": "1960-01-01"}
    told = problem(text=SECRET, id=SECRET, note=[{"text": SECRET}])
    sent = everything(patient=patient, b12=bundle(b12(id=SECRET)), conditions=bundle(told))
    sent["fhirAuthorization"] = {"access_token": SECRET, "token_type": "Bearer", "expires_in": 300}
    with_server = {**sent, "fhirServer": "http://127.0.0.1:9/fhir"}
    broken = {**sent, "hookInstance": 7, "context": {"userId": SECRET, "patientId": 5}}
    answers = [post(each) for each in (sent, with_server, broken, everything(patient={**patient, "id": SECRET}))]
    captured = capfdbinary.readouterr()
    assert [answer.status_code for answer in answers] == [200, 200, 400, 412]
    assert SECRET.encode() not in captured.out + captured.err
    assert SECRET not in answers[2].text + answers[3].text


def test_promise_5_no_address_is_called_that_was_not_allowed():
    with loopback.serving(host="127.0.0.2") as not_allowed:
        response = post({**asked(), "fhirServer": not_allowed.base})
        assert response.status_code == 412
        assert not_allowed.requests == []


def test_promise_5_nobody_from_outside_is_answered_in_demo_mode():
    assert post(everything(), REMOTE_ADDR="192.0.2.7").status_code == 403
    assert post(everything(), HTTP_HOST="b12.example.org").status_code == 403
    assert post(everything(), HTTP_ORIGIN="https://evil.example.org").status_code == 403


BODIES = [json.loads(request_bytes(each, content())) for each in VIGNETTES if each.hook == "patient-view"][::11]
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=20),
    st.just([]),
    st.just({}),
    st.just([[]]),
    st.sampled_from(["9" * 400, "1E+9999999", "-0", "NaN", "0000-00-00", "2026-02-30T25:61:00Z", "\u0000", "Ⅻ"]),
)


def places(value: object, path: tuple = ()) -> list[tuple]:
    """The path of every value inside a JSON value."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, part in parts for place in [(*path, key), *places(part, (*path, key))]]


def changed(value: object, path: tuple, odd: object) -> object:
    """A copy with another value at the path."""
    if not path:
        return odd
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[path[0]] = changed(value[path[0]], path[1:], odd)
    return copied


@given(st.sampled_from(BODIES), st.randoms(use_true_random=False), st.lists(ODD, min_size=1, max_size=4))
def test_promise_6_no_request_causes_a_5xx(body, random, odd_values):
    for odd in odd_values:
        body = changed(body, random.choice(places(body)), odd)
    assert post(body).status_code < 500


def test_promise_7_the_data_of_another_patient_is_ignored_and_reported():
    foreign = b12(60, subject={"reference": "Patient/someone-else"}, id="obs-foreign")
    only_foreign = post(everything(b12=bundle(foreign)))  # such a search failed: it did not find nothing
    assert only_foreign.status_code == 412 and "60 ng/L" not in only_foreign.text
    mine = post(everything(b12=bundle(b12(), foreign))).get_json()["cards"][0]
    assert "120 ng/L" in mine["summary"]
