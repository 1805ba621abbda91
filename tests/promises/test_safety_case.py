"""The safety case in deploy/safety: lists that hold together, current pages, claims that only passing tests show."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.safety import conformance, hazards
from tests.safety.reading import ROOT, VIGNETTE, SafetyCaseError, made, missing_tests
from tests.safety.shown import Shown, unshown

LOG = hazards.load()
ITEMS = conformance.load()
HAZARD = LOG.hazards[0]
THIS = "tests/promises/test_safety_case.py"


def faults(*changed: hazards.Hazard) -> list[str]:
    return list(replace(LOG, hazards=changed).faults())


def test_the_hazard_log_has_no_fault():
    assert list(LOG.faults()) == []
    assert len(LOG.hazards) >= 30


def test_every_item_of_the_checklist_is_answered_once():
    assert list(conformance.faults(ITEMS)) == []
    assert len(ITEMS) == len(conformance.NUMBERS) == 154


@pytest.mark.parametrize(
    ("page", "written"),
    [(hazards.PAGE, hazards.page(LOG)), (conformance.PAGE, conformance.page(ITEMS))],
    ids=["hazards", "conformance"],
)
def test_the_pages_are_current(page, written):
    assert page.read_text(encoding="utf-8") == written, "write them again: python -m tests.safety"


def test_nobody_is_named_as_approver_and_nothing_is_closed_for_the_hospital():
    assert "**Nobody yet.**" in (hazards.SOURCE.parent / "README.md").read_text(encoding="utf-8")
    told = (hazards.SOURCE.parent / "open.md").read_text(encoding="utf-8")
    assert told.count("- [ ]") > 20
    assert "- [x]" not in told.lower()


def test_a_hazard_without_a_test_is_refused():
    with pytest.raises(SafetyCaseError, match="H99: 'tests' is empty"):
        made(hazards.Hazard, {**vars_of(HAZARD), "id": "H99", "tests": []}, "H99")


def vars_of(hazard: hazards.Hazard) -> dict:
    return {name: getattr(hazard, name) for name in hazards.Hazard.__dataclass_fields__}


def test_a_test_that_does_not_exist_is_found():
    gone = [
        f"{THIS}::test_that_is_gone",
        "tests/gone/test_x.py::test_x",
        f"{THIS}::vars_of",
        f"{VIGNETTE}[uk-ng239/gone]",
    ]
    there = [f"{THIS}::test_the_hazard_log_has_no_fault", f"{VIGNETTE}[uk-ng239/21-leber]"]
    assert list(missing_tests([*gone, *there])) == gone
    assert faults(replace(HAZARD, tests=(gone[0],))) == [f"H01: no test {gone[0]}"]


def test_a_risk_that_the_matrix_does_not_give_and_a_hazard_that_gets_worse_are_found():
    worse = {"severity": "catastrophic", "likelihood": "very low", "risk": 3}
    assert faults(replace(HAZARD, after={**HAZARD.after, "risk": 1})) == ["H01 after: risk 1, but the matrix says 3"]
    assert faults(replace(HAZARD, after=worse)) == ["H01: worse after the mitigations than before"]
    unknown = replace(HAZARD, before={**HAZARD.before, "severity": "bad"})
    assert faults(unknown)[0].startswith("H01 before: no such severity")
    assert faults(HAZARD, HAZARD) == ["H01: used twice"]


def test_the_matrix_rises_with_severity_and_likelihood_and_every_risk_has_a_meaning():
    risk = LOG.matrix.risk
    assert all(list(row) == sorted(row) and len(row) == len(LOG.matrix.likelihood) for row in risk)
    assert all(list(column) == sorted(column) for column in zip(*risk, strict=True))
    assert {str(each) for row in risk for each in row} == set(LOG.matrix.meaning)
    assert len(risk) == len(LOG.matrix.severity)


def test_an_item_without_test_or_reason_or_twice_or_missing_is_found():
    item = replace(ITEMS[0], tests=(), why="")
    assert list(conformance.said_wrongly(item)) == ["no test shows it"]
    assert list(conformance.said_wrongly(replace(item, status="client"))) == ["it is not said why"]
    assert list(conformance.said_wrongly(replace(ITEMS[0], status="fine"))) == [
        f"no status 'fine'; allowed: {', '.join(conformance.STATUS)}", "it is not said why"
    ]  # fmt: skip
    assert "item 1 stands there 2 times" in list(conformance.faults((ITEMS[0], *ITEMS)))
    assert "item 149 stands there 0 times" in list(conformance.faults(ITEMS[:-1]))


def test_a_claim_is_shown_only_by_tests_that_ran_and_passed():
    ran = {
        "a.py::test_a": "passed",
        "a.py::test_b[1]": "passed",
        "a.py::test_b[2]": "failed",
        "a.py::test_c": "skipped",
    }
    assert list(unshown({"H1": ["a.py::test_a", "a.py::test_b[1]"]}, ran)) == []
    assert list(unshown({"H2": ["a.py::test_b"]}, ran)) == ["H2: a.py::test_b failed"]
    assert list(unshown({"H3": ["a.py::test_"]}, ran)) == ["H3: a.py::test_ did not run"]
    assert list(unshown({"H4": []}, ran)) == ["H4: no test shows it"]
    assert list(unshown({"H5": ["a.py::test_c"]}, ran)) == ["H5: a.py::test_c skipped"]
    assert list(unshown({"H5": ["a.py::test_c"]}, ran, skipped_is_shown=True)) == []


@pytest.mark.parametrize("second", ["passed", "failed"])
def test_what_is_tried_again_counts_as_it_ends_then(second):
    def report(outcome: str) -> pytest.TestReport:
        return pytest.TestReport("a.py::test_a", ("a.py", 1, "test_a"), {}, outcome, None, "call")

    shown = Shown({})
    for outcome in ("passed", "rerun", second):
        shown.pytest_runtest_logreport(report(outcome))
    assert shown.outcomes == {"a.py::test_a": second}


PLAIN = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # what these runs do not use takes seconds to load
CONFTEST = """
import sys
sys.path.append({root!r})
from tests.safety.shown import Shown

