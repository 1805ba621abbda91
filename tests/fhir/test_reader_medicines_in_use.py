"""Medicines: when they were used, and whether they are: orders, statements, doses given, supplies."""

from __future__ import annotations

from datetime import date

import pytest

from cds_service.fhir.reasons import NO_STATUS
from tests.fhir.records import (
    METFORMIN,
    dispensed,
    given,
    medication_of,
    order,
    read,
    reasons,
    statement,
)


@pytest.mark.parametrize(
    ("status", "active"),
    [("active", True), ("on-hold", False), ("completed", False), ("stopped", False), ("unknown", False)],
)
def test_an_order_is_in_force_only_while_it_is_active(status: str, active: bool) -> None:
    found = medication_of(order(METFORMIN, status=status))
    assert (found.source, found.active, found.start, found.last) == (
        "order",
        active,
        date(2026, 1, 1),
        date(2026, 1, 1),
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "draft"},
        {"status": "cancelled"},
        {"status": "entered-in-error"},
        {"intent": "proposal"},
        {"intent": "plan"},
        {"intent": "option"},
        {"doNotPerform": True},
    ],
)
def test_an_order_that_never_was_one_is_listed(fields: dict) -> None:
    entry = order(METFORMIN, **fields)
    assert not read(entry).medications
    assert list(reasons(entry)) == ["MedicationRequest/m1"]


@pytest.mark.parametrize(
    ("fields", "end", "active"),
    [
        ({"dispenseRequest": {"validityPeriod": {"end": "2026-01-10"}}}, date(2026, 1, 10), False),
        ({"dispenseRequest": {"validityPeriod": {"end": "2026-01-15"}}}, date(2026, 1, 15), True),
        (
            {"dosageInstruction": [{"timing": {"repeat": {"boundsPeriod": {"end": "2026-01-08"}}}}]},
            date(2026, 1, 8),
            False,
        ),
        (
            {"dosageInstruction": {"timing": {"repeat": {"boundsDuration": {"value": 2, "unit": "weeks"}}}}},
            date(2026, 1, 15),
            True,
        ),
        (
            {
                "dosageInstruction": [
                    {"timing": {"repeat": {"boundsPeriod": {"end": "2026-01-08"}}}},
                    {"text": "then daily"},
                ]
            },
            None,
            True,
        ),
        (
            {"dosageInstruction": [{"timing": {"repeat": {"boundsDuration": {"value": "1E+8", "code": "a"}}}}]},
            None,
            True,
        ),
    ],
)
def test_an_order_ends_where_its_validity_or_its_instructions_end(fields: dict, end: date | None, active: bool) -> None:
    found = medication_of(order(METFORMIN, **fields))
    assert (found.end, found.active) == (end, active)


@pytest.mark.parametrize(
    ("fields", "start", "last", "end", "active"),
    [
        ({"effectivePeriod": {"start": "2020-03-01"}}, date(2020, 3, 1), date(2020, 3, 1), None, True),
        (
            {"effectivePeriod": {"start": "2020-03-01"}, "dateAsserted": "2026-01-02"},
            date(2020, 3, 1),
            date(2026, 1, 2),
            None,
            True,
        ),
        ({"effectivePeriod": {"end": "2025-12-31"}}, None, date(2025, 12, 31), date(2025, 12, 31), False),
        ({"effectiveDateTime": "2025-06"}, date(2025, 6, 30), date(2025, 6, 30), None, True),
        ({}, None, None, None, True),
        ({"status": "unknown", "dateAsserted": "2026-01-02"}, None, date(2026, 1, 2), None, False),
        ({"status": "stopped", "dateAsserted": "2026-01-02"}, None, None, None, False),
        (
            {"status": "stopped", "effectivePeriod": {"start": "2020-03-01"}, "dateAsserted": "2026-01-02"},
            date(2020, 3, 1),
            date(2020, 3, 1),
            None,
            False,
        ),
        (
            {"status": "completed", "effectivePeriod": {"start": "2025-01-01", "end": "2025-02-01"}},
            date(2025, 1, 1),
            date(2025, 2, 1),
            date(2025, 2, 1),
            False,
        ),
        ({"effectivePeriod": {"start": "2025-01-01", "end": "2027-01-01"}}, date(2025, 1, 1), date(2025, 1, 1),
         date(2027, 1, 1), True),
    ],
)  # fmt: skip
def test_when_a_statement_says_the_medicine_was_taken(
    fields: dict, start: date | None, last: date | None, end: date | None, active: bool
) -> None:
    found = medication_of(statement(METFORMIN, **fields))
    assert (found.start, found.last, found.end, found.active) == (start, last, end, active)


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "not-taken"},
        {"status": "entered-in-error"},
        {"status": "intended"},
        {"taken": "n"},
        {"wasNotTaken": True},
        {"effectivePeriod": {"start": "2026-03-01"}},
    ],
)
def test_a_statement_of_no_use_is_listed(fields: dict) -> None:
    entry = statement(METFORMIN, **fields)
    assert not read(entry).medications
    assert list(reasons(entry)) == ["MedicationStatement/m1"]


