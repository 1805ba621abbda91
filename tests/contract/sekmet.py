"""SEKMET, a FHIR server on Python that is not ours: rest-hook Subscriptions and tokens of SMART Backend Services.

It brings a web framework and some forty libraries that nothing else here needs, so it has an environment of its own in
build/, made once.
"""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from joserfc.jwk import ECKey

from tests.conftest import ROOT
from tests.hooks.processes import free_port

Json = dict[str, Any]
VERSION = "0.1.1"
FOLDER = ROOT / "build" / f"sekmet-{VERSION}"
PATIENCE = 120.0  # seconds until it answers
CLIENT, OTHER = "b12-watch", "tests"  # who has a token: the watcher, and the test, which writes what a hospital would


@dataclass(frozen=True)
class Sekmet:
    """The running server, and a session of the test with a token."""

    base: str
    session: requests.Session

    @property
    def token_url(self) -> str:
        return self.base.replace("/fhir", "/auth/token")

    def call(self, method: str, address: str, body: Json | None = None) -> Json:
        """The resource that is answered; an error is a fault of the test."""
        headers = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}
        answer = self.session.request(method, f"{self.base}/{address}", json=body, headers=headers, timeout=60)
        assert answer.ok, (answer.status_code, answer.text)
        return answer.json() if answer.content else {}

    def put(self, resource: Json) -> None:
        self.call("PUT", f"{resource['resourceType']}/{resource['id']}", resource)

    def tasks(self, patient: str) -> list[Json]:
        return [each["resource"] for each in self.call("GET", f"Task?patient={patient}").get("entry", ())]


def program() -> Path:
    """Its command, installed if it is not yet. One process at a time installs it."""
    FOLDER.parent.mkdir(exist_ok=True)
    with Path(f"{FOLDER}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = FOLDER / "bin" / "sekmet"
        if not (FOLDER / "ready").is_file():
            subprocess.run([sys.executable, "-m", "venv", "--clear", FOLDER], check=True)
            pip = [FOLDER / "bin" / "python", "-m", "pip", "install", "--quiet", f"sekmet-fhir=={VERSION}"]
            subprocess.run(pip, check=True, timeout=600)
            (FOLDER / "ready").touch()
    return command


@contextmanager
def started(folder: Path, key: ECKey) -> Iterator[Sekmet]:
    """A server with no data, which gives a token to the holder of that key, and lets nobody in without one."""
    port = free_port()
    base = f"http://127.0.0.1:{port}/fhir"
    public = {"keys": [key.as_dict(private=False)]}
    clients = [
        {"client_id": CLIENT, "jwks": public, "scopes": "system/*.rs system/Task.cu"},
        {"client_id": OTHER, "client_secret": "of the tests", "scopes": "system/*.cruds"},
    ]
    settings = {
        "base_url": base, "host": "127.0.0.1", "port": port, "data_dir": str(folder),
        "server_auth": {"types": ["smart"], "smart_clients": clients},
        "simulator": {"enabled": False}, "subscriptions": {"notify_method": "post-endpoint"},
    }  # fmt: skip
    (folder / "settings.yaml").write_text(json.dumps(settings))  # JSON is YAML
    with (folder / "log").open("w") as log, requests.Session() as session:
        session.trust_env = False
        command = [program(), "serve", "--config", folder / "settings.yaml"]
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        try:
            running = Sekmet(base, session)
            session.headers["Authorization"] = f"Bearer {token(running)}"
            yield running
        finally:
            process.terminate()
            process.wait(30)


def token(server: Sekmet) -> str:
    """A token of the test's, when the server answers."""
    asked = {"grant_type": "client_credentials", "client_id": OTHER, "client_secret": "of the tests"}
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return str(server.session.post(server.token_url, data=asked, timeout=10).json()["access_token"])
        except requests.ConnectionError:
            assert time.monotonic() < until, "it does not answer"
            time.sleep(0.2)
