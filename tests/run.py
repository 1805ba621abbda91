"""All tests, from nothing: makes an environment in build/, installs the built wheel and what the tests need, runs them.

Needs Python 3.11 and nothing else; of two that are here the faster one runs them. What the machine lacks for some tests
(Java, Maven, the corpora) is named before the closing line; with CI=true it is a failure. Arguments are passed to
pytest: `python3 tests/run.py tests/clinical -x`; `--thorough` adds the deep runs and says which.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / "build" / "tests"
WHEELS = ROOT / "build" / "wheel"
LOCK = ROOT / "deploy" / "tests.lock"
SHIPPED = ROOT / "deploy" / "requirements.lock"  # part of it: the service
PROGRAMS = ENVIRONMENT / "bin"
PYTHON = PROGRAMS / "python"
AT_MOST = 80 * 60  # seconds for all tests; they take a fifth of it
THOROUGH = "--thorough"
BRANCHES = 92  # percent, the least that a thorough run covers
LEAST = (3, 11)
OTHERS = ("3.12", "3.13")  # that we promise, beside the one that runs all
OF_THE_SYSTEM = Path("/usr/bin/python3")  # distributions compile it with its profile
CLEARLY = 0.9
SOME = ("tests/clinical/test_properties.py", "tests/cards/test_vignettes.py", "tests/hooks/test_golden.py",
        "tests/hooks/test_odd_data.py", "tests/fhir/test_reader_labs.py", "tests/store/test_keeping.py")  # fmt: skip
# What these need beside the service: a tenth of all that is locked, and the rest takes three minutes to install.
TRYING = {"execnet", "hypothesis", "iniconfig", "packaging", "pluggy", "pygments", "pytest", "pytest-rerunfailures",
          "pytest-timeout", "pytest-xdist", "sortedcontainers"}  # fmt: skip
MEMORY = Path("/dev/shm")  # a folder in memory, where a system has one: tests write a hundred thousand small files
ROOM = 4 * 2**30  # bytes that must be free in it
PIP = [PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input"]


class StepFailed(Exception):
    """A step of the preparation failed; its own output says why."""


def main(arguments: list[str]) -> int:
    try:
        for what, do in PREPARATION:
            step(what, do)
    except StepFailed as failed:
        print(f"\n{failed}", file=sys.stderr)
        return 1
    others = OTHERS if os.environ.get("CI") == "true" or THOROUGH in arguments else ()
    parts = {f"a part of the tests on Python {version}": partial(try_python, version) for version in others}
    broken = [what for what, do in parts.items() if not holds(what, do)]
    announce("the tests" + (f" (broken so far: {'; '.join(broken)})" if broken else ""))
    with scratch() as folder:
        failed = run_tests(arguments, folder)
    if THOROUGH in arguments and not holds(f"at least {BRANCHES} % of all branches covered", look_at_branches):
        return failed or 1
    return failed or int(bool(broken))


def holds(what: str, do: Callable[[], None]) -> bool:
    try:
        step(what, do)
    except StepFailed as failed:
        print(f"\n{failed}", file=sys.stderr)
        return False
    return True


@contextmanager
def scratch() -> Iterator[Path]:
    """The folder for the tests' own files, gone when they are through: in memory if it has room and runs programs."""
    wanted = os.environ.get("TMPDIR")
    if wanted is None and os.access(MEMORY, os.W_OK):
        found = os.statvfs(MEMORY)
        if found.f_bavail * found.f_frsize >= ROOM and not found.f_flag & os.ST_NOEXEC:
            wanted = str(MEMORY)
    with tempfile.TemporaryDirectory(prefix="b12-", dir=wanted, ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o1777)  # as such a folder is: PostgreSQL refuses to run as root, and is another user
        yield Path(folder)


def run_tests(arguments: list[str], folder: Path) -> int:
    """Pytest's own exit code. It cannot hang for ever, whatever hangs in it."""
    # -P: the checkout's cds_service stays out of the way of the installed one. A group of its own: what the watchdog
    # sends reaches pytest's workers too.
    covered = ["--cov", "--cov-report=term:skip-covered"] if THOROUGH in arguments else []
    longest = ["--durations=25", "--durations-min=4"]  # what to look at when the whole takes long
    # Servers, browsers and databases share the machine with whatever else it does: what fails is tried once more (but
    # see tests/conftest.py), and named before the closing line as what was tried again. Not beside a debugger.
    again = [] if "--pdb" in arguments else ["--reruns", "1"]
    command = [PYTHON, "-P", "-m", "pytest", *shared(arguments), *again, *covered, *longest, *arguments]
    tests = subprocess.Popen(command, cwd=ROOT, env=environment() | {"TMPDIR": str(folder)}, process_group=0)
    try:
        return tests.wait(AT_MOST)
    except KeyboardInterrupt:
        os.killpg(tests.pid, signal.SIGINT)
        return tests.wait(AT_MOST)
    except subprocess.TimeoutExpired:
        os.killpg(tests.pid, signal.SIGABRT)  # each process says where each of its threads is, and ends
        give_up(tests)
        print(f"\nFailed: the tests did not end within {AT_MOST // 60} minutes", file=sys.stderr)
        return 1


def look_at_branches() -> None:
    """Coverage's own limit is of lines and branches together."""
    found = ROOT / "build" / "coverage.json"
    call([PYTHON, "-m", "coverage", "json", "-q", "--fail-under=0", "-o", found])
    covered = json.loads(found.read_text())["totals"]["percent_branches_covered"]
    print(f"{covered:.1f} % of all branches are covered")
    if covered < BRANCHES:
        raise StepFailed(f"Failed: {covered:.1f} % of all branches are covered; allowed: {BRANCHES} % or more")


