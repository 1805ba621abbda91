"""Less noise: what a clinician has dismissed is not shown again on the same evidence, what was accepted not offered.

Pure. It only ever takes away: no other advice is raised, lowered or given the drafts of one that went. Nothing goes
while a neurological sign is recorded, or while nobody can tell because the part of the record that would hold it
could not be read; no critical advice goes, and no card that says what could not be judged. The review of alternate-day
loading is for patients with such signs: alone it may go, until that loading is another one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Protocol

from .advice import ABOUT_ACCESS, FOLLOW_UP, PROBLEM, Advice, Draft, Paragraph
from .case import Because, written
from .composing import fitted
from .decide import Decision
from .findings import Assessment
from .record import SIGNS_STAND_IN, Order
from .tables import Pathway

LINE = "dismissed/"  # before the name of the row, where one line is left of a warning
FIXED = "fixed/"
DISMISSED, ACCEPTED = "dismissed", "accepted"  # why something is not shown
NEUROLOGICAL = (
    "neuro", "gait", "cord", "cord_on_treatment", "nitrous_with_neuro", "megaloblastic_neuro",
)  # fmt: skip


RENEWED = frozenset(("injection_order",))  # an order that is renewed is no news
REVIEW = [["course/loading-neuro", "info"]]  # the rows of a call that only asks whether loading still helps
DUE = ("course/due-soon", "course/overdue")  # the next due date speaks again


class Override(Protocol):
    """A card that was dismissed: the day, and the code of the reason given ("" for none)."""

    @property
    def on(self) -> date: ...

    @property
    def reason(self) -> str: ...


class Memory(Protocol):
    """What is remembered of one user and one patient."""

    def dismissed(self, row: str, evidence: str) -> Override | None:
        """The override of this row on the same evidence, if it is still in force."""

    def accepted(self, kind: str, draft: str) -> date | None:
        """The day on which a suggestion of this order was accepted, if it is not long ago."""


@dataclass(frozen=True, slots=True)
class Left:
    """What is not shown, and why: a row, or an order ("test:fbc", "medicine:neuro")."""

    what: str
    why: str  # dismissed | accepted
    on: date


@dataclass(frozen=True, slots=True)
class Remaining:
    """The advice that is left, and what was taken away."""

    advice: tuple[Advice, ...]
    left: tuple[Left, ...]


def is_line(row: str) -> bool:
    """Is this the line that is left of a dismissed warning?"""
    return row.startswith(LINE)


def evidence_of(decision: Decision, assessment: Assessment, content: str) -> str:
    """What the decision rests on, as one text that is the same for as long as all of it is the same.

    Every finding with its evidence, the orders that the call is about, the rows that speak and how loudly, and the
    content (its digest: what is said may have changed). Not in it: what the day alone changes (an age), and what could
    not be read. A finding that comes or goes with time (a result gone stale, injections lapsed) changes what is
    advised, and counts.
    """
    ignored = ABOUT_ACCESS | RENEWED
    found = {name: pieces(each.because) for name, each in decision.findings.items() if name not in ignored}
    rows = speaking(decision)
    orders = sorted((ordered(each) for each in assessment.case.record.selected), key=json.dumps)
    pathway = assessment.case.pathway
    rests_on = {"content": content, "findings": found, "orders": orders, "pathway": pathway.id, "rows": rows}
    if any(row in DUE for row, _ in rows):
        rests_on["due"] = str(assessment.case.course.due)
    run = assessment.case.course.run
    if rows == REVIEW and run:
        rests_on = {"content": content, "pathway": pathway.id, "rows": rows, "first": str(run.first)}
    return json.dumps(rests_on, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def speaking(decision: Decision) -> list[list[str]]:
    """The rows that speak, each with its indicator."""
    return sorted([each.row, each.indicator] for each in decision.advice if not each.row.startswith(FIXED))


def pieces(because: Iterable[Because]) -> list[list[str]]:
    """References and texts, sorted. Of the patient the reference alone: the text is the age."""
    texts = {(each.reference, "" if each.reference.startswith("Patient/") else each.text) for each in because}
    return [list(each) for each in sorted(texts)]


def ordered(order: Order) -> list[Any]:
    """An order as far as it is judged. Its reference too: a new draft is a new decision."""
    phases = [[str(each.dose), str(each.interval), str(each.days)] for each in order.phases]
    return [order.reference, order.ingredient, order.orderable, order.route, str(order.per_day), phases]


def may_be_suppressed(decision: Decision, assessment: Assessment) -> bool:
    """Is there anything that may go at all? Without it nobody need ask what is remembered."""
    record = assessment.case.record
    if any(name in decision.findings for name in NEUROLOGICAL) and speaking(decision) != REVIEW:
        return False
    if record.unread(SIGNS_STAND_IN):
        return False
    return any(may_go(each) for each in decision.advice)


def may_go(advice: Advice) -> bool:
    """Never what is critical, and never what says that something could not be judged."""
    return advice.indicator != "critical" and not advice.row.startswith(FIXED)


def suppress(decision: Decision, assessment: Assessment, evidence: str, memory: Memory) -> Remaining:
    """The advice of a decision without what was dismissed on this evidence, or accepted. See `may_be_suppressed`."""
    if not may_be_suppressed(decision, assessment):
        return Remaining(decision.advice, ())
    kept: list[Advice] = []
    lines: list[Advice] = []
    left: list[Left] = []
    for advice in decision.advice:
        override = memory.dismissed(advice.row, evidence) if may_go(advice) else None
        if override is None:
            less, gone = without_accepted(advice, assessment.case.pathway, memory)
            kept.append(less)
            left += gone
            continue
        left.append(Left(advice.row, DISMISSED, override.on))
        if advice.indicator == "warning" and not settles(override, assessment.case.pathway):
            line = line_for(advice, override.on, decision, assessment)
            again = memory.dismissed(line.row, evidence)
            lines += [] if again else [line]
            left += [Left(line.row, DISMISSED, again.on)] if again else []
    return Remaining((*(fitted(kept) if left else kept), *lines), tuple(left))


def settles(override: Override, pathway: Pathway) -> bool:
    """Does the reason settle the matter, so that no line is left? Which reasons do is content."""
    return f"settles.{override.reason}" in pathway.messages


def line_for(advice: Advice, on: date, decision: Decision, assessment: Assessment) -> Advice:
    """The one line that is left of a dismissed warning, without drafts."""
    pathway, found = assessment.case.pathway, decision.findings
    treating = any(row.startswith("treat/") for row in decision.rows) and not {"on_im", "on_oral"} & found.keys()
    untreated = treating and advice.row.startswith(("treat/", "interpret/"))
    card = pathway.fixed["dismissed-untreated" if untreated else "dismissed"]
    values = assessment.values.also(dismissed_on=written(on, pathway.dates), dismissed=advice.summary)
    return Advice(
        row=f"{LINE}{advice.row}",
        indicator=card.indicator,
        summary=card.summary.format_map(values),
        paragraphs=(Paragraph("act", card.detail.strip().format_map(values)),),
        topic=f"{card.topic}{advice.topic}",
        provenance=card.provenance,
    )


def without_accepted(advice: Advice, pathway: Pathway, memory: Memory) -> tuple[Advice, list[Left]]:
    """The advice without drafts that were accepted before, which it names in words instead.

    Regimens are alternatives: once one is accepted none is offered. A draft that replaces the clinician's own order
    belongs to that order, whatever was accepted earlier.
    """
    if not advice.drafts or not may_go(advice):
        return advice, []
    days = {each: memory.accepted(each.kind, each.id) for each in advice.drafts if not each.replaces}
    accepted = {draft: day for draft, day in days.items() if day is not None}
    if not accepted:
        return advice, []
    gone = dict(accepted)
    chosen = max((day for draft, day in accepted.items() if draft.kind == "medicine"), default=None)
    if chosen is not None:
        gone |= {each: chosen for each in days if each.kind == "medicine" and each not in accepted}
    said = pathway.messages["accepted-earlier"]
    days_of: dict[date, list[str]] = {}
    for draft, day in accepted.items():
        days_of.setdefault(day, []).append(name_of(draft, pathway))
    words = [
        said.replace("{order}", ", ".join(names)).replace("{date}", written(day, pathway.dates))
        for day, names in days_of.items()
    ]
    less = replace(
        advice,
        drafts=tuple(each for each in advice.drafts if each not in gone),
        paragraphs=(*advice.paragraphs, *(Paragraph("caveat", each) for each in words)),
    )
    return less, [Left(f"{draft.kind}:{draft.id}", ACCEPTED, day) for draft, day in gone.items()]


def name_of(draft: Draft, pathway: Pathway) -> str:
    """A test or a regimen by its title."""
    if draft.kind == PROBLEM:
        return pathway.messages["problem-list"]
    if draft.kind == FOLLOW_UP:
        return ", ".join(pathway.follow_ups[each].title for each in draft.id.split())
    return (pathway.orderables if draft.kind == "test" else pathway.regimens)[draft.id].title
