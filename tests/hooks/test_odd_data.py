"""Whatever is inside the prefetch, the answer is 200 or 412, keeps its schema, and is never a 5xx (issue 3, part 7)."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from cds_service.cdshooks.schemas import load_schema
from cds_service.examples.vignette_fhir import hook_request
from tests import book
from tests.hooks import living
from tests.hooks.invariants import faults

SCHEMA = Draft202012Validator(load_schema("response"))
REQUESTS = [
    json.loads(json.dumps(hook_request(replace(each, as_of=living.TODAY.date()), book.content()), default=str))
    for each in book.book("uk-ng239")
    if each.hook == "patient-view" and not each.overlay
]
TEXTS = (
    "|2026-01-10|2026-13-45|0000-00-00T99:99:99Z|9999-12-31|Patient/pt-1|Patient/pt-2|#x|ng/L|pmol/L|final|2132-9|"
    "entered-in-error|http://loinc.org|1E5|-5|<|mg|\0|٣| "
)
WORDS = st.sampled_from([*TEXTS.split("|"), "x" * 2000])
NUMBERS = st.sampled_from([0, -1, 1e300, 5e-324, 10**30, 0.1, True, 2**63])
ODD = st.recursive(
    st.none() | WORDS | NUMBERS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=4,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a JSON value at which something else could stand: its container and its key there."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in steps for place in ((value, key), *places(inner))]


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """A vignette's request of which some values were replaced, dropped, or swapped with another."""
    request = deepcopy(draw(st.sampled_from(REQUESTS)))
    for _ in range(draw(st.integers(1, 4))):
        found = places(request["prefetch"])
        if not found:
            break
        container, key = draw(st.sampled_from(found))
        change = draw(st.sampled_from(["replace", "replace", "drop", "swap", "wrap"]))
        if change == "drop":
            del container[key]
        elif change == "swap":
            other, place = draw(st.sampled_from(found))
            container[key] = deepcopy(other[place])
        else:
            container[key] = [container[key]] if change == "wrap" else draw(ODD)
    return request


@given(damaged())
def test_damaged_data_is_survived(request):
    response = living.post(request)
    assert response.status_code in (200, 412), response.text
    if response.status_code == 200:
        assert not list(SCHEMA.iter_errors(response.json))
        assert not faults(response.json, "pt-1")
