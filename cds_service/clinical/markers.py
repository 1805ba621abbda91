"""MMA, and homocysteine in its place: raised, normal or unclear, in the light of the kidneys (1.2, 1.3, 6.1)."""

from __future__ import annotations

from decimal import Decimal

from .bands import doubt
from .case import Because, Case, surely_above
from .record import LabResult
from .treatment import treated_on


def assess_markers(case: Case) -> None:
    """mma_raised, mma_normal or mma_unclear; and what counts beside nitrous oxide."""
    case.mma = newest_marker(case, "mma")
    case.homocysteine = newest_marker(case, "homocysteine")
    if case.mma:
        assess_mma(case)
    elif case.homocysteine:
        assess_homocysteine(case)
    stale = [
        lab
        for lab in (case.mma, case.homocysteine)
        if lab and not case.limits.within_days("result-current", lab.date, case.today)
    ]
    case.add("marker_stale", case.because(*stale))
    raised = homocysteine_raised(case)
    case.add("homocysteine_raised", case.because(case.homocysteine) if raised else None)
    case.either("nitrous_marker_raised", "mma_raised", "homocysteine_raised")


def newest_marker(case: Case, analyte: str) -> LabResult | None:
    """The newest usable result within its age that was not taken on injections, where the marker is meant to fall."""
    for lab in case.labs.get(analyte, ()):
        if lab.preliminary or doubt(case, lab):
            continue
        if not case.limits.within_days("result-background", lab.date, case.today):
            continue
        if case.has("on_oral") or not treated_on(case, lab.date):
            return lab
    return None


def molar(case: Case, lab: LabResult, number: Decimal) -> Decimal:
    """A number in the result's unit as nmol/L (MMA) or umol/L (homocysteine)."""
    family, value = case.base_of(lab, number)
    return value if family == "molar" else value / case.pathway.analytes[lab.analyte].mass_per_molar


def upper_limit(case: Case, lab: LabResult, default: str) -> Decimal:
    """The laboratory's own upper limit in the result's unit as a molar number, else the pathway's default."""
    return molar(case, lab, lab.high) if lab.high is not None else case.limits[default]


def is_raised(case: Case, lab: LabResult, default: str) -> bool:
    """Strictly above the limit."""
    return surely_above(lab, molar(case, lab, lab.value), upper_limit(case, lab, default))


def assess_mma(case: Case) -> None:
    """Raised, normal at any kidney function, or unclear because the kidneys may be the reason."""
    lab = case.mma
    limit, value = upper_limit(case, lab, "mma-upper"), molar(case, lab, lab.value)
    case.mma_limit = limit
    because = case.because(lab)
    if not is_raised(case, lab, "mma-upper"):
        case.add("mma_unclear" if lab.comparator in (">", ">=") else "mma_normal", because)
        return
    high = value >= case.limits["mma-high"]
    blurred = case.has("egfr_reduced") and not (high and not case.has("egfr_severe"))
    case.add("mma_unclear" if blurred else "mma_raised", because + case.found.get("egfr_reduced", ()))
    if not case.has("egfr_reduced") and case.egfr is None:
        case.add("mma_egfr_unknown", (Because("", "kidney function is not known"),))


def assess_homocysteine(case: Case) -> None:
    """Stands in for MMA: raised only where the kidneys are known to be good and folate is not low."""
    because = case.because(case.homocysteine)
    case.add("mma_by_homocysteine", because)
    if not homocysteine_raised(case):
        case.add("mma_normal", because)
        return
    explained = not case.has("kidneys_good") or case.has("folate_low")
    case.add("mma_unclear" if explained else "mma_raised", because)


def homocysteine_raised(case: Case) -> bool:
    return case.homocysteine is not None and is_raised(case, case.homocysteine, "homocysteine-upper")
