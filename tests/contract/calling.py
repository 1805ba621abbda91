"""The service over HTTP, as a client calls it that has a FHIR server: with prefetch, without, or with a part of it."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import msgspec
from werkzeug.serving import WSGIRequestHandler, make_server

from cds_service import app as application
from cds_service.app import create_app
from cds_service.settings import Settings
from tests import golden
from tests.endings import all_ended

PATH = "/cds-services/b12-patient-view"
SECONDS = 60.0
HOOK_INSTANCE = "5f0d2a0e-3a1b-4f0c-9a55-5d6b8f1f6b12"


class Quiet(WSGIRequestHandler):
    """No line on the terminal per call."""

    def log_request(self, *_: Any) -> None:
        pass


@dataclass(frozen=True)
class Answer:
    """What came back, and after how many seconds."""

    status: int
    body: bytes
    seconds: float

    @property
    def cards(self) -> list[dict[str, Any]]:
        assert self.status == 200, self.body
        return msgspec.json.decode(self.body)["cards"]

    @property
    def summaries(self) -> list[str]:
        return [card["summary"] for card in self.cards]

    @property
    def missing(self) -> list[str]:
        """The keys that a 412 names, with the reason."""
        assert self.status == 412, self.body
        return [issue["details"]["text"] for issue in msgspec.json.decode(self.body)["issue"]]


@dataclass(frozen=True)
class Service:
    """A running service, and the FHIR server that calls to it name."""

    port: int
    fhir: str

    def call(self, patient: str, prefetch: dict[str, Any] | None = None, **changed: Any) -> Answer:
        """A patient-view call about a patient. `prefetch` may hold raw JSON."""
        body = {
            "hook": "patient-view",
            "hookInstance": HOOK_INSTANCE,
            "fhirServer": self.fhir,
            "context": {"userId": "Practitioner/example-gp", "patientId": patient},
            "prefetch": prefetch or {},
        }
        return self.post(msgspec.json.encode(body | changed))

    def post(self, body: bytes, path: str = PATH) -> Answer:
        begun = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return Answer(response.status, response.read(), time.monotonic() - begun)
        finally:
            connection.close()


@contextmanager
def serving(fhir: str, prefetch: str = "full", seconds: float = SECONDS) -> Iterator[Service]:
    """The service in demo mode on a port of its own, on the day of the golden pairs. It has so long for a call: on a
    busy machine a part of the record would come late, and the answer name it."""
    with patch.object(application, "DEMO_SECONDS", seconds):
        app = create_app(Settings(demo=True, prefetch=prefetch, store_url="none"), clock=lambda: golden.NOW)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield Service(server.server_port, fhir)
    finally:
        server.shutdown()
        server.server_close()
        all_ended([thread])
