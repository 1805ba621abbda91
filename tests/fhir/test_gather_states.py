"""What the client sent, judged: six states per key (items 49 to 53, 56, 57, 60, 61)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cds_service.fhir.bundles import NestedTooDeepError, UnreadableError
from cds_service.fhir.gather import gather
from tests.fhir.prefetched import PATIENT, SELF, TEMPLATES, b12, bundle, given, outcome, remark, state

NOTHING = remark(outcome("warning", text="Resource request returns no results.", epic="4101"))
ROUTINE = remark(outcome("warning", text="This response includes information available", epic="4119"))
STATES = {
    "null": (None, "null"),
    "a Bundle without entries": ({"resourceType": "Bundle"}, "empty"),
    "a Bundle with an empty list": (bundle(total=0), "empty"),
    "results": (bundle(b12()), "data"),
    "one result without a Bundle": (b12(), "data"),
    "a collection": (bundle(b12(), type="collection"), "data"),
    "no type, total, search or fullUrl": ({"resourceType": "Bundle", "entry": [{"resource": b12()}]}, "data"),
    "a Bundle within a Bundle": (bundle(bundle(b12())), "data"),
    "Epic: nothing found": (bundle(NOTHING, total=0), "empty"),
    "nothing found, in words only": (bundle(remark(outcome("warning", text="no results")), total=0), "empty"),
    "nothing found, without a search mode": (bundle(outcome("warning", epic="4101")), "empty"),
    "Epic: routine note with results": (bundle(b12(), ROUTINE), "data"),
    "Epic: routine note without results": (bundle(ROUTINE), "empty"),
    "Epic: both": (bundle(NOTHING, ROUTINE), "empty"),
    "information only": (bundle(remark(outcome("information", text="indexed"))), "empty"),
    "an unknown warning with results": (bundle(b12(), remark(outcome("warning", text="odd"))), "data"),
    "an unknown warning without results": (bundle(remark(outcome("warning", text="odd"))), "incomplete"),
    "an outcome without issue": (bundle(remark({"resourceType": "OperationOutcome"})), "incomplete"),
    "not supported": (bundle(b12(), remark(outcome("warning", "not-supported"))), "incomplete"),
    "incomplete": (bundle(b12(), remark(outcome("information", "incomplete"))), "incomplete"),
    "timeout": (bundle(b12(), remark(outcome("warning", "timeout"))), "incomplete"),
    "suppressed": (bundle(remark(outcome("warning", "suppressed"))), "incomplete"),
    "an error among results": (bundle(b12(), remark(outcome("error"))), "failed"),
    "a fatal error alone": (bundle(remark(outcome("fatal"))), "failed"),
    "an error although nothing was found": (bundle(NOTHING, remark(outcome("error", "timeout"))), "failed"),
    "an OperationOutcome": (outcome("error", "timeout"), "failed"),
    "a warning instead of a Bundle": (outcome("warning", "not-supported"), "failed"),
    "nothing found instead of a Bundle": (outcome("warning", epic="4101"), "empty"),
    "a parameter that the server left out": (
        bundle(b12(), links={"self": SELF + "patient=pt-1&_sort=-date"}),
        "incomplete",
    ),
    "all parameters left out": (bundle(links={"self": SELF + "_count=50"}), "incomplete"),
    "a self link with all parameters": (
        bundle(b12(), links={"self": SELF + "subject:Patient=pt-1&code=2132-9"}),
        "data",
    ),
    "a self link without a query": (bundle(b12(), links={"self": SELF.rstrip("?")}), "data"),
    "a self link of a page": (bundle(b12(), links={"self": "https://ehr.example.org/fhir?_getpages=1"}), "data"),
    "a further page": (bundle(b12(), links={"next": SELF + "page=2"}), "incomplete"),
    "a further page of nothing": (bundle(links={"next": SELF + "page=2"}), "incomplete"),
    "a further page without an address": (bundle(b12(), link=[{"relation": "next"}]), "incomplete"),
    "a further page of nothing, without an address": (bundle(link=[{"relation": "next", "url": ""}]), "incomplete"),
    "R5: an error beside the entries": (bundle(b12(), issues=outcome("error", "timeout")), "failed"),
    "R5: nothing but a remark that a part is missing": (bundle(issues=outcome("warning", "incomplete")), "incomplete"),
    "fewer than counted": (bundle(b12(), total=2), "incomplete"),
    "a total that is too small": (bundle(b12(), total=0), "data"),
    "an entry that cannot be read": (bundle(b12(), b12(2, status={"x": 1})), "incomplete"),
    "nothing but an entry that cannot be read": (bundle(b12(2, status={"x": 1})), "incomplete"),
    "nothing but a remark that is no outcome": (bundle(remark(b12())), "empty"),
    "only included resources": (bundle({"resource": b12(), "search": {"mode": "include"}}), "empty"),
    "another type": ({"resourceType": "Condition", "id": "c"}, "failed"),
    "a Bundle of another type": (bundle({"resourceType": "Condition", "id": "c"}), "failed"),
    "among other types": (bundle({"resourceType": "Specimen", "id": "s"}, b12()), "data"),
    "no FHIR": ([], "failed"),
    "an empty object": ({}, "failed"),
    "text": ("Observation", "failed"),
}


@pytest.mark.parametrize(("value", "expected"), STATES.values(), ids=STATES)
def test_the_state_of_a_key_follows_from_what_came(value, expected):
    assert state(value) == expected


@pytest.mark.parametrize(
    ("codes", "reason"),
    [
        (["not-supported"], "the server did not use the whole query"),
        (["not-supported", "timeout"], "the server reported that a part is missing"),
    ],
)
def test_what_a_server_will_never_search_by_is_told_from_what_it_could_not_give_now(codes, reason):
    sent = bundle(b12(), *(remark(outcome("warning", code)) for code in codes))
    assert given({"patient": PATIENT, "b12": sent}).states["b12"].reason == reason


NOT_SEARCHED = remark(outcome("warning", "not-supported"))
ONLY_A_REFERENCE = {
    "resourceType": "MedicationRequest",
    "id": "m",
    "status": "active",
    "intent": "order",
    "subject": {"reference": "Patient/pt-1"},
    "medicationReference": {"reference": "Medication/gone"},
}


@pytest.mark.parametrize(
    ("key", "sent", "reason"),
    [
        ("b12", bundle(b12(), NOT_SEARCHED, total=9), "fewer results came than the server counted"),
        ("b12", bundle(b12(), b12(2, status={"x": 1}), NOT_SEARCHED), "an entry could not be read"),
        (
            "b12",
            bundle(b12(), total=9, links={"self": SELF + "patient=pt-1"}),
            "fewer results came than the server counted",
        ),
        (
            "medicationRequests",
            bundle(ONLY_A_REFERENCE, NOT_SEARCHED),
            "a medicine is only a reference that could not be looked up",
        ),
    ],
)
def test_what_lasts_hides_nothing_that_another_try_might_bring(key, sent, reason):
    """The watcher waits for what may come; what a server will never search by holds up nobody."""
    found = given({"patient": PATIENT, key: sent}).states[key]
    assert (found.state, found.reason) == ("incomplete", reason)


def test_a_key_that_was_not_sent_is_absent_and_unavailable():
    gathered = given({"patient": PATIENT})
    assert gathered.states["b12"].state == "absent"
    assert gathered.unavailable == frozenset(TEMPLATES) - {"patient"}
    assert not gathered.answered("b12")


def test_null_and_empty_are_answers_and_parts_are_not():
    sent = {"patient": PATIENT, "b12": None, "conditions": bundle(), "bloodCount": bundle(b12(1, "787-2"), total=9)}
    gathered = given(sent)
    assert [gathered.answered(key) for key in ("b12", "conditions", "bloodCount", "unheard-of")] == [
        True,
        True,
        False,
        False,
    ]
    assert gathered.incomplete == {"bloodCount"}
    assert gathered.unavailable == {"medications", "medicationRequests"}


@pytest.mark.parametrize(
    "patient",
    [
        None,
        bundle(),
        outcome("error"),
        {"resourceType": "Patient"},
        b12(),
        bundle(NOTHING),
        [],
        {"resourceType": "Person"},
    ],
)
def test_without_the_patient_the_key_is_failed(patient):
    gathered = given({"patient": patient, "b12": None})
    assert gathered.states["patient"].state == "failed"
    assert not gathered.wrong_patient


def request(reference: str | None = None, display: str | None = None, **fields: Any) -> dict[str, Any]:
    named = {"reference": reference, "display": display}
    return {"resourceType": "MedicationRequest", "id": "r", "medicationReference": named, **fields}


MEDICATION = {"resourceType": "Medication", "id": "m1"}


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ([request("Medication/m1")], "incomplete"),
        ([request("Medication/m1", "hydroxocobalamin")], "data"),
        ([request("Medication/m1"), MEDICATION], "data"),
        ([request("Medication/m1/_history/2"), MEDICATION], "data"),
        ([request("#m1", contained=[MEDICATION])], "data"),
        ([request("Medication/m1", medicationCodeableConcept={"text": "hydroxocobalamin"})], "data"),
        ([request("Medication/m1", medicationCodeableConcept={"coding": [{"code": "1"}]})], "data"),
        ([request("Medication/m1", medicationCodeableConcept={"coding": [{}]})], "incomplete"),
        ([request()], "incomplete"),
    ],
)
def test_a_medicine_that_is_only_a_reference_leaves_its_key_incomplete(resources, expected):
    assert state(bundle(*resources), "medicationRequests") == expected


def test_remarks_of_the_server_are_recorded_without_its_words():
    gathered = given({"b12": bundle(b12(), ROUTINE, remark(outcome("warning", text="Doe, John")))})
    assert {(each.reference, each.reason) for each in gathered.ignored} == {
        ("OperationOutcome", "the server gave a routine note"),
        ("OperationOutcome", "the server gave a warning that is not known here"),
    }


@pytest.mark.parametrize(
    ("raw", "error"), [(b'"\\ud800"', UnreadableError), (b'{"x":' * 30_000 + b"1" + b"}" * 30_000, NestedTooDeepError)]
)
def test_prefetch_that_cannot_be_decoded_is_the_clients_fault(raw, error):
    with pytest.raises(error):
        gather({"b12": msgspec.Raw(raw)}, TEMPLATES, {"patientId": "pt-1"})


def test_no_reason_quotes_what_came():
    secret = "SECRET"
    odd = {"resourceType": secret, "id": secret, "status": [secret, secret]}
    sent = {"b12": bundle(odd, outcome("warning", secret, secret)), "conditions": outcome(secret, secret, secret)}
    gathered = given({"patient": PATIENT, **sent, secret: secret})
    published = [gathered.states[key].reason for key in TEMPLATES]
    assert secret not in " ".join(published + [each.reason for each in gathered.ignored])


def test_a_search_that_brings_only_other_peoples_resources_failed():
    foreign = {**b12(), "subject": {"reference": "Patient/somebody-else"}}
    assert state(bundle(foreign), "b12") == "failed"
    assert state(bundle(foreign, {**b12(), "id": "own", "subject": {"reference": "Patient/pt-1"}}), "b12") == "data"


def test_a_patient_counts_where_it_only_came_along():
    sent = bundle(b12())
    sent["entry"].append({"resource": {"resourceType": "Patient", "id": "pt-1"}, "search": {"mode": "include"}})
    assert given({"b12": sent}).states["patient"].state == "data"
