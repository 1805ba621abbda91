"""What the tests of this folder share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cds_service.population.run import Plan, run_population
from tests.book import service
from tests.population.patients import decisions

DAY = date(2026, 1, 15)
Rows = list[dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Rows]:
    """Run an extract in this process; its rows in the order of the file."""

    def ran(extract: Path, out: Path | None = None, as_of: date = DAY, client: Any = None) -> Rows:
        plan = Plan(extract, out or tmp_path / "out", as_of, "ndjson")
        made = run_population(plan, client or service("uk-ng239"), lambda *_: None)
        return decisions(plan.out / made.decisions)

    return ran


COMMAND = (sys.executable, "-m", "cds_service.cli", "population")


def environment() -> dict[str, str]:
    """The settings of these calls: none but the defaults."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CDS_")}


@pytest.fixture
def call() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`b12-cds population …` as a person calls it."""

    def called(*given: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*COMMAND, *map(str, given)], env=environment(), capture_output=True, text=True)

    return called
