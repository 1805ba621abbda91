"""What was not sent is fetched from a real server on this machine (items 54, 54a, 57, 58, 62 to 70)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest

from cds_service.fetching import Fetch
from cds_service.fhir.gathering.gather import Gathered, gather
from cds_service.outgoing.addresses import Policy
from cds_service.outgoing.door import Outgoing
from tests.fhir.loopback import Handler, Server, after, body, fhir, half, in_turn, never, reset, serving, status

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


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that has the patient, one B12 result, and nothing else."""
    answers = {
        QUERIES["patient"]: fhir(PATIENT),
        QUERIES["b12"]: fhir(bundle(b12(1))),
        QUERIES["conditions"]: fhir(bundle()),
        QUERIES["medicationRequests"]: fhir(bundle()),
    }
    with serving(answers) as server:
        yield server


@pytest.fixture
def fetch(server) -> Iterator[Fetch]:
    outgoing = Outgoing(Policy(demo=True))
    fetch, why = outgoing.fetch_for(server.base, "opaque-token-for-test")
    assert fetch is not None, why
    yield fetch
    outgoing.close()


def gathered(
    fetch: Fetch | None,
    prefetch: Mapping[str, Any] | None = None,
    seconds: float = 3,
    optional: float = 2,
    patient_id: str = "pt-1",
) -> Gathered:
    raw = msgspec.json.decode(json.dumps(prefetch or {}).encode(), type=dict[str, msgspec.Raw])
    now = time.monotonic()
    return gather(raw, TEMPLATES, {"patientId": patient_id}, fetch, now + seconds, now + optional)


def states(found: Gathered) -> dict[str, str]:
    return {key: found.states[key].state for key in TEMPLATES}


ALL_WELL = {"conditions": "empty", "medicationRequests": "empty", "patient": "data", "b12": "data"}


def test_what_is_missing_is_fetched_and_only_that(server, fetch):
    found = gathered(fetch, {"conditions": None, "medicationRequests": bundle(total=0)})
    assert states(found) == ALL_WELL | {"conditions": "null"}
    assert sorted(server.paths) == [
        "/fhir/Observation?patient=pt-1&code=2132-9,14685-2&_sort=-date&_count=50",
        "/fhir/Patient/pt-1",
    ]
    assert all(request.headers["Cache-Control"] == "no-cache" for request in server.requests)
    assert [resource.id for resource in found.resources if resource.resource_type == "Observation"] == ["o1"]


def test_what_came_whole_asks_nothing_of_the_server(server, fetch):
    sent = {"patient": PATIENT, "b12": bundle(b12(1)), "conditions": None, "medicationRequests": None}
    assert states(gathered(fetch, sent))["b12"] == "data"
    assert server.requests == []


@pytest.mark.parametrize(
    "sent", [None, ERROR, {"resourceType": "Condition"}, bundle({"resourceType": "Condition"}), []]
)
def test_a_required_key_that_failed_is_read_again(server, fetch, sent):
    assert states(gathered(fetch, {"patient": sent}))["patient"] == "data"
    if sent is not None:
        assert states(gathered(fetch, {"b12": sent}))["b12"] == "data"


def test_a_part_is_read_again_as_a_whole(server, fetch):
    server.answers[QUERIES["b12"]] = fhir(bundle(b12(1), b12(2)))
    found = gathered(fetch, {"b12": bundle(b12(1), total=2)})
    assert found.states["b12"].state == "data"
    assert found.states["b12"].count == 2
    server.answers[QUERIES["b12"]] = status(500)
    assert states(gathered(fetch, {"b12": bundle(b12(1), total=2)}))["b12"] == "incomplete"
    server.answers[QUERIES["b12"]] = fhir(ERROR)
    assert states(gathered(fetch, {"b12": bundle(b12(1), total=2)}))["b12"] == "incomplete"


FAULTS = {
    "400": (status(400), "does not accept the query"),
    "401": (status(401), "does not accept the token"),
    "403": (status(403), "does not give access"),
    "404": (status(404), "offers no Observation"),
    "410": (status(410), "deleted"),
    "429": (status(429), "too often"),
    "500": (status(500), "failed"),
    "503": (status(503), "failed"),
    "redirect": (body(b"", 302, Location="/fhir/elsewhere"), "elsewhere"),
    "reset": (reset, "cannot be reached"),
    "hangs": (never, "in time"),
    "half a body": (half(json.dumps(bundle(b12(1))).encode()), "broke off"),
    "HTML": (body(b"<html>Please log in</html>"), "not FHIR JSON"),
    "too deep": (body(b'{"resourceType":"Bundle","x":' + b"[" * 99_999 + b"]" * 99_999 + b"}"), "not FHIR JSON"),
    "nothing": (body(b""), "not FHIR JSON"),
    "null": (body(b"[]"), "not FHIR"),
    "an OperationOutcome": (fhir(ERROR), "reported an error"),
    "another type": (fhir(bundle({"resourceType": "Condition", "id": "c"})), "other resources"),
}


