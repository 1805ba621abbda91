"""The service as real processes: how it starts, what it refuses in one line, how it ends (issue 3)."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
from contextlib import suppress

import pytest

from cds_service.bounds import LARGEST_BODY
from tests.hooks.calling import PATH, body
from tests.hooks.processes import (
    SOON,
    answers,
    begun,
    call,
    catches,
    chunked,
    descendants,
    ends_well,
    free_port,
    one_line,
    read_until,
    run,
    run_apart,
    running,
    taken_port,
    until,
    with_pid,
)


@pytest.mark.parametrize("run", [run, run_apart], ids=["here", "apart"])
def test_without_demo_mode_it_refuses_to_start(run):
    one_line(run("serve"), "without demo mode the service does not start")
    one_line(run("serve", CDS_DEMO="0"), "without demo mode the service does not start")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.org"])
def test_demo_mode_on_another_host_is_refused(host):
    one_line(run("serve", "--demo", "--host", host), f"--host {host} is not a loopback address")
    one_line(run("serve", "--host", host, CDS_DEMO="1"), f"--host {host} is not a loopback address")


def test_a_taken_port_is_one_line():
    with taken_port() as port:
        one_line(run("serve", "--demo", "--port", str(port)), f"cannot listen on 127.0.0.1 port {port}")
        one_line(run("demo", "--port", str(port)), f"cannot listen on 127.0.0.1 port {port}")


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("CDS_DEMO", "perhaps", "CDS_DEMO: "),
        ("CDS_PATHWAY", "us-none", "CDS_PATHWAY: no pathway of that name; allowed: uk-ng239"),
        ("CDS_PREFETCH", "everything", "CDS_PREFETCH: Input should be 'full' or 'minimal'"),
        ("CDS_TIME_ZONE", "Mars/Base", "CDS_TIME_ZONE: allowed: a name of the time zone database"),
        ("CDS_FHIR_BASES", "https://a.example.org/fhir,ftp://b", "CDS_FHIR_BASES: allowed: a FHIR base URL"),
        ("CDS_ORIGINS", "https://a.example.org/page", "CDS_ORIGINS: allowed: an origin"),
        ("CDS_SITE_DIR", "/no/such/folder", "CDS_SITE_DIR: allowed: a folder that exists"),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_line(setting, value, says):
    one_line(run("serve", "--port", str(free_port()), **{"CDS_DEMO": "1", setting: value}), says)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_the_service_within_ten_seconds_and_leaves_no_process(number):
    port = free_port()
    with begun("serve", "--demo", "--port", str(port)) as process:
        until(answers(port), process)
        assert descendants(process.pid)
        ends_well(process, number)
        assert "DEMO MODE" in process.told()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_during_the_start_ends_it_as_well(number):
    port = free_port()
    with begun("serve", "--demo", "--port", str(port)) as process:
        until(lambda: catches(process.pid, signal.SIGHUP), process)
        assert not answers(port)(), "it has only begun"
        ends_well(process, number)


def test_a_signal_ends_it_although_a_call_hangs():
    port = free_port()
    with running("serve", "--demo", "--port", str(port)) as process:
        until(answers(port), process)
        with socket.create_connection(("127.0.0.1", port), SOON) as slow:
            head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100"
            slow.sendall(f"{head}\r\nExpect: 100-continue\r\n\r\n".encode())
            assert slow.recv(100).startswith(b"HTTP/1.1 100"), "the call is being read"
            slow.sendall(b"{")
            ends_well(process, signal.SIGTERM)


def test_over_a_real_connection_the_limits_hold():
    port = free_port()
    with running("serve", "--demo", "--port", str(port)) as process:
        until(answers(port), process)
        status, headers, told = call(port, "POST", PATH, json.dumps(body()).encode())
        assert status == 200, told
        assert headers["Cache-Control"] == "no-store"
        assert re.fullmatch(r"read;dur=[\d.]+, decide;dur=[\d.]+, total;dur=[\d.]+", headers["Server-Timing"])
        assert heard(port, b" ", f"Content-Length: {LARGEST_BODY + 1}").startswith(b"HTTP/1.1 413")
        assert chunked(port, PATH, b" " * (LARGEST_BODY + 1)) == 413
        assert chunked(port, PATH, json.dumps(body()).encode()) == 200
        assert call(port, "GET", "/cds-services", Host="example.org")[0] == 403
        assert call(port, "GET", "/cds-services", **{"X-Forwarded-For": "10.0.0.1", "X-Forwarded-Host": "x"})[0] == 200
        assert call(port, "GET", "/none", SCRIPT_NAME="/none", **{"Path-Info": "/cds-services"})[0] == 404
        status, headers, told = call(port, "HEAD", "/cds-services")
        assert (status, told) == (200, b"")
        ends_well(process, signal.SIGTERM)
        log = process.told()
    calls = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert {"call", "refused"} <= {line["event"] for line in calls}
    assert all("pt-1" not in json.dumps(line) for line in calls)


def test_the_demo_shows_cards_keeps_serving_and_tidies_up(tmp_path):
    with running("demo", TMPDIR=str(tmp_path)) as process:
        seen = read_until(process, "Ctrl-C")
        port = int(re.search(r"http://127\.0\.0\.1:(\d+)", seen)[1])
        assert "DEMO MODE" in seen
        assert "WARNING" in seen
        assert "132 pmol/L" in seen
        assert answers(port)()
        assert list(tmp_path.iterdir())
        ends_well(process, signal.SIGINT)
        assert not list(tmp_path.iterdir())
        assert not answers(port)()


def test_the_demo_takes_the_next_free_port():
    with running("demo") as first, running("demo") as second:
        ports = [re.search(r"http://127\.0\.0\.1:(\d+)", read_until(each, "Ctrl-C"))[1] for each in (first, second)]
        assert ports[0] != ports[1]
        ends_well(second, signal.SIGTERM)
        ends_well(first, signal.SIGTERM)


def test_a_demo_whose_service_is_killed_says_so_and_ends():
    with running("demo") as process:
        read_until(process, "Ctrl-C")
        (service, *_) = descendants(process.pid)
        with_pid(service, signal.SIGKILL)
        assert process.wait(SOON) == 2
        assert "the service has ended by itself" in process.told()


MALFORMED = {
    "a negative size": b"-1\r\n{}\r\n0\r\n\r\n",
    "a size that is none": b"zz\r\n{}\r\n0\r\n\r\n",
    "no size": b"\r\n{}\r\n0\r\n\r\n",
    "no line end after a chunk": b"2\r\n{}0\r\n\r\n",
    "a size without an end": b"1" * 20_000 + b"\r\n{}",
    "an odd extension": b"2;\x00=1\r\n{}\r\n0\r\n\r\n",
    "an odd trailer": b"2\r\n{}\r\n0\r\nX Y: 1\r\n\r\n",
    "a trailer without a name": b"2\r\n{}\r\n0\r\n: 1\r\n\r\n",
    "a huge trailer": b"2\r\n{}\r\n0\r\nX: " + b"y" * 3_000_000 + b"\r\n\r\n",
}


def heard(port: int, sent: bytes, length: str = "Transfer-Encoding: chunked") -> bytes:
    """The beginning of what the service answers to these bytes."""
    head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", port), SOON) as connection, suppress(ConnectionError):
        connection.sendall(f"{head}{length}\r\n\r\n".encode() + sent)
        return connection.recv(65_536)
    return b""


def test_a_malformed_chunked_body_is_400_ends_the_connection_and_is_no_bug():
    port = free_port()
    with running("serve", "--demo", "--port", str(port)) as process:
        until(answers(port), process)
        for name, sent in MALFORMED.items():
            answer = heard(port, sent)
            assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 408", b"HTTP/1.1 431", b""), (name, answer[:200])
        assert call(port, "POST", PATH, json.dumps(body()).encode())[0] == 200
        ends_well(process, signal.SIGTERM)
        assert '"bug"' not in process.told()


LAUNCH = "/smart/callback?code=a-secret"
REFUSED = {
    "a first line without a version": (400, f"GET {LAUNCH}\r\n\r\n"),
    "a method that is none": (400, f"ge:t {LAUNCH} HTTP/1.1\r\n\r\n"),
    "a version that is none": (400, f"GET {LAUNCH} HTTP/a-secret\r\n\r\n"),
    "a header without a name": (400, f"GET {LAUNCH} HTTP/1.1\r\na-secret\r\n\r\n"),
    "an address that is too long": (414, f"GET {LAUNCH}{'x' * 5_000} HTTP/1.1\r\n\r\n"),
    "a header that is too large": (431, f"GET {LAUNCH} HTTP/1.1\r\nCookie: a-secret{'x' * 20_000}\r\n\r\n"),
    "too many headers": (431, f"GET {LAUNCH} HTTP/1.1\r\n" + "X: a-secret\r\n" * 70 + "\r\n"),
    "a coding that is not read": (501, f"GET {LAUNCH} HTTP/1.1\r\nTransfer-Encoding: a-secret\r\n\r\n"),
}


def test_what_is_no_request_hears_an_operation_outcome_and_nothing_of_it_is_logged():
    port = free_port()
    with running("serve", "--demo", "--port", str(port)) as process:
        until(answers(port), process)
        for name, (status, sent) in REFUSED.items():
            with socket.create_connection(("127.0.0.1", port), SOON) as connection:
                connection.sendall(sent.encode())
                response = http.client.HTTPResponse(connection)
                response.begin()
                outcome = json.loads(response.read())
            assert (response.status, response.getheader("Content-Type")) == (status, "application/json"), name
            assert outcome["resourceType"] == "OperationOutcome", name
            assert outcome["issue"][0]["details"]["text"] and "a-secret" not in json.dumps(outcome), name
        ends_well(process, signal.SIGTERM)
        assert process.told().count("Refused with") == len(REFUSED)
        assert "a-secret" not in process.told()
