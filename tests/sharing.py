"""How a run is shared among pytest-xdist's workers: a file of tests stays whole, and so does what shares one server.

A page in all its widths and schemes is a unit of its own: there are many, and each worker has its browser anyway.

Files that share a server (a session's HAPI, PostgreSQL, or built image) go to one worker, so that it is started once.
What takes long is begun first, so that no worker is left with it at the end.
"""

from __future__ import annotations

import re

import pytest
from xdist.scheduler import LoadScopeScheduling

# Part of a path -> the name of what all files with it share.
SHARED = {
    "tests/contract/": "HAPI",
    "tests/cql/": "CQL",
    "tests/store/": "PostgreSQL",
    "tests/deploy/test_image": "image",
    "tests/deploy/test_together": "image",
}
PAGE = re.compile(r"(tests/browser/test_every_page\.py::\w+\[.+)-\d+-(?:light|dark)\]$")
# Begun first, in this order: what waits for programs that start, then what computes longest.
LONGEST = (
    "tests/contract/", "tests/cql/", "tests/deploy/test_image", "tests/deploy/test_together", "tests/store/",
    "tests/load/", "tests/browser/", "tests/smart/", "tests/recipes/", "tests/packaging/test_commands",
    "tests/hooks/test_observed_overload", "tests/hooks/test_cli_serve", "tests/hooks/test_slow_base",
    "tests/hooks/test_observed_openapi", "tests/hooks/test_clients_serve", "tests/bench/",
    "tests/cards/test_tightness", "tests/hostile/", "tests/deploy/",
)  # fmt: skip


def unit(nodeid: str) -> str:
    """What is run by one worker, in one piece: a shared server's tests, or a file."""
    if page := PAGE.search(nodeid):
        return page[1]
    file = nodeid.partition("::")[0]
    return next((shared for part, shared in SHARED.items() if part in file), file)


def rank(item: pytest.Item) -> int:
    """The place of a test's unit in the order of the run; the rest keep the order of their paths."""
    return next((at for at, part in enumerate(LONGEST) if part in item.nodeid), len(LONGEST))


class Shares(LoadScopeScheduling):
    """Hands out units, the longest first."""

    def __init__(self, config: pytest.Config, log: object = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False  # in the order of the collection, not by the number of tests

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)


# Sorting is stable, and the same in every worker.
def in_order(items: list[pytest.Item]) -> None:
    items.sort(key=rank)
