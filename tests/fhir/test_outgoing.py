"""The one HTTP client, against a real server on this machine that misbehaves (items 58, 64 to 70)."""

from __future__ import annotations

import logging
import tracemalloc
from dataclasses import replace

import pytest

from cds_service.fetching import FetchFailed
from cds_service.http.client import HttpClient
from tests.fhir.going_out import DEMO, PATIENT, TOKEN, allowed, bases, failure, soon
from tests.fhir.loopback import (
    body,
    drip,
    fhir,
    gzip_bomb,
    half,
    in_turn,
    reset,
    status,
)


def test_a_read_carries_the_token_and_asks_for_fresh_fhir_json(server, outgoing, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # nothing is taken from the environment
    server.answers["/fhir/Patient/pt-1"] = fhir(PATIENT)
    assert b'"pt-1"' in allowed(outgoing, server.base, TOKEN)("Patient/pt-1", soon())
    sent = server.requests[0].headers
    assert sent["Authorization"] == f"Bearer {TOKEN}"
    assert sent["Accept"].startswith("application/fhir+json")
    assert sent["Cache-Control"] == "no-cache"


def test_without_a_token_none_is_sent_and_a_netrc_is_not_read(server, outgoing, tmp_path, monkeypatch):
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login someone password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server.answers["/fhir/Patient/pt-1"] = fhir(PATIENT)
    allowed(outgoing, server.base)("Patient/pt-1", soon())
    assert "Authorization" not in server.requests[0].headers


def test_connections_are_used_again_and_cookies_are_not(server, outgoing):
    server.answers["/fhir/Patient/pt-1"] = fhir(PATIENT, Set_Cookie="who=someone; Path=/")
    fetch = allowed(outgoing, server.base)
    ports = []
    server.answers["/fhir/Patient/pt-1"] = lambda handler: (
        ports.append(handler.client_address[1]),
        fhir(PATIENT, Set_Cookie="who=someone; Path=/")(handler),
    )
    for _ in range(3):
        fetch("Patient/pt-1", soon())
    assert len(set(ports)) == 1
    assert all("Cookie" not in request.headers for request in server.requests)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (400, "does not accept the query"),
        (401, "does not accept the token"),
        (403, "does not give access"),
        (404, "does not have it"),
        (410, "deleted"),
        (418, "refused"),
        (429, "too often"),
        (500, "failed"),
        (503, "failed"),
    ],
)
def test_every_status_but_200_is_a_failure_in_our_words(server, outgoing, code, words):
    server.answers["/fhir/Patient/pt-1"] = status(code)
    failed = failure(allowed(outgoing, server.base, TOKEN))
    assert failed.status == code
    assert words in failed.reason
    assert "pt-1" not in failed.reason


@pytest.mark.parametrize("code", [429, 502, 503])
def test_a_passing_fault_is_tried_once_more_whatever_the_server_says_about_waiting(server, outgoing, code):
    server.answers["/fhir/Patient/pt-1"] = in_turn(status(code, Retry_After="3600"), fhir(PATIENT))
    assert b"pt-1" in allowed(outgoing, server.base)("Patient/pt-1", soon())
    server.answers["/fhir/Patient/pt-1"] = status(code, Retry_After="3600")
    failure(allowed(outgoing, server.base))
    assert len(server.requests) == 4


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 500, 504])
def test_other_faults_are_not_tried_again(server, outgoing, code):
    server.answers["/fhir/Patient/pt-1"] = status(code)
    failure(allowed(outgoing, server.base))
    assert len(server.requests) == 1


def test_a_connection_that_is_torn_down_is_tried_once_more(server, outgoing):
    server.answers["/fhir/Patient/pt-1"] = in_turn(reset, fhir(PATIENT))
    assert b"pt-1" in allowed(outgoing, server.base)("Patient/pt-1", soon())
    server.answers["/fhir/Patient/pt-1"] = reset
    assert "cannot be reached" in failure(allowed(outgoing, server.base)).reason


def test_a_redirect_is_not_followed_and_its_body_is_not_read(server, outgoing):
    server.answers["/fhir/Patient/pt-1"] = body(b"", 302, Location=f"{server.base}/Patient/pt-2")
    failed = failure(allowed(outgoing, server.base, TOKEN))
    assert failed.status == 302
    assert "elsewhere" in failed.reason
    server.answers["/fhir/Patient/pt-1"] = drip(b"HTTP/1.1 307 Moved\r\nLocation: /fhir/x\r\n\r\n")
    assert failure(allowed(outgoing, server.base, TOKEN)).status == 307  # its body never ends
    assert len(server.requests) == 2


def test_a_body_that_breaks_off_is_a_failure(server, outgoing):
    server.answers["/fhir/Patient/pt-1"] = half(b'{"resourceType":"Patient","id":"pt-1"}')
    assert "broke off" in failure(allowed(outgoing, server.base)).reason


def test_a_body_that_is_not_what_its_encoding_says_is_a_failure(server, outgoing):
    server.answers["/fhir/Patient/pt-1"] = body(b"not gzip", Content_Encoding="gzip")
    assert "decoded" in failure(allowed(outgoing, server.base)).reason


