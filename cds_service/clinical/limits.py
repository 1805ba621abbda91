"""The numbers that decide, by name: every pathway must state each of them, in the unit given here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a pathway carries its limits: at run time tables.py needs this module first
    from .tables import Threshold

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
        ("symptom-current", "sacd-current", "breastfeeding-current", "oral-review", "oral-review-pregnant", "no-dose"),
        "months",
    ),
    "im-window-factor": "times",
    "oral-dose": "microgram/day",
    "folic-treatment": "microgram/day",
    "adult-age": "years",
}


class Limits:
    """The thresholds of a pathway as plain numbers, looked up by the names of REQUIRED."""

    __slots__ = ("_numbers", "_whole")

    def __init__(self, thresholds: Mapping[str, Threshold]):
        self._numbers = {name: threshold.value for name, threshold in thresholds.items()}
        self._whole = {name: int(value) for name, value in self._numbers.items()}

    def __getitem__(self, name: str) -> Decimal:
        return self._numbers[name]

    def days(self, name: str) -> int:
        """A number of days, months or years as a whole number."""
        return self._whole[name]

    def within_days(self, name: str, day: date | None, today: date) -> bool:
        """Is `day` today or at most that many days before? An unknown day is not."""
        return day is not None and 0 <= (today - day).days <= self._whole[name]

    def within_months(self, name: str, day: date | None, today: date) -> bool:
        """Is `day` today or at most that many calendar months before? An unknown day is not."""
        return day is not None and months_before(today, self._whole[name]) <= day <= today


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
