"""The connection to the database, SQLite (a file, WAL) or PostgreSQL (psycopg 3), and its errors in our own words.

Nothing is opened before it is asked for. Transactions are begun by us: `WRITES` takes SQLite's write lock at once (so
that two writers wait instead of failing half-way), `DURABLY` returns from a commit only when it is on the disk even if
the power fails; without either each statement stands alone, so that no reader keeps a snapshot. `limit_time` gives work
a limit that the database itself keeps. An error of a driver may hold an address, a value or a statement; `words` says
what it means.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, SQLAlchemyError

from .records import StoreDown

DRIVERS = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg"}
ALLOWED = "sqlite:///FILE, postgresql://USER:PASSWORD@HOST/DATABASE, or none"
CONNECTIONS = 6  # of one process
BUSY_MS = 2_000  # how long SQLite waits for another writer
STATEMENT_MS = 5_000  # after which PostgreSQL gives up on a statement that has no limit of its own
CONNECT_SECONDS = 2
STEPS = 50_000  # of SQLite's virtual machine (a millisecond or two) between two looks at the clock
WAL_LIMIT = 8 * 2**20  # bytes of SQLite's write-ahead log, beyond which the writer empties it
WRITES = {"writes": True}
DURABLY = {"writes": True, "durable": True}
FileIdentity = tuple[int, int]  # device and inode
# A server that vanished from the network is noticed within seconds, not hours.
POSTGRES: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "application_name": "b12-cds",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


class UrlUnusable(Exception):
    """A URL that names no database we can use. Its text repeats nothing of it: it may hold a password."""


def read_url(text: str | URL) -> URL:
    """The database that a URL names, with the driver that we use."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise UrlUnusable(f"allowed: {ALLOWED}") from None
    name = url.get_backend_name()
    if name not in DRIVERS or url.drivername not in (name, DRIVERS[name]):
        raise UrlUnusable(f"allowed: {ALLOWED}")
    if name == "sqlite" and url.database in (None, "", ":memory:"):
        raise UrlUnusable(f"SQLite needs a file: several processes share it; allowed: {ALLOWED}")
    return url.set(drivername=DRIVERS[name])


def service_engine(url: URL, spare: int) -> Engine:
    """For a worker: few connections, the last used first, and statements that end. `spare`: connections beyond those,
    for threads that replace one that hangs."""
    return _engine(url, STATEMENT_MS, pool_size=CONNECTIONS, max_overflow=spare, pool_timeout=1, pool_use_lifo=True)


def command_engine(url: URL) -> Engine:
    """For the command line: one connection, and as much time as it takes."""
    return _engine(url, 0, pool_size=1, max_overflow=0)


def _engine(url: URL, statement_ms: int, **pool: Any) -> Engine:
    if url.get_backend_name() == "sqlite":
        # isolation_level None: sqlite3 begins no transaction by itself, `_begin` does
        engine = create_engine(url, connect_args={"timeout": BUSY_MS / 1000, "isolation_level": None}, **pool)
        event.listen(engine, "do_connect", _make_private)
        event.listen(engine, "connect", _settle_sqlite(url.database or ""))
        event.listen(engine, "begin", _begin)
        return engine
    engine = create_engine(url, connect_args=POSTGRES, **pool)
    event.listen(engine, "connect", _statement_limit(statement_ms))
    return engine


