"""From a record to findings: the named facts that the rows of the tables ask for, each with its evidence.

`NAMES` is every finding that a row may name. The order of `assess` is the order of dependence: what is taken, what is
recorded, the blood count, B12, the markers, and then what follows from several of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from .b12 import assess_b12, assess_oral_effect
from .blood import assess_blood
from .case import Because, Case, Evidence
from .exposures import assess_exposures
from .markers import assess_markers
from .optional import assess_optional
from .ordered import assess_orders
from .problems import assess_cord, assess_cord_on_treatment, assess_problems
from .record import PatientRecord
from .tables import Pathway
from .treatment import course_start
from .unjudged import assess_unjudged
from .wording import values

NAMES = frozenset(
    """out_of_scope age_unknown
    on_im on_im_order_only no_dose_recorded lapsed no_dose_for_a_year
    on_oral oral_deficient oral_insufficient persisting
    cobalamin_taken cyanocobalamin_taken chloramphenicol_with_cobalamin
    box2_medicine durations_unknown metformin acid_suppressant medicine_induced nitrous_oxide pill anticoagulant
    folate_running folate_before_b12 folate_critical
    medicines_unknown allergies_unknown no_medicine_draft record_incomplete
    cobalamin_hypersensitivity cobalt_allergy cobalamin_or_cobalt_allergy
    recorded_symptoms symptoms symptoms_undated recognised_by_words neuro gait cord nitrous_with_neuro
    nitrous_with_symptoms cord_or_nitrous_neuro cord_on_treatment
    pregnant breastfeeding pregnant_or_breastfeeding pregnancy_planned
    must_im must_im_disease bariatric irreversible_cause surgical_cause malabsorption coded_cause cause_known diet
    recorded_risk recognised_cause risk_factor risk_or_irreversible leber dialysis
    long_term_medicine length_unknown older_age high_risk_history high_risk lasting_risk on_oral_high b12_high_twice
    macrocytosis hb_severe hb_same_day neutrophils_severe platelets_severe platelets_below_im iron_deficiency cytopenia
    pancytopenia single_cytopenia severe anaemia anaemia_not_iron blood neuro_or_blood folate_low
    potassium_low egfr_reduced egfr_severe kidneys_good ifab_positive ifab_negative anaemia_ifab_not_negative
    b12_deficient b12_grey b12_above b12_grey_or_above b12_straddling b12_verify b12_stale b12_active_measured
    b12_discordant b12_earlier_differs deficient_by_total_only symptoms_or_active symptoms_or_straddling
    b12_untested b12_preliminary b12_unusable b12_masked b12_not_known newer_in_doubt newer_preliminary b12_incomplete
    old_b12 was_deficient stale_exempt repeat_first repeat_first_without_neuro b12_range_differs
    mma_raised mma_normal mma_unclear mma_by_homocysteine mma_egfr_unknown marker_stale homocysteine_raised
    results_unjudged marker_unjudged
    nitrous_marker_raised
    deteriorating injection_preferred injection_first symptoms_or_no_dose megaloblastic_neuro hb_severe_to_treat
    cytopenia_to_treat deficient_or_grey act_before_results
    box2_ordered cobalamin_ordered cyanocobalamin_ordered nitrous_ordered chloramphenicol_order_blunts
    b12_total_ordered b12_not_measured_for_a_year other_box2_medicine other_risk_or_symptom b12_repeat_early
    b12_repeat_grey_symptoms marker_at_hand
    folate_order_matters folate_order_after_b12 folate_order_warning
    folate_order_critical treated_before_sample order_differs order_unchecked""".split()
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A named fact and the references and values that made it true."""

    name: str
    because: Evidence


@dataclass(frozen=True, slots=True)
class Assessment:
    """All findings of one patient on one day, and the values that wording needs. `case` is what they rest on."""

    findings: dict[str, Finding]
    values: dict[str, str]
    case: Case


