"""What one call may cost, and what all calls of a process may hold at once: bodies, and the memory of decoding them.

The cost of a text is estimated before it is decoded: a short text can hold a million empty objects. The estimate is an
upper one (measured with CPython 3.11 and msgspec 0.22): a real record costs a third of it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

MEGABYTE = 1_000_000
LARGEST_BODY = 30 * MEGABYTE  # real inpatients reach 8 MB
PER_BYTE = 4  # bytes of memory for each byte of a text: the text itself, and the texts in it
PER_OBJECT = 600  # for each object: an empty resource takes 690, most others take less
PER_ENTRY = 60  # for each entry of a list
FACTOR = 18  # what all calls together may hold, in largest bodies: one real record of that size, decoded


def memory_of(text: bytes) -> int:
    """The memory in bytes that decoding a JSON text may take, by what can be counted unread."""
    return PER_BYTE * len(text) + PER_OBJECT * occurrences(text, b"{") + PER_ENTRY * occurrences(text, b",")


def occurrences(text: bytes, byte: bytes) -> int:
    """How often a byte occurs. Before Python 3.13 `count` looks at one byte at a time, and leaving it out is faster."""
    return len(text) - len(text.replace(byte, b""))


class TooCostly(Exception):
    """More than one call may cost, whatever else goes on."""


class OutOfTime(Exception):
    """A record could not be read in the time of its call."""


class TooMuchHeld(Exception):
    """The other calls hold too much just now."""


class MemoryLimit:
    """The memory that the calls of one process may hold together. Threads share it."""

    def __init__(self, largest_body: int = LARGEST_BODY) -> None:
        self.largest_body = largest_body
        self.most = FACTOR * largest_body
        self._lock = threading.Lock()
        self._held = 0

    @contextmanager
    def call(self) -> Iterator[HeldMemory]:
        """What one call holds, until it is answered."""
        held = HeldMemory(self)
        try:
            yield held
        finally:
            self.change(-held.amount)

    def change(self, by: int) -> None:
        """Hold more, or less; TooMuchHeld where there is not so much."""
        with self._lock:
            if by > 0 and self._held + by > self.most:
                raise TooMuchHeld
            self._held += by


class HeldMemory:
    """The memory that one call holds. Its threads share it."""

    def __init__(self, limit: MemoryLimit) -> None:
        self.limit, self.amount = limit, 0
        self._lock = threading.Lock()

    def hold(self, amount: int) -> None:
        """Hold that much more; TooCostly where no call may hold so much, TooMuchHeld where others do just now."""
        with self._lock:
            if self.amount + amount > self.limit.most:
                raise TooCostly
            self.limit.change(amount)
            self.amount += amount
