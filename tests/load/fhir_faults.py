"""A FHIR server that fails in one way at a time, and what the service answers to a call that needs it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.fhir import loopback
from tests.hooks.calling import PATH
from tests.hooks.living import PATIENT, b12, bundle, fhir_server
from tests.load.crowd import TIMEOUT, USER, post
from tests.load.installation import Installation, installed
from tests.store.postgres import Cluster

SEARCH = "Observation"
OTHER = {**PATIENT, "id": "pt-2"}
OUTCOME = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}


def without_end(handler: loopback.Handler) -> None:
    """A page that names the next one, for ever."""
    page = int(handler.path.rpartition("page=")[2]) if "page=" in handler.path else 0
    link = [{"relation": "next", "url": f"{handler.server.base}/Observation?page={page + 1}"}]
    loopback.fhir(bundle(total=10_000, link=link))(handler)


def moved(handler: loopback.Handler) -> None:
    loopback.status(302, Location=f"{handler.server.base}/Elsewhere")(handler)


def html() -> loopback.Answer:
    return loopback.body(b"<html><body>Please log in</body></html>", Content_Type="text/html")


# what it does -> paths that answer otherwise than a server that is well
FAULTS: dict[str, dict[str, loopback.Answer]] = {
    "is well": {},
    "answers after 0.5 s": {SEARCH: loopback.after(0.5, loopback.fhir(bundle(b12())))},
    "hangs": {SEARCH: loopback.never},
    "sends a byte every 50 ms": {SEARCH: loopback.drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{")},
    "resets the connection": {SEARCH: loopback.reset},
    **{f"answers {code}": {SEARCH: loopback.status(code)} for code in (401, 403, 404, 410, 429, 500, 503)},
    "answers HTML": {SEARCH: html()},
    "sends half a body": {SEARCH: loopback.half(json.dumps(bundle(b12())).encode())},
    "sends gzip that unpacks to 1 GB": {SEARCH: loopback.gzip_bomb(1000)},
    "has 10,000 pages": {SEARCH: without_end},
    "redirects": {SEARCH: moved},
    "answers an OperationOutcome": {SEARCH: loopback.fhir(OUTCOME)},
    "has another patient's results": {
        SEARCH: loopback.fhir(bundle(b12(subject={"reference": "Patient/pt-2"}))),
    },
    "gives another Patient": {"Patient/pt-1": loopback.fhir(OTHER)},
}


@dataclass(frozen=True)
class Outcome:
    """How one call was answered."""

    name: str
    status: str
    says: str
    ms: float
    requests: int


def tried(postgres: Cluster, folder: Path) -> Iterator[Outcome]:
    """One call without prefetch for each fault, while the only FHIR server fails in that way."""
    with loopback.serving(fhir_server()) as server:
        fhir = [{"base": server.base, "anonymous": True, "private": True}]
        with installed(postgres, folder, workers=1, fhir=fhir) as made:
            for name, answers in FAULTS.items():
                server.answers = fhir_server(**answers)
                server.requests.clear()
                yield asked(made, server, name)


def asked(made: Installation, server: loopback.Server, name: str) -> Outcome:
    context = {"userId": USER, "patientId": PATIENT["id"]}
    body = {"hook": "patient-view", "hookInstance": str(uuid.uuid4()), "context": context, "fhirServer": server.base}
    connection = HTTPConnection("127.0.0.1", made.port, timeout=TIMEOUT)
    began = time.monotonic()
    status, answer, _ = post(connection, PATH, made.token(PATH), body)
    taken = (time.monotonic() - began) * 1000
    connection.close()
    return Outcome(name, status, said(answer), taken, len(server.requests))


def said(answer: dict[str, Any]) -> str:
    """The first sentence that a person would read."""
    if "cards" in answer:
        return "; ".join(card["summary"] for card in answer["cards"][:1]) or "no card"
    return "; ".join(issue["details"]["text"] for issue in answer.get("issue", []))
