"""Promise 8: for the same record and day every way in gives the same findings, rows and drafts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests import depth
from tests.ways import EVERY, WAYS, answered, compare, table

SLOW = ("explain", "evidence page", "MCP", "population run")  # a command, a page, a protocol, a database around each
EVERY_FEW = {name: 100 if name in SLOW else 25 for name in WAYS}  # vignettes, where not all are asked about


def names(way: str) -> list[str]:
    """About which vignettes this way is asked: all with --thorough; else some, and some of those that lack data."""
    every = depth.chosen(EVERY_FEW[way], 1)
    lacking = [name for name, asked in EVERY.items() if asked.absent or asked.incomplete or asked.site]
    without = [name for name in lacking if "b12" in EVERY[name].absent]  # then nothing, or little, may be said
    return list(dict.fromkeys([*list(EVERY)[::every], *lacking[:: max(1, every // 10)], *without]))


@pytest.mark.parametrize("way", WAYS)
def test_promise_8_every_way_in_says_the_same(way, record_property):
    result = compare(way, WAYS[way], names(way))
    print(table([result]))
    record_property("ways in x vignettes", result.line())
    assert result.differing == []
    assert result.asked + result.not_asked == len(names(way))
    assert result.parts["status"] == result.asked > 0
    assert result.parts["rows"] > 0


def test_a_way_that_says_something_else_is_named():
    name = next(iter(EVERY))
    other = replace(answered(name), rows=("interpret/other",))
    (line,) = compare("other", lambda _: other, [name]).differing
    assert line.startswith(f"other: {name}: rows: ('interpret/other',) instead of ")
    assert compare("none", lambda _: None, [name]).not_asked == 1
