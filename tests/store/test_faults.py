"""A store that cannot be opened or written, and processes that die or fork: calls go on, what is lost is counted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cds_service.store.executor import Operation
from cds_service.store.records import StoreDown
from tests.hooks.processes import SOON, environment
from tests.store.databases import (
    AT,
    WHO,
    count,
    decision,
    everything,
    keep,
    made,
    overridden,
    sqlite_url,
    store_at,
    until,
)
from tests.store.postgres import somebody


def nothing_is_kept(url: str) -> str:
    """Every call of a store that cannot be used is answered in its way; why it cannot be used."""
    with store_at(url, retry_for=0.1) as store:
        until(lambda: not store.state().ok)
        why = store.state().why
        store.save_decision(decision())
        assert not store.history(WHO, AT).known
        with pytest.raises(StoreDown):
            store.first_time("issuer", "jti", 2e9, 1.8e9)
        with pytest.raises(StoreDown):
            store.save_feedback("main", [overridden()], AT)
        until(lambda: store.state().lost == 1)
    return why


def test_a_folder_that_is_not_there(tmp_path):
    assert nothing_is_kept(f"sqlite:///{tmp_path}/none/store.sqlite") == "the database file cannot be opened"


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "store.sqlite").write_text("hello " * 1000)
    assert nothing_is_kept(sqlite_url(tmp_path)) == "the file is no SQLite database"


def test_tables_of_a_newer_version_are_left_alone(tmp_path):
    url = sqlite_url(tmp_path)
    with store_at(url) as store:
        keep(store, decision())
    change(tmp_path, "UPDATE alembic_version SET version_num = '9999'")
    assert nothing_is_kept(url).startswith("its tables were made by a newer version")
    assert count(url, "decision") == 1


def test_tables_of_an_older_version_are_for_an_upgrade(tmp_path):
    url = sqlite_url(tmp_path)
    with store_at(url) as store:
        keep(store, decision())
    change(tmp_path, "UPDATE alembic_version SET version_num = '0000'")
    assert nothing_is_kept(url).endswith("run `b12-cds store upgrade`")


def change(folder: Path, statement: str) -> None:
    import sqlite3

    connection = sqlite3.connect(folder / "store.sqlite")
    with connection:
        connection.execute(statement)
    connection.close()


def script(text: str, url: str, before: list[str] | None = None) -> subprocess.Popen[str]:
    command = [*(before or []), sys.executable, "-c", PREFACE + text, url]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            start_new_session=True)  # fmt: skip


def finished(process: subprocess.Popen[str]) -> str:
    try:
        out, _ = process.communicate(timeout=SOON)
    finally:
        process.kill()
    assert process.returncode == 0, out
    return out


PREFACE = """
import os, sys
from datetime import UTC, datetime
from cds_service.store.store import Store
from tests.store.databases import AT, KEYS, WHO, a_uuid, decision, overridden, until
store = Store(sys.argv[1], KEYS, lambda: datetime(2026, 1, 15, tzinfo=UTC), retry_for=0.1)
"""
READ_ONLY = """
from cds_service.store.executor import Operation
from cds_service.store.records import StoreDown
until(lambda: not store.state().ok)
store.save_decision(decision())
try:
    store.first_time("issuer", "jti", 2e9, 1.8e9)
except StoreDown as error:
    print(error.why)
store.close()
"""


@pytest.mark.parametrize("there", [False, True], ids=["a new file", "a file with tables"])
def test_a_folder_that_may_only_be_read(tmp_path, there):
    url = sqlite_url(tmp_path)
    if there:
        with store_at(url) as store:
            keep(store, decision())
    for path in [*tmp_path.parents][:3]:
        if path.stat().st_uid == os.getuid() and path.name.startswith("pytest"):
            path.chmod(0o755)
    tmp_path.chmod(0o555)
    for file in tmp_path.iterdir():
        file.chmod(0o444)
    try:
        told = finished(script(READ_ONLY, url, somebody()))
    finally:
        tmp_path.chmod(0o755)
    assert told in ("the database file cannot be opened\n", "the database file cannot be written\n")


FORKED = """
if sys.argv[1].startswith("postgresql"):
    store.save_decision(decision("before"))
    store.state()
