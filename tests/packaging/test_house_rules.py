"""The house rules, by the programs that know them. As tests they take their turn beside the others; and a rule that is
broken stands in the closing line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(sys.executable).parent
AT_MOST = 1200.0  # seconds, on a busy machine
RULES = {
    "the form of the code": [PROGRAMS / "ruff", "check"],
    "its layout, and no page with recipes in it": [PROGRAMS / "ruff", "format", "--check"],
    "imports look down only": [PROGRAMS / "lint-imports"],
    "nothing that nobody uses": [sys.executable, ROOT / "tests" / "unused.py"],
    "types, strictly": [PROGRAMS / "mypy"],
}


@pytest.mark.timeout(AT_MOST)
@pytest.mark.parametrize("rule", RULES)
def test_the_house_rule_holds(rule: str):
    done = subprocess.run(RULES[rule], cwd=ROOT, capture_output=True, text=True, timeout=AT_MOST)
    assert done.returncode == 0, f"{rule}:\n{done.stdout}{done.stderr}"
