"""The blood count, iron, folate, kidney, potassium and antibodies: BLOOD, SEVERE and what stands beside them (6.1)."""

from __future__ import annotations

from .case import Because, Case, surely_above, surely_below
from .record import LabResult

COUNTS = ("haemoglobin", "mcv", "neutrophils", "platelets")


def assess_blood(case: Case) -> None:
    """Every finding that rests on the blood count and general chemistry."""
    for analyte in COUNTS:
        case.blood[analyte] = case.newest(analyte, "blood-count-current")
    for analyte, days in (
        ("ferritin", "ferritin-current"),
        ("folate", "folate-current"),
        ("potassium", "potassium-current"),
        ("egfr", "egfr-current"),
    ):
        case.blood[analyte] = case.newest(analyte, days)
    case.egfr = case.blood["egfr"]
    assess_counts(case)
    assess_anaemia(case)
    assess_chemistry(case)
    assess_antibodies(case)


def low(case: Case, analyte: str, limit: str) -> LabResult | None:
    """The current result of the analyte if it is surely below the limit."""
    lab = case.blood[analyte]
    return lab if lab and surely_below(lab, in_mass(case, lab), case.limits[limit]) else None


def high(case: Case, analyte: str, limit: str) -> LabResult | None:
    """The current result of the analyte if it is surely above the limit."""
    lab = case.blood[analyte]
    return lab if lab and surely_above(lab, in_mass(case, lab), case.limits[limit]) else None


def in_mass(case: Case, lab: LabResult):
    """The number in the base unit of the analyte; a molar haemoglobin in g/L, the unit of its limits."""
    family, value = case.base(lab)
    factor = case.pathway.analytes[lab.analyte].mass_per_molar
    return value * factor if family == "molar" and factor and lab.analyte == "haemoglobin" else value


def assess_counts(case: Case) -> None:
    """Macrocytosis, iron deficiency, severe anaemia and cytopenias."""
    for name, found in (
        ("macrocytosis", high(case, "mcv", "mcv-macrocytosis")),
        ("hb_severe", low(case, "haemoglobin", "hb-severe")),
        ("hb_same_day", low(case, "haemoglobin", "hb-same-day")),
        ("neutrophils_severe", low(case, "neutrophils", "neutrophils-severe")),
        ("platelets_severe", low(case, "platelets", "platelets-severe")),
        ("platelets_below_im", low(case, "platelets", "platelets-im")),
    ):
        case.add(name, case.because(found))
    case.add(
        "iron_deficiency",
        case.because(low(case, "mcv", "mcv-microcytosis"), low(case, "ferritin", "ferritin-iron")),
    )
    case.either("cytopenia", "neutrophils_severe", "platelets_severe")
    case.both("pancytopenia", "neutrophils_severe", "platelets_severe")
    if case.has("cytopenia") and not case.has("pancytopenia"):
        case.either("single_cytopenia", "cytopenia")
    case.either("severe", "hb_severe", "pancytopenia")


def assess_anaemia(case: Case) -> None:
    """Anaemia by sex and pregnancy; where the sex is not recorded the lower limit of the two counts."""
    limit = "hb-pregnancy" if case.has("pregnant") else "hb-men" if case.record.patient.sex == "male" else "hb-women"
    case.add("anaemia", case.because(low(case, "haemoglobin", limit)))
    if case.has("anaemia") and not case.has("iron_deficiency"):
        case.either("anaemia_not_iron", "anaemia")
    case.either("blood", "macrocytosis", "anaemia", "severe")
    case.either("symptoms", "recorded_symptoms", "blood")
    case.either("neuro_or_blood", "neuro", "macrocytosis", "severe")


def assess_chemistry(case: Case) -> None:
    """Folate, potassium and kidney function."""
    folate = case.blood["folate"]
    if folate:
        family, value = case.base(folate)
        if surely_below(folate, value, case.limits[f"folate-low-{family}"]):
            case.add("folate_low", case.because(folate))
    case.add("potassium_low", case.because(low(case, "potassium", "potassium-low")))
    reduced, severe = low(case, "egfr", "egfr-reduced"), low(case, "egfr", "egfr-severe")
    case.add("egfr_reduced", case.because(reduced))
    case.add("egfr_severe", case.because(severe))
    if case.egfr is None:
        staged = [each for each in case.problems.get("ckd-severe", ()) if each.active]
        for name in ("egfr_reduced", "egfr_severe"):
            case.add(name, [Because(each.reference, case.display(each.concept)) for each in staged])
    if case.has("dialysis"):
        case.either("egfr_reduced", "egfr_reduced", "dialysis")
        case.either("egfr_severe", "egfr_severe", "dialysis")
    if case.egfr and not case.has("egfr_reduced"):
        case.add("kidneys_good", case.because(case.egfr))


def assess_antibodies(case: Case) -> None:
    """Intrinsic factor antibody: a positive one never expires; otherwise the newest speaks."""
    results = [
        lab
        for lab in case.labs.get("intrinsic-factor-antibody", ())
        if lab.outcome and not lab.doubt and not lab.preliminary
    ]
    positive = [lab for lab in results if lab.outcome == "positive"]
    case.add("ifab_positive", case.because(*positive[:1]))
    if not positive:
        case.add("ifab_negative", case.because(*results[:1]))
    case.either("must_im", "must_im_disease", "ifab_positive")
    case.either("irreversible_cause", "must_im", "bariatric")
    case.either("cause_known", "coded_cause", "must_im", "bariatric")
    case.either("risk_or_irreversible", "risk_factor", "irreversible_cause")
    if case.has("anaemia") and not case.has("ifab_negative"):
        case.either("anaemia_ifab_not_negative", "anaemia")
