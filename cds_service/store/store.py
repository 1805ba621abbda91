"""The store, as the service sees it (`records.DecisionStore`): operations with a time limit, opened at first use.

The application is made in one process and answers in others that are forked from it. So each process makes its own
executor and its own writer's thread when it first needs them, and leaves alone what another one has made. (SQLite does
not bear a fork while a file is open: whoever forks must not have used the store. Making it is no use.)
"""

from __future__ import annotations

import atexit
import math
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cache, partial
from typing import Any

from sqlalchemy import URL, Connection, bindparam
from sqlalchemy.sql.dml import ReturningInsert

from .database import DURABLY, WRITES, read_url, service_engine
from .executor import MOST_LATE, Executor, Operation
from .history import HistoryQuery, Span, note_answers, write_feedback
from .maintenance import records_of_call
from .pseudonyms import Keys
from .records import (
    CallParties,
    DecisionRecord,
    EarlierCall,
    FeedbackRecord,
    History,
    NoHistory,
    StoreDown,
    StoreState,
)
from .rows import digest, insert_of
from .tables import check, seen_token, version_of
from .writer import RETRY_FOR, Upkeep, Writer

HISTORY = Operation(0.05)
TOKEN = Operation(1.0, changes=True)
FEEDBACK = Operation(2.0, DURABLY, changes=True)
NOTE = Operation(0.5, WRITES, changes=True)
STATE = Operation(0.2)
RECORDS = Operation(1.0)
FEEDBACK_BATCH = 200  # items and accepted suggestions of one transaction: some 20 ms of the one writer of SQLite
WAIT_FOR_DECISION = 0.3  # seconds for a decision of this process to be written before feedback to it
PAUSES = (0.0, 0.05, 0.2)  # before the decision of another process is looked for again; then `catch_up` finds both
WRITES_NO_MORE = "nothing is written any more until the service is started again: a fault of ours, see the log"
NOBODY = CallParties("", None, "", "", "")


@dataclass(frozen=True, slots=True)
class Opened:
    """What one process has opened."""

    pid: int
    executor: Executor
    writer: Writer


