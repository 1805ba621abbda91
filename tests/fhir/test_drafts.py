"""The drafts that cards suggest: valid FHIR R4, complete, one dosage per phase, and ours alone."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from fhir.resources.R4B.medicationrequest import MedicationRequest
from fhir.resources.R4B.servicerequest import ServiceRequest

from cds_service.clinical.tables import Pathway
from cds_service.content.content import Content, load_content
from cds_service.content.faults import ContentError
from cds_service.content.files import cards_folder
from cds_service.fhir.drafts import Drafts, binding_faults, build_drafts
from tests.cards.small_content import SmallContent

TODAY = date(2026, 1, 15)
UCUM = "http://unitsofmeasure.org"


@pytest.fixture
def content(tmp_path: Path) -> Content:
    return SmallContent(tmp_path / "cards", tmp_path / "site").load()


@pytest.fixture
def pathway(content: Content) -> Pathway:
    return content.pathways["uk-small"]


@pytest.fixture
def drafts(content: Content, pathway: Pathway) -> Drafts:
    return build_drafts(content, pathway)


def test_a_test_is_a_draft_proposal_for_this_patient(drafts: Drafts):
    assert drafts.test("b12-total", "Patient/p1", "draft-1", TODAY) == {
        "resourceType": "ServiceRequest",
        "id": "draft-1",
        "status": "draft",
        "intent": "proposal",
        "code": {
            "coding": [{"system": "http://loinc.org", "code": "2132-9", "display": "Cobalamin in Serum"}],
            "text": "Vitamin B12, serum",
        },
        "subject": {"reference": "Patient/p1"},
        "authoredOn": "2026-01-15",
    }


def test_a_test_without_a_verified_code_is_text_alone(drafts: Drafts):
    assert drafts.test("h-pylori", "Patient/p1", "d", TODAY)["code"] == {"text": "Helicobacter pylori test"}


def test_a_regimen_is_one_dosage_per_phase_in_sequence(drafts: Drafts):
    draft = drafts.medicine("im", "Patient/p1", "draft-2", TODAY)
    assert draft["status"] == "draft"
    assert draft["intent"] == "proposal"
    assert draft["medicationCodeableConcept"]["text"] == "Hydroxocobalamin 1 mg injection"
    loading, maintenance = draft["dosageInstruction"]
    assert loading == {
        "sequence": 1,
        "text": "1 mg into a muscle three times a week for 2 weeks",
        "timing": {
            "repeat": {
                "boundsDuration": {"value": 2, "unit": "week", "system": UCUM, "code": "wk"},
                "count": 6,
                "frequency": 3,
                "period": 1,
                "periodUnit": "wk",
            }
        },
        "route": {
            "coding": [{"system": "http://snomed.info/sct", "code": "78421000", "display": "Intramuscular route"}]
        },
        "doseAndRate": [{"doseQuantity": {"value": 1, "unit": "mg", "system": UCUM, "code": "mg"}}],
    }
    assert maintenance["sequence"] == 2
    assert maintenance["timing"]["repeat"] == {"frequency": 1, "period": 3, "periodUnit": "mo"}


def test_of_a_range_one_value_is_drafted_and_the_range_stays_in_the_words(drafts: Drafts):
    dosage = drafts.medicine("oral", "Patient/p1", "d", TODAY)["dosageInstruction"][0]
    one = {"value": 100, "unit": "microgram", "system": UCUM, "code": "ug"}
    assert dosage["doseAndRate"] == [{"doseQuantity": one}]
    assert dosage["text"].startswith("50 to 150 micrograms")


@pytest.mark.parametrize("pathway", ["uk-ng239", "us-aafp"])
def test_every_draft_has_one_dose_and_interval_and_every_phase_but_the_last_has_bounds(pathway: str):
    shipped = load_content(cards_folder())
    drafts = build_drafts(shipped, shipped.pathways[pathway])
    for name in shipped.pathways[pathway].regimens:
        phases = drafts.medicine(name, "Patient/p1", "d", TODAY)["dosageInstruction"]
        assert [each["sequence"] for each in phases] == list(range(1, len(phases) + 1))
        for each in phases:
            repeat = each["timing"]["repeat"]
            assert each["doseAndRate"][0].keys() == {"doseQuantity"}
            assert {"period", "periodUnit", "frequency"} <= repeat.keys()
            assert not {"periodMax", "frequencyMax", "countMax"} & repeat.keys()
        assert all({"boundsDuration", "boundsRange"} & each["timing"]["repeat"].keys() for each in phases[:-1]), name


def test_a_phase_whose_length_is_a_range_has_a_range_of_bounds():
    shipped = load_content(cards_folder())
    drafts = build_drafts(shipped, shipped.pathways["us-aafp"])
    weekly = drafts.medicine("cyanocobalamin-im", "Patient/p1", "d", TODAY)["dosageInstruction"][1]["timing"]["repeat"]
    assert (weekly["boundsRange"]["low"]["value"], weekly["boundsRange"]["high"]["value"]) == (4, 8)


def test_a_fraction_stays_a_number(content: Content, pathway: Pathway):
    regimen = pathway.regimens["oral"]
    first = replace(regimen.phases[0], dose=Decimal("0.5"), dose_high=None, dose_unit="mg", drafted_dose=None)
    half = replace(regimen, phases=(first,))
    drafts = build_drafts(content, replace(pathway, regimens={"oral": half}))
    dosage = drafts.medicine("oral", "Patient/p1", "d", TODAY)["dosageInstruction"][0]
    assert json.dumps(dosage["doseAndRate"][0]["doseQuantity"]["value"]) == "0.5"


def test_no_draft_is_taken_as_needed(drafts: Drafts):
    assert "asNeeded" not in json.dumps(drafts.medicine("im", "Patient/p1", "d", TODAY))


def test_filling_in_one_patient_leaves_no_trace_for_the_next(drafts: Drafts):
    first = drafts.medicine("im", "Patient/p1", "d1", TODAY)
    kept = copy.deepcopy(first)
    second = drafts.medicine("im", "Patient/p2", "d2", date(2026, 1, 16))
    assert first == kept
    assert "p1" not in json.dumps(second)


def test_what_is_not_valid_fhir_is_a_fault_of_the_content(content: Content, pathway: Pathway):
    regimen = pathway.regimens["oral"]
    broken = replace(regimen, phases=(replace(regimen.phases[0], frequency=0),))
    with pytest.raises(ContentError, match=r'uk-small/regimens.toml regimen "oral": not a valid MedicationRequest'):
        build_drafts(content, replace(pathway, regimens={"oral": broken}))


def test_a_unit_of_time_that_fhir_does_not_have_is_a_fault(content: Content, pathway: Pathway):
    regimen = pathway.regimens["oral"]
    broken = replace(regimen, phases=(replace(regimen.phases[0], period_unit="week"),))
    with pytest.raises(ContentError, match="periodUnit 'week' is not in the required value set"):
        build_drafts(content, replace(pathway, regimens={"oral": broken}))


def test_a_route_without_a_code_is_a_fault(content: Content, pathway: Pathway):
    without = replace(content, route_codings={})
    with pytest.raises(ContentError, match="no coding for the route im"):
        build_drafts(without, pathway)


@pytest.mark.parametrize(("name", "value"), [("status", "Draft"), ("intent", "suggestion")])
def test_codes_with_a_required_binding_are_checked_against_our_own_lists(drafts: Drafts, name: str, value: str):
    draft = drafts.test("b12-total", "Patient/p1", "d", TODAY)
    assert binding_faults(draft) == []
    assert binding_faults(draft | {name: value}) == [f"{name} {value!r} is not in the required value set"]


def test_every_draft_of_the_shipped_content_is_valid():
    content = load_content(cards_folder())
    for pathway in content.pathways.values():
        drafts = build_drafts(content, pathway)
        for name in pathway.orderables:
            draft = drafts.test(name, "Patient/p1", "d", TODAY)
            ServiceRequest.model_validate(draft)
            assert binding_faults(draft) == []
        for name, regimen in pathway.regimens.items():
            draft = drafts.medicine(name, "Patient/p1", "d", TODAY)
            MedicationRequest.model_validate(draft)
            assert binding_faults(draft) == []
            assert len(draft["dosageInstruction"]) == len(regimen.phases)
