"""Work on the database with a time limit, and a breaker for a database that does not answer.

Work is done on a few threads of our own. Whoever asked waits as long as he can afford and then goes on without. Limits
cannot be lost: SQLite looks at the clock while it works, PostgreSQL has its `statement_timeout`, and its connection is
severed when the time is over. A thread that does not come back all the same (a disk that hangs) is replaced, and
counted.

Work that found no free thread in time says nothing of the database, and work that was late says little on a busy
machine: then the writer's thread asks the database itself, with more patience, and only its word opens the breaker. An
error of the database counts at once. While the breaker is open nobody asks but the writer's thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from .database import CONNECTIONS, NOT_REACHED, TOO_LATE, Refused, file_was_replaced, limit_time, sever, store_down
from .records import StoreBusy, StoreDown
from .tables import ensure

T = TypeVar("T")
FAILURES = 3  # in a row, after which the breaker opens
LATE_SECONDS = 3.0  # beyond its limit, after which a thread is replaced; more than a connection may take
MOST_LATE = 12  # threads that hang at the same time; further work is refused
REPLACED_SECONDS = 60.0  # for which it is told that the file was replaced
CLOSE_SECONDS = 1.0
CLOSED = "this process is ending"
BUSY = "more is asked of the database than it can do just now"
REPLACED = "the database file was removed or replaced while the service ran; what was in it is not here any more"


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of work. `seconds`: from being asked to the answer. `writes`: execution options of one transaction that
    writes (`database.WRITES`, `DURABLY`); without it each statement stands alone. `changes`: it writes, either way.
    `anyway`: it is done while the breaker is open too. `probe`: it asks how the database is, so that lateness is not
    put down to load."""

    seconds: float
    writes: Mapping[str, bool] = field(default_factory=dict)
    changes: bool = False
    anyway: bool = False
    probe: bool = False


class Stale(Exception):
    """A connection from the pool that the server has let go in the meantime. Nothing was done on it."""


class GivenUp(Exception):
    """Nobody waits for the work any more."""


class Replaced(Exception):
    """What was written went into a file that is not the database's any more."""


class Task(Generic[T]):
    """Work for one of the threads, unless it is given up before it begins."""

    def __init__(self, work: Callable[[Connection], T], operation: Operation) -> None:
        self.work, self.operation = work, operation
        self.ends = time.monotonic() + operation.seconds
        self.done = threading.Event()
        self.begun = False
        self.result: T
        self.error: Exception | None = None
        self._lock = threading.Lock()
        self._given_up = False
        self._driver: Any = None  # the driver's connection while the work is on it

    @property
    def is_late(self) -> bool:
        """Does it hang, long after nobody waits for it any more?"""
        return self.begun and not self.done.is_set() and time.monotonic() > self.ends + LATE_SECONDS

    def is_over(self) -> bool:
        """Has the time passed in which somebody waits for it?"""
        return self._given_up or time.monotonic() > self.ends

    def do(self, engine: Engine, prepare: Callable[[Connection], None]) -> None:
        self.begun = True
        try:
            if self._given_up:
                raise GivenUp
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
            if self._driver is not None:
                sever(self._driver)

    def _on(self, engine: Engine, prepare: Callable[[Connection], None]) -> T:
        with engine.connect() as connection:
            try:
                self._hold(connection.connection.dbapi_connection)
                prepare(connection)
                result = self._done(connection)
                if self.operation.changes and file_was_replaced(connection):
                    raise Replaced
                return result
            finally:
                if self._let_go():
                    connection.invalidate()

    def _done(self, connection: Connection) -> T:
        """What the work gives, within the time that is left."""
        options, sqlite = self.operation.writes, connection.dialect.name == "sqlite"
        if sqlite:
            self._limit(connection)  # before it waits for the lock of another writer
        elif not options:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        with connection.execution_options(**options).begin() if options else nullcontext():
            if not sqlite:
                self._limit(connection)
            return self.work(connection)

    def _limit(self, connection: Connection) -> None:
        try:
            limit_time(connection, self.ends - time.monotonic(), self.is_over)
        except DBAPIError as error:
            if error.connection_invalidated:
                raise Stale from None
            raise

    def _hold(self, driver: Any) -> None:
        with self._lock:
            if self._given_up:
                raise GivenUp
            self._driver = driver

    def _let_go(self) -> bool:
        """Before the connection goes back for others to use; True if it may have been severed."""
        with self._lock:
            self._driver = None
            return self._given_up


def late(task: Task[Any]) -> StoreDown:
    """What it means that work was late: of a probe, that the database is at fault; of other work, nothing yet."""
    return StoreDown(TOO_LATE) if task.operation.probe else StoreBusy(TOO_LATE)


@dataclass(slots=True)
class Breaker:
    """Open after some failures in a row: then nobody asks. In doubt after work that was late."""

    failures: int = 0
    why: str = ""
    in_doubt: bool = False

    @property
    def open(self) -> str:
        """Why nobody asks; "" while somebody may."""
        return self.why if self.failures >= FAILURES else ""

    def failed(self, error: StoreDown, probe: bool) -> None:
        if isinstance(error, StoreBusy):
            self.in_doubt = self.in_doubt or error.why == TOO_LATE
            return
        self.failures, self.why = (FAILURES if probe else self.failures + 1), error.why

    def succeeded(self) -> None:
        self.failures, self.in_doubt = 0, False


