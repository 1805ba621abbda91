"""The service as real processes, for tests: started, called, and ended for certain."""

from __future__ import annotations

import http.client
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from click.testing import CliRunner

from cds_service.cli import main
from tests.depth import is_thorough
from tests.endings import LATE, SOON
from tests.hooks.fork_server import become

COMMAND = "cds_service.cli"
CLI = [sys.executable, "-m", COMMAND]
AT_MOST = 10.0 + LATE  # seconds from a signal to the end
Started = TypeVar("Started", bound="Family")


def environment(**changed: str) -> dict[str, str]:
    """This environment without any setting of the service. The package is found as this process finds it."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("CDS_")}
    return plain | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)} | changed


def run(*arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
    """A command that ends, in this process: a second one would read and check the same content again.

    It has no setting of the service but those given. What it leaves behind (handlers of signals) is undone.
    """
    unset = {name: None for name in os.environ if name.startswith("CDS_")}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        done = CliRunner(env={**unset, **changed}).invoke(main, [*arguments], catch_exceptions=False)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return subprocess.CompletedProcess([*arguments], done.exit_code, done.stdout, done.stderr)


def run_apart(*arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own, as a person runs it."""
    return subprocess.run([*CLI, *arguments], env=environment(**changed), capture_output=True, text=True, timeout=SOON)


class Family:
    """A process with its descendants, whose output goes into a file: with a pipe that nobody empties it would stand
    still after 64 KiB of log, and whoever empties one waits for the last of its descendants."""

    pid: int
    output: Path

    def told(self) -> str:
        """All that they have written so far."""
        return self.output.read_text(errors="replace")

    def end(self) -> None:
        """For certain, and all of its family, those too whose parent is no more."""
        for pid in [self.pid, *descendants(self.pid)]:
            with_pid(pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait(SOON)


class Running(Family, subprocess.Popen[bytes]):
    """Any program."""

    def __init__(self, command: list[str], output: Path, **changed: str) -> None:
        self.output = output
        with output.open("wb") as written:
            super().__init__(
                command, env=environment(**changed), stdout=written, stderr=subprocess.STDOUT, start_new_session=True
            )


class Forked(Family):
    """A module with its arguments, as a fork of a process that has imported ours already: see fork_server.py."""

    def __init__(self, command: list[str], output: Path, **changed: str) -> None:
        self.output = output
        output.touch()
        how = multiprocessing.get_context("forkserver")
        how.set_forkserver_preload(["tests.hooks.imported"])
        given = (command, str(output), environment(**changed), str(Path.cwd()))
        self.process = how.Process(target=become, args=given)
        self.process.start()
        self.pid = self.process.pid

    def poll(self) -> int | None:
        """Its exit code, below zero if a signal ended it; None while it runs."""
        return self.process.exitcode

    def wait(self, seconds: float) -> int:
        """The exit code; subprocess.TimeoutExpired if it has none by then."""
        self.process.join(seconds)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", seconds)
        return code

    def send_signal(self, number: int) -> None:
        with_pid(self.pid, number)


def module(command: list[str], output: Path, **changed: str) -> Family:
    """A module with its arguments, in a process. A thorough run begins each as a person does."""
    if is_thorough():
        return Running([sys.executable, "-m", *command], output, **changed)
    return Forked(command, output, **changed)


@contextmanager
def running(*arguments: str, of: str = COMMAND, **changed: str) -> Iterator[Family]:
    """A command of ours that keeps running, or another module; whatever happens, nothing of it is left."""
    with ended(partial(module, [of, *arguments]), **changed) as process:
        yield process


@contextmanager
def begun(*arguments: str, **changed: str) -> Iterator[Family]:
    """The same as a person begins it, always: for what is about the start."""
    with program([*CLI, *arguments], **changed) as process:
        yield process


@contextmanager
def program(command: list[str], **changed: str) -> Iterator[Running]:
    """As `begun`, for any program."""
    with ended(partial(Running, command), **changed) as process:
        yield process


@contextmanager
def ended(make: Callable[..., Started], **changed: str) -> Iterator[Started]:
    """What is made has a folder for its own files, which goes with it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as written:
        temporary = Path(written, "tmp")
        temporary.mkdir()
        process = make(Path(written, "output"), **{"TMPDIR": str(temporary), **changed})
        try:
            yield process
        finally:
            process.end()


def with_pid(pid: int, number: int) -> bool:
    """Send a signal; False if there is no such process any more."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def catches(pid: int, number: int) -> bool:
    """Has the process a handler of its own for that signal?"""
    mask = re.search(r"^SigCgt:\s*([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return bool(int(mask[1], 16) & 1 << (number - 1))


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


def call(
    port: int, method: str, path: str, sent: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SOON)
    try:
        connection.request(method, path, sent, {"Content-Type": "application/json", **headers} if sent else headers)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def insist(
    port: int, method: str, path: str, sent: bytes, headers: Callable[[], dict[str, str]] = dict
) -> tuple[int, dict[str, str], bytes]:
    """Call again, with headers made anew, for as long as it is told to come again: a busy machine is no fault."""
    latest = time.monotonic() + SOON
    while (answer := call(port, method, path, sent, **headers()))[0] == 503 and time.monotonic() < latest:
        time.sleep(0.05)
    return answer


def until(done: Callable[[], bool], process: Family) -> None:
    latest = time.monotonic() + SOON
    while not done():
        assert time.monotonic() < latest, "it takes too long"
        assert process.poll() is None, f"it ended: {process.told()}"
        time.sleep(0.05)


def answers(port: int) -> Callable[[], bool]:
    def discovery() -> bool:
        try:
            return call(port, "GET", "/cds-services")[0] == 200
        except OSError:
            return False

    return discovery


def ends_well(process: Running, number: int) -> None:
    """Exit 0 within ten seconds of a quiet machine, and none of its processes is left."""
    family = descendants(process.pid)
    asked = time.monotonic()
    process.send_signal(number)
    assert process.wait(SOON) == 0, process.told()
    assert time.monotonic() - asked < AT_MOST
    left = [pid for pid in family if with_pid(pid, 0)]
    assert not left


def one_line(finished: subprocess.CompletedProcess[str], says: str, code: int = 2) -> None:
    """Ended with that exit code and one line on the standard error stream, without a trace."""
    assert finished.returncode == code, finished.stderr
    assert finished.stderr.startswith("b12-cds: ")
    assert finished.stderr.count("\n") == 1, finished.stderr
    assert says in finished.stderr


def chunked(port: int, path: str, sent: bytes) -> int:
    """The status of a call whose body does not tell its length."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SOON)
    pieces = (sent[start : start + 65_536] for start in range(0, len(sent), 65_536))
    try:
        connection.request("POST", path, pieces, {"Content-Type": "application/json"}, encode_chunked=True)
        return connection.getresponse().status
    finally:
        connection.close()


def read_until(process: Running, words: str) -> str:
    """What it has written, as soon as these words are in it."""
    until(lambda: words in process.told(), process)
    return process.told()
