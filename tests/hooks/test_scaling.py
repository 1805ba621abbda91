"""Twice of any repeated element, and twice of any two together, costs at most twice as much.

A product of two lengths would cost four times as much. What is counted are the lines of Python that run, and their
calls: the same on every machine, however busy. (What a function in C does with a list is not seen.) The elements are
those of a hook request by their meaning, and every list that the types of `fhir/resources.py` have, found by itself.
"""

from __future__ import annotations

import json
import sys
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import cache
from itertools import combinations
from random import Random
from types import FrameType
from typing import Any, get_args

import msgspec
import pytest

from cds_service.cdshooks.requests import read_request
from cds_service.clinical import record
from cds_service.evaluate import CallTime, evaluate
from cds_service.fhir.resources import Entry, Fhir, Resource
from tests import book, depth
from tests.hooks.calling import CONTEXT, HOOK_INSTANCE
from tests.hooks.living import PATIENT, TODAY, bundle, observation

Json = dict[str, Any]
FEW, MANY = 30, depth.chosen(60, 120)  # more of the elements that are doubled; there are two of the others
MOST = 1.25  # what as many again may cost, where the first cost 1: a product of the two costs 3
SLACK = 500  # lines that it may cost besides: what is found in a cache, or is not
MEMORY = 2.5
ELEMENTS = (
    "results", "versions", "components", "codings", "contained", "extensions", "categories", "ranges", "problems",
    "requests", "medication codings", "ingredients", "medication identifiers", "dosages", "doses", "links",
    "test orders", "drafts", "selections", "unknown selections", "draft extensions",
)  # fmt: skip


Some = Callable[[str, Callable[[int], Any]], list[Any]]  # the name of an element, and what makes one by its place


def call(counts: Mapping[str, int]) -> bytes:
    """A call about one patient, with so many of each element."""

    def some(name: str, make: Callable[[int], Any]) -> list[Any]:
        return [make(place) for place in range(counts.get(name, 1))]

    links = some("links", lambda n: {"relation": f"x{n}", "url": f"urn:{n}"})
    prefetch = {
        "patient": PATIENT, "b12": bundle(*results(some), link=links), "conditions": bundle(*problems(some)),
        "medicationRequests": bundle(*requests(some)), "orders": bundle(*ordered_tests(some)),
    }  # fmt: skip
    selections = ["MedicationRequest/ours", *some("selections", lambda n: f"MedicationRequest/d{n % 7}")]
    selections += some("unknown selections", lambda n: f"MedicationRequest/gone-{n}")
    context = {**CONTEXT, "draftOrders": bundle(*drafts(some)), "selections": selections}
    sent = {"hook": "order-select", "hookInstance": HOOK_INSTANCE, "context": context, "prefetch": prefetch}
    return json.dumps(sent).encode()


def results(some: Some) -> list[Json]:
    one = observation("2132-9", 120, "ng/L") | {
        "code": {"coding": [{"system": "http://loinc.org", "code": "2132-9"},
                            *some("codings", lambda n: {"system": "urn:x", "code": f"c{n}"})]},
        "component": some("components", lambda n: {"code": {"coding": [{"system": "urn:x", "code": f"p{n}"}]},
                                                   "valueQuantity": {"value": n, "unit": "mg"}}),
        "contained": some("contained", lambda n: {"resourceType": "Specimen", "id": f"s{n}"}),
        "extension": some("extensions", lambda n: {"url": f"urn:{n}", "valueString": "x"}),
        "category": some("categories", lambda n: {"coding": [{"code": f"k{n}"}]}),
        "referenceRange": some("ranges", lambda n: {"low": {"value": 180 + n, "unit": "ng/L"}}),
    }  # fmt: skip
    others = some("results", lambda n: observation("2132-9", 300 + n, "ng/L", id=f"r{n}"))
    return [
        one,
        *others,
        *some("versions", lambda n: observation("2132-9", 400 + n, "ng/L", id="same", status="amended")),
    ]


def problems(some: Some) -> list[Json]:
    return some("problems", lambda n: {
        "resourceType": "Condition", "id": f"p{n}", "clinicalStatus": {"coding": [{"code": "active"}]},
        "code": {"text": f"problem {n}"}, "subject": {"reference": "Patient/pt-1"},
    })  # fmt: skip