class Worker(threading.Thread):
    """One of the threads. A replaced one ends as soon as it comes back."""

    def __init__(self, run: Callable[[Worker], None]) -> None:
        super().__init__(name="store", daemon=True)
        self.task: Task[Any] | None = None
        self.replaced = False
        self._run_as = run

    def run(self) -> None:
        self._run_as(self)


class Executor:
    """Everything that this process asks of the database goes through here. Thread safe.

    `doubt` is called when work was late: somebody (the writer's thread) should ask with a probe how the database is.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.doubt: Callable[[], None] = lambda: None
        self.late = 0  # threads that were replaced
        self._todo: SimpleQueue[Task[Any] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._workers: list[Worker] = []  # those that take work
        self._hanging: list[Worker] = []  # those that were replaced and have not come back
        self._unfinished: set[Task[Any]] = set()
        self._fits = self._closed = False
        self._replaced_until = 0.0
        self._breaker = Breaker()

    @property
    def broken(self) -> str:
        """Why nobody asks the database just now; "" while everybody does."""
        return self._breaker.open

    @property
    def needs_probe(self) -> bool:
        """Is it not known whether the database is well?"""
        return bool(self._breaker.open) or self._breaker.in_doubt

    @property
    def remark(self) -> str:
        """What an operator should hear though the database answers; "" for nothing."""
        return REPLACED if time.monotonic() < self._replaced_until else ""

    def run(self, work: Callable[[Connection], T], operation: Operation) -> T:
        """What the work gives; StoreDown if it fails, StoreBusy if it found no thread in time, or was late for a reason
        that is not known (yet)."""
        if not operation.anyway and (why := self._breaker.open):
            raise StoreDown(why)
        try:
            result = self._in_time(Task(work, operation))
        except Refused:
            self._breaker.succeeded()
            raise
        except StoreDown as error:
            was_in_doubt = self._breaker.in_doubt
            self._breaker.failed(error, operation.probe)
            if self._breaker.in_doubt and not was_in_doubt:
                self.doubt()
            raise
        self._breaker.succeeded()
        return result

    def _in_time(self, task: Task[T]) -> T:
        self._send(task)
        if not task.done.wait(task.operation.seconds):
            task.give_up()
            raise late(task) if task.begun else StoreBusy(BUSY)
        if isinstance(task.error, SQLAlchemyError):
            failed = store_down(task.error)
            raise late(task) if failed.why == TOO_LATE else failed from None
        if isinstance(task.error, GivenUp):
            raise StoreBusy(BUSY)
        if isinstance(task.error, Stale):
            raise StoreDown(NOT_REACHED)
        if isinstance(task.error, Replaced):
            self._open_the_new_file()
            raise StoreDown(REPLACED)
        if task.error is not None:
            raise task.error
        return task.result

    def _open_the_new_file(self) -> None:
        """Whoever comes next connects anew, and looks for the tables again."""
        self._fits, self._replaced_until = False, time.monotonic() + REPLACED_SECONDS
        self.engine.dispose()

    def _send(self, task: Task[Any]) -> None:
        with self._lock:
            if self._closed:
                raise StoreDown(CLOSED)
            self._replace_late()
            if len(self._hanging) >= MOST_LATE:
                raise StoreDown(TOO_LATE)
            self._unfinished.add(task)
            if len(self._unfinished) > len(self._workers) and len(self._workers) < CONNECTIONS:
                with suppress(RuntimeError):  # this process is ending: those there are must do
                    worker = Worker(self._work)
                    worker.start()
                    self._workers.append(worker)
        self._todo.put(task)

    def _replace_late(self) -> None:
        """Count on no thread that hangs. Those that came back are forgotten."""
        self._hanging = [each for each in self._hanging if each.is_alive()]
        for worker in [*self._workers]:
            if (task := worker.task) is not None and task.is_late:
                worker.replaced = True
                self._workers.remove(worker)
                self._hanging.append(worker)
                self._unfinished.discard(task)
                self.late += 1

    def _work(self, worker: Worker) -> None:
        while not worker.replaced and (task := self._todo.get()) is not None:
            worker.task = task
            task.do(self.engine, self._prepare)
            with self._lock:
                worker.task = None
                self._unfinished.discard(task)

    def _prepare(self, connection: Connection) -> None:
        """The tables are looked at once by each process, on the first connection that stands."""
        if self._fits:
            return
        try:
            ensure(connection)
        except DBAPIError as error:
            if error.connection_invalidated:
                raise Stale from None
            raise
        self._fits = True

    def close(self) -> None:
        """Give up what is under way, and let the threads end and the connections go."""
        with self._lock:
            self._closed = True  # a thread that began later would never be told to end
            workers, tasks = [*self._workers], [*self._unfinished]
        for task in tasks:
            task.give_up()
        for _ in workers:
            self._todo.put(None)
        latest = time.monotonic() + CLOSE_SECONDS
        for worker in workers:
            worker.join(max(latest - time.monotonic(), 0))
        self.engine.dispose()
