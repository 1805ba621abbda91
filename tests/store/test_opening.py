"""From settings to a store: what an operator must say, and what a demo gets without saying anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cds_service.settings import Settings, SettingsError, load_settings
from cds_service.store import opening
from cds_service.store.opening import CannotOpen, open_store
from cds_service.store.pseudonyms import new_line
from tests.hooks.processes import environment
from tests.store.databases import NOW, sqlite_url, until

URL = "postgresql://b12:hunter2@db.example.org/x"


def opened(url: str, keys: Path | None = None, demo: bool = False):
    return open_store(url, keys, demo=demo, clock=lambda: NOW)


@pytest.fixture
def keys(tmp_path) -> Path:
    file = tmp_path / "store.keys"
    file.write_text(new_line("first"))
    return file


def test_none_is_no_store():
    assert opened("none") is None
    assert opened("none", demo=True) is None


def test_outside_a_demo_a_store_needs_keys_and_is_told_how_to_make_them(tmp_path):
    for url in ("", sqlite_url(tmp_path)):
        with pytest.raises(CannotOpen, match=r"CDS_STORE_KEYS: .*`b12-cds store new-key > store.keys` makes one"):
            opened(url)
    with pytest.raises(CannotOpen, match="CDS_STORE_KEYS: the key file cannot be read: No such file"):
        opened(sqlite_url(tmp_path), tmp_path / "none")


def test_a_new_file_is_for_its_owner_alone_and_an_old_one_keeps_its_mode(tmp_path, keys):
    before = os.umask(0o022)
    try:
        for mode in (0o600, 0o640):
            store = opened(sqlite_url(tmp_path), keys)
            until(lambda: store.state().ok)  # noqa: B023 (called at once)
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("store.sqlite*")}
            assert set(modes) == {"store.sqlite", "store.sqlite-wal", "store.sqlite-shm"}
            assert set(modes.values()) == {mode}
            store.close()
            (tmp_path / "store.sqlite").chmod(0o640)
    finally:
        os.umask(before)


def test_making_a_store_touches_no_file_and_no_database(tmp_path, keys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert repr(opened("", keys)) == "Store(sqlite)"
    assert repr(opened("postgresql://b12:hunter2@127.0.0.1:1/x", keys)) == "Store(postgresql)"
    assert [path.name for path in tmp_path.iterdir()] == ["store.keys"]


def test_the_file_stays_the_same_when_the_working_directory_changes(tmp_path, keys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = opened("", keys)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    until(lambda: store.state().ok)
    store.close()
    assert (tmp_path / "b12-cds.sqlite").exists()


@pytest.mark.parametrize("url", ["hunter2", "mysql://hunter2@x/y", "sqlite://", "postgresql+asyncpg://hunter2@x/y"])
def test_a_url_that_cannot_be_used_is_not_repeated(keys, url):
    with pytest.raises(CannotOpen, match=r"CDS_STORE_URL: .*allowed: sqlite:///FILE, postgresql://") as raised:
        opened(url, keys)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("url", [URL, URL.replace("postgresql", "postgresql+psycopg")])
def test_a_driver_that_is_missing_is_one_line_that_names_the_extra(keys, url, monkeypatch):
    def import_module(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(opening, "import_module", import_module)
    with pytest.raises(CannotOpen, match=r"^CDS_STORE_URL: PostgreSQL needs .* pip install 'b12-cds\[postgres\]'$"):
        opened(url, keys)


def test_no_setting_prints_the_url():
    assert "hunter2" not in repr(Settings(store_url=URL)) + str(Settings(store_url=URL))


@pytest.mark.parametrize("name", ["STORE_DAYS", "OVERRIDE_DAYS", "ACCEPTED_DAYS"])
@pytest.mark.parametrize("value", ["-1", "x", "1000000"])
def test_days_that_cannot_be_are_refused(monkeypatch, name, value):
    monkeypatch.setenv(f"CDS_{name}", value)
    with pytest.raises(SettingsError, match=f"^CDS_{name}: "):
        load_settings()


def test_the_defaults_are_the_published_ones():
    settings = Settings()
    assert (settings.store_days, settings.override_days, settings.accepted_days) == (400, 90, 14)
    assert (settings.store_url, settings.store_keys) == ("", None)


DEMO = """
import sys, tempfile
from datetime import UTC, datetime
from cds_service.store.opening import open_store
store = open_store("", None, demo=True, clock=lambda: datetime.now(UTC))
while not store.state().ok:
    pass
print(len(list(__import__("pathlib").Path(tempfile.gettempdir()).glob("b12-cds-store-*/store.sqlite"))))
if sys.argv[1] == "fork":
    import os
    child = os.fork()
    if not child:
        sys.exit(0)
    os.waitpid(child, 0)
    while not store.state().ok:
        pass
"""


@pytest.mark.parametrize("how", ["plain", "fork"])
def test_a_demo_keeps_in_a_temporary_file_that_is_gone_at_its_end(tmp_path, how):
    command = [sys.executable, "-W", "ignore", "-c", DEMO, how]
    done = subprocess.run(command, env=environment(TMPDIR=str(tmp_path)), capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("1\n", "")
    assert not list(tmp_path.iterdir())


def test_a_demo_with_a_url_keeps_there(tmp_path):
    store = opened(sqlite_url(tmp_path), demo=True)
    until(lambda: store.state().ok)
    store.close()
    assert (tmp_path / "store.sqlite").exists()
