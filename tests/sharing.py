"""How a run is shared among pytest-xdist's workers: a file of tests stays whole, and so does what shares one server.

Each page in the browser is a unit of its own: there are many, and each worker has its browser anyway.

Files that share a server (a session's HAPI, PostgreSQL, or built image) go to one worker, so that it is started once.
What takes long is begun first, so that no worker is left with it at the end; and what waits for programs is handed out
in turn with what computes, so that the processor has something to do while a worker waits.
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
    "tests/deploy/test_lock": "image",
    "tests/deploy/test_together": "image",
}
PAGE = re.compile(r"tests/browser/test_every_page\.py::\w+\[.+\]$")
# What waits, for servers that start and for time that must pass: begun first, the longest before the others.
WAITING = (
    "tests/contract/", "tests/cql/", "tests/store/", "tests/load/", "tests/hooks/test_cli_serve",
    "tests/hooks/test_slow_base", "tests/hooks/test_observed_overload", "tests/smart/", "tests/watch/",
    "tests/recipes/", "tests/hooks/test_clients_serve", "tests/deploy/test_gunicorn",
)  # fmt: skip
# What computes, the longest first.
COMPUTING = (
    "tests/deploy/test_image", "tests/deploy/test_together", "tests/packaging/test_commands", "tests/population/",
    "tests/packaging/test_house_rules", "tests/cards/test_tightness", "tests/hooks/test_scaling", "tests/browser/",
    "tests/hooks/test_observed_openapi", "tests/cards/test_overlay_check", "tests/pages/test_studio",
    "tests/docs/test_console", "tests/clinical/test_rules", "tests/pages/test_charts",
    "tests/clinical/test_tables_are_total", "tests/law/",
    "tests/hooks/test_checklist_answers", "tests/hostile/", "tests/bench/",
)  # fmt: skip


def unit(nodeid: str) -> str:
    """What is run by one worker, in one piece: a shared server's tests, or a file."""
    if PAGE.search(nodeid):
        return nodeid
    file = nodeid.partition("::")[0]
    return next((shared for part, shared in SHARED.items() if part in file), file)


def place(nodeid: str, parts: tuple[str, ...]) -> int | None:
    return next((at for at, part in enumerate(parts) if part in nodeid), None)


def rank(item: pytest.Item) -> float:
    """The place of a test's unit in the order of the run; the rest keep the order of their paths.

    The two lists in turn: one that waits, one that computes.
    """
    if (waits := place(item.nodeid, WAITING)) is not None:
        return waits
    computes = place(item.nodeid, COMPUTING)
    return len(WAITING) + len(COMPUTING) if computes is None else computes + 0.5


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
