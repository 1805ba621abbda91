"""The rows of the decision tables, as a clinician reviews them: every name beside its plain words.

The words of findings and thresholds come from cards/plain-words.toml, those of labels from the pathway's messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cds_service.clinical.tables import Choice, Pathway, Row

from .content import Content
from .review import Entry, Fact, Said, Sheet, plain_sheets, texts_of
from .vocabulary import TABLES

STAND_INS = {"repeat": "the same test once more", "first-test": "the first test that suits this patient"}
TREAT = {
    "now": "treat now",
    "consider": "consider treatment",
    "after": "decide on treatment when the test is back",
    "none": "none",
}
REVIEW_UNITS = {"Y": "year", "M": "month", "W": "week", "D": "day"}


def sheets(content: Content, pathway: Pathway) -> tuple[Sheet, ...]:
    """Every table of the pathway that is not empty, in the order in which one reviews them."""
    names = Names(content, pathway)
    decisions = (Sheet(table, tuple(names.entry(row) for row in getattr(pathway, table))) for table in TABLES)
    return tuple(sheet for sheet in (*decisions, *plain_sheets(content, pathway)) if sheet.entries)


@dataclass(frozen=True, slots=True)
class Names:
    """Plain words for the names that rows use, and rows in these words."""

    content: Content
    pathway: Pathway

    def entry(self, row: Row) -> Entry:
        """A row of a decision table."""
        review = (Said(after(row.review), row.review),) if row.review else ()
        facts = (
            Fact("When", self.findings(row.when), "and"),
            Fact("Unless", self.findings(row.unless), "or"),
            Fact("Added to", tuple(Said(each) for each in row.on)),
            Fact("Label", self.label(row.label)),
            Fact("Card", tuple(self.cards(row))),
            Fact("Tests", tuple(self.test(each) for each in row.tests)),
            Fact("Treatment", tuple(self.treatment(row))),
            Fact("Regimens", tuple(self.regimen(each) for each in row.regimens)),
            Fact("Review", review),
        )
        texts = texts_of(row.summary, row.detail)
        return Entry(row.id, "", tuple(fact for fact in facts if fact.said), row.provenance, texts)

    def findings(self, names: Iterable[str]) -> tuple[Said, ...]:
        return tuple(Said(self.content.plain_words.get(f"findings.{name}", name), name) for name in names)

    def label(self, label: str) -> tuple[Said, ...]:
        return (Said(self.pathway.messages.get(f"labels.{label}", label), label),) if label else ()

    def test(self, choice: Choice) -> Said:
        known = self.pathway.orderables.get(choice.id)
        return self.chosen(choice, known.title if known else STAND_INS.get(choice.id, choice.id))

    def regimen(self, choice: Choice) -> Said:
        return self.chosen(choice, self.pathway.regimens[choice.id].title)

    def chosen(self, choice: Choice, text: str) -> Said:
        """A test or regimen with its own conditions."""
        return Said(text, choice.id, when=self.findings(choice.when), unless=self.findings(choice.unless))

    def cards(self, row: Row) -> Iterator[Said]:
        """The indicator as the table gives it; notes and most treatment rows leave it to the card they are on."""
        if row.table in ("notes", "treat") and not row.raised and row.indicator == "none":
            return
        yield Said(row.indicator if row.indicator != "none" else "no card")
        for indicator, names in row.raised:
            yield Said(indicator, when=self.findings(names), joined="or")
        if row.no_card:
            yield Said("no card", when=self.findings(row.no_card), joined="or")

    def treatment(self, row: Row) -> Iterator[Said]:
        """What follows for treatment: the first whose findings hold, else the last."""
        if row.table != "interpret":
            return
        for treat, names in row.treat_when:
            yield Said(TREAT[treat], treat, when=self.findings(names), joined="or")
        yield Said(TREAT[row.treat], row.treat)


def after(duration: str) -> str:
    """ "P3M" as "after 3 months"."""
    number, unit = duration[1:-1], REVIEW_UNITS[duration[-1]]
    return f"after {number} {unit}{'' if number == '1' else 's'}"
