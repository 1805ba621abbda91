"""POST /cds-services/{id}/feedback: what users did with our cards (checklist items 107 to 116).

It is stored before it is acknowledged: what cannot be stored is 503, so that the client sends it again. Whether a card
is known is not asked: feedback may arrive before the decision is written, and an unknown card is for the report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import Response
from structlog.typing import FilteringBoundLogger

from ..cdshooks.feedback import Feedback, read_feedback
from ..cdshooks.messages import BadRequest
from ..evaluate import milliseconds
from ..store.records import DecisionStore, FeedbackRecord, StoreDown
from .bodies import read_body
from .errors import JSON, Refused

NOT_KEPT = "feedback is not kept here: this service runs without a store"
NOT_STORED = "the feedback could not be stored; send it again later"
COME_AGAIN = "60"  # seconds
MOST_LOGGED = 10  # card ids of one batch


def uncounted(_client: str, _outcomes: Iterable[str]) -> None:
    """Nobody counts."""


@dataclass(frozen=True, slots=True)
class FeedbackDesk:
    """Takes feedback. `store` is None where nothing is kept."""

    store: DecisionStore | None
    clock: Callable[[], datetime]
    log: FilteringBoundLogger
    count: Callable[[str, Iterable[str]], None] = uncounted  # of a client, the outcomes: for the metrics

    def take(self, service: str, client: str) -> Response:
        """The answer to the present request, of a client that is known, about cards of that service."""
        if self.store is None:
            raise Refused(404, NOT_KEPT)
        self.taken(read_body(), service, client)
        return Response(b"{}", 200, {"Cache-Control": "no-store"}, content_type=JSON)

    def taken(self, body: bytes, service: str, client: str) -> None:
        """Store the feedback in that body; Refused says why it cannot be."""
        if self.store is None:
            raise Refused(404, NOT_KEPT)
        now = self.clock()
        try:
            given = read_feedback(body, now)
        except BadRequest as error:
            raise Refused(400, faults=error.faults) from None
        try:
            self.store.save_feedback(client, list(dict.fromkeys(map(kept, given))), milliseconds(now))
        except StoreDown as error:
            self.log.error("feedback not stored", client=client, service=service, items=len(given), why=error.why)
            raise Refused(503, NOT_STORED, headers={"Retry-After": COME_AGAIN}) from None
        self.count(client, [each.outcome for each in given])
        self.note(service, client, given)

    def note(self, service: str, client: str, given: Sequence[Feedback]) -> None:
        """One line in the log. A card's id says nothing of a patient, and what was no id of ours is hashed."""
        outcomes = Counter(each.outcome for each in given)
        self.log.info(
            "feedback",
            client=client,
            service=service,
            accepted=outcomes["accepted"],
            overridden=outcomes["overridden"],
            commented=sum(each.commented for each in given),
            cards=list(dict.fromkeys(each.card for each in given))[:MOST_LOGGED],
            odd=dict(sorted(Counter(name for each in given for name in each.odd).items())),
        )


def kept(told: Feedback) -> FeedbackRecord:
    """Feedback in the words of the store."""
    return FeedbackRecord(
        card=told.card,
        outcome=told.outcome,
        at=told.at,
        accepted=told.accepted,
        reason=told.reason,
        reason_system=told.reason_system,
        commented=told.commented,
    )
