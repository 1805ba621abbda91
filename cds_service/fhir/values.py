"""What a laboratory result says: number, comparator, unit, reference range, flag; and what was examined.

Nothing is guessed. A number without a unit of the analyte's closed table is in doubt, and the doubt is a key of
messages.toml [doubt]. Urine, cerebrospinal fluid, dried or cord blood are not compared with serum limits (6.1).
"""

from __future__ import annotations

import re
from decimal import Decimal

from ..clinical.tables import Analyte, Unit, normalise_unit
from .concepts import find_codes, texts
from .reading import Reading
from .resources import CodeableConcept, Component, Quantity, Reference, ReferenceRange, Resource, listed

MOST_DIGITS = 15
LONGEST_NUMBER = 40  # nothing longer can have so few digits
BILLION = Decimal(10) ** 9
CUT = 1000  # no text is looked at beyond this length
LONGEST_UNIT = 64
UCUM = "unitsofmeasure.org"
COMPARATORS = {
    "<": "<", "<=": "<=", ">=": ">=", ">": ">", "=<": "<=", "=>": ">=", "\u2264": "<=", "\u2265": ">=", "": "",
}  # fmt: skip
WRITTEN = re.compile(
    r"(<=|>=|=<|=>|<|>|\u2264|\u2265)? ?([0-9]{1,15}(?:[.,][0-9]{1,14})?)(?: ?([A-Za-z%\u00b5\u03bc][^ ]*))?"
)
PENDING = (
    "pending", "awaited", "awaiting", "to follow", "in progress", "in process", "not yet", "volgt", "en cours", "folgt",
    "a suivre", "tba",
)  # fmt: skip
FLAGS = {
    **dict.fromkeys(("h", "hh", "hu", "hx", "high", "too high", "very high", "critical high", "above normal"), "high"),
    **dict.fromkeys(("critically high", "significantly high", "above reference range", "above high threshold"), "high"),
    **dict.fromkeys(("l", "ll", "lu", "lx", "low", "too low", "very low", "critical low", "below normal"), "low"),
    **dict.fromkeys(("critically low", "significantly low", "below reference range", "below low threshold"), "low"),
    **dict.fromkeys(("n", "normal", "within reference range"), "normal"),
}


# A value as reported: number, its digits, comparator, unit, and why it is None or must not be trusted. A plain tuple:
# one is made for every result.
Amount = tuple[Decimal | None, str, str, Unit | None, str]
ABSENT: Amount = (None, "", "", None, "no-number")
PENDING_AMOUNT: Amount = (None, "", "", None, "pending")
UNREADABLE: Amount = (None, "", "", None, "number-unreadable")
Range = tuple[Decimal | None, Decimal | None]
NO_RANGE: Range = (None, None)


def amount_of(source: Resource | Component, analyte: Analyte, reading: Reading) -> Amount:
    """The value of an Observation or a component."""
    quantity = source.value_quantity
    if quantity is not None:
        return of_quantity(quantity, source, analyte, reading)
    if source.value_integer is not None:
        return of_quantity(Quantity(value=source.value_integer), source, analyte, reading)
    if source.value_string is not None:
        return of_text(source.value_string[:CUT], analyte)
    return PENDING_AMOUNT if announced(source.data_absent_reason) else ABSENT


def of_quantity(quantity: Quantity, source: Resource | Component, analyte: Analyte, reading: Reading) -> Amount:
    """A Quantity: the usual case."""
    value = quantity.value
    if value is None:
        return PENDING_AMOUNT if announced(source.data_absent_reason) else ABSENT
    number = digits(value)
    if not number:
        return UNREADABLE
    if value < 0:  # no laboratory measures less than nothing: it stands for something else
        return ABSENT
    unit, doubt = unit_of(quantity, analyte, reading)
    comparator = "" if quantity.comparator is None else COMPARATORS.get(quantity.comparator.strip())
    if comparator is None or source.data_absent_reason is not None:
        return value, number, comparator or "", unit, doubt or "qualified"
    return value, number, comparator, unit, doubt


