"""How B12 treatment goes (6.3.1): loading, response to injections and tablets, what ended or never began."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta

from .b12 import driver_of, settled
from .bands import EDGES
from .case import Because, Case
from .course import ANSWERED_LIMITS, OTHER_CAUSES, is_answered, oral_start, treated_on
from .problems import NEURO_PARTS, current, evidence, first_seen, is_current, latest, neurological
from .record import LabResult, Measured, Problem
from .rules import Found, Rules
from .tables import months_before

RULES = Rules()
finding, step, any_of, all_of = RULES.finding, RULES.step, RULES.any_of, RULES.all_of

RULES.limit("on-injections-result", "days", "A deficient result on injections counts from")
RULES.limit("response-from", "days", "The blood count should have recovered on injections from")
RULES.limit("response-to", "days", "and is judged strictly until")
RULES.limit("new-symptom-from", "days", "A symptom on injections is new from")
RULES.limit("new-symptom-recent", "days", "A new symptom on injections is recent for")
RULES.limit("oral-effect", "days", "B12 by mouth shows its effect on a result after")
RULES.limit("oral-review", "months", "B12 by mouth is reviewed after")
RULES.limit("oral-review-pregnant", "months", "B12 by mouth is reviewed after, in pregnancy and breastfeeding")
RULES.limit("unanswered-before", "days", "A B12 result answers a symptom if taken before its record by at most")
RULES.limit("unanswered-within", "months", "A B12 result answers a symptom for")


# --- Response to injections


@finding(
    "deficient_on_injections",
    "B12 is deficient although it is injected",
    follows_from="course on_im b12_choice neuro pregnant",
    limits=f"on-injections-result result-current {EDGES}",
)
def deficient_on_injections(case: Case) -> Found:
    lab = deficient_on_treatment(case)
    return case.because(lab) if lab else None


def deficient_on_treatment(case: Case) -> Measured | None:
    """The newest usable result (of either kind of one day), if it is deficient and was taken while ON_IM held."""
    course = case.course
    if not case.has("on_im") or not case.usable_b12 or course.start is None:
        return None
    newest_day = max(lab.date for lab in case.usable_b12)
    if not case.limits.within_days("result-current", newest_day, case.today):
        return None
    since = (newest_day - course.start).days
    if since < (case.limits.days("on-injections-result") if course.by_dose else 1):
        return None
    of_day = [lab for lab in case.usable_b12 if lab.date == newest_day]
    return next((lab for lab in of_day if settled(case, lab) == "deficient"), None)


@finding(
    "deficient_before_order",
    "a deficient B12 result lies before the first order of injections",
    follows_from="course b12_choice neuro pregnant",
    limits=f"result-background {EDGES}",
)
def deficient_before_order(case: Case) -> Found:
    first = case.course.first_order
    if first is None or first.begun is None:
        return None
    earliest = first.begun - timedelta(days=case.limits.days("result-background"))
    low = [lab for lab in case.usable_b12 if earliest <= lab.date <= first.begun and settled(case, lab) == "deficient"]
    return case.because(*low[:1])


def after_start(case: Case, lab: LabResult | None) -> int | None:
    """Days from the start of the course to a result; None where either is not known."""
    start = case.course.start
    return (lab.date - start).days if lab is not None and lab.date is not None and start is not None else None


@finding(
    "response_iron",
    "anaemia on injections is now iron deficiency",
    follows_from="course on_im anaemia iron_deficiency",
    analytes="haemoglobin",
)
def response_iron(case: Case) -> Found:
    days = after_start(case, case.current("haemoglobin"))
    held = case.has("on_im") and case.has("anaemia") and case.has("iron_deficiency")
    return case.joined(("anaemia", "iron_deficiency")) if held and days is not None and days > 0 else None


@finding(
    "response_blood",
    "the blood count has not recovered on injections",
    follows_from="course on_im anaemia macrocytosis severe iron_deficiency hb_clearly_low marked_macrocytosis",
    analytes="haemoglobin mcv",
    limits="response-from response-to",
)
def response_blood(case: Case) -> Found:
    """Early anaemia or macrocytosis; later only what is severe or marked."""
    if not case.has("on_im") or case.has("iron_deficiency"):
        return None
    return list(dict.fromkeys(unrecovered(case)))


def unrecovered(case: Case) -> Iterator[Because]:
    early, late = ("anaemia", "macrocytosis", "severe"), ("severe", "hb_clearly_low", "marked_macrocytosis")
    for analyte in ("haemoglobin", "mcv"):
        lab = case.current(analyte)
        days = after_start(case, lab)
        if lab is None or days is None or days < case.limits.days("response-from"):
            continue
        counted = early if days <= case.limits.days("response-to") else late
        yield from (each for each in case.joined(counted) if each.reference == lab.reference)


@finding(
    "response_late",
    "injections have been given for so long that the blood count should have recovered long ago",
    follows_from="course response_blood",
    limits="response-to",
)
def response_late(case: Case) -> Found:
    start = case.course.start
    late = start is not None and (case.today - start).days > case.limits.days("response-to")
    return case.joined(("response_blood",)) if late else None


def new_on_injections(case: Case, problems: list[Problem]) -> list[Problem]:
    """Of these problems those that were first recorded some time after the start of the course."""
    start = case.course.start
    least = case.limits.days("new-symptom-from")
    return [each for each in problems if start and (day := first_seen(each)) and (day - start).days >= least]


def is_recent(case: Case, problem: Problem) -> bool:
    return case.limits.within_days("new-symptom-recent", first_seen(problem), case.today)


@finding(
    "new_symptoms",
    "a symptom or sign was first recorded on injections, some time after they began",
    follows_from="course on_im",
    problems=f"symptom {NEURO_PARTS}",
    limits="new-symptom-from new-symptom-recent symptom-current",
)
def new_symptoms(case: Case) -> Found:
    if not case.has("on_im"):
        return None
    within = case.limits.within_months
    signs = [
        each
        for each in new_on_injections(case, neurological(case))
        if within("symptom-current", first_seen(each), case.today)
    ]
    others = [each for each in new_on_injections(case, current(case, "symptom")) if is_recent(case, each)]
    return evidence(case, signs + others)


@finding(
    "new_neuro",
    "a neurological sign was first recorded on injections, not long ago",
    follows_from="course new_symptoms",
    problems=NEURO_PARTS,
    limits="new-symptom-from new-symptom-recent symptom-current",
)
def new_neuro(case: Case) -> Found:
    if not case.has("new_symptoms"):
        return None
    return evidence(case, [each for each in new_on_injections(case, neurological(case)) if is_recent(case, each)])


@finding(
    "neuro_since_dose",
    "a neurological sign was first recorded after the last dose",
    follows_from="course on_im_by_dose",
    problems=NEURO_PARTS,
    limits="symptom-current",
)
def neuro_since_dose(case: Case) -> Found:
    last = case.course.last
    if last is None or not case.has("on_im_by_dose"):
        return None
    return evidence(case, [each for each in neurological(case) if (first_seen(each) or date.min) > last])


@finding(
    "symptoms_since_dose",
    "a symptom or sign was first recorded after the last dose",
    follows_from="course on_im_by_dose",
    problems=f"symptom {NEURO_PARTS}",
    limits="symptom-current",
)
def symptoms_since_dose(case: Case) -> Found:
    last = case.course.last
    if last is None or not case.has("on_im_by_dose"):
        return None
    signs = neurological(case) + current(case, "symptom")
    return evidence(case, [each for each in signs if (first_seen(each) or date.min) > last])


# --- Response to tablets


@finding(
    "oral_deficient",
    "B12 is still in the deficient range after long enough on B12 by mouth",
    follows_from="on_oral oral b12_choice b12_deficient",
    limits="oral-effect",
)
def oral_deficient(case: Case) -> Found:
    lab = driver_of(case)
    if lab is None or not (case.has("on_oral") and case.has("b12_deficient")):
        return None
    return case.joined(("b12_deficient",)) if has_had_effect(case, lab) else None


def has_had_effect(case: Case, lab: Measured) -> bool:
    """Was it taken long enough after the tablets began? An unknown start counts as long ago."""
    start = oral_start(case)
    return start is None or (lab.date - start).days >= case.limits.days("oral-effect")


@finding(
    "oral_neuro",
    "neurological signs on B12 by mouth, that no normal result on it answers",
    follows_from="on_oral oral neuro b12_choice",
    problems=NEURO_PARTS,
    limits=f"oral-effect symptom-current {EDGES}",
)
def oral_neuro(case: Case) -> Found:
    """Not where all of them were recorded before the tablets, and B12 on them is above the uncertain range."""
    if not case.has("on_oral"):
        return None
    start = oral_start(case)
    before = start is not None and all((first_seen(each) or start) < start for each in neurological(case))
    high = any(has_had_effect(case, lab) and settled(case, lab) == "above" for lab in case.usable_b12)
    return None if before and high else case.joined(("neuro",))


PERSISTING = "on_oral oral pregnant_or_breastfeeding blood"
PERSISTING_LIMITS = "oral-review oral-review-pregnant symptom-current"


def reviewed_from(case: Case) -> date | None:
    """The day from which symptoms on tablets mean too little effect."""
    start = oral_start(case)
    name = "oral-review-pregnant" if case.has("pregnant_or_breastfeeding") else "oral-review"
    return months_before(start, -case.limits.days(name)) if start and case.has("on_oral") else None


@finding(
    "persisting",
    "symptoms are recorded after the review time of B12 by mouth",
    follows_from=PERSISTING,
    problems=f"symptom {NEURO_PARTS}",
    limits=PERSISTING_LIMITS,
)
def persisting(case: Case) -> Found:
    day = reviewed_from(case)
    return recorded_since(case, day) if day else None


@finding(
    "persisting_blood",
    "an abnormal blood count was measured after the review time of B12 by mouth",
    follows_from=PERSISTING,
    limits="oral-review oral-review-pregnant",
)
def persisting_blood(case: Case) -> Found:
    day = reviewed_from(case)
    return measured_since(case, day) if day else None


any_of(
    "oral_insufficient",
    "B12 by mouth may not be enough: neurological signs, a deficient result, or symptoms after its review",
    "oral_neuro",
    "oral_deficient",
    "persisting",
    "persisting_blood",
)


def recorded_since(case: Case, day: date) -> list[Because]:
    """Symptoms and signs recorded on or after that day."""
    signs = [each for each in current(case, "symptom") + neurological(case) if (latest(each) or date.min) >= day]
    return list(dict.fromkeys(evidence(case, signs)))


def measured_since(case: Case, day: date) -> list[Because]:
    """An abnormal blood count measured on or after that day."""
    found = []
    for analyte in ("haemoglobin", "mcv", "neutrophils", "platelets"):
        lab = case.current(analyte)
        if lab and lab.date >= day:
            found += [each for each in case.joined(("blood",)) if each.reference == lab.reference]
    return found


def symptoms_since(case: Case, day: date) -> list[Because]:
    """Symptoms recorded, or an abnormal blood count measured, on or after that day."""
    return recorded_since(case, day) + measured_since(case, day)


# --- Treatment that ended, or never began


def answered_result(case: Case) -> Measured | None:
    """The newest untreated result that a treatment answered, of whatever age."""
    if case.answered_b12 is not None:
        return case.answered_b12
    old = case.old_b12
    return old if old and is_answered(case, old.date) and not treated_on(case, old.date) else None


ANSWERED = "course ended b12_choice neuro pregnant"
ANSWERED_READS = f"{ANSWERED_LIMITS} im-order order-doses order-new oral-stopped {EDGES}"


@finding(
    "answered_deficient",
    "the result that led to the treatment was deficient",
    follows_from=ANSWERED,
    medicines="cobalamin",
    limits=ANSWERED_READS,
)
def answered_deficient(case: Case) -> Found:
    lab = answered_result(case)
    return case.because(lab) if case.ended and lab and settled(case, lab) == "deficient" else None


@finding(
    "answered_low",
    "the result that led to the treatment was deficient or uncertain",
    follows_from=ANSWERED,
    medicines="cobalamin",
    limits=ANSWERED_READS,
)
def answered_low(case: Case) -> Found:
    lab = answered_result(case)
    return case.because(lab) if case.ended and lab and settled(case, lab) != "above" else None


@finding(
    "lapsed",
    "B12 treatment ended not long ago, without a later result, and there was a reason for it",
    follows_from="course ended treatment_ended b12_choice coded answered_low",
    medicines="cobalamin",
    limits="lapsed-within lapsed-doses im-order order-doses order-new oral-dose oral-stopped",
)
def lapsed(case: Case) -> Found:
    ended = case.ended
    if ended is None or not case.limits.within_months("lapsed-within", ended.last, case.today):
        return None
    over = ended.last + timedelta(days=ended.window)
    if any(lab.date > over and not treated_on(case, lab.date) for lab in case.usable_b12):
        return None
    many = len(case.course.doses) >= case.limits.days("lapsed-doses")
    return case.joined(("treatment_ended",)) if many or case.has("coded", "answered_low") else None


@finding(
    "coded_untreated",
    "B12 deficiency or a positive antibody is on record, without treatment or an answer",
    follows_from="coded ifab_positive b12_untested b12_grey symptoms on_im on_oral",
)
def coded_untreated(case: Case) -> Found:
    if case.has("on_im", "on_oral"):
        return None
    if case.has("b12_untested"):
        return case.joined(("coded", "ifab_positive"))
    unasked = case.has("b12_grey") and not case.has("symptoms")
    return case.joined(("coded",)) if unasked else None


# --- Which regimen the course asks for


@finding(
    "course_loading",
    "treatment begins with loading doses",
    follows_from="course neuro symptoms b12_deficient b12_above"
    " loading_incomplete_ever no_dose_for_a_year bariatric must_im",
)
def course_loading(case: Case) -> Found:
    """Unless nothing asks for it: B12 above the uncertain range, or prevention after bariatric surgery."""
    reasons = ("symptoms", "b12_deficient", "loading_incomplete_ever", "no_dose_for_a_year")
    if case.has("neuro") or not case.has(*reasons):
        return None
    never = not case.course.doses
    well = not case.has("symptoms")
    prevents = case.has("bariatric") and not case.has("must_im", "b12_deficient")
    if never and well and (case.has("b12_above") or prevents):
        return None
    return case.joined(reasons)


@finding(
    "b12_given_before",
    "B12 treatment counts now, or was given before and has ended",
    follows_from="on_im on_oral treatment_ended no_dose_recorded",
)
def b12_given_before(case: Case) -> Found:
    """An order of which no dose is recorded, though doses are recorded here, has begun nothing yet."""
    given = () if case.has("no_dose_recorded") else ("on_im",)
    return case.joined((*given, "on_oral", "treatment_ended"))


@finding(
    "injections_go_on",
    "B12 injections only go on as they were: nothing is begun anew or changed",
    follows_from="on_im b12_given_before neuro_since_dose loading_stopped",
)
def injections_go_on(case: Case) -> Found:
    """Then no review is counted from today as from a start."""
    begun_anew = case.has("neuro_since_dose", "loading_stopped")
    return case.joined(("on_im",)) if case.has("b12_given_before") and not begun_anew else None


@finding(
    "overdue_booked",
    "an injection that is only just overdue is already requested",
    follows_from="overdue overdue_long neuro severe pregnant injection_asked_for",
)
def overdue_booked(case: Case) -> Found:
    urgent = case.has("overdue_long", "neuro", "severe", "pregnant")
    return case.joined(("injection_asked_for",)) if case.has("overdue") and not urgent else None


@finding(
    "ordered_urgent",
    "injections were ordered for a deficient result with neurological signs or a severe count",
    follows_from="neuro severe deficient_before_order",
)
def ordered_urgent(case: Case) -> Found:
    urgent = case.has("neuro", "severe") and case.has("deficient_before_order")
    return case.joined(("deficient_before_order", "neuro", "severe")) if urgent else None


@finding("diet_alone", "a diet low in B12 is the only cause on record", follows_from=f"diet {' '.join(OTHER_CAUSES)}")
def diet_alone(case: Case) -> Found:
    return None if case.has(*OTHER_CAUSES) else case.joined(("diet",))


@finding(
    "lapsed_tablets_urgent",
    "tablets for a deficient result have ended, with neurological signs or a severe count",
    follows_from="ended_injections treatment_ended answered_deficient neuro severe",
)
def lapsed_tablets_urgent(case: Case) -> Found:
    urgent = case.has("neuro", "severe") and case.has("answered_deficient") and not case.has("ended_injections")
    return case.joined(("treatment_ended", "answered_deficient")) if urgent else None


# --- Symptoms that no result has answered


def unanswered(case: Case, problems: Iterable[Problem]) -> list[Problem]:
    """Those for which no B12 above the uncertain range was measured from shortly before the first record on, in the
    last years."""
    newest = max((lab.date for lab in case.judged_b12 if settled(case, lab) == "above"), default=None)
    within = months_before(case.today, case.limits.days("unanswered-within"))
    before = timedelta(days=case.limits.days("unanswered-before"))

    def earliest(problem: Problem) -> date:
        first = first_seen(problem)
        return within if first is None else max(within, first - before)

    return [each for each in problems if newest is None or newest < earliest(each)]


UNANSWERED = "unanswered-before unanswered-within symptom-current"


@finding(
    "unanswered_symptoms",
    "a symptom or sign is recorded, and no normal B12 result answers it",
    follows_from="b12_choice neuro pregnant blood",
    problems=f"symptom neuro-possible {NEURO_PARTS}",
    limits=f"{UNANSWERED} {EDGES}",
)
def unanswered_symptoms(case: Case) -> Found:
    signs = neurological(case) + current(case, "neuro-possible") + current(case, "symptom")
    nerves = [each for each in case.in_group("neuropathy") if is_current(case, each)]
    return [*evidence(case, unanswered(case, dict.fromkeys(signs + nerves))), *case.joined(("blood",))]


@finding(
    "unanswered_neuro",
    "a neurological sign is recorded, and no normal B12 result answers it",
    follows_from="b12_choice neuro pregnant",
    problems=NEURO_PARTS,
    limits=f"{UNANSWERED} {EDGES}",
)
def unanswered_neuro(case: Case) -> Found:
    return evidence(case, unanswered(case, neurological(case)))
