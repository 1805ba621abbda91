"""deploy/gunicorn.conf.py says what the service itself says, and gunicorn understands and runs all of it."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
import time
from pathlib import Path

from gunicorn.config import Config

from cds_service.server.server import HOST, PORT, SETTINGS
from tests.deploy.manifests import DEPLOY
from tests.hooks.processes import call, environment, free_port, with_pid

FILE = DEPLOY / "gunicorn.conf.py"
HOOKS = {"post_worker_init", "worker_exit"}
NOT_SETTINGS = {"os", "Any"}


def said() -> dict[str, object]:
    told = runpy.run_path(str(FILE))
    return {name: value for name, value in told.items() if name[0] != "_" and name not in NOT_SETTINGS}


def test_its_settings_are_those_with_which_the_service_starts_gunicorn(monkeypatch):
    monkeypatch.delenv("CDS_WORKERS", raising=False)
    told = {name: value for name, value in said().items() if name not in HOOKS}
    assert told.pop("wsgi_app") == "cds_service.app:create_app()"
    assert told.pop("bind") == f"{HOST}:{PORT}"
    worker = SETTINGS["worker_class"]
    assert told == {**SETTINGS, "worker_class": f"{worker.__module__}.{worker.__qualname__}"}


def test_gunicorn_knows_every_setting():
    assert said().keys() <= Config().settings.keys()


def test_the_number_of_workers_is_the_one_that_the_service_is_told(monkeypatch):
    monkeypatch.setenv("CDS_WORKERS", "3")
    assert said()["workers"] == 3


def test_gunicorn_serves_by_it_and_what_was_decided_is_kept(tmp_path: Path):
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--config", str(FILE), "--bind", f"{HOST}:{port}"]
    settings = environment(CDS_DEMO="1", TMPDIR=str(tmp_path))
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=settings, stdout=log, stderr=log, cwd=tmp_path)
    try:
        answered(port, process, tmp_path)
        told = json.loads(call(port, "GET", "/readyz")[2])
        assert told["store"]["kept"] is True, told
        process.terminate()
        assert process.wait(60) == 0
    finally:
        with_pid(process.pid, 9)
        process.wait(60)
    assert "Traceback" not in (tmp_path / "log").read_text()


def answered(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    latest = time.monotonic() + 60
    while True:
        assert process.poll() is None, (folder / "log").read_text()
        try:
            assert call(port, "GET", "/healthz")[0] == 200
            return
        except OSError:
            assert time.monotonic() < latest
            time.sleep(0.1)
