"""What is too old is deleted, in small steps so that nobody waits for it: now and then by the service, or by a purge.

What hangs on a decision (cards, suggestions) and on a feedback (accepted suggestions) goes with it.
"""

from __future__ import annotations

from sqlalchemy import Column, Connection, Table, delete, select

from .tables import decision, feedback, seen_token

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
