"""A real PostgreSQL for tests: a cluster of its own in a temporary folder, on this machine only, ended for certain."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.hooks.processes import descendants, free_port, with_pid

DEBIAN = Path("/usr/lib/postgresql")
USER, PASSWORD = "b12", "hunter2-of-the-store"
SECONDS = 60.0
QUICK = ("fsync=off", "full_page_writes=off", "max_connections=40", "shared_buffers=16MB", "listen_addresses=127.0.0.1")


def programs() -> Path | None:
    """The folder of PostgreSQL's programs, the newest there is; None where there is none."""
    found = shutil.which("pg_config")
    folders = [subprocess.run([found, "--bindir"], capture_output=True, text=True).stdout.strip()] if found else []
    folders += [str(path) for path in sorted(DEBIAN.glob("*/bin"), reverse=True)]
    return next((Path(folder) for folder in folders if folder and Path(folder, "initdb").exists()), None)


def installed() -> bool:
    return programs() is not None


def somebody() -> list[str]:
    """What to put before a command so that it does not run as root, which PostgreSQL refuses."""
    if os.getuid():
        return []
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]


@dataclass
class Cluster:
    """A PostgreSQL that can be stopped, killed, held still and started again."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    databases: int = 0

    def make(self) -> None:
        if not os.getuid():
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        told = self.folder / "password"
        told.write_text(PASSWORD)
        told.chmod(0o644)
        self._run("initdb", "-D", str(self.data), "-U", USER, "--auth=scram-sha-256", f"--pwfile={told}", "--no-sync",
                  "--encoding=UTF8", "--locale=C")  # fmt: skip

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def _run(self, program: str, *arguments: str) -> None:
        command = [*somebody(), str(programs() / program), *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=SECONDS)
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Until it takes connections."""
        options = [word for each in (*QUICK, f"port={self.port}", f"unix_socket_directories={self.folder}")
                   for word in ("-c", each)]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*somebody(), str(programs() / "postgres"), "-D", str(self.data), *options],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        latest = time.monotonic() + SECONDS
        while time.monotonic() < latest:
            with suppress(psycopg.OperationalError):
                psycopg.connect(self.dsn("postgres"), connect_timeout=2).close()
                return
            assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.1)
        raise AssertionError("PostgreSQL did not start in time")

    def end(self, number: int = signal.SIGQUIT) -> None:
        """SIGQUIT: at once, as after a crash; what was committed is there again after the next start."""
        if self.process is None:
            return
        self.go_on()
        with_pid(self.process.pid, number)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            for pid in [self.process.pid, *descendants(self.process.pid)]:
                with_pid(pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def hold(self) -> None:
        """It keeps its connections, takes new ones, and answers nobody."""
        for pid in [self.process.pid, *descendants(self.process.pid)]:
            with_pid(pid, signal.SIGSTOP)

    def go_on(self) -> None:
        for pid in [self.process.pid, *descendants(self.process.pid)]:
            with_pid(pid, signal.SIGCONT)

    def dsn(self, name: str) -> str:
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def database(self, template: str = "template1") -> str:
        """The URL of a new database: an empty one, or a copy of another."""
        self.databases += 1
        name = f"store{self.databases}"
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.dsn(name)


@contextmanager
def cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="b12-postgres-"))
    made = Cluster(folder)
    try:
        made.make()
        made.start()
        yield made
    finally:
        made.end()
        shutil.rmtree(folder, ignore_errors=True)
