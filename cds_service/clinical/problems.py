"""What the problem list, the operations and the symptoms say: NEURO, GAIT, CORD, causes, pregnancy (6.1)."""

from __future__ import annotations

from datetime import date

from .case import Because, Case, written
from .record import Problem
from .treatment import treats


def assess_problems(case: Case) -> None:
    """Every finding about problems that needs no laboratory result."""
    assess_patient(case)
    assess_symptoms(case)
    assess_pregnancy(case)
    assess_causes_by_history(case)


def latest(problem: Problem) -> date | None:
    """The later of onset and recorded date."""
    return max((day for day in (problem.onset, problem.recorded) if day), default=None)


def first_seen(problem: Problem) -> date | None:
    """When it was first recorded, else when it began."""
    return problem.recorded or problem.onset


def evidence(case: Case, problems: list[Problem]) -> list[Because]:
    return [Because(each.reference, f"{case.display(each.concept)} ({written(latest(each))})") for each in problems]


def age_in_years(born: date, today: date) -> int:
    """Completed years of life."""
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def assess_patient(case: Case) -> None:
    """Who is in scope: adults who are alive. An unknown age counts as adult, and is said."""
    patient, today = case.record.patient, case.today
    if patient.deceased:
        case.add("out_of_scope", (Because(patient.reference, "recorded as deceased"),))
    if patient.born is None:
        case.add("age_unknown", (Because(patient.reference, "no date of birth"),))
        return
    age = age_in_years(patient.born, today)
    if age < case.limits.days("adult-age"):
        case.add("out_of_scope", (Because(patient.reference, f"aged {age}"),))


def current(case: Case, group: str) -> list[Problem]:
    """Symptoms of a group that still count: active, and recent or undated."""
    return [
        each
        for each in case.in_group(group)
        if each.active
        and (latest(each) is None or case.limits.within_months("symptom-current", latest(each), case.today))
    ]


def assess_symptoms(case: Case) -> None:
    """Symptoms and signs as recorded; the blood count adds its own later."""
    symptoms = current(case, "symptom")
    neuro = current(case, "neuro")
    neuro += [each for each in current(case, "neuropathy") if not explained(case, each)]
    case.add("neuro", dict.fromkeys(evidence(case, neuro)))
    case.add("gait", evidence(case, current(case, "gait")))
    shown = list(dict.fromkeys(neuro + symptoms))
    case.add("recorded_symptoms", evidence(case, shown))
    case.add("symptoms_undated", evidence(case, [each for each in shown if latest(each) is None]))
    words = [each for each in shown + case.in_group("must-im") + case.in_group("risk") if each.by_words]
    case.add("recognised_by_words", dict.fromkeys(evidence(case, words)))


def assess_pregnancy(case: Case) -> None:
    """Pregnant or breastfeeding: recorded recently enough, and no end recorded."""
    for name, within in (
        ("pregnant", lambda day: case.limits.within_days("pregnancy-current", day, case.today)),
        ("breastfeeding", lambda day: case.limits.within_months("breastfeeding-current", day, case.today)),
        ("pregnancy_planned", lambda day: case.limits.within_months("symptom-current", day, case.today)),
    ):
        group = case.in_group(name.replace("_planned", "-planned").replace("pregnant", "pregnancy"))
        open_ended = [each for each in group if each.active and not (each.end and each.end <= case.today)]
        case.add(name, evidence(case, [each for each in open_ended if within(latest(each))]))
    case.either("pregnant_or_breastfeeding", "pregnant", "breastfeeding")


def assess_causes_by_history(case: Case) -> None:
    """Diseases and operations that cause deficiency; lifelong ones count whether active or not."""
    lifelong = case.pathway.groups.get("lifelong", frozenset())
    for name, group in (
        ("must_im_disease", "must-im"),
        ("bariatric", "bariatric"),
        ("surgical_cause", "surgical"),
        ("malabsorption", "malabsorption"),
        ("coded_cause", "cause-known"),
        ("diet", "diet"),
        ("recorded_risk", "risk"),
        ("leber", "leber"),
        ("dialysis", "dialysis"),
    ):
        counted = [each for each in case.in_group(group) if each.active or each.concept in lifelong]
        case.add(name, evidence(case, counted))
    case.either("risk_factor", "recorded_risk", "box2_medicine", "nitrous_oxide")
    problems = evidence(case, [each for each in case.in_group("recognised-cause") if each.active])
    medicines = [
        Because(each.reference, case.display(each.ingredient))
        for each in case.medicines("recognised-cause")
        if each.active
    ]
    case.add("recognised_cause", problems + medicines)


def assess_cord(case: Case) -> None:
    """CORD: a cord lesion of deficiency, recent or never treated; or a recent optic or cord lesion in context."""
    found = [each for each in case.in_group("sacd") if each.active and sacd_counts(case, each)]
    if case.has("b12_deficient", "b12_grey", "b12_not_known", "on_im", "on_oral", "nitrous_oxide", "ifab_positive"):
        found += [
            each
            for each in case.in_group("cord-recent")
            if each.active
            and not explained(case, each)
            and case.limits.within_days("cord-recent", first_seen(each), case.today)
        ]
    case.add("cord", evidence(case, found))
    if found:
        case.add("neuro", dict.fromkeys([*case.found.get("neuro", ()), *evidence(case, found)]))


def explained(case: Case, problem: Problem) -> bool:
    """Is another cause of this neuropathy, optic neuropathy or myelopathy coded?"""
    return f"{problem.concept}-other-cause" in case.problems


def sacd_counts(case: Case, problem: Problem) -> bool:
    """First recorded within a year (or undated), or earlier and no B12 treatment recorded since."""
    first = first_seen(problem)
    if first is None or case.limits.within_months("sacd-current", first, case.today):
        return True
    return not treated_since(case, first)


def treated_since(case: Case, day: date) -> bool:
    """Is any B12 treatment recorded on or after that day?"""
    if any(when >= day for when, _ in case.doses):
        return True
    for entry in case.medicines("cobalamin"):
        newest = max((each for each in (entry.start, entry.last, entry.end) if each), default=None)
        if treats(entry) and (entry.active or (newest and newest >= day)):
            return True
    return False


def assess_cord_on_treatment(case: Case) -> None:
    """S1c: on injections, and the cord lesion came after the first recorded dose, or no dose is recorded at all."""
    case.both("nitrous_with_neuro", "nitrous_oxide", "neuro")
    case.either("cord_or_nitrous_neuro", "cord", "nitrous_with_neuro")
    if not (case.has("on_im") and case.has("cord_or_nitrous_neuro")):
        return
    if not case.doses:
        case.add("cord_on_treatment", case.found["cord_or_nitrous_neuro"])
        return
    begun = case.doses[0][0]
    signs = case.in_group("sacd") + case.in_group("cord-recent")
    if case.has("nitrous_with_neuro"):
        signs += current(case, "neuro")
    counted = {each.reference for each in case.found["cord_or_nitrous_neuro"]}
    after = [each for each in signs if each.reference in counted and (first_seen(each) or case.today) > begun]
    case.add("cord_on_treatment", dict.fromkeys(evidence(case, after)))
