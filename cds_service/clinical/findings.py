"""The findings of one patient on one day: all declared rules, compiled, and `assess`, which makes them in their order.

`REGISTRY` is what everything that must know the findings is derived from: the names that a row may use, the limits that
a pathway must state, the review sheet. Here too are the findings that follow from several subjects at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from . import b12, laboratory, ordered, problems, treatment
from .case import Because, Case, Evidence, surely_above, surely_below
from .record import PatientRecord
from .rules import Found, Registry, Rules
from .tables import Pathway, Threshold, normalise_unit
from .treatment import course_start
from .wording import values

RULES = Rules()
finding, any_of, all_of = RULES.finding, RULES.any_of, RULES.all_of

RULES.limit("first-dose-recent", "days", "Treatment has just begun for")


@finding(
    "megaloblastic_neuro",
    "neurological signs with a blood count that suggests B12 deficiency",
    follows_from="neuro macrocytosis severe b12_deficient b12_grey b12_not_known anaemia_not_iron",
)
def megaloblastic_neuro(case: Case) -> Found:
    """S1b: NEURO with a blood count that suggests megaloblastic anaemia."""
    if not case.has("neuro"):
        return None
    counts: list[str] = []
    if case.has("macrocytosis", "severe") and case.has("b12_deficient", "b12_grey", "b12_not_known"):
        counts += ("macrocytosis", "severe")
    if case.has("anaemia_not_iron") and case.has("b12_deficient", "b12_grey"):
        counts.append("anaemia_not_iron")
    return case.joined(("neuro", *counts)) if counts else None


EXPLAINED = "b12_deficient b12_grey b12_not_known macrocytosis"


def may_explain(case: Case) -> bool:
    """Could B12 deficiency explain a severe blood count?"""
    return case.has("b12_deficient", "b12_grey") or (case.has("b12_not_known") and case.has("macrocytosis"))


@finding(
    "cytopenia_to_treat",
    "severely low neutrophils or platelets that B12 deficiency may explain",
    follows_from=f"cytopenia {EXPLAINED}",
)
def cytopenia_to_treat(case: Case) -> Found:
    return case.joined(("cytopenia",)) if may_explain(case) else None


@finding(
    "hb_severe_to_treat",
    "severe anaemia that B12 deficiency may explain, before or early in treatment",
    follows_from=f"hb_severe on_im doses {EXPLAINED}",
    limits="first-dose-recent im-window im-window-factor im-window-most",
    medicines="cobalamin",
)
def hb_severe_to_treat(case: Case) -> Found:
    """S5: severe anaemia that B12 deficiency may explain, before or early in treatment."""
    early = case.limits.within_days("first-dose-recent", course_start(case), case.today)
    return case.joined(("hb_severe",)) if may_explain(case) and (early or not case.has("on_im")) else None


@finding(
    "folate_before_b12",
    "folic acid in a treatment dose is in use without B12, and B12 is low, uncertain, or unknown with warning signs",
    follows_from="folate_running on_im on_oral macrocytosis neuro b12_not_known b12_deficient b12_grey",
)
def folate_before_b12(case: Case) -> Found:
    """S2 for folic acid that is running: no B12 cover, and B12 deficient, grey, or not known with a reason to worry."""
    if not case.has("folate_running") or case.has("on_im", "on_oral"):
        return None
    worrying = case.has("macrocytosis", "neuro") and case.has("b12_not_known")
    matters = worrying or case.has("b12_deficient", "b12_grey")
    return case.joined(("folate_running", "b12_deficient", "b12_grey")) if matters else None


@finding(
    "folate_critical",
    "folic acid without B12 as above, with neurological signs, and not for pregnancy",
    follows_from="folate_before_b12 folate_running neuro pregnant pregnancy_planned",
)
def folate_critical(case: Case) -> Found:
    is_critical = case.has("folate_before_b12") and case.has("neuro")
    expecting = case.has("pregnant", "pregnancy_planned")
    return case.joined(("folate_running", "neuro")) if is_critical and not expecting else None


@finding(
    "stale_exempt",
    "the deficient result is old, but waiting is not safe: neurological signs, a severe blood count or pregnancy",
    follows_from="b12_stale b12_deficient on_im on_oral neuro severe pregnant",
)
def stale_exempt(case: Case) -> Found:
    """A stale deficient result of an untreated patient in danger is acted on while the new sample is taken."""
    stale = case.has("b12_stale") and case.has("b12_deficient") and not case.has("on_im", "on_oral")
    return case.joined(("neuro", "severe", "pregnant")) if stale else None


@finding(
    "record_incomplete",
    "parts of the record that this row needs could not be read in full",
    reads="which parts of the record could be read",
)
def record_incomplete(case: Case) -> Found:
    """Could what a row without a card rests on be read at all?"""
    record = case.record
    needed = {"bloodCount", "conditions", "status"} & record.published
    missing = sorted(needed & (record.unavailable | record.incomplete))
    medicines = {"medications", "medicationRequests"} & record.published
    if not (medicines - record.unavailable) or medicines & record.incomplete:
        missing += sorted(medicines & (record.unavailable | record.incomplete))
    return [Because("", case.pathway.messages.get(f"prefetch.{key}", key)) for key in missing]


# --- What the decision adds, once it knows the rows (decide.py)

RULES.limit("loading-doses", "doses a week", "Loading doses are at least", optional=True)
RULES.limit("loading-short", "days", "A loading phase is too short up to", optional=True, refines=True)
RULES.decided(
    "repeat_first", "the result that this rests on is too old: repeat it first", "b12_stale marker_stale stale_exempt"
)
RULES.decided(
    "repeat_first_without_neuro",
    "the result is too old and there are no neurological signs: repeat it first",
    "b12_stale marker_stale neuro",
)
RULES.decided(
    "act_before_results",
    "a critical card (S1, S1b) asks to act today without waiting for any result",
    "cord nitrous_with_neuro megaloblastic_neuro",
)
RULES.decided(
    "order_differs",
    "the B12 order differs from the regimen that fits this patient",
    "cobalamin_ordered",
    "loading-doses loading-short",
)
RULES.decided(
    "order_unchecked",
    "the B12 order could not be compared with the regimen that fits this patient",
    "cobalamin_ordered",
    "loading-doses loading-short",
)

REGISTRY = Registry((treatment.RULES, problems.RULES, laboratory.RULES, b12.RULES, RULES, ordered.RULES))
NAMES = REGISTRY.names
RESTS_ON = REGISTRY.rests_on()
MADE = REGISTRY.made


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


def compared_with(threshold: Threshold, case: Case) -> Found:
    """The evidence of a finding that the content adds: the newest current result lies beyond its limit."""
    analyte = case.pathway.analytes[threshold.analyte]
    lab = case.newest(analyte.id, analyte.current)
    unit = analyte.units[normalise_unit(threshold.unit)]
    family, value = case.base(lab) if lab else ("", threshold.value)
    if lab is None or family != unit.family:
        return None
    beyond = surely_below if threshold.below else surely_above
    return case.because(lab) if beyond(lab, value, threshold.value * unit.factor) else None


def assess(record: PatientRecord, pathway: Pathway, today: date) -> Assessment:
    """Every finding of the record on that day."""
    case = Case(record, pathway, today)
    for rule in MADE:
        if all(name in pathway.limits for name in RESTS_ON.get(rule.name, ())):
            case.add(rule.name, rule.make(case))
    for threshold in pathway.compared:
        case.add(threshold.makes, compared_with(threshold, case))
    findings = {name: Finding(name, because) for name, because in case.found.items()}
    return Assessment(findings, values(case), case)
