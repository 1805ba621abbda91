"""What the problem list, the operations and the symptoms say (6.1): NEURO, GAIT, CORD, causes, risks, pregnancy."""

from __future__ import annotations

from datetime import date

from .case import Because, Case
from .course import treated_since
from .record import Problem
from .rules import Found, Rules
from .tables import days_before

RULES = Rules()
finding, step, any_of, all_of = RULES.finding, RULES.step, RULES.any_of, RULES.all_of

RULES.limit("adult-age", "years", "This service is for people from")
RULES.limit("high-risk-age", "years", "Age means high risk above")
RULES.limit("cord-late", "days", "A cord sign on injections is critical if recorded after their start by at least")
RULES.limit("cord-late-unloaded", "days", "or, where the loading doses are not given, by at least")
RULES.limit("cord-unloaded-days", "days", "Loading is being given with two doses in the last")
RULES.limit("cord-new", "days", "A cord sign on injections is critical for")
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
    return [
        Because(each.reference, f"{case.display(each.concept)} ({case.written(latest(each))})") for each in problems
    ]


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
            return (Because(patient.reference, case.words("aged", age=age)),)
    return (Because(patient.reference, case.words("deceased")),) if patient.deceased else None


@finding("age_unknown", "no date of birth is recorded", reads="the date of birth")
def age_unknown(case: Case) -> Found:
    patient = case.record.patient
    return (Because(patient.reference, case.words("no-birth")),) if patient.born is None else None


@finding(
    "older_age",
    "the patient is older than the age that means high risk",
    limits="high-risk-age",
    reads="the date of birth",
)
def older_age(case: Case) -> Found:
    patient = case.record.patient
    age = age_in_years(patient.born, case.today) if patient.born else 0
    return (
        (Because(patient.reference, case.words("aged", age=age)),) if age > case.limits.days("high-risk-age") else None
    )


# --- Symptoms and signs


def is_current(case: Case, problem: Problem) -> bool:
    """Does it still count: active, and recent or undated? A diagnosis lasts for as long as it is active.

    What is held only as an Observation is as old as its date, a diagnosis too.
    """
    if not problem.active:
        return False
    day = latest(problem)
    lasts = problem.source == "condition" and problem.concept in case.pathway.groups.get("lasting", ())
    return lasts or day is None or case.limits.within_months("symptom-current", day, case.today)


def current(case: Case, group: str) -> list[Problem]:
    """Symptoms and signs of a group that still count."""
    return [each for each in case.in_group(group) if is_current(case, each)]


def explained(case: Case, problem: Problem) -> bool:
    """Is another cause of this neuropathy, optic neuropathy or myelopathy coded?"""
    return f"{problem.concept}-other-cause" in case.problems


def neurological(case: Case) -> list[Problem]:
    """NEURO: nerve and cord signs that no other coded cause explains."""
    nerves = [each for each in current(case, "neuropathy") if not explained(case, each)]
    return list(dict.fromkeys(current(case, "neuro") + nerves))


def symptoms_recorded(case: Case) -> list[Problem]:
    return list(dict.fromkeys(neurological(case) + possibly_neurological(case) + current(case, "symptom")))


def possibly_neurological(case: Case) -> list[Problem]:
    """NEURO_POSSIBLE, without looking for NEURO: nerve and cord signs with another coded cause."""
    nerves = [each for each in current(case, "neuropathy") if explained(case, each)]
    return list(dict.fromkeys(current(case, "neuro-possible") + nerves))


NEURO_PARTS = "neuro neuropathy lasting"


@finding(
    "neuro",
    "neurological signs that B12 deficiency may explain are recorded",
    problems=NEURO_PARTS,
    limits="symptom-current",
)
def neuro(case: Case) -> Found:
    return each_once(evidence(case, neurological(case)))


@finding(
    "neuro_possible",
    "neurological signs with another coded cause, to which B12 deficiency may add, and no others",
    follows_from="neuro",
    problems="neuro-possible neuropathy lasting",
    limits="symptom-current",
)
def neuro_possible(case: Case) -> Found:
    return None if case.has("neuro") else evidence(case, possibly_neurological(case))


@finding(
    "gait",
    "a problem of walking or balance is recorded",
    problems="gait lasting neuropathy neuro",
    limits="symptom-current",
)
def gait(case: Case) -> Found:
    signs = neurological(case)
    return evidence(case, [each for each in current(case, "gait") if each in signs])


SYMPTOM_GROUPS = "symptom neuro neuropathy neuro-possible lasting"


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
)


