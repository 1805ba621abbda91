"""How many calls one process answers at once. One more is told at once to come again, instead of waiting past its time.

There are more threads (server.py) than places here: one is always left that can say so, or that the service is alive.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .errors import Refused

AT_ONCE = 36
LONGEST_WAIT = 1.0  # seconds for a thread; a call that has waited longer would be answered too late
WAITED = "b12_cds.waited"  # in the WSGI environment: the seconds that the request waited for a thread
BUSY = "the service is busy; come again soon"
COME_AGAIN = "1"  # seconds


class Room:
    """The places for calls. One per process; threads share it."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._places = threading.BoundedSemaphore(at_once)

    @contextmanager
    def place(self, environ: Mapping[str, Any]) -> Iterator[None]:
        """A place for one call; Refused with 503 where there is none, or where it has waited too long for a thread."""
        if environ.get(WAITED, 0.0) > LONGEST_WAIT or not self._places.acquire(blocking=False):
            raise Refused(503, BUSY, headers={"Retry-After": COME_AGAIN})
        try:
            yield
        finally:
            self._places.release()
