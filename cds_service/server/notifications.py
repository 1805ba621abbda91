"""Takes the notifications of FHIR subscriptions: POST /notify/CLIENT, empty or with a resource.

Whoever can reach the address may send one, so it is a hint and nothing more: an empty one asks for a look now, one with
a resource names a patient to look at. What it says of a result is not used. Hints are few at a time and small; what is
too many or too large is not taken, for the next look finds it all the same.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

MOST_WAITING = 1_000  # patients that were named and are not noted yet
A_MINUTE = 120  # patients that are taken in a minute
CONNECTIONS = 16  # at once
PATIENCE = 5.0  # seconds for one read
LARGEST = 1_000_000  # bytes of a notification
LONGEST_ID = 64


@dataclass(slots=True)
class Hints:
    """What notifications have said and nobody has looked at yet. Threads share it."""

    clock: Callable[[], float] = time.monotonic
    _patients: dict[str, None] = field(default_factory=dict)
    _counted: Counter[str] = field(
        default_factory=Counter
    )  # notifications, taken or refused, since they were asked for
    _taken: deque[float] = field(default_factory=deque)  # when patients were taken, in the last minute
    _any: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, patients: tuple[str, ...]) -> bool:
        """Take a hint; False if it was one too many. Without patients it asks for a look."""
        with self._lock:
            now = self.clock()
            while self._taken and self._taken[0] <= now - 60:
                self._taken.popleft()
            new = [each for each in patients if each not in self._patients]
            room = min(A_MINUTE - len(self._taken), MOST_WAITING - len(self._patients))
            self._patients |= dict.fromkeys(new[:room])
            self._taken.extend([now] * len(new[:room]))
            self._counted["taken" if len(new) <= room else "refused"] += 1
        self._any.set()
        return len(new) <= room

    def refuse(self) -> None:
        """Count a notification that is not read: too large, or without a length."""
        with self._lock:
            self._counted["refused"] += 1

    def counted(self) -> tuple[int, int]:
        """How many notifications were taken, and how many refused, since this was asked last."""
        with self._lock:
            found = self._counted["taken"], self._counted["refused"]
            self._counted.clear()
        return found

    def take(self, seconds: float) -> tuple[bool, tuple[str, ...]]:
        """Wait so long for a hint: did one come, and which patients were named since the last time?"""
        came = self._any.wait(seconds)
        with self._lock:
            self._any.clear()
            patients = tuple(self._patients)
            self._patients.clear()
        return came, patients


def patients_in(body: bytes) -> tuple[str, ...]:
    """The ids of the patients whose results a notification holds; none where it holds none that can be read."""
    try:
        parsed = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return ()
    resources: list[Any] = [parsed]
    if parsed.get("resourceType") == "Bundle" and isinstance(parsed.get("entry"), list):
        resources = [each.get("resource") for each in parsed["entry"] if isinstance(each, dict)]
    subjects = (each.get("subject") for each in resources if isinstance(each, dict))
    found = (subject.get("reference") for subject in subjects if isinstance(subject, dict))
    ids = (each.rpartition("Patient/")[2] for each in found if isinstance(each, str) and "Patient/" in each)
    return tuple(dict.fromkeys(each for each in ids if is_id(each)))


def is_id(text: str) -> bool:
    """Is it an id as FHIR has them?"""
    return 0 < len(text) <= LONGEST_ID and text.isascii() and text.replace("-", "").replace(".", "").isalnum()


class _Receiver(BaseHTTPRequestHandler):
    server: _Listener
    timeout = PATIENCE
    server_version, sys_version = "b12-cds", ""

    def do_POST(self) -> None:
        """A notification; some servers send the resource by PUT, under its type and id."""
        length = self.headers.get("Content-Length", "0")
        if not (self.path == self.server.path or self.path.startswith(f"{self.server.path}/")):
            self.answer(404)
        elif not length.isascii() or not length.isdigit() or self.headers.get("Transfer-Encoding"):
            self.refuse(411)
        elif int(length) > LARGEST:
            self.refuse(413)
        else:
            taken = self.server.hints.add(patients_in(self.rfile.read(int(length))))
            self.answer(200 if taken else 429)

    do_PUT = do_POST  # noqa: N815 (the name that http.server calls)

    def refuse(self, status: int) -> None:
        """Answer one that is not read, and count it."""
        self.server.hints.refuse()
        self.answer(status)

    def answer(self, status: int) -> None:
        """The answer: its status says everything."""
        self.close_connection = True
        with suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.send_header("Connection", "close")
            self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: an address may name a result."""


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, host: str, port: int, client: str, hints: Hints) -> None:
        super().__init__((host, port), _Receiver)
        self.path, self.hints = f"/notify/{client}", hints
        self._places = threading.BoundedSemaphore(CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer on a thread, while there is a place; else hang up."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke off: there is nobody left to answer."""


@contextmanager
def receiving(host: str, port: int, client: str, hints: Hints) -> Iterator[int]:
    """Take notifications for a client, on this port (0: any free one), which is given. OSError if it is taken."""
    listener = _Listener(host, port, client, hints)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True)
    thread.start()
    try:
        yield listener.server_port
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()
