"""The other results (1.2 to 1.4, 6.1): blood count, iron, folate, kidneys, potassium, antibodies, MMA and homocysteine;
and which of them came and could not be judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from .b12 import TREATED
from .bands import doubt
from .case import (
    B12_ANALYTES,
    MARKERS,
    Because,
    Case,
    implausible,
    surely_above,
    surely_below,
    worse_of_the_day,
)
from .course import treated_on
from .record import LabResult, Measured, measured
from .rules import Found, Rules

ANTIBODY = "intrinsic-factor-antibody"
OF_THEIR_OWN = frozenset((*B12_ANALYTES, *MARKERS))  # analytes with more reasons for doubt than the others

RULES = Rules()
finding, step, any_of, all_of, compare = RULES.finding, RULES.step, RULES.any_of, RULES.all_of, RULES.compare

RULES.limit("mcv-macrocytosis", "fL", "MCV: macrocytosis above")
RULES.limit("mcv-marked", "fL", "MCV: marked macrocytosis above")
RULES.limit("hb-response", "g/L", "Haemoglobin: clearly low on treatment below")
RULES.limit("ifab-negative", "days", "A negative intrinsic factor antibody serves for")
RULES.limit("mcv-microcytosis", "fL", "MCV: small red cells below")
RULES.limit("hb-men", "g/L", "Haemoglobin: anaemia below, men")
RULES.limit("hb-women", "g/L", "Haemoglobin: anaemia below, women and where the sex is not recorded")
RULES.limit("hb-pregnancy", "g/L", "Haemoglobin: anaemia below, in pregnancy")
RULES.limit("hb-severe", "g/L", "Haemoglobin: severe below")
RULES.limit("hb-same-day", "g/L", "Haemoglobin: assessment on the same day below")
RULES.limit("neutrophils-severe", "10*9/L", "Neutrophils: severe below")
RULES.limit("platelets-severe", "10*9/L", "Platelets: severe below")
RULES.limit("platelets-im", "10*9/L", "Platelets: no injection into a muscle below")
RULES.limit("ferritin-iron", "ug/L", "Ferritin: iron deficiency likely below")
RULES.limit("folate-low-mass", "ug/L", "Folate: low below")
RULES.limit("folate-low-molar", "nmol/L", "Folate: low below")
RULES.limit("potassium-low", "mmol/L", "Potassium: low below")
RULES.limit("egfr-reduced", "mL/min/1.73 m2", "eGFR: reduced below")
RULES.limit("egfr-severe", "mL/min/1.73 m2", "eGFR: severely reduced below")
RULES.limit("mma-upper", "nmol/L", "MMA: raised above, where the result has no range")
RULES.limit("mma-high", "nmol/L", "MMA: highly raised from")
RULES.limit("homocysteine-upper", "umol/L", "Homocysteine: raised above, where the result has no range")
RULES.limit("blood-count-current", "days", "A blood count counts for")
RULES.limit("folate-current", "days", "A folate result counts for")
RULES.limit("ferritin-current", "days", "A ferritin result counts for")
RULES.limit("egfr-current", "days", "An eGFR counts for")
RULES.limit("potassium-current", "days", "A potassium result counts for")

RULES.results("haemoglobin", "mcv", "neutrophils", "platelets", count_for="blood-count-current")
RULES.results(*MARKERS, ANTIBODY, count_for="result-background")
RULES.results("ferritin", count_for="ferritin-current")
RULES.results("folate", count_for="folate-current")
RULES.results("potassium", count_for="potassium-current")
RULES.results("egfr", count_for="egfr-current")


RULES.probe("anaemia", "hb-men", "haemoglobin", "below", sex="male")
RULES.probe("anaemia", "hb-women", "haemoglobin", "below")
RULES.probe("anaemia", "hb-pregnancy", "haemoglobin", "below", problem="pregnancy")
RULES.probe("folate_low", "folate-low-mass", "folate", "below")
RULES.probe("folate_low", "folate-low-molar", "folate", "below")
RULES.probe("egfr_reduced", "egfr-reduced", "egfr", "below")
RULES.probe("egfr_severe", "egfr-severe", "egfr", "below")
RULES.probe("mma_raised", "mma-upper", "mma", "above")
RULES.probe("homocysteine_raised", "homocysteine-upper", "homocysteine", "above")


# --- Blood count: BLOOD and SEVERE

compare("macrocytosis", "the red cells are large (MCV above its limit)", "mcv", above="mcv-macrocytosis")
compare("marked_macrocytosis", "the red cells are very large (MCV above its higher limit)", "mcv", above="mcv-marked")
compare("hb_clearly_low", "haemoglobin is clearly low", "haemoglobin", below="hb-response")
compare("microcytosis", "the red cells are small (MCV below its limit)", "mcv", below="mcv-microcytosis")
compare("hb_severe", "haemoglobin is below the limit of severe anaemia", "haemoglobin", below="hb-severe")
compare(
    "hb_same_day", "haemoglobin is below the limit for assessment on the same day", "haemoglobin", below="hb-same-day"
)
compare("neutrophils_severe", "neutrophils are below the severe limit", "neutrophils", below="neutrophils-severe")
compare("platelets_severe", "platelets are below the severe limit", "platelets", below="platelets-severe")
compare(
    "platelets_below_im",
    "platelets are below the limit for an injection into a muscle",
    "platelets",
    below="platelets-im",
)
compare("ferritin_low", "ferritin is below the limit of iron deficiency", "ferritin", below="ferritin-iron")
any_of("iron_deficiency", "iron deficiency is likely: small red cells or low ferritin", "microcytosis", "ferritin_low")
any_of("cytopenia", "neutrophils or platelets are below their severe limits", "neutrophils_severe", "platelets_severe")
all_of(
    "pancytopenia",
    "neutrophils and platelets are both below their severe limits",
    "neutrophils_severe",
    "platelets_severe",
)
any_of("severe", "severe anaemia, or neutrophils and platelets both severely low", "hb_severe", "pancytopenia")


@finding(
    "single_cytopenia",
    "neutrophils or platelets, but not both, are below their severe limits",
    follows_from="cytopenia pancytopenia",
)
def single_cytopenia(case: Case) -> Found:
    return None if case.has("pancytopenia") else case.joined(("cytopenia",))


@finding(
    "anaemia",
    "haemoglobin is below the limit for this patient",
    follows_from="pregnant",
    analytes="haemoglobin",
    reads="the sex",
    limits="hb-pregnancy hb-men hb-women blood-count-current",
)
def anaemia(case: Case) -> Found:
    """By sex and pregnancy; where the sex is not recorded the lower limit of the two counts."""
    limit = "hb-pregnancy" if case.has("pregnant") else "hb-men" if case.record.patient.sex == "male" else "hb-women"
    return RULES.surely(case, "haemoglobin", below=limit)


@finding("anaemia_not_iron", "anaemia that iron deficiency does not explain", follows_from="anaemia iron_deficiency")
def anaemia_not_iron(case: Case) -> Found:
    return None if case.has("iron_deficiency") else case.joined(("anaemia",))


any_of("blood", "the blood count shows macrocytosis, anaemia or a severe change", "macrocytosis", "anaemia", "severe")


any_of("macro_other", "another cause of large red cells is recorded", "macro_other_medicine", "macro_other_problem")


@finding(
    "megaloblastic",
    "the blood count suggests megaloblastic anaemia",
    analytes="mcv",
    follows_from="iron_deficiency marked_macrocytosis anaemia severe macrocytosis",
)
def megaloblastic(case: Case) -> Found:
    """MEGALO: anaemia with macrocytosis, or marked macrocytosis alone; never with iron deficiency."""
    if case.has("iron_deficiency"):
        return None
    if case.has("macrocytosis") and case.has("anaemia", "severe"):
        return case.joined(("macrocytosis", "anaemia", "severe"))
    unknown = case.has("severe") and case.current("mcv") is None
    return case.joined(("severe",) if unknown else ("marked_macrocytosis",))


# --- Chemistry


@finding("folate_low", "folate is low", analytes="folate", limits="folate-low-mass folate-low-molar folate-current")
def folate_low(case: Case) -> Found:
    lab = case.newest("folate", "folate-current")
    if lab is None:
        return None
    family, value = case.base(lab)
    return case.because(lab) if surely_below(lab, value, case.limits[f"folate-low-{family}"]) else None


compare("potassium_low", "potassium is low", "potassium", below="potassium-low")


def kidneys(case: Case, limit: str) -> Iterator[Because]:
    """eGFR below the limit; a coded stage where there is no eGFR; dialysis."""
    yield from RULES.surely(case, "egfr", below=limit) or ()
    if case.current("egfr") is None:
        staged = [each for each in case.problems.get("ckd-severe", ()) if each.active]
        yield from (Because(each.reference, case.display(each.concept)) for each in staged)
    yield from case.joined(("dialysis",))


STAGE = "the coded stage of kidney disease"


@finding(
    "egfr_reduced",
    "kidney function is reduced (eGFR below its limit, kidney disease or dialysis)",
    follows_from="dialysis",
    analytes="egfr",
    limits="egfr-reduced egfr-current",
    reads=STAGE,
)
def egfr_reduced(case: Case) -> Found:
    return dict.fromkeys(kidneys(case, "egfr-reduced"))


@finding(
    "egfr_severe",
    "kidney function is severely reduced",
    follows_from="dialysis",
    analytes="egfr",
    limits="egfr-severe egfr-current",
    reads=STAGE,
)
def egfr_severe(case: Case) -> Found:
    return dict.fromkeys(kidneys(case, "egfr-severe"))


@finding(
    "kidneys_good",
    "kidney function is known and not reduced",
    follows_from="egfr_reduced",
    analytes="egfr",
    limits="egfr-current",
)
def kidneys_good(case: Case) -> Found:
    return None if case.has("egfr_reduced") else case.because(case.current("egfr"))


# --- Intrinsic factor antibody


def antibodies(case: Case, outcome: str) -> list[LabResult]:
    """The usable antibody results of that outcome, newest first."""
    results = case.labs.get(ANTIBODY, ())
    return [lab for lab in results if lab.outcome == outcome and not lab.doubt and not lab.preliminary]


@finding("ifab_positive", "the intrinsic factor antibody is positive", analytes=ANTIBODY)
def ifab_positive(case: Case) -> Found:
    """A positive antibody never expires."""
    return case.because(*antibodies(case, "positive")[:1])


@finding(
    "ifab_negative",
    "the intrinsic factor antibody is negative",
    follows_from="ifab_positive",
    analytes=ANTIBODY,
    limits="ifab-negative",
)
def ifab_negative(case: Case) -> Found:
    if case.has("ifab_positive"):
        return None
    recent = [
        lab for lab in antibodies(case, "negative") if case.limits.within_days("ifab-negative", lab.date, case.today)
    ]
    return case.because(*recent[:1])


@finding(
    "anaemia_ifab_not_negative",
    "anaemia, and the intrinsic factor antibody is not known to be negative",
    follows_from="anaemia ifab_negative",
)
def anaemia_ifab_not_negative(case: Case) -> Found:
    return None if case.has("ifab_negative") else case.joined(("anaemia",))


# --- MMA, and homocysteine in its place


@step(
    "markers",
    follows_from="course oral on_im on_oral",
    analytes="mma homocysteine",
    medicines="cobalamin",
    limits=f"result-background mma-upper {TREATED}",
)
def markers(case: Case) -> bool:
    """The newest usable results."""
    case.mma, case.homocysteine = newest_marker(case, "mma"), newest_marker(case, "homocysteine")
    return case.mma is not None or case.homocysteine is not None


def newest_marker(case: Case, analyte: str) -> Measured | None:
    """The newest usable result within its age that was not taken on injections, where the marker is meant to fall."""
    return worse_of_the_day(case, usable_markers(case, analyte))


def usable_markers(case: Case, analyte: str) -> Iterator[Measured]:
    for lab in case.labs.get(analyte, ()):
        known = None if lab.preliminary or doubt(case, lab) else measured(lab)
        if known is None or not case.limits.within_days("result-background", known.date, case.today):
            continue
        if case.has("on_oral") or not treated_on(case, known.date):
            yield known


def molar(case: Case, lab: LabResult, number: Decimal) -> Decimal:
    """A number in the result's unit as nmol/L (MMA) or umol/L (homocysteine)."""
    family, value = case.base_of(lab, number)
    ratio = case.pathway.analytes[lab.analyte].mass_per_molar
    return value if family == "molar" or ratio is None else value / ratio


