"""What a clinician will read: placeholders, lengths, plain Markdown, and one topic per card."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from cds_service.clinical.tables import FixedCard, Pathway, Row

from .check import row_place
from .faults import Faults
from .vocabulary import TABLES, Vocabulary

LONGEST_SUMMARY = 139  # CDS Hooks: fewer than 140 characters; counted as UTF-16 units, the strictest way
PLACEHOLDER = re.compile(r"\{([a-z0-9_]+)\}")
HTML = re.compile(r"<[A-Za-z/!][^>]*>?|&[a-z]+;")
IMAGE = re.compile(r"!\[")


def check_wording(pathway: Pathway, words: Vocabulary, faults: Faults) -> None:
    """The texts of every row and fixed card, and their topics."""
    topics: dict[str, str] = {}
    for place, text in cards(pathway):
        if isinstance(text, Row):
            check_complete(place, text, faults)
        check_text(place, "summary", text.summary, words.longest, faults)
        check_text(place, "detail", text.detail, words.longest, faults)
        check_summary(place, text.summary, words.longest, faults)
        if text.topic and topics.setdefault(text.topic, place) != place:
            faults.add(place, f"the topic {text.topic!r} is already that of {topics[text.topic]}")
    for place, name, fixed in plain_texts(pathway):
        check_text(place, name, fixed, {}, faults)


def cards(pathway: Pathway) -> Iterable[tuple[str, Row | FixedCard]]:
    for table in TABLES:
        for row in getattr(pathway, table):
            yield row_place(pathway.id, row), row
    for card in pathway.fixed.values():
        yield f"{pathway.id}/pathway.toml fixed.{card.id}", card


def plain_texts(pathway: Pathway) -> Iterable[tuple[str, str, str]]:
    """What drafts and their buttons say: no placeholders here."""
    for regimen in pathway.regimens.values():
        place = f'{pathway.id}/regimens.toml regimen "{regimen.id}"'
        for name in ("title", "words", "text"):
            yield place, name, getattr(regimen, name)
        for phase in regimen.phases:
            yield place, f"phase {phase.id!r} words", phase.words
    for orderable in pathway.orderables.values():
        yield f'{pathway.id}/orderables.toml orderable "{orderable.id}"', "title", orderable.title


def check_complete(place: str, row: Row, faults: Faults) -> None:
    """A row that can become a card has everything that a card needs."""
    if row.indicator == "none" and not row.raised:
        return
    missing = [name for name in ("summary", "detail", "topic") if not getattr(row, name)]
    if missing:
        faults.add(place, f"missing {', '.join(missing)}: its indicator can be other than none")


def check_text(place: str, name: str, text: str, longest: Mapping[str, str], faults: Faults) -> None:
    """Placeholders that exist, no stray brace, no HTML and no image (not every client shows them)."""
    for placeholder in dict.fromkeys(PLACEHOLDER.findall(text)):
        if placeholder not in longest:
            faults.unknown(f"{place} {name}", "placeholder", placeholder, longest)
    rest = PLACEHOLDER.sub("", text)
    if "{" in rest or "}" in rest:
        faults.add(f"{place} {name}", "a brace that belongs to no placeholder like {b12}")
    if tag := HTML.search(text):
        faults.add(f"{place} {name}", f"HTML is not allowed: {tag[0]!r}")
    if IMAGE.search(text):
        faults.add(f"{place} {name}", "images are not allowed")


def check_summary(place: str, summary: str, longest: Mapping[str, str], faults: Faults) -> None:
    """One line that fits, even with the longest values."""
    if "\n" in summary:
        faults.add(f"{place} summary", "must be one line")
    full = PLACEHOLDER.sub(lambda match: longest.get(match[1], match[0]), summary)
    units = len(full.encode("utf-16-le")) // 2
    if units > LONGEST_SUMMARY:
        faults.add(f"{place} summary", f"is {units} characters long with its longest values; at most {LONGEST_SUMMARY}")
