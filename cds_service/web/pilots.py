"""Pilots in silent mode: which clients get no card, until when, and what an operator is told of it.

A pilot is of limited length. After its last day (`silent_until`) the client is answered like any other, without
anybody's doing; so it is said beforehand, at every start and by /readyz, and afterwards that it is so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from ..evaluate import ClientConfig


@dataclass(frozen=True, slots=True)
class Pilot:
    """A client that is silent by clients.toml. `until` is its last day; None: nobody has said."""

    client: str
    until: date | None
    ended: bool

    @property
    def remark(self) -> str:
        """One line for the operator."""
        if self.ended:
            over = f"client {self.client}: silent mode ended with {self.until}, its cards are sent"
            return f"{over}; take mode and silent_until out of clients.toml, or give another day"
        until = f" until {self.until}, from the next day on they are" if self.until else ""
        without = "" if self.until else "; a pilot has an end: silent_until = 2027-01-31, for example"
        return f"client {self.client}: silent mode, no card is sent{until}{without}"


def pilots(clients: Iterable[ClientConfig], now: datetime) -> tuple[Pilot, ...]:
    """The pilots among them, also those that have ended."""
    return tuple(Pilot(each.name, each.silent_until, each.pilot_ended(now)) for each in clients if each.silent)
