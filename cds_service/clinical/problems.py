"""What the problem list, the operations and the symptoms say (6.1): NEURO, GAIT, CORD, causes, risks, pregnancy."""

from __future__ import annotations

from datetime import date

from .case import Because, Case, written
from .record import Problem
from .rules import Found, Rules
from .treatment import treated_since

RULES = Rules()
finding, step, any_of, all_of = RULES.finding, RULES.step, RULES.any_of, RULES.all_of

RULES.limit("adult-age", "years", "This service is for people from")
RULES.limit("high-risk-age", "years", "Age means high risk above", optional=True)
RULES.limit("cord-recent", "days", "Optic neuropathy or myelopathy counts as acute for")
RULES.limit("pregnancy-current", "days", "A recorded pregnancy counts for")
RULES.limit("symptom-current", "months", "A symptom counts for")
RULES.limit("sacd-current", "months", "Subacute combined degeneration counts as acute for")
RULES.limit("breastfeeding-current", "months", "Recorded breastfeeding counts for")


def latest(problem: Problem) -> date | None:
    """The later of onset and recorded date."""
    return max((day for day in (problem.onset, problem.recorded) if day), default=None)


def first_seen(problem: Problem) -> date | None:
    """When it was first recorded, else when it began."""
    return problem.recorded or problem.onset


def evidence(case: Case, problems: list[Problem]) -> list[Because]:
    """Each problem in our own words, with its date."""
    return [Because(each.reference, f"{case.display(each.concept)} ({written(latest(each))})") for each in problems]


def each_once(because: list[Because]) -> list[Because]:
    return list(dict.fromkeys(because))


# --- The patient


def age_in_years(born: date, today: date) -> int:
    """Completed years of life."""
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


@finding(
    "out_of_scope",
    "the patient is younger than this service is for, or is recorded as deceased",
    limits="adult-age",
    reads="date of birth and death",
)
def out_of_scope(case: Case) -> Found:
    """Not an adult who is alive. An unknown age counts as adult, and is said."""
    patient = case.record.patient
    if patient.born is not None:
        age = age_in_years(patient.born, case.today)
        if age < case.limits.days("adult-age"):
            return (Because(patient.reference, f"aged {age}"),)
    return (Because(patient.reference, "recorded as deceased"),) if patient.deceased else None


@finding("age_unknown", "no date of birth is recorded", reads="the date of birth")
def age_unknown(case: Case) -> Found:
    patient = case.record.patient
    return (Because(patient.reference, "no date of birth"),) if patient.born is None else None


@finding(
    "older_age",
    "the patient is older than the age that means high risk",
    limits="high-risk-age",
    reads="the date of birth",
)
def older_age(case: Case) -> Found:
    patient = case.record.patient
    age = age_in_years(patient.born, case.today) if patient.born else 0
    return (Because(patient.reference, f"aged {age}"),) if age > case.limits.days("high-risk-age") else None


# --- Symptoms and signs


def current(case: Case, group: str) -> list[Problem]:
    """Symptoms of a group that still count: active, and recent or undated."""
    return [
        each
        for each in case.in_group(group)
        if each.active
        and (latest(each) is None or case.limits.within_months("symptom-current", latest(each), case.today))
    ]


def explained(case: Case, problem: Problem) -> bool:
    """Is another cause of this neuropathy, optic neuropathy or myelopathy coded?"""
    return f"{problem.concept}-other-cause" in case.problems


def neurological(case: Case) -> list[Problem]:
    """NEURO as it is recorded; what B12 decides about (CORD) comes later."""
    return current(case, "neuro") + [each for each in current(case, "neuropathy") if not explained(case, each)]


def symptoms_recorded(case: Case) -> list[Problem]:
    return list(dict.fromkeys(neurological(case) + current(case, "symptom")))


@step("recorded_neuro", problems="neuro neuropathy", limits="symptom-current")
def recorded_neuro(case: Case) -> None:
    case.recorded_neuro = tuple(each_once(evidence(case, neurological(case))))


@finding("neuro", "neurological signs that B12 deficiency may explain are recorded", follows_from="recorded_neuro cord")
def neuro(case: Case) -> Found:
    return each_once([*case.recorded_neuro, *case.joined(("cord",))])


