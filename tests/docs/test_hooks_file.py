"""The pre-commit hooks download nothing, and each names a program of the test environment and files that exist."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CONFIG = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
HOOKS = [hook for repository in CONFIG["repos"] for hook in repository["hooks"]]


def test_every_hook_is_local_and_runs_a_program_of_this_environment():
    assert {repository["repo"] for repository in CONFIG["repos"]} == {"local"}
    assert {hook["language"] for hook in HOOKS} == {"system"}
    programs = {hook["entry"].split()[0] for hook in HOOKS} - {"python"}
    lacking = {name for name in programs if not shutil.which(name, path=str(Path(sys.executable).parent))}
    assert programs
    assert lacking == set()


def test_every_hook_is_called_for_files_that_exist():
    files = [
        path.relative_to(ROOT).as_posix()
        for folder in ("cards", "cds_service", "docs")
        for path in (ROOT / folder).rglob("*")
    ]
    for hook in HOOKS:
        assert any(re.search(hook.get("files", ""), file) for file in files), hook["id"]
