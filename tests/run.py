"""All tests, from nothing: makes an environment in build/, installs the built wheel and what the tests need, runs them.

Needs Python 3.11 and nothing else. What the machine lacks for some tests (Java, Maven, the corpora) is named before the
closing line; with CI=true it is a failure. Arguments are passed to pytest: `python3 tests/run.py tests/clinical -x`;
`--thorough` adds the deep runs and says which.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / "build" / "tests"
WHEELS = ROOT / "build" / "wheel"
LOCK = ROOT / "deploy" / "tests.lock"
PROGRAMS = ENVIRONMENT / "bin"
PYTHON = PROGRAMS / "python"
AT_MOST = 80 * 60  # seconds for all tests; they take a tenth of it
PIP = [PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input"]


class StepFailed(Exception):
    """A step of the preparation failed; its own output says why."""


def main(arguments: list[str]) -> int:
    try:
        step("an environment for the tests", make_environment)
        step("the locked libraries", install_libraries)
        step("the wheel, as it is shipped", build_wheel)
        step("the wheel, installed", install_wheel)
        step("the house rules: ruff", lambda: call([PROGRAMS / "ruff", "check"]))
        step("the house rules: imports look down only", lambda: call([PROGRAMS / "lint-imports"]))
        step("the house rules: nothing that nobody uses", lambda: call([PYTHON, ROOT / "tests" / "unused.py"]))
        step("the house rules: types, strictly", lambda: call([PROGRAMS / "mypy"]))
    except StepFailed as failed:
        print(f"\n{failed}", file=sys.stderr)
        return 1
    announce("the tests")
    return run_tests(arguments)


def run_tests(arguments: list[str]) -> int:
    """Pytest's own exit code. It cannot hang for ever, whatever hangs in it."""
    # -P: the checkout's cds_service stays out of the way of the installed one. A group of its own: what the watchdog
    # sends reaches pytest's workers too.
    command = [PYTHON, "-P", "-m", "pytest", *shared(arguments), *arguments]
    tests = subprocess.Popen(command, cwd=ROOT, env=environment(), process_group=0)
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


def shared(arguments: list[str]) -> list[str]:
    """Work for all of the machine: a worker for each core and one more, since many tests wait for a server.

    With a debugger, or where the caller says how many, nothing is added.
    """
    if any(each.startswith(("-n", "--numprocesses", "--pdb", "--trace")) for each in arguments):
        return []
    return ["-n", str((os.cpu_count() or 1) + 1)]


def give_up(tests: subprocess.Popen[bytes]) -> None:
    try:
        tests.wait(60)
    except subprocess.TimeoutExpired:
        os.killpg(tests.pid, signal.SIGKILL)


def make_environment() -> None:
    if not PYTHON.exists() or version_of(PYTHON) != sys.version:
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        call([sys.executable, "-m", "venv", ENVIRONMENT])


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
    """This environment's programs first, and no path into the checkout from outside."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
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


if __name__ == "__main__":
    if sys.version_info < (3, 11):
        sys.exit(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}")
    sys.exit(main(sys.argv[1:]))
