"""A card as the pages lay it out: what to do stands above the suggestions, the treatment first, and nothing twice."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cds_service.ui.answer_view import card_text
from tests.pages.test_why import VIGNETTES, answered

LINE = re.compile(r"(?:- )?(.*)")


def cards(part: int) -> list[dict[str, Any]]:
    """The cards of every twentieth vignette."""
    return [card for vignette in VIGNETTES[part::20] for card in answered(vignette)[0].cards]


def lines(text: str) -> list[str]:
    return [LINE.fullmatch(each.strip())[1] for each in text.splitlines() if each.strip()]


@pytest.mark.parametrize("part", range(3))
def test_every_line_of_a_card_is_shown_once(part: int):
    with_suggestions = 0
    for card in cards(part):
        found = card_text(card)
        below = [line for each in found.suggestions for line in each.lines]
        shown = [*lines(found.act), *below, *lines(found.rest)]
        text = lines(card.get("detail", ""))
        assert [each for each in text if each not in shown] == [], card["detail"]
        assert len([each for each in shown if each in text]) == len(text), card["detail"]
        assert {each.uuid for each in found.suggestions} == {each["uuid"] for each in card.get("suggestions", ())}
        with_suggestions += bool(found.suggestions)
    assert with_suggestions


def test_what_to_do_comes_before_tests_and_the_treatment_before_the_other_suggestions():
    (vignette,) = (each for each in VIGNETTES if each.name == "01-deficient-vegan")
    (card,) = answered(vignette)[0].cards
    found = card_text(card)
    assert found.act == "**Start treatment now,** without waiting for these tests."
    assert found.suggestions[0].recommended
    assert found.suggestions[1].lines[0].startswith("Or: "), "of two treatments one: the text says so, and that stays"
    assert not found.suggestions[2].first


def test_a_card_without_suggestions_is_its_text():
    assert card_text({"summary": "x", "detail": "**Do** this.\n\nThat."}).rest == "**Do** this.\n\nThat."
