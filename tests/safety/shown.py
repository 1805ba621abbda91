"""A pytest plugin: after a whole run, what the safety case claims must have been shown by tests that ran and passed.

A run of a part of the tests (a path, -k, -m, --lf, a stop by -x) says nothing about the claims, and is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

Claims = Mapping[str, Sequence[str]]  # what is claimed -> its tests, `path::function` or with `[parameter]`
PASSED, SKIPPED, FAILED, AGAIN = "passed", "skipped", "failed", "rerun"


def outcomes_of(test: str, outcomes: Mapping[str, str]) -> list[str]:
    """How the tests of this name ended: one, or one for each of its parameters. Empty: none of them ran."""
    return [how for name, how in outcomes.items() if name == test or name.startswith(f"{test}[")]


def unshown(claims: Claims, outcomes: Mapping[str, str], *, skipped_is_shown: bool = False) -> Iterator[str]:
    """A line for each claim and test of it that did not run, or did not pass."""
    fine = {PASSED, SKIPPED} if skipped_is_shown else {PASSED}
    for claim, tests in claims.items():
        if not tests:
            yield f"{claim}: no test shows it"
        for test in tests:
            ended = outcomes_of(test, outcomes)
            bad = sorted(set(ended) - fine)
            if bad or not ended:
                yield f"{claim}: {test} {' and '.join(bad) or 'did not run'}"


@dataclass(eq=False)  # plugins are kept in sets
class Shown:
    """Hears how every test ends; at the end of a whole run it names the claims that nothing has shown, and fails it.

    A test that this machine cannot run (it lacks Java, say) is only named: in CI it fails by itself.
    """

    claims: Claims
    outcomes: dict[str, str] = field(default_factory=dict)
    unshown: list[str] = field(default_factory=list)
    part_only: bool = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome == AGAIN:
            self.outcomes.pop(report.nodeid, None)  # what counts is how it ends when it is tried again
            return
        so_far = self.outcomes.get(report.nodeid, PASSED)
        how = FAILED if hasattr(report, "wasxfail") else report.outcome
        self.outcomes[report.nodeid] = so_far if so_far != PASSED else how

    def pytest_deselected(self) -> None:
        self.part_only = True

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if self.part_only or not is_whole(session, exitstatus):
            return
        self.unshown = list(unshown(self.claims, self.outcomes, skipped_is_shown=True))
        if self.unshown:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.unshown:
            terminalreporter.section("the safety case claims what no passing test has shown", red=True)
        for line in self.unshown:
            terminalreporter.write_line(line)


def is_whole(session: pytest.Session, exitstatus: int) -> bool:
    """Every test of the repository was asked for, and the run came to its end."""
    config = session.config
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return False
    if config.option.collectonly or config.option.keyword or config.option.markexpr or config.getoption("lf", False):
        return False
    ended = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    return ended and not (session.shouldstop or session.shouldfail)
