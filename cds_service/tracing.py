"""The trace that a call belongs to: spans for its parts, and what calls to other machines pass on.

By W3C Trace Context: a client names its trace in the header `traceparent`, and whoever is called next hears it from us.
Here is only what every part of the service needs for that; what records and sends spans is `web/traces.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol

HEADER = "traceparent"
_PARENT = re.compile(r"00-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class Trace(Protocol):
    """The trace of one call. Threads of the call share it."""

    def span(self, name: str) -> AbstractContextManager[object]:
        """A part of the call, below the part of it that is under way in this thread."""

    def traceparent(self) -> str:
        """What a call to another machine passes on just now; "" for nothing."""


@dataclass(frozen=True, slots=True)
class PassedOn:
    """A client's own trace, passed on as it came: nothing is recorded here."""

    parent: str = ""

    def span(self, name: str) -> AbstractContextManager[object]:
        return _NOT_RECORDED

    def traceparent(self) -> str:
        return self.parent


_NOT_RECORDED: AbstractContextManager[object] = nullcontext()
_NONE: Trace = PassedOn()
_CURRENT: ContextVar[Trace] = ContextVar("trace", default=_NONE)


def can_record() -> bool:
    """Is the extra installed, by which spans are recorded?"""
    return find_spec("opentelemetry") is not None and find_spec("opentelemetry.sdk") is not None


def current() -> Trace:
    """The trace of the call that this thread answers."""
    return _CURRENT.get()


def span(name: str) -> AbstractContextManager[object]:
    """A part of the present call."""
    return _CURRENT.get().span(name)


@contextmanager
def traced(trace: Trace) -> Iterator[None]:
    """While this thread answers the call of that trace."""
    before = _CURRENT.set(trace)
    try:
        yield
    finally:
        _CURRENT.reset(before)


def trace_id(parent: str) -> str:
    """The id of the trace that a `traceparent` names; "" where it is none."""
    found = _PARENT.fullmatch(parent)
    return found["trace"] if found else ""
