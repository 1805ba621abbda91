"""Fetches that run side by side, a few at a time, each waited for until its own deadline.

The threads belong to one hook call: a server that hangs holds back nobody else. They end by themselves, for a fetch
ends at its deadline; they are daemons, so that one that does not (a name server that never answers) cannot keep the
process from stopping. What comes back is taken in the caller's thread, one by one: nothing is shared.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TypeAlias

from cds_service.fetching import Fetch, FetchFailed

AT_ONCE = 16
LATE = "no answer in time"


@dataclass(frozen=True, slots=True, eq=False)
class Errand:
    """One fetch, and what is done with its result: `take` gives further errands, or None to stop everything."""

    url: str
    deadline: float  # monotonic
    take: Callable[[bytes | FetchFailed], Iterable[Errand] | None]


Results: TypeAlias = "SimpleQueue[tuple[Errand, bytes | Exception]]"


def run(fetch: Fetch, errands: Iterable[Errand]) -> None:
    """Run the errands, and those that follow from them, in their order."""
    waiting = deque(errands)
    running: set[Errand] = set()
    results: Results = SimpleQueue()
    while waiting or running:
        late = _start(fetch, waiting, running, results)
        errand, result = (late, FetchFailed(LATE)) if late else _next(running, results)
        running.discard(errand)
        further = errand.take(result)
        if further is None:
            return
        waiting.extend(further)


def _start(fetch: Fetch, waiting: deque[Errand], running: set[Errand], results: Results) -> Errand | None:
    """Start what there is a thread for. An errand that is too late before it starts is given back."""
    while waiting and len(running) < AT_ONCE:
        errand = waiting.popleft()
        if errand.deadline <= time.monotonic():
            return errand
        running.add(errand)
        threading.Thread(target=_do, args=(fetch, errand, results), name="fhir-fetch", daemon=True).start()
    return None


def _do(fetch: Fetch, errand: Errand, results: Results) -> None:
    try:
        results.put((errand, fetch(errand.url, errand.deadline)))
    except Exception as error:  # noqa: BLE001  (raised again in the thread of the call)
        results.put((errand, error))


def _next(running: set[Errand], results: Results) -> tuple[Errand, bytes | FetchFailed]:
    """The next result, or the first errand that is not back at its deadline. A fault of our own is raised here."""
    while True:
        first = min(running, key=lambda errand: errand.deadline)
        try:
            errand, result = results.get(timeout=max(first.deadline - time.monotonic(), 0))
        except Empty:
            return first, FetchFailed(LATE)
        if errand not in running:  # given up before
            continue
        if isinstance(result, bytes | FetchFailed):
            return errand, result
        raise result
