"""How often a medicine is taken: days between two doses, from FHIR Timing or from words."""

from __future__ import annotations

import re
from decimal import Decimal

from ..datatypes import Dosage, Quantity, Repeat, Timing
from ..resources import listed
from .strengths import count_of
from .values import digits

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
WORDS = (
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
        found = by_repeat(timing.repeat) or by_code(timing)
    return found or by_words(dosage.text)


def by_repeat(repeat: Repeat | None) -> Decimal | None:
    """frequency, period and periodUnit; or the days of the week or times of the day that are named."""
    if repeat is None:
        return None
    frequency = repeat.frequency if positive(repeat.frequency) else Decimal(1)
    period = repeat.period_max if positive(repeat.period_max) else repeat.period
    if positive(period) and repeat.period_unit in DAYS:
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


def positive(number: Decimal | None) -> bool:
    """Is it a number that can be divided by?"""
    return number is not None and bool(digits(number)) and number > 0


def by_code(timing: Timing) -> Decimal | None:
    """A timing code ("BID"), or what it says in words."""
    if timing.code is None:
        return None
    for coding in listed(timing.code.coding):
        a_day = CODES.get((coding.code or "").strip().upper())
        if a_day is not None:
            return 1 / a_day
    for text in (timing.code.text, *[coding.display for coding in listed(timing.code.coding)]):
        found = by_words(text)
        if found is not None:
            return found
    return None


def by_words(text: str | None) -> Decimal | None:
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
    for pattern, days in WORDS:
        if pattern.search(plain):
            return days
    for word in plain.replace(".", "").split():
        if word.upper() in CODES and word not in ("on", "am", "pm", "mo", "wk", "bed"):
            return 1 / CODES[word.upper()]
    return None
