"""A vignette: a patient as a clinician tells of one, in TOML, and what the service should say of it.

Days are told as `days_ago`, counted from `as_of`, or as dates. `vignette_fhir` makes the hook request of it, so that a
vignette goes through the whole service: the reader, the findings, the tables, the cards.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

DEFAULT_DAY = date(2026, 1, 15)
KEYS = {
    "lab": {"analyte", "value", "unit", "comparator", "status", "low", "high", "flag", "outcome", "code", "id"},
    "problem": {"concept", "as", "status", "ended_days_ago", "ended", "text"},
    "medicine": {"ingredient", "as", "status", "route", "dose", "every", "ended_days_ago", "ended", "text", "id"},
    "allergy": {"substance"},
    "order": {"orderable"},
}


class VignetteError(ValueError):
    """A vignette that cannot be read: names the place, the fault and what is allowed."""


@dataclass(frozen=True, slots=True)
class Vignette:
    """What is told of the patient, and what the service is expected to say."""

    name: str
    title: str
    as_of: date
    pathway: str
    told: dict[str, Any]
    expect: dict[str, Any]


def read_vignette(path: Path) -> Vignette:
    """One vignette from its file."""
    with path.open("rb") as file:
        told = tomllib.load(file, parse_float=Decimal)
    for table, allowed in KEYS.items():
        for entry in told.get(table, ()):
            unknown = set(entry) - allowed - {"days_ago", "date"}
            if unknown:
                raise VignetteError(f"{path.name} [[{table}]]: unknown {sorted(unknown)}. Allowed: {sorted(allowed)}")
    as_of = told.get("as_of", DEFAULT_DAY)
    return Vignette(path.stem, told["title"], as_of, told.get("pathway", "uk-ng239"), told, told.get("expect", {}))
