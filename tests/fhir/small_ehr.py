"""A FHIR server on this machine with one patient and one B12 result, and what is gathered from it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from cds_service.fetching import Fetch
from cds_service.fhir.gather import Fetching, Gathered, gather
from tests.endings import SOON
from tests.fhir.loopback import fhir

TEMPLATES = {
    "conditions": "Condition?patient={{context.patientId}}",
    "medicationRequests": "MedicationRequest?patient={{context.patientId}}",
    "patient": "Patient/{{context.patientId}}",
    "b12": "Observation?patient={{context.patientId}}&code=2132-9,14685-2&_sort=-date&_count=50",
}
QUERIES = {
    "conditions": "/fhir/Condition",
    "medicationRequests": "/fhir/MedicationRequest",
    "patient": "/fhir/Patient/pt-1",
    "b12": "/fhir/Observation",
}
PATIENT = {"resourceType": "Patient", "id": "pt-1"}
ERROR = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]}


def b12(number: int) -> dict[str, Any]:
    coding = [{"system": "http://loinc.org", "code": "2132-9"}]
    return {"resourceType": "Observation", "id": f"o{number}", "status": "final", "code": {"coding": coding}}


def bundle(*resources: Any, following: str = "", **fields: Any) -> dict[str, Any]:
    links = [{"relation": "next", "url": following}] if following else []
    return {"resourceType": "Bundle", "entry": [{"resource": each} for each in resources], "link": links, **fields}


ANSWERS = {
    QUERIES["patient"]: fhir(PATIENT),
    QUERIES["b12"]: fhir(bundle(b12(1))),
    QUERIES["conditions"]: fhir(bundle()),
    QUERIES["medicationRequests"]: fhir(bundle()),
}


def gathered(
    fetch: Fetch | None,
    prefetch: Mapping[str, Any] | None = None,
    seconds: float = SOON,
    optional: float = SOON,
    patient_id: str = "pt-1",
    base: str = "",
) -> Gathered:
    raw = msgspec.json.decode(json.dumps(prefetch or {}).encode(), type=dict[str, msgspec.Raw])
    now = time.monotonic()
    fetching = None if fetch is None else Fetching(fetch, now + seconds, now + optional, base)
    return gather(raw, TEMPLATES, {"patientId": patient_id}, fetching)


def states(found: Gathered) -> dict[str, str]:
    return {key: found.states[key].state for key in TEMPLATES}


ALL_WELL = {"conditions": "empty", "medicationRequests": "empty", "patient": "data", "b12": "data"}
