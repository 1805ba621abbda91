"""Every command of every console block is run: here, or by the test that is named; or it is said what it would take."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.docs.test_pages import CALL_NOBODY, PAGES, ROOT
from tests.recipes.reading import PROGRAM, STEP, steps

HOW_TO = sorted((ROOT / "docs" / "how-to").glob("*.md"))
BLOCK = re.compile(r"^(?P<indent> *)```(?:console|sh)\n(?P<lines>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
PARTS = re.compile(rf"(?P<step>{STEP.pattern})|(?P<console>{BLOCK.pattern})", STEP.flags)
# What a command begins with -> the test that runs it, or its like
ELSEWHERE = {
    r"(\.venv/bin/)?b12-cds demo|python3 -m venv|\.venv/bin/pip|\. \.venv": "tests/packaging/test_commands.py",
    r"curl -s http://127\.0\.0\.1:8000/cds-services": "tests/packaging/test_commands.py",
    r"python3 tests/run\.py": ".ci/run",
    r"ruff|lint-imports|mypy": "tests/packaging/test_house_rules.py",
    rf"(\.venv/bin/)?b12-cds ({'|'.join(CALL_NOBODY)})\b": "tests/docs/test_pages.py",
    r"b12-cds conform": "tests/conform/test_conform_command.py",
    r"b12-cds doctor": "tests/doctor",
    r"b12-cds smart key": "tests/smart/test_key_command.py",
    r"b12-cds store new-key > smart\.keys": "tests/store",
    r"\.venv/bin/python deploy/signed_call\.py": "tests/deploy/test_operators_readme.py",
    r"b12-cds export fhir|npm pack \./package": "tests/cql/test_exported.py",
    r"b12-cds population export": "tests/population/test_export.py",
    r"b12-cds population run": "tests/population/test_run.py",
    r"b12-cds population summary": "tests/population/test_summary.py",
    r"spark-submit": "tests/population/test_spark.py",
    r"b12-cds watch --client": "tests/watch/test_watcher.py",
    r"b12-cds watch (status|due)": "tests/watch/test_due.py",
    r"python deploy/release\.py": "tests/packaging/test_release.py",
    r"promtool": "tests/deploy/test_monitoring.py",
    r"curl -s http://127\.0\.0\.1:8000/(healthz|readyz)": "tests/hooks/test_observed_health.py",
}
# What a command begins with -> what it takes, which no test has
NOT_RUN = {
    r"docker|umask|mkdir deploy/|cp deploy/|python3 -c 'import secrets|printf '": "Docker, whose files these are",
    r"git clone": "npm, and a network that leads to the Sandbox's sources",
    r"kubectl|helm upgrade": "a Kubernetes cluster; `helm template` is tests/deploy/test_chart.py",
}


def commands(text: str) -> Iterator[str]:
    """Each command of the console blocks, with the lines that continue it."""
    for block in BLOCK.finditer(text):
        lines = dedent(block["lines"])  # one in a list is indented
        started = re.split(r"^\$ ", lines, flags=re.MULTILINE)[1:] if lines.startswith("$ ") else lines.splitlines()
        yield from (each.strip() for each in started if each.strip())


EVERY = [(page, command) for page in PAGES for command in commands(page.read_text(encoding="utf-8"))]


def plain(command: str) -> str:
    """Without settings before it."""
    return re.sub(r"^(?:CDS_\w+=\S+ )+", "", command)


def accounted(page: Path, command: str) -> str:
    """Who runs a command; "" if nobody does and nothing is said of it."""
    for pattern, who in (ELSEWHERE | NOT_RUN).items():
        if re.match(pattern, plain(command)):
            return who
    if page in HOW_TO:
        return "tests/docs/test_console.py"
    return "tests/recipes/test_tutorial.py" if page.name == "tutorial.md" else ""


@pytest.mark.parametrize("page, command", EVERY, ids=lambda each: each if isinstance(each, str) else each.name)
def test_somebody_runs_it_or_it_is_said_what_it_takes(page: Path, command: str):
    assert accounted(page, command), f"{page.name}: {command}"


def test_whoever_is_named_is_there_and_everything_that_is_named_is_in_a_page():
    assert [who for who in ELSEWHERE.values() if not (ROOT / who).exists()] == []
    patterns = [*ELSEWHERE, *NOT_RUN]
    assert [each for each in patterns if not any(re.match(each, plain(command)) for _, command in EVERY)] == []


@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.stem)
def test_a_how_to_works_from_top_to_bottom(page: Path, tmp_path: Path):
    """Its files are written and its commands run, in their order, in an empty folder."""
    program = tmp_path / "bin" / "b12-cds"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\n{PROGRAM}\n")
    program.chmod(0o755)
    folder = tmp_path / "folder"
    folder.mkdir()
    plain_names = {name: value for name, value in os.environ.items() if not name.startswith("CDS_")}
    environment = plain_names | {"PATH": f"{program.parent}:{os.environ['PATH']}"}
    settings: list[str] = []
    for part in PARTS.finditer(page.read_text(encoding="utf-8")):
        if part["step"]:
            for step in steps(part["step"]):
                step.apply(folder)
            continue
        here = [each for each in commands(part["console"]) if is_run_here(page, each)]
        done = subprocess.run(
            ["bash", "-euc", "\n".join([*settings, *here])],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=500,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        settings += [each for each in here if each.startswith("export ")]


def is_run_here(page: Path, command: str) -> bool:
    """One that calls nobody is run here too, with the files that its page has made."""
    calls_nobody = plain(command).startswith("b12-cds") and plain(command).split()[1] in CALL_NOBODY
    return calls_nobody or accounted(page, command).endswith("test_console.py")
