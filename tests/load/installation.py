"""A service with clients, two workers and PostgreSQL, all real processes of this machine, for load and faults."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.hooks import tokens
from tests.hooks.processes import COMMAND, Family, descendants, free_port, module, run, with_pid
from tests.store.postgres import Cluster

ENDED_WITHIN = 60.0  # seconds; on a quiet machine ten


@dataclass
class Installation:
    """What runs, and where."""

    postgres: Cluster | None
    url: str
    port: int
    service: Family
    log: Path

    @property
    def public(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def token(self, path: str, **changed: Any) -> str:
        """A token for one address of the service, good for an hour."""
        now = time.time()
        return tokens.signed(tokens.claims(aud=self.public + path, iat=now, exp=now + 3_000, **changed))

    def workers(self) -> list[int]:
        """Process ids of those that answer calls."""
        return descendants(self.service.pid)

    def kill_a_worker(self) -> None:
        with_pid(self.workers()[0], signal.SIGKILL)

    def end(self) -> None:
        """As an operator ends it: what is waiting to be written is written."""
        self.service.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.service.wait(ENDED_WITHIN)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log lines of that name."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [told for told in map(json.loads, lines) if told["event"] == name]


def done(*arguments: str, **settings: str) -> str:
    """What a command prints that ends well."""
    ended = run(*arguments, **settings)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@contextmanager
def installed(postgres: Cluster | None, folder: Path, workers: int = 2, **client: Any) -> Iterator[Installation]:
    """The service, answering. `client` is what its clients.toml says of its one client beside issuer and keys. Without
    PostgreSQL its store is a SQLite file in the folder."""
    port, url = free_port(), postgres.database() if postgres else f"sqlite:///{folder}/store.sqlite"
    said = {"public_base_url": f"http://127.0.0.1:{port}", "jti": "until-exp", "rate": 100_000, **client}
    clients = tokens.write(folder, main=said)
    keys = folder / "store.keys"
    settings = {"CDS_STORE_URL": url, "CDS_STORE_KEYS": str(keys), "CDS_CLIENTS": str(clients)}
    keys.write_text(done("store", "new-key"))
    keys.chmod(0o600)
    done("store", "upgrade", **settings)
    log = folder / "service.log"
    service = module([COMMAND, "serve", "--port", str(port)], log, **settings, CDS_WORKERS=str(workers))
    try:
        found = Installation(postgres, url, port, service, log)
        wait_until_ready(found)
        yield found
    finally:
        service.end()


def wait_until_ready(made: Installation) -> None:
    latest = time.monotonic() + 60
    while time.monotonic() < latest:
        assert made.service.poll() is None, made.log.read_text()[-2000:]
        with closing(HTTPConnection("127.0.0.1", made.port, timeout=5)) as connection, suppress(OSError):
            connection.request("GET", "/readyz")
            if b'"status":"ok"' in connection.getresponse().read():
                return
        time.sleep(0.1)
    raise AssertionError(f"not ready in time: {made.log.read_text()[-2000:]}")


def machine() -> str:
    """What it was measured on."""
    return f"{os.cpu_count()} shared cores, Python {sys.version.split()[0]}"
