"""Findings that only some pathways ask for: each rests on numbers that a pathway may leave out (limits.RESTS_ON).

High risk by how long and how old, B12 by mouth in a high dose, and B12 that is high without any being taken.
"""

from __future__ import annotations

from datetime import date

from .b12 import untreated, usable_results
from .case import Because, Case, surely_above, written
from .exposures import exposed
from .limits import days_before
from .problems import age_in_years, evidence
from .record import LabResult, Medication

LONG = (("metformin-long", ("metformin",)), ("acid-suppressant-long", ("ppi", "h2ra")))
HIGH = {"mass": "b12-high-mass", "molar": "b12-high-molar"}


def assess_optional(case: Case) -> None:
    """Every finding of this module whose numbers the pathway states."""
    if case.limits.states("on_oral_high"):
        assess_oral_dose(case)
    if case.limits.states("high_risk"):
        assess_high_risk(case)
    if case.limits.states("b12_high_twice"):
        assess_high_b12(case)


def assess_oral_dose(case: Case) -> None:
    """ON_ORAL in a dose that makes up for failing absorption; an unstated dose is not known to be one."""
    limit = case.limits["oral-dose-high"]
    high = [each for each in case.oral if (each.per_day or each.dose or 0) >= limit]
    case.add("on_oral_high", [Because(each.reference, f"{case.display(each.ingredient)} by mouth") for each in high])


def assess_high_risk(case: Case) -> None:
    """High risk without any symptom; and every risk factor for which time does not matter, or has been long enough."""
    for name, groups in LONG:
        assess_long_use(case, name, [entry for group in groups for entry in case.medicines(group)])
    born = case.record.patient.born
    if born and age_in_years(born, case.today) > case.limits.days("high-risk-age"):
        case.add("older_age", (Because(case.record.patient.reference, f"aged {age_in_years(born, case.today)}"),))
    lifelong = case.pathway.groups.get("lifelong", frozenset())
    history = [each for each in case.in_group("high-risk") if each.active or each.concept in lifelong]
    case.add("high_risk_history", evidence(case, history))
    case.either("high_risk", "long_term_medicine", "older_age", "high_risk_history")
    case.either("lasting_risk", "high_risk", "length_unknown", "recorded_risk", "irreversible_cause", "nitrous_oxide")


def assess_long_use(case: Case, name: str, entries: list[Medication]) -> None:
    """A medicine in use, without a gap, for longer than the named number of months; or for nobody knows how long."""
    current = [entry for entry in entries if exposed(case, entry)]
    begun = used_since(case, entries, current)
    if begun and case.limits.longer_than_months(name, begun, case.today):
        finding, words = "long_term_medicine", case.pathway.messages["since"].format(date=written(begun))
    else:
        finding, words = "length_unknown", case.pathway.messages["start-not-recorded"]
        current = [entry for entry in current if not entry.start]
    found: dict[str, str] = {}  # of each text the first reference by name, whatever the order of the entries
    for entry in current:
        text = f"{case.display(entry.ingredient)} ({words})"
        found[text] = min(entry.reference, found.get(text, entry.reference))
    because = [Because(reference, text) for text, reference in found.items()]
    case.add(finding, [*case.found.get(finding, ()), *because])


def used_since(case: Case, entries: list[Medication], current: list[Medication]) -> date | None:
    """The first day of the present use: renewals and supplies are one use while no gap counts as having stopped."""
    begun = min((entry.start for entry in current if entry.start), default=None)
    if begun is None:
        return None
    for entry in sorted(entries, key=last_day, reverse=True):
        joined = last_day(entry) > days_before(begun, case.limits.days("medicine-stopped"))
        if joined and entry.start and entry.start < begun:
            begun = entry.start
    return begun


def last_day(entry: Medication) -> date:
    """The last day of use that an entry documents."""
    return entry.end or entry.last or entry.start or date.min


def assess_high_b12(case: Case) -> None:
    """The two newest total B12 of different days above the high limit, no B12 taken, not even in a multivitamin."""
    if case.has("on_im", "on_oral", "cobalamin_taken"):
        return
    results = untreated(case, usable_results(case, case.labs.get("b12", [])))
    by_day = {lab.date: lab for lab in reversed(results)}
    newest = [by_day[day] for day in sorted(by_day, reverse=True)[:2]]
    if len(newest) == 2 and all(is_high(case, lab) for lab in newest):
        case.add("b12_high_twice", case.because(*newest))


def is_high(case: Case, lab: LabResult) -> bool:
    """Surely above the high limit, in the unit that was reported."""
    family, value = case.base(lab)
    return surely_above(lab, value, case.limits[HIGH[family]])
