"""The course of B12 treatment (6.1, 6.3.1): days of doses, runs, the interval and the next due date, and what follows.

One `Course` is worked out for each patient: when injections were given or ordered, whether they count as treatment
today (ON_IM), when the present course began, how far its loading phase has come, and when the next dose is due.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

from .case import Because, Case
from .record import DOSES_STAND_IN, Medication, Order
from .rules import Found, Rules
from .tables import Limits, days_before, months_before

PARENTERAL = ("im", "sc", "iv", "injection")
MICROGRAMS_IN_MG = Decimal(1000)
MONTH = Decimal("30.4375")  # days, as the reader of dosages counts them

RULES = Rules()
finding, step, any_of, all_of = RULES.finding, RULES.step, RULES.any_of, RULES.all_of

RULES.limit("im-window", "days", "An injection counts as treatment for")
RULES.limit("im-window-factor", "times", "or, if that is longer, for the interval times")
RULES.limit("im-window-most", "days", "but never for longer than")
RULES.limit("im-order", "days", "An order for injections counts for")
RULES.limit("order-doses", "months", "An order alone is treatment if no dose is recorded within")
RULES.limit("order-new", "days", "A first order is new, and the dose not missed, for")
RULES.limit("dispense-same-dose", "days", "A dispensed dose is the one that is given within")
RULES.limit("dispense-opens", "days", "Several ampoules are an order if no dose was given within")
RULES.limit("run-gap", "days", "Doses are one run while the gap is at most")
RULES.limit("loading-gap", "days", "Loading has stopped after a gap of more than")
RULES.limit("loading-count", "doses", "Loading is complete with")
RULES.limit("loading-days", "days", "and, in every patient, over at least", optional=True, refines=True)
RULES.limit("loading-days-neuro", "days", "and, with neurological signs, over at least", optional=True, refines=True)
RULES.limit("loading-result", "days", "Loading is meant if a low or uncertain result lies before it by at most")
RULES.limit("loading-coded", "months", "Loading is not meant if deficiency was recorded longer before it than")
RULES.limit("loading-order", "days", "Loading is meant if its order lies before it by at most")
RULES.limit("loading-interval", "days", "Doses are loading doses if ordered at least every")
RULES.limit("loading-review", "days", "Loading with neurological signs is reviewed from day")
RULES.limit("interval-ordered", "days", "An ordered interval is that of upkeep from")
RULES.limit("interval-least", "days", "A gap is an interval of upkeep from")
RULES.limit("interval-most", "days", "and up to")
RULES.limit("interval-alike", "times", "Two gaps are alike up to a factor of")
RULES.limit("interval-neuro", "months", "The interval with neurological signs is")
RULES.limit("interval-diet", "months", "The interval where diet is the only cause is")
RULES.limit("interval-usual", "months", "The interval otherwise is")
RULES.limit("switch-gap", "days", "Injections have been replaced by tablets after a gap of more than")
RULES.limit("lapsed-within", "months", "Lapsed treatment is asked about for")
RULES.limit("lapsed-doses", "doses", "Lapsed treatment without a recorded reason counts from")
RULES.limit("answered-oral", "days", "Tablets answer a result if taken for")
RULES.limit("oral-dose", "microgram/day", "B12 by mouth is treatment from")
RULES.limit("oral-stopped", "days", "B12 by mouth that was stopped counts for")


@dataclass(frozen=True, slots=True)
class Interval:
    """The time between two doses of upkeep. `stated`: an order, dispensing or statement says so."""

    length: int
    in_months: bool
    stated: bool = False

    def after(self, day: date) -> date:
        """The day on which the next dose is due."""
        return months_before(day, -self.length) if self.in_months else day + timedelta(days=self.length)


@dataclass(frozen=True, slots=True)
class OrderDay:
    """An order for injections that stands: the day on which it was first written, and last renewed (None: not said)."""

    reference: str
    begun: date | None
    renewed: date | None


@dataclass(frozen=True, slots=True)
class Run:
    """The newest doses that follow each other closely: how many, the first day and the last."""

    count: int
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Course:
    """B12 by injection, as far as the record tells. `start` is the first day of the present course (None: none)."""

    doses: tuple[tuple[date, str], ...]  # oldest first, one a day, with the reference of each
    orders: tuple[OrderDay, ...]
    interval: Interval
    window: int  # days for which a dose counts as treatment
    due: date | None
    run: Run | None
    start: date | None
    by_dose: bool
    by_order: bool
    first_order: OrderDay | None  # the first order since the last dose

    @property
    def last(self) -> date | None:
        """The day of the last dose."""
        return self.doses[-1][0] if self.doses else None


# --- What is B12 treatment


def treats(entry: Medication) -> bool:
    """Is this B12 treatment at all? A multivitamin and a cyanide kit are not."""
    return not entry.multivitamin and not entry.antidote


def by_injection(entry: Medication | Order) -> bool:
    """Given by injection; hydroxocobalamin of no stated route is an injection, the tablet being rare."""
    return entry.route in PARENTERAL or (not entry.route and entry.ingredient == "hydroxocobalamin")


def cobalamins(case: Case) -> list[Medication]:
    """The entries that are B12 treatment, by whatever route."""
    return [entry for entry in case.medicines("cobalamin") if treats(entry)]


def injections(case: Case) -> list[Medication]:
    """The entries about B12 by injection."""
    return [entry for entry in cobalamins(case) if by_injection(entry)]


def taken_on(case: Case, entry: Medication, day: date) -> bool:
    """Does this oral entry count as treatment on that day?"""
    if not is_enough(case, entry) or (entry.start and entry.start > day):
        return False
    stopped = entry.end or (None if entry.active else entry.last)
    if stopped is None:
        return entry.active
    return stopped > days_before(day, case.limits.days("oral-stopped"))


def is_enough(case: Case, entry: Medication) -> bool:
    """B12 by mouth in a dose that is treatment, or of no stated dose."""
    return entry.per_day is None or entry.per_day >= case.limits["oral-dose"]


def by_mouth(case: Case) -> list[Medication]:
    """The entries about B12 that is not injected."""
    return [entry for entry in cobalamins(case) if not by_injection(entry)]


@step("oral", medicines="cobalamin", limits="oral-dose oral-stopped")
def oral(case: Case) -> bool:
    """Enough B12 by mouth (or of no stated dose), in use or stopped only recently."""
    case.oral = [entry for entry in by_mouth(case) if taken_on(case, entry, case.today)]
    return bool(case.oral)


@finding("on_oral", "B12 is taken by mouth in a dose that counts as treatment", follows_from="oral")
def on_oral(case: Case) -> Found:
    return by_mouth_evidence(case, case.oral)


def by_mouth_evidence(case: Case, entries: Iterable[Medication]) -> list[Because]:
    return [Because(entry.reference, by_mouth_in_words(case, entry)) for entry in entries]


def by_mouth_in_words(case: Case, entry: Medication) -> str:
    """ "cyanocobalamin 50 micrograms a day by mouth"; without the dose where it is not known."""
    medicine, words = case.display(entry.ingredient), case.pathway.messages
    if entry.per_day is None:
        return words["oral.no-dose"].format(medicine=medicine)
    whole = entry.per_day >= MICROGRAMS_IN_MG
    number = (entry.per_day / MICROGRAMS_IN_MG if whole else entry.per_day).normalize()
    return words["oral.mg" if whole else "oral.micrograms"].format(medicine=medicine, n=f"{number:f}")


def oral_start(case: Case) -> date | None:
    """When the present oral treatment began, as far as any entry says."""
    return min((entry.start for entry in case.oral if entry.start), default=None)


# --- Days of doses, and orders


def given_days(case: Case) -> list[tuple[date, str]]:
    """Days on which an injection was given, or stated to have been given."""
    days = []
    for entry in injections(case):
        if entry.source == "administration" or (entry.source == "statement" and entry.one_day):
            days += [(day, entry.reference) for day in {entry.start, entry.last} if day]
    for problem in case.problems.get("b12-injections-recorded", ()):
        day = problem.recorded or problem.onset
        if day:
            days.append((day, problem.reference))
    return [(day, reference) for day, reference in days if day <= case.today]


@step("dose_record", medicines="cobalamin", reads="whether the site records doses, and whether they could be read")
def dose_record(case: Case) -> bool:
    """Does a missing dose mean anything? Not where injections are not recorded, or their record could not be read."""
    record = case.record
    readable = (DOSES_STAND_IN & record.published) - record.unread(DOSES_STAND_IN)
    known = bool(given_days(case)) or any(each.source == "dispense" for each in injections(case))
    case.doses_are_recorded = case.pathway.doses_recorded and (known or bool(readable))
    return case.doses_are_recorded


def supplied(case: Case) -> tuple[list[tuple[date, Medication]], list[Medication]]:
    """Dispensings that stand for a dose, and those of several ampoules that open a course and stand for an order.

    A dispensing that a dose follows soon is that same dose.
    """
    limits, given = case.limits, sorted({day for day, _ in given_days(case)})
    same, opens = timedelta(days=limits.days("dispense-same-dose")), limits.days("dispense-opens")
    doses: list[tuple[date, Medication]] = []
    taken: list[date] = []  # the days of `doses`
    orders: list[Medication] = []
    entries = [(each.start, each) for each in injections(case) if each.source == "dispense" and each.start]
    for day, entry in sorted(entries, key=lambda each: (each[0], each[1].reference)):
        if day > case.today or is_one_in(given, day, day + same):
            continue
        before = any(is_one_in(days, days_before(day, opens), days_before(day, 1)) for days in (given, taken))
        if entry.pieces is not None and entry.pieces >= 2 and not before:
            orders.append(entry)
        else:
            doses.append((day, entry))
            taken.append(day)
    return doses, orders


def is_one_in(days: list[date], first: date, last: date) -> bool:
    """Is any of the days, oldest first, among those from `first` to `last`?"""
    place = bisect_left(days, first)
    return place < len(days) and days[place] <= last


def each_day_once(days: Iterable[tuple[date, str]]) -> tuple[tuple[date, str], ...]:
    """Oldest first; of two entries about one day the first by reference."""
    found: dict[date, str] = {}
    for day, reference in sorted(days):
        found.setdefault(day, reference)
    return tuple(found.items())


def standing_orders(case: Case, opened: Iterable[Medication]) -> tuple[OrderDay, ...]:
    """Active orders, statements of use over some time, and ampoules that were dispensed to begin with; oldest first."""
    found = [OrderDay(entry.reference, entry.start, entry.start) for entry in opened]
    for entry in injections(case):
        is_use = entry.source == "statement" and not entry.one_day
        if entry.active and (entry.source == "order" or is_use):
            found.append(OrderDay(entry.reference, entry.start or entry.last, entry.last or entry.start))
    return tuple(sorted(found, key=lambda each: (each.begun or date.min, each.reference)))


# --- Runs, interval, window


def runs(days: Iterable[date], gap: int) -> Iterator[list[date]]:
    """Days in order, cut where the gap is longer."""
    run: list[date] = []
    for day in days:
        if run and (day - run[-1]).days > gap:
            yield run
            run = []
        run.append(day)
    if run:
        yield run


def newest_run(days: list[date], limits: Limits) -> Run | None:
    """The newest run of doses."""
    last: list[date] = []
    for each in runs(days, limits.days("run-gap")):
        last = each
    return Run(len(last), last[0], last[-1]) if last else None


def stated_interval(case: Case) -> Interval | None:
    """What the newest order, dispensing or statement says that gives an interval of upkeep."""
    least = case.limits.days("interval-ordered")
    stating = [
        each
        for each in injections(case)
        if each.source != "administration" and each.interval is not None and each.interval >= least
    ]
    newest = max(stating, key=lambda each: (each.last or each.start or date.min, each.reference), default=None)
    return in_calendar(newest.interval) if newest and newest.interval else None


def in_calendar(days: Decimal) -> Interval:
    """So many days; whole months and years by the calendar."""
    months = days / MONTH
    if months == months.to_integral_value():
        return Interval(int(months), in_months=True, stated=True)
    return Interval(int(days), in_months=False, stated=True)


def measured_interval(days: list[date], limits: Limits) -> Interval | None:
    """The shorter of the last two gaps that are intervals of upkeep, if they are alike; or the only one."""
    least, most = limits.days("interval-least"), limits.days("interval-most")
    gaps = [gap for one, other in pairwise(days) if least <= (gap := (other - one).days) <= most]
    if not gaps:
        return None
    shorter, longer = sorted(gaps[-2:])[0], sorted(gaps[-2:])[-1]
    return Interval(shorter, in_months=False) if longer <= shorter * limits["interval-alike"] else None


OTHER_CAUSES = ("must_im", "bariatric", "malabsorption", "aig_suspected", "medicine_induced")


def regimen_interval(case: Case) -> Interval:
    """The interval of the regimen that fits."""
    name = "interval-usual"
    if case.has("neuro"):
        name = "interval-neuro"
    elif case.has("diet") and not case.has(*OTHER_CAUSES):
        name = "interval-diet"
    return Interval(case.limits.days(name), in_months=True)


def window_of(interval: Interval, last: date | None, due: date | None, limits: Limits) -> int:
    """For how many days a dose counts as treatment: never less than until the next one is due."""
    shortest = limits.days("im-window")
    if last is None or due is None:
        return shortest
    longest = int((due - last).days * limits["im-window-factor"])
    return max(min(max(shortest, longest), limits.days("im-window-most")), (due - last).days)


def supply_due(case: Case, entry: Medication, last: date) -> date:
    """When the next dose is due after several ampoules were dispensed as one supply."""
    most = last + timedelta(days=case.limits.days("im-window-most"))
    if entry.supply:
        return min(last + timedelta(days=int(entry.supply)), most)
    interval, due = stated_interval(case) or regimen_interval(case), last
    for _ in range(int(entry.pieces or 1)):
        due = interval.after(due)
        if due >= most:
            return most
    return due


# --- The course


COURSE_LIMITS = (
    "im-window im-window-factor im-window-most im-order order-doses order-new dispense-same-dose dispense-opens run-gap"
    " interval-ordered interval-least interval-most interval-alike interval-neuro interval-diet interval-usual"
    " switch-gap oral-dose oral-stopped"
)


@step(
    "course",
    follows_from=f"dose_record oral neuro diet {' '.join(OTHER_CAUSES)}",
    medicines="cobalamin",
    limits=COURSE_LIMITS,
    reads="injections recorded as a procedure or code",
)
def course(case: Case) -> bool:
    """Everything about injections that depends on no laboratory result."""
    supplies, opened = supplied(case)
    doses = each_day_once([*given_days(case), *((day, entry.reference) for day, entry in supplies)])
    days, orders = [day for day, _ in doses], standing_orders(case, opened)
    interval = stated_interval(case) or measured_interval(days, case.limits) or regimen_interval(case)
    last = days[-1] if days else None
    due = interval.after(last) if last else None
    last_supply = next((entry for day, entry in supplies if day == last and (entry.pieces or 0) >= 2), None)
    if last and last_supply:
        due = supply_due(case, last_supply, last)
    window = window_of(interval, last, due, case.limits)
    run = newest_run(days, case.limits)
    first_order = next((each for each in orders if last is None or (each.begun or date.max) >= last), None)
    by_dose = last is not None and (case.today - last).days <= window and not switched(case, run, orders)
    by_order = not by_dose and ordered_on(case, case.today, days, orders, window)
    start = None
    if by_dose:
        start = list(runs(days, window))[-1][0]
    elif by_order and first_order:
        start = first_order.begun
    case.course = Course(
        doses,
        orders,
        interval,
        window,
        due if case.doses_are_recorded else None,
        run,
        start,
        by_dose,
        by_order,
        first_order,
    )
    return bool(doses or orders)


def switched(case: Case, run: Run | None, orders: tuple[OrderDay, ...]) -> bool:
    """Tablets have taken the place of the injections: begun since loading, no order left, and no cause against it."""
    if run is None or (case.today - run.last).days <= case.limits.days("switch-gap") or orders or case.has("must_im"):
        return False
    return any(entry.start is not None and entry.start >= run.first for entry in case.oral)


def ordered_on(case: Case, day: date, days: list[date], orders: tuple[OrderDay, ...], window: int) -> bool:
    """ON_IM by order alone on that day: what was given before outranks it, unless it is long ago or the order new."""
    standing = [each for each in orders if is_in_force(case, each, day)]
    if not standing or not case.doses_are_recorded:
        return bool(standing)
    if not days or days[-1] < months_before(day, case.limits.days("order-doses")):
        return True
    after = [each.begun for each in standing if each.begun and (each.begun - days[-1]).days > window]
    return bool(after) and (day - min(after)).days <= case.limits.days("order-new")


def is_in_force(case: Case, order: OrderDay, day: date) -> bool:
    """Written by that day, and written or renewed not too long before it. An undated statement of use counts."""
    if order.renewed is None:
        return True
    latest = order.renewed if order.renewed <= day else order.begun
    return latest is not None and case.limits.within_days("im-order", latest, day)


def injected_on(case: Case, day: date) -> bool:
    """Did ON_IM hold on that day, by what was given and ordered before it?

    Blood is taken before the first dose of the same day, so what began on the day itself does not count.
    """
    days = [each for each, _ in case.course.doses if each < day]
    if days and (day - days[-1]).days <= case.course.window:
        return True
    orders = tuple(each for each in case.course.orders if each.begun is None or each.begun < day)
    return ordered_on(case, days_before(day, 1), days, orders, case.course.window)


def treated_on(case: Case, day: date) -> bool:
    """Did ON_IM or ON_ORAL hold before that day? A result taken then does not show the untreated state."""
    begun = [each for each in by_mouth(case) if each.start is None or each.start < day]
    return injected_on(case, day) or any(taken_on(case, entry, day) for entry in begun)


def treated_since(case: Case, day: date) -> bool:
    """Is any B12 treatment recorded on or after that day?"""
    if any(when >= day for when, _ in case.course.doses):
        return True
    for entry in cobalamins(case):
        newest = max((each for each in (entry.start, entry.last, entry.end) if each), default=None)
        if entry.active or (newest and newest >= day):
            return True
    return False


def is_answered(case: Case, day: date) -> bool:
    """Did treatment begin on the day of a result or later: a dose, or tablets for long enough?"""
    if any(when >= day for when, _ in case.course.doses):
        return True
    least = case.limits.days("answered-oral")
    for entry in by_mouth(case):
        until = entry.end or (case.today if entry.active else entry.last)
        long_enough = entry.start and until and (min(until, case.today) - entry.start).days >= least
        if entry.start and entry.start >= day and long_enough and is_enough(case, entry):
            return True
    return False


ANSWERED_LIMITS = "answered-oral oral-dose"
