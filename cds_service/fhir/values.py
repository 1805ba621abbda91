"""What a laboratory result says: number, comparator, unit, reference range, flag; and what was examined.

Nothing is guessed. A number without a unit of the analyte's closed table is in doubt, and the doubt is a key of
messages.toml [doubt]. Urine, cerebrospinal fluid, dried or cord blood are not compared with serum limits (6.1).
"""

from __future__ import annotations

import re
from decimal import Context, Decimal

from ..clinical.tables import Analyte, Unit, convert, normalise_unit
from .concepts import find_codes, texts
from .reading import Reading, remember
from .resources import CodeableConcept, Component, Quantity, Reference, ReferenceRange, Resource, listed

MOST_DIGITS = 15  # more than that a computer's number does not hold
EXACT = Context(prec=MOST_DIGITS)
LONGEST_NUMBER = 40  # nothing longer is a measurement
BILLION = Decimal(10) ** 9
CUT = 1000  # no text is looked at beyond this length
LONGEST_UNIT = 64
UCUM = "unitsofmeasure.org"
SPELLINGS = tuple(  # the longer word first: "microliter" holds "liter"
    (re.compile(pattern), spelling)
    for pattern, spelling in (
        (r"micro(?=lit|gram|mol)|mc(?=l\b|g\b|mol)", "u"), (r"nano(?=lit|gram|mol)", "n"),
        (r"pico(?=lit|gram|mol)", "p"), (r"femto(?=lit|gram|mol)", "f"), (r"milli(?=lit|gram|mol)", "m"),
        (r"deci(?=lit)", "d"), (r"lit(?:re|er)s?", "l"), (r"gram(?:me)?s?", "g"), (r"moles?", "mol"),
        (r"^(?:thousands?|thous?|k)(?=/)", "10*3"), (r"^(?:millions?|mill?)(?=/)", "10*6"),
        (r"^(?:billions?|bill?)(?=/)", "10*9"), (r"^(?:trillions?|tri)(?=/)", "10*12"),
        (r"^(x?10)\+(?=[0-9])", r"\1*"),
    )
)  # fmt: skip
COMPARATORS = {
    "<": "<", "<=": "<=", ">=": ">=", ">": ">", "=<": "<=", "=>": ">=", "\u2264": "<=", "\u2265": ">=", "": "",
    "=": "", "==": "",  # HL7 v2 writes it where nothing is to be said
    "less than": "<", "below": "<", "under": "<", "lower than": "<", "up to": "<=", "at most": "<=",
    "more than": ">", "greater than": ">", "above": ">", "over": ">", "higher than": ">", "at least": ">=",
}  # fmt: skip
SAID_BEFORE = "|".join(re.escape(each) for each in sorted(COMPARATORS, key=len, reverse=True) if each)
NUMBER = r"[0-9]{1,15}(?:[.,][0-9]{1,14})?"
WRITTEN = re.compile(  # "<150 pmol/L", "less than 150", "150 ng/L (L)"
    rf"({SAID_BEFORE})? ?({NUMBER})(?: ?((?:[A-Za-z%\u00b5\u03bc/\u00d7]|10[*^+eE])[^ ()\[\]]*))?"
    r"(?: ?[(\[](?:[HLN*]{1,2}|high|low|normal|abnormal)[)\]]| ?\*)?",
    re.IGNORECASE,
)
DIGIT = re.compile("[0-9]")
WRITTEN_RANGE = re.compile(  # "0 - 378", "<0.40", "180 to 900 ng/L"
    rf"[(\[]?(?:(?P<comparator>{SAID_BEFORE}) ?(?P<limit>{NUMBER})"
    rf"|(?P<low>{NUMBER}) ?(?:-|\u2013|\u2014|to|\.\.|/) ?(?P<high>{NUMBER}))"
    r"(?: ?(?P<unit>[A-Za-z%\u00b5\u03bc/][^ ()\[\]]*))?[)\]]?",
    re.IGNORECASE,
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
    concept = source.value_codeable_concept
    if concept is not None and (text := next((each for each in texts(concept) if WRITTEN.fullmatch(each)), "")):
        return of_text(text, analyte)
    return PENDING_AMOUNT if announced(source.data_absent_reason) else ABSENT


def of_quantity(quantity: Quantity, source: Resource | Component, analyte: Analyte, reading: Reading) -> Amount:
    """A Quantity: the usual case."""
    value = quantity.value
    if value is None:
        return PENDING_AMOUNT if announced(source.data_absent_reason) else ABSENT
    number = digits(value)
    if not number:
        return UNREADABLE
    if len(number) < len(str(value)):  # 149.99999999999997 is how a computer writes 150
        value = Decimal(number)
    if value < 0:  # no laboratory measures less than nothing: it stands for something else
        return ABSENT
    unit, doubt = unit_of(quantity, analyte, reading)
    comparator = "" if quantity.comparator is None else COMPARATORS.get(quantity.comparator.strip())
    if comparator is None or source.data_absent_reason is not None:
        return value, number, comparator or "", unit, doubt or "qualified"
    return value, number, comparator, unit, doubt


def digits(value: Decimal) -> str:
    """The digits as reported (150.10 stays 150.10), 15 of them that count; "" for what is no measurement: NaN, too
    long, too large."""
    text = str(value)
    if len(text) <= MOST_DIGITS and "E" not in text and text[0] in "0123456789" and value <= BILLION:
        return text
    if len(text) > LONGEST_NUMBER or not value.is_finite():
        return ""
    if len(value.as_tuple().digits) > MOST_DIGITS:
        value = value.normalize(EXACT)
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
    sign = COMPARATORS[(comparator or "").casefold()]
    whole, comma, part = written.partition(",")
    if comma and len(part) == 3 and whole != "0":  # "1,234" is a thousand to some and one to others
        return ABSENT
    number = f"{whole}.{part}" if comma else written
    value = Decimal(number)
    if not digits(value):
        return UNREADABLE
    if not unit_text:
        return value, number, sign, None, "no-unit"
    unit = unit_named(unit_text, analyte)
    return value, number, sign, unit, "" if unit else "unit-unknown"


def unit_named(text: str, analyte: Analyte) -> Unit | None:
    """The unit of the analyte's table that a text means, in words or in another system's spelling too."""
    key = normalise_unit(text[:LONGEST_UNIT])
    return analyte.units.get(key) or analyte.units.get(respelt(key))


def respelt(key: str) -> str:
    """A unit as the tables spell it: "pg/ml^^ucum" is "pg/ml", "thou/mcl" is "10*3/ul", "/nanoliter" is "/nl"."""
    key = key.partition("^^")[0].replace("per", "/").strip("{}[]()")
    for pattern, spelling in SPELLINGS:
        key = pattern.sub(spelling, key)
    return key


def announced(reason: CodeableConcept | None) -> bool:
    """Is the value absent only for the time being?"""
    return reason is not None and any(coding.code == "temp-unknown" for coding in listed(reason.coding))


def unit_of(quantity: Quantity, analyte: Analyte, reading: Reading) -> tuple[Unit | None, str]:
    """The unit, or None and the doubt."""
    key = (analyte.id, quantity.unit, quantity.code, quantity.system)
    known = reading.recognised.units.get(key)
    return known or remember(reading.recognised.units, key, read_unit(quantity, analyte, reading))


def read_unit(quantity: Quantity, analyte: Analyte, reading: Reading) -> tuple[Unit | None, str]:
    """From `unit` and `code`, which must not contradict each other."""
    text = normalise_unit(quantity.unit[:LONGEST_UNIT]) if quantity.unit else ""
    code = normalise_unit(quantity.code[:LONGEST_UNIT]) if quantity.code else ""
    if not text and not code:
        return None, "no-unit"
    by_text, by_code = unit_named(text, analyte), unit_named(code, analyte)
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
    return any(unit_named(text, analyte) is not None for analyte in reading.analytes.values())


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
    written = written_range(chosen.text, unit, analyte) if chosen.text else NO_RANGE
    if chosen.low is None and chosen.high is None:
        low, high = written
    else:
        low = None if chosen.low is None else bound(chosen.low, own, unit, analyte, reading)
        high = None if chosen.high is None else bound(chosen.high, own, unit, analyte, reading)
        if written is not NO_RANGE and contradicts(written, (low, high)):
            return NO_RANGE
    if (not low and not high) or (low is not None and high is not None and low >= high):
        return NO_RANGE  # 0 to 0 is how some systems write "no range"; one point is none either
    return low, high


def written_range(text: str, unit: Unit | None, analyte: Analyte) -> Range:
    """The range that a simple text says, in the result's unit; without a unit of its own it has the result's."""
    if DIGIT.search(text) is None:  # most say where to look it up
        return NO_RANGE
    match = WRITTEN_RANGE.fullmatch(" ".join(text[:CUT].split()))
    if match is None:
        return NO_RANGE
    named = unit_named(match["unit"], analyte) if match["unit"] else unit
    if named is None or unit is None:
        return NO_RANGE

    def number(written: str | None) -> Decimal | None:
        return in_unit(Decimal(written.replace(",", ".")), named, unit, analyte) if written else None

    if match["limit"]:
        below = COMPARATORS[match["comparator"].casefold()] in ("<", "<=")
        return (None, number(match["limit"])) if below else (number(match["limit"]), None)
    return number(match["low"]), number(match["high"])


def contradicts(written: Range, sent: Range) -> bool:
    """Does the text of a range say other numbers than the range? Zero is how some write that there is no limit."""
    return any(one and other and one != other for one, other in zip(written, sent, strict=True))


def in_unit(value: Decimal, given: Unit, wanted: Unit, analyte: Analyte) -> Decimal | None:
    """A value of one unit in another of the same kind, by the analyte's closed table. A range in molar units beside a
    result in mass units (or the reverse) is none: one of the two is not what it seems."""
    if given.family != wanted.family:
        return None
    try:
        return convert(analyte, value, given.spelling, wanted.spelling)
    except (ValueError, ArithmeticError):
        return None


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
    if known is unit or (known.family, known.factor) == (unit.family, unit.factor):
        return value
    return in_unit(value, known, unit, analyte)


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
