"""The findings of one patient on one day: all declared rules, compiled, and `assess`, which makes them in their order.

`REGISTRY` is what everything that must know the findings is derived from: the names that a row may use, the limits that
a pathway must state, the review sheet. Here too are the findings that follow from several subjects at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache

from . import b12, bands, course, injections, laboratory, loading, monitoring, ordered, problems, treatment
from .case import Because, Case, Evidence, surely_above, surely_below
from .problems import current, first_seen
from .record import DOSES_STAND_IN, MEDICINES_STAND_IN, SIGNS_STAND_IN, PatientRecord, measured
from .rules import Found, Registry, Rule, Rules
from .tables import Pathway, Threshold, normalise_unit
from .wording import Values

RULES = Rules()
finding, any_of, all_of = RULES.finding, RULES.any_of, RULES.all_of

RULES.limit("first-dose-recent", "days", "Treatment has just begun for")
RULES.limit("hb-same-day-current", "days", "Haemoglobin: assessment on the same day, on treatment, if measured within")
RULES.limit("folate-long", "days", "Folic acid that is taken is no news after")
RULES.limit("stomach-current", "months", "A complaint of the stomach counts for")


# --- What is shown, and what must be believed


@finding(
    "shown",
    "B12 deficiency is shown: by the antibody, by MMA, or by a deficient result that nothing else explains",
    follows_from="ifab_positive mma_raised b12_deficient deficient_by_total_only pill pregnant very_low",
)
def shown(case: Case) -> Found:
    """SHOWN: a deficient total alone on the pill or in pregnancy shows it only if it is very low."""
    blurred = case.has("deficient_by_total_only") and case.has("pill", "pregnant") and not case.has("very_low")
    return case.joined(("ifab_positive", "mma_raised", *(() if blurred else ("b12_deficient",))))


@finding(
    "believable",
    "B12 may well be deficient: it is, is not known, or is uncertain and MMA does not speak against it",
    follows_from="b12_deficient b12_not_known b12_grey mma_normal ifab_positive mma_raised",
)
def believable(case: Case) -> Found:
    grey = ("b12_grey",) if not case.has("mma_normal") else ()
    return case.joined(("b12_deficient", "b12_not_known", *grey, "ifab_positive", "mma_raised"))


@finding(
    "megaloblastic_neuro",
    "neurological signs with a blood count that suggests B12 deficiency, which is believable",
    follows_from="neuro believable megaloblastic macrocytosis macro_other shown cord_sign anaemia_not_iron",
)
def megaloblastic_neuro(case: Case) -> Found:
    """S1b: NEURO with a megaloblastic count, a cord sign with macrocytosis, or anaemia where deficiency is shown."""
    if not (case.has("neuro") and case.has("believable")):
        return None
    counts: list[str] = []
    if case.has("shown") or not case.has("macro_other"):
        counts += ["megaloblastic"] if case.has("megaloblastic") else []
        counts += ["macrocytosis"] if case.has("cord_sign") and case.has("macrocytosis") else []
    if case.has("anaemia_not_iron") and case.has("shown"):
        counts.append("anaemia_not_iron")
    return case.joined(("neuro", *counts)) if counts else None


@finding(
    "cord_sign",
    "ataxia, loss of position sense or a disorder of the spinal cord is recorded",
    problems="cord-sign neuro neuropathy lasting",
    limits="symptom-current",
)
def cord_sign(case: Case) -> Found:
    signs = problems.neurological(case)
    return problems.evidence(case, [each for each in current(case, "cord-sign") if each in signs])


@finding(
    "unshown_in_pregnancy",
    "megaloblastic anaemia in pregnancy, and B12 deficiency is not shown: no B12 is drafted before it is",
    follows_from="pregnant megaloblastic b12_above b12_not_known shown cord",
    problems="sacd",
)
def unshown_in_pregnancy(case: Case) -> Found:
    """SACD is not bound by this."""
    open_question = case.has("pregnant") and case.has("megaloblastic") and case.has("b12_above", "b12_not_known")
    cord = any(each.active for each in case.in_group("sacd"))
    return None if case.has("shown") or cord or not open_question else case.joined(("pregnant", "megaloblastic"))


@finding(
    "discordant",
    "B12 is above the uncertain range, and strong signs of deficiency contradict it",
    follows_from="b12_above cord megaloblastic neuro macro_other mma_normal ifab_positive mma_raised anaemia_not_iron"
    " macrocytosis severe iron_deficiency course",
    problems="sacd",
    medicines="cobalamin",
    limits="sacd-current",
)
def discordant(case: Case) -> Found:
    if not case.has("b12_above"):
        return None
    found: list[str] = []
    if any(each.active and problems.sacd_counts(case, each) for each in case.in_group("sacd")):
        found.append("cord")
    if case.has("megaloblastic") and case.has("neuro") and not case.has("macro_other", "mma_normal"):
        found += ["megaloblastic", "neuro"]
    if case.has("ifab_positive", "mma_raised"):
        blood = () if case.has("iron_deficiency") else ("macrocytosis", "severe")
        signs = [name for name in ("neuro", "anaemia_not_iron", *blood) if case.has(name)]
        found += ["ifab_positive", "mma_raised", *signs] if signs else []
    return case.joined(found)


@finding(
    "aig_until_disproved",
    "autoimmune gastritis is suspected until it is disproved",
    follows_from="aig_suspected ifab_negative anaemia_not_iron b12_grey macrocytosis macro_other",
)
def aig_until_disproved(case: Case) -> Found:
    """Atrophic gastritis; or the antibody is not negative, with anaemia (not where B12 is grey) or macrocytosis."""
    found = ["aig_suspected"]
    if not case.has("ifab_negative"):
        found += ["anaemia_not_iron"] if not case.has("b12_grey") else []
        found += ["macrocytosis"] if not case.has("macro_other") else []
    return case.joined(found)


@finding(
    "cause_known",
    "the cause is known: from the problem list, or by the intrinsic factor antibody",
    follows_from="coded_cause must_im bariatric aig_until_disproved",
)
def cause_known(case: Case) -> Found:
    """Not where autoimmune gastritis must be disproved first."""
    open_question = case.has("aig_until_disproved") and not case.has("must_im", "bariatric")
    return None if open_question else case.joined(("coded_cause", "must_im", "bariatric"))


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
    explained = case.has("b12_deficient") or (case.has("macrocytosis") and case.has("b12_grey", "b12_not_known"))
    return case.joined(("cytopenia",)) if explained else None


@finding(
    "hb_severe_to_treat",
    "severe anaemia that B12 deficiency may explain, before or early in treatment, or very severe at any time on it",
    follows_from=f"hb_severe hb_same_day on_im on_oral course no_dose_recorded {EXPLAINED}",
    analytes="haemoglobin",
    limits="first-dose-recent hb-same-day-current",
)
def hb_severe_to_treat(case: Case) -> Found:
    """S5."""
    lab = case.current("haemoglobin")
    fresh = lab is not None and case.limits.within_days("hb-same-day-current", lab.date, case.today)
    if case.has("hb_same_day") and fresh and case.has("on_im", "on_oral"):
        return case.joined(("hb_severe",))
    early = case.limits.within_days("first-dose-recent", case.course.start, case.today) and case.course.by_dose
    untreated = not case.has("on_im") or case.has("no_dose_recorded") or early
    return case.joined(("hb_severe",)) if may_explain(case) and untreated else None


# --- Folic acid that is running: S2


@finding(
    "folate_before_b12",
    "folic acid in a treatment dose is in use without B12, and B12 is low, uncertain, or unknown with warning signs",
    follows_from="folate_running covered macrocytosis neuro b12_not_known b12_deficient b12_grey",
)
def folate_before_b12(case: Case) -> Found:
    """No B12 cover, and B12 deficient, grey, or not known with a reason to worry."""
    if not case.has("folate_running") or case.has("covered"):
        return None
    worrying = case.has("macrocytosis", "neuro") and case.has("b12_not_known")
    matters = worrying or case.has("b12_deficient", "b12_grey")
    return case.joined(("folate_running", "b12_deficient", "b12_grey")) if matters else None


@finding(
    "covered",
    "B12 is given that protects while folic acid is taken",
    follows_from="on_im on_oral deficient_on_injections on_im_by_order newly_ordered doses_not_recorded",
)
def covered(case: Case) -> Found:
    """Not by injections that were ordered and not given, nor by those on which B12 is deficient."""
    missed = case.has("on_im_by_order") and not case.has("newly_ordered", "doses_not_recorded")
    injected = () if case.has("deficient_on_injections") or missed else ("on_im",)
    return case.joined((*injected, "on_oral"))


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
    "folate_recent",
    "folic acid has been in use for a short time, or since when is not recorded",
    follows_from="folate_running",
    medicines="folic",
    limits="folate-long",
)
def folate_recent(case: Case) -> Found:
    entries = {each.reference: each for each in case.medicines("folic")}
    running = [entries[each.reference] for each in case.joined(("folate_running",)) if each.reference in entries]
    is_recent = any(
        each.start is None or case.limits.within_days("folate-long", each.start, case.today) for each in running
    )
    return case.joined(("folate_running",)) if is_recent else None


@finding("folate_grey_neuro", "B12 is uncertain, with neurological signs", follows_from="b12_grey neuro")
def folate_grey_neuro(case: Case) -> Found:
    return case.joined(("b12_grey", "neuro")) if case.has("b12_grey") and case.has("neuro") else None


# --- What rows ask for in one word


@finding(
    "preliminary_deficient",
    "a preliminary B12 result is in the deficient range",
    follows_from="b12_preliminary b12_choice neuro pregnant",
    limits=bands.EDGES,
)
def preliminary_deficient(case: Case) -> Found:
    lab = measured(case.b12) if case.b12 and case.has("b12_preliminary") else None
    return case.because(lab) if lab and b12.settled(case, lab) == "deficient" else None


all_of(
    "preliminary_urgent",
    "a preliminary B12 result is in the deficient range, with neurological signs",
    "preliminary_deficient",
    "neuro",
)


@finding(
    "low_in_context",
    "total B12 alone is deficient, on the pill or in pregnancy, and nothing else speaks for it",
    follows_from="deficient_by_total_only pill pregnant mma_raised irreversible_cause blood symptoms"
    " nitrous_with_symptoms",
)
def low_in_context(case: Case) -> Found:
    if not case.has("deficient_by_total_only") or case.has("mma_raised", "irreversible_cause"):
        return None
    if case.has("pregnant"):
        return None if case.has("symptoms") else case.joined(("deficient_by_total_only", "pregnant"))
    explained = case.has("pill") and not case.has("blood", "nitrous_with_symptoms")
    return case.joined(("deficient_by_total_only", "pill")) if explained else None


@finding(
    "megaloblastic_signs",
    "neurological signs with a megaloblastic blood count that nothing else explains",
    follows_from="megaloblastic neuro macro_other",
)
def megaloblastic_signs(case: Case) -> Found:
    held = case.has("megaloblastic") and case.has("neuro") and not case.has("macro_other")
    return case.joined(("megaloblastic", "neuro")) if held else None


all_of("neuro_with_macrocytosis", "neurological signs and large red cells", "neuro", "macrocytosis")
all_of("iron_anaemia", "anaemia with iron deficiency", "anaemia", "iron_deficiency")


# --- The stomach: S9


@finding(
    "stomach_signs",
    "dyspepsia, early satiety, trouble swallowing or weight loss was recorded not long ago, and no gastroscopy since",
    problems="stomach gastroscopy",
    limits="stomach-current",
)
def stomach_signs(case: Case) -> Found:
    return stomach(case, "stomach")


@finding(
    "stomach_alarm",
    "trouble swallowing or weight loss was recorded not long ago, and no gastroscopy since",
    problems="stomach-alarm gastroscopy",
    limits="stomach-current",
)
def stomach_alarm(case: Case) -> Found:
    return stomach(case, "stomach-alarm")


def stomach(case: Case, group: str) -> list[Because]:
    signs = [
        each
        for each in case.in_group(group)
        if each.active and case.limits.within_months("stomach-current", first_seen(each), case.today)
    ]
    return problems.evidence(case, [each for each in signs if not looked_into(case, first_seen(each))])


def looked_into(case: Case, day: date | None) -> bool:
    """Has a gastroscopy been done on or after that day?"""
    return any((first_seen(each) or date.min) >= (day or date.max) for each in case.in_group("gastroscopy"))


@finding(
    "stomach_iron",
    "iron deficiency (low ferritin, or small red cells with anaemia), and no gastroscopy since",
    follows_from="ferritin_low microcytosis anaemia",
    analytes="ferritin mcv",
    problems="gastroscopy",
)
def stomach_iron(case: Case) -> Found:
    small = case.has("microcytosis") and case.has("anaemia")
    names = [*(["ferritin_low"] if case.has("ferritin_low") else []), *(["microcytosis"] if small else [])]
    days = [lab.date for lab in (case.current("ferritin"), case.current("mcv")) if lab]
    return None if not days or looked_into(case, max(days)) else case.joined(names)


@finding(
    "aig",
    "autoimmune gastritis, pernicious anaemia or the antibody is on record, or suspected",
    follows_from="ifab_positive aig_suspected",
    problems="aig lifelong",
)
def aig(case: Case) -> Found:
    recorded = problems.evidence(case, case.in_group("aig"))
    return [*recorded, *case.joined(("ifab_positive", "aig_suspected"))]


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
    follows_from="on_im on_im_by_order newly_ordered overdue loading_stopped treatment_ended must_im_disease bariatric",
    reads="which parts of the record could be read, and whether the site records doses",
)
def record_incomplete(case: Case) -> Found:
    """Could what a row without a card rests on be read at all?"""
    record = case.record
    missing = sorted(record.unread(SIGNS_STAND_IN | {"bloodCount", "procedures"})) + sorted(record.medicines_unread())
    if case.pathway.doses_recorded and record.unread(frozenset({"administrations"})) and doses_matter(case):
        missing += sorted(record.unread(DOSES_STAND_IN - MEDICINES_STAND_IN))
    return [Because("", case.pathway.messages.get(f"prefetch.{key}", key)) for key in missing]


def doses_matter(case: Case) -> bool:
    """Would a dose that was not read change what is said of the injections? An order is no dose that was given."""
    by_order = case.has("on_im_by_order") and not case.has("newly_ordered")
    for_life = case.has("must_im_disease", "bariatric") and not case.has("on_im")
    return by_order or for_life or case.has("overdue", "loading_stopped", "treatment_ended")


# --- What the decision adds, once it knows the rows (decide.py)

RULES.limit("loading-doses", "doses a week", "Loading doses are at least", optional=True)
RULES.limit("loading-short", "days", "A loading phase is too short up to", optional=True, refines=True)
RULES.limit("excess-injected", "times", "An injection is far too much above", optional=True, refines=True)
RULES.limit("excess-by-mouth", "times", "B12 by mouth is far too much above", optional=True, refines=True)
RULES.decided(
    "repeat_first", "the result that this rests on is too old: repeat it first", "b12_stale marker_stale stale_exempt"
)
RULES.decided(
    "stale_without_gait",
    "the result is too old, and walking and balance are not affected: repeat it first",
    "b12_stale marker_stale stale_exempt gait",
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
    "loading-doses loading-short excess-injected excess-by-mouth",
)
RULES.decided(
    "order_unchecked",
    "the B12 order could not be compared with the regimen that fits this patient",
    "cobalamin_ordered",
    "loading-doses loading-short excess-injected excess-by-mouth",
)
RULES.decided(
    "order_second_choice",
    "only B12 by mouth is ordered, and of the regimens that fit an injection comes first",
    "cobalamin_ordered",
    "loading-doses loading-short excess-injected excess-by-mouth",
)

REGISTRY = Registry(
    (
        course.RULES,
        injections.RULES,
        treatment.RULES,
        problems.RULES,
        laboratory.RULES,
        b12.RULES,
        loading.RULES,
        monitoring.RULES,
        RULES,
        ordered.RULES,
    )
)
NAMES = REGISTRY.names
RESTS_ON = REGISTRY.rests_on()


@lru_cache(maxsize=16)
def made_with(limits: frozenset[str]) -> tuple[tuple[Rule, frozenset[str]], ...]:
    """The rules of a pathway that states these limits, each with what it needs: worked out once, not at every call."""
    return tuple((rule, rule.needs) for rule in REGISTRY.made_with(limits))


@dataclass(frozen=True, slots=True)
class Finding:
    """A named fact and the references and values that made it true."""

    name: str
    because: Evidence


@dataclass(frozen=True, slots=True)
class Assessment:
    """All findings of one patient on one day, and the values that wording needs. `case` is what they rest on."""

    findings: dict[str, Finding]
    values: Values = field(compare=False)
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
    """Every finding of the record on that day.

    Most rules are about what this patient does not have. They are not even asked, by what they declare to be drawn
    from: `there` holds what they could find something in.
    """
    case = Case(record, pathway, today)
    there = case.recorded()
    for rule, needs in made_with(pathway.limits.names):
        if rule.is_step:  # what it works out is read, be it that there is nothing
            if rule.make(case):
                there.add(rule.name)
        elif not (needs and there.isdisjoint(needs)):
            case.add(rule.name, rule.make(case))
            if rule.name in case.found:
                there.add(rule.name)
    for threshold in pathway.compared:
        case.add(threshold.makes, compared_with(threshold, case))
    findings = {name: Finding(name, because) for name, because in case.found.items()}
    return Assessment(findings, Values(case), case)
