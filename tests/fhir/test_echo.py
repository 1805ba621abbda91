"""A clinician's own order is sent back as valid FHIR, whatever it was: a strict parser refuses a whole answer else."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from fhir.resources.R4B.medicationrequest import MedicationRequest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.fhir.drafts import patched, received
from cds_service.fhir.echo import valid_order
from tests.fhir.echo_shapes import FILE, written

Json = dict[str, Any]
OURS: Json = {
    "resourceType": "MedicationRequest", "id": "x", "status": "draft", "intent": "proposal",
    "subject": {"reference": "Patient/p"}, "medicationCodeableConcept": {"text": "Hydroxocobalamin"},
    "dosageInstruction": [{"text": "1 mg"}],
}  # fmt: skip
WHOLE: Json = {
    "resourceType": "MedicationRequest",
    "id": "draft-1",
    "meta": {"versionId": "1", "lastUpdated": "2026-11-28T01:04:02.264+00:00", "tag": [{"code": "x"}]},
    "text": {"status": "generated", "div": "<div xmlns='http://www.w3.org/1999/xhtml'>x</div>"},
    "contained": [{"resourceType": "Medication", "id": "m", "code": {"text": "x"}},
                  {"resourceType": "Practitioner", "id": "p", "name": [{"family": "y"}]}],
    "extension": [{"url": "urn:x", "valueDecimal": 1.10},
                  {"url": "urn:y", "extension": [{"url": "z", "valueCode": "c"}]}],
    "identifier": [{"system": "urn:i", "value": "7", "use": "official"}],
    "status": "draft", "intent": "order", "priority": "routine", "doNotPerform": False, "reportedBoolean": False,
    "category": [{"coding": [{"system": "urn:c", "code": "community"}]}],
    "medicationReference": {"reference": "#m"},
    "subject": {"reference": "Patient/pt-1"},
    "authoredOn": "2026-11-28",
    "requester": {"reference": "#p"},
    "reasonCode": [{"text": "low B12"}],
    "note": [{"text": "soon", "time": "2026-11-28T10:00:00Z"}],
    "dosageInstruction": [{"text": "once daily"}],
    "dispenseRequest": {"validityPeriod": {"start": "2026-11-28"}, "numberOfRepeatsAllowed": 3,
                        "quantity": {"value": 28.50, "unit": "tablet"},
                        "expectedSupplyDuration": {"value": 30, "unit": "days", "code": "d"}},
    "substitution": {"allowedBoolean": True},
}  # fmt: skip


def echoed(order: Json) -> Json:
    """The order as it is sent back, with our medicine and dosage."""
    name = f"MedicationRequest/{order['id']}"
    own = received(json.dumps({"resourceType": "Bundle", "entry": [{"resource": order}]}).encode(), {name})
    return patched(own.get(name) or {"id": order["id"]}, OURS)


def assert_valid(order: Json) -> None:
    sent = msgspec.json.Encoder(decimal_format="number").encode(order)
    MedicationRequest.model_validate(json.loads(sent, parse_float=Decimal))


def test_what_is_valid_stays_as_it_came():
    found = echoed(WHOLE)
    replaced = {"medicationReference", "medicationCodeableConcept", "dosageInstruction", "text", "contained"}
    assert {k: v for k, v in found.items() if k not in replaced} == json.loads(
        json.dumps({k: v for k, v in WHOLE.items() if k not in replaced}), parse_float=Decimal
    )
    assert found["contained"] == [WHOLE["contained"][1]]
    assert_valid(found)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"category": {"text": "community"}}, {"category": [{"text": "community"}]}),
        ({"priority": "ROUTINE"}, {"priority": ...}),
        ({"status": "Draft"}, {"status": "draft"}),
        ({"authoredOn": "28/11/2026"}, {"authoredOn": ...}),
        ({"authoredOn": "2026-02-30"}, {"authoredOn": ...}),
        ({"authoredOn": ""}, {"authoredOn": ...}),
        ({"note": "soon"}, {"note": ...}),
        ({"unknown": {"a": 1}}, {"unknown": ...}),
        ({"extension": [{"valueDecimal": 1}]}, {"extension": ...}),
        ({"dispenseRequest": {"numberOfRepeatsAllowed": "3"}}, {"dispenseRequest": {"numberOfRepeatsAllowed": 3}}),
        ({"dispenseRequest": {"quantity": {"value": "28"}}}, {"dispenseRequest": {"quantity": {"value": 28}}}),
        ({"requester": {"reference": "#nobody", "display": "Dr X"}}, {"requester": {"display": "Dr X"}}),
        ({"requester": [{"display": "Dr X"}]}, {"requester": {"display": "Dr X"}}),
        ({"reportedReference": {"display": "x"}}, {"reportedReference": ...}),
        ({"doNotPerform": "false"}, {"doNotPerform": False}),
    ],
)  # fmt: skip
def test_what_is_not_valid_is_put_right_or_left_out(changed, expected):
    found = echoed(WHOLE | changed)
    assert {name: found.get(name, ...) for name in expected} == expected
    assert_valid(found)


@pytest.mark.parametrize("exponent", ["1e1000000000000000000000", "1e400", "-1e-400", "9" * 400])
def test_a_number_beyond_all_sense_is_left_out(exponent):
    sent = json.dumps(WHOLE).replace("1.1", exponent)
    found = valid_order(sent.encode())
    assert found is not None
    assert found["extension"] == [WHOLE["extension"][1]]


DAMAGE = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(
    ["", [], {}, [{}], [None], {"text": 5}, [["x"]], {"reference": 7}, "2026-13-01", 1e300, [{"url": "u", "valueX": 1}]]
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([path] if path else []), *(place for key, part in parts for place in places(part, (*path, key)))]


PLACES = [place for place in places(WHOLE) if place not in (("resourceType",), ("id",))]


@given(st.lists(st.tuples(st.sampled_from(PLACES), DAMAGE), min_size=1, max_size=4))
def test_whatever_is_damaged_what_is_sent_back_is_valid(damages):
    order = copy.deepcopy(WHOLE)
    for (*way, last), value in damages:
        inner: Any = order
        try:
            for step in way:
                inner = inner[step]
            inner[last] = value
        except (KeyError, IndexError, TypeError):
            continue
    found = echoed(order)
    assert found["id"] == "draft-1"
    assert_valid(found)


def test_the_shapes_are_those_of_the_library():
    assert FILE.read_text() == written(), "python -m tests.fhir.echo_shapes"
