"""Decisions are written by one thread of each process, in batches, so that no answer ever waits for the store.

What does not fit into the queue, or could not be written for a while, is lost and counted. The same thread finds out
how a database is that did not answer in time, deletes what is too old, and keeps SQLite's write-ahead log small.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, Full, Queue

from sqlalchemy import Connection

from .database import WRITES, Refused, empty_write_ahead_log, write_ahead_log_is_large
from .executor import Executor, Operation
from .history import catch_up
from .maintenance import step
from .pseudonyms import Keys
from .records import DecisionRecord, StoreDown
from .rows import DecisionRows

MOST_WAITING = 2_000  # decisions
BATCH = 100
GATHER = 0.05  # seconds in which a batch may grow, from its first decision on
WRITE = Operation(5.0, WRITES, changes=True, anyway=True)
LOOK = Operation(2.0, anyway=True, probe=True)
TIDY = Operation(5.0, WRITES, changes=True)
EMPTY_LOG = Operation(1.0)
RETRY_FOR = 60.0  # seconds from the first failure of a batch until it is lost
PAUSES = (0.1, 0.3, 1.0)  # seconds between two tries; the last one from then on
CLOSE_SECONDS = 2.0
TIDY_EVERY = 3600.0


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What the thread does besides writing. `days`: for how long decisions and feedback are stored (0: for ever); `now`
    gives the present in ms since 1970; `look` asks a database whether it is well."""

    days: int
    now: Callable[[], int]
    look: Callable[[Connection], None]


class Writer:
    """The thread and its queue. One per process."""

    def __init__(self, executor: Executor, keys: Keys, upkeep: Upkeep, retry_for: float = RETRY_FOR) -> None:
        self._executor, self._keys, self._upkeep, self._retry_for = executor, keys, upkeep, retry_for
        self._queue: Queue[DecisionRecord | None] = Queue(MOST_WAITING)  # None: wake up
        self._counting = threading.Condition()
        self._cards: Counter[str] = Counter()  # ids of cards whose decision waits to be written
        self._closing = threading.Event()
        self._under_way = 0  # decisions taken from the queue and not yet written
        self._tidy_at = time.monotonic() + GATHER
        self.lost = 0
        self.failing = ""  # why the last write failed
        executor.doubt = self._wake
        self._thread = threading.Thread(target=self._run, name="store writer", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """The thread is no more: a fault of ours, whose trace is on the standard error stream."""
        return not self._thread.is_alive()

    @property
    def waiting(self) -> int:
        return self._queue.qsize() + self._under_way

    def put(self, decision: DecisionRecord) -> None:
        """Never waits."""
        if self._closing.is_set() or self.ended:
            self._lose([decision], noted=False)
            return
        self._note_cards([decision])
        try:
            self._queue.put_nowait(decision)
        except Full:
            self._lose([decision])

    def wait_for_cards(self, cards: Iterable[str], seconds: float) -> None:
        """Until none of these cards waits to be written any more, so that an answer to one finds its decision."""
        asked = set(cards)
        with self._counting:
            self._counting.wait_for(lambda: not asked & self._cards.keys(), seconds)

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Write what waits, if that can be done in time; the rest is lost."""
        self._closing.set()
        self._wake()
        self._thread.join(seconds)
        left = self.waiting
        if self._thread.is_alive() and left:
            with self._counting:
                self.lost += left

    def _wake(self) -> None:
        with suppress(Full):  # then it is awake anyhow
            self._queue.put_nowait(None)

    def _note_cards(self, decisions: Iterable[DecisionRecord]) -> None:
        with self._counting:
            self._cards.update({each.card for decision in decisions for each in decision.shown})

    def _done(self, decisions: Iterable[DecisionRecord]) -> None:
        """These wait no longer, be they written or lost."""
        with self._counting:
            for decision in decisions:
                for card in {each.card for each in decision.shown}:
                    self._cards[card] -= 1
                    if self._cards[card] <= 0:
                        del self._cards[card]
            self._counting.notify_all()

    def _lose(self, decisions: list[DecisionRecord], noted: bool = True) -> None:
        with self._counting:
            self.lost += len(decisions)
        if noted:
            self._done(decisions)

    def _run(self) -> None:
        self._look()
        while not (self._closing.is_set() and self._queue.empty()):
            batch = self._next()
            if batch:
                self._write(batch)
            elif self._executor.needs_probe:
                self._look()
            elif self.failing or time.monotonic() >= self._tidy_at:
                self._tidy()

    def _look(self) -> None:
        """Find out whether the database is well, so that nobody who is in a hurry has to."""
        with suppress(StoreDown):
            self._executor.run(self._upkeep.look, LOOK)

    def _next(self) -> list[DecisionRecord]:
        """The next batch; empty after a second without any, or when woken up."""
        found: list[DecisionRecord] = []
        wait, ends = 1.0, 0.0
        while len(found) < BATCH:
            try:
                each = self._queue.get(timeout=wait)
            except Empty:
                break
            if each is not None:
                found.append(each)
                self._under_way = len(found)
            ends = ends or time.monotonic() + GATHER
            wait = 0.0 if self._closing.is_set() else max(ends - time.monotonic(), 0.0)
        return found

    def _write(self, batch: list[DecisionRecord]) -> None:
        """Write a batch, again and again for a while; what the database refuses is taken out of it."""
        rows, given_up, tries = DecisionRows(self._keys, batch), time.monotonic() + self._retry_for, 0
        while True:
            try:
                self._write_rows(rows)
                self._done(batch)
                break
            except Refused:
                self._write_each(batch)
                break
            except StoreDown as error:
                self.failing = error.why
                if self._executor.needs_probe:
                    self._look()
            if time.monotonic() > given_up or self._closing.wait(PAUSES[min(tries, len(PAUSES) - 1)]):
                self._lose(batch)
                break
            tries += 1
        self._under_way = 0

    def _write_rows(self, rows: DecisionRows) -> None:
        """Two transactions: feedback that is stored at the same moment by another process is seen by one of both."""
        self._executor.run(rows.write, WRITE)
        self._executor.run(lambda connection: catch_up(connection, rows.cards), WRITE)
        self.failing = ""
        if write_ahead_log_is_large(self._executor.engine):
            with suppress(StoreDown):
                self._executor.run(empty_write_ahead_log, EMPTY_LOG)

    def _write_each(self, batch: list[DecisionRecord]) -> None:
        for decision in batch:
            try:
                self._write_rows(DecisionRows(self._keys, [decision]))
                self._done([decision])
            except StoreDown as error:
                self.failing = error.why
                self._lose([decision])

    def _tidy(self) -> None:
        """One step of deleting what is too old; the next one soon if there may be more. It also shows that what failed
        can be done again."""
        now, days = self._upkeep.now(), self._upkeep.days
        try:
            gone = self._executor.run(lambda connection: step(connection, now, days), TIDY)
            self.failing = ""
        except StoreDown as error:
            self.failing, gone = error.why, 0
        self._tidy_at = time.monotonic() + (GATHER if gone else TIDY_EVERY)