def upper_limit(case: Case, lab: LabResult, default: str) -> Decimal:
    """The laboratory's own upper limit in the result's unit as a molar number, else the pathway's default."""
    return molar(case, lab, lab.high) if lab.high is not None else case.limits[default]


def is_raised(case: Case, lab: Measured, default: str) -> bool:
    """Strictly above the limit."""
    return surely_above(lab, molar(case, lab, lab.value), upper_limit(case, lab, default))


def is_open(case: Case, lab: Measured, default: str) -> bool:
    """Of one that is not surely raised: may it be? "<400" says nothing where the limit is 280, nor does ">200"."""
    if lab.comparator in ("<", "<="):
        return molar(case, lab, lab.value) > upper_limit(case, lab, default)
    return bool(lab.comparator)


def marker_state(case: Case) -> str:
    """raised | normal | unclear, by MMA, or by homocysteine in its place; "" without either. Unclear is what is open,
    and what is raised for another reason, perhaps."""
    lab = case.mma or case.homocysteine
    if not lab:
        return ""
    default = "mma-upper" if case.mma else "homocysteine-upper"
    if not is_raised(case, lab, default):
        return "unclear" if is_open(case, lab, default) else "normal"
    return "unclear" if is_blurred(case) else "raised"


def is_blurred(case: Case) -> bool:
    """May the kidneys be the reason why MMA is raised? Homocysteine stands in for it only where the kidneys are known
    to be good and folate is not low."""
    if case.mma:
        high = molar(case, case.mma, case.mma.value) >= case.limits["mma-high"]
        return case.has("egfr_reduced") and not (high and not case.has("egfr_severe"))
    return not case.has("kidneys_good") or case.has("folate_low", "homocysteine_raising")


