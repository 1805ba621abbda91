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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
YOUNG = ["--max-semi-space-size=64"]  # MiB: what is made for one patient and gone with him is not moved about

Json = dict[str, Any]
NOTHING = {"resourceType": "Parameters", "parameter": []}  # asks for no plan


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


class AnotherAnswerError(Exception):
    """An engine answered something else than what it was asked."""


class Engine:
    """One of them: a program that is started with its first question.

    A line to it is the number of the question, a tab and JSON; its answer repeats the number. A program that was left
    before it answered (the test's time was up) is ended, and the next question goes to a new one: no late answer can
    be taken for that to another question.
    """

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self.command = command
        self.asked = 0
        self.process: subprocess.Popen[str] | None = None
        self.errors: IO[str] | None = None

    def ask(self, job: Json) -> Json:
        """The answer to this question."""
        self.asked += 1
        try:
            return self.answer(self.running(), self.asked, json.dumps(job))
        except BaseException:
            self.end()
            raise

    def answer(self, process: subprocess.Popen[str], number: int, question: str) -> Json:
        with suppress(BrokenPipeError):  # what it said as it ended is read below
            process.stdin.write(f"{number}\t{question}\n")
            process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            self.errors.seek(0)
            raise AssertionError(f"{self.name} ended: {self.errors.read()[-4000:]}")
        repeated, _, answer = line.partition("\t")
        if repeated != str(number):
            raise AnotherAnswerError(f"{self.name} was asked {number} and answered {repeated}")
        return json.loads(answer)

    def running(self) -> subprocess.Popen[str]:
        """The program. What it says beside answers goes to a file: a full pipe would halt it."""
        if self.process is None:
            self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (open as long as the program is)
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(
                self.command, cwd=HERE, stdin=pipe, stdout=pipe, stderr=self.errors, text=True
            )
        return self.process

    def end(self) -> None:
        """End the program, whatever it does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            with suppress(BrokenPipeError):
                self.process.stdin.close()
            self.errors.close()
            self.process = None


@contextmanager
def both_engines(package: Path, translated: Path) -> Iterator[tuple[Engine, Engine]]:
    """`$apply`, which also translates the CQL of the package into the second folder, and cql-execution."""
    ensure_built()
    jars = os.pathsep.join([str(TARGET / "classes"), (TARGET / "classpath.txt").read_text()])
    folders = [str(package), str(translated)]
    apply = Engine("$apply", ["java", *MEMORY, *chosen(HURRIED, []), "-cp", jars, "cql.Engines", *folders])
    cql = Engine("cql-execution", ["node", *YOUNG, "run.js", *folders])
    try:
        apply.ask(NOTHING)  # once it answers, all is translated
        yield apply, cql
    finally:
        apply.end()
        cql.end()
