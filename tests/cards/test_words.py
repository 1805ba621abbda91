"""What a clinician reads: how long an answer is, in which order a card speaks, and no contradiction in it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from statistics import median

import pytest

from cds_service.clinical.composing import MOST, MOST_ON_A_CARD, USUAL, words
from cds_service.clinical.tables import PARTS
from cds_service.evaluate import Evaluation
from cds_service.examples.vignettes import Vignette
from tests.book import PATHWAYS, book, content, play


@cache
def answers() -> list[tuple[Vignette, Evaluation]]:
    """Every vignette that has a card, played."""
    played = [(vignette, play(vignette)) for pathway in PATHWAYS for vignette in book(pathway)]
    return [(vignette, answer) for vignette, answer in played if answer.cards]


def named(vignette: Vignette) -> str:
    return f"{vignette.pathway}/{vignette.name}"


def read_words(detail: str) -> int:
    """The words that a clinician reads; the labels of further suggestions count as little as those of buttons."""
    return sum(words(paragraph) for paragraph in detail.split("\n\n") if not paragraph.startswith("**Further suggest"))


def length(answer: Evaluation) -> int:
    return sum(words(card["summary"]) + read_words(card["detail"]) for card in answer.cards)


def test_an_answer_is_read_in_thirty_seconds():
    lengths = {named(vignette): length(answer) for vignette, answer in answers()}
    assert median(lengths.values()) <= USUAL
    assert {name: each for name, each in lengths.items() if each > MOST} == {}


def test_the_text_of_one_card_keeps_to_its_budget():
    long = {
        named(vignette): read_words(card["detail"])
        for vignette, answer in answers()
        for card in answer.cards
        if read_words(card["detail"]) > MOST_ON_A_CARD
    }
    assert long == {}


def test_a_card_says_first_what_to_do_and_last_what_was_found():
    for vignette, answer in answers():
        for advice in answer.decision.advice:
            ranks = [PARTS.index(each.part) for each in advice.paragraphs]
            assert ranks == sorted(ranks), (named(vignette), advice.row)


def test_a_regimen_is_printed_once():
    for vignette, answer in answers():
        told = "\n".join(card["detail"] for card in answer.cards)
        for regimen in content().pathways[vignette.pathway].regimens.values():
            assert told.count(f"- {regimen.words.strip()}") <= 1, (named(vignette), regimen.id)


def test_nothing_is_said_twice():
    for vignette, answer in answers():
        said = [text for advice in answer.decision.advice for text in (each.text for each in advice.paragraphs)]
        assert len(said) == len(set(said)), named(vignette)


def test_no_card_asks_for_a_test_that_is_on_record_or_ordered():
    for vignette, answer in answers():
        # An injection that was asked for another day is not the one that is due (uk-ng239/due-soon-*).
        ordered = {each.orderable for each in answer.record.orders} - {"b12-injection"}
        drafted = {draft.id for advice in answer.decision.advice for draft in advice.drafts if draft.kind == "test"}
        assert not ordered & drafted, named(vignette)


@pytest.mark.parametrize("pathway", PATHWAYS)
def test_nobody_has_approved_the_content_in_at_most_six_words(pathway: str):
    assert words(content().pathways[pathway].messages["not-approved"]) <= 6


def exclusions() -> Iterator[tuple[str, str, str]]:
    for each in content().exclusions:
        yield each.id, each.one.casefold(), each.other.casefold()


def test_no_answer_holds_two_sentences_that_exclude_each_other():
    found = []
    for vignette, answer in answers():
        told = "\n".join(f"{card['summary']}\n{card['detail']}" for card in answer.cards).casefold()
        found += [(named(vignette), name) for name, one, other in exclusions() if one in told and other in told]
    assert found == []


def test_every_sentence_of_an_exclusion_stands_in_the_content():
    """One that nothing says any more would guard nothing."""
    rows = [row for pathway in content().pathways.values()
            for table in ("course", "interpret", "treat", "safety", "orders", "notes")
            for row in getattr(pathway, table)]  # fmt: skip
    told = "\n".join(f"{row.summary}\n{row.detail}" for row in rows).casefold()
    idle = [(name, text) for name, *texts in exclusions() for text in texts if text not in told]
    assert idle == []
