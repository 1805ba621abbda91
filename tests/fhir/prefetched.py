"""What a client may send as prefetch, and what is gathered from it alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from cds_service.fhir.gather import Gathered, gather

TEMPLATES = {
    "patient": "Patient/{{context.patientId}}",
    "b12": "Observation?patient={{context.patientId}}&code=2132-9,14685-2&_sort=-date&_count=50",
    "bloodCount": "Observation?patient={{context.patientId}}&code=787-2,718-7&_sort=-date",
    "conditions": "Condition?patient={{context.patientId}}",
    "medications": "MedicationStatement?patient={{context.patientId}}",
    "medicationRequests": "MedicationRequest?patient={{context.patientId}}",
}
PATIENT = {"resourceType": "Patient", "id": "pt-1"}
SELF = "https://ehr.example.org/fhir/Observation?"


def given(prefetch: Mapping[str, Any], templates: Mapping[str, str] = TEMPLATES) -> Gathered:
    """Gathered from this prefetch alone."""
    raw = msgspec.json.decode(json.dumps(prefetch).encode(), type=dict[str, msgspec.Raw])
    return gather(raw, templates, {"patientId": "pt-1", "userId": "Practitioner/p"})


def b12(number: int = 1, code: str = "2132-9", **fields: Any) -> dict[str, Any]:
    coding = [{"system": "http://loinc.org", "code": code}]
    return {"resourceType": "Observation", "id": f"o{number}", "status": "final", "code": {"coding": coding}, **fields}


def bundle(*resources: Any, links: Mapping[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    entries = [each if "resource" in each else {"resource": each} for each in resources]
    link = [{"relation": relation, "url": url} for relation, url in (links or {}).items()]
    return {"resourceType": "Bundle", "entry": entries, "link": link, **fields}


def outcome(severity: str, code: str = "processing", text: str = "", epic: str = "") -> dict[str, Any]:
    details = {"text": text, "coding": [{"system": "urn:oid:1.2.840.114350.1.13.0.1.7.2.657369", "code": epic}]}
    return {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": code, "details": details}]}


def remark(resource: dict[str, Any]) -> dict[str, Any]:
    return {"resource": resource, "search": {"mode": "outcome"}}


def state(value: Any, key: str = "b12") -> str:
    return given({"patient": PATIENT, key: value}).states[key].state
