"""What this service finds and decides about a patient, in the words of the exported library: its parameters, and the
answers that an engine must come to.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..clinical.advice import Draft, Writer
from ..clinical.decide import Decision, decide, level
from ..clinical.findings import Assessment
from ..clinical.tables import Pathway
from . import tables

TREATED = {"now": "warning", "consider": "info"}  # the indicator of the treatment table, as `decide` sets it


@dataclass(frozen=True, slots=True)
class Answer:
    """What the tables say of a patient. `indicators` are those of the rows that have a card, "interpret/deficient
    warning"; tests and regimens are what is drafted, whatever card it stands on."""

    label: str
    rows: tuple[str, ...]
    treat: str
    indicators: frozenset[str]
    tests: frozenset[str]
    regimens: frozenset[str]


@dataclass(frozen=True, slots=True)
class Expected:
    """The parameters of the library for one patient, all of them, and the answer."""

    parameters: dict[str, bool]
    answer: Answer


def expected(assessment: Assessment, pathway: Pathway, findings: list[str]) -> Expected:
    """Of a patient that was assessed. `findings` are the parameters that are findings."""
    decision = decide(assessment, pathway)
    made = assessment.findings
    parameters = {name: name in made for name in findings}
    stale = set(made["marker_stale"].because) if "marker_stale" in made else set()
    for name in tables.marker_findings(pathway):
        parameters[tables.rests_on_stale(name)] = name in made and not stale.isdisjoint(made[name].because)
    writer = Writer(assessment.case, pathway, decision.findings, assessment.values)
    for name, orderable in pathway.orderables.items():
        parameters[tables.at_hand(name)] = writer.superfluous(orderable)
    repeated = writer.resolved("repeat")
    for name in tables.repeats_of(pathway):
        parameters[tables.repeat_means(name)] = name in repeated
    return Expected(parameters, answer(decision, pathway))


def answer(decision: Decision, pathway: Pathway) -> Answer:
    """The decision as the library gives it."""
    drafts = [draft for advice in decision.advice for draft in advice.drafts]
    return Answer(
        label=decision.label,
        rows=decision.rows,
        treat=decision.treat,
        indicators=frozenset(
            f"{name} {said}" for name, said in indicators(decision, pathway).items() if said != "none"
        ),
        tests=of_kind(drafts, "test"),
        regimens=of_kind(drafts, "medicine"),
    )


def of_kind(drafts: list[Draft], kind: str) -> frozenset[str]:
    return frozenset(draft.id for draft in drafts if draft.kind == kind)


def indicators(decision: Decision, pathway: Pathway) -> dict[str, str]:
    """The indicator of every row of the decision; of the treatment table by how far the interpretation goes."""
    if "out_of_scope" in decision.findings:
        return {}
    rows = tables.rows_of(pathway)
    return {
        name: ("none" if rows[name].off else TREATED.get(decision.treat, "none"))
        if rows[name].table == "treat"
        else level(rows[name], decision.findings)
        for name in decision.rows
    }
