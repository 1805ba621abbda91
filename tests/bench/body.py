"""The body that is measured: a call with its prefetch, 256 kB, 211 resources, as a hospital sends it.

1 Patient, 200 Observations (12 blood counts, 8 chemistry panels, vital signs, B12 and MMA over three years) and 10
MedicationStatements. The patient is deficient, so that findings, drafts and cards are all made; the order that is
about B12 lacks its loading doses, so that it is checked and replaced.
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

SIZE = 256_000
RESOURCES = 211
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
PATIENT = "bench"
NO_ENTRIES = (
    "conditions",
    "medicationRequests",
    "administrations",
    "dispenses",
    "orders",
    "procedures",
    "allergies",
    "family",
)

# code, display, unit, UCUM code, value on the first of the days, step from one day to the next
Series = tuple[str, str, str, str, float, float]
BLOOD_COUNT: tuple[Series, ...] = (
    ("718-7", "Hemoglobin [Mass/volume] in Blood", "g/L", "g/L", 108, 1),
    ("787-2", "MCV [Entitic volume] by Automated count", "fL", "fL", 104, -1),
    ("6690-2", "Leukocytes [#/volume] in Blood by Automated count", "10*9/L", "10*9/L", 5.1, 0.1),
    ("751-8", "Neutrophils [#/volume] in Blood by Automated count", "10*9/L", "10*9/L", 2.9, 0.1),
    ("777-3", "Platelets [#/volume] in Blood by Automated count", "10*9/L", "10*9/L", 171, 4),
    ("789-8", "Erythrocytes [#/volume] in Blood by Automated count", "10*12/L", "10*12/L", 3.4, 0.1),
    ("4544-3", "Hematocrit [Volume Fraction] of Blood by Automated count", "%", "%", 34, 0.5),
    ("785-6", "MCH [Entitic mass] by Automated count", "pg", "pg", 33, -0.2),
)
KIDNEY: tuple[Series, ...] = (
    ("14682-9", "Creatinine [Moles/volume] in Serum or Plasma", "umol/L", "umol/L", 84, -1),
    ("62238-1", "GFR/1.73 sq M.predicted [Volume Rate/Area] CKD-EPI", "mL/min/1.73 m2", "mL/min/{1.73_m2}", 71, 1),
    ("2823-3", "Potassium [Moles/volume] in Serum or Plasma", "mmol/L", "mmol/L", 4.1, 0.1),
    ("2951-2", "Sodium [Moles/volume] in Serum or Plasma", "mmol/L", "mmol/L", 139, 0.2),
    ("22664-7", "Urea [Moles/volume] in Serum or Plasma", "mmol/L", "mmol/L", 6.1, 0.1),
    ("14749-6", "Glucose [Moles/volume] in Serum or Plasma", "mmol/L", "mmol/L", 8.3, -0.1),
    ("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "%", "%", 7.4, -0.1),
)
HAEMATINICS: tuple[Series, ...] = (
    ("20567-4", "Ferritin [Mass/volume] in Serum or Plasma by Immunoassay", "ug/L", "ug/L", 96, 3),
    ("2284-8", "Folate [Mass/volume] in Serum or Plasma", "ug/L", "ug/L", 8.4, 0.2),
)
VITALS: tuple[Series, ...] = (
    ("8480-6", "Systolic blood pressure", "mmHg", "mm[Hg]", 138, -1),
    ("8867-4", "Heart rate", "/min", "/min", 76, 1),
    ("29463-7", "Body weight", "kg", "kg", 81.4, 0.4),
    ("8310-5", "Body temperature", "Cel", "Cel", 36.7, 0.1),
)
B12: tuple[Series, ...] = (
    ("2132-9", "Cobalamin (Vitamin B12) [Mass/volume] in Serum or Plasma", "ng/L", "ng/L", 148, 45),
)
MMA: tuple[Series, ...] = (
    ("13964-2", "Methylmalonate [Moles/volume] in Serum or Plasma", "nmol/L", "nmol/L", 612, -120),
)
MEDICINES = (
    ("860975", "24 HR metformin hydrochloride 500 MG Extended Release Oral Tablet"),
    ("402014", "omeprazole 20 MG Delayed Release Oral Capsule"),
    ("617310", "atorvastatin 20 MG Oral Tablet"),
    ("197361", "amlodipine 5 MG Oral Tablet"),
    ("261962", "ramipril 10 MG Oral Capsule"),
    ("243670", "aspirin 81 MG Oral Tablet"),
    ("313782", "acetaminophen 325 MG Oral Tablet"),
    ("966222", "levothyroxine sodium 0.05 MG Oral Tablet"),
    ("745679", "200 ACTUAT albuterol 0.09 MG/ACTUAT Metered Dose Inhaler"),
    ("310429", "furosemide 20 MG Oral Tablet"),
)


ORDERS = {  # what is measured -> the medicine that is ordered in it
    "patient-view": "",
    "order-select": "Hydroxocobalamin 1 mg/1 ml solution for injection",
    "irrelevant-order": "Amoxicillin 500 mg capsules",
}


def request_body(today: date, call: str = "patient-view", size: int = SIZE) -> bytes:
    """The hook request, padded to `size` bytes with the narratives that real resources carry."""
    share = (size - len(json.dumps(hook_request(today, "", ORDERS[call])))) // RESOURCES
    words = "Result as reported by the laboratory and checked by the duty biochemist. " * 20
    return json.dumps(hook_request(today, words[:share], ORDERS[call])).encode().ljust(size)


def hook_request(today: date, narrative: str, ordered: str = "") -> dict[str, Any]:
    prefetch = {
        "patient": patient(narrative),
        "b12": bundle(observations(B12, 5, 180, today, narrative) + observations(MMA, 3, 300, today, narrative)),
        "bloodCount": bundle(observations(BLOOD_COUNT, 12, 90, today, narrative)),
        "chemistry": bundle(
            observations(KIDNEY, 8, 120, today, narrative) + observations(HAEMATINICS, 4, 240, today, narrative)
        ),
        "status": bundle(observations(VITALS, 8, 120, today, narrative)),
        "medications": bundle([statement(n, today, narrative) for n in range(len(MEDICINES))]),
    }
    return {
        "hook": "order-select" if ordered else "patient-view",
        "hookInstance": "0b0e7f0a-6a3c-4b52-9a70-3e1f6f6f6b12",
        "context": {"userId": "Practitioner/bench", "patientId": PATIENT} | (orders(ordered) if ordered else {}),
        "prefetch": prefetch | {key: bundle([]) for key in NO_ENTRIES},
    }


def orders(medicine: str) -> dict[str, Any]:
    """One selected draft: every 2 months, by injection."""
    draft = resource("MedicationRequest", "draft-1", "") | {
        "status": "draft",
        "intent": "order",
        "medicationCodeableConcept": {"text": medicine},
        "subject": {"reference": f"Patient/{PATIENT}"},
        "dosageInstruction": [{
            "timing": {"repeat": {"frequency": 1, "period": 2, "periodUnit": "mo"}},
            "doseAndRate": [{"doseQuantity": {"value": 1, "unit": "mg"}}],
        }],
    }  # fmt: skip
    return {
        "selections": ["MedicationRequest/draft-1"],
        "draftOrders": {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": draft}]},
    }


def bundle(resources: list[dict[str, Any]]) -> dict[str, Any]:
    found = {"search": {"mode": "match"}}
    entries = [{"fullUrl": f"urn:bench:{each['id']}", "resource": each} | found for each in resources]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}


def resource(kind: str, name: str, narrative: str) -> dict[str, Any]:
    text = {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{narrative}</div>'}
    meta = {"versionId": "1", "lastUpdated": "2026-01-05T09:30:00.000+00:00"}
    return {"resourceType": kind, "id": name, "meta": meta, "text": text}


def patient(narrative: str) -> dict[str, Any]:
    return resource("Patient", PATIENT, narrative) | {"gender": "female", "birthDate": "1961-04-12", "active": True}


def observations(
    series: tuple[Series, ...], count: int, apart: int, today: date, narrative: str
) -> list[dict[str, Any]]:
    """The series on `count` days, the newest first, ten days ago and then every `apart` days before."""
    days = [(n, today - timedelta(days=10 + n * apart)) for n in range(count)]
    return [observation(each, n, day, narrative) for n, day in days for each in series]


def observation(series: Series, n: int, day: date, narrative: str) -> dict[str, Any]:
    code, display, unit, ucum, newest, step = series
    value = round(newest + n * step, 1)
    moment = f"{day.isoformat()}T08:15:00+00:00"
    return resource("Observation", f"{code}-{n}", narrative) | {
        "status": "final",
        "category": [
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}
        ],
        "code": {"coding": [{"system": LOINC, "code": code, "display": display}], "text": display},
        "subject": {"reference": f"Patient/{PATIENT}"},
        "effectiveDateTime": moment,
        "issued": moment,
        "valueQuantity": {"value": value, "unit": unit, "system": UCUM, "code": ucum},
        "referenceRange": [{"low": {"value": round(newest / 2, 1), "unit": unit}, "text": "see laboratory handbook"}],
    }


def statement(n: int, today: date, narrative: str) -> dict[str, Any]:
    code, display = MEDICINES[n]
    rxnorm = {"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": code, "display": display}
    return resource("MedicationStatement", f"medicine-{n}", narrative) | {
        "status": "active",
        "medicationCodeableConcept": {"coding": [rxnorm], "text": display},
        "subject": {"reference": f"Patient/{PATIENT}"},
        "effectivePeriod": {"start": (today - timedelta(days=500 + 40 * n)).isoformat()},
        "dateAsserted": (today - timedelta(days=30)).isoformat(),
        "dosage": [{"text": "1 daily", "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}}],
    }
