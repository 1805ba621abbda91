"""A result is as old as its sample, in the site's time zone. What names no day is undated; the future is refused."""

from __future__ import annotations

from datetime import UTC, date, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.fhir.dates import Calendar
from tests.fhir.records import TODAY, condition, lab_of, observation, problem_of, read

LONDON, AUCKLAND = ZoneInfo("Europe/London"), ZoneInfo("Pacific/Auckland")


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-01-10", date(2026, 1, 10)),
        ("2026-01-10T08:00", date(2026, 1, 10)),
        ("2026-01-10T23:30:00Z", date(2026, 1, 10)),
        ("2026-01-10T23:30:00-02:00", date(2026, 1, 11)),
        ("2026-01-10T00:30:00.123456789+01:00", date(2026, 1, 9)),
        ("2026-01-10T24:00:00Z", date(2026, 1, 10)),
        ("2026-01-10T10:00:60Z", date(2026, 1, 10)),
        (" 2026-01-10 ", date(2026, 1, 10)),
        ("2026-01", date(2026, 1, 1)),
        ("2025-12", date(2025, 12, 1)),
        ("2025", None),
        ("2026-02-30", None),
        ("yesterday", None),
        ("", None),
        ("2026-13", None),
        ("9" * 5000, None),
    ],
)
def test_the_day_of_a_result(text: str, day: date | None) -> None:
    assert lab_of(observation(effectiveDateTime=text)).date == day


def test_the_day_is_that_of_the_sites_time_zone() -> None:
    late = observation(effectiveDateTime="2026-01-10T13:00:00Z")
    assert lab_of(late, zone=AUCKLAND).date == date(2026, 1, 11)
    assert lab_of(late, zone=LONDON).date == date(2026, 1, 10)


def test_a_date_without_a_zone_is_the_sites() -> None:
    for zone in (AUCKLAND, LONDON, timezone(timedelta(hours=-11))):
        assert lab_of(observation(effectiveDateTime="2026-01-10T23:59:00"), zone=zone).date == date(2026, 1, 10)


def test_without_effective_the_day_of_issue_counts() -> None:
    given = observation(effectiveDateTime=None, issued="2026-01-09T10:00:00Z")
    assert lab_of(given).date == date(2026, 1, 9)
    assert lab_of(observation(effectiveDateTime="soon", issued="2026-01-09T10:00:00Z")).date == date(2026, 1, 9)


def test_a_bare_year_is_completed_by_a_day_of_issue_that_lies_within_it() -> None:
    assert lab_of(observation(effectiveDateTime="2025", issued="2025-12-09T10:00:00Z")).date == date(2025, 12, 9)
    assert lab_of(observation(effectiveDateTime="2024", issued="2025-12-09T10:00:00Z")).date is None


def test_periods_and_instants_are_read() -> None:
    period = {"start": "2026-01-08", "end": "2026-01-09"}
    assert lab_of(observation(effectiveDateTime=None, effectivePeriod=period)).date == date(2026, 1, 8)
    instant = "2026-01-07T10:00:00Z"
    assert lab_of(observation(effectiveDateTime=None, effectiveInstant=instant)).date == date(2026, 1, 7)


def test_an_undated_result_is_kept_without_a_date() -> None:
    lab = lab_of(observation(effectiveDateTime=None))
    assert (lab.date, lab.moment) == (None, 0.0)


@pytest.mark.parametrize("text", ["2026-01-16", "2027", "2026-02", "2026-01-16T00:00:00Z"])
def test_a_result_of_the_future_is_in_doubt_and_has_no_date(text: str) -> None:
    lab = lab_of(observation(effectiveDateTime=text))
    assert (lab.date, lab.doubt) == (None, "in-future")


def test_today_ends_when_it_ends_at_the_site() -> None:
    soon = observation(effectiveDateTime="2026-01-15T23:30:00Z")
    assert lab_of(soon, zone=UTC).date == TODAY
    assert lab_of(soon, zone=AUCKLAND).doubt == "in-future"


def test_results_of_one_day_are_ordered_by_the_time_of_day() -> None:
    early, late = (
        observation(name=name, effectiveDateTime=f"2026-01-10T{hour}:00:00Z")
        for name, hour in (("a", "08"), ("b", "17"))
    )
    by_issue = observation(name="c", effectiveDateTime="2026-01-10", issued="2026-01-10T12:00:00Z")
    labs = sorted(read(late, by_issue, early).labs, key=lambda lab: lab.moment)
    assert [lab.reference[-1] for lab in labs] == ["a", "c", "b"]


def test_a_bare_year_of_a_problem_is_its_last_day_so_that_nothing_recent_counts_as_past() -> None:
    assert problem_of(condition("84229001", onsetDateTime="2014")).onset == date(2014, 12, 31)
    assert problem_of(condition("84229001", onsetDateTime="2026")).onset == TODAY


@given(st.text(max_size=60) | st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat()))
def test_no_text_breaks_the_calendar(text: str) -> None:
    for zone in (LONDON, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))):
        when = Calendar(zone, TODAY).read(text)
        assert when is None or when.first <= when.last
