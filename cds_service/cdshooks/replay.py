"""A token is good once (checklist items 123, 123a): which `jti` an issuer has sent already. Time is given."""

from __future__ import annotations

import heapq
import threading
from hashlib import blake2b
from typing import Protocol

MOST = 100_000  # tokens remembered of one issuer: more than its rate and the longest life allow in practice


class CannotTell(Exception):
    """Whether a token was seen cannot be told just now: the call is not answered, rather than answered twice."""


class SeenTokens(Protocol):
    """What remembers tokens: one process's memory, or a store that several share."""

    def first_time(self, issuer: str, jti: str, until: float, now: float) -> bool:
        """Note this token until `until` (seconds since 1970), atomically; False if it was noted before."""


class MemoryOfTokens:
    """Remembers in this process alone: a restart forgets, and no other process knows."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[set[bytes], list[tuple[float, bytes]]]] = {}

    def first_time(self, issuer: str, jti: str, until: float, now: float) -> bool:
        """Each issuer has its own room: one that sends too many shuts out nobody else."""
        name = blake2b(jti.encode(errors="surrogatepass"), digest_size=16).digest()
        with self._lock:
            names, by_end = self._seen.setdefault(issuer, (set(), []))
            while by_end and by_end[0][0] < now:
                names.discard(heapq.heappop(by_end)[1])
            if name in names:
                return False
            if len(names) >= self._most:
                raise CannotTell
            names.add(name)
            heapq.heappush(by_end, (until, name))
            return True
