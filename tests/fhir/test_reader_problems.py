"""Conditions, operations, symptoms, states and the family's history: what counts, and what never does."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from tests.fhir.records import (
    LOINC,
    SNOMED,
    concept,
    condition,
    observation,
    problem_of,
    quantity,
    read,
    reasons,
    resource,
)

FATIGUE, PREGNANT, GASTRECTOMY = "84229001", "77386006", "26452005"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"


def symptom(value: dict[str, Any] | None = None, code: Any = None, **fields: Any) -> dict[str, Any]:
    """An Observation of fatigue."""
    return observation(code or concept(FATIGUE, SNOMED), None, **(value or {}), **fields)


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


def test_a_problem_of_the_future_is_refused_and_listed() -> None:
    assert reasons(condition(FATIGUE, onsetDateTime="2026-05-01")) == {"Condition/c1": "dated in the future"}


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


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"valueBoolean": True},
        {"valueCodeableConcept": concept("373066001", SNOMED)},
        {"valueCodeableConcept": {"text": "Present"}},
        {"valueString": "yes, for weeks"},
        {"valueString": "worse in the evening"},
        {"valueInteger": 3},
        {"valueQuantity": quantity(7, "{score}")},
    ],
)
def test_a_symptom_observed_counts(value: dict) -> None:
    problem = problem_of(symptom(value))
    assert (problem.concept, problem.source, problem.recorded) == ("fatigue", "observation", date(2026, 1, 10))


@pytest.mark.parametrize(
    "value",
    [
        {"valueBoolean": False},
        {"valueCodeableConcept": concept("373067005", SNOMED)},
        {"valueCodeableConcept": concept("N", "http://terminology.hl7.org/CodeSystem/v2-0136")},
        {"valueCodeableConcept": {"text": "Absent"}},
        {"valueCodeableConcept": {"text": "Not at all"}},
        {"valueString": "No"},
        {"valueString": "none reported"},
        {"valueString": "Negative"},
        {"valueString": "denies"},
        {"valueString": "Not known"},
        {"valueCodeableConcept": concept("261665006", SNOMED)},
        {"valueInteger": 0},
        {"dataAbsentReason": {"text": "asked but unknown"}},
        {"interpretation": [concept("NEG", "x")]},
    ],
)
def test_a_symptom_denied_or_not_asked_does_not_count(value: dict) -> None:
    assert not read(symptom(value)).problems


def test_a_symptom_in_a_component_counts() -> None:
    parts = [
        {"code": concept(FATIGUE, SNOMED), "valueBoolean": True},
        {"code": concept("91019004", SNOMED), "valueBoolean": False},
    ]
    assert problem_of(observation(concept(text="Review"), None, component=parts)).concept == "fatigue"


@pytest.mark.parametrize("status", ["entered-in-error", "registered", "cancelled"])
def test_a_symptom_of_a_status_that_does_not_count_is_listed(status: str) -> None:
    assert list(reasons(symptom(status=status))) == ["Observation/o1"]


def test_a_symptom_known_by_its_name_counts_if_it_is_affirmed_or_merely_stated() -> None:
    named = concept(text="Numbness of the feet")
    assert problem_of(symptom({}, named)).by_words
    assert problem_of(symptom({}, concept("999000000", SNOMED, display="Numbness of thumb"))).by_words
    assert problem_of(symptom({"valueBoolean": True}, named)).by_words
    for value in ({"valueBoolean": False}, {"valueCodeableConcept": {"text": "Mild"}}, {"valueString": "?"}):
        assert not read(symptom(value, named)).problems


def test_a_questionnaire_item_with_a_code_of_its_own_is_no_symptom() -> None:
    item = concept("44254-9", LOINC, text="Fatigue or having little energy")
    assert not read(symptom({"valueCodeableConcept": {"text": "Nearly every day"}}, item)).problems


def pregnancy(value: dict, name: str = "o1", day: str = "2026-01-10") -> dict:
    return observation("82810-3", None, name=name, valueCodeableConcept=value, effectiveDateTime=day)


def test_pregnancy_status_is_read_from_its_value() -> None:
    assert problem_of(pregnancy(concept(PREGNANT, SNOMED))).concept == "pregnancy"
    assert problem_of(pregnancy({"text": "Pregnant"})).concept == "pregnancy"
    for value in (concept("LA26683-5"), concept("LA4489-6"), {"text": "Not pregnant"}, {"text": "Possible pregnancy"}):
        assert not read(pregnancy(value)).problems


def test_a_later_denial_ends_a_pregnancy_and_an_earlier_one_does_not() -> None:
    denied = concept("60001007", SNOMED)
    yes, no = pregnancy(concept(PREGNANT, SNOMED), "o1", "2025-10-01"), pregnancy(denied, "o2", "2025-12-01")
    assert not problem_of(yes, no).active
    assert problem_of(yes, no).end == date(2025, 12, 1)
    assert problem_of(yes, pregnancy(denied, "o2", "2025-09-01")).active
    assert not problem_of(condition(PREGNANT, recordedDate="2025-10-01"), no).active


@pytest.mark.parametrize("code", [concept("63895-7"), concept("413712001", SNOMED)])
def test_lactation_is_read_from_its_value(code: dict) -> None:
    yes, no = concept("LA29252-6"), concept("LA29253-4")
    assert problem_of(observation(code, None, valueCodeableConcept=yes)).concept == "breastfeeding"
    assert not read(observation(code, None, valueCodeableConcept=no)).problems


def test_breastfeeding_that_stopped_and_an_infant_that_was_breastfed_are_no_breastfeeding() -> None:
    started = condition("169750002", name="c0", recordedDate="2025-10-01")
    for stopped in (
        condition("169746009", recordedDate="2025-12-01"),
        observation(concept("169746009", SNOMED), None, effectiveDateTime="2025-12-01"),
    ):
        assert not problem_of(started, stopped).active
    assert not read(condition(concept("169741004", SNOMED, display="Breast fed"))).problems


def family(*codes: dict, **fields: Any) -> dict:
    return resource("FamilyMemberHistory", "f1", condition=[{"code": code} for code in codes], **fields)


@pytest.mark.parametrize(
    "code", [concept("84027009", SNOMED), concept("83901003", SNOMED), {"text": "pernicious anaemia"}]
)
def test_b12_deficiency_and_autoimmune_disease_in_the_family_count(code: dict) -> None:
    problem = problem_of(family(concept("38341003", SNOMED), code, status="completed"))
    assert (problem.concept, problem.source) == ("family-history", "family")


def test_other_diseases_of_the_family_and_mistakes_do_not_count() -> None:
    assert not read(family(concept(FATIGUE, SNOMED), status="completed")).problems
    mistaken = family(concept("84027009", SNOMED), status="entered-in-error")
    assert reasons(mistaken) == {"FamilyMemberHistory/f1": "entered in error"}
