"""What every test shares: the one way to say that a machine lacks something, and the report of what was not run.

A test that cannot run everywhere says so with `@pytest.mark.needs("java", "maven")`, by the names of NEEDS below. Where
one of them is missing the test is skipped and named before the closing line; with CI=true it fails. There is no other
way to skip: a test that skips by itself fails.
"""

from __future__ import annotations

import gc
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
from pytest_rerunfailures import ClientStatusDB, StatusDB

ROOT = Path(__file__).resolve().parents[1]
# So that tests may import their own helpers as `tests.…`. Last, so that an installed cds_service is the one tested.
sys.path.append(str(ROOT))
from tests.browser.programs import BROWSERS  # noqa: E402 (after the path to it)


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


@cache
def go() -> bool:
    """True where there is a Go that builds what tests/deploy/go/go.mod asks for."""
    if not shutil.which("go"):
        return False
    said = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, timeout=60).stdout
    version = said.strip().removeprefix("go").split(".")
    return [int(part) for part in version[:2] if part.isdigit()] >= [1, 24]


# name -> (what a person must provide, whether it is here)
NEEDS: dict[str, tuple[str, Callable[[], bool]]] = {
    "java": ("Java 17 or newer with its compiler (javac)", program("javac")),
    "maven": ("Maven (mvn)", program("mvn")),
    "npm": ("Node.js 20 or newer with npm", program("npm")),
    "corpora": ("CORPUS_DIR set to the folder of test corpora", corpora),
    "wheel": ("the installed wheel (python3 tests/run.py)", wheel),
    "packages": ("a package registry that pip reaches", package_registry),
    "nginx": ("nginx", lambda: shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") is not None),
    "postgresql": ("PostgreSQL's programs (initdb, postgres)", postgresql),
    "chromium": ("Chromium (Debian's package chromium-headless-shell or chromium)", program(*BROWSERS)),
    "go": ("Go 1.24 or newer (it builds helm, once)", go),
    "promtool": ("promtool (Debian's package prometheus)", program("promtool")),
    "linux": ("Linux (/proc)", lambda: Path("/proc/self/smaps_rollup").exists()),
}
NOT_RUN: dict[str, str] = {}  # every test that could not run -> what it needs
IN_CI = os.environ.get("CI") == "true"
# What is decided about a patient needs no server and no database: it fails at once, whatever is tried again elsewhere.
DECIDING = ("tests/cards/", "tests/clinical/", "tests/law/")
LACKING = "lacking"  # the property of a report that says what this machine lacks for its test


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--thorough", action="store_true", help="the deep runs too, which take much longer")


def pytest_configure(config: pytest.Config) -> None:
    from tests import depth, loading
    from tests.safety import conformance, hazards  # here, after the path to them
    from tests.safety.shown import Shown

    # In CI the same code meets the same examples.
    depth.prepare(thorough=config.getoption("thorough"), repeatable=IN_CI)
    loading.load_once()
    if is_worker(config):
        return
    shown = Shown({**hazards.load().claims(), **conformance.claims(conformance.load())})
    config.pluginmanager.register(shown, "safety-case")


def is_worker(config: pytest.Config) -> bool:
    """True in a process of pytest-xdist, whose reports go to another that judges the whole run."""
    return hasattr(config, "workerinput")


def pytest_sessionstart(session: pytest.Session) -> None:
    """A worker counts by itself what it tries again. pytest-rerunfailures asks the controlling process before each
    test, in case a worker dies, which takes 42 ms."""
    counts = getattr(session.config, "failures_db", None)
    if isinstance(counts, ClientStatusDB):
        session.config.failures_db = StatusDB()
        counts.sock.close()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    from tests.sharing import Shares  # here, after the path to it

    return Shares(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    from tests.sharing import in_order

    for item in items:
        if item.nodeid.startswith(DECIDING):
            item.add_marker(pytest.mark.flaky(reruns=0))
    in_order(items)


def pytest_collection_finish() -> None:
    """What is there now stays for the whole run: Python need not look through it again and again for what can go."""
    gc.collect()
    gc.freeze()


def pytest_report_header() -> list[str]:
    """Which cds_service is tested, the installed wheel or the checkout, and what a thorough run adds."""
    import cds_service
    from tests import depth

    added = [f"--thorough adds: {each}" for each in depth.ADDS] if depth.is_thorough() else []
    return [f"cds_service: {Path(cds_service.__file__).parent}", *added]


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
    item.user_properties.append((LACKING, reason))
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


@pytest.fixture(autouse=True)
def store_has_time(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store in this process is not late because the machine is busy, unless being late is what is tried."""
    from tests.store.patience import unhurried  # here, after the path to it

    if request.node.get_closest_marker("store_limits") is None:
        unhurried(monkeypatch)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and LACKING not in dict(item.user_properties):
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


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """What a worker could not run is named by the process that hears its reports."""
    if lacking := dict(report.user_properties).get(LACKING):
        NOT_RUN[report.nodeid] = str(lacking)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names what could not run here. Pytest's own closing line follows."""
    if not NOT_RUN:
        return
    terminalreporter.section("not run on this machine")
    for test, reason in sorted(NOT_RUN.items()):
        terminalreporter.write_line(f"not run: {test}: {reason}")