@finding("gait", "a problem of walking or balance is recorded", problems="gait", limits="symptom-current")
def gait(case: Case) -> Found:
    return evidence(case, current(case, "gait"))


SYMPTOM_GROUPS = "symptom neuro neuropathy"


@finding(
    "recorded_symptoms",
    "a symptom or sign of B12 deficiency is recorded",
    problems=SYMPTOM_GROUPS,
    limits="symptom-current",
)
def recorded_symptoms(case: Case) -> Found:
    return evidence(case, symptoms_recorded(case))


any_of(
    "symptoms",
    "a symptom or sign of B12 deficiency is recorded, or the blood count shows one",
    "recorded_symptoms",
    "blood",
    "cord",
)


@finding("symptoms_undated", "a symptom is recorded without a date", problems=SYMPTOM_GROUPS, limits="symptom-current")
def symptoms_undated(case: Case) -> Found:
    return evidence(case, [each for each in symptoms_recorded(case) if latest(each) is None])


@finding(
    "recognised_by_words",
    "something was recognised by its wording in the record, not by a code",
    problems=f"{SYMPTOM_GROUPS} must-im risk",
    limits="symptom-current",
)
def recognised_by_words(case: Case) -> Found:
    told = symptoms_recorded(case) + case.in_group("must-im") + case.in_group("risk")
    return each_once(evidence(case, [each for each in told if each.by_words]))


CORD_CONTEXT = ("b12_deficient", "b12_grey", "b12_not_known", "on_im", "on_oral", "nitrous_oxide", "ifab_positive")


@finding(
    "cord",
    "damage of the spinal cord or the optic nerve that B12 deficiency may explain is recorded and counts as acute",
    follows_from=f"{' '.join(CORD_CONTEXT)} doses",
    problems="sacd cord-recent",
    medicines="cobalamin",
    limits="sacd-current cord-recent",
)
def cord(case: Case) -> Found:
    """A cord lesion of deficiency, recent or never treated; or a recent optic or cord lesion in context."""
    found = [each for each in case.in_group("sacd") if each.active and sacd_counts(case, each)]
    if case.has(*CORD_CONTEXT):
        found += [
            each
            for each in case.in_group("cord-recent")
            if each.active
            and not explained(case, each)
            and case.limits.within_days("cord-recent", first_seen(each), case.today)
        ]
    return evidence(case, found)


def sacd_counts(case: Case, problem: Problem) -> bool:
    """First recorded within a year (or undated), or earlier and no B12 treatment recorded since."""
    first = first_seen(problem)
    if first is None or case.limits.within_months("sacd-current", first, case.today):
        return True
    return not treated_since(case, first)


all_of(
    "nitrous_with_neuro",
    "recreational nitrous oxide and neurological signs are both recorded",
    "nitrous_oxide",
    "neuro",
)
all_of(
    "nitrous_with_symptoms", "recreational nitrous oxide and symptoms are both recorded", "nitrous_oxide", "symptoms"
)


@finding(
    "cord_on_treatment",
    "such damage came up on B12 injections, after the first dose (or no dose is recorded)",
    follows_from="on_im cord nitrous_with_neuro doses",
    problems="sacd cord-recent neuro",
    limits="symptom-current",
)
def cord_on_treatment(case: Case) -> Found:
    """S1c: on injections, and the cord lesion came after the first recorded dose, or no dose is recorded at all."""
    signs_found = list(case.joined(("cord", "nitrous_with_neuro")))
    if not (case.has("on_im") and signs_found):
        return None
    if not case.doses:
        return signs_found
    begun = case.doses[0][0]
    signs = case.in_group("sacd") + case.in_group("cord-recent")
    if case.has("nitrous_with_neuro"):
        signs += current(case, "neuro")
    counted = {each.reference for each in signs_found}
    after = [each for each in signs if each.reference in counted and (first_seen(each) or case.today) > begun]
    return each_once(evidence(case, after))


# --- Pregnancy


def open_ended(case: Case, group: str) -> list[Problem]:
    """The states of a group that are recorded and not ended."""
    return [each for each in case.in_group(group) if each.active and not (each.end and each.end <= case.today)]


