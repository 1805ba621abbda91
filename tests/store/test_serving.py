"""The service as real processes on a store: what one worker has seen, the others know (issue 5, "done when")."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from cds_service.store.pseudonyms import new_line
from tests.hooks.calling import PATH, body
from tests.hooks.living import prefetch
from tests.hooks.processes import SOON, descendants, ends_well, free_port, insist, running, until, with_pid
from tests.hooks.test_clients_serve import CALL, is_up, token
from tests.hooks.tokens import PUBLIC, write
from tests.store.databases import count, everything
from tests.store.databases import until as becomes

PRIVATE = ("pt-1", "1951-03-09", "Practitioner/")


@contextmanager
def served(url: str, folder: Path, workers: int = 2) -> Iterator[tuple[int, list[int]]]:
    """The port, and the worker processes."""
    keys = folder / "store.keys"
    keys.write_text(new_line("first"))
    port, clients = free_port(), write(folder)
    settings = {"CDS_CLIENTS": str(clients), "CDS_STORE_URL": url, "CDS_STORE_KEYS": str(keys)}
    with running("serve", "--port", str(port), CDS_WORKERS=str(workers), **settings) as process:
        until(is_up(port), process)
        until(lambda: len(descendants(process.pid)) == workers, process)
        yield port, descendants(process.pid)
        ends_well(process, signal.SIGTERM)
        log = process.told()
    assert "hunter2" not in log
    assert not [word for word in PRIVATE if word in log]


def overridden(cards: list[dict]) -> bytes:
    """A feedback to each card, given now."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    said = {"outcome": "overridden", "overrideReason": {"reason": {"code": "other"}}, "outcomeTimestamp": now}
    return json.dumps({"feedback": [{"card": each["uuid"], **said} for each in cards]}).encode()


def is_locked(url: str) -> bool:
    """Does somebody hold the lock of a SQLite file? PostgreSQL locks rows, of which these tests share none."""
    kind, _, path = url.partition(":///")
    if kind != "sqlite":
        return False
    with closing(sqlite3.connect(path, timeout=0.2, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
    return False


@contextmanager
def held_still(pid: int, url: str) -> Iterator[None]:
    """The process is stopped, but not while it has the lock of the database, for which others would wait in vain."""
    try:
        with_pid(pid, signal.SIGSTOP)
        latest = time.monotonic() + SOON
        while is_locked(url):
            assert time.monotonic() < latest, "the database stays locked"
            with_pid(pid, signal.SIGCONT)
            time.sleep(0.05)
            with_pid(pid, signal.SIGSTOP)
        yield
    finally:
        with_pid(pid, signal.SIGCONT)


def test_item_123a_of_two_workers_each_refuses_a_jti_that_the_other_has_seen(url, tmp_path):
    used: list[dict[str, str]] = []

    def another() -> dict[str, str]:
        used.append(token())
        return used[-1]

    with served(url, tmp_path) as (port, (one, other)):
        for first, second in ((one, other), (other, one)):
            with held_still(second, url):
                assert insist(port, "POST", PATH, CALL, another)[0] == 200
            with held_still(first, url):
                assert insist(port, "POST", PATH, CALL, lambda: used[-1])[0] == 401
    assert 2 <= count(url, "seen_token") <= len(used), "a call that is told to come again may have left its own"
    assert count(url, "decision") == 2, "a call that was refused is none"


def test_an_override_that_one_worker_took_is_remembered_by_the_other(url, tmp_path):
    def cards(port: int) -> list[dict]:
        told = insist(port, "POST", PATH, CALL, token)
        assert told[0] == 200, told
        return json.loads(told[2])["cards"]

    with served(url, tmp_path) as (port, (one, other)):
        with held_still(other, url):
            shown = cards(port)
            becomes(lambda: count(url, "decision") == 1)
            for_feedback = partial(token, aud=f"{PUBLIC}{PATH}/feedback")
            assert insist(port, "POST", f"{PATH}/feedback", overridden(shown), for_feedback)[0] == 200
        with held_still(one, url):
            becomes(lambda: [each["summary"] for each in cards(port)] != [each["summary"] for each in shown])
    kept = everything(url)
    assert len(kept["feedback"]) == len(shown)
    assert not [word for word in (*PRIVATE, "Bearer", "eyJ") if word in json.dumps(kept)]


def test_calls_of_a_worker_that_ends_are_kept(url, tmp_path):
    with served(url, tmp_path, workers=1) as (port, _):
        for _ in range(5):
            assert insist(port, "POST", PATH, CALL, token)[0] == 200
    assert count(url, "decision") == 5


def test_a_request_of_a_silent_or_refused_kind_is_kept_as_what_it_was(url, tmp_path):
    nothing = json.dumps(body(prefetch=prefetch(b12=...))).encode()
    with served(url, tmp_path, workers=1) as (port, _):
        assert insist(port, "POST", PATH, nothing, token)[0] == 412
    (row,) = everything(url)["decision"]
    assert (row["status"], json.loads(row["missing"])) == (412, ["b12"])
