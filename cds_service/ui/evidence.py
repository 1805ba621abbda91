"""Why an answer is what it is, as lists for a reader: rows and conditions, findings and evidence, sources, cards.

Nothing is decided again here: the tables are walked once more over the findings that the decision rests on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cds_service.cdshooks.client_config import ClientConfig
from cds_service.clinical.advice import Writer, belongs, matches, row_name
from cds_service.clinical.decide import Decision
from cds_service.clinical.findings import Assessment
from cds_service.clinical.tables import FixedCard, Pathway, Provenance, Regimen, Row, Source
from cds_service.content.content import Content
from cds_service.evaluate import Evaluation
from cds_service.explanation import not_used

from .frame import written
from .limits_behind import Limit, compared_with, is_too_large, limits_behind


@dataclass(frozen=True, slots=True)
class Part:
    """One part of what a card says: a row, a note or a regimen. `when`: the findings that brought a note."""

    table: str
    id: str
    title: str  # what it says, or what it is called
    when: tuple[str, ...]
    provenance: Provenance
    source: Source

    @property
    def name(self) -> str:
        return f"{self.table}/{self.id}"


def part(table: str, it: Row | Regimen, title: str, pathway: Pathway, when: tuple[str, ...] = ()) -> Part:
    """A part of the content that has an id and a provenance."""
    assert it.provenance is not None, f"{table}/{it.id} is loaded with a source"
    return Part(table, it.id, title, when, it.provenance, pathway.sources[it.provenance.source])


def parts_of(found: Evaluation, config: ClientConfig, card: str) -> list[Part]:
    """The rows that a card shows. What was dismissed before is named on a card of its own, which is none of these."""
    pathway = config.pathway
    origins = {each.row: each.provenance for each in found.decision.advice}
    rows = [(each.row, origin) for each in found.shown if each.card == card and (origin := origins.get(each.row))]
    parts = [(*row.partition("/"), origin) for row, origin in rows]
    return [Part(table, id, "", (), origin, pathway.sources[origin.source]) for table, _, id, origin in parts]


def added(row: Row, found: Evaluation, pathway: Pathway) -> tuple[Part, ...]:
    """The notes on the card of a row and the regimens it offers. Of a row that shares the card of another one: the
    regimens that stand there; nothing for a row without a card."""
    decision = found.decision
    if row_name(row) not in {each.row for each in decision.advice}:
        drafted = {draft.id for each in decision.advice for draft in each.drafts}
        return tuple(each for each in regimens(row, decision, found, pathway) if each.id in drafted)
    return (*notes(row, decision, found, pathway), *regimens(row, decision, found, pathway))


def notes(row: Row, decision: Decision, found: Evaluation, pathway: Pathway) -> Iterator[Part]:
    """The sentences that were added to the card of a row."""
    for note in pathway.notes:
        if belongs(note, row) and matches(note, decision.findings) and note.detail.strip():
            text = note.detail.strip().format_map(found.assessment.values.also(regimens=""))
            yield part("notes", note, text, pathway, note.when)


def regimens(row: Row, decision: Decision, found: Evaluation, pathway: Pathway) -> Iterator[Part]:
    """The treatment schedules on the card of a row."""
    writer = Writer(found.assessment.case, pathway, decision.findings, found.assessment.values)
    for each in writer.suitable(row) if row.regimens else ():
        yield part("regimens", each, each.title, pathway)


FIRST_MATCH = {"course": "Course", "interpret": "Interpretation", "treat": "Treatment"}
EVERY_MATCH = {"safety": "Safety", "orders": "Orders"}
Behind = Callable[[Assessment, Pathway, Collection[str]], Mapping[str, tuple[Limit, ...]]]
MOST_REASONS, MOST_EVIDENCE = 3, 2  # conditions in the sentence of a card, pieces of evidence for each
NEAREST = 4  # rows above the one that held, before the rest is folded away


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a row: a finding, in words, and whether it was found."""

    name: str
    words: str
    found: bool


