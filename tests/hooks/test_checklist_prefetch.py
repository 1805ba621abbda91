"""Items 49 to 61 of the protocol checklist over HTTP: what may come as prefetch, and what is answered to it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hooks.calling import body
from tests.hooks.living import (
    B12_KEYS,
    FAULT,
    b12,
    bundle,
    medicines,
    missing,
    observation,
    post,
    prefetch,
    problem,
    says_deficient,
    summaries,
)

EPIC_NOTHING = {
    "resourceType": "OperationOutcome",
    "issue": [
        {
            "severity": "warning",
            "code": "processing",
            "details": {"coding": [{"code": "4101"}], "text": "Resource request returns no results."},
        }
    ],
}
NO_ANSWER = {
    "absent": ...,
    "an OperationOutcome": FAULT,
    "another resource": {"resourceType": "Basic"},
    "text": "x",
    "a list": [],
}


def with_outcome(*issues: dict[str, str], found: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    """A Bundle with an OperationOutcome among its entries."""
    told = bundle(*found)
    told["entry"].append(
        {"resource": {"resourceType": "OperationOutcome", "issue": list(issues)}, "search": {"mode": "outcome"}}
    )
    return told


def ask(**changed: Any):
    return post(body(prefetch=prefetch(**changed)))


@pytest.mark.parametrize("left_out", [(), *((key,) for key in B12_KEYS), B12_KEYS])
def test_items_49_and_55_optional_keys_may_be_absent(left_out):
    response = ask(**dict.fromkeys(left_out, ...))
    assert says_deficient(response)


@pytest.mark.parametrize("key", B12_KEYS)
@pytest.mark.parametrize(
    "value",
    [None, bundle(), {"resourceType": "Bundle", "type": "searchset", "total": 0}],
    ids=["null", "no entry", "no list"],
)
def test_items_50_and_56_null_and_an_empty_bundle_are_both_nothing_found(key, value):
    assert ask(**{key: value}).json == ask().json


def test_items_50_and_56_a_b12_of_null_or_nothing_is_untested_and_no_reason_for_412():
    for value in (None, bundle(), {"resourceType": "Bundle", "type": "searchset", "total": 0}):
        assert summaries(ask(b12=value)) == []
        (card,) = ask(b12=value, conditions=bundle(problem())).json["cards"]
        assert card["indicator"] == "info"


def test_item_56_a_patient_of_null_is_failed_and_412():
    assert missing(ask(patient=None)) == ["patient"]


@pytest.mark.parametrize("value", NO_ANSWER.values(), ids=NO_ANSWER.keys())
@pytest.mark.parametrize("key", ["patient", "b12"])
def test_items_51_52_and_55_a_required_key_without_an_answer_is_412_if_nothing_can_be_fetched(key, value):
    response = ask(**{key: value})
    assert key in missing(response)
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("value", NO_ANSWER.values(), ids=NO_ANSWER.keys())
@pytest.mark.parametrize("key", B12_KEYS)
def test_items_51_52_and_61_an_optional_key_without_an_answer_is_no_reason_for_412(key, value):
    assert says_deficient(ask(**{key: value}))


@pytest.mark.parametrize("value", NO_ANSWER.values(), ids=NO_ANSWER.keys())
def test_item_61_what_was_not_seen_is_not_taken_for_absent(value):
    """A row that gives no card is only sure if what could speak against it was seen."""
    normal = bundle(b12(600))
    assert summaries(ask(b12=normal)) == []
    assert len(summaries(ask(b12=normal, conditions=value))) == 1


def test_item_52_an_outcome_inside_a_bundle_fails_the_key_unless_results_came_with_it():
    error = {"severity": "error", "code": "exception"}
    assert missing(ask(b12=with_outcome(error))) == ["b12"]


def test_item_53_epics_empty_answer_is_nothing_found():
    assert ask(b12=with_outcome(*EPIC_NOTHING["issue"])).json == ask(b12=bundle()).json
    assert ask(medications=with_outcome(*EPIC_NOTHING["issue"])).json == ask().json


@pytest.mark.parametrize("code", ["not-supported", "incomplete", "timeout"])
def test_item_53_a_server_that_left_something_out_makes_the_key_incomplete(code):
    """What arrived is judged, no medicine is drafted, and the card says so."""
    response = ask(b12=with_outcome({"severity": "warning", "code": code}, found=(b12(),)))
    assert says_deficient(response)
    assert medicines(response) == []
    assert medicines(ask())
    assert missing(ask(b12=with_outcome({"severity": "warning", "code": code}))) == ["b12"]


def test_item_53_a_parameter_that_the_server_dropped_makes_the_key_incomplete():
    kept = [{"relation": "self", "url": "https://ehr.example.org/fhir/Observation?patient=pt-1&code=2132-9"}]
    dropped = [{"relation": "self", "url": "https://ehr.example.org/fhir/Observation?patient=pt-1"}]
    assert medicines(ask(b12=bundle(b12(), link=dropped))) == []
    assert says_deficient(ask(b12=bundle(b12(), link=kept)))


def test_item_55_without_required_data_a_safety_row_still_speaks():
    """Sleeve gastrectomy and nothing else to judge by: haemoglobin 62 g/L with MCV 124 is a matter of safety."""
    blood = bundle(observation("718-7", 62, "g/L"), observation("787-2", 124, "fL"))
    response = ask(b12=..., bloodCount=blood)
    assert "critical" in [card["indicator"] for card in response.json["cards"]]
    assert any("B12" in card["detail"] for card in response.json["cards"])


def test_item_57_a_next_page_that_cannot_be_read_leaves_the_key_incomplete():
    further = [{"relation": "next", "url": "https://ehr.example.org/fhir?page=2"}]
    response = ask(b12=bundle(b12(), link=further))
    assert says_deficient(response)
    assert medicines(response) == []
    assert missing(ask(b12=bundle(link=further))) == ["b12"]


@pytest.mark.parametrize(
    "told",
    [
        bundle(b12(), type="collection"),
        bundle(b12(), type=..., total=...),
        {"resourceType": "Bundle", "entry": [{"resource": b12()}]},
        {
            "resourceType": "Bundle",
            "entry": [{"resource": b12()}, {"resource": {"resourceType": "Basic", "id": "x"}}, {}],
        },
        {
            "resourceType": "Bundle",
            "entry": [{"fullUrl": "https://ehr.example.org/Observation/1", "resource": b12(id=...)}],
        },
    ],
    ids=["collection", "no type", "no search", "mixed", "no id"],
)
def test_item_60_any_kind_of_bundle_is_read(told):
    assert says_deficient(ask(b12=told))


def test_item_44_the_newest_is_chosen_here_whatever_the_order():
    old, new = b12(600, id="old", effectiveDateTime="2025-12-01"), b12(id="new")
    for order in ((old, new), (new, old)):
        assert says_deficient(ask(b12=bundle(*order)))
