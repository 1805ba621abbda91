"""A medicine that is only a reference is looked up on a real server on this machine (items 54a, 62 to 70)."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.fhir.loopback import after, fhir, never, status
from tests.fhir.small_ehr import (
    ALL_WELL,
    ERROR,
    QUERIES,
    bundle,
    gathered,
    states,
)


def medication_request(number: int, **named: str) -> dict[str, Any]:
    contained = [{"resourceType": "Medication", "id": f"m{number}"}]
    named_by = {"medicationReference": named, "contained": contained}
    return {"resourceType": "MedicationRequest", "id": f"r{number}", **named_by}


def test_a_medicine_that_is_only_a_reference_is_looked_up(server, fetch):
    requests = [
        medication_request(1, reference="Medication/m1"),
        medication_request(2, reference="Medication/m1/_history/4"),
        medication_request(3, reference=f"{server.base}/Medication/m3"),
        medication_request(4, reference="Medication/m4", display="hydroxocobalamin"),
        medication_request(5, reference="#m5"),
    ]
    server.answers[QUERIES["medicationRequests"]] = fhir(bundle(*requests))
    for name in ("m1", "m3"):
        server.answers[f"/fhir/Medication/{name}"] = fhir({"resourceType": "Medication", "id": name})
    found = gathered(fetch)
    assert found.states["medicationRequests"].state == "data"
    assert sorted(path for path in server.paths if "Medication/" in path) == [
        "/fhir/Medication/m1",
        "/fhir/Medication/m3",
    ]
    for reference in ("Medication/m1", "Medication/m1/_history/4", f"{server.base}/Medication/m3"):
        assert found.find(reference) is not None
    assert all(resource.resource_type != "Medication" for resource in found.resources)


@pytest.mark.parametrize("sent", [True, False])
def test_at_most_twenty_medicines_are_looked_up_side_by_side(server, fetch, sent):
    requests = bundle(*(medication_request(number, reference=f"Medication/m{number}") for number in range(30)))
    for number in range(30):
        medication = {"resourceType": "Medication", "id": f"m{number}"}
        server.answers[f"/fhir/Medication/m{number}"] = after(0.1, fhir(medication))
    server.answers[QUERIES["medicationRequests"]] = fhir(requests)
    started = time.monotonic()
    found = gathered(fetch, {"medicationRequests": requests} if sent else {})
    assert time.monotonic() - started < 1.5
    assert len([path for path in server.paths if "Medication/" in path]) == 20
    assert found.states["medicationRequests"].state == "incomplete"


@pytest.mark.parametrize(
    "reference", ["https://other.example/fhir/Medication/m1", "urn:uuid:1", "Medication/../Patient", "Substance/s1"]
)
def test_a_medicine_elsewhere_is_not_looked_up(server, fetch, reference):
    server.answers[QUERIES["medicationRequests"]] = fhir(bundle(medication_request(1, reference=reference)))
    assert states(gathered(fetch))["medicationRequests"] == "incomplete"
    assert len(server.requests) == 4


@pytest.mark.parametrize("answer", [status(404), fhir(ERROR), never])
def test_a_medicine_that_cannot_be_had_leaves_its_key_incomplete(server, fetch, answer):
    server.answers[QUERIES["medicationRequests"]] = fhir(bundle(medication_request(1, reference="Medication/m1")))
    server.answers["/fhir/Medication/m1"] = answer
    assert states(gathered(fetch, seconds=0.6, optional=0.5)) == ALL_WELL | {"medicationRequests": "incomplete"}
