"""The store, as the service sees it (`kept.Keeper`): everything with its own time limit, nothing opened before use.

The application is made in one process and answers in others that are forked from it. So each process makes its own
link and its own writer's thread when it first needs them, and leaves alone what another one has made. (SQLite does not
bear a fork while a file is open: whoever forks must not have used the store. Making it is no use.)
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from sqlalchemy import Connection

from . import tokens
from .engine import DURABLY, WRITES, read_url, service_engine
from .feedback_writing import write_feedback
from .kept import KeptDecision, KeptFeedback, Nothing, Remembered, StoreDown, StoreState, Who
from .link import Link
from .pseudonyms import Keys
from .recalling import Recall, Span
from .schema import check, version_of
from .show import about
from .writing import RETRY_FOR, Writer

RECALL_SECONDS, TOKEN_SECONDS, FEEDBACK_SECONDS, STATE_SECONDS, ABOUT_SECONDS = 0.05, 0.5, 2.0, 0.2, 1.0
WRITES_NO_MORE = "nothing is written any more until the service is started again: a fault of ours, see the log"
NOBODY = Who("", None, "", "", "")


@dataclass(frozen=True, slots=True)
class Here:
    """What one process has opened."""

    pid: int
    link: Link
    writer: Writer


class Store:
    """Keeps decisions, feedback and seen tokens, and recalls what follows from them. See `kept.Keeper`."""

    def __init__(
        self,
        url: str,
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
        self._recall = Recall(keys, Span(override_days, accepted_days)) if override_days or accepted_days else None
        self._lock = threading.Lock()
        self._here: Here | None = None
        self._inherited: Here | None = None  # never used, and never let go: it is another process's

    def __repr__(self) -> str:
        return f"Store({self._url.get_backend_name()})"

    def start(self) -> None:
        """Begin in this process, without waiting: connect, and look whether the database is well."""
        self._open()

    def keep(self, decision: KeptDecision) -> None:
        self._open().writer.put(decision)

    def keep_feedback(self, client: str, given: Sequence[KeptFeedback], at: int) -> None:
        self._link().run(lambda connection: write_feedback(connection, client, given, at), FEEDBACK_SECONDS, DURABLY)

    def recall(self, who: Who, now: int, zone: tzinfo = UTC) -> Remembered:
        recall = self._recall
        if recall is None:
            return Nothing()
        try:
            return self._link().run(
                lambda connection: recall(connection, who, now, zone), RECALL_SECONDS, {}, hurried=True
            )
        except StoreDown:
            return Nothing(known=False)

    def first_time(self, issuer: str, jti: str, until: float, now: float) -> bool:
        return self._link().run(
            lambda connection: tokens.first_time(connection, issuer, jti, until, now), TOKEN_SECONDS, WRITES
        )

    def about(self, hook_instance: str) -> list[dict[str, Any]]:
        return self._link().run(lambda connection: about(connection, hook_instance), ABOUT_SECONDS, {})

    def state(self) -> StoreState:
        here = self._open()
        why = WRITES_NO_MORE if here.writer.ended else here.writer.failing
        try:
            here.link.run(look, STATE_SECONDS, {}, hurried=True)
        except StoreDown as error:
            why = error.why
        return StoreState(not why, why, here.writer.lost, here.writer.waiting)

    def close(self) -> None:
        with self._lock:
            if self._here is None or self._here.pid != os.getpid():
                return
            here, self._here = self._here, None
        here.writer.close()
        here.link.close()

    def _link(self) -> Link:
        return self._open().link

    def _open(self) -> Here:
        """What this process has opened; opened now if it has not."""
        here = self._here
        if here is not None and here.pid == os.getpid():
            return here
        with self._lock:
            if self._here is not None and self._here.pid != os.getpid():
                self._inherited, self._here = self._here, None
            if self._here is None:
                self._here = self._opened()
            return self._here

    def _opened(self) -> Here:
        link = Link(service_engine(self._url))
        writer = Writer(link, self._keys, self._days, self._now, self._look, self._retry_for)
        atexit.register(close_at_exit, weakref.ref(self))
        return Here(os.getpid(), link, writer)

    def _look(self, connection: Connection) -> None:
        """What the writer's thread asks a database first: a recall, so that the first one for a call is quick."""
        look(connection)
        if self._recall is not None:
            self._recall(connection, NOBODY, self._now())

    def _now(self) -> int:
        return int(self._clock().timestamp() * 1000)


def look(connection: Connection) -> None:
    """StoreDown if the tables are not ours (any more)."""
    check(version_of(connection))


def close_at_exit(store: weakref.ref[Store]) -> None:
    """Whatever server a process runs under: what waits is written when it ends."""
    if (still := store()) is not None:
        still.close()