class Store:
    """Stores decisions, feedback and used tokens, and answers what follows from them. See `records.DecisionStore`."""

    def __init__(
        self,
        url: str | URL,
        keys: Keys,
        clock: Callable[[], datetime],
        *,
        days: int = 400,
        override_days: int = 90,
        accepted_days: int = 14,
        retry_for: float = RETRY_FOR,
    ) -> None:
        self._url, self._keys, self._clock = read_url(url), keys, clock
        self._days, self._retry_for = days, retry_for
        self._history = (
            HistoryQuery(keys, Span(override_days, accepted_days)) if override_days or accepted_days else None
        )
        self._lock = threading.Lock()
        self._opened_here: Opened | None = None
        self._inherited: Opened | None = None  # never used, and never let go: it is another process's

    def __repr__(self) -> str:
        return f"Store({self._url.get_backend_name()})"

    def start(self) -> None:
        """Begin in this process, without waiting: connect, and look whether the database is well."""
        self._open()

    def save_decision(self, decision: DecisionRecord) -> None:
        self._open().writer.put(decision)

    def save_feedback(self, client: str, given: Sequence[FeedbackRecord], at: int) -> None:
        opened, key = self._open(), self._keys.newest
        if not opened.executor.needs_probe:
            opened.writer.wait_for_cards((each.card for each in given), WAIT_FOR_DECISION)
        early: list[int] = []
        for some in batches(given):  # whoever else writes comes between; what is sent again is stored once
            early += opened.executor.run(partial(write_feedback, client=client, given=some, key=key, at=at), FEEDBACK)
        for pause in PAUSES:  # another process may write the decision in this moment, and not see the feedback
            if not early:
                break
            time.sleep(pause)
            with suppress(StoreDown):
                early = opened.executor.run(partial(note_answers, ids=early), NOTE)

    def history(self, who: CallParties, now: int, zone: tzinfo = UTC) -> History:
        query = self._history
        if query is None:
            return NoHistory()
        try:
            return self._executor().run(lambda connection: query(connection, who, now, zone), HISTORY)
        except StoreDown:
            return NoHistory(known=False)

    def first_time(self, issuer: str, jti: str, until: float, now: float) -> bool:
        return self._executor().run(lambda connection: note_token(connection, issuer, jti, until, now), TOKEN)

    def records_of_call(self, hook_instance: str) -> list[dict[str, Any]]:
        names = [hook_instance, *(key.opaque(hook_instance) for key in self._keys.all)]
        return self._executor().run(
            lambda connection: [each for name in dict.fromkeys(names) for each in records_of_call(connection, name)],
            RECORDS,
        )

    def earlier_call(self, hook_instance: str, parties: Sequence[CallParties]) -> EarlierCall | None:
        clients = {each.client for each in parties}
        found = [each for each in self.records_of_call(hook_instance) if each["client"] in clients]
        known = [(each, key) for each in found if (key := self._keys.find(each["key"])) is not None]
        if not known:
            return None
        of_patient = [each for each, key in known if each["patient"] in {key.patient(who) for who in parties}]
        newest = (of_patient or [each for each, _ in known])[-1]
        return EarlierCall(
            newest["at"], newest["hook"], newest["label"], tuple(newest["rows"]), same_patient=bool(of_patient)
        )

    def state(self) -> StoreState:
        opened = self._open()
        why = WRITES_NO_MORE if opened.writer.ended else opened.writer.failing or opened.executor.remark
        try:
            opened.executor.run(look, STATE)
        except StoreDown as error:
            why = error.why
        return StoreState(not why, why, opened.writer.lost, opened.writer.waiting, opened.executor.late)

    def close(self) -> None:
        with self._lock:
            if self._opened_here is None or self._opened_here.pid != os.getpid():
                return
            opened, self._opened_here = self._opened_here, None
        opened.writer.close()
        opened.executor.close()

    def _executor(self) -> Executor:
        return self._open().executor

    def _open(self) -> Opened:
        """What this process has opened; opened now if it has not."""
        opened = self._opened_here
        if opened is not None and opened.pid == os.getpid():
            return opened
        with self._lock:
            if self._opened_here is not None and self._opened_here.pid != os.getpid():
                self._inherited, self._opened_here = self._opened_here, None
            if self._opened_here is None:
                self._opened_here = self._open_now()
            return self._opened_here

    def _open_now(self) -> Opened:
        executor = Executor(service_engine(self._url, spare=MOST_LATE))
        writer = Writer(executor, self._keys, Upkeep(self._days, self._now, self._look), self._retry_for)
        atexit.register(close_at_exit, weakref.ref(self))
        return Opened(os.getpid(), executor, writer)

    def _look(self, connection: Connection) -> None:
        """What the writer's thread asks a database first: a look-up, so that the first one for a call is quick."""
        look(connection)
        if self._history is not None:
            self._history(connection, NOBODY, self._now())

    def _now(self) -> int:
        return int(self._clock().timestamp() * 1000)


def batches(given: Sequence[FeedbackRecord]) -> Iterator[list[FeedbackRecord]]:
    """The feedback of one request, in parts that are each written at once."""
    some: list[FeedbackRecord] = []
    size = 0
    for each in given:
        some.append(each)
        size += 1 + len(each.accepted)
        if size >= FEEDBACK_BATCH:
            yield some
            some, size = [], 0
    if some:
        yield some


def look(connection: Connection) -> None:
    """StoreDown if the tables are not ours (any more)."""
    check(version_of(connection))


def close_at_exit(store: weakref.ref[Store]) -> None:
    """Whatever server a process runs under: what waits is written when it ends."""
    if (still := store()) is not None:
        still.close()


def note_token(connection: Connection, issuer: str, jti: str, until: float, now: float) -> bool:
    """Note a token until `until`; False if it is noted already and still counts. Both in seconds since 1970."""
    row = {
        "issuer": digest(issuer),
        "jti": digest(jti),
        "until": math.ceil(until * 1000),
        "now": math.floor(now * 1000),
    }
    return connection.execute(upsert_token(connection.dialect.name), row).first() is not None


@cache
def upsert_token(dialect: str) -> ReturningInsert[tuple[int]]:
    """An insert of a token that returns something where it is new, or replaces one that counts no more."""
    insert = insert_of(dialect, seen_token)
    return insert.on_conflict_do_update(
        index_elements=[seen_token.c.issuer, seen_token.c.jti],
        set_={"until": insert.excluded["until"]},
        where=seen_token.c.until < bindparam("now"),  # one that nobody has cleaned up yet
    ).returning(seen_token.c.until)
