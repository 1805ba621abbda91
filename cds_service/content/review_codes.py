"""The value sets as a person reviews them: which codes stand for what, line by line, and whose line it is.

Loading keeps only what recognises a code. Whoever looks at a value set has its file read again; `unchanged` says
whether the files are still those that were loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .content import Content
from .faults import Faults
from .files import CodeLine, code_lines, digest, value_set_files

KINDS = {
    "lab": "Laboratory tests: read as results",
    "problem": "Symptoms, diseases, operations and circumstances",
    "medicine": "Medicines",
    "allergy": "Allergies",
    "order": "Orders that are recognised as tests",
    "route": "Routes of administration",
    "other": "Laboratory codes that look alike and are not used",
    "specimen": "Specimens",
    "status": "Recorded states",
}
USES = {
    "mass": "in mass units",
    "molar": "in molar units",
    "either": "in either kind of unit",
    "ordinal": "positive or negative",
    "prefix": "this code and all that begin with it",
    "multivitamin": "a multivitamin: no treatment",
    "antidote": "an antidote: no treatment",
    "component": "a component of a product",
}


@dataclass(frozen=True, slots=True)
class ValueSet:
    """One file of value-sets/: what its codes stand for, and its lines where they were read."""

    name: str
    kind: str
    display: str
    count: int
    groups: tuple[str, ...] = ()
    lines: tuple[CodeLine, ...] = ()


def value_sets(content: Content) -> dict[str, ValueSet]:
    """Every value set by its name, without its lines."""
    files = value_set_files(roots(content))
    return {name: counted(content, name, lines_of(name, files[name])) for name in sorted(files)}


def value_set(content: Content, name: str) -> ValueSet | None:
    """One value set with its lines, or None if there is none of that name."""
    files = value_set_files(roots(content))
    return counted(content, name, lines_of(name, files[name]), keep=True) if name in files else None


def counted(content: Content, name: str, lines: tuple[CodeLine, ...], keep: bool = False) -> ValueSet:
    kind, _, concept = name.partition("-")
    display = content.displays.get(concept, concept.replace("-", " "))
    recognised = kind in ("problem", "medicine")
    groups = tuple(group for group, members in content.groups.items() if recognised and concept in members)
    return ValueSet(name, kind, display, len(lines), groups, lines if keep else ())


def lines_of(name: str, paths: tuple[tuple[Path, bool], ...]) -> tuple[CodeLine, ...]:
    return tuple(code_lines(name, paths, Faults()))


def roots(content: Content) -> list[Path]:
    """Our folder, and the site's that was laid over it."""
    return [content.folder, *([content.site.folder] if content.site.folder else [])]


def unchanged(content: Content) -> bool:
    """Are the files on disk still those that were loaded?"""
    return digest(roots(content)) == content.digest
