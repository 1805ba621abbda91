"""A real HAPI FHIR server as the tests use it: loaded, searched to the last page, changed, and halted."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import requests

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
JSON = "application/fhir+json"
ORIGINS = "https://sandbox.cds-hooks.org,http://localhost:8080"  # pages in a browser that may read the server
SECONDS = 60.0
ENCODER = msgspec.json.Encoder(decimal_format="number")


@dataclass
class Found:
    """What a search found: the matches, and on how many pages."""

    matches: list[Json] = field(default_factory=list)
    pages: int = 0

    @property
    def ids(self) -> list[str]:
        return sorted(each["id"] for each in self.matches)


@dataclass(frozen=True)
class Hapi:
    """The running server."""

    base: str
    pid: int
    session: requests.Session

    def call(self, method: str, address: str, body: Any = None) -> tuple[int, Json]:
        """Status and resource. Nothing is answered from an earlier search. `address` is absolute or below the base."""
        response = self.session.request(
            method,
            address if "://" in address else f"{self.base}/{address}".rstrip("/"),
            data=None if body is None else ENCODER.encode(body),
            headers={"Content-Type": JSON, "Accept": JSON, "Cache-Control": "no-cache"},
            timeout=SECONDS,
        )
        return response.status_code, response.json() if response.content else {}

    def put(self, resource: Json) -> None:
        """Write a resource under its own id."""
        status, told = self.call("PUT", f"{resource['resourceType']}/{resource['id']}", resource)
        assert status in (200, 201), told

    def delete(self, reference: str) -> None:
        status, told = self.call("DELETE", reference)
        assert status in (200, 204), told

    def load(self, resources: Sequence[Json]) -> None:
        """Write all of them in one transaction."""
        entries = [
            {"resource": each, "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"}}
            for each in resources
        ]
        status, told = self.call("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
        assert status == 200, told
        assert {entry["response"]["status"][:3] for entry in told["entry"]} <= {"200", "201"}

    def search(self, query: str) -> Found:
        """Every match, page after page, as the query stands."""
        found, address = Found(), query
        while address:
            status, page = self.call("GET", address)
            assert status == 200, (query, page)
            entries = page.get("entry", [])
            found.matches += [each["resource"] for each in entries if each["search"]["mode"] == "match"]
            found.pages += 1
            address = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
        return found

    @contextmanager
    def halted(self) -> Iterator[None]:
        """The server takes calls and answers none, as one does that is overloaded; afterwards it goes on."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def faults(self, resource: Json) -> list[str]:
        """What the server's own validator finds wrong in a resource: its errors, each with its place."""
        status, told = self.call("POST", f"{resource['resourceType']}/$validate", resource)
        assert told["resourceType"] == "OperationOutcome", (status, told)
        wrong = [each for each in told["issue"] if each["severity"] in ("error", "fatal")]
        return [f"{each.get('location', ['?'])[0]}: {each['diagnostics']}" for each in wrong]


def echo(kind: str, messages: Sequence[bytes]) -> list[bytes]:
    """What HAPI's CDS Hooks classes write again of each message, or b"fault: ..."; the server is not needed for it."""
    run = launcher()
    run.ensure_built(print)
    jars = os.pathsep.join([str(run.TARGET / "classes"), run.CLASSPATH.read_text()])
    command = [run.java(), *run.QUICK, "-cp", jars, "hapi.CdsHooksEcho", kind]
    lines = b"".join(b" ".join(each.splitlines()) + b"\n" for each in messages)
    done = subprocess.run(command, input=lines, capture_output=True, timeout=SECONDS * 5, check=True)
    return done.stdout.splitlines()


@contextmanager
def started() -> Iterator[Hapi]:
    """A server of our own with no data; pages of 10, of 50 at most."""
    with (
        launcher().started(0, print, page_size=10, largest_page=50, origins=ORIGINS) as (base, program),
        requests.Session() as session,
    ):
        session.trust_env = False
        yield Hapi(base, program.process.pid, session)


def launcher() -> ModuleType:
    """deploy/hapi/run.py, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("hapi_run", ROOT / "deploy" / "hapi" / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
