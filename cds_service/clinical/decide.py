"""From findings to a decision: the tables are walked top to bottom, the first row wins; of the safety rows, all.

Pure. One answer carries the regimen of one row only, and each test draft once (6.3 "Drafts").
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from .advice import (
    DEFICIENCY,
    PROBLEM,
    TREATING,
    Advice,
    Draft,
    Writer,
    first_match,
    holding,
    matches,
    row_name,
    treats,
)
from .case import Because
from .composing import composed
from .findings import Assessment, Finding
from .tables import Pathway, Row

SEVERITY = {"none": 0, "info": 1, "warning": 2, "critical": 3}
ORDER = ("safety", "course")
ON_TREATMENT = "on-treatment"  # the label of a patient whose course is told instead
ACT_FIRST = ("S1", "S1b")  # the safety rows that act before any result is there
REGIMEN_FIRST = ("safety/S1", "safety/S1b", "safety/S1c", "treat", "course")  # whose regimen an answer carries


@dataclass(frozen=True, slots=True)
class Decision:
    """The label, every row that matched, and the advice: most severe first, safety first among equals."""

    label: str
    rows: tuple[str, ...]
    advice: tuple[Advice, ...]
    findings: dict[str, Finding]
    course: str = ""  # the id of the course row; "" where the pathway tells of no course
    treat: str = "none"  # how far the interpretation goes: none | after (when the test is back) | consider | now


def decide(assessment: Assessment, pathway: Pathway) -> Decision:
    """Everything that follows from the findings: safety, course, interpretation, treatment."""
    found = dict(assessment.findings)
    course = state_of(pathway, found)
    interpret = first_match(pathway.interpret, found)
    note_staleness(interpret, found)
    states = [row_name(row) for row in (*course, interpret)]
    if "out_of_scope" in found:
        return Decision(interpret.label, tuple(states), (), found, id_of(course))
    safety = [row for row in pathway.safety if matches(row, found)]
    note_urgency(safety, found)
    writer = Writer(assessment.case, pathway, found, assessment.values)
    advice = advice_of(writer, [*safety, *course])
    advice += writer.interpretation(interpret, level(interpret, found))
    rows = [*(row_name(row) for row in safety), *states]
    treat = treatment(interpret, found)
    if treat in TREATING:
        row = writer.treatment
        rows.append(row_name(row))
        if not row.off:
            advice.append(writer.advice(row, "warning" if treat == "now" else "info"))
    elif any(writer.from_table(row) for row in course):
        rows.append(row_name(writer.treatment))
    advice = composed(one_regimen(advice))
    if pathway.problem_list and (interpret.label == "confirmed" or id_of(course) == "lapsed") and "coded" not in found:
        advice = with_problem(advice)
    return Decision(interpret.label, tuple(rows), tuple(sorted(advice, key=urgency)), found, id_of(course), treat)


def with_problem(advice: list[Advice]) -> list[Advice]:
    """The deficiency offered for the problem list, on the card that tells of it: its own or one that it has joined."""
    telling = [
        each for each in advice if {row.partition("/")[0] for row in (each.row, *each.joined)} & {"interpret", "course"}
    ]
    entry = Draft(PROBLEM, DEFICIENCY)
    return [replace(each, drafts=(*each.drafts, entry)) if each in telling[:1] else each for each in advice]


def state_of(pathway: Pathway, found: dict[str, Finding]) -> list[Row]:
    """The one row of the course, if the pathway tells of courses."""
    return [first_match(pathway.course, found)] if pathway.course else []


def id_of(course: list[Row]) -> str:
    return course[0].id if course else ""


def decide_without(assessment: Assessment, pathway: Pathway, missing: str) -> Decision:
    """What can be said when required data is missing: the safety rows that speak alone, and what is missing. Where
    orders are asked about these are the safety rows of the orders table.

    `missing` names it in our own words. `advice` is empty when no safety row speaks: the caller answers 412.
    """
    found = dict(assessment.findings)
    found["no_medicine_draft"] = Finding("no_medicine_draft", (Because("", missing),))
    writer = Writer(assessment.case, pathway, found, assessment.values.also(missing=missing))
    table = pathway.orders if assessment.case.record.selected else pathway.safety
    chosen = [row for row in table if row.speaks_alone and matches(row, found)]
    advice = composed(one_regimen(advice_of(writer, chosen)))
    if "out_of_scope" in found or not advice:
        return Decision("not-assessable", (), (), found)
    advice = sorted([*advice, writer.fixed(pathway.fixed["unavailable"])], key=urgency)
    return Decision("not-assessable", (*(row_name(row) for row in chosen), "fixed/unavailable"), tuple(advice), found)


def unavailable(assessment: Assessment, pathway: Pathway, missing: str) -> Decision:
    """The one card of a client that wants a card where others get 412: nothing could be judged, and why."""
    found = dict(assessment.findings)
    writer = Writer(assessment.case, pathway, found, assessment.values.also(missing=missing))
    card = writer.fixed(pathway.fixed["unavailable"])
    return Decision("not-assessable", ("fixed/unavailable",), (card,), found)


def incomplete(assessment: Assessment, pathway: Pathway, missing: str) -> Advice:
    """The card that names parts of the record that could not be used."""
    found = dict(assessment.findings)
    writer = Writer(assessment.case, pathway, found, assessment.values.also(missing=missing))
    return writer.fixed(pathway.fixed["incomplete"])


def urgency(advice: Advice) -> tuple[int, int]:
    """Sort key: the most severe first; safety first among equals, then the course."""
    table = advice.row.partition("/")[0]
    return -SEVERITY[advice.indicator], ORDER.index(table) if table in ORDER else len(ORDER)


def level(row: Row, found: dict[str, Finding]) -> str:
    """The indicator of a row for these findings."""
    if row.off or any(name in found for name in row.no_card):
        return "none"
    raised = [indicator for indicator, names in row.raised if any(name in found for name in names)]
    return max([row.indicator, *raised], key=SEVERITY.__getitem__)


def advice_of(writer: Writer, rows: Iterable[Row]) -> list[Advice]:
    """The advice of those of the rows that have a card for this patient: a row that a site switched off has none."""
    levels = [(row, level(row, writer.found)) for row in rows]
    return [writer.advice(row, indicator) for row, indicator in levels if indicator != "none"]


def treatment(row: Row, found: dict[str, Finding]) -> str:
    """now, consider, after or none of the interpretation; none on a stale result, or where a site switched it off."""
    return "none" if row.off or "repeat_first" in found else treats(row, found)


def note_staleness(row: Row, found: dict[str, Finding]) -> None:
    """Was one of the results that chose this row stale? Then it is repeated before anything else is done. The B12 that
    is judged chose it in any case: by its band, or because it is not deficient."""
    names = [*holding(row, found), *(("b12_stale",) if "b12_stale" in found and row.label != ON_TREATMENT else ())]
    chose = {each for name in names for each in found[name].because}
    stale = [each for name in ("b12_stale", "marker_stale") if name in found for each in found[name].because]
    because = tuple(each for each in stale if each in chose)
    if not because or "stale_exempt" in found:
        return
    found["repeat_first"] = Finding("repeat_first", because)
    if "gait" not in found:
        found["stale_without_gait"] = Finding("stale_without_gait", because)


def note_urgency(chosen: list[Row], found: dict[str, Finding]) -> None:
    """Does a safety row act before any result is there? Then no other card says to wait for one."""
    names = [name for row in chosen if row.id in ACT_FIRST and not row.off for name in holding(row, found)]
    if names:
        because = dict.fromkeys(each for name in names for each in found[name].because)
        found["act_before_results"] = Finding("act_before_results", tuple(because))


def one_regimen(advice: list[Advice]) -> list[Advice]:
    """Leave the medicine drafts of one row only, and each test draft on the first card that has it."""
    bearing = [each.row for each in sorted(advice, key=urgency) if any(d.kind == "medicine" for d in each.drafts)]
    ranked = [row for first in REGIMEN_FIRST for row in bearing if row == first or row.split("/")[0] == first]
    chosen = next(iter((*ranked, *bearing)), "")
    kept, seen = [], set()
    for each in sorted(advice, key=urgency):
        drafts = [draft for draft in each.drafts if draft not in seen and (draft.kind == "test" or each.row == chosen)]
        seen.update(drafts)
        kept.append(each if len(drafts) == len(each.drafts) else replace(each, drafts=tuple(drafts)))
    return kept
