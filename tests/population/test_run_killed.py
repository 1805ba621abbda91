"""A run that is killed, at whatever moment and however often, goes on and ends with the same file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.book import content
from tests.conftest import ROOT
from tests.depth import chosen
from tests.population.conftest import COMMAND, DAY, environment
from tests.population.patients import TYPES, decisions, lines_of, resources_of, vignettes_of_an_extract, write_extract

SEQUENCES = chosen(3, 200)
PATIENTS = 100


@pytest.fixture(scope="module")
def extract(tmp_path_factory):
    told = vignettes_of_an_extract("uk-ng239")[:PATIENTS]
    patients = {f"p{place:04}": lines_of(resources_of(each, content())) for place, each in enumerate(told)}
    return write_extract(tmp_path_factory.mktemp("killed") / "in", patients, TYPES.values())


def arguments(extract, out, workers):
    return [*COMMAND, "run", str(extract), "--out", str(out), "--as-of", str(DAY), "--workers", str(workers),
            "--format", "ndjson"]  # fmt: skip


@pytest.mark.timeout(7200)
def test_a_run_that_was_killed_goes_on_and_ends_with_the_same_file(extract, tmp_path):
    told = subprocess.run(
        [sys.executable, "-m", "tests.population.killing", str(extract), str(tmp_path), str(SEQUENCES), "20261128"],
        cwd=ROOT, env=environment(), check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    whole, *sequences = map(json.loads, told.stdout.splitlines())
    rows, wanted = decisions(tmp_path / "whole-1" / "decisions.ndjson"), whole["whole"][0]
    assert len(rows) == len({row["patient"] for row in rows}) == PATIENTS
    assert whole["whole"] == [wanted, wanted]
    assert [each for each in sequences if each["digest"] != wanted] == []
    assert {tuple(each["left"]) for each in sequences} == {(".lock", "decisions.ndjson", "manifest.json")}
    killed = sum(each["killed"] for each in sequences)
    print(f"{len(sequences)} sequences, {killed} runs killed with SIGKILL: nothing lost, nothing double")
    assert len(sequences) == SEQUENCES and killed


@pytest.mark.needs("linux")
def test_a_deciding_process_that_dies_ends_the_run_in_one_line_and_the_same_call_goes_on(extract, tmp_path, run):
    wanted = run(extract, tmp_path / "whole")
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
    assert (out / "work").is_dir() and not (out / "decisions.ndjson").exists()
    assert run(extract, out) == wanted


def children_of(pid):
    """The processes that a process has forked."""
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