def try_python(version: str) -> None:
    """The wheel and some of its tests on another Python that we promise; named as not run where there is none."""
    python = installed(version)
    if not python:
        print(f"not run: this machine has no Python {version}")
        return
    folder = ROOT / "build" / f"tests-{version}"
    (wheel,) = WHEELS.glob("*.whl")
    pip = [folder / "bin" / "python", *PIP[1:]]
    if not folder.exists():
        call([python, "-m", "venv", folder])
    few = folder / "some.lock"
    few.write_text("".join(entry for name, entry in locked(LOCK).items() if name in TRYING | locked(SHIPPED).keys()))
    call([*pip, "install", "--quiet", "--require-hashes", "--no-deps", "-r", few])
    call([*pip, "install", "--quiet", "--no-deps", "--no-index", "--force-reinstall", wheel])
    call([folder / "bin" / "python", "-P", "-m", "pytest", "-q", "-n", str(os.cpu_count() or 1), *SOME])  # none waits


def locked(file: Path) -> dict[str, str]:
    """The entries of a lock file, each with its hashes, by the name of the package."""
    entries = re.split(r"^(?=[a-z0-9-]+==)", file.read_text(), flags=re.MULTILINE)[1:]
    return {entry.partition("==")[0]: entry for entry in entries}


def installed(version: str) -> str:
    """A Python of that version, on the path or of pyenv; "" if there is none that runs."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    programs = [shutil.which(f"python{version}"), *root.glob(f"versions/{version}.*/bin/python{version}")]
    for program in programs:
        if program and version_of(Path(program)).startswith(f"{version}."):
            return str(program)
    return ""


def shared(arguments: list[str]) -> list[str]:
    """Work for all of the machine: a worker for each core and two more, since many tests wait for a server.

    With a debugger, or where the caller says how many, nothing is added.
    """
    if any(each.startswith(("-n", "--numprocesses", "--pdb", "--trace")) for each in arguments):
        return []
    return ["-n", str((os.cpu_count() or 1) + 2)]


def give_up(tests: subprocess.Popen[bytes]) -> None:
    try:
        tests.wait(60)
    except subprocess.TimeoutExpired:
        os.killpg(tests.pid, signal.SIGKILL)


def make_environment() -> None:
    pythons = [Path(sys.executable), *filter(may_serve, [OF_THE_SYSTEM])]
    if not PYTHON.exists() or version_of(PYTHON) not in map(version_of, pythons):
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        call([quickest(pythons), "-m", "venv", ENVIRONMENT])


def may_serve(python: Path) -> bool:
    """Can it run the tests, and make an environment?"""
    asked = [python, "-c", f"import ensurepip, sys, venv; sys.exit(sys.version_info < {LEAST})"]
    return python.exists() and not subprocess.run(asked, capture_output=True).returncode


def quickest(pythons: list[Path]) -> Path:
    """The one that computes clearly faster than those before it: a Python that was compiled without its profile, as
    version managers do unless they are told, takes half as long again for all of this."""
    chosen, *others = pythons
    for other in others:
        if seconds(other) < CLEARLY * seconds(chosen):
            chosen = other
    print(f"{chosen}, Python {version_of(chosen).split()[0]}")
    return chosen


def seconds(python: Path) -> float:
    """Of its processor's time for a short loop, the least of seven."""
    loop = "timeit.repeat('[str(each) for each in range(200_000)]', number=1, repeat=7, timer=time.process_time)"
    code = f"import time, timeit; print(min({loop}))"
    return float(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout)


def install_libraries() -> None:
    """Exactly what is locked, each file by its hash: what the service needs, and what builds and tries it."""
    call([*PIP, "install", "--quiet", "--require-hashes", "-r", LOCK])


def build_wheel() -> None:
    """Built without pip's isolation, by the locked builder: a second run needs no network."""
    shutil.rmtree(WHEELS, ignore_errors=True)
    call([*PIP, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", WHEELS, ROOT])


def install_wheel() -> None:
    """Removed first: pip would take a wheel of the same version for already installed."""
    (wheel,) = WHEELS.glob("*.whl")
    call([*PIP, "uninstall", "--quiet", "--yes", "b12-cds"])
    call([*PIP, "install", "--quiet", "--no-deps", "--no-index", wheel])
    call([*PIP, "check"])


def version_of(python: Path) -> str:
    asked = [python, "-c", "import sys; print(sys.version)"]
    return subprocess.run(asked, capture_output=True, text=True).stdout.strip()


def environment() -> dict[str, str]:
    """This environment's programs first, and no path into the checkout from outside. What Python has compiled is kept
    for the next process, which takes each of pytest's workers half the time to collect."""
    without = ("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if name not in without}
    return kept | {"PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(ENVIRONMENT)}


def call(command: list[str | Path]) -> None:
    done = subprocess.run([str(part) for part in command], cwd=ROOT, env=environment())
    if done.returncode:
        raise StepFailed(f"Failed: {' '.join(Path(str(part)).name for part in command[:4])} (its output is above)")


def announce(what: str) -> None:
    print(f"\n==> {what}", flush=True)


def step(what: str, do: Callable[[], None]) -> None:
    announce(what)
    do()


PREPARATION = (
    ("an environment for the tests", make_environment),
    ("the locked libraries", install_libraries),
    ("the wheel, as it is shipped", build_wheel),
    ("the wheel, installed", install_wheel),
)

if __name__ == "__main__":
    if sys.version_info < (3, 11):
        sys.exit(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}")
    sys.exit(main(sys.argv[1:]))
