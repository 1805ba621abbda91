"""What the client sent: which resources count, under which name, and which are looked up (items 49 to 53, 56, 57)."""

from __future__ import annotations

import pytest

from tests.fhir.prefetched import PATIENT, b12, bundle, given, outcome, remark


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


def test_data_of_others_is_no_data_under_another_name():
    of_another = b12(2, subject={"reference": "Patient/other"})
    gathered = given({"patient": PATIENT, "myLabs": bundle(b12(1, "787-2"), of_another)})
    assert gathered.states["b12"].state == "absent"
    assert gathered.states["bloodCount"].count == 1


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
