"""Results that came and could not be judged: the newest of their kind, and why. They are named, so that nobody believes
that they were weighed (docs/clinical-reference.md 1.6). Total and active B12 have rows of their own for it (b12.py).
"""

from __future__ import annotations

from .bands import doubt
from .case import B12_ANALYTES, MARKERS, Because, Case, implausible, written
from .record import LabResult

COUNTS_FOR = {  # analyte -> the threshold of days within which its newest result counts
    **dict.fromkeys(("haemoglobin", "mcv", "neutrophils", "platelets"), "blood-count-current"),
    **dict.fromkeys((*MARKERS, "intrinsic-factor-antibody"), "result-background"),
    "ferritin": "ferritin-current",
    "folate": "folate-current",
    "potassium": "potassium-current",
    "egfr": "egfr-current",
}


def assess_unjudged(case: Case) -> None:
    """results_unjudged; and marker_unjudged, for which there is a card even where no row has one: whoever orders MMA or
    homocysteine waits for what it says of B12."""
    found = {}
    for analyte, days in COUNTS_FOR.items():
        if analyte in case.labs and (evidence := newest_unjudged(case, case.labs[analyte], days)):
            found[analyte] = evidence
    case.add("results_unjudged", found.values())
    case.add("marker_unjudged", [found[analyte] for analyte in MARKERS if analyte in found])


def newest_unjudged(case: Case, results: list[LabResult], days: str) -> Because | None:
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
        text = f"{case.reported(lab)} on {written(lab.date)}" if lab.date else case.reported(lab)
        return Because(lab.reference, f"{text} ({case.pathway.messages[f'doubt.{why}']})")
    return None


def why_not(case: Case, lab: LabResult) -> str:
    """Why a result of any test and age is not judged (a key of messages.toml [doubt]), or "" for one that is."""
    if lab.analyte in (*B12_ANALYTES, *MARKERS):
        why = doubt(case, lab)
    elif lab.doubt or lab.outcome:
        why = lab.doubt
    else:
        why = implausible(case, lab) if lab.value is not None else "no-number"
    return why or ("preliminary" if lab.preliminary else "") or ("undated" if lab.date is None else "")
