"""What comes as JSON is read whole where it fits, and entry by entry where it does not (terminology.md, real data)."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.fhir.gathering.bundles import Decoded, NestedTooDeepError, UnreadableError, decode
from cds_service.fhir.resources import Resource

CODE = {"coding": [{"system": "http://loinc.org", "code": "2132-9"}], "text": "B12"}


def observation(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": f"o{number}", "status": "final", "code": CODE, **fields}


def bundle(*resources: Any, **fields: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "entry": [{"resource": resource} for resource in resources], **fields}


def read(value: Any) -> Decoded:
    return decode(value if isinstance(value, bytes) else json.dumps(value).encode())


def resources(decoded: Decoded) -> list[Resource]:
    return [entry.resource for entry in decoded.entries if entry.resource]


def only(decoded: Decoded) -> Resource:
    (resource,) = resources(decoded)
    return resource


def test_null_a_resource_and_a_bundle_are_told_apart():
    assert read(None).kind == "null"
    assert read({"resourceType": "Patient", "id": "p"}).kind == "resource"
    assert read(bundle()).kind == "bundle"
    assert read({"resourceType": "Bundle"}) == Decoded("bundle")


@pytest.mark.parametrize("value", [[], [bundle()], "Bundle", 5, True, {}, {"entry": []}, {"resourceType": 5}])
def test_json_that_is_not_fhir_is_said_to_be_other(value):
    assert read(value).kind == "other"


@pytest.mark.parametrize("kind", ["searchset", "collection", "batch-response", "no such type", None])
def test_a_bundle_of_any_type_or_none_is_read(kind):
    sent = bundle(observation(1), observation(2), total=2, link=[{"relation": "next", "url": "x"}])
    decoded = read(sent | ({"type": kind} if kind else {}))
    assert [resource.id for resource in resources(decoded)] == ["o1", "o2"]
    assert decoded.total == 2
    assert decoded.links[0].url == "x"


def test_a_raw_prefetch_value_is_read_as_it_stands():
    body = b'{"b12": ' + json.dumps(bundle(observation())).encode() + b' , "conditions": null}'
    prefetch = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    assert only(decode(prefetch["b12"])).id == "o1"
    assert decode(prefetch["conditions"]).kind == "null"


@pytest.mark.parametrize("odd", [False, True], ids=["whole", "entry by entry"])
@pytest.mark.parametrize(
    "digits", ["150.10", "0.0", "148", "1e2", "0.30000000000000000001", "12345678901234567890.5", "9" * 5000]
)
def test_a_number_keeps_its_digits(digits, odd):
    status = '["final"]' if odd else '"final"'
    sent = (
        f'{{"resourceType":"Bundle","entry":[{{"resource":{{"resourceType":"Observation","id":"o1","status":{status},'
    )
    sent += f'"valueQuantity":{{"value":{digits}}}}}}}]}}'
    value = only(read(sent.encode())).value_quantity.value
    assert str(value) == str(Decimal(digits))


def test_a_bundle_within_a_bundle_is_opened_with_its_page_link():
    inner = bundle(observation(2), bundle(observation(3)), link=[{"relation": "next", "url": "page-2"}])
    decoded = read(bundle(observation(1), inner, observation(4)))
    assert [resource.id for resource in resources(decoded)] == ["o1", "o2", "o3", "o4"]
    assert [link.url for link in decoded.links] == ["page-2"]


def test_entries_without_a_resource_are_counted_as_damage():
    entries = [{}, {"fullUrl": "x"}, {"resource": None}, {"resource": {"id": "x"}}, {"resource": observation()}]
    decoded = read({"resourceType": "Bundle", "entry": entries})
    assert only(decoded).id == "o1"
    assert decoded.damaged == 4
    assert [each.reason for each in decoded.ignored] == [
        "an entry without a resource",
        "a resource without a resourceType",
    ]


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


@pytest.mark.parametrize(
    "text", [b"", b"<html></html>", b"{", b'{"resourceType":"Bundle"', b'{"a":tru}', b'{"id":"\xff"}', rb'"\ud800"']
)
def test_what_is_not_json_is_unreadable(text):
    with pytest.raises(UnreadableError):
        decode(text)


@pytest.mark.parametrize(
    ("opening", "closing"),
    [('{"contained":[', "]}"), ('{"entry":[{"resource":', "}]}"), ('{"unknown":[', "]}")],
)
def test_what_is_nested_too_deep_is_told_and_breaks_nothing(opening, closing):
    deep = opening * 50_000 + "{}" + closing * 50_000
    for kind in ("Bundle", "Observation"):
        with pytest.raises(NestedTooDeepError) as told:
            decode(f'{{"resourceType":"{kind}","entry":{deep}}}'.encode())
        assert isinstance(told.value, UnreadableError)
        assert isinstance(told.value, RecursionError)


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


@pytest.mark.needs("corpora")
def test_every_resource_of_the_corpora_is_read_as_it_is():
    files = sorted(Path(os.environ["CORPUS_DIR"]).glob("*/*.json"))
    assert files
    for file in files:
        decoded = decode(file.read_bytes())
        assert len(decoded.entries) == len(json.loads(file.read_text())["entry"])
        assert (decoded.kind, decoded.ignored, decoded.damaged) == ("bundle", (), 0)
