"""What the patient takes (6.1): B12 by injection and by mouth, medicines that lower B12, folic acid, the pill.

Here too is what of it could not be read, and what must not be given.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from .case import Because, Case, Evidence, written
from .record import Medication, Order
from .rules import Found, Rules
from .tables import days_before, months_before

PARENTERAL = ("im", "sc", "iv", "injection")
WEEKLY = Decimal(6)  # days between doses from which a schedule is weekly: folic acid with methotrexate

RULES = Rules()
finding, step, any_of = RULES.finding, RULES.step, RULES.any_of

RULES.limit("im-window", "days", "An injection counts as treatment for")
RULES.limit("im-window-most", "days", "but never for longer than")
RULES.limit("im-order", "days", "An order for injections counts for")
RULES.limit("oral-stopped", "days", "B12 by mouth that was stopped counts for")
RULES.limit("medicine-stopped", "days", "A stopped medicine still counts for")
RULES.limit("nitrous-current", "days", "Recreational nitrous oxide counts for")
RULES.limit("im-window-factor", "times", "or, if that is longer, for the recorded interval times")
RULES.limit("oral-dose", "microgram/day", "B12 by mouth is treatment from")
RULES.limit("folic-treatment", "microgram/day", "Folic acid is a treatment dose from")
RULES.limit("no-dose", "months", "Injections begin again with loading after a gap of", optional=True)
RULES.limit("oral-dose-high", "microgram/day", "B12 by mouth is a high dose from", optional=True)
RULES.limit("metformin-long", "months", "Metformin means high risk if taken for longer than", optional=True)
RULES.limit(
    "acid-suppressant-long", "months", "An acid suppressant means high risk if taken for longer than", optional=True
)


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


def named(case: Case, entries: list[Medication]) -> list[Because]:
    """Each entry by the name of its ingredient."""
    return [Because(entry.reference, case.display(entry.ingredient)) for entry in entries]


# --- B12 by injection


@step("doses", medicines="cobalamin", reads="injections recorded as a procedure or code")
def dose_days(case: Case) -> None:
    """The days on which an injection was given, dispensed or stated, oldest first, with the reference of each."""
    days = []
    for entry in injections(case):
        if entry.source != "order":
            given = {day for day in (entry.start, entry.last) if day and day <= case.today}
            days += [(day, entry.reference) for day in given]
    for problem in case.problems.get("b12-injections-recorded", ()):
        recorded = problem.recorded or problem.onset
        if recorded and recorded <= case.today:
            days.append((recorded, problem.reference))
    case.doses = sorted(days)


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


WINDOW = "im-window im-window-factor im-window-most im-order"


@finding(
    "on_im",
    "B12 is given by injection now: a recent dose, or an injection order that is in force",
    follows_from="doses",
    medicines="cobalamin",
    limits=WINDOW,
)
def on_im(case: Case) -> Found:
    return dosed(case, case.today, case.today) + ordered(case, case.today)


@finding(
    "no_dose_recorded",
    "B12 injections are ordered, but no dose was ever recorded",
    follows_from="doses on_im",
    medicines="cobalamin",
    limits="im-order",
)
def no_dose_recorded(case: Case) -> Found:
    return ordered(case, case.today) if case.has("on_im") and not case.doses else None


@finding(
    "on_im_order_only",
    "B12 injections are ordered, but no recent dose is recorded",
    follows_from="doses",
    medicines="cobalamin",
    limits=WINDOW,
)
def on_im_order_only(case: Case) -> Found:
    return None if dosed(case, case.today, case.today) else ordered(case, case.today)


def ever_injected(case: Case) -> list[Because]:
    """Everything that speaks of an injection, the newest recorded dose last."""
    entries = [
        Because(entry.reference, f"B12 injections, {written(entry.last or entry.start)}") for entry in injections(case)
    ]
    return entries + [Because(reference, f"B12 injection on {written(day)}") for day, reference in case.doses[-1:]]


@finding(
    "lapsed",
    "B12 injections were given or ordered before and have lapsed",
    follows_from="doses on_im",
    medicines="cobalamin",
)
def lapsed(case: Case) -> Found:
    return None if case.has("on_im") else ever_injected(case)[-1:]


@finding(
    "no_dose_for_a_year",
    "no B12 injection is recorded for a year",
    follows_from="doses",
    medicines="cobalamin",
    limits="no-dose",
)
def no_dose_for_a_year(case: Case) -> Found:
    year_ago = months_before(case.today, case.limits.days("no-dose"))
    if any(day >= year_ago for day, _ in case.doses):
        return None
    return ever_injected(case)[-1:] or (Because("", "no B12 injection recorded"),)


# --- B12 by mouth


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


@step("oral", medicines="cobalamin", limits="oral-dose oral-stopped")
def oral(case: Case) -> None:
    """Enough B12 by mouth (or of no stated dose), in use or stopped only recently."""
    case.oral = [entry for entry in cobalamins(case) if not by_injection(entry) and taken_on(case, entry, case.today)]


def by_mouth(case: Case, entries: list[Medication]) -> list[Because]:
    return [Because(entry.reference, f"{case.display(entry.ingredient)} by mouth") for entry in entries]


@finding("on_oral", "B12 is taken by mouth in a dose that counts as treatment", follows_from="oral")
def on_oral(case: Case) -> Found:
    return by_mouth(case, case.oral)


@finding("on_oral_high", "B12 is taken by mouth in a high dose", follows_from="oral", limits="oral-dose-high")
def on_oral_high(case: Case) -> Found:
    """An unstated dose is not known to be a high one."""
    limit = case.limits["oral-dose-high"]
    return by_mouth(case, [each for each in case.oral if (each.per_day or each.dose or 0) >= limit])


def oral_start(case: Case) -> date | None:
    """When the present oral treatment began, as far as any entry says."""
    return min((entry.start for entry in case.oral if entry.start), default=None)


def treated_on(case: Case, day: date) -> bool:
    """Did ON_IM or ON_ORAL hold before that day? A result taken then does not show the untreated state.

    Blood is taken before the first dose of the same day, so what began on the day itself does not count.
    """
    before = days_before(day, 1)
    if dosed(case, day, before) or ordered(case, before):
        return True
    begun = [each for each in cobalamins(case) if not by_injection(each) and (each.start is None or each.start < day)]
    return any(taken_on(case, entry, day) for entry in begun)


def treated_since(case: Case, day: date) -> bool:
    """Is any B12 treatment recorded on or after that day?"""
    if any(when >= day for when, _ in case.doses):
        return True
    for entry in case.medicines("cobalamin"):
        newest = max((each for each in (entry.start, entry.last, entry.end) if each), default=None)
        if treats(entry) and (entry.active or (newest and newest >= day)):
            return True
    return False


# --- Any cobalamin, and what must not be given


def in_use(case: Case, entry: Medication) -> bool:
    """In use, or used within the time for which an injection counts."""
    if entry.active:
        return True
    return case.limits.within_days("im-window", entry.end or entry.last or entry.start, case.today)


def cobalamins_in_use(case: Case) -> list[Medication]:
    return [entry for entry in case.medicines("cobalamin") if in_use(case, entry) and not entry.antidote]


@finding("cobalamin_taken", "any medicine that holds B12 is in use", medicines="cobalamin", limits="im-window")
def cobalamin_taken(case: Case) -> Found:
    return named(case, cobalamins_in_use(case))


@finding("cyanocobalamin_taken", "cyanocobalamin is in use", medicines="cobalamin cyanocobalamin", limits="im-window")
def cyanocobalamin_taken(case: Case) -> Found:
    cyano = case.pathway.groups.get("cyanocobalamin", frozenset())
    return named(case, [entry for entry in cobalamins_in_use(case) if entry.ingredient in cyano])


@finding(
    "chloramphenicol_with_cobalamin",
    "chloramphenicol is injected while B12 is taken",
    follows_from="cobalamin_taken",
    medicines="chloramphenicol",
)
def chloramphenicol_with_cobalamin(case: Case) -> Found:
    if not case.has("cobalamin_taken"):
        return None
    injected = [each for each in case.medicines("chloramphenicol") if each.active and each.route in PARENTERAL]
    return [Because(each.reference, "chloramphenicol by injection") for each in injected]


def allergies_to(case: Case, substance: str, words: str) -> list[Because]:
    return [Because(each.reference, words) for each in case.record.allergies if each.substance == substance]


@finding("cobalamin_hypersensitivity", "hypersensitivity to a form of B12 is recorded", reads="the allergies")
def cobalamin_hypersensitivity(case: Case) -> Found:
    return allergies_to(case, "cobalamin", "hypersensitivity to a cobalamin")


@finding("cobalt_allergy", "an allergy to cobalt is recorded", reads="the allergies")
def cobalt_allergy(case: Case) -> Found:
    return allergies_to(case, "cobalt", "allergy to cobalt")


# --- Medicines that lower B12, and others that matter


def exposed(case: Case, entry: Medication) -> bool:
    """Does a medicine that lowers B12 count: in use, or stopped less than the named number of days ago?"""
    stopped = entry.end or entry.last or entry.start
    earliest = days_before(case.today, case.limits.days("medicine-stopped"))
    return entry.active or (stopped is not None and stopped > earliest)


def since(case: Case, entry: Medication) -> str:
    """The medicine and for how long, or that the record does not say."""
    words = case.pathway.messages
    text = words["since"].format(date=written(entry.start)) if entry.start else words["start-not-recorded"]
    return f"{case.display(entry.ingredient)} ({text})"


def lowering(case: Case, *groups: str) -> list[Medication]:
    """The medicines that lower B12 (NG239 Box 2) and count, one entry of each; of these groups if any is named."""
    wanted = [case.pathway.groups[group] for group in groups]
    counted = newest_by_ingredient([entry for entry in case.medicines("box2") if exposed(case, entry)])
    return [entry for entry in counted if not groups or any(entry.ingredient in group for group in wanted)]


def newest_by_ingredient(entries: list[Medication]) -> list[Medication]:
    """One entry per ingredient, the one that gives the earliest start, in the order in which they came.

    Of two that give the same the reference decides: the evidence must not depend on the order of a search's results.
    """
    chosen: dict[str, Medication] = {}
    for entry in entries:
        chosen[entry.ingredient] = min(entry, chosen.get(entry.ingredient, entry), key=first_use)
    return list(chosen.values())


def first_use(entry: Medication) -> tuple[date, str]:
    """Sort key: the earliest start first, one that is not said last."""
    return entry.start or date.max, entry.reference


def with_durations(case: Case, entries: list[Medication]) -> list[Because]:
    return [Because(entry.reference, since(case, entry)) for entry in entries]


@finding(
    "box2_medicine",
    "a medicine that can lower B12 is in use, or was stopped recently",
    medicines="box2",
    limits="medicine-stopped",
)
def box2_medicine(case: Case) -> Found:
    return with_durations(case, lowering(case))


@finding(
    "durations_unknown",
    "since when a medicine that can lower B12 is taken is not recorded",
    medicines="box2",
    limits="medicine-stopped",
)
def durations_unknown(case: Case) -> Found:
    return named(case, [each for each in lowering(case) if not each.start])


@finding(
    "metformin", "metformin is in use, or was stopped recently", medicines="box2 metformin", limits="medicine-stopped"
)
def metformin(case: Case) -> Found:
    return with_durations(case, lowering(case, "metformin"))


@finding(
    "acid_suppressant",
    "a medicine that suppresses gastric acid is in use, or was stopped recently",
    medicines="box2 ppi h2ra",
    limits="medicine-stopped",
)
def acid_suppressant(case: Case) -> Found:
    return with_durations(case, lowering(case, "ppi", "h2ra"))


@finding("pill", "a hormonal contraceptive that lowers total B12 is in use", medicines="pill")
def pill(case: Case) -> Found:
    return named(case, [entry for entry in case.medicines("pill") if entry.active])


@finding("anticoagulant", "an anticoagulant is in use", medicines="anticoagulant")
def anticoagulant(case: Case) -> Found:
    return named(case, [entry for entry in case.medicines("anticoagulant") if entry.active])


@finding(
    "nitrous_oxide",
    "recreational nitrous oxide is recorded, now or recently",
    problems="nitrous",
    limits="nitrous-current",
)
def nitrous_oxide(case: Case) -> Found:
    """Recreational nitrous oxide now or recently. An active problem is now; an observation is as old as its date."""
    found = []
    for problem in case.in_group("nitrous"):
        day = max((day for day in (problem.onset, problem.recorded, problem.end) if day), default=None)
        now = problem.active and (problem.source == "condition" or day is None)
        if now or case.limits.within_days("nitrous-current", day, case.today):
            found.append(problem)
    return [Because(each.reference, case.display(each.concept)) for each in found]


@finding(
    "folate_running",
    "folic acid in a treatment dose (or of unstated dose) is in use",
    medicines="folic",
    limits="folic-treatment",
)
def folate_running(case: Case) -> Found:
    """Folic acid at treatment dose (or of no stated dose) in use. Low and weekly doses are exempt."""
    running = []
    for entry in case.medicines("folic"):
        amount = entry.per_day if entry.per_day is not None else entry.dose
        weekly = entry.interval is not None and entry.interval >= WEEKLY
        treatment = amount is None or amount >= case.limits["folic-treatment"]
        if entry.active and entry.source != "administration" and treatment and not weekly and not entry.multivitamin:
            running.append(entry)
    return named(case, running)


# --- For how long


def long_use(case: Case, limit: str, groups: tuple[str, ...]) -> tuple[list[Because], bool]:
    """Medicines in use: the evidence, and whether they have been in use, without a gap, for longer than the limit."""
    entries = [entry for group in groups for entry in case.medicines(group)]
    current = [entry for entry in entries if exposed(case, entry)]
    begun = used_since(case, entries, current)
    is_long = begun is not None and case.limits.longer_than_months(limit, begun, case.today)
    if begun is not None and is_long:
        words = case.pathway.messages["since"].format(date=written(begun))
    else:
        words = case.pathway.messages["start-not-recorded"]
        current = [entry for entry in current if not entry.start]
    found: dict[str, str] = {}  # of each text the first reference by name, whatever the order of the entries
    for entry in current:
        text = f"{case.display(entry.ingredient)} ({words})"
        found[text] = min(entry.reference, found.get(text, entry.reference))
    return [Because(reference, text) for text, reference in found.items()], is_long


def used_since(case: Case, entries: list[Medication], current: list[Medication]) -> date | None:
    """The first day of the present use: renewals and supplies are one use while no gap counts as having stopped."""
    begun = min((entry.start for entry in current if entry.start), default=None)
    if begun is None:
        return None
    for entry in sorted(entries, key=last_day, reverse=True):
        joined = last_day(entry) > days_before(begun, case.limits.days("medicine-stopped"))
        if joined and entry.start and entry.start < begun:
            begun = entry.start
    return begun


def last_day(entry: Medication) -> date:
    """The last day of use that an entry documents."""
    return entry.end or entry.last or entry.start or date.min


LONG = (("metformin-long", ("metformin",)), ("acid-suppressant-long", ("ppi", "h2ra")))
LONG_LIMITS = "metformin-long acid-suppressant-long medicine-stopped"


def by_length(case: Case, long: bool) -> list[Because]:
    uses = [long_use(case, limit, groups) for limit, groups in LONG]
    return [each for because, is_long in uses if is_long == long for each in because]


@finding(
    "long_term_medicine",
    "metformin or an acid suppressant is taken for longer than the time that means high risk",
    medicines="metformin ppi h2ra",
    limits=LONG_LIMITS,
)
def long_term_medicine(case: Case) -> Found:
    return by_length(case, long=True)


@finding(
    "length_unknown",
    "metformin or an acid suppressant is taken, and since when is not recorded",
    medicines="metformin ppi h2ra",
    limits=LONG_LIMITS,
)
def length_unknown(case: Case) -> Found:
    return by_length(case, long=False)


# --- What could not be read


@finding("medicines_unknown", "neither list of medicines could be read", reads="which lists of medicines could be read")
def medicines_unknown(case: Case) -> Found:
    seen = case.record.published - case.record.unavailable
    known = seen & {"medications", "medicationRequests"}
    return None if known else (Because("", "neither medicine list could be read"),)


@finding("allergies_unknown", "the allergies could not be read", reads="whether the allergies could be read")
def allergies_unknown(case: Case) -> Found:
    seen = case.record.published - case.record.unavailable
    return None if "allergies" in seen else (Because("", "allergies could not be read"),)
