"""Injections now (6.3.1): whether they count as treatment, when the next is due, and the treatment that ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from .case import Because, Case
from .course import by_mouth, injections, is_enough, is_in_force
from .record import OpenOrder
from .rules import Found, Rules
from .tables import months_before

RULES = Rules()
finding, step = RULES.finding, RULES.step

RULES.limit("due-soon", "days", "The next injection is announced before it is due by")
RULES.limit("order-near", "days", "An order is for the same thing if its day differs by at most")
RULES.limit("overdue-long", "days", "An overdue injection is a warning after more than")
RULES.limit("tablets-window", "days", "Tablets that ended count as treatment for")
RULES.limit("no-dose", "months", "Injections begin again with loading after a gap of")


# --- Injections now


def dose_evidence(case: Case) -> list[Because]:
    """The last dose."""
    return [
        Because(reference, case.words("injection", date=case.written(day))) for day, reference in case.course.doses[-1:]
    ]


def order_evidence(case: Case) -> list[Because]:
    """The first order since the last dose: renewals of a repeat say nothing new."""
    first = case.course.first_order or next(iter(case.course.orders), None)
    return [Because(first.reference, case.words("injections-ordered", date=case.written(first.begun)))] if first else []


@finding(
    "on_im",
    "B12 is given by injection now: a recent dose, or an order where none is missing yet",
    follows_from="course",
)
def on_im(case: Case) -> Found:
    if case.course.by_dose:
        return dose_evidence(case)
    return order_evidence(case) if case.course.by_order else None


@finding("on_im_by_dose", "B12 injections: the last dose still counts as treatment", follows_from="course")
def on_im_by_dose(case: Case) -> Found:
    return dose_evidence(case) if case.course.by_dose else None


@finding("on_im_by_order", "B12 injections are ordered, and no dose that counts is recorded", follows_from="course")
def on_im_by_order(case: Case) -> Found:
    return order_evidence(case) if case.course.by_order else None


@finding(
    "no_dose_recorded",
    "no dose of B12 by injection is recorded although doses are recorded here",
    follows_from="course dose_record",
    of_nothing=True,
)
def no_dose_recorded(case: Case) -> Found:
    is_missing = not case.course.doses and case.doses_are_recorded
    return order_evidence(case) or (Because("", case.words("no-injection")),) if is_missing else None


@finding(
    "doses_not_recorded",
    "whether injections were given cannot be told: doses are not recorded or not readable",
    follows_from="dose_record",
    of_nothing=True,
)
def doses_not_recorded(case: Case) -> Found:
    return None if case.doses_are_recorded else (Because("", case.words("doses-elsewhere")),)


@finding(
    "newly_ordered",
    "B12 injections were ordered only recently",
    follows_from="course on_im_by_order",
    limits="order-new",
)
def newly_ordered(case: Case) -> Found:
    first = case.course.first_order
    new = first and case.limits.within_days("order-new", first.begun, case.today)
    return case.joined(("on_im_by_order",)) if new else None


@finding("injection_order", "an order for B12 injections stands", follows_from="course", limits="im-order")
def injection_order(case: Case) -> Found:
    """An active order stands however old it is, and a second beside it would be given twice; what says of itself less
    than that, only while it counts as treatment."""
    active = {entry.reference for entry in injections(case) if entry.active and entry.source == "order"}
    standing = [each for each in case.course.orders if each.reference in active or is_in_force(case, each, case.today)]
    return [
        Because(each.reference, case.words("injections-ordered", date=case.written(each.renewed))) for each in standing
    ]


@finding(
    "injection_asked_for",
    "the next B12 injection is already requested",
    follows_from="course",
    limits="order-near",
    reads="open orders",
)
def injection_asked_for(case: Case) -> Found:
    """For about the day on which it is due; one without a day, if it was written since the last dose."""
    due, last = case.course.due, case.course.last
    day = max(due, case.today) if due else case.today
    asked = [each for each in case.record.orders if each.orderable == "b12-injection"]
    return [Because(each.reference, case.words("ordered")) for each in asked if is_about(case, each, day, last)]


def is_about(case: Case, order: OpenOrder, day: date, since: date | None) -> bool:
    """Is the order for about that day? One that names none, if it was not written before `since`."""
    if order.planned is not None:
        return abs((order.planned - day).days) <= case.limits.days("order-near")
    return since is None or order.written is None or order.written >= since


@finding("overdue", "the next B12 injection is overdue", follows_from="course on_im_by_dose")
def overdue(case: Case) -> Found:
    due = case.course.due
    return case.joined(("on_im_by_dose",)) if due and due < case.today else None


@finding(
    "overdue_long", "the next B12 injection is overdue for long", follows_from="course overdue", limits="overdue-long"
)
def overdue_long(case: Case) -> Found:
    due = case.course.due
    late = (case.today - due).days if due else 0
    return case.joined(("overdue",)) if late > case.limits.days("overdue-long") else None


@finding(
    "due_soon", "the next B12 injection is due today or soon", follows_from="course on_im_by_dose", limits="due-soon"
)
def due_soon(case: Case) -> Found:
    due = case.course.due
    left = (due - case.today).days if due else -1
    return case.joined(("on_im_by_dose",)) if 0 <= left <= case.limits.days("due-soon") else None


# --- Treatment that ended


@dataclass(frozen=True, slots=True)
class Ended:
    """The last treatment that no longer counts: its last day, and for how many days it counted after that."""

    last: date
    window: int
    reference: str
    by_injection: bool


@step("ended", follows_from="course on_im on_oral", medicines="cobalamin", limits="tablets-window oral-dose")
def ended(case: Case) -> bool:
    """LAPSED: doses, or enough B12 by mouth, that have ended; and nothing that counts now."""
    case.ended = None
    if case.has("on_im", "on_oral"):
        return False
    found = [Ended(day, case.course.window, reference, True) for day, reference in case.course.doses[-1:]]
    for entry in by_mouth(case):
        last = entry.end or entry.last or entry.start
        if last and last <= case.today and not entry.active and is_enough(case, entry):
            found.append(Ended(last, case.limits.days("tablets-window"), entry.reference, False))
    case.ended = max(found, key=lambda each: (each.last, each.by_injection), default=None)
    return case.ended is not None


@finding("treatment_ended", "B12 was given before, and has ended", follows_from="ended")
def treatment_ended(case: Case) -> Found:
    if case.ended is None:
        return None
    key = "injection" if case.ended.by_injection else "by-mouth-until"
    return (Because(case.ended.reference, case.words(key, date=case.written(case.ended.last))),)


@finding("ended_injections", "B12 injections were given before, and have ended", follows_from="ended treatment_ended")
def ended_injections(case: Case) -> Found:
    return case.joined(("treatment_ended",)) if case.ended and case.ended.by_injection else None


@finding(
    "no_dose_for_a_year",
    "no B12 injection is recorded for a year",
    follows_from="course",
    limits="no-dose",
    of_nothing=True,
)
def no_dose_for_a_year(case: Case) -> Found:
    year_ago = months_before(case.today, case.limits.days("no-dose"))
    if any(day >= year_ago for day, _ in case.course.doses):
        return None
    return dose_evidence(case) or (Because("", case.words("no-injection")),)
