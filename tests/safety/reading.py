"""What the safety case's two lists share: reading TOML into frozen types, and whether a named test exists."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "safety"
VIGNETTE = "tests/cards/test_vignettes.py::test_the_vignette_is_answered_as_told"
Kind = TypeVar("Kind")


class SafetyCaseError(Exception):
    """A list of the safety case cannot be read. Its text names the entry, the fault and what is allowed."""


def read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def made(kind: type[Kind], told: dict[str, Any], place: str) -> Kind:
    """One entry as its type. Unknown, missing, empty and wrongly shaped fields are refused."""
    known = {each.name: each for each in fields(kind)}
    if strange := sorted(set(told) - set(known)):
        raise SafetyCaseError(f"{place}: no field {strange[0]!r}; allowed: {', '.join(known)}")
    lacking = [name for name, each in known.items() if name not in told and each.default is MISSING]
    if lacking:
        raise SafetyCaseError(f"{place}: {lacking[0]!r} is missing")
    for name, value in told.items():
        if value in ("", [], {}) or (isinstance(value, str) and not value.strip()):
            raise SafetyCaseError(f"{place}: {name!r} is empty; leave it out if it may be, or fill it")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in told.items()})


@cache
def tests_in(path: str) -> frozenset[str]:
    """The names of the test functions that a file of tests defines."""
    file = ROOT / path
    if not file.is_file():
        return frozenset()
    parsed = ast.parse(file.read_text(encoding="utf-8"))
    return frozenset(node.name for node in parsed.body if isinstance(node, ast.FunctionDef))


def missing_tests(named: Sequence[str]) -> Iterator[str]:
    """The named tests that do not exist. Of parameters only vignettes are looked up; a whole run checks all of them."""
    for test in named:
        path, _, rest = test.partition("::")
        function, _, parameter = rest.partition("[")
        exists = function.startswith("test_") and function in tests_in(path)
        if exists and parameter and f"{path}::{function}" == VIGNETTE:
            exists = (ROOT / "fixtures" / "vignettes" / f"{parameter.removesuffix(']')}.toml").is_file()
        if not exists:
            yield test


def cell(text: str) -> str:
    """Text inside a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def shown_as(test: str) -> str:
    """A test as the pages name it: a vignette by its file, any other by its node id."""
    if test.startswith(f"{VIGNETTE}["):
        return f"vignette `{test.removeprefix(VIGNETTE)[1:-1]}`"
    return f"`{test}`"
