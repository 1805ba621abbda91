"""From settings to a store. SQLAlchemy is imported only where there is one, and no database is touched yet."""

from __future__ import annotations

import atexit
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from .pseudonyms import Keys, KeysUnusable, read_keys

if TYPE_CHECKING:
    from sqlalchemy import URL

    from .store import Store

NONE, DEFAULT = "none", "sqlite:///b12-cds.sqlite"
NEEDS_KEYS = (
    "CDS_STORE_KEYS: the store needs a file with a key for its pseudonyms; `b12-cds store new-key > store.keys` makes "
    "one. Or CDS_STORE_URL=none: nothing is kept, and no feedback is taken"
)
NEEDS_DRIVER = "CDS_STORE_URL: PostgreSQL needs a driver: pip install 'b12-cds[postgres]'"


class CannotOpen(Exception):
    """There can be no such store. Its text is one line for the operator, without the URL: that may hold a password."""


def open_store(
    url: str,
    keys: Path | None,
    *,
    demo: bool,
    clock: Callable[[], datetime],
    days: int = 400,
    override_days: int = 90,
    accepted_days: int = 14,
) -> Store | None:
    """The store that the settings name; None for "none".

    A demo without a URL gets a temporary file, and without keys one in memory: both are gone when it ends.
    """
    if url == NONE:
        return None
    read = keys_of(keys, demo)
    chosen = read_chosen(url or (temporary() if demo else DEFAULT))
    from .store import Store

    spans = {"days": days, "override_days": override_days, "accepted_days": accepted_days}
    return Store(chosen, read, clock, **spans)


def keys_of(file: Path | None, demo: bool) -> Keys:
    """The keys of the file; without one, in a demo, a key in memory."""
    if file is None:
        if demo:
            return Keys.random()
        raise CannotOpen(NEEDS_KEYS)
    try:
        return read_keys(file)
    except KeysUnusable as error:
        raise CannotOpen(f"CDS_STORE_KEYS: {error}") from None


def read_chosen(url: str) -> URL:
    """The database that a URL names, its driver at hand, a file by its whole path; else CannotOpen."""
    from .database import UrlUnusable, read_url

    try:
        read = read_url(url)
    except UrlUnusable as error:
        raise CannotOpen(f"CDS_STORE_URL: {error}") from None
    if read.get_backend_name() == "sqlite":
        return read.set(database=os.path.abspath(str(read.database)))  # noqa: PTH100 (a symbolic link stays one)
    try:
        import_module("psycopg")
    except ImportError:
        raise CannotOpen(NEEDS_DRIVER) from None
    return read


def temporary() -> str:
    """A place for a database that is deleted when this process ends; those forked from it use it only."""
    folder = tempfile.mkdtemp(prefix="b12-cds-store-")
    atexit.register(delete, folder, os.getpid())
    return f"sqlite:///{folder}/store.sqlite"


def delete(folder: str, pid: int) -> None:
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)


def bring_up_to_date(url: str) -> None:
    """Migrate a SQLite file that an older version of the service has made; in a process of its own, so that this one
    stays small. PostgreSQL is for the operator: several services may be using it."""
    if url == NONE:
        return
    chosen = read_chosen(url or DEFAULT)
    if chosen.get_backend_name() != "sqlite" or not older(Path(str(chosen.database))):
        return
    asked = [sys.executable, "-m", "cds_service.store.upgrade"]
    done = subprocess.run(asked, input=str(chosen), text=True, capture_output=True)  # noqa: S603 (our own program)
    if done.returncode:
        raise CannotOpen(f"CDS_STORE_URL: the tables could not be brought up to date: {done.stderr.strip()[-200:]}")


def older(file: Path) -> bool:
    """Whether a file has tables of an older version. One that cannot be read is for the service to report."""
    from .tables import VERSION

    if not file.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error:
        return False
    return found is not None and found[0] < VERSION