def requests(some: Some) -> list[Json]:
    """Orders of medicines, the first with all the dosages, and the Medication that they name."""
    medication = {
        "resourceType": "Medication", "id": "m",
        "code": {"coding": some("medication codings", lambda n: {"system": "urn:m", "code": f"m{n}"})},
        "identifier": some("medication identifiers", lambda n: {"value": f"i{n}"}),
        "ingredient": some("ingredients", lambda n: {"itemCodeableConcept": {"text": f"substance {n}"}}),
    }  # fmt: skip
    doses = some("doses", lambda n: {"doseQuantity": {"value": n + 1, "unit": "mg"}})
    dosage = some("dosages", lambda n: {"sequence": n, "text": "once daily", "doseAndRate": doses if n == 0 else []})
    return [*some("requests", lambda n: {
        "resourceType": "MedicationRequest", "id": f"q{n}", "status": "active", "intent": "order",
        "subject": {"reference": "Patient/pt-1"}, "authoredOn": "2025-12-01",
        "medicationReference": {"reference": "Medication/m"},
        **({"dosageInstruction": dosage} if n == 0 else {}),
    }), medication]  # fmt: skip


def ordered_tests(some: Some) -> list[Json]:
    return some("test orders", lambda n: {
        "resourceType": "ServiceRequest", "id": f"o{n}", "status": "active", "intent": "order",
        "code": {"coding": [{"system": "http://loinc.org", "code": "58410-2"}]},
        "subject": {"reference": "Patient/pt-1"},
    })  # fmt: skip


def drafts(some: Some) -> list[Json]:
    found = some("drafts", lambda n: {
        "resourceType": "MedicationRequest", "id": f"d{n}", "status": "draft", "intent": "order",
        "subject": {"reference": "Patient/pt-1"}, "medicationCodeableConcept": {"text": "Amoxicillin 500 mg"},
    })  # fmt: skip
    return [*found, {
        "resourceType": "MedicationRequest", "id": "ours", "status": "draft", "intent": "order",
        "subject": {"reference": "Patient/pt-1"},
        "medicationCodeableConcept": {"text": "Cyanocobalamin 50 microgram tablets"},
        "extension": some("draft extensions", lambda n: {"url": f"urn:{n}", "valueString": "x"}),
    }]  # fmt: skip


def answered(sent: bytes) -> None:
    hook = "order-select" if b"draftOrders" in sent else "patient-view"
    evaluate(read_request(sent, hook), book.service("uk-ng239"), CallTime(TODAY, seconds=book.NEVER))


def lines(sent: bytes) -> int:
    """How many lines of Python run for a call."""
    count = 0

    def step(_frame: FrameType, _event: str, _arg: object) -> Any:
        nonlocal count
        count += 1
        return step

    before = sys.gettrace()
    sys.settrace(step)
    try:
        answered(sent)
    finally:
        sys.settrace(before)
    return count


def is_linear(few: int, once: int, twice: int) -> bool:
    """Does as many again cost what the first cost? In lines: of a call with few, with many, and with twice as many."""
    return twice - once <= MOST * (once - few) + SLACK


@cache
def lines_of_two_each(_by: Callable[[bytes], None]) -> int:
    """What nearly every test here compares with: counted once for each function that answers."""
    return lines(call(dict.fromkeys(ELEMENTS, 2)))


def costs_twice(*names: str, many: int = MANY) -> bool:
    more = (call({**dict.fromkeys(ELEMENTS, 2), **dict.fromkeys(names, n)}) for n in (many, 2 * many))
    return is_linear(lines_of_two_each(answered), *map(lines, more))


@pytest.fixture(autouse=True, scope="module")
def made_before() -> None:
    """What is made once in a process is made."""
    for sent in (call(dict.fromkeys(ELEMENTS, 3)), call_with({}), call_with(dict.fromkeys(LISTS, 1))):
        answered(sent)


@pytest.mark.parametrize("names", [("results",), ("results", "problems")])
def test_what_is_quadratic_is_found(monkeypatch, names):
    def slow(sent: bytes) -> None:
        found = json.loads(sent)["prefetch"]
        for one in found["b12"]["entry"]:
            for other in found[{"results": "b12", "problems": "conditions"}[names[-1]]]["entry"]:
                assert one and other

    monkeypatch.setattr("tests.hooks.test_scaling.answered", slow)
    assert not costs_twice(*names, many=FEW)
    assert costs_twice("links")


@pytest.mark.parametrize("name", ELEMENTS)
def test_twice_of_an_element_costs_twice(name):
    assert costs_twice(name)


def pairs(names: Iterable[str]) -> set[tuple[str, str]]:
    return set(combinations(sorted(names), 2))


