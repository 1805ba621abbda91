"""What real clients send besides the protocol: selections that match nothing, no token, drafts without a wrapper."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from cds_service.app import create_app
from cds_service.examples.fixture_patients import patients_folder
from cds_service.settings import Settings
from tests.fhir import loopback
from tests.hooks.calling import ENVIRON, Answers, Caller, body
from tests.hooks.living import SEARCHED, b12, bundle, fhir_server, post, prefetch, problem, summaries
from tests.hooks.ordering import draft, drafts, select, sign
from tests.hooks.test_observed_logs import lines

FOLIC = {"medicationCodeableConcept": {"text": "Folic acid 5 mg tablets"}}
FOLATE_FIRST = "Folic acid at treatment dose"
LOW = prefetch(b12=bundle(b12(110)), conditions=bundle(problem()))


def selected(*names: str, order: Any = None, **entry: Any) -> list[str]:
    """The summaries of an order-select call with one draft of folic acid and these selections."""
    order = draft("o1", **FOLIC) if order is None else order
    sent = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": order, **entry}]}
    call = select(sent, "MedicationRequest/o1", prefetch=LOW)
    call["context"]["selections"] = list(names)
    return summaries(post(call, path="/cds-services/b12-order-select"))


@pytest.mark.parametrize(
    "name",
    ["MedicationRequest/o1", "o1", "/MedicationRequest/o1", " MedicationRequest/o1 ", "https://ehr.example.org/fhir/o1",
     "https://ehr.example.org/fhir/MedicationRequest/o1", "MedicationRequest/o1/_history/2",
     "MedicationRequest/other", ""],
)  # fmt: skip
def test_a_draft_is_judged_however_it_is_selected(name):
    assert any(FOLATE_FIRST in each for each in selected(name))


def test_a_draft_is_found_by_the_id_of_its_address():
    order = {name: value for name, value in draft("o1", **FOLIC).items() if name != "id"}
    assert any(FOLATE_FIRST in each for each in selected("MedicationRequest/aa", order=order, fullUrl="urn:uuid:aa"))


def test_without_a_selection_every_draft_is_judged():
    assert any(FOLATE_FIRST in each for each in selected())


def test_one_selection_that_names_nothing_brings_every_draft_in():
    call = select(
        drafts(draft("o1", **FOLIC), draft("o2", medicationCodeableConcept={"text": "Aspirin 75 mg tablets"})),
        prefetch=LOW,
    )
    call["context"]["selections"] = ["MedicationRequest/o2", "MedicationRequest/zz"]
    assert any(FOLATE_FIRST in each for each in summaries(post(call, path="/cds-services/b12-order-select")))
    call["context"]["selections"] = ["MedicationRequest/o2"]
    assert not any(FOLATE_FIRST in each for each in summaries(post(call, path="/cds-services/b12-order-select")))


@pytest.mark.parametrize(
    "subject", [{"reference": "urn:uuid:nobody"}, {"reference": "#p"}, {"display": "Somebody"}, {"reference": "?"}, {}]
)
def test_a_draft_whose_subject_leads_nowhere_is_judged(subject):
    assert any(FOLATE_FIRST in each for each in selected("o1", order=draft("o1", subject=subject, **FOLIC)))


@pytest.mark.parametrize("subject", ["Patient/other", "https://ehr.example.org/fhir/Patient/other"])
def test_a_draft_that_names_another_patient_is_not(subject):
    assert selected("o1", order=draft("o1", subject={"reference": subject}, **FOLIC)) == []


def test_a_draft_without_its_wrapper_is_missing_data_and_never_silence():
    bare = {"resourceType": "Bundle", "type": "collection", "entry": [draft("o1", **FOLIC)]}
    assert post(sign(bare, prefetch=LOW), path="/cds-services/b12-order-sign").status_code == 412
    beside = {**bare, "entry": [*bare["entry"], {"resource": draft("o2", **FOLIC)}]}
    found = summaries(post(sign(beside, prefetch=LOW), path="/cds-services/b12-order-sign"))
    assert any(FOLATE_FIRST in each for each in found)
    assert any("could not be" in each or "cannot be" in each.lower() or "No B12 advice" in each for each in found[1:])


def test_the_log_says_that_a_selection_names_nothing():
    call = select(drafts(draft("o1", **FOLIC)), prefetch=LOW)
    call["context"]["selections"] = ["MedicationRequest/zz"]
    (line,) = lines(json.dumps(call).encode(), path="/cds-services/b12-order-select")
    assert line["warnings"] == ["selection-not-among-the-drafts"]


@pytest.mark.parametrize("granted", [{}, {"access_token": ""}, {"access_token": None}, {"access_token": " "}, None])
def test_no_token_is_no_token_and_a_base_that_may_be_read_without_one_is_read(granted):
    with loopback.serving(fhir_server()) as server:
        authorization = None if granted is None else {"token_type": "Bearer", "expires_in": 300, **granted}
        answer = post(body(prefetch=..., fhirServer=server.base, fhirAuthorization=authorization))
        assert any("meets the NICE threshold for deficiency" in each for each in summaries(answer))
        assert not any("Authorization" in each.headers for each in server.requests)


@pytest.mark.parametrize("token", [5, "two words", ["x"]])
def test_a_token_that_cannot_be_used_stays_a_failure(token):
    caller = Caller(Answers())
    caller.post(body(fhirServer="http://127.0.0.1:1/fhir", fhirAuthorization={"access_token": token}))
    (call,) = caller.answers.calls
    assert call["fetch"] is None
    assert "token-unusable" in caller.log.getvalue() or "no token that can be used" in caller.log.getvalue()


def recorded(name: str) -> dict[str, Any]:
    """A call as a real client sent it, about an invented patient."""
    return json.loads((Path(__file__).parent / "calls" / f"{name}.json").read_text())


def answered(call: dict[str, Any]) -> list[dict[str, Any]]:
    app = create_app(Settings(demo=True, store_url="none"), clock=lambda: datetime(2026, 11, 28, 12, tzinfo=UTC))
    path = f"/cds-services/b12-{call['hook']}"
    response = Client(app).post(path, json=call, environ_overrides=ENVIRON)
    assert response.status_code == 200, response.text
    return response.json["cards"]


def test_the_sandboxs_folic_acid_gets_its_critical_card():
    assert [card["indicator"] for card in answered(recorded("sandbox-folic"))][:1] == ["critical"]


def test_after_a_suggestion_was_accepted_nothing_is_critical():
    cards = answered(recorded("sandbox-after-accept"))
    assert cards
    assert "critical" not in [card["indicator"] for card in cards]


def test_what_is_signed_after_a_suggestion_was_accepted_gets_no_critical_card():
    cards = answered(recorded("sandbox-sign-after-accept"))
    assert "critical" not in [card["indicator"] for card in cards]


@pytest.mark.parametrize("name", ["sandbox-pama-opened", "sandbox-pama"])
def test_an_order_for_imaging_before_and_after_it_is_chosen_gets_no_card(name):
    assert answered(recorded(name)) == []


def test_the_request_generators_folic_acid_too_once_its_server_may_be_read_without_a_token():
    call, record = recorded("crg-order-sign"), json.loads((patients_folder() / "neuro-metformin.json").read_text())
    resources = [entry["resource"] for entry in record["entry"]]
    kinds = {each["resourceType"] for each in resources} | set(SEARCHED) | {"Observation"}
    answers = {f"/fhir/{kind}": bundle(*(each for each in resources if each["resourceType"] == kind)) for kind in kinds}
    answers |= {f"/fhir/{each['resourceType']}/{each['id']}": each for each in resources}
    with loopback.serving({path: loopback.fhir(value) for path, value in answers.items()}) as server:
        cards = answered(call | {"fhirServer": server.base})
    assert (cards[0]["indicator"], cards[0]["source"]["topic"]["code"]) == ("critical", "B12OrderFolateFirst")
