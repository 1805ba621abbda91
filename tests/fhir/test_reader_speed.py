"""No request slows the others: what is built to be slow is read in a time that grows with its length, no faster."""

from __future__ import annotations

import gc
import time
from typing import Any

import pytest

from tests.fhir.records import B12, concept, condition, observation, order, quantity, read, resource

SPACES = " " * 900
ALIKE = "Specimen/s" * 90
MANY = 4000
UNIT = {"value": 1, "unit": "/" * 5000}


@pytest.mark.parametrize(
    "given",
    [
        [observation(value=None, name=f"o{n}", valueString=f"1{SPACES}a{SPACES}\n{n}") for n in range(MANY // 8)],
        [observation(concept(text=f"b12 {n} " + "no " * 300), name=f"o{n}") for n in range(MANY // 8)],
        [observation(value=quantity(n, f"unit {n} " + "x" * 500), name=f"o{n}") for n in range(MANY)],
        [observation(value=n, name=f"o{n}", status="corrected", identifier={"value": "1"}) for n in range(MANY)],
        [observation(contained=[{"resourceType": "Specimen", "id": f"s{n}"} for n in range(MANY)],
                     specimen=[{"reference": "#none"}] * MANY)],
        [observation(contained=[{"resourceType": "Patient", "id": f"s{n}"} for n in range(MANY)],
                     subject=[{"reference": f"#s{MANY - 1}"}] * MANY)],
        [observation("58410-2", None, component=[{"code": concept(B12), "valueQuantity": UNIT}] * MANY)],
        [order("folic acid", name=f"m{n}", dosageInstruction={"text": f"once{SPACES}{n}"}) for n in range(MANY // 8)],
        [order("folic acid", dosageInstruction=[{"text": "every " + "1 " * 400}] * (MANY // 8))],
        [order("folic acid " + "1" * 900, name=f"m{n}") for n in range(MANY // 8)],
        [condition(concept(text=f"{n} " + "family history of " * 60), name=f"c{n}") for n in range(MANY // 8)],
        [resource("AllergyIntolerance", "a1", reaction=[{"substance": {"text": f"no {n}"}} for n in range(MANY)])],
        [resource("ServiceRequest", f"s{n}", status="active", code=concept("2132-9")) for n in range(MANY)],
    ],
    ids=lambda given: given[0]["resourceType"],
)  # fmt: skip
def test_what_is_built_to_be_slow_is_not(given: list[dict[str, Any]]) -> None:
    read(observation())  # the content is loaded
    begun = time.process_time()
    read(*given)
    assert time.process_time() - begun < 5


def test_what_was_read_is_freed_with_the_record_and_waits_for_no_garbage_collection() -> None:
    many = [observation(name=f"o{n}") for n in range(MANY // 8)]
    read(*many)  # what is remembered for all calls is there
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        assert len(read(*many).labs) == len(many)
        assert len(gc.get_objects()) - before < len(many)
    finally:
        gc.enable()