def pytest_configure(config):
    claims = {{"hazard H7": ["suite/test_a.py::test_good", "suite/test_a.py::test_{name}"]}}
    config.pluginmanager.register(Shown(claims))
"""
SUITE = """
import pytest

def test_good(): pass
def test_bad(): assert False
@pytest.mark.xfail
def test_expected(): assert False
"""


@pytest.mark.parametrize(
    ("name", "arguments", "code", "line"),
    [
        ("good", ["--deselect", "suite/test_a.py::test_bad"], 0, ""),
        ("good", [], 1, ""),
        ("bad", [], 1, "hazard H7: suite/test_a.py::test_bad failed"),
        ("expected", [], 1, "hazard H7: suite/test_a.py::test_expected failed"),
        ("gone", [], 1, "hazard H7: suite/test_a.py::test_gone did not run"),
        ("gone", ["suite/test_a.py::test_good"], 0, ""),
        ("gone", ["-k", "good"], 0, ""),
        ("gone", ["--collect-only"], 0, ""),
    ],
)
def test_a_whole_run_fails_with_the_name_of_the_hazard_and_a_part_does_not(tmp_path: Path, name, arguments, code, line):
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "test_a.py").write_text(SUITE)
    (tmp_path / "conftest.py").write_text(CONFTEST.format(root=str(ROOT), name=name))
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = suite\n")
    asked = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    ended = subprocess.run(asked, cwd=tmp_path, env=PLAIN, capture_output=True, text=True, timeout=120)
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert ("hazard H7" in ended.stdout) == bool(line)
    assert line in ended.stdout


def test_a_whole_run_whose_tests_all_pass_still_fails_for_a_claim_that_no_test_shows(tmp_path: Path):
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "test_a.py").write_text("def test_good(): pass\n")
    (tmp_path / "conftest.py").write_text(CONFTEST.format(root=str(ROOT), name="gone"))
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = suite\n")
    asked = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ended = subprocess.run(asked, cwd=tmp_path, env=PLAIN, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1
    assert "1 passed" in ended.stdout
    assert "hazard H7: suite/test_a.py::test_gone did not run" in ended.stdout