def homocysteine_is_raised(case: Case) -> bool:
    return case.homocysteine is not None and is_raised(case, case.homocysteine, "homocysteine-upper")


MARKER_PARTS = "markers egfr_reduced egfr_severe kidneys_good folate_low homocysteine_raising"
MARKER_LIMITS = "mma-upper mma-high homocysteine-upper"


def marker_evidence(case: Case) -> tuple[Because, ...]:
    return case.because(case.mma or case.homocysteine)


@finding("mma_raised", "MMA (or homocysteine in its place) is raised", follows_from=MARKER_PARTS, limits=MARKER_LIMITS)
def mma_raised(case: Case) -> Found:
    if marker_state(case) != "raised":
        return None
    return marker_evidence(case) + (tuple(case.joined(("egfr_reduced",))) if case.mma else ())


@finding(
    "mma_normal", "MMA (or homocysteine in its place) is not raised", follows_from=MARKER_PARTS, limits=MARKER_LIMITS
)
def mma_normal(case: Case) -> Found:
    return marker_evidence(case) if marker_state(case) == "normal" else None


@finding(
    "mma_unclear",
    "MMA (or homocysteine in its place) is raised, but the kidneys or low folate may be why; or its result is open",
    follows_from=MARKER_PARTS,
    limits=MARKER_LIMITS,
)
def mma_unclear(case: Case) -> Found:
    if marker_state(case) != "unclear":
        return None
    blurred = case.mma is not None and is_raised(case, case.mma, "mma-upper")
    return marker_evidence(case) + (tuple(case.joined(("egfr_reduced",))) if blurred else ())


