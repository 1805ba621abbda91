"""The whole service in this process: real content, real pipeline, its own clock, called as a client on this machine."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from typing import Any

from flask import Flask
from werkzeug.test import Client, TestResponse

from cds_service.app import create_app
from cds_service.settings import Settings
from tests.fhir import loopback
from tests.hooks.calling import ENVIRON, PATH, outcome

TODAY = datetime(2026, 1, 15, 12, tzinfo=UTC)
PATIENT = {"resourceType": "Patient", "id": "pt-1", "gender": "female", "birthDate": "1951-03-09"}
B12_KEYS = ("bloodCount", "chemistry", "status", "conditions", "medications", "medicationRequests", "administrations",
            "dispenses", "orders", "procedures", "allergies", "family")  # fmt: skip

FAULT = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout", "diagnostics": "x"}]}


@cache
def app(prefetch: str = "full") -> Flask:
    """It keeps nothing, so there is nothing to be ended: one for all tests."""
    return create_app(Settings(demo=True, prefetch=prefetch, store_url="none"), clock=lambda: TODAY)


def get(path: str) -> TestResponse:
    return Client(app()).get(path, environ_overrides=ENVIRON)


def post(request: Any, prefetch: str = "full", path: str = PATH, **environ: str) -> TestResponse:
    """A call of the service; the answer of an app with another prefetch set where that is said."""
    data = request if isinstance(request, bytes) else json.dumps(request).encode()
    return Client(app(prefetch)).post(
        path, data=data, content_type="application/json", environ_overrides={**ENVIRON, **environ}
    )


def observation(code: str, value: float, unit: str, **changed: Any) -> dict[str, Any]:
    """A final laboratory result of five days ago."""
    found = {
        "resourceType": "Observation",
        "id": f"obs-{code}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": "Patient/pt-1"},
        "effectiveDateTime": "2026-01-10",
        "valueQuantity": {"value": value, "unit": unit},
    }
    return {name: told for name, told in {**found, **changed}.items() if told is not ...}


def b12(value: float = 120, **changed: Any) -> dict[str, Any]:
    """Total B12 in ng/L; 120 meets the threshold for deficiency."""
    return observation("2132-9", value, "ng/L", **changed)


def problem(code: str = "91019004", **changed: Any) -> dict[str, Any]:
    """An active Condition of last month; paraesthesia unless said otherwise."""
    found = {
        "resourceType": "Condition",
        "id": f"con-{code}",
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": code}]},
        "subject": {"reference": "Patient/pt-1"},
        "recordedDate": "2025-12-16",
    }
    return {**found, **changed}


def bundle(*resources: dict[str, Any], **changed: Any) -> dict[str, Any]:
    entries = [{"resource": each, "search": {"mode": "match"}} for each in resources]
    found = {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}
    return {name: told for name, told in {**found, **changed}.items() if told is not ...}


def prefetch(**changed: Any) -> dict[str, Any]:
    """Every key: the patient, one deficient B12, and nothing else found. A key given as ... is left out."""
    sent = {"patient": PATIENT, "b12": bundle(b12()), **{key: bundle() for key in B12_KEYS}}
    return {name: told for name, told in {**sent, **changed}.items() if told is not ...}


def summaries(response: TestResponse) -> list[str]:
    assert response.status_code == 200, response.text
    return [card["summary"] for card in response.json["cards"]]


def says_deficient(response: TestResponse) -> bool:
    return any("meets the NICE threshold for deficiency" in summary for summary in summaries(response))


def medicines(response: TestResponse) -> list[str]:
    """What medicine is suggested."""
    assert response.status_code == 200, response.text
    return [
        action["resource"]["medicationCodeableConcept"]["text"]
        for card in response.json["cards"]
        for each in card.get("suggestions", [])
        for action in each["actions"]
        if action["resource"]["resourceType"] == "MedicationRequest"
    ]


def missing(response: TestResponse) -> list[str]:
    """The keys that a 412 names."""
    assert response.status_code == 412, response.text
    return [issue["details"]["text"].partition(":")[0] for issue in outcome(response)]


SEARCHED = ("Condition", "MedicationStatement", "MedicationRequest", "MedicationAdministration", "MedicationDispense",
            "ServiceRequest", "Procedure", "AllergyIntolerance", "FamilyMemberHistory")  # fmt: skip


def fhir_server(**changed: loopback.Answer) -> dict[str, loopback.Answer]:
    """What a FHIR server has of the patient, by path: one deficient B12 and nothing else."""
    paths = {"Patient/pt-1": PATIENT, "Observation": bundle(b12()), **dict.fromkeys(SEARCHED, bundle())}
    answers = {path: loopback.fhir(value) for path, value in paths.items()}
    return {f"/fhir/{path}": answer for path, answer in (answers | changed).items()}
