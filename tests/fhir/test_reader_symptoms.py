"""Symptoms, pregnancy, breastfeeding and the family's history, as they are observed: what counts, and what never."""

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


def symptom(value: dict[str, Any] | None = None, code: Any = None, **fields: Any) -> dict[str, Any]:
    """An Observation of fatigue."""
    return observation(code or concept(FATIGUE, SNOMED), None, **(value or {}), **fields)


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
