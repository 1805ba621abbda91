"""A reader who has dismissed or accepted something, and what is said to this reader of a patient."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from hypothesis import strategies as st

from tests.api import (
    LINE,
    Assessment,
    Decision,
    Order,
    OrderedPhase,
    Pathway,
    PatientRecord,
    Remaining,
    assess,
    decide,
    decide_orders,
    evidence_of,
    suppress,
)
from tests.book import content
from tests.clinical.patients import TODAY, lab, problem, records

REASONS = ("", "cds-not-applicable", "patient-refuses", "patient-contraindication", "action-completed", "of-our-own")
DAY = date(2026, 1, 12)


@dataclass(frozen=True)
class Override:
    on: date
    reason: str


@dataclass
class Notes:
    """What is remembered: overrides by row, for one evidence or (None) for any; accepted orders by kind and id."""

    rows: dict[str, str] = field(default_factory=dict)
    orders: set[tuple[str, str]] = field(default_factory=set)
    evidence: str | None = None

    def dismissed(self, row: str, evidence: str) -> Override | None:
        if row not in self.rows or self.evidence not in (None, evidence):
            return None
        return Override(DAY, self.rows[row])

    def accepted(self, kind: str, draft: str) -> date | None:
        return DAY if (kind, draft) in self.orders else None


UK = content().pathways["uk-ng239"]


def judged(told: PatientRecord, pathway: Pathway = UK, today: date = TODAY) -> tuple[Decision, Assessment]:
    assessment = assess(told, pathway, today)
    return (decide_orders if told.selected else decide)(assessment, pathway), assessment


def evidence(told: PatientRecord, pathway: Pathway = UK, today: date = TODAY, version: str = "1") -> str:
    return evidence_of(*judged(told, pathway, today), version)


def less(told: PatientRecord, notes: Notes, pathway: Pathway = UK) -> tuple[Decision, Remaining]:
    decision, assessment = judged(told, pathway)
    return decision, suppress(decision, assessment, evidence_of(decision, assessment, "1"), notes)


# What a reader does, before it is known of what: the place of a row or order among those that there are, and a reason.
# Nothing that is drawn hangs on what the service says, so that Hypothesis can draw the same again.
PLACES = st.integers(0, 11)
DISMISSED = st.dictionaries(PLACES, st.sampled_from(REASONS), max_size=6)
ACCEPTED = st.sets(PLACES, max_size=6)


@st.composite
def noted(draw: st.DrawFn, pathway: Pathway) -> tuple[PatientRecord, Notes]:
    """A patient, and a reader who may have dismissed or accepted any of what is said of this patient."""
    told, dismissed, accepted = draw(records()), draw(DISMISSED), draw(ACCEPTED)
    decision, _ = judged(told, pathway)
    rows = [each.row for each in decision.advice] + [f"{LINE}{each.row}" for each in decision.advice]
    drafts = [(draft.kind, draft.id) for each in decision.advice for draft in each.drafts]
    return told, Notes(
        {rows[place % len(rows)]: reason for place, reason in dismissed.items()} if rows else {},
        {drafts[place % len(drafts)] for place in accepted} if drafts else set(),
    )


DEFICIENT = lab("b12", 150, "ng/L"), problem("fatigue")


def draft(name: str = "draft-1", dose: int = 500) -> Order:
    return Order(
        f"MedicationRequest/{name}", "metformin", route="oral", phases=(OrderedPhase(Decimal(dose), Decimal(1)),)
    )