@dataclass(frozen=True, slots=True)
class JudgedRow:
    """One row as it was judged. `failing`: the conditions because of which it does not hold."""

    name: str  # "interpret/deficient", as the answer and the store name it
    table: str
    id: str
    held: bool
    when: tuple[Condition, ...]
    any: tuple[Condition, ...]
    unless: tuple[Condition, ...]
    label: str
    words: str  # the label in words
    provenance: Provenance | None
    source: Source | None
    added: tuple[Part, ...] = ()  # notes and regimens on its card

    @property
    def because(self) -> list[Condition]:
        """The conditions by which a row that held did so."""
        return [*self.when, *(each for each in self.any if each.found)]

    @property
    def conditions(self) -> int:
        """How many things had to be so."""
        return len(self.when) + bool(self.any) + len(self.unless)

    @property
    def failing(self) -> list[tuple[str, Condition]]:
        """What was wanted and not found ("lacks"), or found and not wanted ("has")."""
        lacking = [("lacks", each) for each in self.when if not each.found]
        none_of = [] if any(each.found for each in self.any) else [("lacks", each) for each in self.any]
        return [*lacking, *none_of, *(("has", each) for each in self.unless if each.found)]


@dataclass(frozen=True, slots=True)
class Walk:
    """One table, walked: the rows that held, and those that did not, the nearest to the one that held first."""

    table: str
    title: str
    held: tuple[JudgedRow, ...]
    above: tuple[JudgedRow, ...]
    first_match: bool

    @property
    def nearest(self) -> tuple[JudgedRow, ...]:
        return self.above[:NEAREST] if self.first_match else ()

    @property
    def further(self) -> tuple[JudgedRow, ...]:
        return self.above[NEAREST:] if self.first_match else self.above


@dataclass(frozen=True, slots=True)
class Station:
    """A row on the map of a table. `state`: held | near (of several conditions one failed) | apart | after (not
    reached)."""

    row: JudgedRow
    words: str
    state: str

    @property
    def failed(self) -> str:
        """The one condition that failed, in words; "" for the others."""
        if self.state != "near":
            return ""
        how, condition = self.row.failing[0]
        return f"not found: {condition.words}" if how == "lacks" else f"but found: {condition.words}"


