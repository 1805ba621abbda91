"""Decisions are written by one thread of each process, in batches, so that no answer ever waits for the store.

What does not fit into the queue, or could not be written for a while, is lost and counted. The same thread finds out
when a database that did not answer is well again, and deletes what is too old.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, Full, Queue

from sqlalchemy import Connection

from .engine import WRITES
from .faults import Refused
from .kept import KeptDecision, StoreDown
from .link import Link
from .pseudonyms import Keys
from .retention import step
from .rows import DecisionRows

MOST_WAITING = 2_000  # decisions
BATCH = 100
GATHER = 0.05  # seconds in which a batch may grow by one more
WRITE_SECONDS = 5.0
LOOK_SECONDS = 2.0
RETRY_FOR = 60.0  # seconds from the first failure of a batch until it is lost
PAUSES = (0.1, 0.3, 1.0)  # seconds between two tries; the last one from then on
CLOSE_SECONDS = 2.0
TIDY_EVERY = 3600.0


class Writer:
    """One per process. `now` gives the present in ms since 1970, for what is too old; `look` asks a database whether it
    is well."""

    def __init__(
        self,
        link: Link,
        keys: Keys,
        days: int,
        now: Callable[[], int],
        look: Callable[[Connection], None],
        retry_for: float = RETRY_FOR,
    ) -> None:
        self._link, self._keys, self._retry_for = link, keys, retry_for
        self._days, self._now, self._ask = days, now, look
        self._queue: Queue[KeptDecision | None] = Queue(MOST_WAITING)  # None: wake up, there is an end
        self._counting = threading.Lock()
        self._closing = threading.Event()
        self._under_way = 0  # decisions taken from the queue and not yet written
        self._tidy_at = time.monotonic() + GATHER
        self.lost = 0
        self.failing = ""  # why the last write failed
        self._thread = threading.Thread(target=self._run, name="store writer", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """The thread is no more: a fault of ours, whose trace is on the standard error stream."""
        return not self._thread.is_alive()

    @property
    def waiting(self) -> int:
        return self._queue.qsize() + self._under_way

    def put(self, decision: KeptDecision) -> None:
        """Never waits."""
        if self._closing.is_set() or self.ended:
            self._lose(1)
            return
        try:
            self._queue.put_nowait(decision)
        except Full:
            self._lose(1)

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Write what waits, if that can be done in time; the rest is lost."""
        self._closing.set()
        with suppress(Full):  # then it is awake anyhow
            self._queue.put_nowait(None)
        self._thread.join(seconds)
        left = self.waiting
        if self._thread.is_alive() and left:
            self._lose(left)

    def _lose(self, count: int) -> None:
        with self._counting:
            self.lost += count

    def _run(self) -> None:
        self._look()
        while not (self._closing.is_set() and self._queue.empty()):
            batch = self._next()
            if batch:
                self._write(batch)
            elif self._link.broken:
                self._look()
            elif self.failing or time.monotonic() >= self._tidy_at:
                self._tidy()

    def _look(self) -> None:
        """Find out whether the database is well, so that nobody who is in a hurry has to."""
        with suppress(StoreDown):
            self._link.run(self._ask, LOOK_SECONDS, {}, anyway=True)

    def _next(self) -> list[KeptDecision]:
        """The next batch; empty after a second without any."""
        found, wait = [], 1.0
        while len(found) < BATCH:
            try:
                each = self._queue.get(timeout=wait)
            except Empty:
                break
            if each is not None:
                found.append(each)
                self._under_way = len(found)
            wait = 0.0 if self._closing.is_set() else GATHER
        return found

    def _write(self, batch: list[KeptDecision]) -> None:
        """Write a batch, again and again for a while; what the database refuses is taken out of it."""
        rows, given_up, tries = DecisionRows(self._keys, batch), time.monotonic() + self._retry_for, 0
        while True:
            try:
                self._link.run(rows.write, WRITE_SECONDS, WRITES, anyway=True)
                self.failing = ""
                break
            except Refused:
                self._write_each(batch)
                break
            except StoreDown as error:
                self.failing = error.why
            if time.monotonic() > given_up or self._closing.wait(PAUSES[min(tries, len(PAUSES) - 1)]):
                self._lose(len(batch))
                break
            tries += 1
        self._under_way = 0

    def _write_each(self, batch: list[KeptDecision]) -> None:
        for decision in batch:
            try:
                self._link.run(DecisionRows(self._keys, [decision]).write, WRITE_SECONDS, WRITES, anyway=True)
            except StoreDown as error:
                self.failing = error.why
                self._lose(1)

    def _tidy(self) -> None:
        """One step of deleting what is too old; the next one soon if there may be more. It also shows that what failed
        can be done again."""
        now = self._now()
        try:
            gone = self._link.run(lambda connection: step(connection, now, self._days), WRITE_SECONDS, WRITES)
            self.failing = ""
        except StoreDown as error:
            self.failing, gone = error.why, 0
        self._tidy_at = time.monotonic() + (GATHER if gone else TIDY_EVERY)
