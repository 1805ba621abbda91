"""Each category by itself: some systems grant access category by category, and a search returns the granted part only.

What a category shows and the search without category does not is data that the service would never see.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..fhir.resources import Resource
from .access import Reply, Server
from .effects import category_query

CATEGORIES = {
    "Observation": ("laboratory", "vital-signs", "social-history", "survey", "exam"),
    "Condition": ("problem-list-item", "encounter-diagnosis", "health-concern"),
    "MedicationRequest": ("inpatient", "outpatient", "community", "discharge"),
}
NO_CATEGORY = "b12-cds-doctor-none"
PATIENTS = 2  # with whom this is tried


@dataclass(slots=True)
class Category:
    """What a search by one category gave, over the patients tried."""

    kind: str
    category: str  # "" is the search without category
    found: int = 0
    only_here: int = 0  # of these, what the search without category did not give
    refused: str = ""  # why nothing could be had
    denied: bool = False  # because access is not granted
    cut: bool = False  # not all pages were read
    ignored: bool = False  # a category that does not exist gave results too: the parameter is not used

    @property
    def note(self) -> str:
        """What a person should know of it."""
        if self.refused:
            return self.refused
        if self.ignored:
            return "the server does not use this parameter"
        if self.only_here:
            return f"{self.only_here} of them are missing without the category: is the access granted for part of them?"
        return "not all pages were read" if self.cut else ""


def try_categories(server: Server, patients: Iterable[str]) -> list[Category]:
    """Every type that is split by category somewhere, for a few patients."""
    chosen = list(patients)[:PATIENTS]
    return [each for kind, names in CATEGORIES.items() for each in of_type(server, kind, names, chosen)]


def of_type(server: Server, kind: str, names: Iterable[str], patients: list[str]) -> list[Category]:
    if not patients:
        return []
    all_of_them = Category(kind, "")
    rows = [Category(kind, name) for name in names]
    for patient in patients:
        known = {each.id for each in take(server, all_of_them, patient)}
        ignored = bool(server.ask(category_query(kind, patient, NO_CATEGORY)).resources)
        for row in rows:
            if ignored:
                row.ignored = True
                continue
            found = take(server, row, patient)
            if not all_of_them.cut and not all_of_them.refused:
                row.only_here += len({each.id for each in found} - known)
    return [all_of_them, *rows]


def take(server: Server, row: Category, patient: str) -> list[Resource]:
    """The resources of one search, counted."""
    query = category_query(row.kind, patient, row.category)
    reply: Reply = server.read(query, pages=server.limits.shallow_pages)
    found = [each for each in reply.resources if each.resource_type == row.kind]
    row.found += len(found)
    row.cut = row.cut or bool(reply.cut)
    row.refused = row.refused or reply.failure
    row.denied = row.denied or reply.status in (401, 403)
    return found
