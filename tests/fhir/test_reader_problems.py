"""Conditions and operations: what counts, and what never does."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from cds_service.fhir.reasons import NO_DATE
from tests.fhir.records import (
    LOINC,
    SNOMED,
    concept,
    condition,
    problem_of,
    read,
    reasons,
    resource,
)

FATIGUE, PREGNANT, GASTRECTOMY = "84229001", "77386006", "26452005"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"


def test_a_condition_is_read_with_its_dates() -> None:
    problem = problem_of(condition(FATIGUE, onsetDateTime="2025-11-02", recordedDate="2025-12-01T10:00:00Z"))
    assert (problem.reference, problem.concept, problem.source) == ("Condition/c1", "fatigue", "condition")
    assert (problem.onset, problem.recorded) == (date(2025, 11, 2), date(2025, 12, 1))
    assert problem.active
    assert not problem.by_words


@pytest.mark.parametrize(
    "status",
    [
        concept("resolved", CLINICAL),
        [concept("inactive", CLINICAL)],
        {"coding": {"system": CLINICAL, "code": "remission"}},
        "resolved",
        {"text": "Resolved"},
    ],
)
def test_what_has_ended_is_kept_and_called_so_however_it_is_written(status: Any) -> None:
    assert not problem_of(condition(FATIGUE, clinicalStatus=status)).active


@pytest.mark.parametrize("status", [concept("active", CLINICAL), "active", concept("recurrence", CLINICAL), None])
def test_what_has_not_ended_is_active(status: Any) -> None:
    assert problem_of(condition(FATIGUE, clinicalStatus=status)).active


@pytest.mark.parametrize(
    ("fields", "end", "active"),
    [
        ({"abatementDateTime": "2025-01-02"}, date(2025, 1, 2), False),
        ({"abatementPeriod": {"end": "2025-01-02"}}, date(2025, 1, 2), False),
        ({"abatementDateTime": "2026-03-01"}, date(2026, 3, 1), True),
        ({"abatementBoolean": True}, None, False),
        ({"abatementBoolean": False}, None, True),
        ({"abatementString": "last year"}, None, False),
        ({"abatementAge": {"value": 40, "unit": "a"}}, None, False),
    ],
)
def test_abatement_ends_a_condition(fields: dict, end: date | None, active: bool) -> None:
    problem = problem_of(condition(FATIGUE, **fields))
    assert (problem.end, problem.active) == (end, active)


@pytest.mark.parametrize("code", ["refuted", "entered-in-error"])
@pytest.mark.parametrize(
    "shape", [lambda code: concept(code, "x"), lambda code: code, lambda code: [concept(code, "x")]]
)
def test_refuted_and_mistaken_conditions_never_count_and_are_listed(code: str, shape: Any) -> None:
    given = condition("84027009", verificationStatus=shape(code))
    assert not read(given).problems
    assert list(reasons(given)) == ["Condition/c1"]


def test_a_provisional_condition_counts() -> None:
    assert problem_of(condition(FATIGUE, verificationStatus=concept("provisional", "x"))).active


@pytest.mark.parametrize(
    ("code", "concept_name"),
    [
        (concept("D51.0", "http://hl7.org/fhir/sid/icd-10-cm"), "pernicious-anaemia"),
        (concept("D510", "http://hl7.org/fhir/sid/icd-10-cm"), "pernicious-anaemia"),
        (concept("D510", "http://mimic.mit.edu/fhir/mimic/CodeSystem/mimic-diagnosis-icd10"), "pernicious-anaemia"),
        (concept("D510", "urn:our-hospital:diagnoses"), "pernicious-anaemia"),
        (concept("Z9884", "urn:our-hospital:diagnoses"), "bariatric-other"),
        (concept("84027009", "urn:oid:2.16.840.1.113883.6.96"), "pernicious-anaemia"),
    ],
)
def test_diagnoses_are_recognised_with_and_without_dots_and_in_local_systems(code: dict, concept_name: str) -> None:
    problem = problem_of(condition(code))
    assert (problem.concept, problem.by_words) == (concept_name, False)


@pytest.mark.parametrize(
    "code", [concept("R53", "urn:ward-list"), concept("2810", "urn:local"), concept("D51.0", LOINC)]
)
def test_a_code_that_merely_looks_like_a_diagnosis_is_none(code: dict) -> None:
    assert not read(condition(code)).problems


def test_words_are_read_where_no_code_says_anything() -> None:
    problem = problem_of(condition(concept("1", "urn:local", text="Pins and needles in both feet")))
    assert (problem.concept, problem.by_words) == ("paraesthesia", True)
    assert problem_of(condition(concept("1", "urn:local", display="Pernicious anaemia"))).by_words


@pytest.mark.parametrize("text", ["No fatigue", "Denies numbness", "At risk of falls", "Hepatitis"])
def test_what_is_denied_or_feared_is_no_problem(text: str) -> None:
    assert not read(condition(concept(text=text))).problems


def test_what_runs_in_the_family_is_not_the_patients() -> None:
    assert problem_of(condition(concept(text="Family history of pernicious anaemia"))).concept == "family-history"


def test_words_do_not_contradict_a_code() -> None:
    assert problem_of(condition(concept(FATIGUE, SNOMED, text="ataxia"))).concept == "fatigue"


def test_text_beyond_a_thousand_characters_is_not_searched() -> None:
    assert not read(condition(concept(text="x " * 600 + "fatigue"))).problems


def test_a_problem_of_the_future_is_undated_and_named() -> None:
    future = condition(FATIGUE, onsetDateTime="2026-05-01")
    assert problem_of(future).onset is None
    assert reasons(future) == {"Condition/c1": NO_DATE}


@pytest.mark.parametrize("status", ["completed", "in-progress", "unknown", None])
def test_an_operation_that_was_done_counts_and_is_always_active(status: str | None) -> None:
    given = resource(
        "Procedure", "x1", status=status, code=concept(GASTRECTOMY, SNOMED), performedPeriod={"start": "2019-05-06"}
    )
    problem = problem_of(given)
    assert (problem.concept, problem.source, problem.onset) == ("gastrectomy-total", "procedure", date(2019, 5, 6))
    assert problem.active


@pytest.mark.parametrize("fields", [{"status": "not-done"}, {"status": "entered-in-error"}, {"status": "preparation"},
                                    {"status": "stopped"}, {"status": "completed", "doNotPerform": True}])  # fmt: skip
def test_an_operation_that_was_not_done_is_listed(fields: dict) -> None:
    given = resource("Procedure", "x1", code=concept(GASTRECTOMY, SNOMED), **fields)
    assert not read(given).problems
    assert list(reasons(given)) == ["Procedure/x1"]


def test_the_words_of_a_procedure_name_operations_only() -> None:
    assert problem_of(resource("Procedure", "x1", status="completed", code={"text": "Sleeve gastrectomy"})).by_words
    assert not read(resource("Procedure", "x1", status="completed", code={"text": "Assessment of fatigue"})).problems
