"""Which cards an answer has, and what each says in which order: one regimen, nothing twice, and no more than one reads.

A row speaks in paragraphs, and each is a part of its card (6.3.5): what to do now, whom to ask, what comes next, what
not to do, what limits the advice, and the context. Advice that belongs together is one card. Where an answer is longer
than its budget, context goes first; what stands on no card stands in the evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from .advice import Advice, Paragraph
from .tables import PARTS

KEPT = ("act", "urgent", "do-not", "caveat")  # never left out, however long the answer
USUAL, MOST, MOST_ON_A_CARD = 110, 170, 80  # words of an answer, and of the text of one card
CLOSING = 4  # the words on every card that say that nobody has approved the content yet


def composed(advice: Iterable[Advice]) -> list[Advice]:
    """The cards of an answer, in the order in which the advice comes: the most severe first."""
    return fitted([in_order(each) for each in nothing_twice(joined(one_schedule(list(advice))))])


def one_schedule(advice: list[Advice]) -> list[Advice]:
    """A regimen is printed once: on the card that drafts it, or where none is drafted on the first that names one."""
    drafting = [each for each in advice if any(draft.kind == "medicine" for draft in each.drafts)]
    naming = [each for each in advice if any(paragraph.is_regimen for paragraph in each.paragraphs)]
    chosen = next(iter((*drafting, *naming)), None)
    if chosen is None:
        return advice
    elsewhere = [each for each in advice if is_treatment(each) and each is not chosen]
    kept = [each if each is chosen else without_schedule(each) for each in advice if each not in elsewhere]
    unsaid = tuple(p for each in elsewhere for p in each.paragraphs if not p.is_regimen)
    rows = tuple(each.row for each in elsewhere)
    return [leaving_out(each, unsaid, rows) if each is chosen else each for each in kept]


def without_schedule(advice: Advice) -> Advice:
    return saying(advice, tuple(p for p in advice.paragraphs if not p.is_regimen))


def leaving_out(advice: Advice, paragraphs: tuple[Paragraph, ...], rows: tuple[str, ...]) -> Advice:
    """The card, with what other rows would have said as well."""
    return replace(advice, left_out=(*advice.left_out, *paragraphs), joined=(*advice.joined, *rows))


def joined(advice: list[Advice]) -> list[Advice]:
    """The treatment stands on the card that asks for it; an interpretation that asks for nothing, on another's."""
    treatment = next((each for each in advice if is_treatment(each)), None)
    asking = next((each for each in advice if table(each) == "interpret"), None)
    if treatment and asking:
        both = leaving_out(taking_in(asking, treatment, treatment.paragraphs), as_context(treatment), ())
        advice = [both if each is asking else each for each in advice if each is not treatment]
        asking = both
    first = next((each for each in advice if table(each) in ("safety", "course")), None)
    if asking and first and not asking.drafts and not any(p.part == "act" for p in asking.paragraphs):
        more = tuple(p for p in asking.paragraphs if p.part in KEPT)
        rest = tuple(p for p in asking.paragraphs if p.part not in KEPT)
        both = leaving_out(taking_in(first, asking, (*more, *as_context(asking))), (*rest, *asking.left_out), ())
        advice = [both if each is first else each for each in advice if each is not asking]
    return advice


def as_context(advice: Advice) -> tuple[Paragraph, ...]:
    """The title of a card that is none any more."""
    return (Paragraph("context", f"{advice.summary.rstrip('.')}."),)


def taking_in(card: Advice, other: Advice, paragraphs: tuple[Paragraph, ...]) -> Advice:
    """One card of two: the words of the first, and of the second the given paragraphs and what it drafts."""
    return replace(
        card,
        paragraphs=(*card.paragraphs, *paragraphs),
        drafts=(*card.drafts, *(draft for draft in other.drafts if draft not in card.drafts)),
        ordered=(*card.ordered, *(draft for draft in other.ordered if draft not in card.ordered)),
        joined=(*card.joined, other.row, *other.joined),
    )


def nothing_twice(advice: list[Advice]) -> list[Advice]:
    """A paragraph that an earlier card has is not said again."""
    said: set[str] = set()
    found = []
    for each in advice:
        paragraphs = tuple(dict.fromkeys(p for p in each.paragraphs if p.text not in said))
        said.update(p.text for p in paragraphs)
        found.append(saying(each, paragraphs))
    return found


def in_order(advice: Advice) -> Advice:
    """The paragraphs by part; within a part as they come."""
    return saying(advice, tuple(sorted(advice.paragraphs, key=lambda p: PARTS.index(p.part))))


def saying(advice: Advice, paragraphs: tuple[Paragraph, ...]) -> Advice:
    """The advice with these paragraphs. Most have them already, and a copy costs more than to look."""
    return advice if paragraphs == advice.paragraphs else replace(advice, paragraphs=paragraphs)


def fitted(advice: list[Advice]) -> list[Advice]:
    """Within the budget: of the last cards first, context before what comes next; the rest is never left out. The first
    context of a card, what was found, stays as long as the answer is not too long."""
    # each text is counted once: counting costs more than fitting
    size = {text: words(text) for each in advice for text in (each.summary, *(p.text for p in each.paragraphs))}
    details = [detail_size(each, size) for each in advice]
    total = sum(size[each.summary] + CLOSING for each in advice) + sum(details)
    for part, most, kept in (("context", USUAL, 1), ("context", MOST, 0), ("next", MOST, 0)):
        for place in range(len(advice) - 1, -1, -1):
            for paragraph in [p for p in advice[place].paragraphs if p.part == part][kept:][::-1]:
                too_long = total > most or details[place] > MOST_ON_A_CARD - CLOSING
                rest = tuple(p for p in advice[place].paragraphs if p is not paragraph)
                if too_long and rest:
                    more = (paragraph, *advice[place].left_out)
                    advice[place] = replace(advice[place], paragraphs=rest, left_out=more)
                    details[place] -= size[paragraph.text]
                    total -= size[paragraph.text]
    return advice


def detail_size(advice: Advice, size: Mapping[str, int]) -> int:
    """The words of the text of a card: those of its paragraphs."""
    return sum(size[each.text] for each in advice.paragraphs)


def words(text: str) -> int:
    """How many words a text has; a dash or a star is none."""
    return len([each for each in text.split() if each[0].isalnum() or any(map(str.isalnum, each))])


def table(advice: Advice) -> str:
    return advice.row.partition("/")[0]


def is_treatment(advice: Advice) -> bool:
    return table(advice) == "treat"
