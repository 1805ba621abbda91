"""How much of a medicine is taken and how often, in micrograms and days: from FHIR's quantities or from words."""

from __future__ import annotations

import re
from decimal import Decimal

from ..clinical.tables import normalise_unit
from .resources import Dosage, Quantity, Repeat, Timing, listed
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


def single_spaced(text: str) -> str:
    """Single spaces, so that no pattern has to look for more, and no commas between thousands."""
    return THOUSANDS.sub("", " ".join(text.split()))


def strength_in(text: str) -> tuple[Decimal | None, bool]:
    """(micrograms, per millilitre?) of the first amount in a product's name, "Folic acid 400microgram tablets"."""
    match = AMOUNT.search(single_spaced(text))
    if match is None:
        return None, False
    return amount_matched(match), match[4] is not None


def amount_in(text: str, strength: Decimal | None) -> Decimal | None:
    """Micrograms of one dose as an instruction says it, "50-150 micrograms", "two tablets"; the upper of a range."""
    text = single_spaced(text)
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


MONTH = Decimal("30.4375")
DAYS = {  # UCUM unit of time -> days
    "s": Decimal(1) / 86400, "min": Decimal(1) / 1440, "h": Decimal(1) / 24, "d": Decimal(1), "wk": Decimal(7),
    "mo": MONTH, "a": 12 * MONTH,
}  # fmt: skip
CODES = {  # v3-GTSAbbreviation, and how prescribers abbreviate -> doses a day
    "QD": Decimal(1), "OD": Decimal(1), "DAILY": Decimal(1), "AM": Decimal(1), "PM": Decimal(1), "BED": Decimal(1),
    "NOCTE": Decimal(1), "MANE": Decimal(1), "ON": Decimal(1), "OM": Decimal(1),
    "BID": Decimal(2), "BD": Decimal(2), "BDS": Decimal(2), "TID": Decimal(3), "TDS": Decimal(3), "QID": Decimal(4),
    "QDS": Decimal(4), "Q4H": Decimal(6), "Q6H": Decimal(4), "Q8H": Decimal(3), "Q12H": Decimal(2),
    "QOD": Decimal(1) / 2, "WK": Decimal(1) / 7, "MO": 1 / MONTH,
}  # fmt: skip
SPAN = {"hour": DAYS["h"], "day": DAYS["d"], "week": DAYS["wk"], "month": MONTH, "year": DAYS["a"]}
COUNT = r"([0-9]{1,3}|one|two|three|four|five|six|seven|eight|nine|ten|twelve)"
EVERY = re.compile(
    rf"\b(?:every|each) (other |second )?(?:{COUNT} ?)?(?:(?:-|to) ?{COUNT} ?)?-?(hour|day|week|month|year)"
)
SPACED = re.compile(rf"\b{COUNT}(?: ?(?:-|to) ?{COUNT})? ?-? ?(hour|week|month|year)ly\b")
TIMES = re.compile(
    rf"\b(once|twice|{COUNT} ?(?:x|times)) ?(?:(?:a|per|each|every|/) ?)?"
    r"(day|daily|week|weekly|month|monthly|year|yearly)\b"
)
INTERVAL_WORDS = (
    (re.compile(r"\balternate days?\b|\bon alternate\b"), Decimal(2)),
    (re.compile(r"\bfortnightly\b"), Decimal(14)),
    (re.compile(r"\b(?:on|every|each)(?: an?)? (?:mon|tues|wednes|thurs|fri|satur|sun)days?\b"), Decimal(7)),
    (re.compile(r"\bquarterly\b"), 3 * MONTH),
    (re.compile(r"\bweekly\b"), Decimal(7)),
    (re.compile(r"\bmonthly\b"), MONTH),
    (re.compile(r"\b(?:annually|yearly)\b"), 12 * MONTH),
    (re.compile(r"\b(?:daily|nightly|at night|at bedtime|(?:in the|each) morning|a day|per day)\b"), Decimal(1)),
)
CUT = 1000  # no text is searched beyond this length


def days_of(duration: Quantity | None) -> Decimal | None:
    """A length of time in days; a number without a unit is one of days."""
    if duration is None or duration.value is None or not digits(duration.value):
        return None
    unit = (duration.code or duration.unit or "d").strip()
    factor = DAYS.get(unit) or SPAN.get(unit.lower().rstrip("s"))
    return duration.value * factor if factor is not None else None


def interval_of(dosage: Dosage) -> Decimal | None:
    """Days between two doses: by the timing's numbers, its code, its words, then the words of the instruction."""
    timing = dosage.timing
    found = None
    if timing is not None:
        found = interval_of_repeat(timing.repeat) or interval_of_code(timing)
    return found or interval_in_words(dosage.text)


def interval_of_repeat(repeat: Repeat | None) -> Decimal | None:
    """frequency, period and periodUnit; or the days of the week or times of the day that are named."""
    if repeat is None:
        return None
    frequency = positive(repeat.frequency) or Decimal(1)
    period = positive(repeat.period_max) or positive(repeat.period)
    if period and repeat.period_unit in DAYS:
        days = DAYS[repeat.period_unit]
        weekdays = len(listed(repeat.day_of_week))
        if weekdays and repeat.period_unit == "wk" and frequency < weekdays:
            frequency = Decimal(weekdays)
        return period * days / frequency
    if repeat.day_of_week:
        return Decimal(7) / len(listed(repeat.day_of_week))
    if repeat.when:
        return Decimal(1) / len(listed(repeat.when))
    return None


def positive(number: Decimal | None) -> Decimal | None:
    """The number if it is one that can be divided by, else None."""
    return number if number is not None and digits(number) and number > 0 else None


def interval_of_code(timing: Timing) -> Decimal | None:
    """A timing code ("BID"), or what it says in words."""
    if timing.code is None:
        return None
    for coding in listed(timing.code.coding):
        a_day = CODES.get((coding.code or "").strip().upper())
        if a_day is not None:
            return 1 / a_day
    for text in (timing.code.text, *[coding.display for coding in listed(timing.code.coding)]):
        found = interval_in_words(text)
        if found is not None:
            return found
    return None


def interval_in_words(text: str | None) -> Decimal | None:
    """ "once daily", "three times a week", "every 12 weeks", "3-monthly"; of a range the longer interval."""
    if not text:
        return None
    plain = " ".join(text[:CUT].lower().split())
    if match := TIMES.search(plain):
        count = {"once": "1", "twice": "2"}.get(match[1]) or match[2]
        span = SPAN["day" if match[3] == "daily" else match[3].removesuffix("ly")]
        return span / count_of(count) if count_of(count) else None
    if match := EVERY.search(plain):
        numbers = [count_of(each) for each in match.groups()[1:3] if each]
        number = Decimal(2) if match[1] else max(numbers, default=Decimal(1))
        return number * SPAN[match[4]] or None
    if match := SPACED.search(plain):
        return max(count_of(each) for each in match.groups()[:2] if each) * SPAN[match[3]] or None
    for pattern, days in INTERVAL_WORDS:
        if pattern.search(plain):
            return days
    for word in plain.replace(".", "").split():
        if word.upper() in CODES and word not in ("on", "am", "pm", "mo", "wk", "bed"):
            return 1 / CODES[word.upper()]
    return None
