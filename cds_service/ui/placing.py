"""In which band of its chart a result lies, in words, and why it lies in none: for the table beside the charts."""

from __future__ import annotations

from decimal import Decimal

from cds_service.clinical.bands import BOUNDS, band
from cds_service.clinical.case import Case, surely_above, surely_below
from cds_service.clinical.markers import molar, upper_limit
from cds_service.clinical.record import LabResult
from cds_service.clinical.unjudged import why_not

from .chart_bands import Band

B12_BANDS = {
    "deficient": "deficient: below {low}",
    "grey": "uncertain: from {low} to {high}",
    "above": "unlikely to be deficient: above {high}",
    "straddling": "may or may not be below {low}",
}


def why_unclassified(case: Case, lab: LabResult) -> str:
    """Why a result counts for nothing, "" for one that counts."""
    key = why_not(case, lab)
    return f"not classified: {case.pathway.messages.get(f'doubt.{key}', key)}" if key else ""


def place_of(case: Case, lab: LabResult, value: Decimal, bands: list[Band], unit: str) -> str:
    """The band of a result with its limits. B12 and the markers are judged in the unit in which they were reported."""
    if why := why_unclassified(case, lab):
        return why
    if lab.analyte in ("b12", "active-b12"):
        family, _ = case.base(lab)
        low, high = (case.pathway.thresholds[name] for name in BOUNDS[lab.analyte, family])
        words = B12_BANDS[band(case, lab)]
        return words.format(low=f"{low.value} {low.unit}", high=f"{high.value} {high.unit}")
    if lab.analyte in ("mma", "homocysteine"):
        return marker_place(case, lab)
    return count_place(lab, value, bands, unit)


def marker_place(case: Case, lab: LabResult) -> str:
    """Raised or not, by the laboratory's own limit where it sent one."""
    default = f"{lab.analyte}-upper"
    limit, threshold = upper_limit(case, lab, default), case.pathway.thresholds[default]
    words = (
        f"{threshold.value} {threshold.unit}" if lab.high is None else f"{lab.high} {lab.unit}, the laboratory's own"
    )
    raised = surely_above(lab, molar(case, lab, lab.value), limit)
    return f"{'raised' if raised else 'not raised'}: limit {words}"


def count_place(lab: LabResult, value: Decimal, bands: list[Band], unit: str) -> str:
    """Of the blood count: the limit that it surely lies beyond, the furthest first."""
    beyond, word = (surely_below, "below") if lab.analyte == "haemoglobin" else (surely_above, "above")
    for each in bands:
        edge = each.high if word == "below" else each.low
        if each.words and edge is not None and beyond(lab, value, edge):
            return f"{each.words}: {word} {edge.normalize():f} {unit}"
    return "within the limits that are drawn"
