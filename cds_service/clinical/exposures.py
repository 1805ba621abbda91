"""What the patient takes: B12 and whether it may be taken, medicines that lower it, folic acid, the pill (6.1)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from .case import Because, Case, written
from .limits import days_before
from .record import Medication
from .treatment import PARENTERAL, assess_injections, assess_oral, dose_days

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
    undated = [each for each in box2 if not each.start]
    case.add("durations_unknown", [Because(each.reference, case.display(each.ingredient)) for each in undated])
    for name, groups in (("metformin", ("metformin",)), ("acid_suppressant", ("ppi", "h2ra"))):
        chosen = [entry for entry in box2 if any(entry.ingredient in case.pathway.groups[group] for group in groups)]
        case.add(name, [Because(entry.reference, since(case, entry)) for entry in chosen])
    for name, group in (("pill", "pill"), ("anticoagulant", "anticoagulant")):
        current = [entry for entry in case.medicines(group) if entry.active]
        case.add(name, [Because(entry.reference, case.display(entry.ingredient)) for entry in current])
    case.add("nitrous_oxide", nitrous(case))
    case.either("medicine_induced", "box2_medicine", "nitrous_oxide")


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
