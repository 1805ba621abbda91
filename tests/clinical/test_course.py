"""The course of treatment: one state for everybody, exact at its edges, and never worse for a dose more."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.api import (
    SEVERITY,
    Assessment,
    Decision,
    Interval,
    Medication,
    OpenOrder,
    Pathway,
    PatientRecord,
    assess,
    decide,
)
from tests.clinical.patients import TODAY, ago, injection, lab, medicine, oral, problem, record, records

WEEKLY = Decimal(84)


def ordered(days: int, interval: Decimal | None = WEEKLY) -> Medication:
    """An active order for injections, written so many days ago."""
    day = ago(days)
    return Medication(
        f"MedicationRequest/b12-{days}", "hydroxocobalamin", "order", "im", day, day, active=True, interval=interval,
        shortest=interval,
    )  # fmt: skip


def dispensed(days: int, pieces: int | None = None, supply: int | None = None) -> Medication:
    day = ago(days)
    return Medication(
        f"MedicationDispense/{days}", "hydroxocobalamin", "dispense", "im", day, day,
        pieces=None if pieces is None else Decimal(pieces), supply=None if supply is None else Decimal(supply),
    )  # fmt: skip


def assessed(found: PatientRecord, pathway: Pathway, today: date = TODAY) -> Assessment:
    return assess(found, pathway, today)


def state(found: PatientRecord, pathway: Pathway, today: date = TODAY) -> str:
    return decide(assess(found, pathway, today), pathway).course


def worst(decision: Decision) -> int:
    return max((SEVERITY[each.indicator] for each in decision.advice), default=0)


# --- Days, intervals, due dates


@pytest.mark.parametrize(
    "day, months, due",
    [
        (date(2025, 11, 30), 3, date(2026, 2, 28)),
        (date(2025, 10, 14), 3, date(2026, 1, 14)),
        (date(2024, 2, 29), 12, date(2025, 2, 28)),
    ],
)
def test_months_are_calendar_months(day: date, months: int, due: date):
    assert Interval(months, in_months=True).after(day) == due


def test_the_stated_interval_counts_before_the_gaps_and_the_gaps_before_the_regimen(uk: Pathway):
    doses = (injection(150), injection(90), injection(30))
    assert assessed(record(*doses, ordered(200)), uk).case.course.interval == Interval(84, False, stated=True)
    assert assessed(record(*doses), uk).case.course.interval == Interval(60, False)
    assert assessed(record(injection(30)), uk).case.course.interval == Interval(3, True)
    assert assessed(record(injection(30), problem("paraesthesia")), uk).case.course.interval == Interval(2, True)
    assert assessed(record(injection(30), problem("vegan")), uk).case.course.interval == Interval(6, True)


def test_one_early_dose_is_no_new_interval(uk: Pathway):
    assert assessed(record(injection(161), injection(70), injection(40)), uk).case.course.interval == Interval(3, True)


def test_a_dispensing_that_a_dose_follows_is_that_dose(uk: Pathway):
    days = [day for day, _ in assessed(record(dispensed(60), injection(32)), uk).case.course.doses]
    assert days == [ago(32)]
    days = [day for day, _ in assessed(record(dispensed(61), injection(32)), uk).case.course.doses]
    assert days == [ago(61), ago(32)]


def test_several_ampoules_open_a_course_as_an_order_or_last_as_long_as_they_do(uk: Pathway):
    opened = assessed(record(dispensed(20, pieces=6)), uk).case.course
    assert opened.by_order and not opened.doses
    later = assessed(record(injection(150), dispensed(20, pieces=2)), uk).case.course
    assert later.by_dose and later.due == date(2026, 6, 26)  # twice three months after 26 December
    told = assessed(record(injection(150), dispensed(20, pieces=2, supply=90)), uk).case.course
    assert told.due == ago(20) + timedelta(days=90)


def test_doses_that_are_not_recorded_or_not_readable_are_no_missing_doses(uk: Pathway):
    unrecorded = replace(uk, doses_recorded=False)
    assert state(record(ordered(100)), uk) == "ordered-no-dose"
    assert state(record(ordered(100)), unrecorded) == "on-time"
    unread = record(ordered(100), unavailable=frozenset({"administrations", "medications", "dispenses"}))
    assert state(unread, uk) == "on-time"
    assert assessed(unread, uk).case.course.due is None


# --- Every state is somebody's


LOADING = [injection(days) for days in (5, 3, 1)]
COURSES = {
    "none": [],
    "loading": LOADING,
    "alternate days": [injection(days) for days in range(0, 24, 2)],
    "stopped": [injection(days) for days in (40, 38, 36)],
    "on time": [injection(days) for days in (124, 40)],
    "due": [injection(days) for days in (164, 80)],
    "overdue": [injection(days) for days in (214, 124, 100)],
    "monthly, overdue": [injection(days) for days in (70, 40)],
    "ordered": [ordered(5)],
    "not given": [ordered(40)],
    "lapsed": [injection(days) for days in (400, 390, 380)],
    "tablets": [oral(300)],
    "few micrograms": [replace(oral(20), per_day=Decimal(50))],
}
BACKGROUND = {
    "plain": [],
    "pernicious": [problem("pernicious-anaemia", 3000)],
    "bariatric": [problem("bariatric", 900)],
    "coeliac": [problem("coeliac", 900)],
    "coded": [problem("b12-deficiency", 900)],
    "gastrectomy": [problem("gastrectomy-partial", 900)],
}
PICTURE = {
    "nothing": [],
    "paraesthesia": [problem("paraesthesia", 60)],
    "deficient": [lab("b12", 120, "ng/L", 7)],
    "deficient before": [lab("b12", 120, "ng/L", 45)],
    "iron": [lab("haemoglobin", 95, "g/L"), lab("ferritin", 6, "ug/L")],
    "anaemia": [lab("haemoglobin", 95, "g/L"), lab("mcv", 112, "fL")],
    "fatigue": [problem("fatigue", 30)],
}


def test_every_course_row_in_scope_is_reached_and_everybody_has_exactly_one_state(pathway: Pathway):
    states = set()
    for parts in product(COURSES.values(), BACKGROUND.values(), PICTURE.values()):
        decision = decide(assess(record(*(each for part in parts for each in part)), pathway, TODAY), pathway)
        assert [row for row in decision.rows if row.startswith("course/")] == [f"course/{decision.course}"]
        states.add(decision.course)
    assert {row.id for row in pathway.course} - states - {"out-of-scope"} == set()


def test_the_last_row_of_the_course_has_no_condition(pathway: Pathway):
    assert not (pathway.course[-1].when or pathway.course[-1].any or pathway.course[-1].unless)


# --- What must hold for every course


histories = st.lists(st.integers(0, 700), min_size=1, max_size=9, unique=True)


@given(histories, st.integers(0, 120), st.booleans())
def test_another_day_changes_the_state_only_at_a_stated_edge(pathway: Pathway, days, later, coded):
    """For injections alone: after the gap of loading, around the due date, when the window and the memory end."""
    background = [problem("b12-deficiency", 3000)] if coded else []
    found, today = record(*(injection(each) for each in days), *background), TODAY + timedelta(days=later)
    before, after = state(found, pathway, today), state(found, pathway, today + timedelta(days=1))
    if before == after:
        return
    course, limits, tomorrow = assess(found, pathway, today).case.course, pathway.limits, today + timedelta(days=1)
    last = course.last
    assert last is not None and course.due is not None and course.run is not None
    edges = {
        last + timedelta(days=limits.days("loading-gap") + 1),
        course.due - timedelta(days=limits.days("due-soon")),
        course.due + timedelta(days=1),
        last + timedelta(days=course.window + 1),
    }
    forgotten = not assess(found, pathway, tomorrow).case.limits.within_months("lapsed-within", last, tomorrow)
    assert tomorrow in edges or forgotten


BETTER = ("on-time", "loading", "due-soon", "on-oral", "none")


@settings(deadline=None)
@given(records(), st.integers(0, 0))
def test_a_dose_more_today_makes_nothing_worse_but_what_is_new_on_treatment(pathway: Pathway, found, days):
    """A dose of today ends "overdue", "lapsed", "not given": none of them may follow from it."""
    dosed = replace(found, medications=(*found.medications, injection(days)))
    after = state(dosed, pathway)
    assert after not in ("overdue", "due-soon", "lapsed", "ordered", "ordered-no-dose", "lifelong", "bariatric",
                         "coded-untreated", "resection-untested", "loading-stopped")  # fmt: skip


@settings(deadline=None)
@given(records(), histories)
def test_names_and_order_of_the_resources_change_no_state(pathway: Pathway, found, days):
    doses = tuple(injection(each) for each in days)
    renamed = tuple(replace(each, reference=f"MedicationAdministration/x{n}") for n, each in enumerate(doses))
    one = replace(found, medications=(*found.medications, *doses))
    other = replace(found, medications=(*reversed(renamed), *reversed(found.medications)))
    assert state(one, pathway) == state(other, pathway)


@settings(deadline=None)
@given(st.integers(7, 90), st.integers(20, 170), st.integers(0, 60))
def test_a_deficient_result_on_injections_always_has_a_warning(uk: Pathway, age, value, since):
    """Taken at least seven days after the start of the course, at most ninety days ago."""
    doses = [injection(each) for each in range(age + 7 + since, -1, -20)]
    decision = decide(assess(record(*doses, lab("b12", value, "ng/L", age)), uk, TODAY), uk)
    if decision.course == "out-of-scope":
        return
    assert worst(decision) >= SEVERITY["warning"]


@settings(deadline=None)
@given(st.lists(st.integers(0, 7), min_size=1, max_size=5), st.booleans())
def test_loading_within_its_plan_is_quiet(uk: Pathway, gaps, neuro):
    days, day = [], 0
    for gap in gaps:
        days.append(day)
        day += gap or 1
    found = record(*(injection(each) for each in days), lab("b12", 120, "ng/L", max(days) + 1),
                   *([problem("paraesthesia", max(days) + 30)] if neuro else []))  # fmt: skip
    decision = decide(assess(found, uk, TODAY), uk)
    if max(days) <= 20:
        assert not [each for each in decision.advice if each.row.startswith("course/")]
        assert "safety/S1c" not in decision.rows


def test_a_requested_injection_quiets_what_is_due_but_not_what_is_long_overdue(uk: Pathway):
    order = OpenOrder("ServiceRequest/1", "b12-injection", ago(1))
    due = record(injection(171), injection(80), ordered(200))
    assert worst(decide(assess(due, uk, TODAY), uk)) == SEVERITY["info"]
    assert not decide(assess(replace(due, orders=(order,)), uk, TODAY), uk).advice
    late = record(injection(204), injection(114), ordered(200))
    assert worst(decide(assess(replace(late, orders=(order,)), uk, TODAY), uk)) == SEVERITY["warning"]


def test_a_medicine_of_another_kind_is_no_course(uk: Pathway):
    assert state(record(medicine("metformin")), uk) == "none"