@finding(
    "earlier_symptoms",
    "a symptom is recorded that is too old to count",
    problems=SYMPTOM_GROUPS,
    limits="symptom-current",
)
def earlier_symptoms(case: Case) -> Found:
    """Older than the time for which it counts, and not recorded as over."""
    concepts = case.in_group("symptom") + case.in_group("neuro") + case.in_group("neuropathy")
    return each_once(evidence(case, [each for each in concepts if each.active and not is_current(case, each)]))


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
    noted = symptoms_recorded(case) + case.in_group("must-im") + case.in_group("risk")
    return each_once(evidence(case, [each for each in noted if each.by_words]))


def new_cord(case: Case) -> list[Problem]:
    """Optic neuropathy or myelopathy without another coded cause, first recorded not long ago."""
    return [
        each
        for each in case.in_group("cord-recent")
        if each.active
        and not explained(case, each)
        and case.limits.within_days("cord-recent", first_seen(each), case.today)
    ]


@finding(
    "new_cord",
    "optic neuropathy or a disorder of the spinal cord without another coded cause was recorded recently",
    problems="cord-recent",
    limits="cord-recent",
)
def new_cord_found(case: Case) -> Found:
    return evidence(case, new_cord(case))


@finding(
    "new_optic",
    "optic neuropathy without another coded cause was recorded recently",
    problems="cord-recent optic",
    limits="cord-recent",
)
def new_optic(case: Case) -> Found:
    optic = case.pathway.groups.get("optic", frozenset())
    return evidence(case, [each for each in new_cord(case) if each.concept in optic])


CORD_CONTEXT = ("b12_deficient", "b12_grey", "b12_not_known", "on_im", "on_oral", "nitrous_oxide", "ifab_positive")


@finding(
    "cord",
    "damage of the spinal cord or the optic nerve that B12 deficiency may explain is recorded and counts as acute",
    follows_from=f"{' '.join(CORD_CONTEXT)} course",
    problems="sacd cord-recent",
    medicines="cobalamin",
    limits="sacd-current cord-recent",
)
def cord(case: Case) -> Found:
    """A cord lesion of deficiency, recent or never treated; or a recent optic or cord lesion in context."""
    found = [each for each in case.in_group("sacd") if each.active and sacd_counts(case, each)]
    return evidence(case, found + (new_cord(case) if case.has(*CORD_CONTEXT) else []))


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
    "such damage was recorded on B12 injections, after treatment should have worked (or no dose is recorded)",
    follows_from="on_im cord nitrous_with_neuro course no_dose_recorded doses_not_recorded",
    problems=f"sacd cord-recent {NEURO_PARTS}",
    limits="symptom-current cord-late cord-late-unloaded cord-unloaded-days cord-new",
)
def cord_on_treatment(case: Case) -> Found:
    """S1c: on injections, and the cord lesion was first recorded late in the course and not long ago."""
    signs_found = list(case.joined(("cord", "nitrous_with_neuro")))
    if not (case.has("on_im") and signs_found) or case.has("doses_not_recorded"):
        return None
    if case.has("no_dose_recorded"):
        return signs_found
    start = case.course.start
    if start is None:
        return None
    signs = case.in_group("sacd") + case.in_group("cord-recent")
    if case.has("nitrous_with_neuro"):
        signs += neurological(case)
    counted = {each.reference for each in signs_found}
    late = [each for each in signs if is_late(case, first_seen(each) or case.today, start)]
    return each_once(evidence(case, [each for each in late if each.reference in counted]))


def is_late(case: Case, day: date, start: date) -> bool:
    """Recorded when loading should have worked, or when it is not being given; and not long ago."""
    limits = case.limits
    week = days_before(case.today, limits.days("cord-unloaded-days"))
    few = sum(1 for given, _ in case.course.doses if given > week) < 2
    least = limits.days("cord-late-unloaded") if few else limits.days("cord-late")
    return (day - start).days >= least and limits.within_days("cord-new", day, case.today)


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


by_history("macro_other_problem", "alcohol dependence or myelodysplasia is recorded", "macro-other")
by_history("resection", "an operation on stomach or bowel of unknown or partial extent is recorded", "resection")
by_history(
    "bariatric_specialist", "bariatric surgery that stays under the bariatric unit is recorded", "bariatric-specialist"
)
by_history("aig_suspected", "atrophic gastritis is recorded: autoimmune gastritis is suspected", "aig-suspected")
by_history("bowel_disease", "inflammatory bowel disease, coeliac disease or another malabsorption is recorded", "bowel")
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


@finding("coded", "B12 deficiency is on the problem list, active", problems="coded")
def coded(case: Case) -> Found:
    return evidence(case, [each for each in case.in_group("coded") if each.active])


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
