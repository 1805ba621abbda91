"""A medicine that is only a reference is looked up on a real server on this machine (items 54a, 62 to 70)."""

from __future__ import annotations

from typing import Any

import pytest

from cds_service.fhir.fetch import READS, SEARCHES
from tests.fhir.loopback import Server, after, body, by_id, fhir, never, status
from tests.fhir.small_ehr import (
    ALL_WELL,
    ERROR,
    PATIENT,
    QUERIES,
    bundle,
    gathered,
    states,
)


def medication_request(number: int, **named: str) -> dict[str, Any]:
    contained = [{"resourceType": "Medication", "id": f"m{number}"}]
    named_by = {"medicationReference": named, "contained": contained}
    return {"resourceType": "MedicationRequest", "id": f"r{number}", **named_by}


def referring(count: int) -> dict[str, Any]:
    return bundle(*(medication_request(number, reference=f"Medication/m{number}") for number in range(count)))


def medications(count: int) -> dict[str, Any]:
    return {f"m{number}": {"resourceType": "Medication", "id": f"m{number}"} for number in range(count)}


def asked(server: Server) -> list[str]:
    """What was asked of Medications, after the base."""
    return [path.removeprefix("/fhir/") for path in server.paths if path.startswith("/fhir/Medication") and
            not path.startswith("/fhir/MedicationRequest")]  # fmt: skip


def test_a_medicine_that_is_only_a_reference_is_looked_up(server, fetch):
    requests = [
        medication_request(1, reference="Medication/m1/_history/4"),
        medication_request(2, reference="Medication/m1"),
        medication_request(3, reference="Medication/m4", display="hydroxocobalamin"),
        medication_request(4, reference="#m4"),
    ]
    server.answers[QUERIES["medicationRequests"]] = fhir(bundle(*requests))
    server.answers["/fhir/Medication/m1"] = fhir({"resourceType": "Medication", "id": "m1"})
    found = gathered(fetch)
    assert found.states["medicationRequests"].state == "data"
    assert asked(server) == ["Medication/m1"]
    assert found.find("Medication/m1") is not None
    assert found.find("Medication/m1/_history/4") is not None
    assert all(resource.resource_type != "Medication" for resource in found.resources)


def test_several_are_read_in_one_search_however_they_are_referred_to(server, fetch):
    references = ["Medication/m0", f"{server.base}/Medication/m1", "Medication/m1", "Medication/m2/_history/7"]
    requests = [medication_request(number, reference=each) for number, each in enumerate(references)]
    server.answers[QUERIES["medicationRequests"]] = fhir(bundle(*requests))
    server.answers["/fhir/Medication"] = by_id(medications(3))
    found = gathered(fetch, base=server.base)
    assert asked(server) == ["Medication?_id=m0,m1,m2&_count=50"]
    assert found.states["medicationRequests"].state == "data"
    assert all(found.find(reference) is not None for reference in references)


@pytest.mark.parametrize("sent", [True, False])
def test_two_hundred_medicines_are_four_searches(server, fetch, sent):
    server.answers[QUERIES["medicationRequests"]] = fhir(referring(200))
    server.answers["/fhir/Medication"] = by_id(medications(200))
    found = gathered(fetch, {"medicationRequests": referring(200)} if sent else {})
    assert len(asked(server)) == 4
    assert found.states["medicationRequests"].state == "data"


def test_what_is_missing_of_a_short_page_is_searched_again(server, fetch):
    server.answers[QUERIES["medicationRequests"]] = fhir(referring(50))
    server.answers["/fhir/Medication"] = by_id(medications(50), most=20)
    assert states(gathered(fetch))["medicationRequests"] == "data"
    assert [each.count(",") + 1 for each in asked(server)] == [50, 30, 10]


@pytest.mark.parametrize(
    "refusal", [status(400), status(403), status(404), status(501), fhir(ERROR), fhir(bundle()), body(b"<html>")]
)
def test_where_a_search_brings_nothing_they_are_read_one_by_one(server, fetch, refusal):
    server.answers[QUERIES["medicationRequests"]] = fhir(referring(20))
    server.answers["/fhir/Medication"] = refusal
    for name, resource in medications(20).items():
        server.answers[f"/fhir/Medication/{name}"] = after(0.1, fhir(resource))
    assert states(gathered(fetch))["medicationRequests"] == "data"
    search, *reads = asked(server)
    assert search.startswith("Medication?_id=m0,m1,")
    assert sorted(reads) == sorted(f"Medication/m{number}" for number in range(20))


def test_a_medication_that_was_not_asked_for_is_no_answer(server, fetch):
    server.answers[QUERIES["medicationRequests"]] = fhir(referring(2))
    server.answers["/fhir/Medication"] = fhir(bundle({"resourceType": "Medication", "id": "m9"}, PATIENT))
    found = gathered(fetch)
    assert found.states["medicationRequests"].state == "incomplete"
    assert asked(server)[0].startswith("Medication?") and len(asked(server)) == 3


@pytest.mark.parametrize("brings", [0, 1])
def test_however_many_there_are_the_requests_are_bounded(server, fetch, brings):
    """A server that refuses every search, and one that brings a single Medication each time."""
    server.answers[QUERIES["medicationRequests"]] = fhir(referring(3_000))
    server.answers["/fhir/Medication"] = by_id(medications(3_000), most=brings)
    found = gathered(fetch, seconds=20, optional=20)
    assert len(asked(server)) == SEARCHES + READS
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
    assert states(gathered(fetch, seconds=4, optional=3)) == ALL_WELL | {"medicationRequests": "incomplete"}


def an_order(status: str, reference: str) -> dict[str, Any]:
    return {"resourceType": "MedicationRequest", "id": "r1", "status": status, "intent": "order",
            "medicationReference": {"reference": reference}}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "reference", "state"),
    [
        ("active", "#gone", "incomplete"),
        ("", "#gone", "incomplete"),
        *((ended, "#gone", "data") for ended in ("stopped", "completed", "cancelled", "on-hold", "entered-in-error")),
        ("active", "Medication/gone", "incomplete"),
        ("stopped", "Medication/gone", "incomplete"),  # it may be the course that lapsed
        ("cancelled", "Medication/gone", "data"),
        ("entered-in-error", "Medication/gone", "data"),
    ],
)
def test_what_is_not_in_force_is_not_announced_for_a_contained_medicine_that_is_missing(
    server, fetch, status, reference, state
):
    server.answers[QUERIES["medicationRequests"]] = fhir(bundle(an_order(status, reference)))
    assert states(gathered(fetch))["medicationRequests"] == state
    assert len(asked(server)) == (1 if reference == "Medication/gone" and state == "incomplete" else 0)