def covering(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Threes of the names, such that every two stand together in one: less than half as many as pairs."""
    left, found = sorted(pairs(names)), []
    while left:
        of_first = [{*left[0], each} for each in names if each not in left[0]]
        best = max(of_first, key=lambda three: len(pairs(three).intersection(left)))
        found.append(tuple(sorted(best)))
        left = [each for each in left if each not in pairs(best)]
    return found


def test_every_two_elements_are_among_those_tried_together():
    assert set().union(*map(pairs, covering(ELEMENTS))) == pairs(ELEMENTS)


@pytest.mark.parametrize("names", covering(ELEMENTS), ids="-".join)
def test_twice_of_elements_together_costs_twice(names):
    assert costs_twice(*names, many=FEW)


def test_no_result_is_sought_among_all_others(monkeypatch):
    """Results are named tuples, which a list compares in C: no line of Python tells of that."""
    compared = 0

    def is_equal(one: tuple[Any, ...], other: object) -> Any:
        nonlocal compared
        compared += 1
        return tuple.__eq__(one, other)

    for kind in (record.LabResult, record.Measured):
        monkeypatch.setattr(kind, "__eq__", is_equal)
        monkeypatch.setattr(kind, "__hash__", tuple.__hash__)
    results = [observation("2132-9", 300, "ng/L", id=f"r{n}") for n in range(2 * MANY)]
    answered(patient_view(bundle(*results)))
    assert compared <= 10 * len(results)


def patient_view(found: Json, **more: Json) -> bytes:
    prefetch = {"patient": PATIENT, "b12": found, **more}
    sent = {"hook": "patient-view", "hookInstance": HOOK_INSTANCE, "context": CONTEXT, "prefetch": prefetch}
    return json.dumps(sent).encode()


def day(place: int) -> str:
    return (TODAY.date() - timedelta(days=place)).isoformat()


def signs_and_results(count: int) -> bytes:
    """Symptoms that none of the results answers: all of them are normal, and from before."""
    found = [observation("2132-9", 600, "ng/L", id=f"r{n}", effectiveDateTime=day(400 + n)) for n in range(count)]
    signs = [
        {"resourceType": "Condition", "id": f"s{n}", "subject": {"reference": "Patient/pt-1"},
         "clinicalStatus": {"coding": [{"code": "active"}]}, "code": {"text": "Paraesthesia"},
         "recordedDate": day(n % 9)}
        for n in range(count)
    ]  # fmt: skip
    return patient_view(bundle(*found), conditions=bundle(*signs))


def dispensings(count: int) -> bytes:
    """Ampoules that were dispensed, each on a day of its own."""
    medicine = {"medicationCodeableConcept": {"text": "Hydroxocobalamin 1 mg/ml injection"}}
    found = [
        {"resourceType": "MedicationDispense", "id": f"d{n}", "status": "completed",
         "whenHandedOver": day(90 * n % 9001), "subject": {"reference": "Patient/pt-1"}, **medicine}
        for n in range(count)
    ]  # fmt: skip
    return patient_view(bundle(), dispenses=bundle(*found))


@pytest.mark.parametrize("made", [signs_and_results, dispensings])
def test_what_is_looked_for_in_the_course_of_years_is_not_looked_through_each_time(made):
    assert is_linear(*(lines(made(count)) for count in (2, 5 * MANY, 10 * MANY)))


def test_selections_that_each_name_many_drafts_cost_no_product():
    """An id that many drafts have names them all, however it is written."""

    def sent(count: int) -> bytes:
        draft = {"resourceType": "MedicationRequest", "id": "same", "status": "draft", "intent": "order"}
        orders = [draft | {"medicationCodeableConcept": {"text": f"Amoxicillin {n} mg"}} for n in range(count)]
        chosen = {"draftOrders": bundle(*orders), "selections": [f"x{n}/same" for n in range(count)]}
        return json.dumps(
            {"hook": "order-select", "hookInstance": HOOK_INSTANCE, "context": {**CONTEXT, **chosen}}
        ).encode()

    assert is_linear(*(lines(sent(count)) for count in (2, 5 * MANY, 10 * MANY)))


# Every list that the types have, wherever it stands in a resource.
Path = tuple[str, ...]  # the names of the fields that lead to a list, from the resource
INSIDE = 3  # fields between a resource and the list
KEYS = {"Observation": "b12", "Condition": "conditions", "MedicationStatement": "medications",
        "MedicationRequest": "medicationRequests", "MedicationAdministration": "administrations",
        "MedicationDispense": "dispenses", "ServiceRequest": "orders", "Procedure": "procedures",
        "AllergyIntolerance": "allergies", "FamilyMemberHistory": "family"}  # fmt: skip


@cache
def structs_in(annotation: Any) -> list[type[Fhir]]:
    """The FHIR types that a field may hold."""
    options = [annotation, *get_args(annotation), *(inner for each in get_args(annotation) for inner in get_args(each))]
    return [each for each in options if isinstance(each, type) and issubclass(each, Fhir)]


@cache
def fields_of(kind: type[Fhir]) -> dict[str, Any]:
    """Name on the wire -> annotation. msgspec works it out anew each time, which takes longer than a call."""
    return {each.encode_name: each.type for each in msgspec.structs.fields(kind)}


def paths(kind: type[Fhir], before: Path = ()) -> Iterator[Path]:
    """Every list in a resource. Those of `contained` and `entry` are resources again."""
    for name, annotation in fields_of(kind).items():
        path = (*before, name)
        if "list[" in str(annotation) or annotation is msgspec.Raw:
            yield path
        for inner in structs_in(annotation) if len(path) <= INSIDE else ():
            if inner not in (Resource, Entry):
                yield from paths(inner, path)


def filled(annotation: Any, number: int, rest: Path, many: int) -> Any:
    """A value of a field; where the path goes on, with so many of the element at its end."""
    inner = structs_in(annotation)
    if inner and inner[0] is not Resource:
        fields = fields_of(inner[0])
        if rest:
            return {rest[0]: element(fields[rest[0]], rest[1:], many)}
        plain = {name: filled(kind, number, (), 0) for name, kind in fields.items() if not structs_in(kind)}
        return plain | ({"system": f"urn:system:{number % 7}"} if "system" in plain else {})  # there are never many
    if inner:
        return {"resourceType": "Observation", "id": f"c{number}", "status": "final", "code": {"text": f"c {number}"}}
    options = (annotation, *get_args(annotation))
    return number if Decimal in options else f"text {number}" if str in options else True


def element(annotation: Any, rest: Path, many: int) -> Any:
    """What stands in a field on the way to a list, or the list itself."""
    if rest:
        return filled(annotation, 1, rest, many)
    if annotation is msgspec.Raw:
        return [{"coding": [{"code": f"k{number}"}], "reference": f"X/{number}"} for number in range(many)]
    return [filled(annotation, number, (), 0) for number in range(many)]


def call_with(wanted: Mapping[Path, int]) -> bytes:
    """A call with a resource of every kind that is read, each with so many of the elements at these paths."""
    types = fields_of(Resource)
    prefetch: Json = {"patient": PATIENT}
    for kind, key in KEYS.items():
        resource: Json = {
            "resourceType": kind, "id": f"r-{kind}", "status": "active" if kind.endswith("Request") else "final",
            "intent": "order", "code": {"coding": [{"system": "http://loinc.org", "code": "2132-9"}]},
            "subject": {"reference": "Patient/pt-1"}, "effectiveDateTime": "2026-01-10",
            "medicationCodeableConcept": {"text": "Hydroxocobalamin 1 mg/1 ml injection"},
        }  # fmt: skip
        for path, many in wanted.items():
            if path[0] in ("medication", "medicationReference"):
                resource.pop("medicationCodeableConcept", None)
            made = element(types[path[0]], path[1:], many)
            known = resource.get(path[0])
            resource[path[0]] = known | made if isinstance(known, dict) and isinstance(made, dict) else made
        prefetch[key] = bundle(resource)
    sent = {"hook": "patient-view", "hookInstance": HOOK_INSTANCE, "prefetch": prefetch,
            "context": {"userId": "Practitioner/p", "patientId": "pt-1"}}  # fmt: skip
    return json.dumps(sent).encode()


LISTS = sorted(set(paths(Resource)))
PAIRS = [*combinations(LISTS, 2)]
SOME = depth.chosen(Random(12).sample(PAIRS, 60), PAIRS)


def named(*path: str) -> str:
    return ".".join(path)


def test_the_lists_are_found():
    found = {named(*each) for each in LISTS}
    assert len(found) >= 60
    assert {"component", "component.referenceRange", "code.coding", "dosageInstruction.doseAndRate", "contained",
            "ingredient", "dosage.timing.repeat.when", "entry", "link", "category"} <= found  # fmt: skip


@pytest.mark.parametrize("path", LISTS, ids=lambda path: named(*path))
def test_twice_of_any_list_costs_twice(path):
    assert is_linear(*(lines(call_with({path: many})) for many in (2, MANY, 2 * MANY)))


@pytest.mark.parametrize(("one", "other"), SOME, ids=lambda path: named(*path))
def test_twice_of_any_two_lists_costs_twice(one, other):
    assert is_linear(*(lines(call_with({one: many, other: many})) for many in (2, FEW, 2 * FEW)))


@pytest.mark.parametrize("name", ELEMENTS)
def test_twice_of_an_element_takes_twice_the_memory(name):
    peaks = []
    for many in (MANY, 2 * MANY):
        sent = call({**dict.fromkeys(ELEMENTS, 2), name: many})
        tracemalloc.start()
        answered(sent)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] <= MEMORY * max(peaks[0], 50_000)