def digits(value: Decimal) -> str:
    """The digits as reported (150.10 stays 150.10), or "" for what is no measurement: NaN, too long, too large."""
    text = str(value)
    if len(text) <= MOST_DIGITS and "E" not in text and text[0] in "0123456789" and value <= BILLION:
        return text
    if len(text) > LONGEST_NUMBER or not value.is_finite() or len(value.as_tuple().digits) > MOST_DIGITS:
        return ""
    if not -9 <= value.adjusted() <= 9 or abs(value) > BILLION:
        return ""
    return format(value, "f")


def of_text(text: str, analyte: Analyte) -> Amount:
    """A value sent as text: a number with its unit is read ("<150 pmol/L"), everything else is in doubt."""
    text = " ".join(text.split())
    match = WRITTEN.fullmatch(text)
    if match is None:
        plain = text.casefold()
        return PENDING_AMOUNT if any(word in plain for word in PENDING) else ABSENT
    comparator, written, unit_text = match.groups()
    whole, comma, part = written.partition(",")
    if comma and len(part) == 3 and whole != "0":  # "1,234" is a thousand to some and one to others
        return ABSENT
    number = f"{whole}.{part}" if comma else written
    value = Decimal(number)
    if not digits(value):
        return UNREADABLE
    if not unit_text:
        return value, number, COMPARATORS[comparator or ""], None, "no-unit"
    unit = analyte.units.get(normalise_unit(unit_text[:LONGEST_UNIT]))
    return value, number, COMPARATORS[comparator or ""], unit, "" if unit else "unit-unknown"


def announced(reason: CodeableConcept | None) -> bool:
    """Is the value absent only for the time being?"""
    return reason is not None and any(coding.code == "temp-unknown" for coding in listed(reason.coding))


def unit_of(quantity: Quantity, analyte: Analyte, reading: Reading) -> tuple[Unit | None, str]:
    """The unit, or None and the doubt."""
    key = (analyte.id, quantity.unit, quantity.code, quantity.system)
    known = reading.units.get(key)
    if known is None:
        known = reading.units[key] = read_unit(quantity, analyte, reading)
    return known


def read_unit(quantity: Quantity, analyte: Analyte, reading: Reading) -> tuple[Unit | None, str]:
    """From `unit` and `code`, which must not contradict each other."""
    text = normalise_unit(quantity.unit[:LONGEST_UNIT]) if quantity.unit else ""
    code = normalise_unit(quantity.code[:LONGEST_UNIT]) if quantity.code else ""
    if not text and not code:
        return None, "no-unit"
    by_text, by_code = analyte.units.get(text), analyte.units.get(code)
    if by_text is None and by_code is None:
        return None, "unit-unknown"
    if by_text is None:
        return (None, "unit-conflict") if text and looks_like_unit(text, reading) else (by_code, "")
    if by_code is None:
        local = not code or UCUM not in (quantity.system or UCUM)
        return (by_text, "") if local and not is_unit(code, reading) else (None, "unit-conflict")
    same = (by_text.family, by_text.factor) == (by_code.family, by_code.factor)
    return (by_text, "") if same else (None, "unit-conflict")


def looks_like_unit(text: str, reading: Reading) -> bool:
    """Could this text be another unit than the code says? Mere words ("femtoliter") could not."""
    return "/" in text or is_unit(text, reading)


def is_unit(text: str, reading: Reading) -> bool:
    """Is the text a unit of any analyte?"""
    return any(text in analyte.units for analyte in reading.analytes.values())


def range_of(
    ranges: list[ReferenceRange] | ReferenceRange,
    own: Quantity | None,
    unit: Unit | None,
    analyte: Analyte,
    reading: Reading,
) -> Range:
    """(low, high) of the laboratory's reference range, where its unit is the result's; (None, None) otherwise."""
    listed_ranges = listed(ranges)
    if len(listed_ranges) != 1:
        listed_ranges = [each for each in listed_ranges if is_normal_range(each)]
        if len(listed_ranges) != 1:  # by age or sex: which of them applies is not for us to guess
            return NO_RANGE
    (chosen,) = listed_ranges
    low = None if chosen.low is None else bound(chosen.low, own, unit, analyte, reading)
    high = None if chosen.high is None else bound(chosen.high, own, unit, analyte, reading)
    if (not low and not high) or (low is not None and high is not None and low > high):
        return NO_RANGE  # 0 to 0 is how some systems write "no range"
    return low, high


