"""The content as a clinician reviews it: sheets of entries, each with its facts, its wording and where it comes from.

One neutral structure is made from a pathway; `print` writes it on paper, and the content pages show it in a browser.
Every name in a row stands with its plain words: those of findings and thresholds are declared with them,
those of labels from the pathway's messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from cds_service.clinical.tables import Choice, FixedCard, Pathway, Phase, Provenance, Regimen, Row
from cds_service.clinical.wording import LONGEST

from .check import TABLES
from .content import Content

TITLES = {
    "course": "Course of treatment: the first row that holds",
    "interpret": "Interpretation: the first row that holds",
    "treat": "Treatment: the first row that holds",
    "safety": "Safety: every row that holds",
    "orders": "Orders: every row that holds",
    "notes": "Notes: every one that holds",
    "thresholds": "Thresholds",
    "regimens": "Regimens",
    "orderables": "Tests that can be ordered",
    "analytes": "Analytes",
    "fixed": "Fixed cards",
    "placeholders": "Placeholders",
    "sources": "Sources",
}
ABOUT = {
    "course": "How far B12 treatment has come: one state for every patient, from the days of doses, orders, coded "
    "problems and B12 by mouth. A row without a card is a state in which nothing is to be done.",
    "interpret": "How likely deficiency is, and which tests come next. Read from the top: a row says only what the "
    "rows above it have not already excluded, and every patient gets exactly one label.",
    "treat": "Which regimen fits, where a row of the interpretation says treat now or consider treatment.",
    "safety": "What must not be missed: these cards come first, whatever else is said.",
    "orders": "What is said of an order while a clinician writes or signs it.",
    "notes": "Sentences that are added to the cards of the rows they name. They decide nothing.",
    "thresholds": "Every number that decides. The step is the smallest difference that can be reported in that unit.",
    "regimens": "Treatment schedules, phase by phase. The words of the cards, the draft prescription and the check of "
    "a clinician's own order all come from these lines.",
    "orderables": "What the service can draft as a test order. A recent result of everything that a test measures "
    "makes it superfluous.",
    "analytes": "Units, with the exact factor to the first unit of their kind, and the range outside which a number "
    "is not taken at face value. A result is compared in the unit in which it was reported.",
    "fixed": "Cards that no row makes: something could not be read or judged, or was dismissed before.",
    "placeholders": "Words in braces are filled in for each patient: numbers as the laboratory reported them, dates, "
    "and our own words. Free text of a record never reaches a card. Shown is the longest value that was allowed for.",
    "sources": "What the content rests on.",
}
KEYS = {"thresholds": "Threshold", "regimens": "Regimen", "orderables": "Test", "analytes": "Analyte", "fixed": "Card",
        "placeholders": "Placeholder", "sources": "Source"}  # fmt: skip
TITLED = {"thresholds": "In words", "analytes": "Name"}
LIFELONG = "lifelong"
ROUTES = {"im": "into a muscle", "sc": "deep under the skin", "oral": "by mouth"}
PERIODS = {"d": "day", "wk": "week", "mo": "month", "a": "year"}


@dataclass(frozen=True, slots=True)
class Said:
    """One thing in words, the `name` that stands for it in the files, and the findings under which it counts."""

    text: str
    name: str = ""
    when: tuple[Said, ...] = ()
    joined: str = "and"  # what joins `when`
    unless: tuple[Said, ...] = ()  # any of them
    any: tuple[Said, ...] = ()  # at least one of them


@dataclass(frozen=True, slots=True)
class Fact:
    """One column of an entry: what it is called, and one or several things joined by "and", "or" or nothing."""

    title: str
    said: tuple[Said, ...]
    joined: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row, a threshold, a phase ...: `id` names it for whoever cites it, `texts` are (title, wording) pairs."""

    id: str
    title: str
    facts: tuple[Fact, ...]
    provenance: Provenance | None = None
    texts: tuple[tuple[str, str], ...] = ()

    def fact(self, title: str) -> Fact | None:
        """The fact of that title, if the entry has it."""
        return next((each for each in self.facts if each.title == title), None)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: its entries, what their first column is called, and the titles of the facts that any of them has."""

    id: str
    entries: tuple[Entry, ...]
    columns: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        given = {fact.title: None for entry in self.entries for fact in entry.facts}
        known = ROW_FACTS if self.is_decision else tuple(given)
        object.__setattr__(self, "columns", tuple(title for title in known if title in given))

    @property
    def is_decision(self) -> bool:
        return self.id in TABLES

    @property
    def title(self) -> str:
        return TITLES[self.id]

    @property
    def about(self) -> str:
        return ABOUT[self.id]

    @property
    def key(self) -> str:
        return KEYS.get(self.id, "Row")

    @property
    def titled(self) -> str:
        """What the column of the entries' titles is called; "" where they have none."""
        return TITLED.get(self.id, "Title") if any(entry.title for entry in self.entries) else ""


ROW_FACTS = ("When", "Any of", "Unless", "Added to", "Label", "Card", "Tests", "Treatment", "Regimens", "Review")


def as_facts(*facts: tuple[str, str]) -> tuple[Fact, ...]:
    """Facts of one text each, without those that are empty."""
    return tuple(Fact(title, (Said(text),)) for title, text in facts if text)


def texts_of(summary: str, detail: str) -> tuple[tuple[str, str], ...]:
    """The wording of a card or row, where it has any."""
    return tuple((title, text) for title, text in (("Summary", summary), ("Detail", detail)) if text)