def test_a_dose_that_was_given_is_dated_and_not_in_use() -> None:
    found = medication_of(given())
    assert (found.source, found.start, found.last, found.active) == (
        "administration",
        date(2025, 12, 1),
        date(2025, 12, 1),
        False,
    )


def test_a_course_that_was_given_runs_to_its_last_day() -> None:
    found = medication_of(given(effectiveDateTime=None, effectivePeriod={"start": "2025-12-01", "end": "2025-12-12"}))
    assert (found.start, found.last) == (date(2025, 12, 1), date(2025, 12, 12))


@pytest.mark.parametrize(
    "fields",
    [{"status": each} for each in ("not-done", "entered-in-error", "on-hold", "stopped", "unknown")]
    + [{"notGiven": True}],
)
def test_a_dose_that_was_not_given_is_listed(fields: dict) -> None:
    assert not read(given(**fields)).medications
    assert list(reasons(given(**fields))) == ["MedicationAdministration/m1"]


@pytest.mark.parametrize(
    ("fields", "start", "end", "active"),
    [
        ({}, date(2025, 12, 20), None, False),
        ({"daysSupply": {"value": 28, "unit": "days"}}, date(2025, 12, 20), date(2026, 1, 17), True),
        ({"daysSupply": {"value": 7}}, date(2025, 12, 20), date(2025, 12, 27), False),
        ({"daysSupply": {"value": 3, "code": "mo"}}, date(2025, 12, 20), date(2026, 3, 21), True),
        ({"whenHandedOver": None, "whenPrepared": "2025-12-18"}, date(2025, 12, 18), None, False),
        ({"status": "in-progress"}, date(2025, 12, 20), None, False),
    ],
)
def test_a_supply_lasts_as_long_as_it_says(fields: dict, start: date, end: date | None, active: bool) -> None:
    found = medication_of(dispensed(**fields))
    assert (found.source, found.start, found.last, found.end, found.active) == ("dispense", start, start, end, active)


@pytest.mark.parametrize("status", ["cancelled", "declined", "preparation", "stopped", "on-hold", "entered-in-error"])
def test_a_supply_that_was_not_handed_over_is_listed(status: str) -> None:
    assert not read(dispensed(status=status)).medications
    assert not read(dispensed(status="unknown", whenHandedOver=None, whenPrepared="2025-12-18")).medications


@pytest.mark.parametrize("status", ["", "unknown", "surprise"])
@pytest.mark.parametrize("made", [order, statement])
def test_a_medicine_of_an_unknown_status_is_reported_and_stays_evidence_of_use(made, status):
    sent = made(METFORMIN, status=status)
    assert not medication_of(sent).active
    assert reasons(sent)[f"{sent['resourceType']}/{sent['id']}"] == NO_STATUS
    assert NO_STATUS not in reasons(made(METFORMIN, status="active")).values()
