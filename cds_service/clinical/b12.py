"""Which B12 result drives the decision, its band, and what is said when none can (6.1)."""

from __future__ import annotations

from datetime import date

from .bands import SEVERITY, band, doubt, own_range_differs
from .case import B12_ANALYTES, Because, Case, surely_below
from .limits import days_before, months_before
from .problems import current, evidence, latest, treated_since
from .record import LabResult
from .treatment import oral_start, treated_on


def assess_b12(case: Case) -> None:
    """Every finding about total and active B12."""
    results = [lab for analyte in B12_ANALYTES for lab in case.labs.get(analyte, ())]
    usable = usable_results(case, results)
    choose_driver(case, usable)
    if case.b12:
        assess_band(case)
        assess_surroundings(case, usable)
    if not usable:
        assess_absence(case, results)
    elif case.b12 is None:
        case.add("b12_masked", case.because(usable[0]))
    case.either("b12_not_known", "b12_untested", "b12_preliminary", "b12_unusable", "b12_masked")
    assess_newer(case, results)
    assess_background(case, results)
    if "b12" in case.record.incomplete:
        case.add("b12_incomplete", (Because("", "not all B12 results could be read"),))
    case.either("no_medicine_draft", "medicines_unknown", "b12_incomplete")


def within_age(case: Case, lab: LabResult) -> bool:
    return case.limits.within_days("result-background", lab.date, case.today)


def usable_results(case: Case, results: list[LabResult]) -> list[LabResult]:
    """Final, plausible, dated and not too old, newest first."""
    usable = [lab for lab in results if not lab.preliminary and not doubt(case, lab) and within_age(case, lab)]
    return sorted(usable, key=moment, reverse=True)


def moment(lab: LabResult) -> tuple:
    return (lab.date, lab.moment, lab.reference)


def choose_driver(case: Case, usable: list[LabResult]) -> None:
    """The result that drives: untreated ones, or any while B12 is taken by mouth; then total against active."""
    candidates = usable if case.has("on_oral") and not case.has("on_im") else untreated(case, usable)
    chosen = {}
    for analyte in B12_ANALYTES:
        of_kind = [lab for lab in candidates if lab.analyte == analyte]
        if of_kind:
            chosen[analyte] = newest_or_lower(case, of_kind)
    if len(chosen) == 2:
        case.b12, case.b12_other = total_or_active(case, chosen["b12"], chosen["active-b12"])
    else:
        case.b12 = next(iter(chosen.values()), None)


def untreated(case: Case, usable: list[LabResult]) -> list[LabResult]:
    """The results taken while no B12 treatment held."""
    return [lab for lab in usable if not treated_on(case, lab.date)]


def newest_or_lower(case: Case, results: list[LabResult]) -> LabResult:
    """The newest of one kind; with NEURO or in pregnancy the lower of it and one taken shortly before."""
    newest = results[0]
    earliest = days_before(newest.date, case.limits.days("earlier-result"))
    others = [lab for lab in results[1:] if lab.date >= earliest and band(case, lab) != band(case, newest)]
    if not others:
        return newest
    lower = min(others, key=lambda lab: rank(case, lab))
    drives = lower if case.has("neuro", "pregnant") and rank(case, lower) < rank(case, newest) else newest
    case.b12_earlier = newest if drives is lower else others[0]
    return drives


def rank(case: Case, lab: LabResult) -> int:
    """Severity of the band for comparison, the most severe first; a straddling result as what it may be."""
    return SEVERITY[settled(case, lab)]


def settled(case: Case, lab: LabResult) -> str:
    """The band that counts: one that may be deficient is deficient with NEURO or in pregnancy, else grey."""
    found = band(case, lab)
    if found != "straddling":
        return found
    return "deficient" if case.has("neuro", "pregnant") else "grey"


def total_or_active(case: Case, total: LabResult, active: LabResult) -> tuple[LabResult, LabResult]:
    """(the one that drives, the other one)."""
    newer, older = sorted((total, active), key=moment, reverse=True)
    is_current = [case.limits.within_days("result-current", lab.date, case.today) for lab in (newer, older)]
    if case.has("pill", "pregnant"):
        apart = abs((total.date - active.date).days)
        return (active, total) if apart <= case.limits.days("active-total-window") else (newer, older)
    if all(is_current) and rank(case, older) < rank(case, newer):
        return older, newer
    return newer, older


