"""What this service finds and decides about a patient, in the words of the exported library: its parameters, and the
answers that an engine must come to.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..clinical.advice import FOLLOW_UP, PROBLEM, REMOVAL, Draft, Writer, belongs, matches, row_name
from ..clinical.decide import Decision, decide, level
from ..clinical.decide_orders import decide_orders
from ..clinical.findings import Assessment
from ..clinical.tables import Pathway, Row
from . import tables
from .notes import PROBLEM_LIST

TREATED = {"now": "warning", "consider": "info"}  # the indicator of the treatment table, as `decide` sets it


@dataclass(frozen=True, slots=True)
class Answer:
    """What the tables say of a patient. `indicators` are those of the rows that have a card, "interpret/deficient
    warning"; tests and regimens are what is drafted, whatever card it stands on. `removals`: rows of orders."""

    label: str
    rows: tuple[str, ...]
    treat: str
    indicators: frozenset[str]
    tests: frozenset[str]
    regimens: frozenset[str]
    notes: frozenset[str]
    follow_ups: frozenset[str] = frozenset()
    removals: frozenset[str] = frozenset()
    problem_list: bool = False


@dataclass(frozen=True, slots=True)
class Expected:
    """The parameters of the library for one patient, all of them, and the answer: about the chart, or about orders."""

    parameters: dict[str, bool]
    answer: Answer
    about_orders: bool

    def answers(self) -> dict[str, object]:
        """The answer, by the definitions of the library that give it."""
        said = self.answer
        if self.about_orders:
            return {
                "Label": said.label,
                "Order rows": said.rows,
                "Order indicators": said.indicators,
                "Order tests": said.tests,
                "Order regimens": said.regimens,
                "Order notes": said.notes,
                "Order removals": said.removals,
            }
        return {
            "Label": said.label,
            "Rows": said.rows,
            "Treat": said.treat,
            "Indicators": said.indicators,
            "Tests": said.tests,
            "Regimens": said.regimens,
            "Notes": said.notes,
            "Follow ups": said.follow_ups,
            PROBLEM_LIST: said.problem_list,
        }


def expected(assessment: Assessment, pathway: Pathway, findings: list[str]) -> Expected:
    """Of a patient that was assessed. `findings` are the parameters that are findings."""
    record = assessment.case.record
    about_orders = bool(record.selected)
    decision = (decide_orders if about_orders else decide)(assessment, pathway)
    made = decision.findings
    parameters = {name: name in made for name in findings}
    stale = set(made["marker_stale"].because) if "marker_stale" in made else set()
    for name in tables.marker_findings(pathway):
        parameters[tables.rests_on_stale(name)] = name in made and not stale.isdisjoint(made[name].because)
    writer = Writer(assessment.case, pathway, made, assessment.values)
    for name, orderable in pathway.orderables.items():
        parameters[tables.at_hand(name)] = writer.superfluous(orderable)
    repeated = writer.resolved("repeat")
    for name in tables.repeats_of(pathway):
        parameters[tables.repeat_means(name)] = name in repeated
    for each in pathway.follow_ups.values():
        parameters[tables.is_planned(each.id)] = writer.is_planned(each)
    parameters[tables.ALLERGIES_UNREAD] = bool(record.unread(frozenset({"allergies"})))
    return Expected(parameters, answer(decision, pathway, about_orders=about_orders), about_orders)


def answer(decision: Decision, pathway: Pathway, *, about_orders: bool) -> Answer:
    """The decision as the library gives it."""
    drafts = [draft for advice in decision.advice for draft in advice.drafts]
    rows = rows_that_hold(decision, pathway, about_orders=about_orders)
    said = {name: indicator for name, indicator in indicators(rows, decision).items() if indicator != "none"}
    speaking = [rows[name] for name in said]
    removing = {each.row for each in decision.advice for draft in each.drafts if draft.kind == REMOVAL}
    fixed = {each.row: each.indicator for each in decision.advice if each.row.startswith("fixed/")}
    return Answer(
        label=decision.label,
        rows=tuple(rows),
        treat=decision.treat,
        indicators=frozenset(f"{name} {indicator}" for name, indicator in (said | fixed).items()),
        tests=of_kind(drafts, "test"),
        regimens=of_kind([each for each in drafts if not each.replaces], "medicine"),
        notes=frozenset(row_name(note) for note in pathway.notes if is_said(note, speaking, decision)),
        follow_ups=frozenset(name for each in of_kind(drafts, FOLLOW_UP) for name in each.split()),
        removals=frozenset(name for name, row in rows.items() if row_name(row) in removing),
        problem_list=bool(of_kind(drafts, PROBLEM)),
    )


def of_kind(drafts: list[Draft], kind: str) -> frozenset[str]:
    return frozenset(draft.id for draft in drafts if draft.kind == kind)


def rows_that_hold(decision: Decision, pathway: Pathway, *, about_orders: bool) -> dict[str, Row]:
    """By their names in the library, in which a row of orders is "orders/S2" and not a row of safety."""
    if about_orders:
        return {f"orders/{row.id}": row for row in pathway.orders if row_name(row) in decision.rows}
    rows = tables.rows_of(pathway)
    return {name: rows[name] for name in decision.rows}


def indicators(rows: dict[str, Row], decision: Decision) -> dict[str, str]:
    """The indicator of every row of the decision; of the treatment table by how far the interpretation goes."""
    if "out_of_scope" in decision.findings:
        return {}
    return {
        name: ("none" if row.off else TREATED.get(decision.treat, "none"))
        if row.table == "treat"
        else level(row, decision.findings)
        for name, row in rows.items()
    }


def is_said(note: Row, speaking: list[Row], decision: Decision) -> bool:
    """Does the note hold, and is there a card that has it?"""
    return matches(note, decision.findings) and any(belongs(note, row) for row in speaking)
