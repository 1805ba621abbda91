"""Decisions are written by one thread of each process, in batches, so that no answer ever waits for the store.

What does not fit into the queue, or could not be written for a while, is lost and counted. The same thread finds out
when a database that did not answer is well again, and deletes what is too old. The patient, the user and the evidence
become pseudonyms here.
"""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from queue import Empty, Full, Queue
from typing import Any

from sqlalchemy import BigInteger, Connection, String, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql import Insert

from . import tables
from .database import WRITES, Refused
from .executor import Executor
from .maintenance import step
from .pseudonyms import Keys
from .records import DecisionRecord, FeedbackRecord, StoreDown

Row = dict[str, Any]
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # neither database takes these as text
LARGEST_INTEGER = 2**63 - 1


class DecisionRows:
    """Decisions as rows, by table in the order in which they are written. A decision's id is made once, so that
    writing it again after a lost connection does not make two of it."""

    def __init__(self, keys: Keys, decisions: Iterable[DecisionRecord]) -> None:
        self.by_table: dict[Table, list[Row]] = {
            table: [] for table in (tables.decision, tables.shown, tables.offered, tables.suppressed)
        }
        for decision in decisions:
            self._add(keys, decision)

    def _add(self, keys: Keys, kept: DecisionRecord) -> None:
        made, key = uuid.uuid4().hex, keys.newest
        plain = ("at", "service", "hook", "hook_instance", "content", "pathway", "label", "status", "silent", "ms")
        row = {name: getattr(kept, name) for name in plain}
        row |= {"id": made, "client": kept.who.client, "key": key.id}
        row |= {"rows": json.dumps(kept.rows), "missing": json.dumps(kept.missing)}
        row |= {"patient": key.patient(kept.who), "user": key.user(kept.who)}
        row["evidence"] = key.evidence(kept.who, kept.evidence)
        self._put(tables.decision, [row])
        cards = [{"card": each.card, "row": each.row, "indicator": each.indicator} for each in kept.shown]
        self._put(tables.shown, numbered(made, cards))
        names = ("card", "suggestion", "kind", "draft")
        offers = [{name: getattr(each, name) for name in names} for each in kept.offered]
        self._put(tables.offered, numbered(made, offers))
        left_out = [{"what": each.what, "why": each.why, "on": each.on.isoformat()} for each in kept.suppressed]
        self._put(tables.suppressed, numbered(made, left_out))

    def _put(self, table: Table, rows: Sequence[Row]) -> None:
        self.by_table[table] += [fitting(table, row) for row in rows]

    def write(self, connection: Connection) -> None:
        """Those that are not there yet."""
        for table, rows in self.by_table.items():
            if rows:
                connection.execute(insert_new(connection, table), rows)


def numbered(decision: str, rows: list[Row]) -> list[Row]:
    """Rows of one decision, in their order."""
    return [{"decision": decision, "place": place, **row} for place, row in enumerate(rows)]


def feedback_row(client: str, given: FeedbackRecord, received: int) -> Row:
    """A feedback as it is stored. Its digest is of all that it says, so that the same one is known again."""
    row = fitting(
        tables.feedback,
        {
            "client": client,
            "card": given.card,
            "outcome": given.outcome,
            "at": given.at,
            "reason": given.reason,
            "reason_system": given.reason_system,
            "commented": given.commented,
        },
    )
    said = [row[name] for name in sorted(row)] + sorted(accepted_ids(given))
    return {**row, "received": received, "digest": digest(*said)}


def accepted_ids(given: FeedbackRecord) -> list[str]:
    """The suggestions that were accepted, each once, as they are stored."""
    kind = tables.accepted.c.suggestion.type
    return list(dict.fromkeys(_fitting(kind, each) for each in given.accepted))


def digest(*said: str | int | bool | None) -> str:
    """64 hex digits that are the same for the same list only."""
    return sha256(json.dumps(said).encode("ascii")).hexdigest()


def fitting(table: Table, row: Row) -> Row:
    """The row with its texts cut to their columns, and a number that is none of a database left out: what a client
    sends may be of any length."""
    return {name: _fitting(table.c[name].type, value) for name, value in row.items()}


def _fitting(kind: Any, value: Any) -> Any:
    if isinstance(value, str):
        clean = UNSTORABLE.sub("\ufffd", value)
        return clean[: kind.length] if isinstance(kind, String) else clean
    if isinstance(kind, BigInteger) and value is not None and abs(value) > LARGEST_INTEGER:
        return None
    return value


def insert_new(connection: Connection, table: Table) -> Insert:
    """An insert that leaves alone what is there already; both databases know it, each in its own dialect."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    return dialect.insert(table).on_conflict_do_nothing()


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
        executor: Executor,
        keys: Keys,
        days: int,
        now: Callable[[], int],
        look: Callable[[Connection], None],
        retry_for: float = RETRY_FOR,
    ) -> None:
        self._executor, self._keys, self._retry_for = executor, keys, retry_for
        self._days, self._now, self._ask = days, now, look
        self._queue: Queue[DecisionRecord | None] = Queue(MOST_WAITING)  # None: wake up, there is an end
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

    def put(self, decision: DecisionRecord) -> None:
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
            elif self._executor.broken:
                self._look()
            elif self.failing or time.monotonic() >= self._tidy_at:
                self._tidy()

    def _look(self) -> None:
        """Find out whether the database is well, so that nobody who is in a hurry has to."""
        with suppress(StoreDown):
            self._executor.run(self._ask, LOOK_SECONDS, {}, anyway=True)

    def _next(self) -> list[DecisionRecord]:
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

    def _write(self, batch: list[DecisionRecord]) -> None:
        """Write a batch, again and again for a while; what the database refuses is taken out of it."""
        rows, given_up, tries = DecisionRows(self._keys, batch), time.monotonic() + self._retry_for, 0
        while True:
            try:
                self._executor.run(rows.write, WRITE_SECONDS, WRITES, anyway=True)
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

    def _write_each(self, batch: list[DecisionRecord]) -> None:
        for decision in batch:
            try:
                self._executor.run(DecisionRows(self._keys, [decision]).write, WRITE_SECONDS, WRITES, anyway=True)
            except StoreDown as error:
                self.failing = error.why
                self._lose(1)

    def _tidy(self) -> None:
        """One step of deleting what is too old; the next one soon if there may be more. It also shows that what failed
        can be done again."""
        now = self._now()
        try:
            gone = self._executor.run(lambda connection: step(connection, now, self._days), WRITE_SECONDS, WRITES)
            self.failing = ""
        except StoreDown as error:
            self.failing, gone = error.why, 0
        self._tidy_at = time.monotonic() + (GATHER if gone else TIDY_EVERY)
