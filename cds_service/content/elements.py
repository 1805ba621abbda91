"""A file of cards/ as its elements: each row, threshold, analyte ... as the type that the file's name stands for.

An element of the wrong shape is reported and left out; the others are built and checked all the same, so that one run
names a fault of every element.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from .faults import Faults
from .laid_over import Toml
from .shapes import (
    AnalyteTable,
    ContentFile,
    CourseRow,
    ExclusionEntry,
    FollowUpEntry,
    InterpretRow,
    MeasureEntry,
    MedicineTable,
    NotesRow,
    OrderableEntry,
    OrdersRow,
    PathwayFile,
    Phrases,
    PriorityEntry,
    ProblemTable,
    RegimenEntry,
    SafetyRow,
    SourceTable,
    ThresholdEntry,
    TreatRow,
    Words,
)
from .site import SiteFile
from .typed import Shape, read

Built = TypeVar("Built")

WHOLE: dict[str, Any] = {
    "content.toml": ContentFile, "messages.toml": Phrases, "plain-words.toml": Phrases, "pathway.toml": PathwayFile,
    "site.toml": SiteFile,
}  # fmt: skip
KEYED: dict[str, type[Shape]] = {
    "sources.toml": SourceTable, "analytes.toml": AnalyteTable, "problems.toml": ProblemTable,
    "medicines.toml": MedicineTable,
}  # fmt: skip
LISTED: dict[str, tuple[str, type[Shape]]] = {
    "exclusions.toml": ("exclusion", ExclusionEntry),
    "measures.toml": ("measure", MeasureEntry),
    "tasks.toml": ("priority", PriorityEntry),
    "thresholds.toml": ("threshold", ThresholdEntry),
    "orderables.toml": ("orderable", OrderableEntry),
    "follow-ups.toml": ("follow_up", FollowUpEntry),
    "regimens.toml": ("regimen", RegimenEntry),
    "course.toml": ("row", CourseRow),
    "interpret.toml": ("row", InterpretRow),
    "treat.toml": ("row", TreatRow),
    "safety.toml": ("row", SafetyRow),
    "orders.toml": ("row", OrdersRow),
    "notes.toml": ("row", NotesRow),
}
BESIDE_PROBLEMS = ("negations", "past")  # the lists of words that problems.toml holds as well


@dataclass(frozen=True, slots=True)
class Element:
    """One row, threshold, analyte ... of a file. One whose shape is wrong is known by its id, and no more."""

    place: str
    id: str
    shape: Any  # the type that the file's name stands for in WHOLE, KEYED or LISTED; None: its faults are reported


def elements(place: str, table: Toml, faults: Faults) -> list[Element]:
    """The elements of one file, each reported if its shape is wrong or its id a duplicate."""
    name = place.rpartition("/")[2]
    if name in WHOLE:
        return [Element(place, "", read(WHOLE[name], table, place, faults))] if table else []
    if name in KEYED:
        return keyed(place, table, KEYED[name], faults)
    return listed(place, table, *LISTED[name], faults)


def keyed(place: str, table: Toml, kind: type[Shape], faults: Faults) -> list[Element]:
    """The tables of a file in which each has its id as its name."""
    found = []
    for key, value in table.items():
        if kind is ProblemTable and key in BESIDE_PROBLEMS:
            read(Words, value, f"{place} {key}", faults)
        elif isinstance(value, dict):
            here = f'{place} "{key}"'
            found.append(Element(here, key, read(kind, value, here, faults)))
        else:
            what = place.rpartition("/")[2].removesuffix("s.toml")
            faults.add(place, f"{key!r} is no table; each {what} is a [table] with its id as the name")
    return found


def listed(place: str, table: Toml, key: str, kind: type[Shape], faults: Faults) -> list[Element]:
    """The entries of a file that holds [[key]] only."""
    for other in table.keys() - {key}:
        faults.add(place, f"unknown key {other!r}; the file holds [[{key}]] only")
    entries = table.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        faults.add(place, f"{key!r} must be written as [[{key}]]")
        return []
    found: dict[str, Element] = {}
    for number, entry in enumerate(entries, start=1):
        name = str(entry.get("id", number))
        here = f'{place} {key} "{name}"' if "id" in entry else f"{place} {key} {number}"
        if name in found:
            faults.add(here, "the id is used twice")
        else:
            found[name] = Element(here, name, read(kind, entry, here, faults))
    return list(found.values())


def sound(elements: Iterable[Element]) -> list[Element]:
    """The elements that can be built."""
    return [element for element in elements if element.shape is not None]


def built(kind: type[Built], shape: Shape) -> Built:
    """A type of cds_service.clinical.tables from the shape whose attributes have the names of its fields."""
    return msgspec.convert(shape, kind, from_attributes=True)
