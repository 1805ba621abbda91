"""Tokens that were seen, remembered by the store for all processes."""

from __future__ import annotations

from .cdshooks.replay import CannotTell, SeenTokens
from .store.records import DecisionStore, StoreDown


class TokensInStore:
    """Tokens that were seen, remembered by the store for every process (item 123a).

    `otherwise` remembers in this process's memory while the store cannot tell; without it the caller hears 503.
    """

    def __init__(self, store: DecisionStore, otherwise: SeenTokens | None) -> None:
        self._store, self._otherwise = store, otherwise

    def first_time(self, issuer: str, jti: str, until: float, now: float) -> bool:
        """See `SeenTokens`. What was seen in the store's absence stays known to this process."""
        if self._otherwise is not None and not self._otherwise.first_time(issuer, jti, until, now):
            return False
        try:
            return self._store.first_time(issuer, jti, until, now)
        except StoreDown:
            if self._otherwise is None:
                raise CannotTell from None
            return True
