"""A FHIR server that exports by Bulk Data, as many faults among it as a test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "a-token-of-the-tests"
MOMENT = "2026-01-14T02:00:00Z"


@dataclass
class BulkServer:
    """What the server holds and how it behaves; what it was asked stands in `calls`."""

    files: dict[str, list[bytes]]  # type -> its lines
    declared: tuple[str, ...]  # types of the CapabilityStatement
    takes_post: bool = True
    own_only: bool = False  # a job that asks for Medication is refused: it is no part of a patient's compartment
    looks: int = 2  # 202 before the job is done
    put_off: int = 0  # 429 of each file before it is given
    broken: int = 0  # files that break off before they are given whole
    counted: int = 0  # lines that each file is said to have beside its own
    errors: int = 0
    status: int = 0  # of the job, instead of 200
    written_base: str = ""  # what it writes as its own address
    files_at: str = ""  # another address of the files
    calls: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    base: str = ""
    at: dict[str, int] = field(default_factory=dict)

    def asked(self, method: str, part: str) -> list[tuple[str, str, dict[str, str], Any]]:
        """The calls of a method whose address holds this."""
        return [each for each in self.calls if each[0] == method and part in each[1]]


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing is logged."""

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def do_DELETE(self) -> None:
        self.answer()

    def answer(self) -> None:
        server: BulkServer = self.server.told  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        server.calls.append((self.command, self.path, headers, json.loads(body) if body else None))
        path = urlsplit(self.path).path
        if path == "/fhir/metadata":
            resources = [{"type": each} for each in server.declared]
            return self.send(200, {"resourceType": "CapabilityStatement", "rest": [{"resource": resources}]})
        if headers.get("authorization") != f"Bearer {TOKEN}" and "/files/open" not in path:
            return self.send(401, {})
        if path.endswith("$export"):
            return self.begin(server)
        if path == "/fhir/jobs/1":
            return self.send(202, {}) if self.command == "DELETE" else self.look(server)
        if path.startswith("/fhir/files/"):
            return self.file(server, path.rpartition("/")[2])
        return self.send(404, {})

    def begin(self, server: BulkServer) -> None:
        if self.command == "POST" and not server.takes_post:
            return self.send(405, {})
        if server.own_only and "Medication" in asked_types(self.path, server.calls[-1][3]):
            return self.send(400, {})
        return self.send(202, {}, {"Content-Location": f"{server.written_base or server.base}/jobs/1"})

    def look(self, server: BulkServer) -> None:
        if server.at.setdefault("looks", server.looks):
            server.at["looks"] -= 1
            return self.send(202, {}, {"Retry-After": "7", "X-Progress": "40 %"})
        if server.status:
            return self.send(server.status, {})
        at = server.files_at or f"{server.written_base or server.base}/files"
        output = [{"type": kind, "url": f"{at}/{kind}", "count": len(lines) + server.counted}
                  for kind, lines in server.files.items()]  # fmt: skip
        error = [{"type": "OperationOutcome", "url": f"{at}/error"}] * server.errors
        told = {"transactionTime": MOMENT, "request": "", "requiresAccessToken": True, "output": output, "error": error}
        return self.send(200, told)

    def file(self, server: BulkServer, kind: str) -> None:
        content = b"".join(line + b"\n" for line in server.files[kind])
        if server.at.setdefault(f"put off {kind}", server.put_off):
            server.at[f"put off {kind}"] -= 1
            return self.send(429, {}, {"Retry-After": "3"})
        if server.at.setdefault("broken", server.broken):
            server.at["broken"] -= 1
            self.send_response(200)
            self.send_header("Content-Length", str(len(content) + 10))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
            return None
        return self.send(200, content, {"Content-Type": "application/fhir+ndjson"})

    def send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def serving(files: dict[str, list[bytes]], declared: tuple[str, ...], **how: Any) -> Iterator[BulkServer]:
    """The server on a free port of this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        told = BulkServer(files, declared, **how)
        told.base = f"http://127.0.0.1:{http.server_port}/fhir"
        http.told = told  # type: ignore[attr-defined]
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, name="bulk-server")
        thread.start()
        try:
            yield told
        finally:
            http.shutdown()
            thread.join()


def asked_types(address: str, body: Any) -> list[str]:
    """What a job asks for, in its address or in its Parameters."""
    if body is None:
        return query_of(address)["_type"][0].split(",")
    (asked,) = (each["valueString"] for each in body["parameter"] if each["name"] == "_type")
    return asked.split(",")


def query_of(address: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(address).query)
