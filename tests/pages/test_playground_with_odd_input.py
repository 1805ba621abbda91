"""The playground with hostile text, odd Bundles and values that cannot be used: said in words, no failure of ours."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.pages.visiting import AT_180, HOSTILE, Visitor, fields


@pytest.mark.parametrize(
    "field, value, said",
    [
        ("lab-0-value", HOSTILE, "Value of total B12: allowed is a number"),
        ("lab-0-unit", "bananas", "Unit of total B12: allowed are"),
        ("lab-0-day", "31 Feb", "Date of total B12: allowed is a day"),
        ("age", "-1", "Age: allowed are whole years"),
        ("age", "٣", "Age: allowed are whole years"),
        ("today", "9999-12-31", "Day of the call: allowed are the years"),
        ("pathway", HOSTILE, "there is no such pathway"),
        ("order", "regimen:nothing", "Draft order: allowed is what the list offers"),
        ("new-lab-0-analyte", HOSTILE, "New result 1: there is no such test"),
        ("new-problem-0-concept", "../../x", "choose from the list"),
        ("new-medicine-0-ingredient", "b12", "choose from the list"),
        ("request", "{", "the body is not JSON"),
        ("request", '{"hook": "patient-view", "hookInstance": "x"}', "context: is missing"),
        ("request", "[" * 100_000, "the body is"),
        ("request", "", "not JSON"),
    ],
)
def test_what_cannot_be_used_is_said_with_what_is_allowed(visitor: Visitor, field: str, value: str, said: str):
    answer = visitor.post("/", fields(visitor.get(AT_180)) | {field: value})
    assert answer.status_code == 400
    assert said in answer.text
    assert "<script>alert" not in answer.text


def hostile(place: str) -> dict[str, Any]:
    """A Bundle that holds hostile text in one place."""
    text = {name: HOSTILE if name == place else "plain" for name in ("id", "unit", "display", "story")}
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"resource": {"resourceType": "Patient", "id": "p1", "gender": text["story"]}},
            {
                "resource": {
                    "resourceType": "Observation",
                    "id": text["id"],
                    "status": "final",
                    "code": {
                        "coding": [{"system": "http://loinc.org", "code": "2132-9", "display": text["display"]}],
                        "text": text["display"],
                    },
                    "effectiveDateTime": "2026-11-10",
                    "valueQuantity": {"value": 150, "unit": text["unit"]},
                }
            },
        ],
    }


@pytest.mark.parametrize("place", ["id", "unit", "display", "story"])
def test_hostile_text_of_a_record_is_shown_as_text(visitor: Visitor, place: str):
    page = visitor.post("/", {"pasted": json.dumps(hostile(place)), "pathway": "uk-ng239"})
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert "49" not in re.findall(r"script&gt;(.{0,6})", page.text)
    printed = visitor.post("/evidence", fields(page, "state"))
    assert printed.status_code == 200
    assert "<script>alert" not in printed.text


@pytest.mark.parametrize(
    "pasted",
    [
        "",
        "[]",
        "7",
        '{"resourceType": "Bundle"}',
        '{"resourceType": "Patient"}',
        "NaN",
        '{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient","id":7}}]}',
        '{"resourceType":"Bundle","entry":[7,null,{"resource":[]}]}',
        "[" * 50_000,
    ],
)
def test_what_is_neither_a_request_nor_a_bundle_is_refused_in_words(visitor: Visitor, pasted: str):
    answer = visitor.post("/", {"pasted": pasted})
    assert answer.status_code == 400
    allowed = ("a CDS Hooks request, or a FHIR Bundle", "a FHIR Bundle that holds one Patient with an id")
    assert any(f"allowed is {each}" in answer.text for each in allowed)


@pytest.mark.parametrize(
    "odd",
    [
        {"code": "x"},
        {"code": {"coding": {}}},
        {"code": {"coding": [1, None]}},
        {"id": []},
        {"medicationReference": {"reference": {}}},
        {"valueQuantity": []},
        {"status": 3},
        {"valueQuantity": {"value": 1e400, "unit": {}}},
        {"component": 1},
    ],
)
def test_an_odd_bundle_is_no_failure_of_ours(visitor: Visitor, odd: dict[str, Any]):
    bundle = hostile("")
    for kind in ("Observation", "MedicationRequest", "Condition"):
        resource = bundle["entry"][1]["resource"] | {"resourceType": kind} | odd
        answer = visitor.post(
            "/", {"pasted": json.dumps({**bundle, "entry": [bundle["entry"][0], {"resource": resource}]})}
        )
        assert answer.status_code in (200, 400), answer.text