@finding("mma_by_homocysteine", "homocysteine stands in for MMA, which was not measured", follows_from="markers")
def mma_by_homocysteine(case: Case) -> Found:
    return None if case.mma else case.because(case.homocysteine)


@finding(
    "mma_egfr_unknown",
    "MMA is raised and kidney function is not known",
    follows_from="markers egfr_reduced",
    analytes="egfr",
    limits="mma-upper",
)
def mma_egfr_unknown(case: Case) -> Found:
    unknown = not case.has("egfr_reduced") and case.current("egfr") is None
    is_there = case.mma is not None and unknown and is_raised(case, case.mma, "mma-upper")
    return (Because("", case.words("kidneys-unknown")),) if is_there else None


@finding(
    "marker_stale",
    "the MMA or homocysteine result is too old to act on before it is repeated",
    follows_from="markers",
    limits="result-current",
)
def marker_stale(case: Case) -> Found:
    both = [lab for lab in (case.mma, case.homocysteine) if lab]
    return case.because(*(lab for lab in both if not case.limits.within_days("result-current", lab.date, case.today)))


@finding("homocysteine_raised", "homocysteine is raised", follows_from="markers", limits="homocysteine-upper")
def homocysteine_raised(case: Case) -> Found:
    return case.because(case.homocysteine) if homocysteine_is_raised(case) else None


