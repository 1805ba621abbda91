"""FHIR dates as calendar days in the site's time zone, and dates that are none.

A date without a zone is a date of the site. A bare year or month names no day: `day` is None, and `first` and `last`
say what is certain. Nothing here reads the clock: today is given.

What stands where a date belongs is not always one: year 1, 0000-00-00, 1900-01-01 and the first second of 1970 mean
"unknown", and nothing was recorded of a patient before the birth. Such a text is no date; the calendar remembers that
it met one, so that it is named (`Calendar.met_no_date`).
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, date, datetime, time, tzinfo
from typing import NamedTuple

from ..clinical.record import PartDate
from .resources import Period

LONGEST = 40  # no dateTime of FHIR is longer
OLDEST = date(1900, 1, 1)  # where the birth is not known
UNKNOWN_DAYS = (date(1900, 1, 1), date(1970, 1, 1))  # what systems write that must write a date and have none
OFFSET = re.compile(r"T.*[+-](?!00:?00)\d\d:?\d\d\s*$")  # of a time that is written in another zone than UTC
EPOCH = 0.0  # the first second of 1970, in whatever zone it is written


class When(NamedTuple):
    """When something was: the day if it was given to the day, and the first and last day that it can have been."""

    day: date | None
    first: date
    last: date
    seconds: float  # since the epoch, to order what lies on one day; of a bare date, its midnight
    timed: bool  # was a time of day given?


class Calendar:
    """Reads dates for one request, and remembers them: results of one sample share theirs."""

    __slots__ = ("zone", "today", "met_no_date", "met_offset", "_oldest", "_read")

    def __init__(self, zone: tzinfo, today: date, born: date | None = None):
        self.zone, self.today = zone, today
        self.met_no_date = False  # since it was last set to False: did a text stand where a date belongs?
        self.met_offset = False  # did a time come with an offset from UTC, where the days are those of UTC?
        self._oldest = born or OLDEST
        self._read: dict[str, When | None] = {}

    def read(self, text: str | None) -> When | None:
        """When a FHIR date, dateTime or instant was; None if it is missing, cannot be read, or cannot be one."""
        if text is None:
            return None
        try:
            when = self._read[text]
        except KeyError:
            when = read_date(text.strip(), self.zone) if len(text) <= LONGEST else None
            if when is not None and (when.last < self._oldest or is_placeholder(when)):
                when = None
            self._read[text] = when
            if when is not None and self.zone is UTC and OFFSET.search(text):
                self.met_offset = True
        if when is None and not text.isspace() and text:
            self.met_no_date = True
        return when

    def day(self, text: str | None) -> date | None:
        """The day, for problems and medicines: of a bare year or month its last day, though never one yet to come.

        The last, so that nothing counts as long past that may be recent.
        """
        return self.day_of(self.read(text))

    def day_of(self, when: When | None) -> date | None:
        """The same for what was read."""
        if when is None:
            return None
        if when.day is not None:
            return when.day
        known = "month" if when.first.month == when.last.month else "year"
        return PartDate.of(max(when.first, min(when.last, self.today)), known)

    def day_of_result(self, when: When) -> date | None:
        """The day of a laboratory result. One that gives the month counts as its first day: it is not made newer than
        it may be. A bare year is no day."""
        if when.day is not None or when.first.month != when.last.month:
            return when.day
        return PartDate.of(when.first, "month")

    def starts(self, period: Period | None) -> date | None:
        """The day on which a period begins."""
        return self.day(period.start) if period else None

    def ends(self, period: Period | None) -> date | None:
        """The day on which a period ends; it may be yet to come, but not lie before its start."""
        return self.not_before(self.starts(period), self.day(period.end)) if period else None

    def not_before(self, start: date | None, end: date | None) -> date | None:
        """The end, unless it lies before the start: then it is no date."""
        if start is None or end is None or end >= start:
            return end
        self.met_no_date = True
        return None

    def ahead(self, day: date | None) -> bool:
        """Is the day yet to come?"""
        return day is not None and day > self.today


def read_date(text: str, zone: tzinfo) -> When | None:
    """Read one text, whatever its precision."""
    if len(text) == 10:
        return whole_day(text, zone)
    if len(text) > 10:
        return point_in_time(text, zone) or whole_day(text[:10], zone)
    return year_or_month(text, zone)


def is_placeholder(when: When) -> bool:
    """Does the date stand for "unknown"? The first of January 1900 at any time; of 1970 bare or at its first second."""
    if when.timed:
        return when.seconds == EPOCH or when.day == UNKNOWN_DAYS[0]
    return when.day in UNKNOWN_DAYS


def whole_day(text: str, zone: tzinfo) -> When | None:
    """A date without a time of day."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return When(day, day, day, midnight(day, zone), False)


def point_in_time(text: str, zone: tzinfo) -> When | None:
    """A date with a time of day; without a zone it is meant in the site's."""
    try:
        moment = datetime.fromisoformat(text)
        local = moment.astimezone(zone) if moment.tzinfo else moment.replace(tzinfo=zone)
        seconds = local.timestamp()
    except (ValueError, OverflowError):
        return None
    day = local.date()
    return When(day, day, day, seconds, True)


def year_or_month(text: str, zone: tzinfo) -> When | None:
    """ "2025" or "2025-11": some day of it."""
    year, _, month = text.partition("-")
    if not (len(year) == 4 and year.isdecimal() and (not month or (len(month) == 2 and month.isdecimal()))):
        return None
    try:
        first = date(int(year), int(month or 1), 1)
        last = date(first.year, int(month or 12), monthrange(first.year, int(month or 12))[1])
    except ValueError:
        return None
    return When(None, first, last, midnight(first, zone), False)


def midnight(day: date, zone: tzinfo) -> float:
    """The beginning of the day in seconds since the epoch."""
    return datetime.combine(day, time(), zone).timestamp()