def is_normal_range(each: ReferenceRange) -> bool:
    """One that is called the normal range, or has numbers and is not called anything else."""
    if each.low is None and each.high is None:
        return False
    codings = listed(each.type.coding) if each.type else []
    return not codings or any(coding.code == "normal" for coding in codings)


def bound(end: Quantity, own: Quantity | None, unit: Unit | None, analyte: Analyte, reading: Reading) -> Decimal | None:
    """One end of a range. Without a unit of its own it has the result's."""
    value = end.value
    if value is None or not digits(value) or value < 0:
        return None
    if own is not None and end.unit == own.unit and (end.code == own.code or not end.code):
        return value
    if not end.unit and not end.code:
        return value
    known = unit_of(end, analyte, reading)[0]
    if known is None or unit is None:
        return None
    return value if known is unit or (known.family, known.factor) == (unit.family, unit.factor) else None


def flag_of(interpretation: list[CodeableConcept] | CodeableConcept) -> str:
    """ "low", "high" or "normal", as the laboratory flagged it."""
    for concept in listed(interpretation):
        codings = listed(concept.coding)
        for text in (*[each.code for each in codings], *[each.display for each in codings], concept.text):
            flag = FLAGS.get(text[:LONGEST_UNIT].strip().casefold()) if text else None
            if flag:
                return flag
    return ""


SPECIMEN_WORDS = (
    ("urin", "urine"),
    ("csf", "cerebrospinal fluid"),
    ("cerebrospinal", "cerebrospinal fluid"),
    ("liquor", "cerebrospinal fluid"),
    ("lumba", "cerebrospinal fluid"),
    ("dried blood", "dried blood"),
    ("blood spot", "dried blood"),
    ("cord blood", "cord blood"),
    ("umbilical", "cord blood"),
    ("amniotic", "amniotic fluid"),
    ("saliva", "saliva"),
    ("synovial", "synovial fluid"),
    ("pleura", "pleural fluid"),
    ("ascit", "ascitic fluid"),
    ("faec", "faeces"),
    ("stool", "faeces"),
    ("bone marrow", "bone marrow"),
)
MOST_SPECIMENS = 10  # specimens of one result that are looked at
ACCEPTED = frozenset(("serum", "plasma", "blood", "whole-blood", "venous-blood"))  # should the content list these too


def other_specimen(resource: Resource, reading: Reading) -> str:
    """What the specimen is, if it is none that serum limits hold for; "" if it is, or is not said."""
    for reference in listed(resource.specimen)[:MOST_SPECIMENS]:
        key = reference.reference or reference.display
        if not key:
            continue
        if key.startswith("#"):
            found = read_specimen(reference, resource, reading)
        elif key in reading.specimens:
            found = reading.specimens[key]
        else:
            found = reading.specimens[key] = read_specimen(reference, resource, reading)
        if found:
            return found
    return ""


def read_specimen(reference: Reference, holder: Resource, reading: Reading) -> str:
    """By the Specimen itself where it is here, else by what the reference is called."""
    specimen = reading.resolve(reference.reference, holder)
    if specimen is not None and specimen.resource_type == "Specimen":
        for use, _ in find_codes(reading.find, specimen.type):
            kind, _, name = use.concept.partition("-")
            if kind == "specimen":
                return "" if name in ACCEPTED else name.replace("-", " ")
        for text in texts(specimen.type):
            found = specimen_in(text)
            if found:
                return found
    return specimen_in(reference.display or "")


def specimen_in(text: str) -> str:
    """The specimen that a text names, if it is one of those that do not count."""
    plain = text[:200].casefold()
    return next((name for word, name in SPECIMEN_WORDS if word in plain), "")
