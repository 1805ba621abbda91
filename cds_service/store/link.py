"""One process's link to the database: work with a time limit, and a breaker for a database that does not answer.

A driver waits as long as the server keeps it waiting, so work is done on a few threads of our own. Whoever asked waits
as long as he can afford; then he goes on without, and the connection is severed so that the thread is free again.
After a few failures in a row nobody asks any more until the writer's thread has found the database well again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from .engine import CONNECTIONS, sever
from .faults import NOT_REACHED, Refused, store_down
from .kept import StoreDown
from .schema import ensure

T = TypeVar("T")
FAILURES = 3  # in a row, after which the breaker opens
TOO_LATE = "the database did not answer in time"


class Stale(Exception):
    """A connection from the pool that the server has let go in the meantime. Nothing was done on it."""


class GivenUp(Exception):
    """Nobody waits for the work any more."""


class Task(Generic[T]):
    """Work for one of the threads: done in one transaction, unless it is given up before."""

    def __init__(self, work: Callable[[Connection], T], options: Mapping[str, Any]) -> None:
        self.work, self.options = work, options
        self.done = threading.Event()
        self.result: T
        self.error: Exception | None = None
        self._lock = threading.Lock()
        self._given_up = False
        self._wire: Any = None  # the driver's connection while we are on it

    def do(self, engine: Engine, prepare: Callable[[Connection], None]) -> None:
        try:
            try:
                self.result = self._on(engine, prepare)
            except Stale:
                self.result = self._on(engine, prepare)  # SQLAlchemy has emptied the pool with it
        except Exception as error:  # noqa: BLE001 (raised where it is waited for)
            self.error = error
        finally:
            with self._lock:
                self._wire = None
            self.done.set()

    def give_up(self) -> None:
        with self._lock:
            self._given_up = True
            if self._wire is not None:
                sever(self._wire)

    def _on(self, engine: Engine, prepare: Callable[[Connection], None]) -> T:
        with engine.connect() as connection:
            self._hold(connection.connection.dbapi_connection)
            alive(connection)
            prepare(connection)
            with connection.execution_options(**self.options).begin():
                return self.work(connection)

    def _hold(self, wire: Any) -> None:
        with self._lock:
            if self._given_up:
                raise GivenUp
            self._wire = wire


def alive(connection: Connection) -> None:
    """A round trip, so that work begins only on a connection that still stands. A file cannot go away like that."""
    if connection.dialect.name == "sqlite":
        return
    try:
        with connection.begin():
            connection.exec_driver_sql("SELECT 1")
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Stale from None
        raise


class Link:
    """Everything that this process asks of the database goes through here. Thread safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._todo: SimpleQueue[Task[Any] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = self._under_way = 0
        self._fits = False
        self._failures = 0
        self._why = ""

    @property
    def broken(self) -> str:
        """Why nobody asks the database just now; "" while it is asked."""
        return self._why if self._failures >= FAILURES else ""

    def run(
        self, work: Callable[[Connection], T], seconds: float, options: Mapping[str, Any], anyway: bool = False
    ) -> T:
        """What the work gives, done in one transaction; StoreDown if it fails or takes longer. `anyway`: also while
        the breaker is open, which a success closes."""
        if self.broken and not anyway:
            raise StoreDown(self.broken)
        try:
            result = self._in_time(Task(work, options), seconds)
        except Refused:
            self._failures = 0
            raise
        except StoreDown as error:
            self._failures, self._why = self._failures + 1, error.why
            raise
        self._failures = 0
        return result

    def _in_time(self, task: Task[T], seconds: float) -> T:
        self._send(task)
        if not task.done.wait(seconds):
            task.give_up()
            raise StoreDown(TOO_LATE)
        if isinstance(task.error, SQLAlchemyError):
            raise store_down(task.error) from None
        if isinstance(task.error, Stale):
            raise StoreDown(NOT_REACHED)
        if task.error is not None:
            raise task.error
        return task.result

    def _send(self, task: Task[Any]) -> None:
        with self._lock:
            self._under_way += 1
            if self._under_way > self._threads and self._threads < CONNECTIONS:
                with suppress(RuntimeError):  # no room for one more, or this process is ending: those there are must do
                    threading.Thread(target=self._work, name="store", daemon=True).start()
                    self._threads += 1
        self._todo.put(task)

    def _work(self) -> None:
        while (task := self._todo.get()) is not None:
            task.do(self._engine, self._prepare)
            with self._lock:
                self._under_way -= 1

    def _prepare(self, connection: Connection) -> None:
        """The tables are looked at once by each process, on the first connection that stands."""
        if not self._fits:
            ensure(connection)
            self._fits = True

    def close(self) -> None:
        """Let the threads end and the connections go."""
        with self._lock:
            for _ in range(self._threads):
                self._todo.put(None)
        self._engine.dispose()
