"""docs/how-it-decides.md says where each line of a card stands: for cards as they are answered, it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cds_service.clinical.tables import Pathway
from tests.book import book, content, play

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "how-it-decides.md").read_text(encoding="utf-8")
CARDS = ROOT / "cards"
LEAST = 8  # characters of its own: a text that is all placeholder could be anything
SOME = [each for each in book("uk-ng239") if each.expect.get("indicator") != "none" and not each.overlay][::40]


def pattern(text: str) -> re.Pattern[str]:
    """What a text of the content may become when its placeholders are filled."""
    filled = re.sub(r"\\\{\w+\\\}", "(?s:.*)", re.escape(text.strip()))
    return re.compile(filled, re.IGNORECASE)  # a title begins as a sentence


def texts(pathway: Pathway) -> list[str]:
    """Every paragraph that the files named in the table can give to a card."""
    rows = (*pathway.course, *pathway.interpret, *pathway.treat, *pathway.safety, *pathway.orders, *pathway.notes)
    cards = (*rows, *pathway.fixed.values())
    paragraphs = [part for card in cards for part in (card.detail or "").split("\n\n")]
    regimens = [regimen.words for regimen in pathway.regimens.values()]
    titles = [
        title for card in cards if card.summary for title in (card.summary, f"{card.summary}.")
    ]  # "." on another's
    phrases = [text for phrase in pathway.messages.values() for text in (phrase, "{value}: " + phrase)]
    # The title of tablets that are too little is two phrases: what is taken, and what is wrong with it.
    verdicts = ["{oral_now} " + phrase for name, phrase in pathway.messages.items() if name.startswith("oral.")]
    return [*paragraphs, *titles, *regimens, *phrases, *verdicts]


@pytest.mark.parametrize("vignette", SOME, ids=lambda vignette: vignette.name)
def test_every_paragraph_of_a_card_stands_in_a_file_of_the_table(vignette):
    pathway = content().pathways[vignette.pathway]
    known = [pattern(text) for text in texts(pathway) if len(re.sub(r"\{\w+\}", "", text).strip()) > LEAST]
    for card in play(vignette).cards:
        other = pathway.messages["or"]
        listed = re.sub(rf"^- ({other} )?", "\n\n", card.get("detail", ""), flags=re.MULTILINE)  # each for itself
        for line in (card["summary"], *filter(str.strip, listed.split("\n\n"))):
            assert any(each.fullmatch(line.strip()) for each in known), line
        assert card["source"]["label"] in {source.title for source in pathway.sources.values()}


def test_every_file_that_the_table_names_is_there():
    named = set(re.findall(r"`(\w+\.toml)`", PAGE))
    there = {path.name for path in CARDS.rglob("*.toml")}
    assert len(named) >= 8
    assert named <= there
