"""Medicines that are ordered, stated to be taken, given or dispensed: one Medication per ingredient of ours."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from ..clinical.record import Medication
from . import reasons
from .products import Content, contents, product_of
from .reading import Reading, reference_of, status_of
from .resources import Dosage, Period, Quantity, Resource, listed
from .routes import route_of
from .strengths import amount_in, in_pieces, micrograms
from .timing import DAYS, SPAN, interval_of
from .values import digits

ORDERS = frozenset(("order", "original-order", "reflex-order", "filler-order", "instance-order", ""))
LONGEST_DAYS = 36500  # a supply or course beyond a hundred years is a slip of the pen
DOSED = ("cobalamin", "folic", "folinic", "methotrexate")  # groups whose dose decides something


class Use(NamedTuple):
    """When an entry says that the medicine was used."""

    source: str
    start: date | None
    last: date | None
    end: date | None
    active: bool


def read_order(resource: Resource, reading: Reading) -> None:
    """MedicationRequest. On hold, stopped or completed is not in force; a draft or proposal never was."""
    status = status_of(resource)
    reason = ""
    if resource.do_not_perform:
        reason = reasons.DO_NOT_PERFORM
    elif (resource.intent or "").strip().lower() not in ORDERS:
        reason = reasons.PROPOSAL
    elif status in ("entered-in-error", "cancelled", "draft"):
        reason = reasons.of_status(status)
    day, dosages = reading.calendar.day, listed(resource.dosage_instruction)
    written = day(resource.authored_on) or day(resource.date_written)
    request = resource.dispense_request
    end = bounds_end(dosages, written, reading)
    if end is None and request is not None:
        end = reading.calendar.ends(request.validity_period)
    active = status == "active" and (end is None or end >= reading.today)
    add(resource, dosages, Use("order", written, written, end, active), reason, reading)


def read_statement(resource: Resource, reading: Reading) -> None:
    """MedicationStatement. Of an unknown status it is evidence of use on its day, but not of use now."""
    status = status_of(resource)
    reason = ""
    if resource.taken == "n" or resource.was_not_taken:
        reason = reasons.NOT_TAKEN
    elif status in ("not-taken", "entered-in-error", "intended", "draft", "cancelled"):
        reason = reasons.of_status(status)
    calendar, dosages = reading.calendar, listed(resource.dosage)
    asserted = calendar.day(resource.date_asserted)
    start = calendar.starts(resource.effective_period) or calendar.day(resource.effective_date_time)
    end = calendar.ends(resource.effective_period) or bounds_end(dosages, start, reading)
    known = [each for each in (start, end) if each is not None and not calendar.ahead(each)]
    in_use = status == "active" and (end is None or end >= reading.today)
    if asserted is not None and not calendar.ahead(asserted) and (in_use or (not known and status != "stopped")):
        known.append(asserted)
    add(resource, dosages, Use("statement", start, max(known, default=None), end, in_use), reason, reading)


def read_administration(resource: Resource, reading: Reading) -> None:
    """MedicationAdministration: a dose that was given."""
    status = status_of(resource)
    reason = "" if status in ("completed", "in-progress") else reasons.of_status(status)
    if resource.not_given or resource.was_not_given:
        reason = reasons.NOT_DONE
    calendar = reading.calendar
    start = calendar.day(resource.effective_date_time) or calendar.starts(resource.effective_period)
    end = calendar.ends(resource.effective_period)
    last = end if end is not None and not calendar.ahead(end) else start
    use = Use("administration", start or last, last, end, status == "in-progress")
    add(resource, listed(resource.dosage), use, reason, reading)


def read_dispense(resource: Resource, reading: Reading) -> None:
    """MedicationDispense: a supply handed over, which lasts for as many days as it says."""
    status, day = status_of(resource), reading.calendar.day
    handed = day(resource.when_handed_over)
    counts = status == "completed" or (handed is not None and status in ("in-progress", "unknown", ""))
    reason = "" if counts else reasons.of_status(status)
    start = handed or day(resource.when_prepared)
    end = after(start, resource.days_supply)
    active = end is not None and end >= reading.today
    add(resource, listed(resource.dosage_instruction), Use("dispense", start, start, end, active), reason, reading)


def add(resource: Resource, dosages: list[Dosage], use: Use, reason: str, reading: Reading) -> None:
    """One Medication per ingredient of ours, or the reason why the entry is no exposure."""
    product = product_of(resource, reading)
    found = contents(resource, product, reading)
    if not found:
        return
    reference = reference_of(resource)
    if not reason and reading.calendar.ahead(use.start):
        reason = reasons.FUTURE
    if reason:
        reading.ignore(reference, reason)
        return
    route = route_of(dosages, product, reading)
    for content in found:
        dose, per_day, interval = amounts(dosages, content, use, reading)
        reading.medications.append(
            Medication(
                reference,
                content.ingredient,
                use.source,
                route,
                use.start,
                use.last,
                use.end,
                use.active,
                dose,
                per_day,
                interval,
                content.multivitamin,
                content.antidote,
                content.recognised_by,
            )
        )


def amounts(
    dosages: list[Dosage], content: Content, use: Use, reading: Reading
) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    """(dose, dose a day, days between doses); of several instructions the largest dose and the longest interval."""
    if not any(content.ingredient in reading.groups.get(group, ()) for group in DOSED):
        return None, None, None
    doses, daily, intervals = [], [], []
    for dosage in dosages:
        dose, interval = dose_of(dosage, content), interval_of(dosage)
        if dose is not None:
            doses.append(dose)
        if interval:
            intervals.append(interval)
        if dose is not None and interval:
            daily.append(dose / interval)
    dose = max(doses, default=None)
    if dose is None and not content.per_ml and use.source != "administration":
        dose = content.strength  # one tablet or ampoule: what the product's name promises
        daily = [dose / min(intervals)] if dose is not None and intervals else []
    return dose, max(daily, default=None), max(intervals, default=None)


def dose_of(dosage: Dosage, content: Content) -> Decimal | None:
    """Micrograms of one dose: a mass, tablets of a known strength, or what the instruction says in words."""
    quantities = [dosage.dose, dosage.dose_quantity]
    for each in listed(dosage.dose_and_rate):
        quantities.append(each.dose_quantity)
        if each.dose_range is not None:
            quantities += [each.dose_range.high or each.dose_range.low]
    found = [
        micrograms(quantity) or in_pieces(quantity, content.strength, content.per_ml)
        for quantity in quantities
        if quantity is not None
    ]
    doses = [each for each in found if each is not None]
    if doses:
        return max(doses)
    return amount_in(dosage.text[:1000], None if content.per_ml else content.strength) if dosage.text else None


def bounds_end(dosages: list[Dosage], start: date | None, reading: Reading) -> date | None:
    """The day on which the last of the instructions ends; None if one of them has no end."""
    ends = []
    for dosage in dosages:
        repeat = dosage.timing.repeat if dosage.timing is not None else None
        if repeat is None:
            return None
        period: Period | None = repeat.bounds_period
        ends.append(reading.calendar.ends(period) or after(start, repeat.bounds_duration))
    return max(ends) if ends and None not in ends else None


def after(start: date | None, duration: Quantity | None) -> date | None:
    """The day on which a supply or a course from that day on ends; a number without a unit is one of days."""
    if start is None or duration is None or duration.value is None or not digits(duration.value):
        return None
    unit = (duration.code or duration.unit or "d").strip().lower()
    factor = DAYS.get(unit) or SPAN.get(unit.rstrip("s"))
    if factor is None:
        return None
    days = int(duration.value * factor)
    room = (date.max - start).days
    return start + timedelta(days=days) if 0 < days <= min(LONGEST_DAYS, room) else None
