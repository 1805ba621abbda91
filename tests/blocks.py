"""Many small cases in few tests: an id of its own costs more than such a case, in each of pytest's workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import pytest

Each = TypeVar("Each")
SIZE = 40  # cases of one test


def blocks(cases: Iterable[Each], name: Callable[[Each], str] = str) -> list[object]:
    """Parameters for a test: so many cases in each, called after the first and the last of them."""
    every = list(cases)
    parts = [every[start : start + SIZE] for start in range(0, len(every), SIZE)]
    return [pytest.param(part, id=f"{name(part[0])} to {name(part[-1])}") for part in parts]


def failures(block: Iterable[Each], check: Callable[[Each], object], name: Callable[[Each], str] = str) -> list[str]:
    """The name of each case for which the check fails, and why: none hides another."""
    found = []
    for each in block:
        try:
            check(each)
        except Exception as error:  # noqa: BLE001 (named, so that the test fails)
            found.append(f"{name(each)}: {type(error).__name__}: {error}")
    return found
