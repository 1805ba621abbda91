"""Twice of any repeated element, and twice of any two together, costs at most two and a half times as much.

A product of two lengths would cost four times as much. CPU time is taken, the least of several tries: it is the same on
a busy machine.
"""

from __future__ import annotations

import gc
import json
import time
import tracemalloc
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pytest

from cds_service.cdshooks.requests import read_request
from cds_service.evaluate import CallTime, evaluate
from tests import book
from tests.hooks.calling import CONTEXT, HOOK_INSTANCE
from tests.hooks.living import PATIENT, TODAY, bundle, observation

Json = dict[str, Any]
MANY = 400  # of the element that is doubled; the others are few
TRIES = 5
MOST = 2.5
FLOOR = 0.004  # seconds of CPU, below which nothing is compared: it is the call itself
ELEMENTS = (
    "results", "versions", "components", "codings", "contained", "extensions", "categories", "ranges", "problems",
    "requests", "medication codings", "ingredients", "medication identifiers", "dosages", "doses", "links",
    "test orders", "drafts", "selections", "draft extensions",
)  # fmt: skip


def call(counts: Mapping[str, int]) -> bytes:
    """A call about one patient, with so many of each element."""

    def some(name: str, make: Any) -> list[Any]:
        return [make(place) for place in range(counts.get(name, 1))]

    result = observation("2132-9", 120, "ng/L") | {
        "code": {"coding": [{"system": "http://loinc.org", "code": "2132-9"},
                            *some("codings", lambda n: {"system": "urn:x", "code": f"c{n}"})]},
        "component": some("components", lambda n: {"code": {"coding": [{"system": "urn:x", "code": f"p{n}"}]},
                                                   "valueQuantity": {"value": n, "unit": "mg"}}),
        "contained": some("contained", lambda n: {"resourceType": "Specimen", "id": f"s{n}"}),
        "extension": some("extensions", lambda n: {"url": f"urn:{n}", "valueString": "x"}),
        "category": some("categories", lambda n: {"coding": [{"code": f"k{n}"}]}),
        "referenceRange": some("ranges", lambda n: {"low": {"value": 180 + n, "unit": "ng/L"}}),
    }  # fmt: skip
    results = [result, *some("results", lambda n: observation("2132-9", 300 + n, "ng/L", id=f"r{n}"))]
    results += some("versions", lambda n: observation("2132-9", 400 + n, "ng/L", id="same", status="amended"))
    medication = {
        "resourceType": "Medication", "id": "m",
        "code": {"coding": some("medication codings", lambda n: {"system": "urn:m", "code": f"m{n}"})},
        "identifier": some("medication identifiers", lambda n: {"value": f"i{n}"}),
        "ingredient": some("ingredients", lambda n: {"itemCodeableConcept": {"text": f"substance {n}"}}),
    }  # fmt: skip
    doses = some("doses", lambda n: {"doseQuantity": {"value": n + 1, "unit": "mg"}})
    dosage = some("dosages", lambda n: {"sequence": n, "text": "once daily", "doseAndRate": doses if n == 0 else []})
    requests = some("requests", lambda n: {
        "resourceType": "MedicationRequest", "id": f"q{n}", "status": "active", "intent": "order",
        "subject": {"reference": "Patient/pt-1"}, "authoredOn": "2025-12-01",
        "medicationReference": {"reference": "Medication/m"},
        **({"dosageInstruction": dosage} if n == 0 else {}),
    })  # fmt: skip
    problems = some("problems", lambda n: {
        "resourceType": "Condition", "id": f"p{n}", "clinicalStatus": {"coding": [{"code": "active"}]},
        "code": {"text": f"problem {n}"}, "subject": {"reference": "Patient/pt-1"},
    })  # fmt: skip
    orders = some("test orders", lambda n: {
        "resourceType": "ServiceRequest", "id": f"o{n}", "status": "active", "intent": "order",
        "code": {"coding": [{"system": "http://loinc.org", "code": "58410-2"}]},
        "subject": {"reference": "Patient/pt-1"},
    })  # fmt: skip
    links = some("links", lambda n: {"relation": f"x{n}", "url": f"urn:{n}"})
    prefetch = {
        "patient": PATIENT, "b12": bundle(*results, link=links), "conditions": bundle(*problems),
        "medicationRequests": bundle(*requests, medication), "orders": bundle(*orders),
    }  # fmt: skip
    drafts = some("drafts", lambda n: {
        "resourceType": "MedicationRequest", "id": f"d{n}", "status": "draft", "intent": "order",
        "subject": {"reference": "Patient/pt-1"}, "medicationCodeableConcept": {"text": "Amoxicillin 500 mg"},
    })  # fmt: skip
    drafts.append({
        "resourceType": "MedicationRequest", "id": "ours", "status": "draft", "intent": "order",
        "subject": {"reference": "Patient/pt-1"},
        "medicationCodeableConcept": {"text": "Cyanocobalamin 50 microgram tablets"},
        "extension": some("draft extensions", lambda n: {"url": f"urn:{n}", "valueString": "x"}),
    })  # fmt: skip
    selections = ["MedicationRequest/ours", *some("selections", lambda n: f"MedicationRequest/d{n % 7}")]
    context = {**CONTEXT, "draftOrders": bundle(*drafts), "selections": selections}
    sent = {"hook": "order-select", "hookInstance": HOOK_INSTANCE, "context": context, "prefetch": prefetch}
    return json.dumps(sent).encode()


def answered(sent: bytes) -> None:
    evaluate(read_request(sent, "order-select"), book.service("uk-ng239"), CallTime(TODAY, seconds=book.NEVER))


def seconds(sent: bytes) -> float:
    """The CPU time of one call, at best."""
    found = []
    gc.disable()  # its turns come when they come
    try:
        for _ in range(TRIES):
            began = time.process_time()
            answered(sent)
            found.append(time.process_time() - began)
    finally:
        gc.enable()
    return min(found)


def grown(*names: str, many: int = MANY) -> tuple[float, float]:
    """The cost with so many of these elements, and with twice as many."""
    return tuple(seconds(call({**dict.fromkeys(ELEMENTS, 2), **dict.fromkeys(names, n)})) for n in (many, 2 * many))


def costs_twice(*names: str, many: int = MANY) -> bool:
    """Does the cost grow as the length does? What is quadratic never does; a busy machine may look so once."""
    for _ in range(4):
        once, twice = grown(*names, many=many)
        if twice < FLOOR or twice <= MOST * max(once, FLOOR / MOST):
            return True
    return False


def test_what_is_quadratic_is_found(monkeypatch):
    def slow(sent: bytes) -> None:
        sum(place * other for place in range(len(sent) // 400) for other in range(len(sent) // 400))

    monkeypatch.setattr("tests.hooks.test_scaling.answered", slow)
    assert not costs_twice("results")


@pytest.mark.parametrize("name", ELEMENTS)
def test_twice_of_an_element_costs_twice(name):
    assert costs_twice(name)


@pytest.mark.parametrize(("one", "other"), [*combinations(ELEMENTS, 2)])
def test_twice_of_two_elements_costs_twice(one, other):
    assert costs_twice(one, other, many=200)


@pytest.mark.parametrize("name", ELEMENTS)
def test_twice_of_an_element_takes_twice_the_memory(name):
    peaks = []
    for many in (MANY, 2 * MANY):
        sent = call({**dict.fromkeys(ELEMENTS, 2), name: many})
        tracemalloc.start()
        answered(sent)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] <= MOST * max(peaks[0], 50_000)
