"""Medicines that are ordered, stated to be taken, given or dispensed: one Medication per ingredient of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from ..clinical.record import Medication
from . import reasons
from .dosage import MILLILITRES, PIECES, amount_in, days_of, in_pieces, interval_of, micrograms, positive, units_of
from .index import is_reported
from .products import Constituent, described, is_dosed, route_of
from .reading import Reading, reference_of, status_of
from .resources import Dosage, Quantity, Resource, listed

CUT = 1000  # no text is searched beyond this length


class Amounts(NamedTuple):
    """Micrograms in a dose and in a day; days between doses, of several instructions the longest and the shortest."""

    dose: Decimal | None = None
    per_day: Decimal | None = None
    interval: Decimal | None = None
    shortest: Decimal | None = None


def amounts(dosages: list[Dosage], content: Constituent, source: str, reading: Reading) -> Amounts:
    """The amounts of an entry; of several instructions the largest dose and the longest interval."""
    if not is_dosed(content.ingredient, reading):
        return Amounts()
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
    if dose is None and not content.per_ml and source != "administration":
        dose = content.strength  # one tablet or ampoule: what the product's name promises
        daily = [dose / min(intervals)] if dose is not None and intervals else []
    return Amounts(dose, max(daily, default=None), max(intervals, default=None), min(intervals, default=None))


def dose_of(dosage: Dosage, content: Constituent) -> Decimal | None:
    """Micrograms of one dose: a mass, tablets of a known strength, or what the instruction says in words."""
    quantities = [dosage.dose, dosage.dose_quantity]
    for each in listed(dosage.dose_and_rate):
        quantities.append(each.dose_quantity)
        if each.dose_range is not None:
            quantities.append(each.dose_range.high or each.dose_range.low)
    found = [
        micrograms(quantity) or in_pieces(quantity, content.strength, content.per_ml)
        for quantity in quantities
        if quantity is not None
    ]
    doses = [each for each in found if each is not None]
    if doses:
        return max(doses)
    return amount_in(dosage.text[:CUT], None if content.per_ml else content.strength) if dosage.text else None


ORDERS = frozenset(("order", "original-order", "reflex-order", "filler-order", "instance-order", ""))
STATUSES = frozenset(("active", "recorded", "completed", "stopped", "on-hold", "ended"))  # that say what is the case
PAUSED = ("stopped", "on-hold")  # adherence, in R5
LONGEST_DAYS = 36500  # a supply or course beyond a hundred years is a slip of the pen


class Use(NamedTuple):
    """When an entry says that the medicine was used; or the reason why it is no exposure."""

    source: str
    dosages: list[Dosage]
    start: date | None
    last: date | None
    end: date | None
    active: bool
    reason: str
    one_day: bool = False
    pieces: Decimal | None = None
    supply: Decimal | None = None


def read_medicine(resource: Resource, reading: Reading) -> None:
    """One Medication per ingredient of ours, or the reason why the entry is no exposure."""
    medicine = described(resource, reading)
    found = medicine.constituents
    if not found:
        return
    reference = reference_of(resource)
    use = USES[resource.resource_type](resource, reading)
    reason = use.reason or (reasons.FUTURE if reading.calendar.ahead(use.start) else "")
    if reason:
        reading.ignore(reference, reason)
        return
    report_gaps(resource, use, found, reading)
    route = route_of(use.dosages, medicine, reading)
    for content in found:
        amount = amounts(use.dosages, content, use.source, reading)
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
                amount.dose,
                amount.per_day,
                amount.interval,
                content.multivitamin,
                content.antidote,
                content.recognised_by,
                amount.shortest,
                use.one_day,
                use.pieces,
                use.supply,
            )
        )


def report_gaps(resource: Resource, use: Use, found: Iterable[Constituent], reading: Reading) -> None:
    """Report what an entry that counts does not say."""
    if use.source in ("order", "statement") and status_of(resource) not in STATUSES:
        reading.ignore(reference_of(resource), reasons.NO_STATUS)  # it counts as used on its day, and perhaps not now
    cobalamins = reading.groups.get("cobalamin", frozenset())
    if use.last is None and any(each.ingredient in cobalamins for each in found):  # of its dates a course is made
        reading.ignore(reference_of(resource), reasons.UNDATED)


def ordered(resource: Resource, reading: Reading) -> Use:
    """MedicationRequest. On hold, stopped or completed is not in force; a draft or proposal never was.

    A plan is none either, but one that is reported (US Core: what the patient says) or on which an order is based (GP
    Connect: a repeat template and its issues).
    """
    status, intent = status_of(resource), (resource.intent or "").strip().lower()
    reported = is_reported(resource)
    issued = intent == "plan" and reference_of(resource) in reading.issued_plans
    reason = ""
    if resource.do_not_perform:
        reason = reasons.DO_NOT_PERFORM
    elif intent not in ORDERS and not issued and not (intent == "plan" and reported):
        reason = reasons.PROPOSAL
    elif status in ("entered-in-error", "cancelled", "draft"):
        reason = reasons.of_status(status)
    calendar, dosages = reading.calendar, listed(resource.dosage_instruction)
    written = calendar.day(resource.authored_on) or calendar.day(resource.date_written)
    request = resource.dispense_request
    end = bounds_end(dosages, written, reading)
    if end is None and request is not None:
        end = calendar.ends(request.validity_period)
    if calendar.ahead(written):
        calendar.met_no_date, written = True, None
    active = status == "active" and (end is None or end >= reading.today)
    return Use("statement" if reported else "order", dosages, written, written, end, active, reason)


def stated(resource: Resource, reading: Reading) -> Use:
    """MedicationStatement. Of an unknown status it is evidence of use on its day, but not of use now."""
    status, adherence = status_of(resource), adherence_of(resource)
    reason = ""
    if adherence == "not-taking" or (resource.taken or "").strip().lower() == "n" or resource.was_not_taken:
        reason = reasons.NOT_TAKEN
    elif status in ("not-taken", "entered-in-error", "intended", "draft", "cancelled"):
        reason = reasons.of_status(status)
    calendar, dosages = reading.calendar, listed(resource.dosage)
    asserted = calendar.day(resource.date_asserted)
    start = calendar.starts(resource.effective_period) or calendar.day(resource.effective_date_time)
    end = calendar.ends(resource.effective_period) or bounds_end(dosages, start, reading)
    known = [each for each in (start, end) if each is not None and not calendar.ahead(each)]
    active = status in ("active", "recorded") and (end is None or end >= reading.today) and adherence not in PAUSED
    if asserted is not None and not calendar.ahead(asserted) and (active or (not known and status != "stopped")):
        known.append(asserted)
    single = resource.effective_date_time is not None and resource.effective_period is None
    one_day = start is not None and (single or start == end)
    return Use("statement", dosages, start, max(known, default=None), end, active, reason, one_day)


def adherence_of(resource: Resource) -> str:
    """What an R5 statement says of the use: "taking", "not-taking", "stopped" ..., or ""."""
    concept = resource.adherence.code if resource.adherence is not None else None
    return next((each.code for each in listed(concept.coding) if each.code), "") if concept is not None else ""


def given(resource: Resource, reading: Reading) -> Use:
    """MedicationAdministration: a dose that was given."""
    status = status_of(resource)
    reason = "" if status in ("completed", "in-progress") else reasons.of_status(status)
    if resource.not_given or resource.was_not_given:
        reason = reasons.NOT_DONE
    calendar = reading.calendar
    period = resource.effective_period or resource.occurence_period
    start = calendar.day(resource.effective_date_time or resource.occurence_date_time) or calendar.starts(period)
    end = calendar.ends(period)
    last = end if end is not None and not calendar.ahead(end) else start
    dosages = listed(resource.dosage)
    return Use("administration", dosages, start or last, last, end, status == "in-progress", reason)


def dispensed(resource: Resource, reading: Reading) -> Use:
    """MedicationDispense: a supply handed over, which lasts for as many days as it says."""
    status, day = status_of(resource), reading.calendar.day
    handed = day(resource.when_handed_over)
    counts = status == "completed" or (handed is not None and status in ("in-progress", "unknown", ""))
    reason = "" if counts else reasons.of_status(status)
    start = handed or day(resource.when_prepared)
    end = after(start, resource.days_supply)
    active = end is not None and end >= reading.today
    pieces, supply = pieces_of(resource.quantity), days_of(resource.days_supply)
    dosages = listed(resource.dosage_instruction)
    return Use("dispense", dosages, start, start, end, active, reason, pieces=pieces, supply=supply)


def pieces_of(quantity: Quantity | None) -> Decimal | None:
    """So many ampoules, vials or millilitres of 1 mg/ml; None for what is no count."""
    if quantity is None or not positive(quantity.value):
        return None
    units = units_of(quantity)
    is_count = not units or PIECES.union(MILLILITRES).intersection(units)
    return quantity.value if is_count else None


USES: Mapping[str, Callable[[Resource, Reading], Use]] = {
    "MedicationRequest": ordered,
    "MedicationStatement": stated,
    "MedicationAdministration": given,
    "MedicationDispense": dispensed,
}


def bounds_end(dosages: list[Dosage], start: date | None, reading: Reading) -> date | None:
    """The day on which the last of the instructions ends; None if one of them has no end."""
    ends: list[date] = []
    for dosage in dosages:
        repeat = dosage.timing.repeat if dosage.timing is not None else None
        if repeat is None:
            return None
        end = reading.calendar.ends(repeat.bounds_period) or after(start, repeat.bounds_duration)
        if end is None:
            return None
        ends.append(end)
    return max(ends, default=None)


def after(start: date | None, duration: Quantity | None) -> date | None:
    """The day on which a supply or a course that begins on that day ends."""
    days = days_of(duration)
    if start is None or days is None:
        return None
    room = min(LONGEST_DAYS, (date.max - start).days)
    return start + timedelta(days=int(days)) if 0 < days <= room else None