# --- What came and could not be judged: it is named, so that nobody believes that it was weighed


@step(
    "unjudged",
    follows_from="on_im",
    analytes="haemoglobin mcv neutrophils platelets mma homocysteine intrinsic-factor-antibody ferritin folate"
    " potassium egfr",
    limits="blood-count-current result-background ferritin-current folate-current potassium-current egfr-current"
    " range-molar-low range-molar-high range-mass-high",
)
def unjudged(case: Case) -> bool:
    case.unjudged = {}
    added = {each.analyte: case.pathway.analytes[each.analyte].current for each in case.pathway.compared}
    for analyte, days in (RULES.counts_for | added).items():
        if analyte not in case.labs:
            continue
        newest = case.labs[analyte][0]
        if counts(case, newest) and not newest.flag:
            continue
        if because := newest_unjudged(case, case.labs[analyte], days):
            case.unjudged[analyte] = because
        elif analyte not in MARKERS and (lab := RULES.opposed(case, analyte)):  # theirs is a doubt of its own
            case.unjudged[analyte] = in_doubt(case, lab, "flag-opposes-limit")
    return bool(case.unjudged)


@finding(
    "results_unjudged",
    "a result of the blood count, kidneys, antibodies, MMA or homocysteine came and could not be judged",
    follows_from="unjudged",
)
def results_unjudged(case: Case) -> Found:
    return case.unjudged.values()


@finding("marker_unjudged", "an MMA or homocysteine result came and could not be judged", follows_from="unjudged")
def marker_unjudged(case: Case) -> Found:
    """For these there is a card even where no row has one: whoever orders them waits for what they say of B12."""
    return [case.unjudged[analyte] for analyte in MARKERS if analyte in case.unjudged]


def newest_unjudged(case: Case, results: Sequence[LabResult], days: str) -> Because | None:
    """The newest result, if it could not be judged; None if it could, or if there is none within the days.

    An announced result is not there yet, and is none.
    """
    for lab in results:
        recent = lab.date is None or case.limits.within_days(days, lab.date, case.today)
        if not recent or lab.doubt == "pending":
            continue
        why = why_not(case, lab)
        if not why:
            return None
        return in_doubt(case, lab, why)
    return None


def counts(case: Case, lab: LabResult) -> bool:
    """Is it known to be the result that the findings of its analyte rest on? Then it could be judged."""
    return lab.analyte not in OF_THEIR_OWN and lab is case.current(lab.analyte)


def unjudged_results(case: Case) -> list[str]:
    """Results that could not be judged, in words: the newest of each test, and one without a date. What is announced or
    preliminary is on its way, and is none of these."""
    found = dict.fromkeys(case.unjudged.values())
    for results in case.labs.values():
        for lab in (results[0], results[-1]):  # undated ones stand last
            why = "" if counts(case, lab) else why_not(case, lab)
            if why and why not in ("pending", "preliminary"):
                found[in_doubt(case, lab, why)] = None
    return [each.text for each in found]


def in_doubt(case: Case, lab: LabResult, why: str) -> Because:
    """A result and why it is not judged."""
    text = case.on_day(case.reported(lab), lab.date) if lab.date else case.reported(lab)
    return Because(lab.reference, f"{text} ({case.pathway.messages[f'doubt.{why}']})")


def why_not(case: Case, lab: LabResult) -> str:
    """Why a result of any test and age is not judged (a key of messages.toml [doubt]), or "" for one that is."""
    if lab.analyte in OF_THEIR_OWN:
        why = doubt(case, lab)
    elif lab.doubt or lab.outcome:
        why = lab.doubt
    elif lab.value is None:
        why = "no-number"
    else:
        why = "no-unit" if not lab.unit else implausible(case, Measured._make(lab))
    return why or ("preliminary" if lab.preliminary else "") or ("undated" if lab.date is None else "")
