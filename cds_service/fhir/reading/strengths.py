"""Amounts of a medicine in micrograms, from quantities and from the words of a product or an instruction."""

from __future__ import annotations

import re
from decimal import Decimal

from ...clinical.units import normalise_unit
from ..datatypes import Quantity
from .values import digits

MASS = {
    **dict.fromkeys(("ug", "mcg", "microgram", "micrograms", "microgramm", "microg"), Decimal(1)),
    **dict.fromkeys(("mg", "milligram", "milligrams", "milligramm"), Decimal(1000)),
    **dict.fromkeys(("g", "gram", "grams", "gm"), Decimal(1_000_000)),
}
PIECES = frozenset(
    (
        "tablet", "tablets", "tab", "tabs", "{tbl}", "{tablet}", "tablet(s)", "capsule", "capsules", "cap", "caps",
        "{cap}", "{capsule}", "capsule(s)", "ampoule", "ampoules", "ampule", "amp", "vial", "vials", "dose", "doses",
        "{dose}", "1", "each", "ea", "injection", "lozenge", "film", "spray", "syringe", "unitdose",
    )
)  # fmt: skip
MILLILITRES = frozenset(("ml", "millilitre", "millilitres", "milliliter", "milliliters", "cc"))
FEW = Decimal(10)  # a bare number up to this is a number of tablets, not of milligrams
NUMBER = r"([0-9]{1,7}(?:[,.][0-9]{1,6})?)"
UNIT = r"(micrograms?|microg|milligrams?|grams?|mcg|mg|ug|\u00b5g|\u03bcg|g)"
AMOUNT = re.compile(
    rf"(?<![a-z0-9.,]){NUMBER}(?: ?(?:-|to) ?{NUMBER})? ?{UNIT}(?![a-z])( ?/ ?(?:1 ?)?ml)?", re.IGNORECASE
)
TIMES_BEFORE = re.compile(r"(?<![a-z0-9.,])(half|two|three|four|five|six|[1-9])(?: ?x)? $", re.IGNORECASE)
THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
NUMBER_WORDS = {
    "half": Decimal("0.5"), "a": Decimal(1), "an": Decimal(1), "one": Decimal(1), "two": Decimal(2),
    "three": Decimal(3), "four": Decimal(4), "five": Decimal(5), "six": Decimal(6), "seven": Decimal(7),
    "eight": Decimal(8), "nine": Decimal(9), "ten": Decimal(10), "twelve": Decimal(12),
}  # fmt: skip
COUNTED = re.compile(
    r"\b([0-9]{1,2}|half|one|two|three|four|five|six)(?: ?(?:-|to) ?([0-9]{1,2}|two|three))? ?"
    r"(?:x ?|a )?(?:tablet|tab|capsule|cap|ampoule|dose|spray|lozenge)",
    re.IGNORECASE,
)


def count_of(text: str) -> Decimal:
    """A small number, written in digits or as a word."""
    return NUMBER_WORDS.get(text.lower()) or Decimal(text)


def micrograms(quantity: Quantity | None) -> Decimal | None:
    """A quantity of mass in micrograms; None if it is none."""
    if quantity is None or quantity.value is None or not digits(quantity.value):
        return None
    factor = next((MASS[unit] for unit in units_of(quantity) if unit in MASS), None)
    return quantity.value * factor if factor is not None else None


def units_of(quantity: Quantity) -> list[str]:
    """The unit as code and as text."""
    return [normalise_unit(each[:64]) for each in (quantity.code, quantity.unit) if each]


def in_pieces(quantity: Quantity, strength: Decimal | None, per_ml: bool) -> Decimal | None:
    """Micrograms in so many tablets or millilitres of a product of that strength."""
    if strength is None or quantity.value is None or not digits(quantity.value):
        return None
    units = units_of(quantity)
    if per_ml:
        return quantity.value * strength if MILLILITRES.intersection(units) else None
    if PIECES.intersection(units) or (not units and quantity.value <= FEW):
        return quantity.value * strength
    return None


def plain(text: str) -> str:
    """Single spaces, so that no pattern has to look for more, and no commas between thousands."""
    return THOUSANDS.sub("", " ".join(text.split()))


def strength_in(text: str) -> tuple[Decimal | None, bool]:
    """(micrograms, per millilitre?) of the first amount in a product's name, "Folic acid 400microgram tablets"."""
    match = AMOUNT.search(plain(text))
    if match is None:
        return None, False
    return amount_matched(match), match[4] is not None


def amount_in(text: str, strength: Decimal | None) -> Decimal | None:
    """Micrograms of one dose as an instruction says it, "50-150 micrograms", "two tablets"; the upper of a range."""
    text = plain(text)
    match = AMOUNT.search(text)
    if match is not None:
        times = TIMES_BEFORE.search(text[: match.start()])  # "two 5 mg tablets"
        return amount_matched(match) * (count_of(times[1]) if times else 1)
    counted = COUNTED.search(text)
    if counted is None or strength is None:
        return None
    return max(count_of(each) for each in counted.groups() if each) * strength


def amount_matched(match: re.Match[str]) -> Decimal:
    """The upper amount of the match, in micrograms."""
    numbers = [Decimal(each.replace(",", ".")) for each in (match[1], match[2]) if each]
    return max(numbers) * MASS[normalise_unit(match[3])]
