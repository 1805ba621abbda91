"""A FHIR server of the tests: in memory, with versions, conditional create, If-Match, pages, and a clock of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from tests.endings import all_ended

Json = dict[str, Any]
ENCODER = msgspec.json.Encoder(decimal_format="number")
NOTHING: Json = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "processing"}]}


def encoded(resource: Json) -> bytes:
    """As it goes over the wire: numbers with their zeros."""
    return ENCODER.encode(resource)


NOT_SEARCHED: Json = {  # as sekmet-fhir answers
    "resource": {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "not-supported"}]},
    "search": {"mode": "outcome"},
}


@dataclass
class FhirStore:
    """The resources by reference, and how the server fails. `page`: entries on one."""

    base: str = "http://127.0.0.1:1/fhir"
    now: datetime = datetime(2026, 1, 15, 12, tzinfo=UTC)
    page: int = 3
    down: bool = False
    failing: set[str] = field(default_factory=set)  # types of resource that answer 503
    missing: set[str] = field(default_factory=set)  # types of resource that answer 404
    unsearched: set[str] = field(default_factory=set)  # types of resource that it cannot search by patient, and says so
    resources: dict[str, Json] = field(default_factory=dict)
    writes: list[tuple[str, str, int]] = field(default_factory=list)  # method, target, status
    doubles: int = 0  # Tasks that were created though there was one of the same identifier
    reads: int = 0
    tokens: set[str] | None = None  # None: nobody needs one
    token_endpoint: Callable[[bytes], tuple[int, Json]] | None = None  # what POST /token answers
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def put(self, resource: Json) -> Json:
        """Write a resource as its author would, under its own id."""
        with self._lock:
            reference = f"{resource['resourceType']}/{resource['id']}"
            version = int(self.resources.get(reference, {"meta": {"versionId": "0"}})["meta"]["versionId"]) + 1
            self.now += timedelta(milliseconds=7)
            meta = {"versionId": str(version), "lastUpdated": self.now.isoformat(timespec="milliseconds")}
            self.resources[reference] = json.loads(encoded({**resource, "meta": meta}), parse_float=Decimal)
            return self.resources[reference]

    def of_type(self, kind: str) -> list[Json]:
        with self._lock:
            return [each for each in self.resources.values() if each["resourceType"] == kind]

    @property
    def tasks(self) -> list[Json]:
        return self.of_type("Task")

    @property
    def open_tasks(self) -> list[Json]:
        return [each for each in self.tasks if each["status"] == "requested"]

    def get(self, target: str) -> tuple[int, Json]:
        """The answer to GET: a read, or a page of a search."""
        with self._lock:
            self.reads += 1
            parts = urlsplit(target.removeprefix(self.base).lstrip("/"))
            kind = parts.path.partition("/")[0]
            if self.down or kind in self.failing:
                return 503, NOTHING
            if kind in self.missing:
                return 404, NOTHING
            if "/" in parts.path:
                found = self.resources.get(unquote(parts.path))
                return (200, found) if found else (404, NOTHING)
            if kind in self.unsearched:
                return 200, {"resourceType": "Bundle", "type": "searchset", "total": 0, "entry": [NOT_SEARCHED]}
            return 200, self._searched(kind, parse_qsl(parts.query))

    def _searched(self, kind: str, query: list[tuple[str, str]]) -> Json:
        asked = dict(query)
        start = int(asked.pop("_start", 0))
        found = [each for each in self.of_type(kind) if all(matches(each, *one) for one in asked.items())]
        if asked.get("_sort") == "_lastUpdated":
            found.sort(key=lambda each: each["meta"]["lastUpdated"])
        entries = [{"resource": each, "search": {"mode": "match"}} for each in found[start : start + self.page]]
        bundle: Json = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
        if start + self.page < len(found):
            again = "&".join(f"{name}={value}" for name, value in asked.items()).replace("|", "%7C").replace("+", "%2B")
            following = f"{self.base}/{kind}?{again}&_start={start + self.page}"
            bundle["link"] = [{"relation": "next", "url": following}]
        return bundle

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Json]:
        """The answer to POST or PUT, with their conditions."""
        with self._lock:
            status = 503 if self.down else self._sent(method, target, headers, json.loads(body, parse_float=Decimal))
            self.writes.append((method, target, status))
            return status, {}

    def _sent(self, method: str, target: str, headers: Mapping[str, str], resource: Json) -> int:
        if method == "POST":
            condition = dict(parse_qsl(headers.get("If-None-Exist", "")))
            same = [each for each in self.of_type(target) if all(matches(each, *one) for one in condition.items())]
            if condition and same:
                return 200 if len(same) == 1 else 412
            self.doubles += any(each.get("identifier") == resource["identifier"] for each in self.tasks)
            number = len(self.tasks) + 1
            self.put({**resource, "id": f"t{number}"})
            return 201
        there = self.resources.get(target)
        if there is None:
            return 404
        if headers.get("If-Match") not in (None, f'W/"{there["meta"]["versionId"]}"'):
            return 412
        self.put({**resource, "id": there["id"]})
        return 200


def matches(resource: Json, name: str, value: str) -> bool:
    """Does a search parameter match? What it does not know is a fault of the test."""
    if name in ("_count", "_sort"):
        return True
    if name == "_lastUpdated":
        at = datetime.fromisoformat(resource["meta"]["lastUpdated"])
        return at > datetime.fromisoformat(value.removeprefix("gt"))
    if name == "patient":
        subject = next((resource[each] for each in ("subject", "patient", "for") if each in resource), {})
        return subject.get("reference") == f"Patient/{value.removeprefix('Patient/')}"
    if name == "_id":
        return resource["id"] in value.split(",")
    if name == "status":
        return resource.get("status") == value
    if name == "identifier":
        pairs = [f"{each['system']}|{each['value']}" for each in resource.get("identifier", ())]
        return value in pairs
    if name == "code":
        concept = resource.get("code") or resource.get("medicationCodeableConcept") or {}
        codings = concept.get("coding", ())
        pairs = {f"{each.get('system')}|{each.get('code')}" for each in codings} | {
            each.get("code") for each in codings
        }
        return bool(pairs & set(value.split(",")))
    if name == "medication.code":
        return False
    raise AssertionError(f"the tests' server knows no {name}")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.answer(*self.server.store.get(self.path.removeprefix("/fhir/")))

    def do_POST(self) -> None:
        self.written("POST")

    def do_PUT(self) -> None:
        self.written("PUT")

    def written(self, method: str) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/token":
            self.told(*self.server.store.token_endpoint(body))
            return
        self.answer(*self.server.store.send(method, self.path.removeprefix("/fhir/"), self.headers, body))

    def answer(self, status: int, body: Json) -> None:
        tokens = self.server.store.tokens
        if tokens is not None and self.headers.get("Authorization", "").removeprefix("Bearer ") not in tokens:
            status, body = 401, NOTHING
        self.told(status, body)

    def told(self, status: int, body: Json) -> None:
        raw = encoded(body)
        with suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", "application/fhir+json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

    def log_message(self, *_: Any) -> None:
        pass


class HttpServer(ThreadingHTTPServer):
    request_queue_size = 64
    daemon_threads = True

    def __init__(self, store: FhirStore) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.store = store
        store.base = f"http://127.0.0.1:{self.server_port}/fhir"


@contextmanager
def serving(store: FhirStore) -> Iterator[FhirStore]:
    """The store, by HTTP on this machine."""
    server = HttpServer(store)
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="FHIR server", daemon=True
    )
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
        all_ended([thread])
