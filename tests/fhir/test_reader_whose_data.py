"""The right patient: data of another is never used, and each resource counts once."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from cds_service.clinical.record import Patient
from tests.fhir.records import (
    PATIENT,
    condition,
    lab_of,
    observation,
    order,
    quantity,
    read,
    reasons,
    resource,
    statement,
)


@pytest.mark.parametrize(
    "subject",
    [
        {"reference": "Patient/p1"},
        {"reference": "https://ehr.example.org/fhir/Patient/p1"},
        {"reference": "Patient/p1/_history/3"},
        {"reference": "https://ehr.example.org/fhir/Patient/p1/_history/3"},
        {"reference": "urn:uuid:p1"},
        {"reference": "p1"},
        [{"reference": "Patient/p1"}],
        {"display": "Ms Example"},
        {"identifier": {"system": "urn:mrn", "value": "1"}},
        {"reference": ""},
        {},
        None,
    ],
)
def test_the_patients_own_data_and_data_of_nobody_named_is_read(subject: Any) -> None:
    assert lab_of(observation(subject=subject)).value == 150


@pytest.mark.parametrize(
    "subject",
    [
        {"reference": "Patient/p2"},
        {"reference": "Patient/p11"},
        {"reference": "Patient/P1"},
        {"reference": "https://ehr.example.org/fhir/Patient/p2"},
        {"reference": "urn:uuid:p2"},
        {"reference": "Group/p1"},
        {"reference": "Device/d1"},
        [{"reference": "Patient/p1"}, {"reference": "Patient/p2"}],
    ],
)
def test_data_about_another_is_ignored_and_listed(subject: Any) -> None:
    record = read(observation(subject=subject))
    assert not record.labs
    assert [(each.reference, each.reason) for each in record.ignored] == [("Observation/o1", "about another patient")]


def test_data_about_another_is_listed_whatever_it_is_about() -> None:
    other = {"reference": "Patient/p2"}
    given = [
        observation("8302-2", name="height", subject=other),
        condition("84229001", subject=other),
        order("metformin", subject=other),
        resource("AllergyIntolerance", "a1", code={"text": "cobalamin"}, patient=other),
        resource("FamilyMemberHistory", "f1", patient=other),
        resource("Procedure", "x1", code={"text": "gastrectomy"}, subject=other),
    ]
    record = read(*given)
    assert len(record.ignored) == len(given)
    assert not (record.problems or record.medications or record.allergies)


def test_the_patient_may_be_named_as_the_bundle_names_him() -> None:
    entry = {"fullUrl": "urn:uuid:0c15", "resource": {"resourceType": "Patient", "id": PATIENT}}
    assert lab_of(entry, observation(subject={"reference": "urn:uuid:0c15"})).value == 150


def test_a_contained_patient_has_no_identity_of_its_own() -> None:
    inner = {"resourceType": "Patient", "id": "x"}
    assert lab_of(observation(subject={"reference": "#x"}, contained=[inner])).value == 150
    assert not read(observation(subject={"reference": "#y"}, contained=[inner])).labs


def test_the_patient_is_read() -> None:
    given = {"resourceType": "Patient", "id": PATIENT, "gender": "Female", "birthDate": "1961-04-12"}
    assert read(given).patient == Patient("Patient/p1", "female", date(1961, 4, 12))
    assert read(given | {"deceasedBoolean": True}).patient.deceased
    assert read(given | {"deceasedDateTime": "2025-01"}).patient.deceased
    assert not read(given | {"deceasedBoolean": False}).patient.deceased


@pytest.mark.parametrize(
    ("birth", "born"),
    [("1961", date(1961, 1, 1)), ("1961-04", date(1961, 4, 1)), ("2099-01-01", None), ("unknown", None), ("", None)],
)
def test_of_a_bare_birth_year_the_patient_is_as_old_as_it_allows(birth: str, born: date | None) -> None:
    assert read({"resourceType": "Patient", "id": PATIENT, "birthDate": birth}).patient.born == born


def test_without_a_patient_resource_nothing_is_known_of_the_patient() -> None:
    assert read().patient == Patient("Patient/p1")
    assert read({"resourceType": "Patient", "id": PATIENT, "gender": "other"}).patient.sex == ""


def test_the_same_resource_counts_once_and_is_not_reported() -> None:
    record = read(observation(), observation(), statement("metformin"), statement("metformin"))
    assert (len(record.labs), len(record.medications), record.ignored) == (1, 1, ())


@pytest.mark.parametrize(
    ("earlier", "later"),
    [("preliminary", "final"), ("final", "amended"), ("final", "corrected"), ("registered", "final")],
)
def test_of_two_versions_of_one_result_the_later_status_counts(earlier: str, later: str) -> None:
    versions = [observation(value=95, status=earlier), observation(value=410, status=later)]
    assert lab_of(*versions).value == lab_of(*versions[::-1]).value == 410


def test_a_version_that_was_entered_in_error_takes_the_other_with_it() -> None:
    record = read(observation(value=95), observation(value=95, status="entered-in-error"))
    assert not record.labs
    assert record.ignored[0].reason == "entered in error"


def test_the_order_of_two_versions_does_not_matter() -> None:
    versions = [observation(value=95), observation(value=410)]
    assert read(*versions).labs == read(*versions[::-1]).labs


@pytest.mark.parametrize("status", ["amended", "corrected"])
def test_a_correction_replaces_the_result_with_its_identifier(status: str) -> None:
    number = [{"system": "urn:lab", "value": "77"}]
    wrong = observation(value=95, name="old", identifier=number, issued="2026-01-10T09:00:00Z")
    right = observation(value=410, name="new", identifier=number, issued="2026-01-11T09:00:00Z", status=status)
    assert lab_of(wrong, right).value == lab_of(right, wrong).value == 410
    assert reasons(wrong, right) == {"Observation/old": "replaced by a corrected result"}


def test_a_correction_replaces_the_result_of_its_specimen_and_moment() -> None:
    same = {"specimen": {"reference": "Specimen/s1"}, "effectiveDateTime": "2026-01-10T08:00:00Z"}
    wrong, right = (
        observation(value=95, name="old", **same),
        observation(value=410, name="new", status="corrected", **same),
    )
    assert lab_of(wrong, right).value == 410
    elsewhere = right | {"specimen": {"reference": "Specimen/s2"}}
    assert len(read(wrong, elsewhere).labs) == 2
    another_time = right | {"effectiveDateTime": "2026-01-11T08:00:00Z"}
    assert len(read(wrong, another_time).labs) == 2


def test_a_correction_replaces_nothing_of_another_test_and_nothing_later() -> None:
    number = [{"system": "urn:lab", "value": "77"}]
    corrected = observation(value=410, name="new", identifier=number, issued="2026-01-11T09:00:00Z", status="corrected")
    mcv = observation("787-2", quantity(90, "fL"), name="mcv", identifier=number)
    later = observation(value=95, name="later", identifier=number, issued="2026-01-12T09:00:00Z")
    assert len(read(corrected, mcv, later).labs) == 3


def test_of_two_corrections_the_newer_stays() -> None:
    number = [{"system": "urn:lab", "value": "77"}]
    corrections = [
        observation(
            value=value, name=f"o{value}", identifier=number, issued=f"2026-01-1{day}T09:00:00Z", status="corrected"
        )
        for value, day in ((95, 1), (96, 2), (97, 3))
    ]
    assert lab_of(*corrections).value == lab_of(*corrections[::-1]).value == 97


def test_a_resource_without_an_id_is_read_and_has_no_reference() -> None:
    assert lab_of(observation() | {"id": ""}).reference == ""


def test_ids_longer_than_fhir_allows_are_read() -> None:
    assert lab_of(observation(name="e" * 190 + "_x.y")).reference.endswith("_x.y")
