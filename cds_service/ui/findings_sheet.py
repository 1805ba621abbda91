"""The findings as a sheet for review: what each means, which rows ask for it, and what the program draws it from.

The words come from cards/plain-words.toml and the rows from the tables. What a finding is drawn from is read off the
program itself: the names of findings, limits and groups that stand in the statement that makes it. A statement may hand
part of the work to a function, whose names do not stand in it; so the last column can be empty, but is never invented.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cds_service import clinical
from cds_service.clinical.advice import named
from cds_service.clinical.findings import NAMES
from cds_service.clinical.tables import Choice, Pathway, Row
from cds_service.content.check import TABLES
from cds_service.content.content import Content
from cds_service.content.review import Entry, Fact, Said, Sheet

MAKERS = ("add", "either", "both")
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
            "met, stands in the evidence view of that patient. Drawn from: the findings, limits and groups that the "
            "program names where it makes the finding; some are made step by step, and name none there."
        )

    @property
    def key(self) -> str:
        return "Finding"

    @property
    def titled(self) -> str:
        return "In words"


def findings_sheet(content: Content, pathway: Pathway) -> Sheet:
    """Every finding that a row may name, in the order of the plain words."""
    worded = [key.removeprefix(WORDS) for key in content.plain_words if key.startswith(WORDS)]
    names = [*(name for name in worded if name in NAMES), *sorted(NAMES.difference(worded))]
    asking, drawn = rows_by_finding(pathway), drawn_from()
    return FindingsSheet("findings", tuple(entry(name, content, pathway, asking, drawn) for name in names))


def entry(
    name: str,
    content: Content,
    pathway: Pathway,
    asking: Mapping[str, tuple[str, ...]],
    drawn: Mapping[str, tuple[str, ...]],
) -> Entry:
    """One finding."""
    facts = (
        Fact("Asked for by", tuple(map(Said, asking.get(name, ())))),
        Fact("Drawn from", tuple(parts(name, content, pathway, drawn.get(name, ())))),
    )
    words = content.plain_words.get(WORDS + name, name)
    return Entry(name, words, tuple(fact for fact in facts if fact.said))


def parts(name: str, content: Content, pathway: Pathway, texts: tuple[str, ...]) -> Iterator[Said]:
    """Those of the texts that name a limit, a finding or a group of this pathway."""
    for text in texts:
        if text in pathway.thresholds:
            limit = pathway.thresholds[text]
            yield Said(f"limit {limit.value} {limit.unit}", text)
        elif text in NAMES and text != name:
            yield Said(content.plain_words.get(WORDS + text, text), text)
        elif text in pathway.groups:
            members = sorted(pathway.displays.get(each, each) for each in pathway.groups[text])
            yield Said(f"any of: {', '.join(members)}", text)


def rows_by_finding(pathway: Pathway) -> dict[str, tuple[str, ...]]:
    """The rows that ask for each finding, however they do."""
    found: dict[str, dict[str, None]] = {}
    for row in (row for table in TABLES for row in getattr(pathway, table)):
        for name in asked_for(row):
            found.setdefault(name, {})[named(row)] = None
    return {name: tuple(rows) for name, rows in found.items()}


def asked_for(row: Row) -> Iterator[str]:
    """Every finding that a row names."""
    choices: tuple[Choice, ...] = (*row.tests, *row.regimens)
    yield from (*row.when, *row.unless, *row.no_card)
    yield from (name for _, names in (*row.raised, *row.treat_when) for name in names)
    yield from (name for choice in choices for name in (*choice.when, *choice.unless))


@cache
def drawn_from() -> dict[str, tuple[str, ...]]:
    """The texts in each statement that makes a finding, by the finding."""
    found: dict[str, dict[str, None]] = {}
    for path in sorted(Path(clinical.__path__[0]).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for name, texts in made(node):
                found.setdefault(name, {}).update(dict.fromkeys(texts))
    return {name: tuple(texts) for name, texts in found.items()}


def made(node: ast.AST) -> Iterator[tuple[str, list[str]]]:
    """The finding that is made here, by `case.add("name", ...)` or by a loop over ("name", ...), and the texts beside
    it."""
    if is_making(node):
        yield from begun_by_a_name(node.args)
    elif isinstance(node, ast.For) and isinstance(node.iter, ast.Tuple) and isinstance(node.target, ast.Tuple):
        name = getattr(node.target.elts[0], "id", "")
        if any(is_making(each) and getattr(each.args[0], "id", None) == name for each in ast.walk(node)):
            for each in node.iter.elts:
                yield from begun_by_a_name(getattr(each, "elts", []))


def is_making(node: ast.AST) -> bool:
    """Is it a call such as `case.add(...)`?"""
    method = node.func if isinstance(node, ast.Call) and node.args else None
    return isinstance(method, ast.Attribute) and method.attr in MAKERS


def begun_by_a_name(inside: list[ast.expr]) -> Iterator[tuple[str, list[str]]]:
    """The finding named first, and every text in what follows."""
    first = inside[0].value if inside and isinstance(inside[0], ast.Constant) else ""
    if first in NAMES:
        yield first, [each.value for other in inside[1:] for each in ast.walk(other)
                      if isinstance(each, ast.Constant) and isinstance(each.value, str)]  # fmt: skip
