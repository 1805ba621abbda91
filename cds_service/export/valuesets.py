"""The value sets as FHIR: one for each file of cards/value-sets, and one for each group of medicines that is read.

The expansion lists the codes as they stand. A line of use "prefix" stands for every code that begins so, and is a
filter of the definition: a terminology server must expand it. A line of use "unless-words" counts only where the words
beside it name no other problem; no engine reads words, so that it is not in the expansion.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..content.codes import UNLESS_WORDS
from ..content.content import Content
from ..content.files import CodeLine
from ..content.valuesets import KINDS, ValueSet, value_sets
from .canonical import Canonical, identifier

Json = dict[str, Any]
EVERY_MEDICINE = "every-medicine"
PREFIX = "prefix"
NOTE = "The definition also holds codes that begin alike, or that count by their words; they are not in the expansion."


def group_set(group: str) -> str:
    """The name of the value set of a group of medicines."""
    return f"medicines-{group}"


def exported(content: Content, canonical: Canonical, groups: Iterable[str]) -> Iterator[Json]:
    """Every value set, those of the groups at the end."""
    read = value_sets(content, keep=True)
    for name, each in read.items():
        yield resource(name, each.display, KINDS[each.kind], each.lines, canonical)
    medicines = {name: each for name, each in read.items() if each.kind == "medicine"}
    for group in groups:
        members = content.groups[group]
        lines = lines_of({name: each for name, each in medicines.items() if name.partition("-")[2] in members})
        yield resource(group_set(group), f"medicines of the group {group}", KINDS["medicine"], lines, canonical)
    yield resource(EVERY_MEDICINE, "every medicine", KINDS["medicine"], lines_of(medicines), canonical)


def lines_of(sets: Mapping[str, ValueSet]) -> tuple[CodeLine, ...]:
    """The lines of several value sets, each code once."""
    found = {(line.system, line.code, line.use == PREFIX): line for each in sets.values() for line in each.lines}
    return tuple(found.values())


def resource(name: str, display: str, kind: str, lines: tuple[CodeLine, ...], canonical: Canonical) -> Json:
    """One ValueSet. `lines` without those whose system is no address, which FHIR cannot name."""
    lines = tuple(line for line in lines if is_address(line.system))
    plain = [line for line in lines if line.use not in (PREFIX, UNLESS_WORDS)]
    found = {
        **canonical.about("ValueSet", name, identifier(name)),
        "title": display,
        "description": kind if len(plain) == len(lines) else f"{kind}. {NOTE}",
    }
    if lines:
        found["compose"] = {"include": [*included(lines)]}
    contains = [{"system": line.system, "code": line.code, "display": line.display} for line in plain]
    expansion: Json = {"timestamp": canonical.day.isoformat(), "total": len(contains)}
    return found | {"expansion": expansion | ({"contains": contains} if contains else {})}


def is_address(system: str) -> bool:
    return system.startswith(("http://", "https://", "urn:"))


def included(lines: tuple[CodeLine, ...]) -> Iterator[Json]:
    """The codes of each system, and each code with which others begin."""
    for system in dict.fromkeys(line.system for line in lines):
        of_system = [line for line in lines if line.system == system]
        codes = [{"code": each.code, "display": each.display} for each in of_system if each.use != PREFIX]
        if codes:
            yield {"system": system, "concept": codes}
        for line in of_system:
            if line.use == PREFIX:
                yield {"system": system, "filter": [{"property": "concept", "op": "is-a", "value": line.code}]}