def assess(record: PatientRecord, pathway: Pathway, today: date) -> Assessment:
    """Every finding of the record on that day."""
    case = Case(record, pathway, today)
    assess_exposures(case)
    assess_problems(case)
    assess_blood(case)
    assess_b12(case)
    assess_markers(case)
    assess_unjudged(case)
    assess_optional(case)
    assess_cord(case)
    assess_combined(case)
    assess_orders(case)
    findings = {name: Finding(name, because) for name, because in case.found.items()}
    return Assessment(findings, values(case), case)


def assess_combined(case: Case) -> None:
    """What follows from several findings at once."""
    case.either("symptoms", "symptoms", "cord")
    case.either("symptoms_or_active", "symptoms", "b12_active_measured")
    case.either("neuro_or_blood", "neuro", "macrocytosis", "severe")
    case.either("symptoms_or_straddling", "symptoms", "b12_straddling")
    case.both("nitrous_with_symptoms", "nitrous_oxide", "symptoms")
    case.either("deteriorating", "gait", "cord", "anaemia_not_iron")
    case.either("deficient_or_grey", "b12_deficient", "b12_grey")
    assess_oral_effect(case)
    case.either("injection_preferred", "severe", "oral_insufficient", "leber")
    case.either("injection_first", "neuro", "injection_preferred")
    case.either("symptoms_or_no_dose", "symptoms", "no_dose_for_a_year")
    assess_cord_on_treatment(case)
    assess_megaloblastic(case)
    assess_severe(case)
    assess_folate_first(case)
    assess_staleness(case)
    assess_completeness(case)


def assess_megaloblastic(case: Case) -> None:
    """S1b: NEURO with a blood count that suggests megaloblastic anaemia."""
    if not case.has("neuro"):
        return
    if case.has("macrocytosis", "severe") and case.has("deficient_or_grey", "b12_not_known"):
        case.either("megaloblastic_neuro", "neuro", "macrocytosis", "severe")
    if case.has("anaemia_not_iron") and case.has("deficient_or_grey"):
        case.either("megaloblastic_neuro", "megaloblastic_neuro", "neuro", "anaemia_not_iron")


def assess_severe(case: Case) -> None:
    """S5 and S5b: severe anaemia or a severe cytopenia that B12 deficiency may explain."""
    explained = case.has("deficient_or_grey") or (case.has("b12_not_known") and case.has("macrocytosis"))
    if not explained:
        return
    case.either("cytopenia_to_treat", "cytopenia")
    early = case.limits.within_days("first-dose-recent", course_start(case), case.today)
    if not case.has("on_im") or early:
        case.either("hb_severe_to_treat", "hb_severe")


def assess_folate_first(case: Case) -> None:
    """S2 for folic acid that is running: no B12 cover, and B12 deficient, grey, or not known with a reason to worry."""
    if not case.has("folate_running") or case.has("on_im", "on_oral"):
        return
    worrying = case.has("macrocytosis", "neuro") and case.has("b12_not_known")
    if case.has("deficient_or_grey") or worrying:
        case.either("folate_before_b12", "folate_running", "deficient_or_grey")
    expecting = case.has("pregnant", "pregnancy_planned")
    if case.has("folate_before_b12") and case.has("neuro") and not expecting:
        case.either("folate_critical", "folate_running", "neuro")


def assess_staleness(case: Case) -> None:
    """A stale deficient result of an untreated patient in danger is acted on while the new sample is taken."""
    if case.has("b12_stale") and case.has("b12_deficient") and not case.has("on_im", "on_oral"):
        case.either("stale_exempt", *(name for name in ("neuro", "severe", "pregnant") if case.has(name)))


def assess_completeness(case: Case) -> None:
    """Could what a row without a card rests on be seen at all?"""
    record = case.record
    needed = {"bloodCount", "conditions", "status"} & record.published
    missing = sorted(needed & (record.unavailable | record.incomplete))
    medicines = {"medications", "medicationRequests"} & record.published
    if not (medicines - record.unavailable) or medicines & record.incomplete:
        missing += sorted(medicines & (record.unavailable | record.incomplete))
    case.add("record_incomplete", [Because("", case.pathway.messages.get(f"prefetch.{key}", key)) for key in missing])
