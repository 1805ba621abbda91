"""The findings as a sheet for review: what each means, which rows ask for it, and what the program draws it from.

All of it is what the findings declare with their rules (cds_service/clinical): the words, the limits, groups and
tests that a rule reads, and the findings that it follows from. The rows that ask come from the tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cds_service.clinical.advice import row_name
from cds_service.clinical.findings import REGISTRY
from cds_service.clinical.rules import Rule
from cds_service.clinical.tables import Choice, Pathway, Row
from cds_service.content.check import TABLES
from cds_service.content.content import Content
from cds_service.content.review import Entry, Fact, Said, Sheet

WORDS = "findings."


@dataclass(frozen=True, slots=True)
class FindingsSheet(Sheet):
    """The sheet, as the pages show every other."""

    @property
    def title(self) -> str:
        return "Findings"

    @property
    def about(self) -> str:
        return (
            "What the rows ask for. A finding is drawn from the record by the program, and the limits and lists it is "
            "drawn with are those of this content. Which limits a finding hangs on for one patient, and how they were "
            "met, stands in the evidence view of that patient."
        )

    @property
    def key(self) -> str:
        return "Finding"

    @property
    def titled(self) -> str:
        return "In words"


def findings_sheet(content: Content, pathway: Pathway) -> Sheet:
    """Every finding that a row may name, each after what it follows from."""
    asking = rows_by_finding(pathway)
    rules = (rule for rule in REGISTRY.order if not rule.is_step)
    return FindingsSheet("findings", tuple(entry(rule, content, pathway, asking) for rule in rules))


def entry(rule: Rule, content: Content, pathway: Pathway, asking: Mapping[str, tuple[str, ...]]) -> Entry:
    """One finding."""
    joined = {"any of": "or", "all of": "and"}.get(rule.form, "")
    facts = (
        Fact("Asked for by", tuple(map(Said, asking.get(rule.name, ())))),
        Fact("Drawn from", tuple(dict.fromkeys(drawn_from(rule, content, pathway))), joined),
    )
    words = content.plain_words.get(WORDS + rule.name, rule.name)
    return Entry(rule.name, words, tuple(fact for fact in facts if fact.said))


def drawn_from(rule: Rule, content: Content, pathway: Pathway) -> Iterator[Said]:
    """What a finding and the steps behind it read: tests, limits, groups, findings, and what else of the record."""
    for part in REGISTRY.parts(rule.name):
        for analyte in part.analytes:
            yield Said(pathway.displays.get(analyte, analyte), analyte)
        for name in part.limits:
            if name in pathway.thresholds:
                yield Said(limit_in_words(name, rule.form, pathway), name)
        for group in (*part.problems, *part.medicines):
            members = sorted(pathway.displays.get(each, each) for each in pathway.groups.get(group, ()))
            yield Said(f"any of: {', '.join(members)}", group)
        if part.reads:
            yield Said(part.reads)
        for name in part.follows_from:
            if not REGISTRY.rules[name].is_step:
                yield Said(content.plain_words.get(WORDS + name, name), name)


def limit_in_words(name: str, form: str, pathway: Pathway) -> str:
    """ "below 80 g/L", "limit 100 fL"; a period of days or months as it is."""
    limit = pathway.thresholds[name]
    side = form if form in ("below", "above") and limit.unit not in ("days", "months") else "limit"
    return f"{side} {limit.value} {limit.unit}"


def rows_by_finding(pathway: Pathway) -> dict[str, tuple[str, ...]]:
    """The rows that ask for each finding, however they do."""
    found: dict[str, dict[str, None]] = {}
    for row in (row for table in TABLES for row in getattr(pathway, table)):
        for name in asked_for(row):
            found.setdefault(name, {})[row_name(row)] = None
    return {name: tuple(rows) for name, rows in found.items()}


def asked_for(row: Row) -> Iterator[str]:
    """Every finding that a row names."""
    choices: tuple[Choice, ...] = (*row.tests, *row.regimens)
    yield from (*row.when, *row.any, *row.unless, *row.no_card)
    yield from (name for _, names in (*row.raised, *row.treat_when) for name in names)
    yield from (name for choice in choices for name in (*choice.when, *choice.any, *choice.unless))
