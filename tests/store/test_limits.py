"""Limits that cannot be lost: of time, of threads, of the write-ahead log; and a file that goes away while in use."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text

from cds_service.store import executor as executing
from cds_service.store.database import CONNECTIONS, WAL_LIMIT, WRITES
from cds_service.store.executor import REPLACED, Operation
from cds_service.store.records import Offered, StoreBusy, StoreDown
from cds_service.store.store import Store, batches
from tests.store.databases import (
    AT,
    EVIDENCE,
    ROW,
    SOON,
    a_uuid,
    accepted,
    count,
    decision,
    keep,
    overridden,
    recalled,
    sqlite_url,
    store_at,
    until,
)

ENDLESS = {
    "sqlite": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n",
    "postgresql": "SELECT pg_sleep(600)",
}


def endless(connection: Connection) -> None:
    connection.execute(text(ENDLESS[connection.dialect.name]))


def store_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "store"]


@pytest.mark.parametrize("options", [{}, WRITES], ids=["reads", "writes"])
def test_work_that_would_never_end_ends_and_leaves_its_thread_free(store, options):
    """Twice as many as there are threads: if one limit were lost the store would be at an end."""
    until(lambda: store.state().ok)
    for _ in range(2 * CONNECTIONS):
        begun = time.monotonic()
        with pytest.raises(StoreDown):
            store._executor().run(endless, Operation(0.05, options, changes=bool(options)))
        assert time.monotonic() - begun < SOON / 4
    keep(store, decision())
    store.save_feedback("main", [overridden()], AT + 1)
    assert recalled(store).dismissed(ROW, EVIDENCE)
    until(lambda: not [each for each in store._executor()._unfinished if each.begun])
    assert store.state().late == 0


def test_a_thread_that_does_not_come_back_is_replaced_and_counted(store, monkeypatch):
    """As of a disk that hangs: no limit of the database helps."""
    until(lambda: store.state().ok)
    monkeypatch.setattr(executing, "LATE_SECONDS", 0.1)
    go_on = threading.Event()
    try:
        for _ in range(CONNECTIONS):
            with pytest.raises(StoreDown):
                store._executor().run(lambda _: go_on.wait(SOON), Operation(0.05))
        until(lambda: store.state().ok)
        assert store.first_time("issuer", "jti", 2e9, 1.8e9)
        assert store.state().late >= 1
    finally:
        go_on.set()
    until(lambda: len(store_threads()) <= CONNECTIONS)


@pytest.mark.store_limits
def test_more_than_it_can_do_is_no_fault_of_the_database(store):
    """Every thread is taken: who comes hears that it is busy, and is answered as soon as there is a thread again."""
    until(lambda: store.state().ok)
    go_on = threading.Event()
    with ThreadPoolExecutor(CONNECTIONS) as taking:
        try:
            for _ in range(CONNECTIONS):
                taking.submit(store._executor().run, lambda _: go_on.wait(SOON), Operation(SOON))
            until(lambda: sum(each.begun for each in store._executor()._unfinished) == CONNECTIONS)
            for number in range(10):
                with pytest.raises(StoreBusy):
                    store.first_time("issuer", f"early-{number}", 2e9, 1.8e9)
        finally:
            go_on.set()
    assert store._executor().broken == ""
    assert store.first_time("issuer", "jti", 2e9, 1.8e9)


def test_being_late_opens_no_breaker_while_the_database_answers_a_probe(store):
    until(lambda: store.state().ok)
    for _ in range(20):
        with pytest.raises(StoreDown):
            store._executor().run(endless, Operation(0.01))
        assert store._executor().broken == ""
    assert store.first_time("issuer", "jti", 2e9, 1.8e9)


def remove(file: Path) -> None:
    for each in file.parent.glob(f"{file.name}*"):
        each.unlink()


def put_another(file: Path) -> None:
    remove(file)
    with store_at(f"sqlite:///{file}") as other:
        keep(other, decision("of another"))


@pytest.mark.parametrize("happens", [remove, put_another])
def test_a_file_that_is_not_there_any_more_is_noticed_before_feedback_is_acknowledged(
    tmp_path: Path, happens: Callable[[Path], None]
):
    url = sqlite_url(tmp_path)
    with store_at(url) as store:
        keep(store, decision())
        happens(tmp_path / "store.sqlite")
        with pytest.raises(StoreDown, match=r"removed or replaced"):
            store.save_feedback("main", [overridden()], AT)
        state = store.state()
        assert (state.ok, state.why) == (False, REPLACED)
        store.save_feedback("main", [overridden()], AT)
        keep(store, decision("card-2"))
        assert count(url, "feedback") == 1


def test_decisions_and_tokens_notice_it_too(tmp_path):
    url = sqlite_url(tmp_path)
    with store_at(url) as store:
        keep(store, decision())
        remove(tmp_path / "store.sqlite")
        keep(store, decision("card-2"))
        assert count(url, "decision") == 1, "it is written again, into the new file"
        remove(tmp_path / "store.sqlite")
        with pytest.raises(StoreDown):
            store.first_time("issuer", "jti", 2e9, 1.8e9)
        assert store.first_time("issuer", "jti", 2e9, 1.8e9)


def test_the_write_ahead_log_stays_small_while_others_read(tmp_path):
    url = sqlite_url(tmp_path)
    with store_at(url) as store:
        keep(store, decision())
        ended = threading.Event()
        with ThreadPoolExecutor(4) as readers:
            for _ in range(4):
                readers.submit(read_on, store, ended)
            try:
                for _ in range(6):
                    keep(store, *[decision(a_uuid()) for _ in range(1_500)])
                    assert (tmp_path / "store.sqlite-wal").stat().st_size < 2 * WAL_LIMIT
            finally:
                ended.set()


def read_on(store: Store, ended: threading.Event) -> None:
    while not ended.is_set():
        store.records_of_call("hook-2")


def test_a_batch_of_feedback_is_written_in_parts_and_asks_no_more_for_each_suggestion(url):
    """Each part leaves the one writer of SQLite to whoever waits for it; the suggestions are looked up together."""
    with store_at(url) as store:
        until(lambda: store.state().ok)
        cards = [a_uuid() for _ in range(20)]
        keep(store, *(decision(card, offered=tuple(offers(card))) for card in cards))
        asked: list[str] = []
        event.listen(store._executor().engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
        for some in (cards[:2], cards):
            asked.clear()
            given = [accepted(card, *(each.suggestion for each in offers(card))) for card in some]
            parts = [*batches(given)]
            store.save_feedback("main", given, AT + 1)
            assert [each for part in parts for each in part] == given
            assert len([each for each in asked if "FROM offered" in each]) == len(parts)
            assert len([each for each in asked if "FROM card" in each]) <= 2 * len(parts)
        assert all(recalled(store).accepted("test", f"{card}-{number}") for card in cards for number in range(20))
        assert max(len(part) for part in parts) < len(cards)


def offers(card: str) -> list[Offered]:
    return [Offered(card, f"{card[:8]}-s{number}", "test", f"{card}-{number}") for number in range(20)]
