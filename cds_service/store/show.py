"""Everything that is kept about one call, for an incident: by the hookInstance that the client and the log know."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, Connection, Table, select

from .tables import accepted, decision, feedback, offered, shown, suppressed

Json = dict[str, Any]


def about(connection: Connection, hook_instance: str) -> list[Json]:
    """The decisions of that hookInstance, the oldest first, as plain values for JSON; [] for none."""
    found = select(decision).where(decision.c.hook_instance == hook_instance).order_by(decision.c.at, decision.c.id)
    return [told(connection, row) for row in connection.execute(found).mappings().all()]


def told(connection: Connection, row: Any) -> Json:
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
    """ISO 8601 in UTC; None for what was never told, and for what no calendar knows."""
    if at is None:
        return None
    try:
        return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError, OSError):
        return None
