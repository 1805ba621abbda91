"""How much of an ingredient is taken: micrograms in a dose, micrograms a day, days between two doses."""

from __future__ import annotations

from decimal import Decimal

from ..datatypes import Dosage
from ..resources import listed
from .products import Content, is_dosed
from .reading import Reading
from .strengths import amount_in, in_pieces, micrograms
from .timing import interval_of

CUT = 1000  # no text is searched beyond this length

Amounts = tuple[Decimal | None, Decimal | None, Decimal | None]


def amounts(dosages: list[Dosage], content: Content, source: str, reading: Reading) -> Amounts:
    """(dose, dose a day, days between doses); of several instructions the largest dose and the longest interval."""
    if not is_dosed(content.ingredient, reading):
        return None, None, None
    doses, daily, intervals = [], [], []
    for dosage in dosages:
        dose, interval = dose_of(dosage, content), interval_of(dosage)
        if dose is not None:
            doses.append(dose)
        if interval:
            intervals.append(interval)
        if dose is not None and interval:
            daily.append(dose / interval)
    dose = max(doses, default=None)
    if dose is None and not content.per_ml and source != "administration":
        dose = content.strength  # one tablet or ampoule: what the product's name promises
        daily = [dose / min(intervals)] if dose is not None and intervals else []
    return dose, max(daily, default=None), max(intervals, default=None)


def dose_of(dosage: Dosage, content: Content) -> Decimal | None:
    """Micrograms of one dose: a mass, tablets of a known strength, or what the instruction says in words."""
    quantities = [dosage.dose, dosage.dose_quantity]
    for each in listed(dosage.dose_and_rate):
        quantities.append(each.dose_quantity)
        if each.dose_range is not None:
            quantities.append(each.dose_range.high or each.dose_range.low)
    found = [
        micrograms(quantity) or in_pieces(quantity, content.strength, content.per_ml)
        for quantity in quantities
        if quantity is not None
    ]
    doses = [each for each in found if each is not None]
    if doses:
        return max(doses)
    return amount_in(dosage.text[:CUT], None if content.per_ml else content.strength) if dosage.text else None
