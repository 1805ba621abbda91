"""Short ways to write FHIR resources, and to read them as the service does: as JSON, through gather, with our cards."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, tzinfo
from functools import cache
from typing import Any

import msgspec

from cds_service.clinical.record import LabResult, Medication, PatientRecord, Problem
from cds_service.content.content import Content, load_content
from cds_service.content.files import cards_folder
from cds_service.fhir.gather import gather
from cds_service.fhir.reader import read_record
from cds_service.fhir.reading import ReadFor

TODAY = date(2026, 1, 15)
LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
UCUM = "http://unitsofmeasure.org"
PATIENT = "p1"
B12 = "2132-9"
METFORMIN, HYDROXO = "Metformin 500mg tablets", "Hydroxocobalamin 1mg/1ml solution for injection ampoules"

Json = dict[str, Any]


@cache
def content() -> Content:
    """Our content, loaded once."""
    return load_content(cards_folder())


def read(
    *resources: Json, today: date = TODAY, zone: tzinfo = UTC, site_limits: tuple[str, ...] = (), patient: str = PATIENT
) -> PatientRecord:
    """What the service reads of these resources, sent in one Bundle."""
    entries = [{"resource": each} if "resourceType" in each else each for each in resources]
    bundle = json.dumps({"resourceType": "Bundle", "entry": entries}).encode()
    gathered = gather({"all": msgspec.Raw(bundle)}, {}, {"patientId": patient})
    pathway = replace(content().pathways["uk-ng239"], site_limits=frozenset(site_limits))
    return read_record(gathered, ReadFor(patient, content(), pathway, today, zone))


def lab_of(*resources: Json, **how: Any) -> LabResult:
    """The one laboratory result among them."""
    (lab,) = read(*resources, **how).labs
    return lab


def problem_of(*resources: Json, **how: Any) -> Problem:
    """The one problem among them."""
    (problem,) = read(*resources, **how).problems
    return problem


def medication_of(*resources: Json, **how: Any) -> Medication:
    """The one medication among them."""
    (medication,) = read(*resources, **how).medications
    return medication


def reasons(*resources: Json, **how: Any) -> dict[str, str]:
    """What was not used, by reference."""
    return {each.reference: each.reason for each in read(*resources, **how).ignored}


def concept(code: str = "", system: str = LOINC, text: str = "", display: str = "") -> Json:
    """A CodeableConcept."""
    coding = {"system": system, "code": code} | ({"display": display} if display else {})
    return ({"coding": [coding]} if code else {}) | ({"text": text} if text else {})


def quantity(value: Any, unit: str = "ng/L", code: str = "", **more: Any) -> Json:
    """A Quantity; without `code` its unit is in words only."""
    return {"value": value, "unit": unit} | ({"system": UCUM, "code": code} if code else {}) | more


def resource(kind: str, name: str, **fields: Any) -> Json:
    """A resource of the patient. Fields that are None are left out; a final underscore is dropped."""
    subject = "patient" if kind in ("AllergyIntolerance", "FamilyMemberHistory") else "subject"
    found = {"resourceType": kind, "id": name, subject: {"reference": f"Patient/{PATIENT}"}}
    found |= {key.rstrip("_"): value for key, value in fields.items()}
    return {key: value for key, value in found.items() if value is not None}


def observation(code: Json | str = B12, value: Any = 150, name: str = "o1", **fields: Any) -> Json:
    """A final Observation of ten January. `value` is a number in ng/L, a Quantity, or None."""
    if value is not None:
        fields.setdefault("valueQuantity", value if isinstance(value, dict) else quantity(value))
    fields.setdefault("effectiveDateTime", "2026-01-10")
    fields.setdefault("status", "final")
    return resource("Observation", name, code=concept(code) if isinstance(code, str) else code, **fields)


def condition(code: Json | str, name: str = "c1", **fields: Any) -> Json:
    """A Condition, by SNOMED CT code."""
    return resource("Condition", name, code=concept(code, SNOMED) if isinstance(code, str) else code, **fields)


def order(medicine: Json | str, name: str = "m1", **fields: Any) -> Json:
    """An active MedicationRequest, by the name of the medicine."""
    defaults = {"status": "active", "intent": "order", "authoredOn": "2026-01-01"}
    named = concept(text=medicine) if isinstance(medicine, str) else medicine
    return resource("MedicationRequest", name, medicationCodeableConcept=named, **(defaults | fields))


def statement(medicine: Json | str, name: str = "m1", **fields: Any) -> Json:
    """An active MedicationStatement, by the name of the medicine."""
    named = concept(text=medicine) if isinstance(medicine, str) else medicine
    return resource("MedicationStatement", name, medicationCodeableConcept=named, **({"status": "active"} | fields))


def given(medicine: str = HYDROXO, **fields: Any) -> Json:
    """A dose given: a completed MedicationAdministration."""
    defaults = {"status": "completed", "effectiveDateTime": "2025-12-01"}
    named = concept(text=medicine)
    return resource("MedicationAdministration", "m1", medicationCodeableConcept=named, **(defaults | fields))


def dispensed(medicine: str = METFORMIN, **fields: Any) -> Json:
    """A supply handed over: a completed MedicationDispense."""
    defaults = {"status": "completed", "whenHandedOver": "2025-12-20"}
    named = concept(text=medicine)
    return resource("MedicationDispense", "m1", medicationCodeableConcept=named, **(defaults | fields))
