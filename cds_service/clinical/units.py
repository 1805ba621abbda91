"""Units of measurement: a closed table per analyte, no parser.

UCUM is case sensitive and reads nonsense ("PG/ML" is petagauss per megalitre), so a text is a unit only if the table
of the analyte says so. Decisions compare in the unit that was reported; conversion is for charts and for limits that
are stated in another unit of the same analyte.
"""

from __future__ import annotations

from decimal import Context, Decimal
from functools import lru_cache

from .tables import Analyte, Unit

DIGITS = Context(prec=34)  # far beyond any laboratory: within a family every conversion is exact
MICRO = str.maketrans({"\u00b5": "u", "\u03bc": "u", "\u039c": "u"})  # micro sign, Greek mu, and mu in capitals


@lru_cache(maxsize=1024)  # laboratories write few units; bounded, because the caller is not trusted
def normalise_unit(text: str) -> str:
    """A unit's text without spaces and case, every micro sign as "u": the key of `Analyte.units`."""
    return "".join(text.split()).translate(MICRO).casefold()


def to_base(value: Decimal, unit: Unit) -> Decimal:
    """The value in the base unit of the unit's family, exactly."""
    return DIGITS.multiply(value, unit.factor)


def convert(analyte: Analyte, value: Decimal, text: str, wanted: str) -> Decimal:
    """A value of this analyte in another of its units: exact within a family, by molar mass between mass and molar.

    Raises ValueError for a unit that the analyte's table does not hold, and between families without a molar mass.
    """
    given, target = unit_named(analyte, text), unit_named(analyte, wanted)
    base = to_base(value, given)
    if given.family != target.family:
        base = across(analyte, base, given.family, target.family)
    return DIGITS.divide(base, target.factor)


def unit_named(analyte: Analyte, text: str) -> Unit:
    """The unit of the analyte's table that a text stands for."""
    unit = analyte.units.get(normalise_unit(text))
    if unit is None:
        raise ValueError(f"{analyte.id}: no such unit. Known: {', '.join(sorted(analyte.bases.values()))} and others")
    return unit


def across(analyte: Analyte, base: Decimal, family: str, wanted: str) -> Decimal:
    """From the base unit of mass to that of substance amount, or back."""
    ratio = analyte.mass_per_molar
    if ratio is not None and (family, wanted) == ("molar", "mass"):
        return DIGITS.multiply(base, ratio)
    if ratio is not None and (family, wanted) == ("mass", "molar"):
        return DIGITS.divide(base, ratio)
    raise ValueError(f"{analyte.id}: {family} and {wanted} cannot be converted into each other")
