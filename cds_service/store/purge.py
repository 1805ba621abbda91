"""An operator deletes what is older than a day, and sees what is kept at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Column, Connection, Table, func, select

from .engine import WRITES
from .retention import delete_decisions, delete_feedback
from .tables import decision, feedback

# What is counted and deleted, by which moment.
KEPT: dict[str, tuple[Table, Column[int], Callable[[Connection, int], int]]] = {
    "decisions": (decision, decision.c.at, delete_decisions),
    "feedback": (feedback, feedback.c.received, delete_feedback),
}


@dataclass(frozen=True, slots=True)
class Held:
    """How much of one kind is kept, from when to when (ms since 1970; None where there is nothing)."""

    count: int
    oldest: int | None
    newest: int | None


def held(connection: Connection) -> dict[str, Held]:
    """What is kept, by kind."""
    asked = {
        name: select(func.count(), func.min(moment), func.max(moment)).select_from(table)
        for name, (table, moment, _) in KEPT.items()
    }
    return {name: Held(*connection.execute(each).one()) for name, each in asked.items()}


def keys_used(connection: Connection) -> dict[str, int]:
    """How many decisions have their pseudonyms under which key."""
    found = select(decision.c.key, func.count()).group_by(decision.c.key).order_by(decision.c.key)
    return {row[0]: row[1] for row in connection.execute(found)}


def count_before(connection: Connection, before: int) -> dict[str, int]:
    """How much a purge would delete, by kind."""
    return {
        name: connection.scalar(select(func.count()).select_from(table).where(moment < before)) or 0
        for name, (table, moment, _) in KEPT.items()
    }


def purge(connection: Connection, before: int) -> dict[str, int]:
    """Delete what is from before that moment, and all that hangs on it; how much of each kind. In small steps, each in
    its own transaction, so that a running service goes on writing in between. A file becomes smaller by it."""
    gone = {name: delete_all(connection, delete, before) for name, (_, _, delete) in KEPT.items()}
    if connection.dialect.name == "sqlite":
        raw = connection.connection.dbapi_connection
        raw.execute("VACUUM")
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return gone


def delete_all(connection: Connection, delete: Callable[[Connection, int], int], before: int) -> int:
    gone = 0
    while True:
        with connection.execution_options(**WRITES).begin():
            step = delete(connection, before)
        if not step:
            return gone
        gone += step
