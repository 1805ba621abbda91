"""The band of one B12 result (1.1, 6.1), and why a result is in doubt and has none.

A result is compared in the unit that was reported. Bands are "deficient", "grey" and "above".
"""

from __future__ import annotations

from decimal import Decimal

from .case import B12_ANALYTES, Case, implausible
from .record import LabResult, Measured, measured

BOUNDS = {  # (analyte, family) -> the thresholds of its lower and upper edge
    ("b12", "mass"): ("b12-deficient-mass", "b12-grey-mass"),
    ("b12", "molar"): ("b12-deficient-molar", "b12-grey-molar"),
    ("active-b12", "molar"): ("active-deficient", "active-grey"),
}
EDGES = " ".join(name for edges in BOUNDS.values() for name in edges)


# --- The band of one result


def band(case: Case, lab: Measured) -> str:
    """The band of a result; "straddling" when it allows values in the deficient band and in another.

    The edges are grey: deficient is strictly below the lower, above strictly above the upper. A `>300 ng/L` that can
    be grey or above is grey.
    """
    family, value = case.base(lab)
    low, high = (case.limits[name] for name in BOUNDS[lab.analyte, family])
    lowest, highest = reach(lab, value)
    bottom = "deficient" if lowest < low else "above" if lowest > high else "grey"
    if highest is not None and not may_exceed(lab, highest, low):
        return "deficient"
    if lab.comparator in (">", ">=") and (value >= high if lab.comparator == ">" else value > high):
        return "above"
    if not lab.comparator:
        return bottom
    return "straddling" if bottom == "deficient" else "grey"


def reach(lab: LabResult, value: Decimal) -> tuple[Decimal, Decimal | None]:
    """The lowest and the highest value that the result allows; None where it has no upper end."""
    if lab.comparator in ("<", "<="):
        return Decimal(0), value
    if lab.comparator in (">", ">="):
        return value, None
    return value, value


def may_exceed(lab: LabResult, highest: Decimal, low: Decimal) -> bool:
    """Could the true value be at or above the lower edge?"""
    return highest > low if lab.comparator == "<" else highest >= low


def own_range_differs(case: Case, lab: Measured) -> bool:
    """Does the laboratory put its lower limit elsewhere than the pathway? It is said, and changes nothing."""
    if lab.low is None:
        return False
    family, low = case.base_of(lab, lab.low)
    return low != case.limits[BOUNDS[lab.analyte, family][0]]


# --- Doubt


def doubt(case: Case, lab: LabResult) -> str:
    """Why this B12, MMA or homocysteine result is not classified (a key of messages.toml [doubt]), or ""."""
    if lab.doubt:
        return lab.doubt
    if lab.value is None:
        return "no-number"
    if lab.date is None:
        return "undated"
    known = measured(lab)
    if known is None:
        return "no-unit"
    reason = implausible(case, known)
    if reason or f"{lab.code}|{lab.unit}" in case.pathway.site_limits:
        return reason
    return range_doubt(case, lab) or flag_doubt(known) or limit_doubt(case, known)


def range_doubt(case: Case, lab: LabResult) -> str:
    """A total B12 whose own reference range looks as if it were in the other kind of unit."""
    if lab.analyte != "b12" or lab.high is None:
        return ""
    family, high = case.base_of(lab, lab.high)
    limits = case.limits
    if family == "molar":
        return "range-looks-mass" if high > limits["range-mass-high"] else ""
    if lab.low is None:
        return ""
    low = case.base_of(lab, lab.low)[1]
    return "range-looks-molar" if low < limits["range-molar-low"] and high < limits["range-molar-high"] else ""


def flag_doubt(lab: Measured) -> str:
    """The laboratory's own flag says the opposite of its own range: the unit or the number is not what it seems."""
    if not lab.flag or (lab.low is None and lab.high is None):
        return ""
    below = lab.low is not None and lab.value < lab.low
    above = lab.high is not None and lab.value > lab.high
    if lab.comparator:
        return ""
    opposed = (lab.flag == "low" and above) or (lab.flag == "high" and below)
    inside = not below and not above
    if opposed or (lab.flag in ("low", "high") and inside and strictly_inside(lab)):
        return "flag-opposes-range"
    return "flag-opposes-range" if lab.flag == "normal" and not inside else ""


def limit_doubt(case: Case, lab: Measured) -> str:
    """Without a range of the laboratory's its flag is all that is known of its limit: never the opposite of it."""
    if not lab.flag or lab.comparator or lab.low is not None or lab.high is not None:
        return ""
    if lab.analyte in B12_ANALYTES:
        found = {"deficient": ("normal", "high"), "above": ("low",)}.get(band(case, lab), ())
    else:
        limit = case.limits["mma-upper" if lab.analyte == "mma" else "homocysteine-upper"]
        family, value = case.base(lab)
        ratio = case.pathway.analytes[lab.analyte].mass_per_molar
        molar = value if family == "molar" or ratio is None else value / ratio
        found = ("normal", "low") if molar > limit else ("high",)
    return "flag-opposes-limit" if lab.flag in found else ""


def strictly_inside(lab: LabResult) -> bool:
    """Inside the range and on neither edge: laboratories differ on whether an edge is flagged."""
    return lab.value not in (lab.low, lab.high)
