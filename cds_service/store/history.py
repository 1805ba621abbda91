"""Feedback is stored, and read again as the history of one user and one patient: overrides and accepted orders.

Feedback is stored before it is acknowledged, and once: a client may send the same again, alone or in another batch.
What is remembered follows from feedback joined to what was shown, so it ends when either is deleted, and feedback that
came before its decision was written counts from then on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    bindparam,
    case,
    false,
    func,
    or_,
    select,
    tuple_,
)

from .pseudonyms import Keys
from .records import CallParties, FeedbackRecord, Override
from .tables import accepted, decision, feedback, offered, shown
from .writer import accepted_ids, feedback_row, insert_new


def write_feedback(connection: Connection, client: str, given: Sequence[FeedbackRecord], received: int) -> None:
    """What is not there yet, in one transaction."""
    said = {}
    for each in given:
        row = feedback_row(client, each, received)
        said[row["digest"]] = (row, accepted_ids(each))
    if not said:
        return
    # In the order of their digests: two writers that bring the same in another order must not wait for each other.
    rows = [said[digest][0] for digest in sorted(said)]
    new = insert_new(connection, feedback).returning(feedback.c.id, feedback.c.digest)
    suggestions = [
        {"feedback": made, "suggestion": suggestion}
        for made, digest in connection.execute(new, rows).all()
        for suggestion in said[digest][1]
    ]
    if suggestions:
        connection.execute(insert_new(connection, accepted), suggestions)


DAY = 86_400_000  # ms
MOST = 1_000  # answers that are looked at, the newest first
ACCEPTED = "accepted"
CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Span:
    """For how many days an override and an accepted order count; 0 is not at all."""

    override: int
    accepted: int


@dataclass(frozen=True, slots=True)
class Answered:
    """The latest answer of the user to one row of a card."""

    at: int
    outcome: str
    reason: str
    evidence: str  # digest under the key `key`
    key: str


class StoredHistory:
    """See `kept.History`."""

    known = True

    def __init__(
        self,
        who: CallParties,
        keys: Keys,
        answers: Mapping[str, tuple[Answered, ...]],
        orders: Mapping[tuple[str, str], int],
        zone: tzinfo,
    ) -> None:
        self._who, self._keys, self._answers, self._orders, self._zone = who, keys, answers, orders, zone

    def dismissed(self, row: str, evidence: str) -> Override | None:
        """The latest answer to this row on this evidence decides: accepting a card ends its override."""
        for each in self._answers.get(row, ()):
            key = self._keys.named(each.key)
            if key is not None and key.evidence(self._who, evidence) == each.evidence:
                return None if each.outcome == ACCEPTED else Override(self._day(each.at), each.reason)
        return None

    def accepted(self, kind: str, draft: str) -> date | None:
        at = self._orders.get((kind, draft))
        return None if at is None else self._day(at)

    def _day(self, at: int) -> date:
        """The calendar day of a moment in ms since 1970."""
        return datetime.fromtimestamp(at / 1000, self._zone).date()


class HistoryQuery:
    """The two look-ups by index that find everything, made once, so that their compiled form is reused."""

    def __init__(self, keys: Keys, span: Span) -> None:
        self._keys, self._span = keys, span
        self._answers, self._orders = answers_of_user(), orders_accepted()

    def __call__(self, connection: Connection, who: CallParties, now: int, zone: tzinfo = UTC) -> StoredHistory:
        """What is remembered. `now` in ms since 1970; days are those of the zone."""
        asked = {
            "client": who.client,
            "patients": [key.patient(who) for key in self._keys.all],
            "users": [key.user(who) for key in self._keys.all],
        }
        answers: Iterable[Any] = ()
        orders: Iterable[Any] = ()
        if self._span.override:
            answers = connection.execute(self._answers, {**asked, "since": now - self._span.override * DAY})
        if self._span.accepted:
            del asked["users"]
            orders = connection.execute(self._orders, {**asked, "since": now - self._span.accepted * DAY})
        return StoredHistory(who, self._keys, by_row(answers), by_order(orders), zone)


def answered_at(given: FromClause = feedback) -> ColumnElement[int]:
    """When a feedback was given: as the client says, but never later than it came."""
    told = func.coalesce(given.c.at, given.c.received)
    return case((told < given.c.received, told), else_=given.c.received)


def shown_for_patient() -> tuple[ColumnElement[bool], ...]:
    """Decisions for the patient that were sent, under whatever key the pseudonym was made, and feedback of the client
    that they were sent to: nobody else's counts."""
    return (
        decision.c.patient.in_(bindparam("patients", expanding=True)),
        decision.c.client == bindparam("client"),
        decision.c.silent == false(),
        feedback.c.client == decision.c.client,
        answered_at() >= bindparam("since", type_=BigInteger),
    )


