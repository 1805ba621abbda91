"""Work on the database with a time limit, and a breaker for a database that does not answer.

A driver waits as long as the server keeps it waiting, so work is done on a few threads of our own. Whoever asked waits
as long as he can afford; then he goes on without, and the connection is severed so that the thread is free again.
After a few failures in a row nobody asks any more until the writer's thread has found the database well again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from .database import CONNECTIONS, NOT_REACHED, Refused, sever, store_down
from .records import StoreDown
from .tables import ensure

T = TypeVar("T")
FAILURES = 3  # in a row, after which the breaker opens
CLOSE_SECONDS = 1.0
TOO_LATE = "the database did not answer in time"
CLOSED = "this process is ending"


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
            self.done.set()

    def give_up(self) -> None:
        with self._lock:
            self._given_up = True
            if self._wire is not None:
                sever(self._wire)

    def _on(self, engine: Engine, prepare: Callable[[Connection], None]) -> T:
        with engine.connect() as connection:
            try:
                self._hold(connection.connection.dbapi_connection)
                alive(connection)
                prepare(connection)
                with connection.execution_options(**self.options).begin():
                    return self.work(connection)
            finally:
                if self._let_go():
                    connection.invalidate()

    def _hold(self, wire: Any) -> None:
        with self._lock:
            if self._given_up:
                raise GivenUp
            self._wire = wire

    def _let_go(self) -> bool:
        """Before the connection goes back for others to use; True if it may have been severed."""
        with self._lock:
            self._wire = None
            return self._given_up


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


@dataclass(slots=True)
class Breaker:
    """Open after some failures in a row: then nobody asks."""

    failures: int = 0
    why: str = ""

    @property
    def open(self) -> str:
        """Why nobody asks; "" while somebody may."""
        return self.why if self.failures >= FAILURES else ""

    def failed(self, why: str) -> None:
        self.failures, self.why = self.failures + 1, why

    def succeeded(self) -> None:
        self.failures = 0


class Executor:
    """Everything that this process asks of the database goes through here. Thread safe.

    Who is in a hurry has a breaker of his own: on a busy machine a look-up of 50 ms fails where the database is well,
    and that must not keep anybody from storing feedback, who has seconds.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._todo: SimpleQueue[Task[Any] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._tasks: set[Task[Any]] = set()  # sent and not yet done
        self._fits = self._closed = False
        self._patient, self._hurried = Breaker(), Breaker()

    @property
    def broken(self) -> str:
        """Why somebody does not ask the database just now; "" while everybody does."""
        return self._patient.open or self._hurried.open

    def run(
        self,
        work: Callable[[Connection], T],
        seconds: float,
        options: Mapping[str, Any],
        *,
        hurried: bool = False,
        anyway: bool = False,
    ) -> T:
        """What the work gives, done in one transaction; StoreDown if it fails or takes longer. `hurried`: so little
        time that a failure says nothing about the database. `anyway`: also while the breakers are open, which a
        success closes."""
        breaker = self._hurried if hurried else self._patient
        if not anyway and (why := self._patient.open or breaker.open):
            raise StoreDown(why)
        try:
            result = self._in_time(Task(work, options), seconds)
        except Refused:
            breaker.succeeded()
            raise
        except StoreDown as error:
            breaker.failed(error.why)
            raise
        breaker.succeeded()
        if anyway:
            self._hurried.succeeded()
        return result

    def _in_time(self, task: Task[T], seconds: float) -> T:
        self._send(task)
        if not task.done.wait(seconds):
            task.give_up()
            raise StoreDown(TOO_LATE)
        if isinstance(task.error, SQLAlchemyError):
            raise store_down(task.error) from None
        if isinstance(task.error, (Stale, GivenUp)):
            raise StoreDown(NOT_REACHED)
        if task.error is not None:
            raise task.error
        return task.result

    def _send(self, task: Task[Any]) -> None:
        with self._lock:
            if self._closed:
                raise StoreDown(CLOSED)
            self._tasks.add(task)
            if len(self._tasks) > len(self._threads) and len(self._threads) < CONNECTIONS:
                with suppress(RuntimeError):  # no further thread can start: those there are must do
                    thread = threading.Thread(target=self._work, name="store", daemon=True)
                    thread.start()
                    self._threads.append(thread)
        self._todo.put(task)

    def _work(self) -> None:
        while (task := self._todo.get()) is not None:
            task.do(self._engine, self._prepare)
            with self._lock:
                self._tasks.discard(task)

    def _prepare(self, connection: Connection) -> None:
        """The tables are looked at once by each process, on the first connection that stands."""
        if not self._fits:
            ensure(connection)
            self._fits = True

    def close(self) -> None:
        """Give up what is under way, and let the threads end and the connections go."""
        with self._lock:
            self._closed = True  # a thread that began later would never end
            threads, tasks = [*self._threads], [*self._tasks]
        for task in tasks:
            task.give_up()
        for _ in threads:
            self._todo.put(None)
        latest = time.monotonic() + CLOSE_SECONDS
        for thread in threads:
            thread.join(max(latest - time.monotonic(), 0))
        self._engine.dispose()