def test_a_large_answer_is_not_read_to_its_end(server):
    outgoing = HttpClient(replace(DEMO, answer_bytes=1000))
    server.answers["/fhir/Patient/pt-1"] = body(b" " * 10_000_000)
    assert "too large" in failure(allowed(outgoing, server.base)).reason
    outgoing.close()


def test_a_gzip_bomb_is_defused_while_it_streams(server):
    """What is held is what may be read, an eighth more while it grows, and the buffers of one connection: of 200 MB."""
    most = 4_000_000
    outgoing = HttpClient(replace(DEMO, answer_bytes=most, call_bytes=most))
    server.answers["/fhir/Patient/pt-1"] = gzip_bomb(200)
    fetch = allowed(outgoing, server.base)
    tracemalloc.start()
    try:
        assert "too large" in failure(fetch, seconds=60).reason
        assert tracemalloc.get_traced_memory()[1] < most * 9 / 8 + 1_000_000
    finally:
        tracemalloc.stop()
        outgoing.close()


def test_the_answers_of_one_call_are_limited_together(server):
    outgoing = HttpClient(replace(DEMO, call_bytes=250))
    server.answers["/fhir/Patient/pt-1"] = body(b" " * 100)
    fetch = allowed(outgoing, server.base)
    fetch("Patient/pt-1", soon())
    fetch("Patient/pt-1", soon())
    assert "together" in failure(fetch).reason
    allowed(outgoing, server.base)("Patient/pt-1", soon())  # the next call begins anew
    outgoing.close()


def test_html_is_handed_on_for_the_reader_to_refuse(server, outgoing):
    server.answers["/fhir/Patient/pt-1"] = body(b"<html>log in</html>")
    assert allowed(outgoing, server.base)("Patient/pt-1", soon()).startswith(b"<html>")


@pytest.mark.parametrize("target", ["http://127.0.0.1:9/fhir?page=2", "/fhir-evil?page=2", "Patient/../../x", "//x/y"])
def test_a_link_outside_of_the_base_is_never_called(server, outgoing, target):
    assert failure(allowed(outgoing, server.base, TOKEN), target).status is None
    assert server.requests == []


def test_what_is_sent_is_what_was_checked(server, outgoing):
    server.answers["/fhir/Observation"] = fhir({"resourceType": "Bundle"})
    allowed(outgoing, server.base)("Observation?code=http://loinc.org|2132-9,14685-2&_sort=-date", soon())
    assert server.paths == ["/fhir/Observation?code=http://loinc.org%7C2132-9,14685-2&_sort=-date"]


@pytest.mark.parametrize(
    ("base", "token", "lifetime", "why"),
    [
        ("http://127.0.0.1:8000/fhir", "", None, "not among the allowed"),
        ("https://ehr.example.org/fhir", "", None, "not among the allowed"),
        ("http://127.0.0.1:8080@evil.example/fhir", "", None, "not an address"),
        ("http://127.0.0.1:8080/fhir", "two words", None, "not usable"),
        ("http://127.0.0.1:8080/fhir", "line\r\nX-Other: 1", None, "not usable"),
        ("http://127.0.0.1:8080/fhir", TOKEN, 0, "expired"),
        ("http://127.0.0.1:8080/fhir", TOKEN, -5, "expired"),
        ("http://127.0.0.1:8080/fhir", TOKEN, float("nan"), "expired"),
        ("http://hapi.example:8080/fhir", TOKEN, 300, "without encryption"),
    ],
)
def test_there_is_no_access_and_it_is_said_why(base, token, lifetime, why):
    outgoing = HttpClient(replace(DEMO, bases=bases("http://hapi.example:8080/fhir")))
    fetch, reason = outgoing.fetch_for(base, token, lifetime)
    assert fetch is None
    assert why in reason
    outgoing.close()


def test_nothing_is_called_without_a_token_where_the_operator_wants_one(server):
    outgoing = HttpClient(replace(DEMO, anonymous=False))
    assert outgoing.fetch_for(server.base)[0] is None
    assert outgoing.fetch_for(server.base, TOKEN)[0] is not None
    outgoing.close()


def test_neither_token_nor_patient_is_told_to_anybody(server, outgoing, caplog):
    caplog.set_level(logging.DEBUG)
    fetch = allowed(outgoing, server.base, TOKEN)
    told = [repr(fetch), repr(outgoing)]
    for answer in (status(401), status(503), reset, half(b"{}"), body(b"x", Content_Encoding="gzip"), fhir(PATIENT)):
        server.answers["/fhir/Patient/pt-1"] = answer
        try:
            fetch("Patient/pt-1", soon())
        except FetchFailed as failed:
            told.append(f"{failed!r} {failed.__cause__!r} {failed.__context__!r}")
    server.answers["/fhir/Patient/pt-1"] = drip(b"HTTP/1.1 200 OK\r\nno header at all\r\n\r\n")
    failure(fetch, seconds=0.2)
    text = " ".join(told) + caplog.text
    assert TOKEN not in text
    assert "pt-1" not in text
