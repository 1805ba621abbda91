"""What must hold for every patient, whoever it is (design.md 8)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.api import (
    NAMES,
    SEVERITY,
    Ignored,
    LabResult,
    Medication,
    Pathway,
    PatientRecord,
    Problem,
    assess,
    decide,
    doubt,
)
from tests.clinical.patients import INGREDIENTS, TODAY, days, lab, medicine, records

untreated = st.builds(medicine, st.sampled_from(INGREDIENTS), st.one_of(st.none(), days))


def outcome(record: PatientRecord, pathway: Pathway, today: date = TODAY):
    """Everything that the clinician would be told, and why."""
    decision = decide(assess(record, pathway, today), pathway)
    return decision.label, decision.rows, [(each.row, each.indicator, each.drafts) for each in decision.advice]


def worst(record: PatientRecord, pathway: Pathway) -> int:
    """The most severe indicator."""
    decision = decide(assess(record, pathway, TODAY), pathway)
    return max((SEVERITY[each.indicator] for each in decision.advice), default=0)


@given(records())
def test_every_patient_gets_exactly_one_label_and_one_interpretation(pathway, record):
    label, rows, _ = outcome(record, pathway)
    assert label in {row.label for row in pathway.interpret}
    assert len([row for row in rows if row.startswith("interpret/")]) == 1


@given(records())
def test_every_finding_is_one_that_the_content_may_name_and_has_evidence(pathway, record):
    findings = assess(record, pathway, TODAY).findings
    assert set(findings) <= NAMES
    assert all(finding.because for finding in findings.values())


@given(records())
def test_no_card_leaves_a_placeholder_unfilled_or_a_summary_too_long(pathway, record):
    for advice in decide(assess(record, pathway, TODAY), pathway).advice:
        assert "{" not in advice.summary + advice.detail
        assert len(advice.summary.encode("utf-16-le")) // 2 <= 139


TREATS = ("none", "after", "consider", "now")


def treat(record: PatientRecord, pathway: Pathway) -> int:
    """How far the interpretation goes towards treatment."""
    return TREATS.index(decide(assess(record, pathway, TODAY), pathway).treat)


RESULTS = st.sampled_from((20, 95, 99, 100, 120, 170, 179, 180, 240, 350, 351, 420, 900))


@given(records(untreated), RESULTS, RESULTS, st.integers(0, 364))
def test_lowering_the_b12_of_an_untreated_patient_lowers_neither_indicator_nor_treatment(
    pathway, record, one, other, when
):
    lower, higher = sorted((one, other))
    others = [each for each in record.labs if each.analyte != "b12"]
    with_low, with_high = (
        replace(record, labs=(*others, lab("b12", value, "ng/L", when))) for value in (lower, higher)
    )
    assert worst(with_low, pathway) >= worst(with_high, pathway)
    assert treat(with_low, pathway) >= treat(with_high, pathway)


@given(records(), st.data())
def test_the_order_of_the_resources_changes_nothing(pathway, record, data):
    def shuffled(parts):
        return tuple(data.draw(st.permutations(parts)))

    mixed = replace(
        record,
        labs=shuffled(record.labs),
        problems=shuffled(record.problems),
        medications=shuffled(record.medications),
        allergies=shuffled(record.allergies),
    )
    first, second = outcome(record, pathway), outcome(mixed, pathway)
    assert (first[0], sorted(first[1]), first[2]) == (second[0], sorted(second[1]), second[2])


@given(records())
def test_ignored_resources_and_repeated_ones_change_nothing(pathway, record):
    twice = replace(record, labs=record.labs * 2, problems=record.problems * 2, medications=record.medications * 2)
    noted = replace(record, ignored=(Ignored("Observation/x", "of another patient"),))
    assert outcome(twice, pathway) == outcome(record, pathway) == outcome(noted, pathway)


def moved(day: date | None, years: int) -> date | None:
    return day and day.replace(year=day.year + years)


def later(record: PatientRecord, years: int) -> PatientRecord:
    """The same record, every date so many years later."""

    def shift(part):
        names = {
            LabResult: ("date",),
            Problem: ("onset", "recorded", "end"),
            Medication: ("start", "last", "end"),
        }[type(part)]
        changed = {name: moved(getattr(part, name), years) for name in names}
        return part._replace(**changed) if isinstance(part, LabResult) else replace(part, **changed)

    return replace(
        record,
        patient=replace(record.patient, born=moved(record.patient.born, years)),
        labs=tuple(map(shift, record.labs)),
        problems=tuple(map(shift, record.problems)),
        medications=tuple(map(shift, record.medications)),
    )


@given(records())
def test_shifting_every_date_by_a_whole_cycle_of_400_years_changes_nothing(pathway, record):
    assert outcome(later(record, 400), pathway, moved(TODAY, 400)) == outcome(record, pathway)


@given(st.integers(20, 1000), st.sampled_from(["ng/L", "pg/mL"]), st.sampled_from(["ng/L", "pg/mL"]))
def test_units_with_the_same_threshold_change_nothing(pathway, value, one, other):
    from tests.clinical.patients import record

    assert outcome(record(lab("b12", value, one)), pathway) == outcome(record(lab("b12", value, other)), pathway)


@given(records())
def test_a_blocked_draft_is_never_made(pathway, record):
    assessment = assess(record, pathway, TODAY)
    drafts = [draft for each in decide(assessment, pathway).advice for draft in each.drafts if draft.kind == "medicine"]
    regimens = [pathway.regimens[draft.id] for draft in drafts]
    blocking = ["no_medicine_draft", "cobalamin_hypersensitivity", "unshown_in_pregnancy"]
    if assessment.case.has(*blocking, *(["cobalt_allergy"] if pathway.id == "us-aafp" else [])):
        assert not regimens
    if assessment.case.has("leber"):
        assert all(regimen.ingredient != "cyanocobalamin" for regimen in regimens)
    if assessment.case.has("platelets_below_im"):
        assert all(phase.route != "im" for regimen in regimens for phase in regimen.phases)


@pytest.mark.parametrize("value, unit", [("180", "ng/L"), ("133", "pmol/L"), ("258", "pmol/L"), ("350", "pg/mL")])
def test_the_edges_are_grey_in_the_unit_that_was_reported(pathway, value, unit):
    from tests.clinical.patients import record

    case = assess(record(lab("b12", Decimal(value), unit)), pathway, TODAY).case
    assert case.has("b12_grey") and not doubt(case, case.b12)
