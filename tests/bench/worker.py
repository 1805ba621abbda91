"""One gunicorn with one sync worker on a free loopback port, and what the kernel says that worker has used."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes
    seconds: float


class Server:
    """A gunicorn for as long as the `with` block lasts; ended by its own process id."""

    def __init__(self, app: str, folder: Path, environment: dict[str, str]) -> None:
        self.port = free_port()
        self.app = app
        self.folder = folder
        # HOME: gunicorn may keep a control socket there, and it should go when the folder goes
        self.environment = os.environ | environment | {"HOME": str(folder)}

    def __enter__(self) -> Server:
        options = ["--workers=1", "--worker-class=sync", "--log-level=warning", f"--bind=127.0.0.1:{self.port}"]
        with (self.folder / "stderr").open("wb") as log:
            self.master = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", *options, self.app],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        try:
            self.wait_until_it_answers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.master.terminate()
        try:
            self.master.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.master.kill()
            self.master.wait()

    def wait_until_it_answers(self) -> None:
        until = time.monotonic() + 30
        while self.master.poll() is None and time.monotonic() < until:
            try:
                if self.call("GET", "/cds-services").status == 200:
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"{self.app} did not start:\n{self.log()}")

    def log(self) -> str:
        """The end of what the server said."""
        return (self.folder / "stderr").read_text()[-2000:]

    def call(self, method: str, path: str, body: bytes | None = None) -> Reply:
        """One request on its own connection, as a sync worker has it, timed from before connecting to the last byte."""
        start = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, JSON if body else {})
            answer = connection.getresponse()
            read = answer.read()
        finally:
            connection.close()
        return Reply(answer.status, read, time.perf_counter() - start)

    @property
    def worker(self) -> int:
        """The process id of the one worker: the child of the master."""
        (stat,) = (stat for stat in Path("/proc").glob("[0-9]*/stat") if parent(stat) == self.master.pid)
        return int(stat.parent.name)

    def cpu_seconds(self) -> float:
        """User and system time of the worker since it started."""
        fields = Path(f"/proc/{self.worker}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_mib(self) -> float:
        """Proportional set size of the worker: its own memory and its share of what it shares."""
        lines = Path(f"/proc/{self.worker}/smaps_rollup").read_text().splitlines()
        (pss,) = (line.split()[1] for line in lines if line.startswith("Pss:"))
        return int(pss) / 1024


def parent(stat: Path) -> int | None:
    """The parent of a process, or None if it has just ended."""
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
