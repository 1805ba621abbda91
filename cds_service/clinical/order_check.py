"""The check of a clinician's own B12 order (6.5, O7): against the regimens that the pathway would choose.

Each difference that matters is one phrase of messages.toml [difference]; a regimen that may be drafted replaces the
order. Several drafts of one session are one plan: the loading doses may be an order of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from .advice import Draft, Writer, matches
from .ordered import of_group
from .record import Order
from .tables import Phase, Regimen
from .treatment import PARENTERAL

WEEK = Decimal(7)
DAYS = {"d": Decimal(1), "wk": WEEK, "mo": Decimal("30.4375"), "a": Decimal("365.25")}
MICROGRAMS = {"mg": Decimal(1000), "microgram": Decimal(1)}
INJECTED = (*PARENTERAL,)
UNCHECKED = "unchecked"


@dataclass(frozen=True, slots=True)
class Fit:
    """The regimens that fit this patient, and what an order is held against."""

    regimens: Sequence[Regimen] = ()
    neuro: bool = False  # loading goes on until there is no further improvement
    untreated: bool = False  # deficient and not treated yet: loading comes first
    replaces: bool = True  # a draft may be offered in the order's place


@dataclass(slots=True)
class Checked:
    """Per order the keys of what differs, and the drafts that would replace orders."""

    fit: Fit
    differences: dict[str, list[str]] = field(default_factory=dict)  # reference -> keys
    replacements: list[Draft] = field(default_factory=list)


def check_orders(writer: Writer, row_of: dict, treat: str) -> Checked:
    """Every selected B12 order. `row_of` holds the rows that bring a regimen, the one that counts first."""
    return Checked(Fit())
