"""Everything of compose.yaml as processes of this machine: PostgreSQL, the image's service with its workers, the proxy
with TLS in front, and a client that signs. The same steps in the same order, with this machine's folders and ports."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tests.deploy.image import ROOT, Image
from tests.deploy.manifests import compose
from tests.deploy.proxy import certificate, configured, proxied
from tests.hooks.processes import descendants, free_port, with_pid
from tests.store.postgres import Cluster

SCRIPT = ROOT / "deploy" / "signed_call.py"
ISS = "https://ehr.example.org/fhir"
CLIENTS = """[client.trial]
iss = "{iss}"
keys = {{ file = "trial.jwks.json" }}
public_base_url = "{base}"
"""


@dataclass
class Installation:
    """What runs, and where."""

    image: Image
    folder: Path
    port: int  # of the proxy
    inside: int  # of the service
    metrics: int
    service: subprocess.Popen[bytes]

    @property
    def base(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def signed(self, *arguments: str | Path, key: str = "client.key.json") -> subprocess.CompletedProcess[str]:
        """deploy/signed_call.py, run with what the image has installed and nothing else."""
        who = ["--key", self.folder / key, "--iss", ISS, "--base", self.base]
        return python(self.image, SCRIPT, *arguments, *who, "--ca", self.folder / "tls_certificate")

    def log(self) -> str:
        return (self.folder / "service.log").read_text()


def script() -> ModuleType:
    """deploy/signed_call.py, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("signed_call", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def python(image: Image, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return image.run(["/opt/b12-cds/bin/python", *map(str, arguments)])


def secrets(image: Image, folder: Path, database: str) -> None:
    """As deploy/README.md says: files for the store's address and keys."""
    (folder / "CDS_STORE_URL").write_text(database)
    (folder / "store_keys").write_text(image.run(image.entry("store", "new-key"), check=True).stdout)
    for file in folder.iterdir():
        file.chmod(0o600)


def clients(image: Image, folder: Path, base: str) -> None:
    """A client with a key pair of its own, and the file that knows it."""
    made = python(image, SCRIPT, "new-key", folder / "client.key.json")
    assert made.returncode == 0, made.stderr
    (folder / "trial.jwks.json").write_text(made.stdout)
    (folder / "clients.toml").write_text(CLIENTS.format(iss=ISS, base=base))


def settings(name: str, folder: Path, metrics: int) -> dict[str, str]:
    """What compose.yaml sets for a service, with this machine's places."""
    here = {
        "CDS_CLIENTS": str(folder / "clients.toml"),
        "CDS_SECRETS_DIR": str(folder),
        "CDS_STORE_KEYS": str(folder / "store_keys"),
        "CDS_METRICS_PORT": str(metrics),
        "CDS_METRICS_HOST": "127.0.0.1",
    }
    told = compose()["services"][name]["environment"]
    return {key: here.get(key, value) for key, value in told.items()}


@contextmanager
def installed(image: Image, postgres: Cluster, folder: Path) -> Iterator[Installation]:
    port, inside, metrics = free_port(), free_port(), free_port()
    certificate(folder)
    secrets(image, folder, postgres.database())
    clients(image, folder, f"https://127.0.0.1:{port}")
    upgrade = compose()["services"]["upgrade"]["command"]
    image.run(image.entry(*upgrade), check=True, **settings("upgrade", folder, metrics))
    command = image.command(image.entry("serve", "--host", "127.0.0.1", "--port", str(inside)))
    variables = image.variables() | settings("service", folder, metrics)
    with (folder / "service.log").open("wb") as log:
        service = subprocess.Popen(
            command, cwd=image.real(image.folder), env=variables, stdout=log, stderr=log, start_new_session=True
        )
    try:
        made = Installation(image, folder, port, inside, metrics, service)
        with proxied(configured(folder, port, inside)):
            healthy(made)
            yield made
    finally:
        for pid in [service.pid, *descendants(service.pid)]:
            with_pid(pid, 9)
        service.wait(60)


def health(made: Installation) -> int:
    """The image's own HEALTHCHECK."""
    command = json.loads(made.image.last.said("HEALTHCHECK").partition("CMD ")[2])
    return made.image.run([word.replace("8000", str(made.inside)) for word in command]).returncode


def healthy(made: Installation) -> None:
    latest = time.monotonic() + 60
    while health(made) or not listens(made.port):
        assert made.service.poll() is None, made.log()
        assert time.monotonic() < latest, made.log()
        time.sleep(0.2)


def listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def written(folder: Path) -> dict[str, tuple[int, int]]:
    """Path -> size and time of change of every file below: equal if nothing was written."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            told = (Path(place) / name).lstat()
            found[str(Path(place) / name)] = (told.st_size, told.st_mtime_ns)
    return found
