"""What the result watcher counts for Prometheus, on a port of its own: looks, notifications, Tasks, and who waits.

One process watches one client, so no series has a label of a client; nothing here is about a patient. The counts are
those of the line that each look writes into the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

NAMESPACE = "b12_cds_watch"
LOOKS = ("whole", "failed")
NOTIFICATIONS = ("taken", "refused")
TASKS = {  # what a look counts of Tasks, and what the series calls it
    "created": "created", "rewritten": "rewritten", "raised": "raised", "answered": "answered",
    "withdrawn": "withdrawn", "superseded": "superseded", "would be written": "not written: silent",
}  # fmt: skip
FAILED = "failed"  # a look, a decision or a write that did not work, and is tried again


@dataclass(frozen=True, slots=True)
class Look:
    """One look: was all of it read, when (seconds since 1970), who waits, and how many Tasks nobody has answered."""

    whole: bool
    at: float
    waiting: int
    unanswered: int
    counts: Mapping[str, int]


class WatchMetrics:
    """The series of one watcher. Every one is there from the start, so that an alert sees the first change."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter = partial(Counter, namespace=NAMESPACE, registry=self.registry)
        gauge = partial(Gauge, namespace=NAMESPACE, registry=self.registry)
        self._looks = counter("looks", "Looks for new results, by whether all was read", ["read"])
        self._notifications = counter("notifications", "Notifications of the FHIR server", ["outcome"])
        self._tasks = counter("tasks", "Tasks, by what became of them", ["what"])
        self._failures = counter("failures", "What did not work and is tried again")
        self._decided = counter("decided", "Patients decided about")
        self._last = gauge("last_look_timestamp_seconds", "When all new results were last read")
        self._waiting = gauge("waiting", "Patients still to be decided about")
        self._unanswered = gauge("unanswered", "Open Tasks that nobody has answered for long")
        for read in LOOKS:
            self._looks.labels(read)
        for outcome in NOTIFICATIONS:
            self._notifications.labels(outcome)
        for what in TASKS.values():
            self._tasks.labels(what)

    def began(self, now: float) -> None:
        """It begins to watch: until the first look is done, this is what its age is counted from."""
        self._last.set(now)

    def look(self, look: Look) -> None:
        """Count a look and what followed from it."""
        self._looks.labels("whole" if look.whole else "failed").inc()
        if look.whole:
            self._last.set(look.at)
        self._waiting.set(look.waiting)
        self._unanswered.set(look.unanswered)
        for counted, what in TASKS.items():
            self._tasks.labels(what).inc(look.counts.get(counted, 0))
        self._failures.inc(look.counts.get(FAILED, 0))
        self._decided.inc(look.counts.get("decided", 0))

    def notified(self, taken: int, refused: int) -> None:
        """Count notifications that came since the last time."""
        self._notifications.labels("taken").inc(taken)
        self._notifications.labels("refused").inc(refused)

    @contextmanager
    def served(self, host: str, port: int | None) -> Iterator[None]:
        """Answer GET /metrics there; nowhere where no port is said. OSError if it is taken."""
        if port is None:
            yield
            return
        server, thread = start_http_server(port, host, self.registry)
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
