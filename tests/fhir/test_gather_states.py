"""What the client sent, judged: six states per key, other names, other patients (items 49 to 53, 56, 57, 60, 61)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from cds_service.fhir.gathering.bundles import NestedTooDeepError, UnreadableError
from cds_service.fhir.gathering.gather import Gathered, gather

TEMPLATES = {
    "patient": "Patient/{{context.patientId}}",
    "b12": "Observation?patient={{context.patientId}}&code=2132-9,14685-2&_sort=-date&_count=50",
    "bloodCount": "Observation?patient={{context.patientId}}&code=787-2,718-7&_sort=-date",
    "conditions": "Condition?patient={{context.patientId}}",
    "medications": "MedicationStatement?patient={{context.patientId}}",
    "medicationRequests": "MedicationRequest?patient={{context.patientId}}",
}
PATIENT = {"resourceType": "Patient", "id": "pt-1"}
SELF = "https://ehr.example.org/fhir/Observation?"


def given(prefetch: Mapping[str, Any], templates: Mapping[str, str] = TEMPLATES) -> Gathered:
    """Gathered from this prefetch alone."""
    raw = msgspec.json.decode(json.dumps(prefetch).encode(), type=dict[str, msgspec.Raw])
    return gather(raw, templates, {"patientId": "pt-1", "userId": "Practitioner/p"}, None, 0, 0)


def b12(number: int = 1, code: str = "2132-9", **fields: Any) -> dict[str, Any]:
    coding = [{"system": "http://loinc.org", "code": code}]
    return {"resourceType": "Observation", "id": f"o{number}", "status": "final", "code": {"coding": coding}, **fields}


def bundle(*resources: Any, links: Mapping[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    entries = [each if "resource" in each else {"resource": each} for each in resources]
    link = [{"relation": relation, "url": url} for relation, url in (links or {}).items()]
    return {"resourceType": "Bundle", "entry": entries, "link": link, **fields}


def outcome(severity: str, code: str = "processing", text: str = "", epic: str = "") -> dict[str, Any]:
    details = {"text": text, "coding": [{"system": "urn:oid:1.2.840.114350.1.13.0.1.7.2.657369", "code": epic}]}
    return {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": code, "details": details}]}


def remark(resource: dict[str, Any]) -> dict[str, Any]:
    return {"resource": resource, "search": {"mode": "outcome"}}


def state(value: Any, key: str = "b12") -> str:
    return given({"patient": PATIENT, key: value}).states[key].state


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


def test_another_patient_is_told_apart_and_never_among_the_data():
    gathered = given({"patient": PATIENT | {"id": "pt-2"}, "b12": None})
    assert gathered.wrong_patient
    assert gathered.states["patient"].state == "failed"
    assert gathered.states["patient"].reason == "another patient"
    assert gathered.resources == ()
    assert [(each.reference, each.reason) for each in gathered.ignored] == [("Patient/pt-2", "another patient")]


def test_the_patient_may_come_in_a_bundle_or_under_another_key():
    assert given({"patient": bundle(PATIENT)}).states["patient"].state == "data"
    assert given({"person": PATIENT}).states["patient"].state == "data"
    assert given({"patient": None, "person": PATIENT}).states["patient"].state == "data"
    mother = given({"patient": PATIENT, "mother": PATIENT | {"id": "pt-2"}})
    assert not mother.wrong_patient
    assert [resource.id for resource in mother.resources] == ["pt-1"]


def test_included_resources_are_only_looked_up():
    medication = {"resourceType": "Medication", "id": "m1"}
    entry = {"fullUrl": "urn:uuid:1", "resource": medication, "search": {"mode": "include"}}
    other = {"resource": PATIENT | {"id": "pt-2"}, "search": {"mode": "include"}}
    gathered = given({"patient": PATIENT, "medications": bundle({"resourceType": "MedicationStatement"}, entry, other)})
    assert [resource.resource_type for resource in gathered.resources] == ["Patient", "MedicationStatement"]
    assert [resource.id for resource in gathered.included] == ["m1", "pt-2"]
    assert gathered.find("Medication/m1") is gathered.find("urn:uuid:1") is gathered.included[0]
    assert not gathered.wrong_patient


@pytest.mark.parametrize(
    ("full_url", "reference", "found"),
    [
        ("https://ehr.example.org/fhir/Medication/m1", "https://ehr.example.org/fhir/Medication/m1", True),
        ("https://ehr.example.org/fhir/Medication/m1", "https://ehr.example.org/fhir/Medication/m1/_history/3", True),
        ("https://ehr.example.org/fhir/Medication/m1", "Medication/m1", True),
        ("https://ehr.example.org/fhir/Medication/m1", "https://other.example/fhir/Medication/m1", False),
        ("", "https://ehr.example.org/fhir/Medication/m1", True),
        ("urn:uuid:1", "https://ehr.example.org/fhir/Medication/m1", True),
        ("", "Medication/m2", False),
        ("", "", False),
        ("", "https://ehr.example.org", False),
    ],
)
def test_a_reference_finds_the_resource_it_names_and_no_other(full_url, reference, found):
    gathered = given({"x": bundle({"fullUrl": full_url, "resource": {"resourceType": "Medication", "id": "m1"}})})
    assert (gathered.find(reference) is not None) is found


def test_the_same_resource_under_two_keys_counts_once_and_a_difference_is_kept():
    same = given({"b12": bundle(b12(1)), "labs": bundle(b12(1), b12(2))})
    assert [resource.id for resource in same.resources] == ["o1", "o2"]
    different = given({"b12": bundle(b12(1)), "labs": bundle(b12(1, status="amended"))})
    assert [resource.status for resource in different.resources] == ["final", "amended"]


def test_a_resource_that_was_only_included_before_still_counts_when_it_is_a_match():
    included = {"resource": b12(1), "search": {"mode": "include"}}
    assert [each.id for each in given({"bloodCount": bundle(included), "b12": bundle(b12(1))}).resources] == ["o1"]


def test_data_counts_under_a_name_of_the_clients_own():
    gathered = given({"patient": PATIENT, "myLabs": bundle(b12(1), b12(2, "787-2")), "myProblems": bundle()})
    assert {key: gathered.states[key].state for key in ("b12", "bloodCount", "conditions")} == {
        "b12": "data",
        "bloodCount": "data",
        "conditions": "absent",
    }
    assert gathered.states["b12"].count == 1
    part = given({"patient": PATIENT, "myLabs": bundle(b12(1), total=7)})
    assert part.states["b12"].state == "incomplete"
    assert part.incomplete == {"b12"}


def test_a_flood_of_other_names_is_cut_and_named():
    gathered = given({"patient": PATIENT, **{f"key{number}": b12(number) for number in range(150)}})
    assert gathered.states["b12"].count == 100
    assert [each.reason for each in gathered.ignored] == ["more than 100 prefetch keys that are not ours"]


def test_a_component_may_carry_the_code_that_was_asked_for():
    panel = b12(1, "58410-2", component=[{"code": {"coding": [{"code": "787-2"}]}}])
    assert given({"panel": bundle(panel)}).states["bloodCount"].state == "data"


def test_data_of_one_key_under_the_name_of_another():
    """MedicationRequests typed in as "medications" are that; a B12 result among the blood counts is only a part."""
    gathered = given({"patient": PATIENT, "medications": bundle({"resourceType": "MedicationRequest", "id": "r"})})
    assert gathered.states["medications"].state == "failed"
    assert gathered.states["medicationRequests"].state == "data"
    strayed = given({"patient": PATIENT, "bloodCount": bundle(b12(1), b12(2, "787-2"))})
    assert strayed.states["b12"].state == "incomplete"
    assert strayed.states["bloodCount"].state == "data"


def test_what_came_with_a_failed_key_is_still_there_to_be_looked_at():
    gathered = given({"patient": PATIENT, "b12": bundle(b12(), remark(outcome("error")))})
    assert gathered.states["b12"].state == "failed"
    assert [resource.resource_type for resource in gathered.resources] == ["Patient", "Observation"]


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
        ([request()], "data"),
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
        gather({"b12": msgspec.Raw(raw)}, TEMPLATES, {"patientId": "pt-1"}, None, 0, 0)


def test_no_reason_quotes_what_came():
    secret = "SECRET"
    odd = {"resourceType": secret, "id": secret, "status": [secret, secret]}
    sent = {"b12": bundle(odd, outcome("warning", secret, secret)), "conditions": outcome(secret, secret, secret)}
    gathered = given({"patient": PATIENT, **sent, secret: secret})
    published = [gathered.states[key].reason for key in TEMPLATES]
    assert secret not in " ".join(published + [each.reason for each in gathered.ignored])
