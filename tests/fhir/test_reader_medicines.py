"""Medicines: which ingredient, and by what evidence."""

from __future__ import annotations

import pytest

from tests.fhir.records import (
    METFORMIN,
    RXNORM,
    SNOMED,
    concept,
    given,
    medication_of,
    order,
    read,
    resource,
)

ATC, NDC = "http://www.whocc.no/atc", "http://hl7.org/fhir/sid/ndc"


@pytest.mark.parametrize(
    ("medicine", "ingredient", "by"),
    [
        (concept("860975", RXNORM), "metformin", "code"),
        (concept("109081006", SNOMED), "metformin", "code"),
        (concept("109081006", "https://dmd.nhs.uk"), "metformin", "code"),
        (concept("A10BA02", ATC), "metformin", "atc"),
        (concept(text="METFORMIN 500mg tabs"), "metformin", "words"),
        (concept("77", "urn:local", display="Glucophage 500 mg"), "metformin", "words"),
        (concept(text="omeprazole 20 MG Delayed Release Oral Capsule"), "omeprazole", "words"),
        (concept(text="esomeprazole 20 MG"), "esomeprazole", "words"),
        (concept(text="Vitamin B 12 1000 mcg tablet"), "cyanocobalamin", "words"),
    ],
)
def test_an_ingredient_is_found_by_code_then_atc_then_words(medicine: dict, ingredient: str, by: str) -> None:
    found = medication_of(order(medicine))
    assert (found.ingredient, found.recognised_by) == (ingredient, by)


def test_a_code_counts_before_the_words() -> None:
    medicine = {
        "coding": [{"system": ATC, "code": "A10BA02"}, {"system": RXNORM, "code": "7646"}],
        "text": "ranitidine",
    }
    found = medication_of(order(medicine))
    assert (found.ingredient, found.recognised_by) == ("omeprazole", "code")


@pytest.mark.parametrize(
    "text", ["atorvastatin 20 mg", "lamotrigine [Subvenite Green (for Patients Taking Primidone)]", ""]
)
def test_medicines_that_are_none_of_ours_are_skipped_without_a_word(text: str) -> None:
    record = read(order(text))
    assert not record.medications
    assert not record.ignored


@pytest.mark.parametrize("reference", ["Medication/med", "#med", "https://ehr.example.org/fhir/Medication/med"])
def test_a_medicine_may_be_described_elsewhere(reference: str) -> None:
    medicine = {"resourceType": "Medication", "id": "med", "code": {"text": METFORMIN}}
    entry = resource(
        "MedicationRequest", "m1", status="active", intent="order", authoredOn="2026-01-01",
        medicationReference={"reference": reference}, contained=[medicine] if reference[0] == "#" else None,
    )  # fmt: skip
    assert medication_of(entry, medicine).ingredient == "metformin"


def test_a_reference_that_leads_nowhere_is_read_by_its_display() -> None:
    lost = {"reference": "Medication/gone", "display": "Metformin 500 mg"}
    assert medication_of(resource("MedicationRequest", "m1", status="active", medicationReference=lost)).active


@pytest.mark.parametrize(
    "medicine",
    [
        {
            "identifier": [{"system": "urn:mimic:name", "value": "Cyanocobalamin"}],
            "code": concept("99999999999", "urn:x"),
        },
        {"identifier": {"value": "Cyanocobalamin"}},
        {"ingredient": [{"itemCodeableConcept": concept("419382002", SNOMED)}]},
        {"ingredient": {"itemCodeableConcept": {"text": "cyanocobalamin"}}},
        {"ingredient": [{"item": {"concept": {"text": "cyanocobalamin"}}}]},  # R5
        {"ingredient": [{"item": {"reference": {"reference": "Substance/s", "display": "Cyanocobalamin"}}}]},
        {"ingredient": [{"itemReference": {"display": "cyanocobalamin"}}]},
        {"code": concept("B03BA01", ATC)},
    ],
)
def test_a_name_in_an_identifier_or_an_ingredient_list_is_enough(medicine: dict) -> None:
    entry = resource("MedicationStatement", "m1", status="active", medicationReference={"reference": "Medication/b"})
    assert medication_of(entry, {"resourceType": "Medication", "id": "b"} | medicine).ingredient == "cyanocobalamin"


def ndc_of(ingredient: str) -> str:
    """An eleven-digit NDC of ours for the ingredient."""
    from cds_service.content.files import cards_folder

    rows = (cards_folder() / "value-sets" / f"medicine-{ingredient}.csv").read_text().splitlines()
    return next(row.split(",")[1] for row in rows if row.startswith(NDC + ","))


@pytest.mark.parametrize(
    "system", [NDC, "urn:oid:2.16.840.1.113883.6.69", "urn:our-pharmacy", "http://x.org/mimic-medication-ndc"]
)
def test_an_ndc_is_read_in_its_own_and_in_a_local_system(system: str) -> None:
    found = medication_of(order(concept(ndc_of("metformin"), system)))
    assert (found.ingredient, found.recognised_by) == ("metformin", "ndc")


def test_a_combination_is_one_entry_for_each_of_our_ingredients() -> None:
    text = "Folic Acid 2.2 MG / vitamin B12 1 MG / pyridoxine 25 MG Oral Tablet"
    entries = read(order(text)).medications
    assert {each.ingredient: each.dose for each in entries} == {"folic-acid": 2200, "cyanocobalamin": 1000}
    assert {each.reference for each in entries} == {"MedicationRequest/m1"}
    assert not any(each.multivitamin for each in entries)


@pytest.mark.parametrize(
    "text",
    [
        "Multivitamin with cyanocobalamin tablet",
        "Ascorbic Acid 60 MG / Cyanocobalamin 0.006 MG / Folic Acid 0.4 MG / Niacin 20 MG Oral Tablet",
    ],
)
def test_a_multivitamin_is_called_one(text: str) -> None:
    assert all(each.multivitamin for each in read(order(text)).medications)
    assert read(order(text)).medications


def test_a_multivitamin_by_its_ingredient_list() -> None:
    names = ("cyanocobalamin", "folic acid", "thiamine", "riboflavin")
    ingredients = [{"itemCodeableConcept": {"text": name}} for name in names]
    product = {"resourceType": "Medication", "id": "b", "ingredient": ingredients}
    entry = resource("MedicationStatement", "m1", status="active", medicationReference={"reference": "Medication/b"})
    assert [each.multivitamin for each in read(entry, product).medications] == [True, True]


@pytest.mark.parametrize(
    "medicine",
    [concept("V03AB33", ATC), concept("700496", RXNORM), concept(text="hydroxocobalamin 5000 MG Injection [Cyanokit]")],
)
def test_a_cyanide_kit_is_an_antidote(medicine: dict) -> None:
    assert medication_of(given() | {"medicationCodeableConcept": medicine}).antidote


def test_an_injection_of_b12_is_none() -> None:
    assert not medication_of(given()).antidote


@pytest.mark.parametrize(
    ("text", "route"),
    [
        ("Vit B12 inj", "injection"),
        ("B12 IM", "injection"),
        ("Vitamin B12 1 mg i.m.", "injection"),
        ("Cyanocobalamin 1 mg amp", "injection"),
        ("Vitamin B12 1000 \u00b5g Ampullen", "injection"),
        ("Cyanocobalamin vials", "injection"),
        ("Cyanocobalamin 50microgram tablets", "oral"),
        ("Cyanocobalamin", ""),
    ],
)
def test_an_injection_is_known_by_the_abbreviation_of_its_form(text: str, route: str) -> None:
    assert medication_of(order(text)).route == route
