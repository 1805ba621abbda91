"""What is kept, as rows of the tables. The patient, the user and the evidence become pseudonyms here."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import BigInteger, Connection, String, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql import Insert

from . import tables
from .kept import KeptDecision, KeptFeedback
from .pseudonyms import Keys

Row = dict[str, Any]
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # neither database takes these as text
LARGEST_INTEGER = 2**63 - 1


class DecisionRows:
    """Decisions as rows, by table in the order in which they are written. A decision's id is made once, so that
    writing it again after a lost connection does not make two of it."""

    def __init__(self, keys: Keys, decisions: Iterable[KeptDecision]) -> None:
        self.by_table: dict[Table, list[Row]] = {
            table: [] for table in (tables.decision, tables.shown, tables.offered, tables.suppressed)
        }
        for decision in decisions:
            self._add(keys, decision)

    def _add(self, keys: Keys, kept: KeptDecision) -> None:
        made, key = uuid.uuid4().hex, keys.newest
        plain = ("at", "service", "hook", "hook_instance", "content", "pathway", "label", "status", "silent", "ms")
        row = {name: getattr(kept, name) for name in plain}
        row |= {"id": made, "client": kept.who.client, "key": key.id}
        row |= {"rows": json.dumps(kept.rows), "missing": json.dumps(kept.missing)}
        row |= {"patient": key.patient(kept.who), "user": key.user(kept.who)}
        row["evidence"] = key.evidence(kept.who, kept.evidence)
        self._put(tables.decision, [row])
        cards = [{"card": each.card, "row": each.row, "indicator": each.indicator} for each in kept.shown]
        self._put(tables.shown, numbered(made, cards))
        names = ("card", "suggestion", "kind", "draft")
        offers = [{name: getattr(each, name) for name in names} for each in kept.offered]
        self._put(tables.offered, numbered(made, offers))
        left_out = [{"what": each.what, "why": each.why, "on": each.on.isoformat()} for each in kept.suppressed]
        self._put(tables.suppressed, numbered(made, left_out))

    def _put(self, table: Table, rows: Sequence[Row]) -> None:
        self.by_table[table] += [fitting(table, row) for row in rows]

    def write(self, connection: Connection) -> None:
        """Those that are not there yet."""
        for table, rows in self.by_table.items():
            if rows:
                connection.execute(insert_new(connection, table), rows)


def numbered(decision: str, rows: list[Row]) -> list[Row]:
    """Rows of one decision, in their order."""
    return [{"decision": decision, "place": place, **row} for place, row in enumerate(rows)]


def feedback_row(client: str, given: KeptFeedback, received: int) -> Row:
    """A feedback as it is kept. Its digest is of all that it says, so that the same one is known again."""
    row = fitting(
        tables.feedback,
        {
            "client": client,
            "card": given.card,
            "outcome": given.outcome,
            "at": given.at,
            "reason": given.reason,
            "reason_system": given.reason_system,
            "commented": given.commented,
        },
    )
    said = [row[name] for name in sorted(row)] + sorted(accepted_ids(given))
    return {**row, "received": received, "digest": digest(*said)}


def accepted_ids(given: KeptFeedback) -> list[str]:
    """The suggestions that were accepted, each once, as they are kept."""
    kind = tables.accepted.c.suggestion.type
    return list(dict.fromkeys(_fitting(kind, each) for each in given.accepted))


def digest(*said: str | int | bool | None) -> str:
    """64 hex digits that are the same for the same list only."""
    return sha256(json.dumps(said).encode("ascii")).hexdigest()


def fitting(table: Table, row: Row) -> Row:
    """The row with its texts cut to their columns, and a number that is none of a database left out: what a client
    sends may be of any length."""
    return {name: _fitting(table.c[name].type, value) for name, value in row.items()}


def _fitting(kind: Any, value: Any) -> Any:
    if isinstance(value, str):
        clean = UNSTORABLE.sub("\ufffd", value)
        return clean[: kind.length] if isinstance(kind, String) else clean
    if isinstance(kind, BigInteger) and value is not None and abs(value) > LARGEST_INTEGER:
        return None
    return value


def insert_new(connection: Connection, table: Table) -> Insert:
    """An insert that leaves alone what is there already; both databases know it, each in its own dialect."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    return dialect.insert(table).on_conflict_do_nothing()
