"""The right patient or none, and a server that fails: 412 in time, or cards that say what could not be read."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from cds_service.app import DEMO_SECONDS
from tests import golden
from tests.book import content
from tests.contract.calling import Service, serving
from tests.contract.hapi import Hapi
from tests.contract.test_results_now import DEFICIENT, patient, result

pytestmark = pytest.mark.needs("java", "maven")
OPTIONAL = content().prefetch["full"].keys() - {"patient", "b12"}
LATE = 6.0  # seconds beyond the deadline that a busy machine may need


@pytest.fixture(scope="module")
def hurried(server: Hapi) -> Iterator[Service]:
    """With no more time for a call than the demo has."""
    with serving(server.base, seconds=DEMO_SECONDS) as running:
        yield running


def prefetch_of(name: str, *keys: str) -> dict[str, Any]:
    sent = golden.decoded(name)["prefetch"]
    return {key: sent[key] for key in keys}


def test_a_patient_whom_the_server_does_not_have_is_412(service: Service):
    answer = service.call("nobody-at-all")
    assert [reason.partition(":")[0] for reason in answer.missing] == ["patient"]
    assert "nobody-at-all" not in answer.body.decode()


def test_a_patient_who_was_deleted_is_412(server: Hapi, service: Service):
    who = "deleted-patient"
    server.load([patient(who), result(who, "b12", 150, 5)])
    assert any(DEFICIENT in summary for summary in service.call(who).summaries)
    server.delete(f"Observation/{who}-b12")  # HAPI keeps a patient as long as something refers to him
    server.delete(f"Patient/{who}")
    assert server.call("GET", f"Patient/{who}")[0] == 410
    answer = service.call(who)
    assert answer.missing == ["patient: it was deleted on the FHIR server"]


def test_another_patient_in_the_prefetch_is_412_and_nothing_of_him_is_used(service: Service):
    for sent in (prefetch_of("renal", "patient"), prefetch_of("renal", "patient", "b12", "conditions")):
        answer = service.call("dietary", sent)
        assert len(answer.missing) == 1
        assert "is not the one of context.patientId" in answer.missing[0]
        assert "renal" not in answer.body.decode()


def test_results_of_another_patient_in_the_prefetch_are_not_used(service: Service):
    answer = service.call("dietary", prefetch_of("renal", "b12"))
    assert not any("231" in card["detail"] for card in answer.cards)


@pytest.mark.parametrize("base", ["{0}/", "{0}-evil", "http://127.0.0.1:1/fhir"])
def test_a_base_that_is_a_little_wrong_gives_412_or_the_same_answer(server: Hapi, service: Service, base):
    answer = service.call("dietary", fhirServer=base.format(server.base))
    if base == "{0}/":
        assert golden.indented(answer.body) == golden.Pair("dietary").response.read_bytes()
    else:
        assert [reason.partition(":")[0] for reason in answer.missing] == ["patient", "b12"]


def test_a_server_that_hangs_is_412_at_the_deadline(server: Hapi, hurried: Service):
    with server.halted():
        answer = hurried.call("dietary")
    assert [reason.partition(":")[0] for reason in answer.missing] == ["patient", "b12"]
    assert answer.seconds < DEMO_SECONDS + LATE


def test_a_server_that_hangs_costs_optional_keys_half_of_the_time_and_is_named(server: Hapi, hurried: Service):
    with server.halted():
        answer = hurried.call("dietary", prefetch_of("dietary", "patient", "b12"))
    assert any(DEFICIENT in summary for summary in answer.summaries)
    said = "\n".join(card["detail"] for card in answer.cards).casefold()
    parts = [content().pathways["uk-ng239"].messages[f"prefetch.{key}"].casefold() for key in OPTIONAL]
    assert [each for each in parts if each not in said] == []
    assert answer.seconds < DEMO_SECONDS / 2 + LATE


def test_a_server_that_hangs_does_not_silence_a_safety_row(server: Hapi, hurried: Service):
    with server.halted():
        answer = hurried.call("severe-anaemia", prefetch_of("severe-anaemia", "patient", "bloodCount"))
    assert answer.cards[0]["indicator"] == "critical"
    assert "could not be judged" in answer.summaries[-1]
    assert answer.seconds < DEMO_SECONDS + LATE


def test_after_it_hung_the_server_is_read_as_before(service: Service):
    answer = service.call("dietary", hookInstance=golden.decoded("dietary")["hookInstance"])
    assert golden.indented(answer.body) == golden.Pair("dietary").response.read_bytes()


def test_a_server_that_is_gone_is_412_long_before_the_deadline(server: Hapi):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        gone = f"http://127.0.0.1:{taken.getsockname()[1]}/fhir"
        with serving(gone) as service:
            answer = service.call("dietary")
    assert answer.missing == [
        "patient: the FHIR server cannot be reached: the connection was refused",
        "b12: the FHIR server cannot be reached: the connection was refused",
    ]
    assert answer.seconds < LATE
