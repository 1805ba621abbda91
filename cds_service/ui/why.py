"""Why an answer is what it is, as lists for a reader: rows and their conditions, findings and their evidence, sources.

Nothing is decided again here: the tables are walked once more over the findings that the decision rests on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cds_service.clinical.advice import matches, named
from cds_service.clinical.decide import Decision
from cds_service.clinical.findings import Assessment
from cds_service.clinical.tables import FixedCard, Pathway, Provenance, Row, Source
from cds_service.content.content import Content
from cds_service.evaluate import Answer, Service
from cds_service.explanation import not_used

from .limits_behind import Limit, is_too_large, limits_behind
from .why_said import Rest, added

FIRST_MATCH = {"interpret": "Interpretation", "treat": "Treatment"}
EVERY_MATCH = {"safety": "Safety", "orders": "Orders"}
Behind = Callable[[Assessment, Pathway], Mapping[str, tuple[Limit, ...]]]
NEAREST = 4  # rows above the one that held, before the rest is folded away


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a row: a finding, in words, and whether it was found."""

    name: str
    words: str
    found: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """One row as it was judged. `failing`: the conditions that kept it from holding."""

    name: str  # "interpret/deficient", as the answer and the store name it
    table: str
    id: str
    held: bool
    when: tuple[Condition, ...]
    unless: tuple[Condition, ...]
    label: str
    words: str  # the label in words
    provenance: Provenance | None
    source: Source | None
    added: tuple[Rest, ...] = ()  # notes and regimens on its card

    @property
    def failing(self) -> list[tuple[str, Condition]]:
        """What was wanted and not found ("lacks"), or found and not wanted ("has")."""
        return [("lacks", each) for each in self.when if not each.found] + [
            ("has", each) for each in self.unless if each.found
        ]


@dataclass(frozen=True, slots=True)
class Walk:
    """One table, walked: the rows that held, and those that did not, the nearest to the one that held first."""

    table: str
    title: str
    held: tuple[Judged, ...]
    above: tuple[Judged, ...]
    first_match: bool

    @property
    def nearest(self) -> tuple[Judged, ...]:
        return self.above[:NEAREST] if self.first_match else ()

    @property
    def further(self) -> tuple[Judged, ...]:
        return self.above[NEAREST:] if self.first_match else self.above


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
    facts: tuple[Fact, ...]
    ignored: list[dict[str, str]]
    unavailable: tuple[str, ...]
    incomplete: tuple[str, ...]
    suppressed: tuple[Any, ...]
    sources: tuple[tuple[Source, tuple[Provenance, ...]], ...]
    without_limits: bool  # the record is too large to work them out
    in_words: Callable[[Collection[str]], str]  # names of findings


def why(found: Answer, service: Service, behind: Behind = limits_behind) -> Why:
    """The reasons of an answer; `behind` works out the limits behind each finding. An order that is none of our
    business has none."""
    teller = Teller(service.content, service.pathway)
    walks = tuple(teller.walks(found)) if found.decision.label else ()
    held = [row for walk in walks for row in walk.held]
    wanted = {each.name for row in held for each in row.when}
    limits = behind(found.assessment, service.pathway) if walks else {}
    facts = sorted(teller.facts(found.decision, wanted, limits), key=lambda each: not each.used)
    return Why(
        label=found.decision.label,
        words=teller.label(found.decision.label),
        rows=found.decision.rows,
        walks=walks,
        facts=tuple(facts),
        ignored=not_used(found.assessment.case),
        unavailable=teller.keys(found.record.unavailable),
        incomplete=teller.keys(found.record.incomplete),
        suppressed=found.suppressed,
        sources=tuple(teller.sources(held, facts, found.decision)),
        without_limits=bool(walks) and is_too_large(found.assessment),
        in_words=lambda names: "; ".join(map(teller.finding, names)),
    )


class Teller:
    """Puts rows and findings into words."""

    def __init__(self, content: Content, pathway: Pathway) -> None:
        self.content, self.pathway = content, pathway

    def walks(self, found: Answer) -> Iterator[Walk]:
        """Every table that was asked, in the order in which the answer is read: safety first."""
        decision, assessment = found.decision, found.assessment
        said, about_orders = set(decision.rows), bool(assessment.case.record.selected)
        tables = ("orders", "interpret") if about_orders else ("safety", "interpret", "treat")
        for table in tables:
            rows: tuple[Row, ...] = getattr(self.pathway, table)
            if table in EVERY_MATCH:
                judged = [self.judged(row, decision.findings, found if named(row) in said else None) for row in rows]
                held = tuple(each for each in judged if each.held)
                yield Walk(table, EVERY_MATCH[table], held, tuple(each for each in judged if not each.held), False)
            elif table == "interpret" or any(name.startswith(f"{table}/") for name in said):
                findings = assessment.findings if table == "interpret" else decision.findings
                yield self.first_match(table, rows, findings, found)

    def first_match(self, table: str, rows: tuple[Row, ...], findings: Collection[str], found: Answer) -> Walk:
        """The rows of a table down to the first that holds, the nearest to it first."""
        at = next(number for number, row in enumerate(rows) if matches(row, findings))
        above = [self.judged(row, findings) for row in reversed(rows[:at])]
        return Walk(table, FIRST_MATCH[table], (self.judged(rows[at], findings, found),), tuple(above), True)

    def judged(self, row: Row, findings: Collection[str], found: Answer | None = None) -> Judged:
        """A row; one that held comes with the answer, in which it may have a card."""
        origin = row.provenance
        return Judged(
            named(row),
            row.table,
            row.id,
            found is not None,
            tuple(self.condition(name, findings) for name in row.when),
            tuple(self.condition(name, findings) for name in row.unless),
            row.label,
            self.label(row.label),
            origin,
            self.pathway.sources.get(origin.source) if origin else None,
            added(row, found, self.pathway) if found else (),
        )

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
        self, held: list[Judged], facts: list[Fact], decision: Decision
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