def plain_sheets(content: Content, pathway: Pathway) -> Iterator[Sheet]:
    """Every table that is no decision table."""
    yield Sheet("thresholds", tuple(threshold_entries(content, pathway)))
    yield Sheet("regimens", tuple(regimen_entry(each) for each in pathway.regimens.values()))
    yield Sheet("orderables", tuple(orderable_entries(pathway)))
    yield Sheet("analytes", tuple(analyte_entries(pathway)))
    yield Sheet("fixed", tuple(fixed_entry(each) for each in pathway.fixed.values()))
    yield Sheet("placeholders", tuple(placeholder_entries()))
    yield Sheet("sources", tuple(source_entries(pathway)))


def threshold_entries(content: Content, pathway: Pathway) -> Iterator[Entry]:
    for each in pathway.thresholds.values():
        facts = as_facts(("Value", str(each.value)), ("Unit", each.unit), ("Step", str(each.step)), ("Note", each.note))
        yield Entry(each.id, content.plain_words.get(f"thresholds.{each.id}", ""), facts, each.provenance)


def regimen_entry(regimen: Regimen) -> Entry:
    """A regimen: its medicine, and its phases in sequence."""
    codes = (Said(written_coding(coding)) for coding in regimen.codings)
    phases = tuple(Said(phase_in_words(phase)) for phase in regimen.phases)
    deep = as_facts(("Where a muscle may bleed", regimen.under_skin))
    facts = (Fact("Medicine", (Said(regimen.text), *codes)), Fact("Phases", phases), *deep)
    texts = (("In the words of a card", regimen.words),)
    return Entry(regimen.id, regimen.title, facts, regimen.provenance, texts)


def written_coding(coding: tuple[str, str, str]) -> str:
    system, code, display = coding
    return f"{code} ({display}) of {system}"


def phase_in_words(phase: Phase) -> str:
    """ "loading: 1 mg into a muscle, 3 × per week, until 6 doses"."""
    high = f" to {phase.dose_high}" if phase.dose_high is not None else ""
    longest = f" to {phase.period_high}" if phase.period_high is not None else ""
    unit = PERIODS[phase.period_unit]
    period = unit if phase.period == 1 and not longest else f"{phase.period}{longest} {unit}s"
    bounds = [f"{phase.count} doses"] if phase.count is not None else []
    bounds += [periods(*phase.duration)] if phase.duration else []
    ends = f", for {' in '.join(bounds)}" if bounds else ""
    if phase.ends:
        ends += ", lifelong" if phase.ends == LIFELONG else f", until: {phase.ends}"
    route = ROUTES.get(phase.route, phase.route)
    return f"{phase.id}: {phase.dose}{high} {phase.dose_unit} {route}, {phase.frequency} × per {period}{ends}"


def periods(number: object, unit: str) -> str:
    return f"{number} {PERIODS[unit]}{'' if str(number) == '1' else 's'}"


def orderable_entries(pathway: Pathway) -> Iterator[Entry]:
    for each in pathway.orderables.values():
        codings = (*((each.coding,) if each.coding else ()), *each.more_codings)
        code = "; ".join(written_coding(coding) for coding in codings) or "text alone"
        measures = ", ".join(pathway.displays.get(name, name) for name in each.measures)
        facts = as_facts(("Code", code), ("Measures", measures), ("A result serves for", f"{each.current_days} days"))
        yield Entry(each.id, each.title, facts, each.provenance)


def analyte_entries(pathway: Pathway) -> Iterator[Entry]:
    """Units with their factors, and what is plausible."""
    for each in pathway.analytes.values():
        units = dict.fromkeys(f"{unit.spelling} × {unit.factor} ({unit.family})" for unit in each.units.values())
        ranges = []
        for entry in each.plausible:
            low = f"from {entry.low} " if entry.low is not None else ""
            high = f"up to {entry.high} " if entry.high is not None else ""
            ranges.append(f"{low}{high}{each.bases.get(entry.family, '')}".strip())
        facts = (Fact("Units", tuple(map(Said, units))), Fact("Plausible", tuple(map(Said, ranges))))
        yield Entry(each.id, each.display, tuple(fact for fact in facts if fact.said), each.provenance)


def fixed_entry(card: FixedCard) -> Entry:
    return Entry(card.id, "", as_facts(("Card", card.indicator)), card.provenance, texts_of(card.summary, card.detail))


def placeholder_entries() -> Iterator[Entry]:
    for name, longest in LONGEST.items():
        yield Entry(name, "", as_facts(("Longest value", longest or "the words of the table")))


def source_entries(pathway: Pathway) -> Iterator[Entry]:
    for each in pathway.sources.values():
        yield Entry(each.id, each.title, as_facts(("Published", each.published), ("Address", each.url)))


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
            Fact("Any of", self.findings(row.any), "or"),
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
        when, one_of, unless = (self.findings(each) for each in (choice.when, choice.any, choice.unless))
        return Said(text, choice.id, when=when, any=one_of, unless=unless)

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
        if row.table not in ("course", "interpret") or (row.table == "course" and not row.treat_when):
            return
        for treat, names in row.treat_when:
            yield Said(TREAT[treat], treat, when=self.findings(names), joined="or")
        yield Said(TREAT[row.treat], row.treat)


def after(duration: str) -> str:
    """ "P3M" as "after 3 months"."""
    number, unit = duration[1:-1], REVIEW_UNITS[duration[-1]]
    return f"after {number} {unit}{'' if number == '1' else 's'}"
