"""The bands of a chart: which values of an analyte mean what under this pathway, in the analyte's chart unit."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from cds_service.clinical.bands import BOUNDS
from cds_service.clinical.case import Case
from cds_service.clinical.markers import molar
from cds_service.clinical.units import convert, unit_named


@dataclass(frozen=True, slots=True)
class Band:
    """A shaded region from `low` to `high` (None: to the edge), and what it means."""

    meaning: str  # low | unsure | fine: the colour
    words: str
    low: Decimal | None
    high: Decimal | None
    y: float = 0
    height: float = 0


def bands_of(case: Case, analyte: str) -> list[Band]:
    """The pathway's bands in the chart unit."""
    known = case.pathway.analytes[analyte]
    if analyte in ("b12", "active-b12"):
        family = unit_named(known, known.chart_unit).family
        low, high = (in_chart(case, analyte, name) for name in BOUNDS[analyte, family])
        return [
            Band("low", "deficient", None, low),
            Band("unsure", "uncertain", low, high),
            Band("fine", "unlikely", high, None),
        ]
    if analyte in ("mma", "homocysteine"):
        upper = upper_limit(case, analyte)
        return [Band("fine", "not raised", None, upper), Band("low", "raised", upper, None)]
    if analyte == "mcv":
        large = in_chart(case, analyte, "mcv-macrocytosis")
        return [Band("fine", "", None, large), Band("low", "enlarged cells", large, None)]
    sex = "hb-pregnancy" if case.has("pregnant") else "hb-men" if case.record.patient.sex == "male" else "hb-women"
    anaemia, severe = in_chart(case, analyte, sex), in_chart(case, analyte, "hb-severe")
    return [
        Band("low", "severe", None, severe),
        Band("unsure", "anaemia", severe, anaemia),
        Band("fine", "", anaemia, None),
    ]


def in_chart(case: Case, analyte: str, name: str) -> Decimal:
    """A threshold in the chart unit."""
    known, threshold = case.pathway.analytes[analyte], case.pathway.thresholds[name]
    return convert(known, threshold.value, threshold.unit, known.chart_unit)


def upper_limit(case: Case, analyte: str) -> Decimal:
    """The upper limit that counts for the newest result: the laboratory's own, else the pathway's."""
    lab = case.mma if analyte == "mma" else case.homocysteine
    name = f"{analyte}-upper"
    if lab is None or lab.high is None:
        return in_chart(case, analyte, name)
    known = case.pathway.analytes[analyte]
    return convert(known, molar(case, lab, lab.high), known.bases["molar"], known.chart_unit)
