"""Where the data came from does not matter: prefetch, FHIR server, or a part from each give the same answer."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from cds_service.fhir.gather import Fetching, gather
from cds_service.http.addresses import Policy
from cds_service.http.client import HttpClient
from tests import golden
from tests.contract.calling import SECONDS, Answer, Service, serving
from tests.contract.hapi import Hapi
from tests.hooks.processes import run

pytestmark = pytest.mark.needs("java", "maven")
PATIENTS = golden.patients()


def called(service: Service, patient: str, keys: set[str]) -> Answer:
    """The golden request, of whose prefetch only these keys are sent."""
    sent: dict[str, Any] = msgspec.json.decode(golden.Pair(patient).request.read_bytes(), type=dict[str, msgspec.Raw])
    prefetch = msgspec.json.decode(sent["prefetch"], type=dict[str, msgspec.Raw])
    sent["prefetch"] = {key: raw for key, raw in prefetch.items() if key in keys}
    return service.post(msgspec.json.encode(sent | {"fhirServer": service.fhir}))


def keys_of(patient: str) -> list[str]:
    return list(golden.decoded(patient)["prefetch"])


def halves(patient: str) -> tuple[set[str], set[str]]:
    """Every second key, and the others."""
    keys = keys_of(patient)
    return set(keys[::2]), set(keys[1::2])


def expected(patient: str) -> bytes:
    return golden.Pair(patient).response.read_bytes()


@pytest.mark.parametrize("patient", PATIENTS)
def test_without_any_prefetch_the_answer_is_the_golden_one(service, patient):
    assert golden.indented(called(service, patient, set()).body).decode() == expected(patient).decode()


@pytest.mark.parametrize("patient", PATIENTS)
@pytest.mark.parametrize("half", [0, 1], ids=["even", "odd"])
def test_with_half_of_the_prefetch_the_answer_is_the_golden_one(service, patient, half):
    answer = called(service, patient, halves(patient)[half])
    assert golden.indented(answer.body).decode() == expected(patient).decode()


@pytest.mark.parametrize("patient", PATIENTS)
def test_with_the_whole_prefetch_the_server_is_not_needed(server: Hapi, service, patient):
    with server.halted():
        answer = called(service, patient, set(keys_of(patient)))
    assert golden.indented(answer.body).decode() == expected(patient).decode()


def test_many_clients_at_once_get_what_one_gets(service):
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda patient: called(service, patient, set()), PATIENTS))
    print("seconds:", sorted(round(answer.seconds, 2) for answer in answers))
    for patient, answer in zip(PATIENTS, answers, strict=True):
        assert golden.indented(answer.body).decode() == expected(patient).decode()


def test_the_minimal_set_gives_the_same_from_the_server_as_from_prefetch(server: Hapi):
    with serving(server.base, prefetch="minimal") as minimal:
        for patient in PATIENTS:
            keys = {"patient", "b12", "bloodCount", "conditions", "medicationRequests"}
            assert called(minimal, patient, set()).body == called(minimal, patient, keys).body, patient


@pytest.mark.parametrize("patient", ["neuro-metformin", "on-injections"])
def test_explain_reads_the_same_from_the_server(server: Hapi, tmp_path, patient):
    sent = golden.decoded(patient) | {"fhirServer": server.base, "prefetch": {}}
    request = tmp_path / "request.json"
    request.write_bytes(msgspec.json.encode(sent))
    done = run("explain", str(request), "--as-of", golden.DAY.isoformat(), "--fetch", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    told = msgspec.json.decode(done.stdout)
    assert told["cards"] == msgspec.json.decode(expected(patient))["cards"]
    assert (told["asOf"], told["unavailable"]) == ("2026-01-15", [])


def test_medications_that_are_only_referred_to_are_read_together(server: Hapi):
    """Sixty of them on a server whose largest page has fifty: two searches, and nothing is missing."""
    who, resources = "refers-to-many", []
    resources.append({"resourceType": "Patient", "id": who, "gender": "female", "birthDate": "1960-01-01"})
    for number in range(60):
        resources.append({"resourceType": "Medication", "id": f"many-{number}", "code": {"text": f"medicine {number}"}})
        resources.append({
            "resourceType": "MedicationRequest", "id": f"refers-{number}", "status": "active", "intent": "order",
            "subject": {"reference": f"Patient/{who}"},
            "medicationReference": {"reference": f"Medication/many-{number}"},
        })  # fmt: skip
    server.load(resources)
    asked: list[str] = []
    outgoing = HttpClient(Policy(demo=True))
    try:
        fetch, _ = outgoing.fetch_for(server.base)
        assert fetch is not None

        def noted(target: str, deadline: float) -> bytes:
            asked.append(target)
            return fetch(target, deadline)

        late = time.monotonic() + SECONDS
        templates = {"medicationRequests": "MedicationRequest?patient={{context.patientId}}&_count=50"}
        found = gather({}, templates, {"patientId": who}, Fetching(noted, late, late, server.base))
    finally:
        outgoing.close()
    assert found.states["medicationRequests"].state == "data"
    assert len([each for each in asked if each.startswith("Medication?")]) == 2
    assert not [each for each in asked if each.startswith("Medication/")]
