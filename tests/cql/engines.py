"""Two engines that are not ours: npm's cql-execution, and `$apply` of cqf-fhir-cr, which also translates the CQL.

Built once with npm and Maven, in `engines/`; each is one process, which answers line by line.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests.depth import chosen

HERE = Path(__file__).resolve().parent / "engines"
TARGET = HERE / "target"
BUILT = TARGET / "built.sha256"
BUILD_SECONDS = 20 * 60
TRIES = 3
MEMORY = ["-Xmx1500m", "-XX:+UseSerialGC"]
HURRIED = ["-XX:TieredStopAtLevel=1"]  # for a short run; a long one gains by what it compiles better

Json = dict[str, Any]


def fingerprint() -> str:
    sources = sorted([HERE / "pom.xml", HERE / "package-lock.json", *HERE.glob("src/**/*.java")])
    return hashlib.sha256(b"".join(each.read_bytes() for each in sources)).hexdigest()


def is_built() -> bool:
    """False as well where a jar has gone since, or the modules."""
    with suppress(FileNotFoundError):
        jars = (TARGET / "classpath.txt").read_text().split(os.pathsep)
        modules = (HERE / "node_modules" / "cql-execution").is_dir()
        return BUILT.read_text() == fingerprint() and modules and all(Path(jar).exists() for jar in jars)
    return False


def ensure_built() -> None:
    """Download and compile, unless that is done. Of two runs at once the second waits."""
    TARGET.mkdir(exist_ok=True)
    with (TARGET / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_built():
            call(["npm", "ci", "--no-audit", "--no-fund", "--silent"])
            call(["mvn", "-B", "-q", "-C", "-Daether.connector.requestTimeout=60000", "compile"])
            BUILT.write_text(fingerprint())


def call(command: list[str]) -> None:
    """A failed download is tried again."""
    for _ in range(TRIES):
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=BUILD_SECONDS)
        if done.returncode == 0:
            return
    raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


@dataclass(frozen=True)
class Engine:
    """One of them, running."""

    name: str
    process: subprocess.Popen[str]
    errors: IO[str]

    def hear(self) -> str:
        """The next line; if it ended instead, why."""
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            raise AssertionError(f"{self.name} ended: {self.errors.read()[-4000:]}")
        return line

    def ask(self, job: Json) -> Json:
        """The answer to one line. An engine that was left before it answered is ended: its answer would be taken for
        that to the next line."""
        try:
            self.process.stdin.write(json.dumps(job) + "\n")
            self.process.stdin.flush()
            return json.loads(self.hear())
        except BaseException:
            self.process.kill()
            raise

    def ask_all(self, jobs: Iterable[Json]) -> Iterator[Json]:
        return map(self.ask, jobs)


@contextmanager
def running(name: str, command: list[str]) -> Iterator[Engine]:
    """A program that is ended whatever happens. What else it says goes to a file: a full pipe would halt it."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        try:
            yield Engine(name, process, errors)
        finally:
            with suppress(OSError):
                process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()
            process.stdout.close()


@contextmanager
def apply_engine(package: Path, translated: Path) -> Iterator[Engine]:
    """`$apply`. Once it runs, the translated CQL of the package lies in the second folder."""
    jars = os.pathsep.join([str(TARGET / "classes"), (TARGET / "classpath.txt").read_text()])
    options = [*MEMORY, *chosen(HURRIED, [])]
    with running("$apply", ["java", *options, "-cp", jars, "cql.Engines", str(package), str(translated)]) as engine:
        assert engine.hear() == "ready\n"
        yield engine


@contextmanager
def cql_engine(package: Path, translated: Path) -> Iterator[Engine]:
    """cql-execution."""
    with running("cql-execution", ["node", "run.js", str(package), str(translated)]) as engine:
        yield engine