@pytest.mark.parametrize(("answer", "words"), FAULTS.values(), ids=FAULTS)
def test_every_fault_of_the_server_makes_the_key_failed_and_costs_no_other(server, fetch, answer, words):
    server.answers[QUERIES["b12"]] = answer
    found = gathered(fetch, seconds=0.6, optional=0.5)
    assert states(found) == ALL_WELL | {"b12": "failed"}
    assert words in found.states["b12"].reason
    assert "pt-1" not in found.states["b12"].reason
    assert found.unavailable == {"b12"}


def test_an_unknown_patient_is_told_by_the_read_although_every_search_is_empty(server, fetch):
    server.answers[QUERIES["patient"]] = status(404)
    server.answers[QUERIES["b12"]] = fhir(bundle(total=0))
    found = gathered(fetch)
    assert states(found) == ALL_WELL | {"patient": "failed", "b12": "empty"}
    assert found.states["patient"].reason == "the FHIR server has no such Patient"


def test_another_patient_ends_everything(server, fetch):
    server.answers[QUERIES["patient"]] = fhir(PATIENT | {"id": "pt-2"})
    server.answers[QUERIES["b12"]] = never
    started = time.monotonic()
    found = gathered(fetch)
    assert found.wrong_patient
    assert found.states["patient"].reason == "another patient"
    assert time.monotonic() - started < 1


def test_if_another_patient_was_sent_nothing_is_fetched(server, fetch):
    assert gathered(fetch, {"patient": PATIENT | {"id": "pt-2"}}).wrong_patient
    assert server.requests == []


def test_a_type_that_the_server_does_not_have_is_unavailable(server, fetch):
    server.answers[QUERIES["medicationRequests"]] = status(404)
    found = gathered(fetch)
    assert found.unavailable == {"medicationRequests"}
    assert found.states["medicationRequests"].reason == "the FHIR server offers no MedicationRequest"


def test_missing_keys_are_fetched_side_by_side(server, fetch):
    for path, answer in list(server.answers.items()):
        server.answers[path] = after(0.3, answer)
    started = time.monotonic()
    assert states(gathered(fetch)) == ALL_WELL
    assert time.monotonic() - started < 0.9


def test_an_optional_key_is_given_up_early_and_named(server, fetch):
    server.answers[QUERIES["conditions"]] = never
    started = time.monotonic()
    found = gathered(fetch, seconds=3, optional=0.4)
    assert 0.3 < time.monotonic() - started < 1.5
    assert found.unavailable == {"conditions"}
    assert found.states["conditions"].reason == "no answer in time"


def test_a_required_key_may_take_until_the_deadline(server, fetch):
    server.answers[QUERIES["b12"]] = after(0.4, fhir(bundle(b12(1))))
    assert states(gathered(fetch, seconds=3, optional=0.25)) == ALL_WELL
    server.answers[QUERIES["b12"]] = never
    started = time.monotonic()
    assert states(gathered(fetch, seconds=0.4, optional=0.3))["b12"] == "failed"
    assert time.monotonic() - started < 1.5


def test_past_the_deadline_nothing_is_asked(server, fetch):
    found = gathered(fetch, {"patient": PATIENT}, seconds=-1, optional=-1)
    assert states(found)["b12"] == "failed"
    assert server.requests == []


def test_threads_do_not_outlive_the_deadline(server, fetch):
    server.answers |= dict.fromkeys(server.answers, never)
    before = set(threading.enumerate())
    gathered(fetch, seconds=0.3, optional=0.2)
    ends = time.monotonic() + 2
    while left := [each for each in set(threading.enumerate()) - before if each.name == "fhir-fetch"]:
        assert time.monotonic() < ends, left
        time.sleep(0.01)


def test_a_fault_of_our_own_is_not_called_a_fault_of_the_server():
    def broken(_url: str, _deadline: float) -> bytes:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        gathered(broken)


def pages(server: Server, count: int, path: str = QUERIES["b12"]) -> None:
    """So many pages of one result each, the later ones as queries on the base itself."""
    for number in range(1, count + 1):
        following = f"{server.base}?_getpages=x&_offset={number}" if number < count else ""
        here = path if number == 1 else f"/fhir?_getpages=x&_offset={number - 1}"
        server.answers[here] = fhir(bundle(b12(number), following=following))


