"""Whatever arrives, the reader answers; and what the record says does not depend on order, repetition or strangers."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cds_service.clinical.record import PatientRecord
from tests.fhir.records import (
    LOINC,
    SNOMED,
    concept,
    condition,
    observation,
    order,
    quantity,
    read,
    resource,
    statement,
)

SPECIMEN = {"resourceType": "Specimen", "id": "s1", "type": {"coding": [{"code": "SER"}], "text": "Serum"}}
PRODUCT = {
    "resourceType": "Medication",
    "id": "med",
    "code": {"text": "x"},
    "form": {"text": "Tablet"},
    "identifier": [{"value": "folic acid"}],
    "ingredient": [{"itemCodeableConcept": {"text": "folic acid"}, "strength": {"numerator": quantity(5, "mg")}}],
}
DOSAGE = {
    "text": "50-150 micrograms twice a day for 2 weeks",
    "route": concept("26643006", SNOMED),
    "timing": {
        "repeat": {"frequency": 1, "period": 2, "periodUnit": "d", "boundsDuration": {"value": 2, "unit": "wk"}}
    },
    "doseAndRate": [
        {"doseQuantity": quantity(50, "ug"), "doseRange": {"low": quantity(1, "mg"), "high": quantity(2, "mg")}}
    ],
}
HAEMOGLOBIN = [{"code": concept("718-7"), "valueQuantity": quantity(11.2, "g/dL")}]
RECORD: tuple[dict[str, Any], ...] = (
    {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1961-04-12"},
    SPECIMEN,
    PRODUCT,
    observation(
        value=quantity("150.10", "ng/L", "ng/L", comparator="<"),
        specimen={"reference": "Specimen/s1"},
        issued="2026-01-10T09:00:00Z",
        identifier=[{"system": "urn:lab", "value": "7"}],
        referenceRange=[{"low": quantity(180), "high": quantity(900)}],
        interpretation=[concept("L", "x")],
    ),
    observation(value=410, name="o2", status="corrected", identifier=[{"system": "urn:lab", "value": "7"}]),
    observation("58410-2", None, name="o3", component=HAEMOGLOBIN),
    observation("31443-5", None, name="o4", valueString="positive"),
    observation("82810-3", None, name="o5", valueCodeableConcept=concept("77386006", SNOMED)),
    observation(concept("84229001", SNOMED), None, name="o6", valueBoolean=True, effectivePeriod={"start": "2026"}),
    observation(concept(text="Vitamin B12"), None, name="o7", valueString=">20"),
    condition("84027009", clinicalStatus=concept("active", "x"), onsetDateTime="2019", recordedDate="2020-02-03"),
    condition(concept(text="Numbness"), name="c2", abatementPeriod={"start": "2025-01-01", "end": "2025-02-01"}),
    resource("Procedure", "x1", status="completed", code=concept("26452005", SNOMED), performedDateTime="2018-02"),
    resource("AllergyIntolerance", "a1", code={"text": "cobalt"}, reaction=[{"substance": {"text": "cobalamin"}}]),
    resource("FamilyMemberHistory", "f1", status="completed", condition=[{"code": concept("84027009", SNOMED)}]),
    resource("ServiceRequest", "s1", status="active", intent="order", code=concept("2132-9"), authoredOn="2026-01-02"),
    order("cyanocobalamin 50 mcg", dosageInstruction=[DOSAGE], dispenseRequest={"validityPeriod": {"end": "2027"}}),
    statement("metformin", name="m2", effectivePeriod={"start": "2020"}, dateAsserted="2026-01-03", dosage=[DOSAGE]),
    resource("MedicationStatement", "m3", status="unknown", medicationReference={"reference": "Medication/med"}),
    resource(
        "MedicationAdministration", "m4", status="completed", medicationCodeableConcept={"text": "hydroxocobalamin"},
        effectiveDateTime="2025-12-01T10:00:00+01:00", dosage={"dose": quantity(1, "mg"), "text": "im"},
    ),
    resource(
        "MedicationDispense", "m5", status="completed", medicationCodeableConcept={"text": "omeprazole"},
        whenHandedOver="2025-12-01", daysSupply=quantity(28, "d"),
    ),
)  # fmt: skip

ODD = (
    st.none()
    | st.booleans()
    | st.integers(-10, 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        ["", " ", "2026-01-10", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "1E+9999999", "mg"]
    )
    | st.sampled_from(
        ["#", "#s", "Patient/", "/", "urn:uuid:", "every 0 weeks", "0-0 micrograms", "half a tablet", "<", "-5"]
    )
    | st.text(max_size=20)
    | st.sampled_from([[], {}, [{}], [[]], {"coding": {}}, {"coding": [{}]}, {"value": 1}, [{"text": "cobalamin"}]])
)


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """The path of every value inside a resource."""
    found = [path] if path else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        found += places(each, (*path, key))
    return found


def changed(given: dict, path: tuple, odd: Any) -> dict:
    """The resource with one of its values replaced."""
    result = copy.deepcopy(given)
    inner: Any = result
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = odd
    return result


@st.composite
def damaged_records(draw: st.DrawFn) -> list[dict]:
    """The record above with up to three odd values in one of its resources."""
    record = list(RECORD)
    position = draw(st.integers(0, len(record) - 1))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([path for path in places(record[position]) if path != ("resourceType",)]))
        record[position] = changed(record[position], path, draw(ODD))
    return record


@given(damaged_records())
def test_no_odd_value_breaks_the_reader_or_costs_a_neighbour(record: list[dict]) -> None:
    found = read(*record)
    assert "could not be read" not in {each.reason for each in found.ignored}
    assert len(found.labs) + len(found.problems) + len(found.medications) >= 8


def seen(record: PatientRecord) -> PatientRecord:
    """The record without what was not used, its results in a fixed order."""
    return replace(record, labs=tuple(sorted(record.labs, key=lambda lab: (lab.reference, lab.analyte))), ignored=())


@given(st.permutations(RECORD))
def test_the_order_in_which_things_come_does_not_matter(record: list[dict]) -> None:
    found = read(*record)
    assert seen(found) == seen(read(*RECORD))
    assert found.ignored == read(*RECORD).ignored


@given(st.lists(st.sampled_from(RECORD)))
def test_what_comes_twice_counts_once(again: list[dict]) -> None:
    found, plain = read(*RECORD, *again), read(*RECORD)
    assert seen(found) == seen(plain)
    assert found.ignored == plain.ignored


@given(st.lists(st.sampled_from(RECORD[3:]), min_size=1))
def test_strangers_and_mistakes_change_nothing_but_what_is_listed(some: list[dict]) -> None:
    added = []
    for number, each in enumerate(some):
        stranger = {key: value for key, value in each.items() if key not in ("subject", "patient", "identifier")}
        added.append(stranger | {"id": f"stranger{number}", "subject": {"reference": "Patient/p2"}})
        mistake = {key: value for key, value in each.items() if key != "identifier"}
        added.append(mistake | {"id": f"mistake{number}", **mistaken(each["resourceType"])})
    assert seen(read(*RECORD, *added)) == seen(read(*RECORD))


def mistaken(kind: str) -> dict[str, Any]:
    """How a resource of that type says that it was entered in error."""
    if kind in ("Condition", "AllergyIntolerance"):
        return {"verificationStatus": concept("entered-in-error", "x")}
    return {"status": "entered-in-error"}


def test_the_record_is_what_these_tests_rest_on() -> None:
    found = read(*RECORD)
    assert {lab.analyte for lab in found.labs} == {"b12", "haemoglobin", "intrinsic-factor-antibody"}
    assert {each.concept for each in found.problems} >= {"pregnancy", "fatigue", "pernicious-anaemia", "family-history"}
    assert {each.ingredient for each in found.medications} == {
        "cyanocobalamin", "metformin", "folic-acid", "hydroxocobalamin", "omeprazole",
    }  # fmt: skip
    assert {each.substance for each in found.allergies} == {"cobalamin", "cobalt"}
    assert [each.orderable for each in found.orders] == ["b12-total"]
    assert {each.reason for each in found.ignored} == {
        "replaced by a corrected result", "its status is missing or unknown",
    }  # fmt: skip


def test_unknown_resource_types_are_skipped() -> None:
    assert not read({"resourceType": "Encounter", "id": "e"}, {"resourceType": "Nonsense", "id": "n"}).ignored


def test_only_the_codes_of_loinc_count_as_loinc() -> None:
    assert read(observation(concept("2132-9", LOINC))).labs
    assert not read(observation(concept("2132-9", SNOMED))).labs