def card_id_is_ambiguous(card: Column[str], *unlike: Column[str]) -> ColumnElement[bool]:
    """Was that card, by its id, also part of a decision that differs in one of these columns? Ids follow from the
    hookInstance, which is the client's. From one that uses it twice an answer to a card may be about either decision:
    it counts for neither, so that nobody's card is hidden by what was said of another patient."""
    other, again = decision.alias("other"), shown.alias("again")
    differs = or_(*(other.c[each.name] != each for each in unlike))
    return (
        select(again.c.card)
        .join(other, other.c.id == again.c.decision)
        .where(again.c.card == card, other.c.client == decision.c.client, differs)
        .exists()
    )


def shares_critical_card() -> ColumnElement[bool]:
    """Did the card also carry a critical row? Such a card always comes back, with all that shares it."""
    beside = shown.alias("beside")
    same_card = beside.c.decision == shown.c.decision, beside.c.card == shown.c.card
    return select(beside.c.card).where(*same_card, beside.c.indicator == CRITICAL).exists()


def answers_of_user() -> Select[Any]:
    """The user's answers to cards for the patient, the newest first."""
    at = answered_at().label("at")
    return (
        select(feedback.c.card, at, feedback.c.outcome, feedback.c.reason,
               shown.c.row, decision.c.evidence, decision.c.key)
        .select_from(decision)
        .join(shown, shown.c.decision == decision.c.id)
        .join(feedback, feedback.c.card == shown.c.card)
        .where(*shown_for_patient(), decision.c.user.in_(bindparam("users", expanding=True)))
        .where(~card_id_is_ambiguous(shown.c.card, decision.c.patient, decision.c.user, decision.c.evidence))
        .where(~shares_critical_card())
        .order_by(at.desc(), feedback.c.id.desc())
        .limit(MOST)
    )  # fmt: skip


def orders_accepted() -> Select[Any]:
    """Suggestions for the patient that anybody accepted, the newest first, unless the card was overridden later."""
    at = answered_at().label("at")
    later = feedback.alias("later")
    overridden_later = (
        select(later.c.id)
        .where(later.c.client == feedback.c.client, later.c.card == feedback.c.card, later.c.outcome != ACCEPTED)
        .where(tuple_(answered_at(later), later.c.id) > tuple_(answered_at(), feedback.c.id))
        .exists()
    )
    return (
        select(offered.c.kind, offered.c.draft, at)
        .select_from(decision)
        .join(offered, offered.c.decision == decision.c.id)
        .join(accepted, accepted.c.suggestion == offered.c.suggestion)
        .join(feedback, feedback.c.id == accepted.c.feedback)
        .where(*shown_for_patient(), feedback.c.outcome == ACCEPTED, ~overridden_later)
        .where(~card_id_is_ambiguous(offered.c.card, decision.c.patient))
        .order_by(at.desc())
        .limit(MOST)
    )


def by_row(found: Iterable[Any]) -> dict[str, tuple[Answered, ...]]:
    """By row, the newest first; of each card only the latest answer."""
    answers: dict[str, list[Answered]] = {}
    seen: set[tuple[str, str]] = set()
    for each in found:
        if (each.row, each.card) not in seen:
            seen.add((each.row, each.card))
            answer = Answered(each.at, each.outcome, each.reason, each.evidence, each.key)
            answers.setdefault(each.row, []).append(answer)
    return {row: tuple(answered) for row, answered in answers.items()}


def by_order(found: Iterable[Any]) -> dict[tuple[str, str], int]:
    """The latest moment of each order."""
    orders: dict[tuple[str, str], int] = {}
    for each in found:
        orders.setdefault((each.kind, each.draft), each.at)
    return orders