def test_pages_are_followed_to_the_end(server, fetch):
    pages(server, 7)
    found = gathered(fetch)
    assert found.states["b12"].state == "data"
    assert found.states["b12"].count == 7
    assert all("Authorization" in request.headers for request in server.requests)


def test_pages_of_what_the_client_sent_are_followed(server, fetch):
    pages(server, 3)
    first = bundle(b12(1), following=f"{server.base}?_getpages=x&_offset=1")
    found = gathered(fetch, {"patient": PATIENT, "b12": first})
    assert found.states["b12"].count == 3
    assert found.states["b12"].state == "data"
    assert "/fhir/Observation" not in " ".join(server.paths)


def test_pages_that_cannot_be_followed_leave_the_key_incomplete(server):
    found = gathered(None, {"patient": PATIENT, "b12": bundle(b12(1), following=f"{server.base}?_getpages=x")})
    assert found.states["b12"].state == "incomplete"
    assert found.states["b12"].reason == "further pages were not read"


@pytest.mark.parametrize(
    "link", ["{other}/fhir?page=2", "{origin}/fhir-evil?page=2", "{origin}/?page=2", "//{host}/fhir"]
)
def test_a_page_that_lies_elsewhere_is_not_asked_for(server, fetch, link):
    with serving() as other:
        place = {"other": f"http://127.0.0.1:{other.server_port}", "origin": server.base.removesuffix("/fhir")}
        url = link.format(**place, host=f"127.0.0.1:{other.server_port}")
        server.answers[QUERIES["b12"]] = fhir(bundle(b12(1), following=url))
        found = gathered(fetch)
        assert found.states["b12"].state == "incomplete"
        assert "further page" in found.states["b12"].reason
        assert other.requests == []
        assert len(server.requests) == 4


@pytest.mark.parametrize("answer", [status(500), fhir(ERROR), fhir(b12(2)), body(b"<html>"), never])
def test_a_page_that_fails_keeps_those_before_it(server, fetch, answer):
    pages(server, 3)
    server.answers["/fhir?_getpages=x&_offset=2"] = answer
    found = gathered(fetch, seconds=0.6, optional=0.5)
    assert found.states["b12"].state == "incomplete"
    assert found.states["b12"].count == 2


def test_pages_that_lead_in_a_circle_end(server, fetch):
    server.answers[QUERIES["b12"]] = fhir(bundle(b12(1), following=f"{server.base}?page=2"))
    server.answers["/fhir?page=2"] = fhir(bundle(b12(2), following=f"{server.base}?page=2"))
    found = gathered(fetch)
    assert found.states["b12"].reason == "the pages lead in a circle"
    assert found.states["b12"].state == "incomplete"


def test_ten_thousand_pages_are_not_read(server, fetch):
    def page(handler: Handler) -> None:
        number = int(handler.path.partition("offset=")[2] or 0) + 1
        fhir(bundle(b12(number), following=f"{server.base}?offset={number}", total=10_000))(handler)

    server.answers |= {QUERIES["b12"]: page, "/fhir": page}
    found = gathered(fetch)
    assert found.states["b12"].state == "incomplete"
    assert found.states["b12"].reason == "there are too many pages"
    assert found.states["b12"].count == 50


def medication_request(number: int, **named: str) -> dict[str, Any]:
    return {"resourceType": "MedicationRequest", "id": f"r{number}", "medicationReference": named}


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


@pytest.mark.parametrize("patient_id", ["..", ".", "a/../b", "%2e%2e", "a?b", "a#b", "a b", "é"])
def test_an_odd_patient_id_never_leads_to_another_address(server, fetch, patient_id):
    found = gathered(fetch, patient_id=patient_id)
    assert found.states["patient"].state == "failed"
    for request in server.requests:
        assert request.path.startswith(
            ("/fhir/Patient/", "/fhir/Observation?", "/fhir/Condition?", "/fhir/MedicationRequest?")
        )
        assert "/.." not in request.path


def test_a_value_in_a_query_is_encoded(server, fetch):
    gathered(fetch, patient_id="a&code=x|y,z")
    assert "/fhir/Condition?patient=a%26code%3Dx%7Cy%2Cz" in server.paths


def test_a_passing_fault_is_over_at_the_second_try(server, fetch):
    server.answers[QUERIES["b12"]] = in_turn(status(503), fhir(bundle(b12(1))))
    assert states(gathered(fetch)) == ALL_WELL
