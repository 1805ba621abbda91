"""The checks that other tests rely on do find what they look for (protocol checklist, section 5)."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from tests.hooks.calling import a_medicine, a_test, advice, cards
from tests.hooks.invariants import faults

GOOD = {"cards": cards(advice("a/b", "warning", a_test("fbc"), a_medicine("im")), advice("a/c"))}


def card(**changed: Any):
    return lambda answer: answer["cards"][0].update(changed)


def action(**changed: Any):
    return lambda answer: answer["cards"][0]["suggestions"][0]["actions"][0].update(changed)


def both_recommended(answer):
    for each in answer["cards"][0]["suggestions"]:
        each["isRecommended"] = True
    answer["cards"][0]["selectionBehavior"] = "at-most-one"


MISTAKES = {
    "item 3": (card(extension=None), "is null (item 3)"),
    "item 4, text": (card(detail=" "), "is empty (item 4)"),
    "item 4, list": (card(overrideReasons=[]), "is empty (item 4)"),
    "item 4, object": (card(source={}), "is empty (item 4)"),
    "item 80": (card(summary="é" * 140), "summary of 140 or more (item 80)"),
    "item 80 in UTF-16": (card(summary="𝛂" * 70), "summary of 140 or more (item 80)"),
    "item 81, HTML": (card(detail="<b>x</b>"), "detail with HTML or an image (item 81)"),
    "item 81, image": (card(detail="![x](y)"), "detail with HTML or an image (item 81)"),
    "item 88": (lambda answer: answer["cards"][1].update(selectionBehavior="any"), "go together (cds-resp-6, item 88)"),
    "item 102": (action(resource={"subject": {"reference": "Patient/pt-2"}, "id": "x"}), "another patient (item 102)"),
    "item 95": (
        lambda answer: answer["cards"][0]["suggestions"][0]["actions"].append(
            {"type": "delete", "description": "x", "resourceId": "MedicationRequest/1"}
        ),
        "not in the order of a transaction (item 95)",
    ),
    "cds-resp-1": (both_recommended, "cds-resp-1"),
    "cds-resp-2": (action(type="delete"), "cds-resp-2"),
    "cds-resp-3": (card(links=[{"type": "absolute", "appContext": "x"}]), "cds-resp-3"),
    "cds-resp-4": (card(overrideReasons=[{"code": "x"}]), "cds-resp-4"),
    "cds-resp-5": (lambda answer: answer["cards"][0]["suggestions"][0]["actions"][0].pop("description"), "cds-resp-5"),
    "cds-resp-6": (lambda answer: answer["cards"][0].pop("selectionBehavior"), "cds-resp-6"),
    "cds-resp-7": (card(indicator="hard-stop"), "cds-resp-7"),
    "an id twice": (lambda answer: answer["cards"][1].update(uuid=answer["cards"][0]["uuid"]), "a uuid occurs twice"),
    "the order": (lambda answer: answer["cards"].reverse(), "the most severe card does not come first"),
    "too many": (lambda answer: answer["cards"].extend([answer["cards"][1]] * 2), "4 cards"),
}


def test_a_good_answer_has_no_fault():
    assert faults(GOOD, "pt-1") == []
    assert faults({"cards": []}) == []


@pytest.mark.parametrize(("spoil", "named"), MISTAKES.values(), ids=MISTAKES.keys())
def test_each_mistake_is_found_and_named(spoil, named):
    answer = deepcopy(GOOD)
    spoil(answer)
    assert any(named in fault for fault in faults(answer, "pt-1"))
