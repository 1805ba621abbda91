"""Decisions and feedback as rows of the tables. The patient, the user and the evidence become pseudonyms here."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import sha256
from typing import Any

from sqlalchemy import BigInteger, Connection, String, Table, or_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.dml import Insert as PostgresInsert
from sqlalchemy.dialects.sqlite.dml import Insert as SqliteInsert

from . import tables
from .pseudonyms import Key, Keys
from .records import DecisionRecord, FeedbackRecord

Row = dict[str, Any]
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # neither database takes these as text
LARGEST_INTEGER = 2**63 - 1
CRITICAL = "critical"
ANSWERED = 200  # the status of a call whose cards were sent


class DecisionRows:
    """Decisions as rows, by table in the order in which they are written. A decision's id is made once, so that
    writing it again after a lost connection does not make two of it."""

    def __init__(self, keys: Keys, decisions: Iterable[DecisionRecord]) -> None:
        self.by_table: dict[Table, list[Row]] = {
            table: [] for table in (tables.decision, tables.shown, tables.offered, tables.suppressed, tables.card)
        }
        for decision in decisions:
            self._add(keys, decision)
        # Two processes that send the same cards write them in one order, so that neither waits for the other.
        self.by_table[tables.card].sort(key=lambda row: (row["client"], row["card"]))

    @property
    def cards(self) -> list[tuple[str, str]]:
        """The cards that were sent, each by its client and its id."""
        return list(dict.fromkeys((row["client"], row["card"]) for row in self.by_table[tables.card]))

    def _add(self, keys: Keys, recorded: DecisionRecord) -> None:
        made, key = uuid.uuid4().hex, keys.newest
        plain = ("at", "service", "hook", "hook_instance", "content", "pathway", "label", "status", "silent", "ms")
        row = {name: getattr(recorded, name) for name in plain}
        row |= {"id": made, "client": recorded.who.client, "key": key.id}
        row |= {"rows": json.dumps(recorded.rows), "missing": json.dumps(recorded.missing)}
        row |= {"patient": key.patient(recorded.who), "user": key.user(recorded.who)}
        row["evidence"] = key.evidence(recorded.who, recorded.evidence)
        row["hook_instance"] = key.opaque(recorded.hook_instance)
        self._put(tables.decision, [row])
        cards = [{"card": each.card, "row": each.row, "indicator": each.indicator} for each in recorded.shown]
        self._put(tables.shown, numbered(made, cards))
        names = ("card", "suggestion", "kind", "draft")
        offers = [{name: getattr(each, name) for name in names} for each in recorded.offered]
        self._put(tables.offered, numbered(made, offers))
        left_out = [{"what": each.what, "why": each.why, "on": each.on.isoformat()} for each in recorded.suppressed]
        self._put(tables.suppressed, numbered(made, left_out))
        if recorded.status == ANSWERED and not recorded.silent:
            self._put(tables.card, cards_sent(row, recorded))

    def _put(self, table: Table, rows: Sequence[Row]) -> None:
        self.by_table[table] += [fitting(table, row) for row in rows]

    def write(self, connection: Connection) -> None:
        """Those that are not there yet; a card that was sent before is brought up to date."""
        for table, rows in self.by_table.items():
            if rows:
                dialect = connection.dialect.name
                statement = upsert_card(dialect) if table is tables.card else insert_new(dialect, table)
                connection.execute(statement, rows)


def cards_sent(decision: Row, recorded: DecisionRecord) -> list[Row]:
    """What is known of the ids of a decision's cards, before any other decision sends them too."""
    about = {name: decision[name] for name in ("client", "patient", "user", "evidence", "key")}
    critical = {each.card for each in recorded.shown if each.indicator == CRITICAL}
    return [
        {**about, "card": card, "decision": decision["id"], "critical": card in critical, "other_patient": False,
         "other_call": False}
        for card in dict.fromkeys(each.card for each in recorded.shown)
    ]  # fmt: skip


@cache
def upsert_card(dialect: str) -> SqliteInsert | PostgresInsert:
    """An insert of cards that were sent; of one that was sent before it is noted for whom else."""
    insert = insert_of(dialect, tables.card)
    new, old = insert.excluded, tables.card.c
    patient = new["patient"] != old.patient
    return insert.on_conflict_do_update(
        index_elements=[old.client, old.card],
        set_={
            "decision": new["decision"],
            "critical": or_(old.critical, new["critical"]),
            "other_patient": or_(old.other_patient, patient),
            "other_call": or_(old.other_call, patient, new["user"] != old.user, new["evidence"] != old.evidence),
        },
    )


def numbered(decision: str, rows: list[Row]) -> list[Row]:
    """Rows of one decision, in their order."""
    return [{"decision": decision, "place": place, **row} for place, row in enumerate(rows)]


def feedback_row(client: str, given: FeedbackRecord, key: Key, received: int) -> Row:
    """A feedback as it is kept. Its digest is of all that it says, so that the same one is known again."""
    row = fitting(
        tables.feedback,
        {
            "client": client,
            "card": key.opaque(given.card),
            "outcome": given.outcome,
            "at": given.at,
            "reason": given.reason,
            "reason_system": given.reason_system,
            "commented": given.commented,
        },
    )
    said = [row[name] for name in sorted(row)] + sorted(accepted_ids(given, key))
    return {**row, "received": received, "digest": digest(*said)}


def accepted_ids(given: FeedbackRecord, key: Key) -> list[str]:
    """The suggestions that were accepted, each once, as they are kept."""
    kind = tables.accepted.c.suggestion.type
    return list(dict.fromkeys(_fitting(kind, key.opaque(each)) for each in given.accepted))


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


def insert_of(dialect: str, table: Table) -> SqliteInsert | PostgresInsert:
    """An insert in the dialect of the database, which both know what to do with a row that is there already."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


@cache
def insert_new(dialect: str, table: Table) -> SqliteInsert | PostgresInsert:
    """An insert that leaves alone what is there already."""
    return insert_of(dialect, table).on_conflict_do_nothing()
