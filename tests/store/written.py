"""A store written by hand, line by line, so that a report of it can be reckoned on paper."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import count
from typing import Any

from sqlalchemy import Connection

from cds_service.store.tables import decision, feedback, shown


def at(day: str, hour: int = 12) -> int:
    """A moment of that day in ms since 1970."""
    return int(datetime.fromisoformat(day).replace(hour=hour, tzinfo=UTC).timestamp()) * 1000


class Written:
    """Writes decisions and feedback. What is not said is the same in all of them."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self.numbers = connection, count(1)

    def call(self, day: str, *rows: tuple[str, str, str], missing: tuple[str, ...] = (), **changed: Any) -> None:
        """One answered call; `rows` are card, row and indicator of what it showed."""
        number = str(next(self.numbers))
        told = {
            "id": number, "at": at(day), "client": "north", "service": "b12-patient-view", "hook": "patient-view",
            "hook_instance": number, "content": "1.0.0", "pathway": "uk-ng239", "label": "confirmed", "status": 200,
            "silent": False, "rows": "[]", "missing": json.dumps(missing), "ms": 1.0, "patient": "p", "user": "u",
            "evidence": "e", "key": "k",
        }  # fmt: skip
        self.connection.execute(decision.insert().values(**{**told, **changed}))
        for place, (card, row, indicator) in enumerate(rows):
            self.connection.execute(
                shown.insert().values(decision=number, place=place, card=card, row=row, indicator=indicator)
            )

    def answer(self, day: str, card: str, outcome: str, reason: str = "", **changed: Any) -> None:
        """One item of feedback; `day` is when it was received."""
        told = {
            "received": at(day), "client": "north", "card": card, "outcome": outcome, "at": None, "reason": reason,
            "reason_system": "", "commented": False, "digest": str(next(self.numbers)),
        }  # fmt: skip
        self.connection.execute(feedback.insert().values(**{**told, **changed}))
