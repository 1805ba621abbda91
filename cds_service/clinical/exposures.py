"""What the patient takes: B12 by injection or by mouth, medicines that lower it, folic acid, the pill (6.1)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from .case import Because, Case, Evidence, written
from .limits import days_before, months_before
from .record import Medication

PARENTERAL = ("im", "sc", "iv", "injection")
WEEKLY = Decimal(6)  # days between doses from which a schedule is weekly: folic acid beside methotrexate


def assess_exposures(case: Case) -> None:
    """Every finding about medicines."""
    case.doses = dose_days(case)
    assess_injections(case)
    assess_oral(case)
    assess_cobalamin_kinds(case)
    assess_causes(case)
    assess_folic(case)
    assess_knowledge(case)


def treats(entry: Medication) -> bool:
    """Is this B12 treatment at all? A multivitamin and a cyanide kit are not."""
    return not entry.multivitamin and not entry.antidote


def by_injection(entry: Medication) -> bool:
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


def assess_cobalamin_kinds(case: Case) -> None:
    """Any cobalamin, and cyanocobalamin above all, in use now."""
    taken = [entry for entry in case.medicines("cobalamin") if in_use(case, entry) and not entry.antidote]
    case.add("cobalamin_taken", [Because(entry.reference, case.display(entry.ingredient)) for entry in taken])
    cyano = [entry for entry in taken if entry.ingredient in case.pathway.groups.get("cyanocobalamin", ())]
    case.add("cyanocobalamin_taken", [Because(entry.reference, case.display(entry.ingredient)) for entry in cyano])
    chloramphenicol = [
        entry for entry in case.medicines("chloramphenicol") if entry.active and entry.route in PARENTERAL
    ]
    if case.has("cobalamin_taken"):
        case.add(
            "chloramphenicol_with_cobalamin",
            [Because(entry.reference, "chloramphenicol by injection") for entry in chloramphenicol],
        )


def in_use(case: Case, entry: Medication) -> bool:
    """In use, or used within the time for which an injection counts."""
    if entry.active:
        return True
    return case.limits.within_days("im-window", entry.end or entry.last or entry.start, case.today)


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


def assess_causes(case: Case) -> None:
    """Medicines that lower B12 (NG239 Box 2), the pill, anticoagulants, recreational nitrous oxide."""
    box2 = newest_by_ingredient([entry for entry in case.medicines("box2") if exposed(case, entry)])
    case.add("box2_medicine", [Because(entry.reference, since(case, entry)) for entry in box2])
    case.add("durations_unknown", [Because(each.reference, since(case, each)) for each in box2 if not each.start])
    for name, groups in (("metformin", ("metformin",)), ("acid_suppressant", ("ppi", "h2ra"))):
        chosen = [entry for entry in box2 if any(entry.ingredient in case.pathway.groups[group] for group in groups)]
        case.add(name, [Because(entry.reference, since(case, entry)) for entry in chosen])
    for name, group in (("pill", "pill"), ("anticoagulant", "anticoagulant")):
        current = [entry for entry in case.medicines(group) if entry.active]
        case.add(name, [Because(entry.reference, case.display(entry.ingredient)) for entry in current])
    case.add("nitrous_oxide", nitrous(case))
    case.either("medicine_induced", "box2_medicine", "nitrous_oxide")


def newest_by_ingredient(entries: list[Medication]) -> list[Medication]:
    """One entry per ingredient, the one that gives the earliest start, in the order in which they came."""
    chosen: dict[str, Medication] = {}
    for entry in entries:
        known = chosen.get(entry.ingredient)
        if known is None or (entry.start and (known.start is None or entry.start < known.start)):
            chosen[entry.ingredient] = entry
    return list(chosen.values())


def nitrous(case: Case) -> list[Because]:
    """Recreational nitrous oxide now or recently. An active problem is now; an observation is as old as its date."""
    found = []
    for problem in case.in_group("nitrous"):
        day = max((day for day in (problem.onset, problem.recorded, problem.end) if day), default=None)
        now = problem.active and (problem.source == "condition" or day is None)
        if now or case.limits.within_days("nitrous-current", day, case.today):
            found.append(problem)
    return [Because(each.reference, case.display(each.concept)) for each in found]


def assess_folic(case: Case) -> None:
    """Folic acid at treatment dose (or of no stated dose) in use. Low and weekly doses are exempt."""
    running = []
    for entry in case.medicines("folic"):
        amount = entry.per_day if entry.per_day is not None else entry.dose
        weekly = entry.interval is not None and entry.interval >= WEEKLY
        treatment = amount is None or amount >= case.limits["folic-treatment"]
        if entry.active and entry.source != "administration" and treatment and not weekly and not entry.multivitamin:
            running.append(Because(entry.reference, case.display(entry.ingredient)))
    case.add("folate_running", running)


def assess_knowledge(case: Case) -> None:
    """What could not be seen of medicines and allergies."""
    record = case.record
    seen = record.published - record.unavailable
    if not seen & {"medications", "medicationRequests"}:
        case.add("medicines_unknown", (Because("", "neither medicine list could be read"),))
    if "allergies" not in seen:
        case.add("allergies_unknown", (Because("", "allergies could not be read"),))
    cobalamin = [allergy for allergy in record.allergies if allergy.substance == "cobalamin"]
    cobalt = [allergy for allergy in record.allergies if allergy.substance == "cobalt"]
    case.add(
        "cobalamin_hypersensitivity", [Because(each.reference, "hypersensitivity to a cobalamin") for each in cobalamin]
    )
    case.add("cobalt_allergy", [Because(each.reference, "allergy to cobalt") for each in cobalt])
    case.either("cobalamin_or_cobalt_allergy", "cobalamin_hypersensitivity", "cobalt_allergy")
