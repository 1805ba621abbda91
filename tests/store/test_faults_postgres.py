"""PostgreSQL stops, comes back, hangs, is held still while a process dies: nobody waits for it, and it recovers."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from cds_service.store.records import StoreDown
from cds_service.store.store import Store
from cds_service.store.writer import MOST_WAITING, TIDY_EVERY
from tests.store.databases import (
    AT,
    EVIDENCE,
    ROW,
    WHO,
    count,
    decision,
    everything,
    keep,
    made,
    overridden,
    recalled,
    store_at,
    until,
)
from tests.store.postgres import Cluster, cluster

pytestmark = pytest.mark.needs("postgresql")
MUCH = 5.0  # seconds: more than all limits of a few calls together, far less than a driver would wait


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    """A server that may be ill-treated."""
    with cluster() as started:
        yield started


@pytest.fixture
def database(server) -> str:
    return made(server.database())


def nothing_can_be_told(store: Store) -> None:
    """Each in its own time, none with an answer."""
    begun = time.monotonic()
    assert not store.history(WHO, AT).known
    with pytest.raises(StoreDown):
        store.first_time("issuer", "jti", 2e9, 1.8e9)
    with pytest.raises(StoreDown):
        store.save_feedback("main", [overridden()], AT)
    assert not store.state().ok
    assert time.monotonic() - begun < MUCH


@pytest.mark.store_limits
def test_while_it_is_stopped_decisions_go_on_and_everything_recovers_by_itself(server, database):
    with store_at(database) as store:
        keep(store, decision())
        server.end(signal.SIGQUIT)
        try:
            for number in range(10):
                store.save_decision(decision(f"card-{number}"))
            nothing_can_be_told(store)
            assert store.state().why
            assert store.state().waiting == 10
        finally:
            server.start()
        until(lambda: store.state().ok and not store.state().waiting)
        store.save_feedback("main", [overridden()], AT + 1)
        assert recalled(store).dismissed(ROW, EVIDENCE)
        assert store.first_time("issuer", "jti", 2e9, 1.8e9)
        assert store.state().lost == 0
    assert count(database, "decision") == 11


@pytest.mark.store_limits
def test_what_could_not_be_written_for_a_while_is_lost_and_counted(server, database):
    with store_at(database, retry_for=0.2) as store:
        keep(store, decision())
        writer = store._opened_here.writer
        until(lambda: writer._tidy_at > time.monotonic() + TIDY_EVERY / 2)  # it would do nothing by itself for an hour
        server.end(signal.SIGQUIT)
        try:
            store.save_decision(decision("card-2"))
            store.save_decision(decision("card-3"))
            until(lambda: store.state().lost == 2)
        finally:
            server.start()
        until(lambda: store.state().ok)
        keep(store, decision("card-4"))
        assert store.state().lost == 2
    assert count(database, "decision") == 2


@pytest.mark.store_limits
def test_while_it_hangs_nobody_waits_and_what_was_kept_is_written_afterwards(server, database):
    with store_at(database) as store:
        keep(store, decision())
        store.save_feedback("main", [overridden()], AT + 1)
        assert recalled(store).dismissed(ROW, EVIDENCE)
        server.hold()
        try:
            nothing_can_be_told(store)
            until(lambda: not store.state().ok)
            begun = time.monotonic()
            for number in range(1_000):
                store.save_decision(decision(f"card-{number}"))
                assert not store.history(WHO, AT).known
            assert time.monotonic() - begun < 1_000 * 0.05 / 4, "nobody asks a database that does not answer"
        finally:
            server.go_on()
        until(lambda: store.state().ok and not store.state().waiting, 60)
        assert recalled(store).dismissed(ROW, EVIDENCE)
        assert store.state().lost == 0
    kept = everything(database)
    assert len(kept["decision"]) == 1_001
    assert len(kept["shown"]) == 2_002


@pytest.mark.store_limits
def test_a_queue_that_is_full_loses_and_counts_and_does_not_wait(server, database):
    with store_at(database) as store:
        keep(store, decision())
        server.hold()
        try:
            for _ in range(MOST_WAITING + 500):
                store.save_decision(decision())
            state = store.state()
            assert state.lost >= 300, "a batch or two are under way"
            assert state.lost + state.waiting == MOST_WAITING + 500
            begun = time.monotonic()
            store.close()
            assert time.monotonic() - begun < MUCH
        finally:
            server.go_on()


@pytest.mark.store_limits
def test_a_process_that_starts_while_it_hangs_or_is_stopped_recovers_too(server, database):
    server.hold()
    try:
        with store_at(database) as store:
            nothing_can_be_told(store)
            store.save_decision(decision())
            server.go_on()
            server.end(signal.SIGQUIT)
            nothing_can_be_told(store)
            server.start()
            until(lambda: store.state().ok and not store.state().waiting)
            assert recalled(store).known
    finally:
        server.go_on()
    assert count(database, "decision") == 1


def test_after_a_restart_the_first_call_is_answered(server, database):
    """Connections that the server has let go are noticed before anything is done on them."""
    with store_at(database) as store:
        assert store.first_time("issuer", "jti", 2e9, 1.8e9)
        server.end(signal.SIGQUIT)
        server.start()
        until(lambda: store.state().ok)  # it may have looked while there was no server
        assert not store.first_time("issuer", "jti", 2e9, 1.8e9)
        assert store.first_time("issuer", "jti-2", 2e9, 1.8e9)


def test_tables_that_are_not_there_are_made_by_the_operator_only(server):
    url = server.database()
    with store_at(url) as store:
        until(lambda: store.state().why == "it has no tables yet: run `b12-cds store upgrade`")
        nothing_can_be_told(store)
        store.save_decision(decision())
        made(url)
        until(lambda: store.state().ok and not store.state().waiting)
    assert count(url, "decision") == 1


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda url: url.replace("hunter2", "hunter3"), "the database does not let us in: user or password"),
        (lambda url: url.rpartition("/")[0] + "/nosuch", "the database or its user does not exist"),
        (lambda url: "postgresql://b12:hunter2@127.0.0.1:1/x", "the database cannot be reached"),
        (lambda url: "postgresql://b12:hunter2@no.such.host.invalid/x", "the database cannot be reached"),
    ],
    ids=["password", "database", "port", "host"],
)
def test_what_is_wrong_is_said_in_our_own_words(server, wrong, says):
    with store_at(wrong(server.dsn("postgres"))) as store:
        until(lambda: store.state().why == says)
        with pytest.raises(StoreDown) as raised:
            store.save_feedback("main", [overridden()], AT)
        assert "hunter" not in repr(raised.value) + str(raised.value) + repr(store) + repr(store.state())


def test_a_decision_that_the_database_refuses_is_lost_alone(server, database):
    with store_at(database) as store:
        keep(store, decision(), decision("card-2", status=10**12), decision("card-3"))
        assert store.state().lost == 1
        keep(store, decision("card-4"))
        until(lambda: store.state().ok)
    assert sorted({row["card"] for row in everything(database)["shown"]}) == ["card-1", "card-3", "card-4"]
