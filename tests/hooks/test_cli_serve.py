"""The service as real processes: how it starts, what it refuses in one line, and how it ends (issue 3, "What a user gets")."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.hooks.calling import body

CLI = [sys.executable, "-m", "cds_service.cli"]
SOON = 60.0  # seconds: long enough for a busy machine
AT_MOST = 10.0  # seconds from a signal to the end


def environment(**changed: str) -> dict[str, str]:
    """This environment without any setting of the service. The package is found as this process finds it."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("CDS_")}
    return plain | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)} | changed


def run(*arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*CLI, *arguments], env=environment(**changed), capture_output=True, text=True, timeout=SOON)


@contextmanager
def running(*arguments: str, **changed: str) -> Iterator[subprocess.Popen[str]]:
    """A command that keeps running; whatever happens, nothing of it is left."""
    process = subprocess.Popen(
        [*CLI, *arguments],
        env=environment(**changed),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        for pid in [process.pid, *descendants(process.pid)]:
            with_pid(pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def with_pid(pid: int, number: int) -> bool:
    """Send a signal; False if there is no such process any more."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def descendants(pid: int) -> list[int]:
    """The processes that it started, and theirs."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = parents.get(pid, [])
    return found + [each for child in found for each in descendants(child)]


@contextmanager
def taken_port() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


def free_port() -> int:
    with taken_port() as port:
        return port


def call(port: int, method: str, path: str, sent: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SOON)
    try:
        connection.request(method, path, sent, {"Content-Type": "application/json", **headers} if sent else headers)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def until(done: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    latest = time.monotonic() + SOON
    while not done():
        assert time.monotonic() < latest, "it takes too long"
        assert process.poll() is None, f"it ended: {process.stdout.read()}"
        time.sleep(0.05)


def answers(port: int) -> Callable[[], bool]:
    def discovery() -> bool:
        try:
            return call(port, "GET", "/cds-services")[0] == 200
        except OSError:
            return False

    return discovery


def ends_well(process: subprocess.Popen[str], number: int) -> None:
    """Exit 0 within ten seconds, and none of its processes is left."""
    family = descendants(process.pid)
    asked = time.monotonic()
    process.send_signal(number)
    assert process.wait(SOON) == 0, process.stdout.read()
    assert time.monotonic() - asked < AT_MOST
    left = [pid for pid in family if with_pid(pid, 0)]
    assert not left


def one_line(finished: subprocess.CompletedProcess[str], says: str, code: int = 2) -> None:
    """Ended with that exit code and one line on the standard error stream, without a trace."""
    assert finished.returncode == code, finished.stderr
    assert finished.stderr.startswith("b12-cds: ")
    assert finished.stderr.count("\n") == 1, finished.stderr
    assert says in finished.stderr


def test_without_demo_mode_it_refuses_to_start():
    one_line(run("serve"), "without demo mode the service does not start")
    one_line(run("serve", CDS_DEMO="0", CDS_CLIENTS="clients.toml"), "without demo mode the service does not start")


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
    with running("serve", "--demo", "--port", str(port)) as process:
        until(answers(port), process)
        assert descendants(process.pid)
        ends_well(process, number)
        assert "DEMO MODE" in process.stdout.read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_during_the_start_ends_it_as_well(number):
    with running("serve", "--demo", "--port", str(free_port())) as process:
        time.sleep(0.6)
        ends_well(process, number)


def test_a_signal_ends_it_although_a_call_hangs():
    port = free_port()
    with running("serve", "--demo", "--port", str(port)) as process:
        until(answers(port), process)
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(b"POST /cds-services/b12-patient-view HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                         b"Content-Length: 100\r\n\r\n{")  # fmt: skip
            time.sleep(0.3)
            ends_well(process, signal.SIGTERM)


def test_over_a_real_connection_the_limits_hold():
    port = free_port()
    with running("serve", "--demo", "--port", str(port)) as process:
        until(answers(port), process)
        path = "/cds-services/b12-patient-view"
        status, headers, told = call(port, "POST", path, json.dumps(body()).encode())
        assert status == 200, told
        assert headers["Cache-Control"] == "no-store"
        assert re.fullmatch(r"read;dur=[\d.]+, decide;dur=[\d.]+, total;dur=[\d.]+", headers["Server-Timing"])
        assert call(port, "POST", path, b" " * 5_000_001)[0] == 413
        assert chunked(port, path, b" " * 5_000_001) == 413
        assert chunked(port, path, json.dumps(body()).encode()) == 200
        assert call(port, "GET", "/cds-services", Host="example.org")[0] == 403
        assert call(port, "GET", "/cds-services", **{"X-Forwarded-For": "10.0.0.1", "X-Forwarded-Host": "x"})[0] == 200
        assert call(port, "GET", "/none", SCRIPT_NAME="/none", **{"Path-Info": "/cds-services"})[0] == 404
        status, headers, told = call(port, "HEAD", "/cds-services")
        assert (status, told) == (200, b"")
        ends_well(process, signal.SIGTERM)
        log = process.stdout.read()
    calls = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert {"call", "refused"} <= {line["event"] for line in calls}
    assert all("pt-1" not in json.dumps(line) for line in calls)


def chunked(port: int, path: str, sent: bytes) -> int:
    """The status of a call whose body does not tell its length."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SOON)
    pieces = (sent[start : start + 65_536] for start in range(0, len(sent), 65_536))
    try:
        connection.request("POST", path, pieces, {"Content-Type": "application/json"}, encode_chunked=True)
        return connection.getresponse().status
    finally:
        connection.close()


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


def read_until(process: subprocess.Popen[str], words: str) -> str:
    seen = ""
    while words not in seen:
        line = process.stdout.readline()
        assert line, f"it ended: {seen}"
        seen += line
    return seen


def test_a_demo_whose_service_is_killed_says_so_and_ends():
    with running("demo") as process:
        read_until(process, "Ctrl-C")
        (service, *_) = descendants(process.pid)
        with_pid(service, signal.SIGKILL)
        assert process.wait(SOON) == 2
        assert "the service has ended by itself" in process.stdout.read()
