"""The content as a clinician reviews it: sheets of entries, each with its facts, its wording and where it comes from.

One neutral structure is made from a pathway; `print` writes it on paper, and the content pages show it in a browser.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from cds_service.clinical.tables import FixedCard, Pathway, Phase, Provenance, Regimen
from cds_service.clinical.wording import LONGEST

from .content import Content
from .vocabulary import TABLES

TITLES = {
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
ROUTES = {"im": "into a muscle", "oral": "by mouth"}
PERIODS = {"d": "day", "wk": "week", "mo": "month", "a": "year"}


@dataclass(frozen=True, slots=True)
class Said:
    """One thing in words, the `name` that stands for it in the files, and the findings under which it counts."""

    text: str
    name: str = ""
    when: tuple[Said, ...] = ()
    joined: str = "and"  # what joins `when`
    unless: tuple[Said, ...] = ()  # any of them


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


ROW_FACTS = ("When", "Unless", "Added to", "Label", "Card", "Tests", "Treatment", "Regimens", "Review")


def plain(*facts: tuple[str, str]) -> tuple[Fact, ...]:
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
        facts = plain(("Value", str(each.value)), ("Unit", each.unit), ("Step", str(each.step)), ("Note", each.note))
        yield Entry(each.id, content.plain_words.get(f"thresholds.{each.id}", ""), facts, each.provenance)


def regimen_entry(regimen: Regimen) -> Entry:
    """A regimen: its medicine, and its phases in sequence."""
    codes = (Said(written_coding(coding)) for coding in regimen.codings)
    phases = tuple(Said(phase_in_words(phase)) for phase in regimen.phases)
    facts = (Fact("Medicine", (Said(regimen.text), *codes)), Fact("Phases", phases))
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
        facts = plain(("Code", code), ("Measures", measures), ("A result serves for", f"{each.current_days} days"))
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
    return Entry(card.id, "", plain(("Card", card.indicator)), card.provenance, texts_of(card.summary, card.detail))


def placeholder_entries() -> Iterator[Entry]:
    for name, longest in LONGEST.items():
        yield Entry(name, "", plain(("Longest value", longest or "the words of the table")))


def source_entries(pathway: Pathway) -> Iterator[Entry]:
    for each in pathway.sources.values():
        yield Entry(each.id, each.title, plain(("Published", each.published), ("Address", each.url)))
