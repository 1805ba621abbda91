"""Kills runs: `python -m tests.population.killing EXTRACT FOLDER SEQUENCES SEED`, a line of JSON each.

The content is read once; every run is a process that is forked from this one, killed with SIGKILL after a part of the
time that a whole run takes, once or several times, and then made to its end.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from cds_service.population.run import Plan, run_population
from tests.book import service
from tests.population.conftest import DAY


def main(extract: Path, folder: Path, sequences: int, seed: int) -> None:
    chance = random.Random(seed)
    seconds = {workers: whole(extract, folder / f"whole-{workers}", workers) for workers in (1, 2)}
    tell(whole=[digest(folder / f"whole-{workers}") for workers in seconds])
    for sequence in range(sequences):
        out, workers = folder / str(sequence), chance.choice([1, 2])
        killed = 0
        for _ in range(chance.choice([1, 1, 2, 3])):
            child = begin(extract, out, workers)
            killed += not ended_within(child, chance.uniform(0.02, 1.0) * seconds[workers])
            workers = chance.choice([1, 2])
        whole(extract, out, workers)
        left = sorted(path.name for path in out.iterdir())
        tell(killed=killed, digest=digest(out), left=left)


def begin(extract: Path, out: Path, workers: int) -> int:
    """Fork a run; the id of its process."""
    child = os.fork()
    if child == 0:
        try:
            run_population(Plan(extract, out, DAY, "ndjson", workers), service("uk-ng239"), lambda *_: None)
        except BaseException:  # noqa: BLE001  (this process must not go on as the one that it is forked from)
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    return child


def ended_within(child: int, seconds: float) -> bool:
    """Wait for a run to end by itself; one that does not is killed, and then what it had forked has ended too."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid and status:
            raise SystemExit(f"a run ended with status {status}")
        if pid:
            return True
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def whole(extract: Path, out: Path, workers: int) -> float:
    """Run to the end; how many seconds that took."""
    began = time.monotonic()
    _, status = os.waitpid(begin(extract, out, workers), 0)
    if status:
        raise SystemExit(f"a run ended with status {status}")
    return time.monotonic() - began


def digest(out: Path) -> str:
    return hashlib.sha256((out / "decisions.ndjson").read_bytes()).hexdigest()


def tell(**what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
