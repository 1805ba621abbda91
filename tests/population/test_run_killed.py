"""A run that is killed, at whatever moment and however often, goes on and ends with the same file."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.book import content
from tests.depth import chosen
from tests.population.conftest import COMMAND, DAY, environment
from tests.population.patients import TYPES, decisions, lines_of, resources_of, told_by_an_extract, write_extract

SEQUENCES = chosen(2, 200)
PATIENTS = 600


@pytest.fixture(scope="module")
def extract(tmp_path_factory):
    told = told_by_an_extract("uk-ng239")[:PATIENTS]
    patients = {f"p{place:04}": lines_of(resources_of(each, content())) for place, each in enumerate(told)}
    return write_extract(tmp_path_factory.mktemp("killed") / "in", patients, TYPES.values())


def arguments(extract, out, workers):
    return [*COMMAND, "run", str(extract), "--out", str(out), "--as-of", str(DAY), "--workers", str(workers),
            "--format", "ndjson"]  # fmt: skip


def ended(extract, out, workers):
    """Run to the end; the decisions."""
    subprocess.run(arguments(extract, out, workers), check=True, env=environment(), capture_output=True)
    return out / "decisions.ndjson"


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def moments(seconds, chance):
    """When a run is killed: evenly over its length, once or several times."""
    return [chance.uniform(0.3, 1.0) * seconds for _ in range(chance.choice([1, 1, 2, 3]))]


def kill_after(extract, out, workers, seconds):
    """Begin the run, and kill -9 its first process; whether it was killed. What it had started ends by itself."""
    process = subprocess.Popen(
        arguments(extract, out, workers), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)  # its pipes are closed when the last of its processes has ended
    else:
        assert process.returncode == 0
        return False
    return True


@pytest.mark.timeout(7200)
def test_a_run_that_was_killed_goes_on_and_ends_with_the_same_file(extract, tmp_path):
    began = time.monotonic()
    whole = ended(extract, tmp_path / "whole", 2)
    seconds = time.monotonic() - began
    rows, wanted = decisions(whole), digest(whole)
    assert len(rows) == len({row["patient"] for row in rows}) == PATIENTS
    chance, killed = random.Random(20261128), 0
    for sequence in range(SEQUENCES):
        out, workers = tmp_path / f"{sequence}", chance.choice([1, 2])
        killed += sum([kill_after(extract, out, workers, moment) for moment in moments(seconds, chance)])
        assert digest(ended(extract, out, workers)) == wanted
        assert not (out / "work").exists()
    print(f"{SEQUENCES} sequences, {killed} runs killed with SIGKILL: nothing lost, nothing double")
    assert killed


@pytest.mark.needs("linux")
def test_a_deciding_process_that_dies_ends_the_run_in_one_line_and_the_same_call_goes_on(extract, tmp_path):
    wanted = digest(ended(extract, tmp_path / "whole", 1))
    out = tmp_path / "out"
    process = subprocess.Popen(
        arguments(extract, out, 2), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    children = []
    while process.poll() is None and not (out / "work" / "parts").is_dir():
        time.sleep(0.01)
    while process.poll() is None and len(children) < 2:
        children = children_of(process.pid)
        time.sleep(0.01)
    os.kill(children[0], signal.SIGKILL)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 2 and "the same call again" in said and "Traceback" not in said
    assert digest(ended(extract, out, 2)) == wanted


def children_of(pid):
    """The processes that a process has forked."""
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
