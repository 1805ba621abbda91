"""What is remembered of a reader takes away what was dismissed or accepted, and nothing else (dismissals.py)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cds_service.clinical.decide import Decision, decide
from cds_service.clinical.decide_orders import decide_orders
from cds_service.clinical.dismissals import LINE, Quieter, evidence_of, may_be_quiet, quieter
from cds_service.clinical.findings import Assessment, assess
from cds_service.clinical.record import LabResult, Order, OrderedPhase, Patient, PatientRecord
from cds_service.clinical.tables import Pathway
from tests.book import PATHWAYS, content
from tests.clinical.patients import TODAY, ago, injection, lab, medicine, problem, record, records

often = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
REASONS = ("", "cds-not-applicable", "patient-refuses", "patient-contraindication", "action-completed", "of-our-own")
SETTLED = ("cds-not-applicable", "patient-refuses", "patient-contraindication")
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


@pytest.fixture(scope="module", params=PATHWAYS)
def pathway(request: pytest.FixtureRequest) -> Pathway:
    return content().pathways[request.param]


UK = content().pathways["uk-ng239"]


def judged(told: PatientRecord, pathway: Pathway = UK, today: date = TODAY) -> tuple[Decision, Assessment]:
    assessment = assess(told, pathway, today)
    return (decide_orders if told.selected else decide)(assessment, pathway), assessment


def evidence(told: PatientRecord, pathway: Pathway = UK, today: date = TODAY, version: str = "1") -> str:
    return evidence_of(*judged(told, pathway, today), version)


def less(told: PatientRecord, notes: Notes, pathway: Pathway = UK) -> tuple[Decision, Quieter]:
    decision, assessment = judged(told, pathway)
    return decision, quieter(decision, assessment, evidence_of(decision, assessment, "1"), notes)


@st.composite
def noted(draw: st.DrawFn, pathway: Pathway) -> tuple[PatientRecord, Notes]:
    """A patient, and a reader who may have dismissed or accepted any of what is said of this patient."""
    told = draw(records())
    decision, _ = judged(told, pathway)
    rows = [each.row for each in decision.advice] + [f"{LINE}{each.row}" for each in decision.advice]
    drafts = [(draft.kind, draft.id) for each in decision.advice for draft in each.drafts]
    dismissed = draw(st.dictionaries(st.sampled_from(rows), st.sampled_from(REASONS))) if rows else {}
    accepted = draw(st.sets(st.sampled_from(drafts))) if drafts else set()
    return told, Notes(dismissed, accepted)


@often
@given(st.data())
def test_no_critical_advice_and_none_of_a_patient_with_neurological_signs_is_ever_changed(pathway, data):
    told, notes = data.draw(noted(pathway))
    decision, quiet = less(told, notes, pathway)
    critical = [each for each in decision.advice if each.indicator == "critical"]
    assert [each for each in quiet.advice if each.indicator == "critical"] == critical
    if {"neuro", "cord", "gait"} & decision.findings.keys():
        assert quiet == Quieter(decision.advice, ())


@often
@given(st.data())
def test_what_is_not_dismissed_stays_as_it_was_in_its_order_and_every_loss_is_told(pathway, data):
    told, notes = data.draw(noted(pathway))
    decision, quiet = less(told, notes, pathway)
    if not may_be_quiet(*judged(told, pathway)):
        return
    gone = {each.what for each in quiet.left}
    kept = [each for each in quiet.advice if not each.row.startswith(LINE)]
    assert [each.row for each in kept] == [each.row for each in decision.advice if each.row not in gone]
    by_row = {each.row: each for each in decision.advice}
    for each in kept:
        before = by_row[each.row]
        assert (each.indicator, each.summary, each.topic) == (before.indicator, before.summary, before.topic)
        assert each.detail.startswith(before.detail)
        lost = [draft for draft in before.drafts if draft not in each.drafts]
        assert [draft for draft in before.drafts if draft not in lost] == list(each.drafts)
        assert all(f"{draft.kind}:{draft.id}" in gone for draft in lost)
        assert bool(lost) == (each.detail != before.detail)
    assert {each for each in gone if "/" in each} <= notes.rows.keys()


@often
@given(st.data())
def test_a_warning_leaves_one_line_of_information_unless_it_is_settled_and_information_leaves_nothing(pathway, data):
    told, notes = data.draw(noted(pathway))
    decision, quiet = less(told, notes, pathway)
    lines = [each for each in quiet.advice if each.row.startswith(LINE)]
    assert all(each.indicator == "info" and not each.drafts for each in lines)
    gone = {each.what for each in quiet.left}
    expected = [
        f"{LINE}{each.row}"
        for each in decision.advice
        if each.row in gone and each.indicator == "warning" and notes.rows[each.row] not in SETTLED
    ]
    assert [each.row for each in lines] == [row for row in expected if row not in notes.rows]
    assert all(each.topic.isalnum() and len(each.topic) <= 100 for each in lines)


@often
@given(st.data())
def test_on_any_other_evidence_everything_is_shown(pathway, data):
    told, notes = data.draw(noted(pathway))
    decision, quiet = less(told, Notes(notes.rows, set(), "another evidence"), pathway)
    assert quiet == Quieter(decision.advice, ())


@often
@given(records(), st.randoms(use_true_random=False))
def test_the_evidence_does_not_depend_on_order_repetition_or_ignored_resources(pathway, told, random):
    def named(parts):
        changed = [(each, f"{each.reference}-{number}") for number, each in enumerate(parts)]
        return tuple(
            each._replace(reference=name) if isinstance(each, LabResult) else replace(each, reference=name)
            for each, name in changed
        )

    def mixed(parts):
        return tuple(random.sample(parts * 2, len(parts) * 2))

    names = ("labs", "problems", "medications", "allergies")
    told = replace(told, **{name: named(getattr(told, name)) for name in names})
    other = replace(told, **{name: mixed(getattr(told, name)) for name in names})
    assert evidence(other, pathway) == evidence(told, pathway)


@often
@given(records(), st.integers(1, 400))
def test_time_alone_changes_the_evidence_only_with_a_finding_its_resources_or_a_row(pathway, told, days):
    def rests_on(today):
        decision, _ = judged(told, pathway, today)
        rows = sorted((each.row, each.indicator) for each in decision.advice)
        found = decision.findings.values()
        return rows, {each.name: sorted(because.reference for because in each.because) for each in found}

    later = TODAY + timedelta(days=days)
    assume(rests_on(TODAY) == rests_on(later))
    assert evidence(told, pathway, later) == evidence(told, pathway)


DEFICIENT = lab("b12", 150, "ng/L"), problem("fatigue")


def test_a_birthday_is_no_new_evidence():
    pathway = content().pathways["us-aafp"]
    old = record(*DEFICIENT, patient=Patient("Patient/p", "female", date(1940, 1, 20)))
    assert "older_age" in judged(old, pathway)[0].findings
    assert evidence(old, pathway, date(2026, 1, 19)) == evidence(old, pathway, date(2026, 1, 20))


def test_a_key_that_comes_and_goes_is_no_new_evidence():
    base = evidence(record(*DEFICIENT))
    for key in ("allergies", "family", "bloodCount", "medications", "medicationRequests", "administrations", "orders"):
        assert evidence(record(*DEFICIENT, unavailable=frozenset({key}))) == base, key
    both = frozenset({"medications", "medicationRequests"})
    assert evidence(record(*DEFICIENT, unavailable=both)) == base


@pytest.mark.parametrize(
    "more",
    [
        lab("b12", 140, "ng/L", 1),
        lab("haemoglobin", 100, "g/L"),
        problem("coeliac"),
        problem("glossitis"),
        problem("pregnancy"),
        medicine("metformin"),
        injection(10),
    ],
    ids=str,
)
def test_something_new_in_the_record_is_new_evidence_and_everything_is_shown_again(more):
    decision, assessment = judged(record(*DEFICIENT, more))
    notes = Notes(
        dict.fromkeys((each.row for each in decision.advice), "patient-refuses"), evidence=evidence(record(*DEFICIENT))
    )
    now = evidence_of(decision, assessment, "1")
    assert now != notes.evidence
    assert quieter(decision, assessment, now, notes).advice == decision.advice


def test_another_version_of_the_content_is_new_evidence_and_so_is_another_pathway():
    told = record(*DEFICIENT)
    texts = {evidence(told), evidence(told, version="2"), evidence(told, content().pathways["us-aafp"])}
    assert len(texts) == 3


def test_a_row_that_was_information_and_is_a_warning_now_is_shown_although_the_findings_are_the_same():
    told = record(lab("b12", 200, "ng/L"))
    decision, assessment = judged(told)
    (card,) = decision.advice
    louder = replace(decision, advice=(replace(card, indicator="warning"),))
    assert evidence_of(louder, assessment, "1") != evidence_of(decision, assessment, "1")


def draft(name: str = "draft-1", dose: int = 500) -> Order:
    return Order(
        f"MedicationRequest/{name}", "metformin", route="oral", phases=(OrderedPhase(Decimal(dose), Decimal(1)),)
    )


def test_a_new_draft_is_a_new_decision_and_so_is_the_same_draft_with_another_dose():
    texts = {
        evidence(record(problem("fatigue"), selected=(order,)))
        for order in (draft(), draft("draft-2"), draft(dose=850))
    }
    assert len(texts) == 3


@pytest.mark.parametrize("key", ["conditions", "status"])
@pytest.mark.parametrize("how", ["unavailable", "incomplete"])
def test_where_a_neurological_sign_could_not_be_seen_nothing_is_left_out(key, how):
    notes = Notes({"interpret/deficient": "cds-not-applicable"}, {("test", "fbc")})
    decision, quiet = less(record(*DEFICIENT, **{how: frozenset({key})}), notes)
    assert quiet == Quieter(decision.advice, ())
    _, other = less(record(*DEFICIENT, **{how: frozenset({"allergies"})}), notes)
    assert other.left


def test_the_line_says_untreated_only_of_the_treatment_that_is_due_and_missing():
    rows = Notes(
        dict.fromkeys(("interpret/deficient", "treat/unknown", "safety/S7", "interpret/on-oral-insufficient"), "")
    )
    _, quiet = less(record(*DEFICIENT), rows)
    assert ["still untreated" in each.summary for each in quiet.advice] == [True, True]
    _, quiet = less(record(problem("bariatric"), problem("fatigue")), rows)
    (line,) = [each for each in quiet.advice if each.row == "dismissed/safety/S7"]
    assert "unchanged since" in line.summary and "untreated" not in line.summary


def test_what_a_dismissed_card_offered_is_not_offered_by_another_in_its_place():
    told = record(problem("bariatric"), lab("b12", 150, "ng/L"))
    decision, _ = judged(told)
    bearing = [each for each in decision.advice if any(d.kind == "medicine" for d in each.drafts)]
    assert len(bearing) == 1 and "safety/S7" in {each.row for each in decision.advice}
    _, quiet = less(told, Notes({bearing[0].row: ""}))
    assert not [draft for each in quiet.advice for draft in each.drafts if draft.kind == "medicine"]


def test_the_days_of_the_reader_are_in_words():
    _, quiet = less(record(*DEFICIENT), Notes({"treat/unknown": ""}, {("test", "fbc")}))
    card, line = quiet.advice
    assert "accepted from a card on 12 Jan 2026" in card.detail
    assert line.summary.startswith("Dismissed on 12 Jan 2026, still untreated: ")
    assert ago(3) == DAY
