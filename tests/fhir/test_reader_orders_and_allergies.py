"""Tests that are already ordered, and allergies to a cobalamin or to cobalt."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fhir.records import LOINC, RXNORM, SNOMED, concept, read, reasons, resource


def request(code: Any, **fields: Any) -> dict:
    defaults = {"status": "active", "intent": "order", "authoredOn": "2026-01-10"}
    return resource("ServiceRequest", "s1", code=code, **(defaults | fields))


def ordered(code: Any, **fields: Any) -> set[str]:
    return {each.orderable for each in read(request(code, **fields)).orders}


def test_a_request_is_recognised_by_the_code_of_a_test() -> None:
    (order,) = read(request(concept("2132-9"))).orders
    assert (order.reference, order.orderable, str(order.written)) == ("ServiceRequest/s1", "b12-total", "2026-01-10")
    assert ordered(concept("13964-2")) == {"mma"}
    assert ordered([concept("14685-2")]) == {"b12-total"}


def test_a_panel_covers_what_it_measures_and_one_of_its_tests_does_not_cover_the_panel() -> None:
    assert "fbc" in ordered(concept("58410-2"))
    assert "fbc" in ordered(concept("57021-8"))
    assert "fbc" not in ordered(concept("718-7"))


@pytest.mark.parametrize("intent", ["order", "original-order", "reflex-order", "filler-order", "instance-order", None])
def test_orders_of_every_kind_count(intent: str | None) -> None:
    assert ordered(concept("2132-9"), intent=intent) == {"b12-total"}


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "draft"},
        {"status": "on-hold"},
        {"status": "completed"},
        {"status": "revoked"},
        {"status": "entered-in-error"},
        {"status": None},
        {"intent": "proposal"},
        {"intent": "plan"},
        {"intent": "option"},
        {"doNotPerform": True},
        {"authoredOn": "2026-03-01"},
    ],
)
def test_what_is_not_on_its_way_is_listed_and_does_not_count(fields: dict) -> None:
    given = request(concept("2132-9"), **fields)
    assert not read(given).orders
    assert list(reasons(given)) == ["ServiceRequest/s1"]


def test_requests_for_anything_else_are_skipped_without_a_word() -> None:
    record = read(request(concept("24627-2")), request(concept(text="Chest X-ray")), request(None))
    assert not record.orders
    assert not record.ignored


def allergy(code: Any = None, **fields: Any) -> dict:
    return resource("AllergyIntolerance", "a1", code=code, **fields)


@pytest.mark.parametrize(
    ("given", "substance", "by_words"),
    [
        (allergy(concept("409258004", SNOMED)), "cobalamin", False),
        (allergy(concept("5514", RXNORM)), "cobalamin", False),
        (allergy({"text": "Hydroxocobalamin"}), "cobalamin", True),
        (allergy({"text": "Neo-Cytamen injection"}), "cobalamin", True),
        (allergy({"text": "Cobalamins"}), "cobalamin", True),
        (allergy("Allergy to cobalamin"), "cobalamin", True),
        (allergy(concept("54808007", SNOMED)), "cobalt", False),
        (allergy({"text": "Cobalt (patch test positive)"}), "cobalt", True),
        (allergy(reaction=[{"substance": concept("419382002", SNOMED)}]), "cobalamin", False),
        (allergy(reaction={"substance": {"text": "vitamin B12"}}), "cobalamin", True),
    ],
)
def test_allergies_are_recognised_by_code_substance_or_words(given: dict, substance: str, by_words: bool) -> None:
    (found,) = read(given).allergies
    assert (found.reference, found.substance, found.by_words) == ("AllergyIntolerance/a1", substance, by_words)


def test_a_reaction_recorded_as_a_condition_is_an_allergy() -> None:
    given = resource("Condition", "c1", code=concept("293396006", SNOMED), recordedDate="2020-01-02")
    assert [each.substance for each in read(given).allergies] == ["cobalamin"]


@pytest.mark.parametrize("status", ["refuted", "entered-in-error"])
def test_refuted_and_mistaken_allergies_never_count_and_are_listed(status: str) -> None:
    for written in (concept(status, "x"), status):
        given = allergy(concept("409258004", SNOMED), verificationStatus=written)
        assert not read(given).allergies
        assert list(reasons(given)) == ["AllergyIntolerance/a1"]


@pytest.mark.parametrize("status", ["active", "inactive", "resolved"])
def test_an_allergy_counts_even_if_it_is_called_resolved(status: str) -> None:
    assert read(allergy(concept("409258004", SNOMED), clinicalStatus=concept(status, "x"))).allergies


@pytest.mark.parametrize("text", ["Penicillin", "No known allergy to cobalamin", "no cobalt allergy", "Cobaltous", ""])
def test_other_allergies_and_denied_ones_do_not_count(text: str) -> None:
    assert not read(allergy({"text": text})).allergies


def test_a_code_of_another_system_is_not_ours() -> None:
    assert not read(allergy(concept("409258004", LOINC))).allergies