def assess_band(case: Case) -> None:
    """The band of the result that drives."""
    lab, because = case.b12, case.because(case.b12)
    case.add(f"b12_{settled(case, lab)}", because)
    if band(case, lab) == "straddling":
        case.add("b12_straddling", because)
    if not case.has("b12_deficient"):
        case.add("b12_grey_or_above", because)
    family, value = case.base(lab)
    if lab.analyte == "b12" and family == "mass" and surely_below(lab, value, case.limits["b12-verify-low"]):
        case.add("b12_verify", because)
    if not case.limits.within_days("result-current", lab.date, case.today):
        case.add("b12_stale", because)
    if own_range_differs(case, lab):
        case.add("b12_range_differs", because)


def assess_surroundings(case: Case, usable: list[LabResult]) -> None:
    """The other kind, an earlier result in another band, and whether active B12 was measured at all."""
    active = [lab for lab in usable if lab.analyte == "active-b12"]
    case.add("b12_active_measured", case.because(*active[:1]))
    case.either("symptoms_or_active", "symptoms", "b12_active_measured")
    if case.b12.analyte == "b12" and case.has("b12_deficient"):
        also = case.b12_other and settled(case, case.b12_other) == "deficient"
        case.add("deficient_by_total_only", None if also else case.because(case.b12))
    if case.b12_other and settled(case, case.b12_other) != settled(case, case.b12):
        case.add("b12_discordant", case.because(case.b12, case.b12_other))
    if case.b12_earlier:
        case.add("b12_earlier_differs", case.because(case.b12_earlier))


def assess_absence(case: Case, results: list[LabResult]) -> None:
    """No usable result: the newest is in doubt, or preliminary, or there is none at all."""
    recent = [lab for lab in results if lab.date is None or within_age(case, lab)]
    newest = max(recent, key=lambda lab: (lab.date is not None, lab.date or case.today, lab.moment), default=None)
    if newest is None:
        case.add("b12_untested", (Because("", "no total or active B12 result found"),))
    elif newest.preliminary and not doubt(case, newest):
        case.b12 = newest
        case.add("b12_preliminary", case.because(newest))
    else:
        case.doubtful_b12 = newest
        case.add("b12_unusable", case.because(newest))


def assess_newer(case: Case, results: list[LabResult]) -> None:
    """A newer result that could not be used, beside the one that drives."""
    if case.b12 is None or case.has("b12_preliminary"):
        return
    for lab in results:
        newer = lab.date is not None and within_age(case, lab) and moment(lab) > moment(case.b12)
        if newer and doubt(case, lab):
            case.doubtful_b12 = lab
            case.add("newer_in_doubt", case.because(lab))
        elif newer and lab.preliminary:
            case.add("newer_preliminary", case.because(lab))


def assess_background(case: Case, results: list[LabResult]) -> None:
    """The newest result that is too old to count; was it deficient, and never treated since?"""
    old = [lab for lab in results if lab.date and not lab.preliminary and not doubt(case, lab)]
    old = [lab for lab in old if lab.date <= case.today and not within_age(case, lab)]
    if not old:
        return
    case.old_b12 = max(old, key=moment)
    case.add("old_b12", case.because(case.old_b12))
    by_total_alone = case.old_b12.analyte == "b12" and case.has("pill", "pregnant")
    if settled(case, case.old_b12) == "deficient" and not by_total_alone and not treated_since(case, case.old_b12.date):
        case.add("was_deficient", case.because(case.old_b12))


def assess_oral_effect(case: Case) -> None:
    """ON_ORAL that does not suffice: NEURO, a deficient result on it, or symptoms and blood after its review time."""
    if not case.has("on_oral"):
        return
    start = oral_start(case)
    if case.has("b12_deficient") and long_enough(case, start):
        case.either("oral_deficient", "b12_deficient")
    name = "oral-review-pregnant" if case.has("pregnant_or_breastfeeding") else "oral-review"
    if start:
        review = months_before(start, -case.limits.days(name))
        case.add("persisting", symptoms_since(case, review))
    # NEURO alone is enough: then no result, however old, chose the row.
    case.either("oral_insufficient", *(("neuro",) if case.has("neuro") else ("oral_deficient", "persisting")))


def long_enough(case: Case, start: date | None) -> bool:
    """Was the result taken long enough after the start of the treatment? An unknown start counts as long ago."""
    return start is None or (case.b12.date - start).days >= case.limits.days("oral-effect")


def symptoms_since(case: Case, day: date) -> list[Because]:
    """Symptoms recorded, or an abnormal blood count measured, on or after that day."""
    recorded = [
        each for each in current(case, "symptom") + current(case, "neuro") if latest(each) and latest(each) >= day
    ]
    found = evidence(case, recorded)
    for analyte in ("haemoglobin", "mcv", "neutrophils", "platelets"):
        lab = case.blood[analyte]
        if case.has("blood") and lab and lab.date >= day:
            found += [each for each in case.found["blood"] if each.reference == lab.reference]
    return found