def _make_private(_dialect: Any, _record: Any, arguments: Any, _options: Any) -> None:
    """A new file is for its owner alone, and SQLite gives its companion files the same mode. One that is there is not
    opened here: closing it would end this process's locks on it. What cannot be made is for SQLite to report."""
    with suppress(OSError):
        os.close(os.open(arguments[0], os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _settle_sqlite(file: str) -> Callable[[Any, Any], None]:
    def settle(connection: Any, record: Any) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
        record.info["file"] = file_identity(file)

    return settle


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("writes"):
        connection.exec_driver_sql(f"PRAGMA synchronous = {'FULL' if options.get('durable') else 'NORMAL'}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def file_identity(file: str) -> FileIdentity | None:
    """Which file it is; None if there is none of that name."""
    try:
        found = os.stat(file)  # noqa: PTH116 (called for every write)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def file_was_replaced(connection: Connection) -> bool:
    """Was the SQLite file removed, or another put in its place, since this connection was opened? What is written then
    goes into a file that nobody can find any more."""
    file = connection.engine.url.database
    if connection.dialect.name != "sqlite" or file is None:
        return False
    return connection.info.get("file") != file_identity(file)


def limit_time(connection: Connection, seconds: float, is_over: Callable[[], bool]) -> None:
    """Let the database itself end what takes longer. SQLite asks `is_over` while it works, and is told before a
    transaction begins. PostgreSQL counts for every statement, and is told by the first one of a transaction, which also
    shows that the connection still stands."""
    milliseconds = max(int(seconds * 1000), 1)
    driver: Any = connection.connection.dbapi_connection
    if connection.dialect.name == "sqlite":
        driver.set_progress_handler(is_over, STEPS)
        driver.execute(f"PRAGMA busy_timeout = {min(milliseconds, BUSY_MS)}")
        driver.execute("PRAGMA synchronous = NORMAL")
        return
    connection.exec_driver_sql(f"SET statement_timeout = {milliseconds:d}")


def empty_write_ahead_log(connection: Connection) -> None:
    """Bring what stands in SQLite's write-ahead log into the file, and make it small again."""
    connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all()


def write_ahead_log_is_large(engine: Engine) -> bool:
    """Has SQLite's write-ahead log grown beyond its limit?"""
    if engine.dialect.name != "sqlite":
        return False
    try:
        return os.stat(f"{engine.url.database}-wal").st_size > WAL_LIMIT  # noqa: PTH116 (called after every batch)
    except OSError:
        return False


def _statement_limit(milliseconds: int) -> Callable[[Any, Any], None]:
    def limit(connection: Any, _record: Any) -> None:
        """Set on the connection, not sent at its start: a pooler in between need not know the option."""
        connection.execute(f"SET statement_timeout = {milliseconds:d}")
        connection.commit()

    return limit


def sever(connection: Any) -> None:
    """End what PostgreSQL's driver waits for, from another thread: its own call then fails at once. SQLite ends by
    itself (`limit_time`)."""
    if not hasattr(connection, "fileno"):
        return
    # it may be closed already; there is nobody left to tell
    with suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)


UPGRADE = "its tables do not fit this version of the service: run `b12-cds store upgrade`"
NOT_REACHED = "the database cannot be reached"
NOT_LET_IN = "the database does not let us in: user or password"
NO_ROOM = "the database has no room left (connections, memory or disk)"
FAILED = "the database reports a fault"
TOO_LATE = "the database did not answer in time"
# Where there is no code, only words: SQLite's, and PostgreSQL's to a connection that it refuses.
WORDS = {
    "password authentication failed": NOT_LET_IN,
    "no pg_hba.conf entry": NOT_LET_IN,
    "does not exist": "the database or its user does not exist",
    "too many clients": NO_ROOM,
    "connection slots": NO_ROOM,
    "unable to open database file": "the database file cannot be opened",
    "readonly database": "the database file cannot be written",
    "database or disk is full": "the disk is full",
    "database is locked": "the database file is locked by another process",
    "file is not a database": "the file is no SQLite database",
    "malformed": "the database file is damaged",
    "interrupted": TOO_LATE,
    "no such table": UPGRADE,
    "no such column": UPGRADE,
}
# PostgreSQL's codes: the first characters of the SQLSTATE.
SQLSTATES = {
    "08": NOT_REACHED,
    "42P01": UPGRADE,
    "42703": UPGRADE,
    "42501": "the database user lacks a right on a table",
    "25006": "the database is read-only",
    "53": NO_ROOM,
    "57014": TOO_LATE,
    "57": NOT_REACHED,
}


class Refused(StoreDown):
    """The database is well and refuses what it was given: doing the same again does not help."""


def store_down(error: SQLAlchemyError) -> StoreDown:
    """What is raised instead of the error of a library."""
    if isinstance(error, (DataError, IntegrityError)):
        return Refused("the database refuses what it was given")
    return StoreDown(words(error))


def words(error: SQLAlchemyError) -> str:
    """One line for the operator."""
    if not isinstance(error, DBAPIError):
        return "all connections to the database are taken"
    state = getattr(error.orig, "sqlstate", None)
    if state:
        return next((said for start, said in SQLSTATES.items() if state.startswith(start)), f"{FAILED} ({state})")
    text = str(error.orig)
    found = next((said for part, said in WORDS.items() if part in text), None)
    return found or (FAILED if "sqlite" in type(error.orig).__module__ else NOT_REACHED)