@dataclass(frozen=True, slots=True)
class Line:
    """The rows of one table in their order, as the decision went through them."""

    title: str
    first_match: bool
    stations: tuple[Station, ...]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a card came, in one sentence, with the limits by which it did."""

    card: str  # its uuid
    summary: str
    indicator: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Fact:
    """A finding in words, with the references, values and limits that made it true; `used`: a row that held asks for
    it."""

    name: str
    words: str
    because: tuple[Any, ...]
    used: bool
    limits: tuple[Limit, ...] = ()  # the numbers it hangs on


@dataclass(frozen=True, slots=True)
class Why:
    """All of it."""

    label: str
    words: str
    rows: tuple[str, ...]
    walks: tuple[Walk, ...]
    lines: tuple[Line, ...]
    reasons: tuple[Reason, ...]
    facts: tuple[Fact, ...]
    ignored: list[dict[str, str]]
    unavailable: tuple[str, ...]
    incomplete: tuple[str, ...]
    suppressed: tuple[Any, ...]
    sources: tuple[tuple[Source, tuple[Provenance, ...]], ...]
    without_limits: bool  # the record is too large to work them out
    in_words: Callable[[Collection[str]], str]  # names of findings


def why(found: Evaluation, config: ClientConfig, behind: Behind = limits_behind) -> Why:
    """The reasons of an answer; `behind` works out the limits behind each finding. An order that is none of our
    business has none."""
    phrases = Phrases(config.content, config.pathway)
    walks = tuple(phrases.walks(found)) if found.decision.label and found.status == 200 else ()
    held = [row for walk in walks for row in walk.held]
    wanted = {each.name for row in held for each in row.because}
    limits = behind(found.assessment, config.pathway, wanted) if walks else {}
    facts = sorted(phrases.facts(found.decision, wanted, limits), key=lambda each: not each.used)
    return Why(
        label=found.decision.label,
        words=phrases.label(found.decision.label),
        rows=found.decision.rows,
        walks=walks,
        lines=tuple(phrases.lines(found)) if walks else (),
        reasons=tuple(phrases.reasons(found, held, facts)),
        facts=tuple(facts),
        ignored=not_used(found),
        unavailable=phrases.keys(found.record.unavailable),
        incomplete=phrases.keys(found.record.incomplete),
        suppressed=found.suppressed,
        sources=tuple(phrases.sources(held, facts, found.decision)),
        without_limits=bool(walks) and is_too_large(found.assessment),
        in_words=lambda names: "; ".join(map(phrases.finding, names)),
    )


class Phrases:
    """Puts rows and findings into words."""

    def __init__(self, content: Content, pathway: Pathway) -> None:
        self.content, self.pathway = content, pathway

    def walks(self, found: Evaluation) -> Iterator[Walk]:
        """Every table that was asked, in the order in which the answer is read: safety first."""
        decision, assessment = found.decision, found.assessment
        said, about_orders = set(decision.rows), bool(assessment.case.record.selected)
        tables = ("orders", "course", "interpret") if about_orders else ("safety", "course", "interpret", "treat")
        for table in tables:
            rows: tuple[Row, ...] = getattr(self.pathway, table)
            if table in EVERY_MATCH:
                judged = [self.judged(row, decision.findings, found if row_name(row) in said else None) for row in rows]
                held = tuple(each for each in judged if each.held)
                yield Walk(table, EVERY_MATCH[table], held, tuple(each for each in judged if not each.held), False)
            elif rows and (
                (table in ("course", "interpret") and not found.missing)  # without required data no row of them decided
                or any(name.startswith(f"{table}/") for name in said)
            ):
                findings = assessment.findings if table in ("course", "interpret") else decision.findings
                yield self.first_match(table, rows, findings, found)

    def first_match(self, table: str, rows: tuple[Row, ...], findings: Collection[str], found: Evaluation) -> Walk:
        """The rows of a table down to the first that holds, the nearest to it first."""
        at = next(number for number, row in enumerate(rows) if matches(row, findings))
        above = [self.judged(row, findings) for row in reversed(rows[:at])]
        return Walk(table, FIRST_MATCH[table], (self.judged(rows[at], findings, found),), tuple(above), True)

    def judged(self, row: Row, findings: Collection[str], found: Evaluation | None = None) -> JudgedRow:
        """A row; one that held comes with the answer, in which it may have a card."""
        origin = row.provenance
        return JudgedRow(
            row_name(row),
            row.table,
            row.id,
            found is not None,
            tuple(self.condition(name, findings) for name in row.when),
            tuple(self.condition(name, findings) for name in row.any),
            tuple(self.condition(name, findings) for name in row.unless),
            row.label,
            self.label(row.label),
            origin,
            self.pathway.sources.get(origin.source) if origin else None,
            added(row, found, self.pathway) if found else (),
        )

    def lines(self, found: Evaluation) -> Iterator[Line]:
        """The map: every row of every table that was asked."""
        for walk in self.walks(found):
            rows: tuple[Row, ...] = getattr(self.pathway, walk.table)
            judged = {each.name: each for each in (*walk.held, *walk.above)}
            stations = tuple(self.station(row, judged.get(row_name(row)), found) for row in rows)
            yield Line(walk.title, walk.first_match, stations)

    def station(self, row: Row, judged: JudgedRow | None, found: Evaluation) -> Station:
        words = row.id.replace("-", " ")
        if judged is None:
            return Station(self.judged(row, found.decision.findings), words, "after")
        near = not judged.held and len(judged.failing) == 1 and judged.conditions > 1
        return Station(judged, words, "held" if judged.held else "near" if near else "apart")

    def reasons(self, found: Evaluation, held: list[JudgedRow], facts: list[Fact]) -> Iterator[Reason]:
        """One sentence for each card: what was found, with its evidence and its limit."""
        rows, known = {each.name: each for each in held}, {each.name: each for each in facts}
        course = injections(found.assessment)
        for card in found.cards:
            shown = [rows[each.row] for each in found.shown if each.card == card["uuid"] and each.row in rows]
            parts = list(dict.fromkeys(self.reason(each, known) for row in shown for each in row.because))[
                :MOST_REASONS
            ]
            if course and any(row.table == "course" for row in shown):
                parts.append(course)
            sentence = "; ".join(parts)
            if sentence:
                yield Reason(card["uuid"], card["summary"], card["indicator"], f"{sentence[0].upper()}{sentence[1:]}.")

    def reason(self, condition: Condition, known: Mapping[str, Fact]) -> str:
        """A condition that holds, in words, with the newest evidence and the number it was compared with."""
        fact = known.get(condition.name)
        shown = [one for one in fact.because if one.text][:MOST_EVIDENCE] if fact else []
        limits = compared_with(shown, fact.limits) if fact else []
        detail = ", ".join((*(one.text for one in shown), *limits)).removesuffix(".")
        if not detail or detail == condition.words:
            return condition.words
        return f"{condition.words} ({detail})" if ":" in condition.words else f"{condition.words}: {detail}"

    def condition(self, name: str, findings: Collection[str]) -> Condition:
        return Condition(name, self.finding(name), name in findings)

    def finding(self, name: str) -> str:
        """What a finding means; its name where the content has no words for it."""
        return self.content.plain_words.get(f"findings.{name}", name.replace("_", " "))

    def label(self, label: str) -> str:
        return self.pathway.messages.get(f"labels.{label}", label)

    def facts(
        self, decision: Decision, wanted: Collection[str], limits: Mapping[str, tuple[Limit, ...]]
    ) -> Iterator[Fact]:
        for each in decision.findings.values():
            because = tuple(one for one in each.because if one.reference or one.text)
            yield Fact(each.name, self.finding(each.name), because, each.name in wanted, limits.get(each.name, ()))

    def keys(self, names: Collection[str]) -> tuple[str, ...]:
        """Prefetch keys in words."""
        return tuple(self.pathway.messages.get(f"prefetch.{name}", name) for name in sorted(names))

    def sources(
        self, held: list[JudgedRow], facts: list[Fact], decision: Decision
    ) -> Iterator[tuple[Source, tuple[Provenance, ...]]]:
        """Every source of a row that held, of its notes and regimens, and of the limits behind what it asks for, with
        the grades and days under which it was used."""
        fixed = [self.pathway.fixed.get(name.partition("/")[2]) for name in decision.rows if name.startswith("fixed/")]
        origins = [row.provenance for row in held] + [each.provenance for each in fixed if isinstance(each, FixedCard)]
        origins += [each.provenance for row in held for each in row.added]
        origins += [each.provenance for fact in facts if fact.used for each in fact.limits]
        by_source: dict[str, dict[Provenance, None]] = {}
        for origin in filter(None, origins):
            by_source.setdefault(origin.source, {})[origin] = None
        for name, found in by_source.items():
            if name in self.pathway.sources:
                yield self.pathway.sources[name], tuple(found)


def injections(assessment: Assessment) -> str:
    """Where the course of B12 injections stands: the last dose, and when the next is due; "" without any."""
    case = assessment.case
    found = getattr(case, "course", None)
    if found is None or found.last is None:
        return ""
    ago, doses = (case.today - found.last).days, len(found.doses)
    last = f"the last of {doses} recorded B12 injections" if doses > 1 else "the one recorded B12 injection"
    words = f"{last} was {days_in_words(ago)} ago ({written(found.last)})"
    if found.due is None:
        return words
    late = (case.today - found.due).days
    when = f"{days_in_words(late)} overdue" if late > 0 else f"in {days_in_words(-late)}" if late < 0 else "today"
    return f"{words}, and the next {'was' if late > 0 else 'is'} due on {written(found.due)} ({when})"


def days_in_words(days: int) -> str:
    return f"{days} day{'' if days == 1 else 's'}"
