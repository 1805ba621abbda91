"""The demo: a service of its own on this machine, one call about an example patient, its cards; it goes on serving.

What the demo stores (the service's log) lies in a temporary folder that is deleted at its end.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel

from ..content.content import load_content
from ..content.files import cards_folder
from ..examples.vignette_fhir import request_bytes
from ..examples.vignettes import Vignette, shipped_vignettes
from ..server.server import GRACE, HOST, PortTaken, listen
from .display import console, show_cards

PATIENT = "uk-ng239/03-molar-132-paraesthesia-metformin"
TRIED_PORTS = 100
SECONDS_TO_START = 60
DISCOVERY, CALL = "/cds-services", "/cds-services/b12-patient-view"


class DemoFailed(Exception):
    """The demo cannot go on. Its text is for the person who started it."""


def run_demo(port: int | None, first_port: int) -> None:
    """Everything, until a signal (SystemExit) or until the service ends by itself."""
    listening = free_port(range(port, port + 1) if port else range(first_port, first_port + TRIED_PORTS))
    chosen = listening.getsockname()[1]
    out = console()
    out.print(Panel(f"Only this machine is answered, at http://{HOST}:{chosen}\nNo client is authenticated. "
                    "Not for real patients.", title="DEMO MODE", style="bold", expand=False))  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="b12-cds-demo-") as folder, service(listening, Path(folder)) as child:
        wait_until_ready(child, chosen, log_file(folder))
        show_example(out, chosen)
        out.print(f"\nServing on http://{HOST}:{chosen}{DISCOVERY}. Log: {log_file(folder)}. Ctrl-C ends the demo.")
        child.wait()
        raise DemoFailed(f"the service has ended by itself: {last_line(log_file(folder))}")


def free_port(ports: range) -> socket.socket:
    """A socket that listens on the first of these ports that nobody has."""
    for port in ports:
        try:
            return listen(HOST, port)
        except PortTaken as error:
            fault = error
    raise DemoFailed(str(fault) if len(ports) == 1 else f"no free port from {ports[0]} to {ports[-1]}")


@contextmanager
def service(
    listening: socket.socket, folder: Path, settings: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The service as a child in a session of its own, so that it is ended by us and only once.

    It inherits the socket: between looking for a free port and listening there nobody else can come first. `settings`
    go before those of the environment.
    """
    port, descriptor = listening.getsockname()[1], listening.fileno()
    command = [sys.executable, "-m", "cds_service.cli", "serve", "--demo", "--host", HOST, "--port", str(port)]
    command += ["--descriptor", str(descriptor)]
    environment = {**os.environ, **(settings or {}), "TMPDIR": str(folder)}
    child = None
    try:
        with listening, log_file(folder).open("wb") as log:
            child = subprocess.Popen(  # noqa: S603 (our own program, no shell)
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(descriptor,),
            )
        yield child
    finally:
        if child:
            end(child)


def end(child: subprocess.Popen[bytes]) -> None:
    """End the child and all that it started; further signals do not disturb this."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    child.terminate()
    with suppress(subprocess.TimeoutExpired):
        child.wait(GRACE + 1)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def wait_until_ready(child: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until discovery answers."""
    latest = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < latest:
        if child.poll() is not None:
            raise DemoFailed(f"the service did not start: {last_line(log)}")
        try:
            if call(port, "GET", DISCOVERY)[0] == 200:
                return
        except OSError:
            time.sleep(0.05)
    raise DemoFailed(f"the service did not start within {SECONDS_TO_START} s: {last_line(log)}")


def show_example(out: Console, port: int) -> None:
    """Fire the example call over HTTP and print its cards."""
    example = example_patient()
    request = request_bytes(example, load_content(cards_folder()))
    out.print(f"\nThe example patient: {example.title}\nPOST {CALL} (hook patient-view) answers:\n")
    status, answer = call(port, "POST", CALL, request)
    if status != 200:
        raise DemoFailed(f"the service answered {status}: {answer}")
    show_cards(out, answer["cards"])


def example_patient() -> Vignette:
    """A fixture patient, with days counted back from today."""
    vignette = shipped_vignettes()[PATIENT]
    return replace(vignette, as_of=datetime.now(UTC).date())


def call(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
    """One HTTP call to the service: status and decoded answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def log_file(folder: str | Path) -> Path:
    return Path(folder) / "service.log"


def last_line(log: Path) -> str:
    """What the service said last."""
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
