"""What every test shares: the one way to say that a machine lacks something, and the report of what was not run.

A test that cannot run everywhere says so with `@pytest.mark.needs("java", "maven")`, by the names of NEEDS below. Where
one of them is missing the test is skipped and named before the closing line; with CI=true it fails. There is no other
way to skip: a test that skips by itself fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]
# So that tests may import their own helpers as `tests.…`. Last, so that an installed cds_service is the one tested.
sys.path.append(str(ROOT))


def program(*names: str) -> Callable[[], bool]:
    """True where one of these programs is on the path."""
    return lambda: any(shutil.which(name) for name in names)


def corpora() -> bool:
    folder = os.environ.get("CORPUS_DIR")
    return bool(folder) and Path(folder).is_dir()


def wheel() -> bool:
    """True where the cds_service under test is installed, not the one in the checkout."""
    found = find_spec("cds_service")
    return found is not None and not Path(found.origin).is_relative_to(ROOT / "cds_service")


@cache
def package_registry() -> bool:
    """True where pip finds what building the service needs."""
    asked = [sys.executable, "-m", "pip", "index", "versions", "hatchling", "--retries", "1", "--timeout", "10"]
    try:
        return subprocess.run(asked, capture_output=True, timeout=60).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def postgresql() -> bool:
    """True where PostgreSQL's programs are, on the path or where Debian puts them."""
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return bool(shutil.which("initdb") or shutil.which("pg_config") or [*debian])


# name -> (what a person must provide, whether it is here)
NEEDS: dict[str, tuple[str, Callable[[], bool]]] = {
    "java": ("Java 17 or newer with its compiler (javac)", program("javac")),
    "maven": ("Maven (mvn)", program("mvn")),
    "corpora": ("CORPUS_DIR set to the folder of test corpora", corpora),
    "wheel": ("the installed wheel (python3 tests/run.py)", wheel),
    "packages": ("a package registry that pip reaches", package_registry),
    "nginx": ("nginx", lambda: shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") is not None),
    "postgresql": ("PostgreSQL's programs (initdb, postgres)", postgresql),
    "chromium": ("Chromium (Debian's package chromium)", program("chromium", "chromium-browser", "google-chrome")),
    "linux": ("Linux (/proc)", lambda: Path("/proc/self/smaps_rollup").exists()),
}
IN_CI = os.environ.get("CI") == "true"
NOT_RUN = pytest.StashKey[dict[str, str]]()

# No test fails because the machine was busy; in CI the same code meets the same examples.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=IN_CI)
settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    from tests.safety import conformance, hazards  # here, after the path to them
    from tests.safety.shown import Shown

    config.stash[NOT_RUN] = {}
    shown = Shown({**hazards.load().claims(), **conformance.claims(conformance.load())})
    config.pluginmanager.register(shown, "safety-case")


def pytest_report_header() -> str:
    """Which cds_service is tested: the installed wheel, or the checkout."""
    import cds_service

    return f"cds_service: {Path(cds_service.__file__).parent}"


def missing_needs(item: pytest.Item) -> list[str]:
    """What this test needs and this machine lacks, in words for a person."""
    names = [name for mark in item.iter_markers("needs") for name in mark.args]
    unknown = sorted(set(names) - set(NEEDS))
    if unknown:
        raise pytest.UsageError(f"{item.nodeid}: no need {unknown[0]!r}. Known: {', '.join(sorted(NEEDS))}")
    return [NEEDS[name][0] for name in dict.fromkeys(names) if not NEEDS[name][1]()]


# First of all set-ups, so that no fixture is made for a test that cannot run.
@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    missing = missing_needs(item)
    if not missing:
        return
    reason = "needs " + " and ".join(missing)
    item.config.stash[NOT_RUN][item.nodeid] = reason
    if IN_CI:
        pytest.fail(f"not run: {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="module", autouse=True)
def no_thread_is_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each module of tests ends what it began: a store, a server, a client."""
    from tests.endings import left_behind  # here, after the path to it

    before = threading.enumerate()
    yield
    left = left_behind(before)
    assert not left, f"{request.node.nodeid} leaves threads behind: {', '.join(left)}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and item.nodeid not in item.config.stash[NOT_RUN]:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} skips by itself; say what it needs with @pytest.mark.needs"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    report = yield
    if report.outcome == "skipped":
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} skips as a whole; say what it needs with pytestmark = pytest.mark.needs"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Names what could not run here. Pytest's own closing line follows."""
    not_run = config.stash[NOT_RUN]
    if not not_run:
        return
    terminalreporter.section("not run on this machine")
    for test, reason in sorted(not_run.items()):
        terminalreporter.write_line(f"not run: {test}: {reason}")
