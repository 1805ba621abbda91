"""How many calls are with each FHIR server at once: a server that hangs must leave threads for everybody else.

A call waits in one of the process's threads (server.py says how many). Without a limit one FHIR server that hangs would
soon hold them all, and calls that need no server would wait behind it. So beyond a number of calls with one server, and
one with all servers, nothing more is read: the keys are missing at once, which is reported as missing data. When
several servers hang together they fill the number for all; then each other server still has a few calls of its own.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from ..fetching import Fetch, FetchFailed
from .addresses import parse_base

AT_ONE = 12  # calls with one FHIR server, in one process
IN_ALL = 24  # calls with all of them
EACH = 2  # calls that a server may have beyond that
AT_MOST = 32  # calls with all of them, whatever happens: less than are answered at once (web/calls.py)
FULL = "too many calls wait for FHIR servers already"


class ConcurrencyLimits:
    """The calls that are with FHIR servers just now. One per process; threads share it."""

    def __init__(self, at_one: int = AT_ONE, in_all: int = IN_ALL, each: int = EACH, at_most: int = AT_MOST) -> None:
        self._at_one, self._in_all, self._each, self._at_most = at_one, in_all, each, at_most
        self._lock = threading.Lock()
        self._inside: Counter[str] = Counter()  # by origin

    @contextmanager
    def admit(self, base: str, fetch: Fetch | None) -> Iterator[Fetch | None]:
        """`fetch` for the time of one call with the server at `base`; None stays None.

        The call counts from its first fetch on. Beyond the limit each of its fetches fails at once.
        """
        if fetch is None:
            yield None
            return
        admission = _Admission(self, parse_base(base).origin, fetch)
        try:
            yield admission.fetch
        finally:
            admission.leave()

    def enter(self, origin: str) -> bool:
        """Whether one more call was within the limit."""
        with self._lock:
            inside, total = self._inside[origin], self._inside.total()
            if inside >= self._at_one or total >= (self._in_all if inside >= self._each else self._at_most):
                return False
            self._inside[origin] += 1
            return True

    def leave(self, origin: str) -> None:
        with self._lock:
            self._inside[origin] -= 1
            if not self._inside[origin]:
                del self._inside[origin]


class _Admission:
    """One call's access to one server. Its fetches run concurrently, so the first one is found under a lock."""

    def __init__(self, limits: ConcurrencyLimits, origin: str, fetch: Fetch) -> None:
        self._limits, self._origin, self._fetch = limits, origin, fetch
        self._lock = threading.Lock()
        self._admitted: bool | None = None  # None: nothing was fetched yet

    def fetch(self, target: str, deadline: float) -> bytes:
        with self._lock:
            if self._admitted is None:
                self._admitted = self._limits.enter(self._origin)
        if not self._admitted:
            raise FetchFailed(FULL)
        return self._fetch(target, deadline)

    def leave(self) -> None:
        with self._lock:
            if self._admitted:
                self._limits.leave(self._origin)
            self._admitted = False  # what still runs after the answer fetches nothing more
