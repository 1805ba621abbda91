"""What does not fit is put right or left out entry by entry; its neighbours are read (terminology.md, real data)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fhir.decoding import bundle, observation, only, read, resources

REPAIRED = [
    ({"status": ["final"]}, "status", "final"),
    ({"id": 17}, "id", "17"),
    ({"valueString": 12.50}, "value_string", "12.5"),
    ({"valueQuantity": [{"value": 148}]}, "value_quantity.value", Decimal(148)),
    ({"valueQuantity": {"value": "148.10"}}, "value_quantity.value", Decimal("148.10")),
    ({"valueQuantity": {"value": 148, "unit": 5}}, "value_quantity.unit", "5"),
    ({"valueQuantity": {"value": 148, "unit": ["ng/L"]}}, "value_quantity.unit", "ng/L"),
    ({"valueBoolean": "true"}, "value_boolean", True),
    ({"valueCodeableConcept": "Positive"}, "value_codeable_concept.text", "Positive"),
    ({"dataAbsentReason": [{"text": "pending"}]}, "data_absent_reason.text", "pending"),
    ({"dosage": {"timing": [{"repeat": {"frequency": "1"}}]}}, "dosage.timing.repeat.frequency", Decimal(1)),
    ({"contained": {"resourceType": "Medication", "id": "m"}}, "contained.0.id", "m"),
    ({"status": ["final"], "code": {"coding": [{"code": 2132}]}}, "code.coding.0.code", "2132"),
]


@pytest.mark.parametrize(("fields", "path", "expected"), REPAIRED)
def test_what_loses_nothing_is_put_right_silently(fields, path, expected):
    decoded = read(bundle(observation(1, **fields), observation(2)))
    assert decoded.ignored == ()
    assert decoded.damaged == 0
    value: Any = resources(decoded)[0]
    for step in path.split("."):
        value = value[int(step)] if step.isdigit() else getattr(value, step)
    assert value == expected


LEFT_OUT = [
    ({"valueQuantity": {"value": "pending"}}, "valueQuantity.value"),
    ({"valueQuantity": {"value": "NaN", "unit": 5}}, "valueQuantity.value"),
    ({"valueQuantity": 148}, "valueQuantity"),
    ({"effectiveDateTime": {"start": "2026"}}, "effectiveDateTime"),
    ({"interpretation": [5, {"text": "L"}]}, "interpretation"),
    ({"asNeededBoolean": 1, "valueBoolean": "perhaps"}, "valueBoolean"),
]


@pytest.mark.parametrize(("fields", "field"), LEFT_OUT)
def test_what_cannot_be_read_is_left_out_and_named_never_quoted(fields, field):
    decoded = read(bundle(observation(1, **fields), observation(2)))
    assert [resource.id for resource in resources(decoded)] == ["o1", "o2"]
    (ignored,) = decoded.ignored
    assert ignored.reference == "Observation/o1"
    assert field in ignored.reason
    assert "pending" not in ignored.reason
    assert "perhaps" not in ignored.reason


DECISIVE = [
    {"status": {"value": "entered-in-error"}},
    {"status": ["final", "entered-in-error"]},
    {"subject": "Patient/other"},
    {"subject": {"reference": ["Patient/other", "Patient/p"]}},
    {"abatementAge": {"value": "old"}},
    {"doNotPerform": "perhaps"},
    {"valueQuantity": {"value": 148, "comparator": {"is": "<"}}},
    {"component": [{"valueQuantity": {"value": 148, "comparator": ["<", ">"]}}]},
    {"clinicalStatus": True},
]


@pytest.mark.parametrize("fields", DECISIVE)
def test_without_what_decides_its_meaning_a_resource_is_not_read_at_all(fields):
    decoded = read(bundle(observation(1, **fields), observation(2)))
    assert [resource.id for resource in resources(decoded)] == ["o2"]
    assert decoded.damaged == 1
    assert [ignored.reference for ignored in decoded.ignored] == ["Observation/o1"]


@pytest.mark.parametrize("entry", [5, "x", [], None, {"resource": "x"}, {"resource": []}, {"resource": [1, 2]}])
def test_an_entry_that_is_no_entry_costs_only_itself(entry):
    decoded = read({"resourceType": "Bundle", "entry": [entry, {"resource": observation()}]})
    assert only(decoded).id == "o1"
    assert decoded.damaged == 1


@pytest.mark.parametrize(("entry", "damaged"), [("x", 1), (5, 1), (None, 0), ({"resource": observation()}, 0)])
def test_entries_that_are_no_list(entry, damaged):
    assert read({"resourceType": "Bundle", "entry": entry, "total": "1"}).damaged == damaged


@pytest.mark.parametrize("frame", [{"total": "many"}, {"link": [5]}, {"link": "x"}, {"type": 5}, {"id": {}}])
def test_an_odd_frame_does_not_cost_the_entries(frame):
    assert only(read(bundle(observation(), **frame))).id == "o1"


def test_a_link_that_cannot_be_read_may_have_led_to_more():
    assert read(bundle(observation(), link=[{"relation": "next", "url": {}}])).damaged == 0
    assert read(bundle(observation(), link=[{"relation": "next", "url": [1, 2]}])).damaged == 1
    assert read(bundle(observation(), link=5)).damaged == 1


def test_a_flood_of_odd_entries_is_counted_not_repaired():
    decoded = read(bundle(*(observation(number, status=["final"]) for number in range(1200))))
    assert len(decoded.entries) == 1000
    assert decoded.damaged == 200
    assert len(decoded.ignored) == 1


def test_a_lone_resource_is_repaired_too():
    assert only(read(observation(status=["final"]))).status == "final"
    assert read(observation(status=5.5) | {"type": 5}).kind == "resource"
    unread = read(observation(status={}, subject={"reference": {}}))
    assert only(unread).status is None
    assert read(observation(subject=5)).damaged == 1


def test_resources_whose_fields_differ_from_a_bundles_are_no_bundles():
    allergy = {
        "resourceType": "AllergyIntolerance",
        "id": "a",
        "type": "allergy",
        "patient": {"reference": "Patient/p"},
    }
    encounter = {"resourceType": "Encounter", "id": "e", "type": [{"text": "visit"}]}
    patient = {"resourceType": "Patient", "id": "p", "link": [{"other": {"reference": "Patient/q"}, "type": "seealso"}]}
    for resource in (allergy, encounter, patient):
        assert only(read(resource)).id == resource["id"]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "status",
    "code",
    "subject",
    "valueQuantity",
    "component",
    "referenceRange",
    "dosage",
    "contained",
    "issue",
    "id",
]


@given(
    st.dictionaries(st.sampled_from(FIELDS), anything), st.dictionaries(st.sampled_from(["link", "total"]), anything)
)
def test_whatever_is_in_a_field_the_neighbours_are_read(fields, frame):
    decoded = read({**bundle(observation(1, **fields), observation(2)), **frame})
    assert resources(decoded)[-1].id == "o2"
    assert len(decoded.entries) + decoded.damaged >= 2
