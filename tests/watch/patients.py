"""People for the tests of the watcher, and a watcher of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cds_service.auth.watching import Watch
from cds_service.cdshooks.client_config import ClientConfig
from cds_service.fetching import Fetch, FetchFailed
from cds_service.http.addresses import parse_base
from cds_service.http.client import Outgoing, Reply, Send
from cds_service.store.pseudonyms import Key, Keys
from cds_service.watch.fhir_server import FhirServer
from cds_service.watch.state import State
from cds_service.watch.watcher import Watched, Watcher
from tests.book import service
from tests.watch.fhir_store import FhirStore, encoded

Json = dict[str, Any]
KEYS = Keys((Key("first", b"k" * 32),))
LOINC = "http://loinc.org"


def person(number: str, born: str = "1960-05-05") -> Json:
    return {"resourceType": "Patient", "id": number, "gender": "female", "birthDate": born}


def b12(of: str, value: float, day: str = "2026-01-13", name: str = "b12", status: str = "final") -> Json:
    """A result of total B12 in ng/L."""
    coding = {"system": LOINC, "code": "2132-9"}
    quantity = {"value": value, "unit": "ng/L", "system": "http://unitsofmeasure.org", "code": "ng/L"}
    return {
        "resourceType": "Observation", "id": f"{name}-{of}", "status": status, "code": {"coding": [coding]},
        "subject": {"reference": f"Patient/{of}"}, "effectiveDateTime": day, "valueQuantity": quantity,
    }  # fmt: skip


def watch(store: FhirStore, **changed: Any) -> Watch:
    """How the tests watch: Tasks are written, for the clinic."""
    given: Json = {
        "fhir": parse_base(store.base), "active": True, "least": "warning", "recall_from": "info",
        "owner": "Organization/b12-clinic", "performer": None, "name": "b12-cds", "results": ("b12",),
        "every_seconds": 60, "overlap_seconds": 300, "look_back_days": 7, "recheck_minutes": 60, "unanswered_days": 7,
        "private": True, "credentials": None,
    }  # fmt: skip
    return Watch(**{**given, **changed})


class Direct(FhirServer):
    """The tests' server, called without HTTP."""

    def __init__(self, store: FhirStore, watch: Watch) -> None:
        super().__init__(watch, None, 10_000_000)
        self.store = store

    def fetch(self, now: float) -> Fetch:
        def fetched(target: str, deadline: float) -> bytes:
            status, body = self.store.get(target)
            if status != 200:
                words = {404: "the FHIR server does not have it", 503: "the FHIR server failed"}
                raise FetchFailed(words[status], status)
            return encoded(body)

        return fetched

    def _send(self, now: float) -> Send:
        def sent(request: Outgoing, deadline: float) -> Reply:
            status, _ = self.store.send(request.method, request.target, request.headers, request.body)
            return Reply(status, {}, b"")

        return sent


class Lines:
    """A log that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[Json] = []

    def info(self, event: str, **said: Any) -> None:
        self.lines.append({"event": event, **said})

    warning = info


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, store: FhirStore) -> None:
        self.store = store

    def __call__(self) -> datetime:
        return self.store.now

    def move(self, **by: float) -> None:
        self.store.now += timedelta(**by)


@contextmanager
def watcher(
    store: FhirStore,
    folder: Path,
    *,
    by: type[FhirServer] | None = None,
    client: ClientConfig | None = None,
    **changed: Any,
) -> Iterator[Watcher]:
    """A watcher of this server, with its state in that folder."""
    how = watch(store, **changed)
    server = (by or Direct)(store, how) if by is not FhirServer else FhirServer(how, None, 10_000_000)
    folder.mkdir(exist_ok=True)
    state = State(folder / "watch.sqlite", KEYS)
    try:
        config = replace(client or service("uk-ng239"), name="ward")
        yield Watcher(Watched(config, how, server, state, Clock(store), Lines()))
    finally:
        state.close()
        server.close()


def look(watching: Watcher) -> None:
    """What one round does: look for results and open Tasks, and decide."""
    watching.poll()
    watching.note_open()
    watching.work()


def dose(of: str, day: str = "2026-01-14", status: str = "completed") -> Json:
    """An injection of hydroxocobalamin that was given."""
    coding = {"system": "http://www.whocc.no/atc", "code": "B03BA03", "display": "hydroxocobalamin"}
    return {
        "resourceType": "MedicationAdministration", "id": f"dose-{of}", "status": status,
        "medicationCodeableConcept": {"coding": [coding]}, "subject": {"reference": f"Patient/{of}"},
        "effectiveDateTime": day, "dosage": {"route": {"text": "IM"}, "dose": {"value": 1, "unit": "mg", "code": "mg"}},
    }  # fmt: skip