children = []
for number in range(3):
    child = os.fork()
    if not child:
        store.save_decision(decision(f"child-{number}"))
        store.save_feedback("main", [overridden(f"child-{number}")], AT)
        sys.exit(0)
    children.append(child)
print([os.waitpid(child, 0)[1] for child in children])
store.save_decision(decision("after"))
"""


def test_processes_that_are_forked_have_connections_and_threads_of_their_own(url):
    """With PostgreSQL even where the store was open already; SQLite itself does not bear that."""
    assert finished(script("import warnings; warnings.simplefilter('ignore')\n" + FORKED, url)) == "[0, 0, 0]\n"
    kept = everything(url)
    before = ["before"] if url.startswith("postgresql") else []
    assert sorted({row["card"] for row in kept["shown"]}) == ["after", *before, "child-0", "child-1", "child-2"]
    assert len(kept["feedback"]) == 3


ENDS = """
for number in range(50):
    store.save_decision(decision(f"card-{number}"))
"""


def test_what_waits_is_written_when_a_process_ends(url):
    finished(script(ENDS, url))
    assert count(url, "decision") == 50


BUSY = """
while True:
    for _ in range(20):
        store.save_decision(decision(a_uuid()))
    card = a_uuid()
    store.save_feedback("main", [overridden(card)], AT)
    print(card, flush=True)
"""


def test_kill_9_during_writing_loses_no_feedback_that_was_acknowledged_and_leaves_nothing_in_halves(url):
    writers = [script(BUSY, url) for _ in range(2)]
    acknowledged = []
    try:
        for writer in writers:
            acknowledged += [writer.stdout.readline().strip() for _ in range(20)]
    finally:
        for writer in writers:
            os.kill(writer.pid, signal.SIGKILL)
    for writer in writers:
        acknowledged += writer.communicate(timeout=SOON)[0].split()
    kept = everything(url)
    assert len(acknowledged) >= 40
    assert set(acknowledged) <= {row["card"] for row in kept["feedback"]}
    decisions = [row["id"] for row in kept["decision"]]
    assert decisions
    for part, each in (("shown", 2), ("offered", 2), ("suppressed", 1)):
        of_them = [row["decision"] for row in kept[part]]
        assert sorted(of_them) == sorted(decisions * each)
    with store_at(url) as store:
        keep(store, decision("card-after"))
        store.save_feedback("main", [overridden("card-after")], AT)
    assert count(url, "decision") == len(decisions) + 1


NEW = """
store.save_feedback("main", [overridden(a_uuid())], AT)
store.save_decision(decision(a_uuid()))
"""


def test_of_several_processes_that_find_no_file_one_makes_the_tables(tmp_path):
    url = sqlite_url(tmp_path)
    for process in [script(NEW, url) for _ in range(4)]:
        finished(process)
    assert (count(url, "feedback"), count(url, "decision")) == (4, 4)


def test_a_writer_that_a_fault_of_ours_has_ended_says_so_and_what_comes_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with store_at(sqlite_url(tmp_path)) as store:
        store.save_decision(decision(status=2**70))
        until(lambda: not store.state().ok)
        assert "a fault of ours" in store.state().why
        before = store.state().lost
        store.save_decision(decision())
        assert store.state().lost == before + 1


def test_what_is_asked_of_a_store_that_is_closing_begins_no_thread(tmp_path):
    """One that began then would never be told to end."""
    with store_at(made(sqlite_url(tmp_path))) as store:
        executor = store._executor()
        assert store.state().ok
    before = threading.enumerate()
    with pytest.raises(StoreDown, match="ending"):
        executor.run(lambda connection: None, Operation(1.0, anyway=True))
    assert {*threading.enumerate()} <= {*before}
