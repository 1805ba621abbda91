"""What an operator does with a store: show all of one call, count what is there, delete what is old.

What is too old is deleted in small steps so that nobody waits for it, now and then by the service, or by a purge. What
belongs to a decision (cards, suggestions) and to a feedback (accepted suggestions) goes with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, Connection, Table, delete, func, select

from .database import WRITES
from .tables import accepted, decision, feedback, offered, seen_token, shown, suppressed

STEP = 500  # rows


def delete_old(connection: Connection, table: Table, moment: Column[int], before: int) -> int:
    """Delete some rows from before that moment (ms since 1970), the oldest first; how many."""
    (key, *_) = table.primary_key.columns
    oldest = select(key).where(moment < before).order_by(moment).limit(STEP)
    return connection.execute(delete(table).where(key.in_(oldest.scalar_subquery()), moment < before)).rowcount


def delete_decisions(connection: Connection, before: int) -> int:
    return delete_old(connection, decision, decision.c.at, before)


def delete_feedback(connection: Connection, before: int) -> int:
    return delete_old(connection, feedback, feedback.c.received, before)


def delete_tokens(connection: Connection, now: int) -> int:
    """Those that no call can bring any more."""
    return connection.execute(delete(seen_token).where(seen_token.c.until < now)).rowcount


def step(connection: Connection, now: int, days: int) -> int:
    """One step of what the service deletes by itself; how many rows, 0 when there is nothing left to do."""
    gone = delete_tokens(connection, now)
    if days:
        before = now - days * 86_400_000
        gone += delete_decisions(connection, before) + delete_feedback(connection, before)
    return gone


# What is counted and deleted, by which moment.
KEPT: dict[str, tuple[Table, Column[int], Callable[[Connection, int], int]]] = {
    "decisions": (decision, decision.c.at, delete_decisions),
    "feedback": (feedback, feedback.c.received, delete_feedback),
}


@dataclass(frozen=True, slots=True)
class Held:
    """How much of one kind is stored, from when to when (ms since 1970; None where there is nothing)."""

    count: int
    oldest: int | None
    newest: int | None


def held(connection: Connection) -> dict[str, Held]:
    """What is stored, by kind."""
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
        raw: Any = connection.connection.dbapi_connection
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


Json = dict[str, Any]


def records_of_call(connection: Connection, hook_instance: str) -> list[Json]:
    """The decisions of that hookInstance, the oldest first, as plain values for JSON; [] for none."""
    found = select(decision).where(decision.c.hook_instance == hook_instance).order_by(decision.c.at, decision.c.id)
    return [decision_as_json(connection, row) for row in connection.execute(found).mappings().all()]


def decision_as_json(connection: Connection, row: Any) -> Json:
    """A decision with its cards, and each card with its suggestions and what was said to it."""
    plain = {name: value for name, value in row.items() if name not in ("at", "rows", "missing")}
    return {
        "at": moment(row["at"]),
        **plain,
        "rows": json.loads(row["rows"]),
        "missing": json.loads(row["missing"]),
        "cards": cards(connection, row["id"], row["client"]),
        "suppressed": parts(connection, suppressed, row["id"], suppressed.c.what, suppressed.c.why, suppressed.c.on),
    }


def cards(connection: Connection, made: str, client: str) -> list[Json]:
    """The cards of a decision in their order. Feedback counts from the client that was sent the card."""
    found: dict[str, Json] = {}
    for each in parts(connection, shown, made, shown.c.card, shown.c.row, shown.c.indicator):
        card = {"card": each["card"], "indicator": each["indicator"], "rows": [], "suggestions": [], "feedback": []}
        found.setdefault(each["card"], card)["rows"].append(each["row"])
    columns = (offered.c.card, offered.c.suggestion, offered.c.kind, offered.c.draft)
    for each in parts(connection, offered, made, *columns):
        if each["card"] in found:
            suggestion = {name: value for name, value in each.items() if name != "card"}
            found[each["card"]]["suggestions"].append(suggestion)
    for name, card in found.items():
        card["feedback"] = answers(connection, client, name)
    return list(found.values())


def answers(connection: Connection, client: str, card: str) -> list[Json]:
    """What was said to a card, in the order in which it came."""
    of_card = (feedback.c.client == client, feedback.c.card == card)
    found = connection.execute(select(feedback).where(*of_card).order_by(feedback.c.id)).mappings().all()
    return [
        {
            "received": moment(each["received"]),
            "at": moment(each["at"]),
            "outcome": each["outcome"],
            "reason": each["reason"],
            "reason_system": each["reason_system"],
            "commented": each["commented"],
            "accepted": list(
                connection.scalars(select(accepted.c.suggestion).where(accepted.c.feedback == each["id"]))
            ),
        }
        for each in found
    ]


def parts(connection: Connection, table: Table, made: str, *columns: Column[Any]) -> list[Json]:
    """Some columns of what belongs to a decision, in its order."""
    found = select(*columns).where(table.c.decision == made).order_by(table.c.place)
    return [dict(row) for row in connection.execute(found).mappings()]


def moment(at: int | None) -> str | None:
    """ISO 8601 in UTC; None for what was never stated, and for what no calendar knows."""
    if at is None:
        return None
    try:
        return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError, OSError):
        return None
