"""What is remembered of a reader takes away what was dismissed or accepted, and nothing else (dismissals.py)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.api import LINE, Remaining, may_be_suppressed
from tests.clinical.patients import ago, injection, lab, problem, record
from tests.clinical.remembered import (
    DAY,
    DEFICIENT,
    Notes,
    draft,
    evidence,
    judged,
    less,
    noted,
)

SETTLED = ("cds-not-applicable", "patient-refuses", "patient-contraindication")


@given(st.data())
def test_no_critical_advice_and_none_of_a_patient_with_neurological_signs_is_ever_changed(pathway, data):
    told, notes = data.draw(noted(pathway))
    decision, quiet = less(told, notes, pathway)
    critical = [each for each in decision.advice if each.indicator == "critical"]
    assert [each for each in quiet.advice if each.indicator == "critical"] == critical
    only_review = [each.row for each in decision.advice] == ["course/loading-neuro"]
    if {"neuro", "cord", "gait"} & decision.findings.keys() and not only_review:
        assert quiet == Remaining(decision.advice, ())


def test_a_review_of_loading_that_was_answered_comes_again_with_the_next_loading_and_not_with_the_next_dose():
    sign = problem("paraesthesia", 40)
    loading = record(sign, *(injection(days) for days in range(0, 24, 2)))
    (card,) = judged(loading)[0].advice
    assert (card.row, card.indicator) == ("course/loading-neuro", "info")
    answered = Notes({card.row: ""}, evidence=evidence(loading))
    _, quiet = less(loading, answered)
    assert not quiet.advice
    later = record(sign, *(injection(days) for days in range(1, 23, 2)), injection(0), injection(23))
    assert evidence(later) != evidence(loading)  # it began on another day
    more = record(sign, *(injection(days) for days in (*range(0, 24, 2), 1)))
    assert evidence(more) == evidence(loading)


def test_a_cord_sign_on_loading_is_said_whatever_was_answered_of_its_review():
    doses = tuple(injection(days) for days in range(0, 24, 2))
    loading = record(problem("paraesthesia", 40), *doses)
    answered = Notes({"course/loading-neuro": ""}, evidence=evidence(loading))
    _, quiet = less(record(problem("paraesthesia", 40), problem("sacd", 2), *doses), answered)
    assert [each.indicator for each in quiet.advice][:1] == ["critical"]


@given(st.data())
def test_what_is_not_dismissed_stays_as_it_was_in_its_order_and_every_loss_is_told(pathway, data):
    told, notes = data.draw(noted(pathway))
    decision, quiet = less(told, notes, pathway)
    if not may_be_suppressed(*judged(told, pathway)):
        return
    gone = {each.what for each in quiet.left}
    kept = [each for each in quiet.advice if not each.row.startswith(LINE)]
    assert [each.row for each in kept] == [each.row for each in decision.advice if each.row not in gone]
    by_row = {each.row: each for each in decision.advice}
    for each in kept:
        before = by_row[each.row]
        assert (each.indicator, each.summary, each.topic) == (before.indicator, before.summary, before.topic)
        # What is not offered again stands where one reads it, between the card's own paragraphs; of these only what
        # the budget may leave out makes room for it.
        still = [part for part in each.paragraphs if part in before.paragraphs]
        left_out = [part for part in before.paragraphs if part not in still]
        assert still == [part for part in before.paragraphs if part in still]
        assert {part.part for part in left_out} <= {"context", "next"}
        lost = [draft for draft in before.drafts if draft not in each.drafts]
        assert [draft for draft in before.drafts if draft not in lost] == list(each.drafts)
        assert all(f"{draft.kind}:{draft.id}" in gone for draft in lost)
        assert not lost or each.paragraphs != before.paragraphs
    assert {each for each in gone if "/" in each} <= notes.rows.keys()
    assert gone or quiet.advice == decision.advice  # the budget is that of all cards: one line more may cost another


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
    assert quiet == Remaining(decision.advice, ())
    _, other = less(record(*DEFICIENT, **{how: frozenset({"allergies"})}), notes)
    assert other.left


def test_the_line_says_untreated_only_of_the_treatment_that_is_due_and_missing():
    rows = Notes(dict.fromkeys(("interpret/deficient", "treat/unknown", "course/bariatric", "course/oral-failing"), ""))
    _, quiet = less(record(*DEFICIENT), rows)
    assert ["still untreated" in each.summary for each in quiet.advice] == [True]
    _, quiet = less(record(problem("bariatric"), problem("fatigue")), rows)
    (line,) = [each for each in quiet.advice if each.row == "dismissed/course/bariatric"]
    assert "unchanged since" in line.summary and "untreated" not in line.summary


def test_what_a_dismissed_card_offered_is_not_offered_by_another_in_its_place():
    told = record(problem("bariatric"), lab("b12", 150, "ng/L"))
    decision, _ = judged(told)
    bearing = [each for each in decision.advice if any(d.kind == "medicine" for d in each.drafts)]
    assert len(bearing) == 1 and "course/bariatric" in {each.row for each in decision.advice}
    _, quiet = less(told, Notes({bearing[0].row: ""}))
    assert not [draft for each in quiet.advice for draft in each.drafts if draft.kind == "medicine"]


def test_the_days_of_the_reader_are_in_words():
    _, quiet = less(record(*DEFICIENT), Notes({}, {("test", "fbc")}))
    (card,) = quiet.advice
    assert "accepted on 12 Jan 2026" in card.detail
    _, quiet = less(record(*DEFICIENT), Notes({"interpret/deficient": ""}))
    (line,) = quiet.advice
    assert line.summary.startswith("Dismissed on 12 Jan 2026, still untreated: ")
    assert ago(3) == DAY
