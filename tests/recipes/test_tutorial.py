"""The tutorial works as it stands: each file is written, each command run, and what it promises is there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.recipes.reading import PROGRAM, ROOT, STEP, steps

PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
PARTS = re.compile(rf"(?P<step>{STEP.pattern})|(?P<console>^```console\n(?P<lines>.*?)^```$)", STEP.flags)


def run(folder: Path, line: str) -> str:
    """What one line of a console block prints: settings before the command are its environment."""
    words = shlex.split(line.removeprefix("$ "))
    settings = dict(word.split("=", 1) for word in words if re.match(r"CDS_\w+=", word))
    arguments = words[len(settings) + 1 :]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CDS_")} | settings
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def is_run_here(line: str) -> bool:
    """The demo, and what is asked of it, is for tests/packaging/test_commands.py."""
    return line.startswith("$ ") and "demo" not in line and "curl" not in line


def test_the_tutorial_leads_to_a_card_and_across_a_limit(tmp_path):
    printed = []
    for part in PARTS.finditer(PAGE):
        if part["step"]:
            (step,) = steps(part["step"])
            step.apply(tmp_path)
        else:
            printed += [run(tmp_path, line) for line in part["lines"].splitlines() if is_run_here(line)]
    first, second, checked, third = printed
    assert "interpret/deficient" in first
    assert "treat/dietary" in first
    assert "interpret/grey-symptoms" in second
    assert "interpret/deficient" not in second
    assert "200" in checked
    assert "interpret/deficient" in third
