"""The README's two commands: CI calls exactly the second, and the first does what it promises to a stranger."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_CLONED = shutil.ignore_patterns(".git", ".venv", "build", "dist", "target", "__pycache__", ".*_cache")


def commands() -> list[str]:
    """The README's commands: the first line of each of its `sh` blocks."""
    return [block.strip().splitlines()[0] for block in re.findall(r"```sh\n(.*?)```", readme(), re.DOTALL)]


def readme() -> str:
    return (ROOT / "README.md").read_text()


def test_ci_calls_exactly_the_second_command():
    assert (ROOT / ".ci" / "run").read_text().rstrip().splitlines()[-1] == commands()[1]


def test_ci_prepares_the_machine_before_it_calls_the_tests():
    script = (ROOT / ".ci" / "run").read_text()
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert script.index("apt-get install") < script.index("export CI=true") < script.index(commands()[1])


@pytest.mark.needs("packages")
def test_the_first_command_shows_cards_and_keeps_serving(tmp_path):
    clone = tmp_path / "clone"
    shutil.copytree(ROOT, clone, ignore=NOT_CLONED)
    with (tmp_path / "seen.txt").open("w") as out:
        demo = subprocess.Popen(
            ["bash", "-c", commands()[0]], cwd=clone, stdout=out, stderr=out, start_new_session=True, env=bare()
        )
    try:
        address = served_at(tmp_path / "seen.txt", demo)
        answer = ask(f"{address}/cds-services/b12-patient-view", tutorial_request())
        assert answer["cards"][0]["summary"].startswith("B12 150 ng/L")
        os.killpg(demo.pid, signal.SIGINT)
        assert demo.wait(timeout=60) == 0, (tmp_path / "seen.txt").read_text()
    finally:
        end(demo)
    assert "Not yet approved locally" in one_line(tmp_path / "seen.txt")


def tutorial_request() -> bytes:
    """The body that the tutorial sends with curl, as the shell makes it."""
    tutorial = (ROOT / "docs" / "tutorial.md").read_text()
    body = re.search(r" -d '(.*?)'\n```", tutorial, re.DOTALL)[1]
    return body.replace("'$(date +%F)'", datetime.now(UTC).date().isoformat()).encode()


def ask(url: str, body: bytes) -> Any:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def bare() -> dict[str, str]:
    """The environment of someone who has only just logged in. What is never imported need not be compiled: "no" is how
    pip is told so."""
    ours = ("CDS_", "PYTHON", "VIRTUAL_ENV", "CI", "CORPUS_DIR")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {"PIP_NO_COMPILE": "no"}


def served_at(seen: Path, demo: subprocess.Popen[bytes]) -> str:
    """The address that the demo prints once it has shown its cards."""
    until = time.monotonic() + 300
    while time.monotonic() < until and demo.poll() is None:
        found = re.search(r"Serving on (http://127\.0\.0\.1:\d+)", seen.read_text())
        if found:
            return found[1]
        time.sleep(0.2)
    raise AssertionError(f"no cards were shown:\n{seen.read_text()[-2000:]}")


def one_line(seen: Path) -> str:
    """What was shown, without the frames and breaks of a terminal."""
    return " ".join(re.sub("[^ -~]", " ", seen.read_text()).split())


def end(demo: subprocess.Popen[bytes]) -> None:
    """Whatever happened, no process is left behind."""
    if demo.poll() is None:
        os.killpg(demo.pid, signal.SIGKILL)
        demo.wait(60)
