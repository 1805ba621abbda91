"""B12 treatment, now and on the day of a result: injections, their doses and orders, and B12 by mouth (6.1)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from .case import Because, Case, Evidence, written
from .limits import days_before, months_before
from .record import Medication, Order

PARENTERAL = ("im", "sc", "iv", "injection")


def treats(entry: Medication) -> bool:
    """Is this B12 treatment at all? A multivitamin and a cyanide kit are not."""
    return not entry.multivitamin and not entry.antidote


def by_injection(entry: Medication | Order) -> bool:
    """Given by injection; hydroxocobalamin of no stated route is an injection, the tablet being rare."""
    return entry.route in PARENTERAL or (not entry.route and entry.ingredient == "hydroxocobalamin")


def cobalamins(case: Case) -> list[Medication]:
    return [entry for entry in case.medicines("cobalamin") if treats(entry)]


def injections(case: Case) -> list[Medication]:
    return [entry for entry in cobalamins(case) if by_injection(entry)]


def dose_days(case: Case) -> list[tuple[date, str]]:
    """The days on which an injection was given, dispensed or stated, oldest first, with the reference of each."""
    days = []
    for entry in injections(case):
        if entry.source == "order":
            continue
        days += [(day, entry.reference) for day in {entry.start, entry.last} - {None} if day <= case.today]
    for problem in case.problems.get("b12-injections-recorded", ()):
        day = problem.recorded or problem.onset
        if day and day <= case.today:
            days.append((day, problem.reference))
    return sorted(days)


def window(case: Case) -> int:
    """For how many days an injection counts as treatment: a fixed time, longer for a longer recorded interval."""
    limits = case.limits
    intervals = [entry.interval for entry in injections(case) if entry.interval]
    longest = max(intervals) * limits["im-window-factor"] if intervals else Decimal(0)
    return min(max(limits.days("im-window"), int(longest)), limits.days("im-window-most"))


def dosed(case: Case, day: date, until: date) -> Evidence:
    """The newest dose up to `until` that still counts as treatment on that day."""
    earliest = days_before(day, window(case))
    given = [(when, reference) for when, reference in case.doses if earliest <= when <= until]
    return (Because(given[-1][1], f"B12 injection on {written(given[-1][0])}"),) if given else ()


def course_start(case: Case) -> date | None:
    """The first dose of the present course: no gap since then that is longer than a dose counts as treatment."""
    start = None
    for day, _ in reversed(case.doses):
        if start is not None and (start - day).days > window(case):
            break
        start = day
    return start


def ordered(case: Case, day: date) -> Evidence:
    """Injections in force on that day by order, or by a statement without any date."""
    found = []
    for entry in injections(case):
        undated = entry.source == "statement" and not (entry.start or entry.last)
        if not entry.active or (entry.source != "order" and not undated):
            continue
        if undated or (in_force(case, entry, day)):
            found.append(Because(entry.reference, f"B12 injections ordered, {written(entry.last)}"))
    return tuple(found)


def in_force(case: Case, entry: Medication, day: date) -> bool:
    """Written on or before that day, and written or renewed recently enough."""
    begun = entry.start or entry.last
    return begun is not None and begun <= day and case.limits.within_days("im-order", entry.last or begun, case.today)


def assess_injections(case: Case) -> None:
    """ON_IM, LAPSED, and what is known of the doses."""
    doses, orders = dosed(case, case.today, case.today), ordered(case, case.today)
    case.add("on_im", doses + orders)
    if case.has("on_im") and not case.doses:
        case.add("no_dose_recorded", orders)
    if orders and not doses:
        case.add("on_im_order_only", orders)
    ever = [
        Because(entry.reference, f"B12 injections, {written(entry.last or entry.start)}") for entry in injections(case)
    ] + [Because(reference, f"B12 injection on {written(day)}") for day, reference in case.doses[-1:]]
    if ever and not case.has("on_im"):
        case.add("lapsed", ever[-1:])
    if case.limits.states("no_dose_for_a_year"):
        year_ago = months_before(case.today, case.limits.days("no-dose"))
        if not any(day >= year_ago for day, _ in case.doses):
            case.add("no_dose_for_a_year", ever[-1:] or (Because("", "no B12 injection recorded"),))


def assess_oral(case: Case) -> None:
    """ON_ORAL: enough B12 by mouth (or of no stated dose), in use or stopped only recently."""
    case.oral = [entry for entry in cobalamins(case) if not by_injection(entry) and taken_on(case, entry, case.today)]
    case.add("on_oral", [Because(entry.reference, f"{case.display(entry.ingredient)} by mouth") for entry in case.oral])


def taken_on(case: Case, entry: Medication, day: date) -> bool:
    """Does this oral entry count as treatment on that day?"""
    if entry.per_day is not None and entry.per_day < case.limits["oral-dose"]:
        return False
    if entry.start and entry.start > day:
        return False
    stopped = entry.end or (None if entry.active else entry.last)
    if stopped is None:
        return entry.active
    return stopped > days_before(day, case.limits.days("oral-stopped"))


def treated_on(case: Case, day: date) -> bool:
    """Did ON_IM or ON_ORAL hold before that day? A result taken then does not show the untreated state.

    Blood is taken before the first dose of the same day, so what began on the day itself does not count.
    """
    before = days_before(day, 1)
    if dosed(case, day, before) or ordered(case, before):
        return True
    begun = [each for each in cobalamins(case) if not by_injection(each) and (each.start is None or each.start < day)]
    return any(taken_on(case, entry, day) for entry in begun)


def oral_start(case: Case) -> date | None:
    """When the present oral treatment began, as far as any entry says."""
    starts = [entry.start for entry in case.oral if entry.start]
    return min(starts) if starts else None
