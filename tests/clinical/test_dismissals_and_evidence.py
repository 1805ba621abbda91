"""What was dismissed is shown again on new evidence, and what is new evidence (dismissals.py)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.api import LabResult, Patient, Remaining, evidence_of, suppress
from tests.book import content
from tests.clinical.patients import TODAY, injection, lab, medicine, problem, record, records
from tests.clinical.remembered import (
    DEFICIENT,
    Notes,
    evidence,
    judged,
    less,
    noted,
)


@given(st.data())
def test_on_any_other_evidence_everything_is_shown(pathway, data):
    told, notes = data.draw(noted(pathway))
    decision, quiet = less(told, Notes(notes.rows, set(), "another evidence"), pathway)
    assert quiet == Remaining(decision.advice, ())


@given(records(), st.data())
def test_the_evidence_does_not_depend_on_order_repetition_or_ignored_resources(pathway, told, data):
    def named(parts):
        changed = [(each, f"{each.reference}-{number}") for number, each in enumerate(parts)]
        return tuple(
            each._replace(reference=name) if isinstance(each, LabResult) else replace(each, reference=name)
            for each, name in changed
        )

    def mixed(parts):
        return tuple(data.draw(st.permutations(parts * 2)))

    names = ("labs", "problems", "medications", "allergies")
    told = replace(told, **{name: named(getattr(told, name)) for name in names})
    other = replace(told, **{name: mixed(getattr(told, name)) for name in names})
    assert evidence(other, pathway) == evidence(told, pathway)


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
    assert suppress(decision, assessment, now, notes).advice == decision.advice


def test_another_version_of_the_content_is_new_evidence_and_so_is_another_pathway():
    told = record(*DEFICIENT)
    texts = {evidence(told), evidence(told, version="2"), evidence(told, content().pathways["us-aafp"])}
    assert len(texts) == 3


def test_a_row_that_was_information_and_is_a_warning_now_is_shown_although_the_findings_are_the_same():
    told = record(lab("b12", 200, "ng/L"), problem("fatigue"))
    decision, assessment = judged(told)
    (card,) = decision.advice
    louder = replace(decision, advice=(replace(card, indicator="warning"),))
    assert evidence_of(louder, assessment, "1") != evidence_of(decision, assessment, "1")
