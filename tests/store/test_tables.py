"""The migrations lead to the tables that the service writes to, and so does a new SQLite file, which needs none."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from cds_service.store import opening
from cds_service.store.database import read_url
from cds_service.store.opening import CannotOpen, bring_up_to_date
from cds_service.store.tables import METADATA, VERSION, make, version_of
from cds_service.store.upgrade import configuration, upgrade
from tests.hooks.processes import environment
from tests.store.databases import connected, decision, keep, sqlite_url, store_at
from tests.store.test_faults import change


def described(connection: Connection) -> dict[str, Any]:
    """Everything that the database itself tells of its tables."""
    told = inspect(connection)
    return {
        name: {
            "columns": sorted((c["name"], str(c["type"]), c["nullable"]) for c in told.get_columns(name)),
            "key": told.get_pk_constraint(name)["constrained_columns"],
            "foreign": [(k["name"], k["constrained_columns"], k["referred_table"], k["options"])
                        for k in told.get_foreign_keys(name)],
            "unique": [(k["name"], k["column_names"]) for k in told.get_unique_constraints(name)],
            "indexes": sorted((k["name"], k["column_names"], k["unique"]) for k in told.get_indexes(name)),
        }
        for name in told.get_table_names()
    }  # fmt: skip


def test_the_migrations_make_what_the_service_writes_to(empty):
    assert upgrade(read_url(empty)) == (None, VERSION)
    with connected(empty) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
        by_migrations = described(connection)
        METADATA.drop_all(connection)
        connection.exec_driver_sql("DROP TABLE alembic_version")
        connection.commit()
        make(connection)
        assert described(connection) == by_migrations
        assert version_of(connection) == VERSION


def test_our_version_is_the_newest_migration_and_there_is_one_line_of_them():
    assert ScriptDirectory.from_config(configuration()).get_heads() == [VERSION]


def test_an_upgrade_that_is_not_needed_changes_nothing(url):
    with store_at(url) as store:
        keep(store, decision())
    assert upgrade(read_url(url)) == (VERSION, VERSION)
    with store_at(url) as store:
        assert store.state().ok


def test_a_worker_imports_neither_alembic_nor_the_command_line(tmp_path):
    code = (
        "import sys; from pathlib import Path; from datetime import UTC, datetime\n"
        "from cds_service.store.opening import open_store\n"
        "assert 'sqlalchemy' not in sys.modules\n"
        "store = open_store(sys.argv[1], None, demo=True, clock=lambda: datetime.fromtimestamp(0, UTC))\n"
        "while not store.state().ok: pass\n"
        "store.close()\n"
        "print([name for name in ('alembic', 'mako', 'click', 'rich', 'psycopg') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, sqlite_url(tmp_path)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_without_a_store_sqlalchemy_is_not_imported():
    code = (
        "import sys; from cds_service.store.opening import open_store\n"
        "assert open_store('none', None, demo=False, clock=None) is None\n"
        "print('sqlalchemy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_only_an_older_sqlite_file_is_brought_up_to_date_and_in_another_process(tmp_path, monkeypatch):
    """There is one version so far: an older file is one that says so, and the migrations do not know it."""
    url = sqlite_url(tmp_path)
    asked = []
    monkeypatch.setattr(opening, "older", lambda file: asked.append(file) or False)
    bring_up_to_date(url)
    bring_up_to_date("none")
    bring_up_to_date("postgresql://127.0.0.1:1/x")
    assert [file.name for file in asked] == ["store.sqlite"]
    monkeypatch.undo()
    bring_up_to_date(url)
    assert not (tmp_path / "store.sqlite").exists()
    with store_at(url) as store:
        keep(store, decision())
    bring_up_to_date(url)
    change(tmp_path, "UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(CannotOpen, match=r"CDS_STORE_URL: the tables could not be brought up to date: its tables"):
        bring_up_to_date(url)
    assert "alembic" not in vars(opening)
