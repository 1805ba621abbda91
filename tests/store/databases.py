"""Stores for tests: databases with our tables, decisions and feedback to keep in them, and a look at all they hold."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, select

from cds_service.store.database import command_engine, read_url
from cds_service.store.pseudonyms import Key, Keys
from cds_service.store.records import CallParties, DecisionRecord, FeedbackRecord, History, Offered, Shown, Suppressed
from cds_service.store.store import Store
from cds_service.store.tables import METADATA
from cds_service.store.upgrade import upgrade

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
AT = int(NOW.timestamp() * 1000)
DAY = 86_400_000
KEYS = Keys((Key("first", b"1" * 32),))
WHO = CallParties("main", None, "https://fhir.example.org/r4", "patient-in-clear", "Practitioner/user-in-clear")
ROW, EVIDENCE = "interpret/deficient", "evidence-in-clear"
SOON = 20.0  # seconds: long enough for a busy machine


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder}/store.sqlite"


def made(url: str) -> str:
    """The same URL, with our tables there."""
    upgrade(read_url(url))
    return url


@contextmanager
def store_at(url: str, keys: Keys = KEYS, **changed: Any) -> Iterator[Store]:
    store = Store(url, keys, lambda: NOW, **changed)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    engine = command_engine(read_url(url))
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def everything(url: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table."""
    with connected(url) as connection:
        return {table.name: rows(connection, table) for table in METADATA.sorted_tables}


def rows(connection: Connection, table: Table) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(select(table)).mappings()]


def count(url: str, table: str) -> int:
    return len(everything(url)[table])


def a_uuid() -> str:
    return str(uuid.uuid4())


def decision(card: str = "card-1", at: int = AT, **changed: Any) -> DecisionRecord:
    """A decision with one card, one suggestion, one thing left out."""
    found = DecisionRecord(
        at=at,
        who=WHO,
        service="b12-patient-view",
        hook="patient-view",
        hook_instance="hook-1",
        content="1.0.0",
        pathway="uk-ng239",
        label="confirmed",
        status=200,
        silent=False,
        rows=(ROW, "treat/routine"),
        missing=(),
        shown=(Shown(card, ROW, "warning"), Shown(card, "treat/routine", "warning")),
        offered=(Offered(card, f"{card}-fbc", "test", "fbc"), Offered(card, f"{card}-neuro", "medicine", "neuro")),
        suppressed=(Suppressed("test:folate", "accepted", date(2026, 1, 10)),),
        evidence=EVIDENCE,
        ms=12.3,
    )
    return replace(found, **changed)


def overridden(card: str = "card-1", at: int | None = AT + 1, reason: str = "patient-refused") -> FeedbackRecord:
    return FeedbackRecord(card, "overridden", at, (), reason, "https://example.org/reasons", False)


def accepted(card: str = "card-1", *suggestions: str, at: int | None = AT + 1) -> FeedbackRecord:
    return FeedbackRecord(card, "accepted", at, suggestions, "", "", False)


def keep(store: Store, *decisions: DecisionRecord) -> None:
    """Keep them and wait until they are written."""
    for each in decisions:
        store.save_decision(each)
    until(lambda: not store.state().waiting)


def recalled(store: Store, who: CallParties = WHO, now: int = AT + 10_000, zone: tzinfo = UTC) -> History:
    """What is remembered. On a busy machine 50 ms may pass; then it is asked again."""
    asked: list[History] = []
    until(lambda: asked.append(store.history(who, now, zone)) or asked[-1].known)
    return asked[-1]


def until(done: Callable[[], bool], seconds: float = SOON) -> None:
    latest = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < latest, "it takes too long"
        time.sleep(0.02)
