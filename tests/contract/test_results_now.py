"""What decides is what the FHIR server holds now: the newest of many pages, and what was written a moment ago."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cds_service.fhir.templates import fill
from tests import golden
from tests.book import content
from tests.contract.calling import Service
from tests.contract.hapi import Hapi

pytestmark = pytest.mark.needs("java", "maven")
DEFICIENT = "meets the NICE threshold for deficiency (below 180 ng/L)"


def patient(name: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": name, "gender": "female", "birthDate": "1951-03-09"}


def result(
    who: str, name: str, value: float, hours_ago: float, code: str = "2132-9", unit: str = "ng/L"
) -> dict[str, Any]:
    """A final result of so many hours before the moment of the call."""
    return {
        "resourceType": "Observation",
        "id": f"{who}-{name}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": f"Patient/{who}"},
        "effectiveDateTime": (golden.NOW - timedelta(hours=hours_ago)).isoformat(),
        "valueQuantity": {"value": value, "unit": unit},
    }


def fatigue(who: str) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "id": f"{who}-fatigue",
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "84229001"}]},
        "subject": {"reference": f"Patient/{who}"},
        "recordedDate": (golden.DAY - timedelta(days=30)).isoformat(),
    }


def order(who: str, name: str, medicine: dict[str, Any]) -> dict[str, Any]:
    """An active prescription."""
    return {
        "resourceType": "MedicationRequest",
        "id": f"{who}-{name}",
        "status": "active",
        "intent": "order",
        **medicine,
        "subject": {"reference": f"Patient/{who}"},
        "authoredOn": (golden.DAY - timedelta(days=700)).isoformat(),
    }


def with_300_results(who: str) -> list[dict[str, Any]]:
    """150 homocysteine results; before them 150 of B12, of which the newest is low and all others are high.

    So the one that decides is the 151st: not on the first page, not on the last.
    """
    homocysteine = [result(who, f"hcy-{n}", 9, 1 + n, "13965-9", "umol/L") for n in range(150)]
    b12 = [result(who, f"b12-{n}", 150 if n == 0 else 600, 200 + n) for n in range(150)]
    return [patient(who), fatigue(who), *homocysteine, *b12]


def test_300_results_come_on_several_pages_and_the_newest_decides(server: Hapi, service: Service):
    who = "many-results"
    server.load(with_300_results(who))
    found = server.search(fill(content().prefetch["full"]["b12"], {"patientId": who}))
    assert (len(found.matches), found.pages) == (300, 6)
    assert found.matches[150]["id"] == f"{who}-b12-0"
    answer = service.call(who)
    assert f"B12 150 ng/L (7 Jan 2026) {DEFICIENT}" in answer.summaries
    assert "could be read" not in answer.body.decode()  # nothing was cut off
    print(f"300 results on {found.pages} pages: answered in {answer.seconds:.2f} s")


def test_a_first_page_that_the_client_sent_is_completed_from_the_server(server: Hapi, service: Service):
    who = "first-page-sent"
    server.load(with_300_results(who))
    status, page = server.call("GET", fill(content().prefetch["full"]["b12"], {"patientId": who}))
    assert (status, len(page["entry"])) == (200, 50)
    answer = service.call(who, {"patient": patient(who), "b12": page})
    assert f"B12 150 ng/L (7 Jan 2026) {DEFICIENT}" in answer.summaries
    assert "could be read" not in answer.body.decode()


def test_a_medicine_on_the_last_of_many_pages_is_seen(server: Hapi, service: Service):
    who = "many-medicines"
    orders = [order(who, f"unrelated-{n}", {"medicationCodeableConcept": {"text": "Paracetamol"}}) for n in range(44)]
    metformin = order(who, "metformin", {"medicationCodeableConcept": {"text": "Metformin 500mg tablets"}})
    server.load([patient(who), result(who, "b12", 150, 5), *orders])
    server.put(metformin)
    found = server.search(f"MedicationRequest?patient={who}")
    assert (found.pages, found.matches[-1]["id"]) == (5, f"{who}-metformin")
    assert "metformin" in service.call(who).cards[0]["detail"]


def test_a_medicine_that_is_only_a_dead_reference_is_told_as_not_read_from_either_side(server: Hapi, service: Service):
    who = "dead-reference"
    dead = order(who, "dead", {"medicationReference": {"reference": "Medication/there-is-none"}})
    server.load([patient(who), dead, result(who, "b12", 240, 5)])
    sent = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": dead}]}
    fetched, mixed = service.call(who), service.call(who, {"medicationRequests": sent})
    assert "**Could not be read:** prescriptions" in fetched.cards[0]["detail"]
    assert mixed.body == fetched.body


def test_a_result_written_a_moment_ago_decides_at_once(server: Hapi, service: Service):
    who = "written-now"
    server.load([patient(who), fatigue(who)])
    assert not any("B12 " in summary for summary in service.call(who).summaries)
    server.put(result(who, "first", 150, 72))
    assert f"B12 150 ng/L (12 Jan 2026) {DEFICIENT}" in service.call(who).summaries
    server.put(result(who, "second", 240, 24))
    assert any(summary.startswith("B12 240 ng/L") for summary in service.call(who).summaries)
    server.put(result(who, "third", 140, 1))
    assert f"B12 140 ng/L (15 Jan 2026) {DEFICIENT}" in service.call(who).summaries


def test_a_result_that_was_changed_or_deleted_a_moment_ago_no_longer_decides(server: Hapi, service: Service):
    who = "changed-now"
    server.load([patient(who), fatigue(who), result(who, "older", 240, 5), result(who, "newer", 150, 3)])
    assert f"B12 150 ng/L (15 Jan 2026) {DEFICIENT}" in service.call(who).summaries
    server.put(result(who, "newer", 150, 3) | {"status": "entered-in-error"})
    assert any(summary.startswith("B12 240 ng/L") for summary in service.call(who).summaries)
    server.put(result(who, "newer", 150, 3))
    assert f"B12 150 ng/L (15 Jan 2026) {DEFICIENT}" in service.call(who).summaries
    server.delete(f"Observation/{who}-newer")
    assert any(summary.startswith("B12 240 ng/L") for summary in service.call(who).summaries)
