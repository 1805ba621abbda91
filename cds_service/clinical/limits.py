"""The numbers that decide, by name and unit: those that every pathway must state, and those that it may state."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal

REQUIRED: dict[str, str] = {
    "b12-deficient-mass": "ng/L",
    "b12-deficient-molar": "pmol/L",
    "b12-grey-mass": "ng/L",
    "b12-grey-molar": "pmol/L",
    "active-deficient": "pmol/L",
    "active-grey": "pmol/L",
    "b12-verify-low": "ng/L",
    "range-molar-low": "ng/L",
    "range-molar-high": "ng/L",
    "range-mass-high": "pmol/L",
    "mma-upper": "nmol/L",
    "mma-high": "nmol/L",
    "homocysteine-upper": "umol/L",
    "mcv-macrocytosis": "fL",
    "mcv-microcytosis": "fL",
    "hb-men": "g/L",
    "hb-women": "g/L",
    "hb-pregnancy": "g/L",
    "hb-severe": "g/L",
    "hb-same-day": "g/L",
    "neutrophils-severe": "10*9/L",
    "platelets-severe": "10*9/L",
    "platelets-im": "10*9/L",
    "ferritin-iron": "ug/L",
    "folate-low-mass": "ug/L",
    "folate-low-molar": "nmol/L",
    "potassium-low": "mmol/L",
    "egfr-reduced": "mL/min/1.73 m2",
    "egfr-severe": "mL/min/1.73 m2",
    **dict.fromkeys(
        (
            "result-current",
            "result-background",
            "earlier-result",
            "active-total-window",
            "blood-count-current",
            "folate-current",
            "ferritin-current",
            "egfr-current",
            "potassium-current",
            "cord-recent",
            "im-window",
            "im-window-most",
            "im-order",
            "oral-stopped",
            "oral-effect",
            "pregnancy-current",
            "medicine-stopped",
            "nitrous-current",
            "first-dose-recent",
        ),
        "days",
    ),
    **dict.fromkeys(
        ("symptom-current", "sacd-current", "breastfeeding-current", "oral-review", "oral-review-pregnant"),
        "months",
    ),
    "im-window-factor": "times",
    "oral-dose": "microgram/day",
    "folic-treatment": "microgram/day",
    "adult-age": "years",
}
OPTIONAL: dict[str, str] = {
    "b12-high-mass": "ng/L",
    "b12-high-molar": "pmol/L",
    "oral-dose-high": "microgram/day",
    "metformin-long": "months",
    "acid-suppressant-long": "months",
    "high-risk-age": "years",
    "no-dose": "months",
    "b12-begun": "days",
    "loading-doses": "doses a week",
    "loading-short": "days",
}
LASTING = ("metformin-long", "acid-suppressant-long", "high-risk-age")
RESTS_ON: dict[str, tuple[str, ...]] = {  # a finding -> the optional numbers without which it is never made
    "b12_high_twice": ("b12-high-mass", "b12-high-molar"),
    "on_oral_high": ("oral-dose-high",),
    **dict.fromkeys(("no_dose_for_a_year", "symptoms_or_no_dose"), ("no-dose",)),
    **dict.fromkeys(("long_term_medicine", "length_unknown", "older_age"), LASTING),
    **dict.fromkeys(("high_risk_history", "high_risk", "lasting_risk"), LASTING),
    **dict.fromkeys(("order_differs", "order_unchecked"), ("loading-doses",)),
    **dict.fromkeys(
        ("folate_order_matters", "folate_order_after_b12", "folate_order_warning", "folate_order_critical"),
        ("b12-begun",),
    ),
}


class Limits:
    """The thresholds of a pathway as plain numbers, looked up by the names of REQUIRED and OPTIONAL."""

    __slots__ = ("_numbers", "_whole")

    def __init__(self, numbers: Mapping[str, Decimal]):
        self._numbers = dict(numbers)
        self._whole = {name: int(value) for name, value in self._numbers.items()}

    def __getitem__(self, name: str) -> Decimal:
        return self._numbers[name]

    def __contains__(self, name: str) -> bool:
        return name in self._numbers

    def states(self, finding: str) -> bool:
        """Does the pathway state every optional number on which this finding rests?"""
        return all(name in self._numbers for name in RESTS_ON[finding])

    def days(self, name: str) -> int:
        """A number of days, months or years as a whole number."""
        return self._whole[name]

    def within_days(self, name: str, day: date | None, today: date) -> bool:
        """Is `day` today or at most that many days before? An unknown day is not."""
        return day is not None and 0 <= (today - day).days <= self._whole[name]

    def within_months(self, name: str, day: date | None, today: date) -> bool:
        """Is `day` today or at most that many calendar months before? An unknown day is not."""
        return day is not None and months_before(today, self._whole[name]) <= day <= today

    def longer_than_months(self, name: str, day: date, today: date) -> bool:
        """Is `day` strictly more than that many calendar months before?"""
        return day < months_before(today, self._whole[name])


def months_before(day: date, months: int) -> date:
    """The same day of the month, so many months earlier; the last day of a shorter month."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    if year < 1:
        return date.min
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, last)
        except ValueError:
            continue
    raise ValueError(f"no day in {year}-{month + 1}")


def days_before(day: date, days: int) -> date:
    """So many days earlier, never before the calendar begins."""
    return day - timedelta(days=min(days, (day - date.min).days))
