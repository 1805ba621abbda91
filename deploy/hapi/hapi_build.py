"""Builds the HAPI server with Maven when it is not built yet, and runs programs so that none outlives us.

Only the first start needs Maven: the jars stay in Maven's own folder, and target/ keeps their list,
our class and the fingerprint of what both were made from. `run.py` is the entrance.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE / "target"
BUILT = TARGET / "built.sha256"
CLASSPATH = TARGET / "classpath.txt"
BUILD_SECONDS = 20 * 60
BUILD_TRIES = 3
STOP_SECONDS = 5
OLDEST_JAVA = 17
# What Maven and Java say beside the fault itself: downloads, advice, stack frames, empty lines.
NOISE = re.compile(
    r"Download|\s+(at |\.\.\. |Suppressed:)|.*(e-run Maven|\[Help \d\] http|articles:)|(\[ERROR\])?[\W0m]*$"
)
MEGABYTES = {"B": 1e-6, "kB": 1e-3, "MB": 1.0}

Progress = Callable[[str], None]


class HapiError(RuntimeError):
    """The server cannot be had: one sentence that says why, then the program's last words if any."""


class Program:
    """A program that we started and will stop; its last lines are kept for the error message."""

    def __init__(self, command: list[str], hear: Callable[[str], None]) -> None:
        self.last: deque[str] = deque(maxlen=15)
        self._hear = hear
        # In a session of its own, so that Ctrl+C reaches only us and we stop it in order.
        self.process = subprocess.Popen(
            command,
            cwd=HERE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()  # reads to the end, or a full pipe would halt the program

    def _read(self) -> None:
        for line in self.process.stdout:
            if not NOISE.match(line.removeprefix("[INFO] ")):
                self.last.append(line.rstrip())
            self._hear(line)

    def ended(self) -> bool:
        return self.process.poll() is not None

    def last_words(self) -> str:
        self._reader.join(timeout=2)
        return "\n".join(f"  | {line[:600]}" for line in list(self.last))

    def close(self) -> None:
        """The end of its input already ends the server; the signals are for Maven and for a server that hangs."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        for signum in (signal.SIGTERM, signal.SIGKILL):
            if self.ended():
                break
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signum)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=STOP_SECONDS)
        self._reader.join(timeout=2)
        self.process.stdout.close()


def wait(program: Program, done: Callable[[], bool], limit: float, tell: Callable[[], str], progress: Progress) -> bool:
    """Whether it was done before the program ended; False too when `limit` seconds have passed."""
    start, told = time.monotonic(), 0.0
    while not done():
        passed = time.monotonic() - start
        if program.ended() or passed > limit:
            return False
        if passed - told >= 10:
            told = passed
            progress(f"  {passed:.0f} s: {tell()}")
        time.sleep(0.1)
    return True


def java() -> str:
    """The Java that Maven takes too: that of JAVA_HOME, else the first on the path."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which(str(Path(home, "bin", "java"))) if home else shutil.which("java")
    if not found:
        where = f"in JAVA_HOME ({home})" if home else "on the path"
        raise HapiError(f"HAPI needs Java {OLDEST_JAVA} or newer (a JDK), and there is no java {where}.")
    said = subprocess.run([found, "-version"], capture_output=True, text=True, timeout=60).stderr
    version = re.search(r'version "(\d+)', said)
    if version and int(version[1]) < OLDEST_JAVA:
        raise HapiError(f"HAPI needs Java {OLDEST_JAVA} or newer, and {found} is: {said.splitlines()[0]}")
    return found


def fingerprint() -> str:
    """Of the contents, not the times: a fresh clone has new times and old contents."""
    total = hashlib.sha256()
    for source in sorted([HERE / "pom.xml", *HERE.glob("src/**/*.java")]):
        total.update(source.relative_to(HERE).as_posix().encode() + b"\0" + source.read_bytes())
    return total.hexdigest()


def is_built() -> bool:
    """False as well when a jar has gone since: the jars stay in Maven's own folder, which people clear."""
    try:
        if BUILT.read_text() != fingerprint():
            return False
        return all(Path(jar).exists() for jar in CLASSPATH.read_text().split(os.pathsep))
    except FileNotFoundError:
        return False


class Downloads:
    """Counts what Maven says it has fetched, so that minutes of waiting show how far it is."""

    def __init__(self) -> None:
        self.files, self.megabytes = 0, 0.0

    def hear(self, line: str) -> None:
        if size := re.search(r"Downloaded from .*\(([\d.]+) (\w+)", line):
            self.files += 1
            self.megabytes += float(size[1]) * MEGABYTES.get(size[2], 0)

    def __str__(self) -> str:
        return f"{self.files} files, {self.megabytes:.0f} MB downloaded"


def build(progress: Progress) -> None:
    """Leaves the class, the list of jars and the fingerprint in target/; a failed download is tried again."""
    maven = shutil.which("mvn")
    if not maven:
        raise HapiError("The first start of HAPI needs Maven, and there is no mvn on the path.")
    BUILT.unlink(missing_ok=True)
    sources, start, downloads = fingerprint(), time.monotonic(), Downloads()
    # -U: a download that failed before is not remembered as failed. -C: a damaged one is a failed one.
    # The time-out, because Maven's own lets a silent connection hang for 30 minutes.
    command = [maven, "-B", "-U", "-C", "-Daether.connector.requestTimeout=60000", "compile"]
    progress("building the HAPI server; the first time downloads about 310 MB")
    for attempt in range(1, BUILD_TRIES + 1):
        left = BUILD_SECONDS - (time.monotonic() - start)
        with contextlib.closing(Program(command, downloads.hear)) as program:
            wait(program, lambda: False, left, lambda: str(downloads), progress)
            if not program.ended():
                raise HapiError(f"The build of HAPI took more than {BUILD_SECONDS // 60} minutes ({downloads}).")
            words = program.last_words()
        if program.process.returncode == 0:
            BUILT.write_text(sources)
            progress(f"built in {time.monotonic() - start:.0f} s ({downloads})")
            return
        if attempt == BUILD_TRIES or not re.search(r"(?i)could not (transfer|resolve)|not be resolved|checksum", words):
            raise HapiError(f"The build of HAPI failed (mvn ended with {program.process.returncode}):\n{words}")
        progress(f"a download failed, trying again in 5 s ({attempt + 1} of {BUILD_TRIES})")
        time.sleep(5)


def ensure_built(progress: Progress) -> None:
    """Two test runs may start at once: the second waits and finds it built. A dead process holds no lock."""
    TARGET.mkdir(exist_ok=True)
    with (TARGET / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another build of the HAPI server to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_built():
            build(progress)
