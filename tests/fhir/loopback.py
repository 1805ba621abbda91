"""A real HTTP server on this machine that answers as a test tells it to: well, badly, slowly, or not at all."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from tests.endings import all_ended

HANGS = 120.0  # seconds: longer than any deadline that is tried, and than a busy machine is late


@dataclass(frozen=True)
class Request:
    path: str  # with the query
    headers: Mapping[str, str]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def do_GET(self) -> None:
        self.server.requests.append(Request(self.path, dict(self.headers)))
        answers = self.server.answers
        answer = answers.get(self.path) or answers.get(self.path.partition("?")[0]) or status(404)
        with suppress(OSError):
            answer(self)

    def log_message(self, *_: Any) -> None:
        pass


Answer = Callable[[Handler], None]


class Server(ThreadingHTTPServer):
    request_queue_size = 64

    def __init__(self, answers: dict[str, Answer], host: str) -> None:
        super().__init__((host, 0), Handler)
        self.answers = answers
        self.requests: list[Request] = []
        self.over = threading.Event()
        self.connections: list[tuple[threading.Thread, socket.socket]] = []

    @property
    def base(self) -> str:
        return f"http://{self.server_address[0]}:{self.server_port}/fhir"

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer on a thread of the connection's own, which lasts as long as the client keeps it open."""
        given = request, client_address
        thread = threading.Thread(target=self.process_request_thread, args=given, name="FHIR connection", daemon=True)
        self.connections.append((thread, request))
        thread.start()

    def hang_up(self) -> None:
        """End every connection, whatever is going on there."""
        for _, connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        all_ended(thread for thread, _ in self.connections)

    def handle_error(self, *_: Any) -> None:
        pass


@contextmanager
def serving(answers: dict[str, Answer] | None = None, host: str = "127.0.0.1") -> Iterator[Server]:
    """A server whose `answers` are by path, with or without the query; what it does not know is 404."""
    server = Server({} if answers is None else answers, host)
    accepting = {"target": server.serve_forever, "kwargs": {"poll_interval": 0.01}}
    thread = threading.Thread(name="FHIR server", daemon=True, **accepting)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        all_ended([thread])
        server.hang_up()


def body(content: bytes, code: int = 200, **headers: str) -> Answer:
    def answer(handler: Handler) -> None:
        handler.send_response(code)
        handler.send_header("Content-Type", "application/fhir+json")
        handler.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def fhir(value: Any, **headers: str) -> Answer:
    return body(json.dumps(value).encode(), **headers)


def status(code: int, **headers: str) -> Answer:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "processing"}]}
    return body(json.dumps(outcome).encode(), code, **headers)


def by_id(resources: Mapping[str, Any], most: int = 1_000) -> Answer:
    """A search by `_id`: those of these resources that are asked for, `most` of them on the only page."""

    def answer(handler: Handler) -> None:
        asked = parse_qs(handler.path.partition("?")[2])["_id"][0].split(",")
        found = [{"resource": resources[each]} for each in asked if each in resources][:most]
        fhir({"resourceType": "Bundle", "type": "searchset", "entry": found})(handler)

    return answer


def in_turn(*answers: Answer) -> Answer:
    """The first answer to the first request, and so on; the last one to all that follow."""
    left = list(answers)

    def answer(handler: Handler) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(handler)

    return answer


def after(seconds: float, answer: Answer) -> Answer:
    def late(handler: Handler) -> None:
        if handler.server.over.wait(seconds):
            handler.close_connection = True
        else:
            answer(handler)

    return late


def held(go_on: threading.Event, answer: Answer) -> Answer:
    """The answer comes when the test says so."""

    def late(handler: Handler) -> None:
        go_on.wait(HANGS)
        answer(handler)

    return late


def never(handler: Handler) -> None:
    handler.server.over.wait(HANGS)
    handler.close_connection = True


def reset(handler: Handler) -> None:
    """The connection is torn down instead of an answer."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def half(content: bytes) -> Answer:
    """Half of the body that was announced, then the end."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2])
        handler.close_connection = True

    return answer


def drip(*parts: bytes) -> Answer:
    """The parts of a raw HTTP answer, then one byte every 50 ms for ever."""

    def answer(handler: Handler) -> None:
        handler.close_connection = True
        for part in parts:
            handler.wfile.write(part)
        while not handler.server.over.wait(0.05):
            handler.wfile.write(b" ")

    return answer


def gzip_bomb(megabytes: int) -> Answer:
    """A small gzip body that holds many megabytes of spaces, in chunks."""
    block = gzip.compress(b" " * 1_000_000)

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for _ in range(megabytes):
            handler.wfile.write(f"{len(block):x}\r\n".encode() + block + b"\r\n")
        handler.wfile.write(b"0\r\n\r\n")

    return answer
