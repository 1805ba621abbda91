"""What was not sent is fetched from a real server on this machine (items 54, 54a, 57, 58, 62 to 70)."""

from __future__ import annotations

import json
import threading
import time

import pytest

from tests.endings import LATE, SOON
from tests.fhir.loopback import Answer, Handler, after, body, fhir, half, held, in_turn, never, reset, status
from tests.fhir.small_ehr import (
    ALL_WELL,
    ERROR,
    PATIENT,
    QUERIES,
    b12,
    bundle,
    gathered,
    states,
)


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
    found = gathered(fetch, seconds=4, optional=3)
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
    found = gathered(fetch, seconds=SOON)
    assert found.wrong_patient
    assert found.states["patient"].reason == "another patient"
    assert time.monotonic() - started < LATE


def test_if_another_patient_was_sent_nothing_is_fetched(server, fetch):
    assert gathered(fetch, {"patient": PATIENT | {"id": "pt-2"}}).wrong_patient
    assert server.requests == []


def test_a_type_that_the_server_does_not_have_is_unavailable(server, fetch):
    server.answers[QUERIES["medicationRequests"]] = status(404)
    found = gathered(fetch)
    assert found.unavailable == {"medicationRequests"}
    assert found.states["medicationRequests"].reason == "the FHIR server offers no MedicationRequest"


def test_missing_keys_are_fetched_side_by_side(server, fetch):
    together = threading.Event()

    def once_three_have_come(answer: Answer) -> Answer:
        def late(handler: Handler) -> None:
            if len(server.requests) >= 3:
                together.set()
            held(together, answer)(handler)

        return late

    server.answers |= {path: once_three_have_come(answer) for path, answer in server.answers.items()}
    assert states(gathered(fetch, seconds=SOON, optional=SOON)) == ALL_WELL
    assert together.is_set(), "the first waits for an answer until the third has come"


def test_an_optional_key_is_given_up_early_and_named(server, fetch):
    server.answers[QUERIES["conditions"]] = never
    started = time.monotonic()
    found = gathered(fetch, seconds=SOON, optional=0.4)
    assert 0.3 < time.monotonic() - started < LATE
    assert found.unavailable == {"conditions"}
    assert found.states["conditions"].reason == "no answer in time"


def test_a_required_key_may_take_until_the_deadline(server, fetch):
    server.answers[QUERIES["b12"]] = after(0.4, fhir(bundle(b12(1))))
    assert states(gathered(fetch, seconds=3, optional=0.25)) == ALL_WELL
    server.answers[QUERIES["b12"]] = never
    started = time.monotonic()
    assert states(gathered(fetch, seconds=0.4, optional=0.3))["b12"] == "failed"
    assert time.monotonic() - started < LATE


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
