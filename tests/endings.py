"""How what a test has begun comes to its end: an application with its store, threads that are waited for, and the look
for threads that were left behind. With them the traces of a run that hangs would say nothing."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

from flask import Flask

from cds_service.web.health import END

PATIENCE = 5.0  # seconds for threads that are about to end
LATE = 15.0  # seconds by which a busy machine may be late
SOON = 60.0  # seconds: long enough for a busy machine


@contextmanager
def ended(app: Flask) -> Iterator[Flask]:
    """An application whose process answers its last call at the end of the block: its store, if it has one, is closed
    then. It may be called again later, and ended again."""
    try:
        yield app
    finally:
        app.extensions[END]()


def left_behind(before: Iterable[threading.Thread], seconds: float = PATIENCE) -> list[str]:
    """The names of threads that are still there and were not before, and what they are at."""
    known, latest = {*before}, time.monotonic() + seconds
    while left := [each for each in threading.enumerate() if each not in known]:
        if time.monotonic() > latest:
            break
        time.sleep(0.02)
    frames = sys._current_frames()
    return sorted(f"{each.name} ({where(frames.get(each.ident))})" for each in left)


def where(frame: FrameType | None) -> str:
    """The function in which a thread is, with those that called it."""
    return " < ".join(f"{each.name}:{each.lineno}" for each in reversed(traceback.extract_stack(frame)[-4:]))


def until(done: Callable[[], object], seconds: float = SOON) -> None:
    """Wait until that is so; it must be within the time."""
    latest = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < latest, "it takes too long"
        time.sleep(0.01)


def all_ended(threads: Iterable[threading.Thread], seconds: float = SOON) -> None:
    """Wait for threads; they must have ended by then."""
    latest = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(latest - time.monotonic(), 0))
        assert not thread.is_alive(), f"thread {thread.name} does not end"
