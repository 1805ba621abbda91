"""The one HTTP client waits for nobody beyond the deadline, whatever a real server does (items 58, 64 to 70)."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from cds_service.fetching import Fetch, FetchFailed
from cds_service.http.client import HttpClient
from tests.endings import LATE, SOON, all_ended, until
from tests.fhir.going_out import DEMO, PATIENT, TOKEN, allowed, failure, soon
from tests.fhir.loopback import (
    Handler,
    after,
    drip,
    fhir,
    in_turn,
    never,
    serving,
    status,
)


@pytest.mark.parametrize(
    "answer",
    [
        never,
        drip(),
        drip(b"HTTP/1.1 200 OK\r\nX-Slow: "),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{"),
        drip(b"HTTP/1.1 200 OK\r\n\r\n{"),
        drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"),
    ],
    ids=["hangs", "drips from the start", "drips a header", "drips a body", "drips an open body", "drips a chunk size"],
)
def test_no_answer_is_waited_for_beyond_the_deadline(server, outgoing, answer):
    server.answers["/fhir/Patient/pt-1"] = answer
    started = time.monotonic()
    assert failure(allowed(outgoing, server.base), seconds=0.25).reason == "no answer in time"
    assert 0.2 < time.monotonic() - started < LATE


def test_after_the_deadline_nothing_is_sent(server, outgoing):
    assert failure(allowed(outgoing, server.base), seconds=-1).reason
    assert server.requests == []


def test_a_token_is_not_used_after_its_end(server, outgoing):
    server.answers["/fhir/Patient/pt-1"] = fhir(PATIENT)
    fetch = allowed(outgoing, server.base, TOKEN, lifetime=0.2)
    until(lambda: why(fetch) == "the token has expired")
    sent = len(server.requests)
    assert failure(fetch).reason == "the token has expired"
    assert len(server.requests) == sent


def why(fetch: Fetch) -> str:
    """Why nothing was read; "" where something was."""
    try:
        fetch("Patient/pt-1", soon())
    except FetchFailed as failed:
        return failed.reason
    return ""


def test_a_slow_server_fills_its_own_places_and_no_one_elses(server):
    outgoing, go = HttpClient(replace(DEMO, at_once=2)), threading.Event()

    def held(handler: Handler) -> None:
        go.wait(SOON)
        fhir(PATIENT)(handler)

    server.answers["/fhir/Patient/pt-1"] = held
    slow = allowed(outgoing, server.base)
    waiting = [threading.Thread(target=slow, args=("Patient/pt-1", soon(SOON))) for _ in range(4)]
    for thread in waiting:
        thread.start()
    until(lambda: len(server.requests) == 2)
    assert failure(allowed(outgoing, server.base), seconds=0.1).reason == "too many calls to the FHIR server at once"
    with serving({"/fhir/Patient/pt-1": fhir(PATIENT)}) as other:
        allowed(outgoing, other.base)("Patient/pt-1", soon(SOON))
    assert len(server.requests) == 2
    go.set()
    all_ended(waiting)
    assert len(server.requests) == 4
    outgoing.close()


def test_a_second_try_does_not_outlast_the_deadline(server, outgoing):
    server.answers["/fhir/Patient/pt-1"] = in_turn(after(0.1, status(503)), never)
    started = time.monotonic()
    failure(allowed(outgoing, server.base), seconds=0.4)
    assert time.monotonic() - started < LATE


def test_a_kept_connection_waits_as_long_as_the_next_call_may(server, outgoing):
    """The first call leaves 0.1 s on the socket; the second needs 0.4 s and has 5."""
    server.answers |= {"/fhir/a": after(0.2, fhir({})), "/fhir/b": after(0.4, fhir({}))}
    fetch = allowed(outgoing, server.base)
    fetch("a", soon(0.3))
    assert fetch("b", soon(5)) == b"{}"