@finding("pregnant", "pregnancy is recorded", problems="pregnancy", limits="pregnancy-current")
def pregnant(case: Case) -> Found:
    within = case.limits.within_days
    found = open_ended(case, "pregnancy")
    return evidence(case, [each for each in found if within("pregnancy-current", latest(each), case.today)])


@finding("breastfeeding", "breastfeeding is recorded", problems="breastfeeding", limits="breastfeeding-current")
def breastfeeding(case: Case) -> Found:
    within = case.limits.within_months
    found = open_ended(case, "breastfeeding")
    return evidence(case, [each for each in found if within("breastfeeding-current", latest(each), case.today)])


@finding("pregnancy_planned", "a pregnancy is planned", problems="pregnancy-planned", limits="symptom-current")
def pregnancy_planned(case: Case) -> Found:
    within = case.limits.within_months
    found = open_ended(case, "pregnancy-planned")
    return evidence(case, [each for each in found if within("symptom-current", latest(each), case.today)])


any_of("pregnant_or_breastfeeding", "pregnancy or breastfeeding is recorded", "pregnant", "breastfeeding")


# --- Causes and risks


def by_history(name: str, words: str, group: str) -> None:
    """A finding that a disease or operation of the group is recorded; lifelong ones count whether active or not."""

    @finding(name, words, problems=f"{group} lifelong")
    def recorded(case: Case) -> Found:
        lifelong = case.pathway.groups.get("lifelong", frozenset())
        return evidence(case, [each for each in case.in_group(group) if each.active or each.concept in lifelong])


by_history("must_im_disease", "a disease or operation that calls for injections is recorded", "must-im")
by_history("bariatric", "an operation for weight loss is recorded", "bariatric")
by_history(
    "surgical_cause", "an operation on stomach or bowel that keeps B12 from being absorbed is recorded", "surgical"
)
by_history("malabsorption", "a disease or operation that keeps B12 from being absorbed is recorded", "malabsorption")
by_history("coded_cause", "a known cause of B12 deficiency is on the problem list", "cause-known")
by_history("diet", "a diet low in B12 is recorded", "diet")
by_history("recorded_risk", "a risk factor for B12 deficiency is on the problem list", "risk")
by_history("leber", "Leber's optic neuropathy is recorded", "leber")
by_history("dialysis", "dialysis is recorded", "dialysis")
by_history("high_risk_history", "a disease or operation that means high risk is recorded", "high-risk")

any_of(
    "must_im",
    "a cause that calls for injections is recorded, or the intrinsic factor antibody is positive",
    "must_im_disease",
    "ifab_positive",
)
any_of(
    "irreversible_cause",
    "a cause that does not go away: one that calls for injections, or an operation for weight loss",
    "must_im",
    "bariatric",
)
any_of(
    "cause_known",
    "the cause is known: from the problem list, or by the intrinsic factor antibody",
    "coded_cause",
    "must_im",
    "bariatric",
)
any_of(
    "risk_factor",
    "any risk factor: on the problem list, a medicine that can lower B12, or nitrous oxide",
    "recorded_risk",
    "box2_medicine",
    "nitrous_oxide",
)
any_of(
    "high_risk",
    "high risk: by a long-term medicine, by age, or by history",
    "long_term_medicine",
    "older_age",
    "high_risk_history",
)
any_of(
    "lasting_risk",
    "a risk that lasts: high risk, a medicine of unknown duration, a recorded risk or cause, or nitrous oxide",
    "high_risk",
    "length_unknown",
    "recorded_risk",
    "irreversible_cause",
    "nitrous_oxide",
)


@finding(
    "recognised_cause",
    "another recognised cause, outside the guideline's lists, is recorded (such as alcohol dependence)",
    problems="recognised-cause",
    medicines="recognised-cause",
)
def recognised_cause(case: Case) -> Found:
    problems = evidence(case, [each for each in case.in_group("recognised-cause") if each.active])
    taken = [each for each in case.medicines("recognised-cause") if each.active]
    return problems + [Because(each.reference, case.display(each.ingredient)) for each in taken]
