"""Feedback is stored, and with it what a later call looks up: which cards a user overrode, which orders were accepted.

Feedback is stored before it is acknowledged, and once: a client may send the same again, alone or in another batch. In
the same transaction it is brought together with the card that it is about, into the table `history`, so that a look-up
reads one index and does not grow with what the patient's history holds. Feedback that came before its decision was
written counts from then on (`catch_up`, after each batch of decisions).

An answer to a card counts only where it can be about one decision: of one patient, one user, on one evidence. A card
with a critical row always comes back, with all that shares it. An order that was accepted stays accepted, also where
the card is closed afterwards; what overrides rows is the latest answer to a card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, and_, case, delete, exists, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql.dml import Insert as PostgresInsert
from sqlalchemy.dialects.sqlite.dml import Insert as SqliteInsert

from .pseudonyms import Key, Keys
from .records import CallParties, FeedbackRecord, Override
from .rows import accepted_ids, feedback_row, insert_new, insert_of
from .tables import accepted, card, feedback, history, offered, shown

DAY = 86_400_000  # ms
MOST = 500  # rows that a look-up reads of one user, and orders of one patient, the newest first
MOST_EARLIER = 200  # feedback that waited for the decisions of one batch
ACCEPTED, OVERRIDDEN = "accepted", "overridden"
ROW, ORDER = "row", "order"
Line = dict[str, Any]  # a row of the table `history`


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
    """See `records.History`."""

    known = True

    def __init__(
        self,
        who: CallParties,
        keys: Keys,
        rows: Mapping[str, Sequence[Answered]],
        orders: Mapping[str, int],
        zone: tzinfo,
    ) -> None:
        self._who, self._keys, self._rows, self._orders, self._zone = who, keys, rows, orders, zone

    def dismissed(self, row: str, evidence: str) -> Override | None:
        """The latest answer to this row on this evidence decides: accepting a card ends its override."""
        for each in self._rows.get(row, ()):
            key = self._keys.named(each.key)
            if key is not None and key.evidence(self._who, evidence) == each.evidence:
                return None if each.outcome == ACCEPTED else Override(self._day(each.at), each.reason)
        return None

    def accepted(self, kind: str, draft: str) -> date | None:
        at = self._orders.get(f"{kind}:{draft}")
        return None if at is None else self._day(at)

    def _day(self, at: int) -> date:
        """The calendar day of a moment in ms since 1970."""
        return datetime.fromtimestamp(at / 1000, self._zone).date()


class HistoryQuery:
    """The look-up of what is remembered of one user and one patient."""

    def __init__(self, keys: Keys, span: Span) -> None:
        self._keys, self._span = keys, span

    def __call__(self, connection: Connection, who: CallParties, now: int, zone: tzinfo = UTC) -> StoredHistory:
        """What is remembered. `now` in ms since 1970; days are those of the zone."""
        rows: dict[str, list[Answered]] = {}
        orders: dict[str, int] = {}
        for key in self._keys.all:
            for each in self._rows_of(connection, key, who, now):
                rows.setdefault(each.name, []).append(
                    Answered(each.at, each.outcome, each.reason, each.evidence, each.key)
                )
            for each in self._orders_of(connection, key, who, now):
                orders[each.name] = max(each.at, orders.get(each.name, each.at))
        for answered in rows.values():
            answered.sort(key=lambda each: each.at, reverse=True)  # stable: of one moment the newest feedback first
        return StoredHistory(who, self._keys, rows, orders, zone)

    def _rows_of(self, connection: Connection, key: Key, who: CallParties, now: int) -> Sequence[Any]:
        if not self._span.override:
            return ()
        newest = (
            select(history.c.name, history.c.at, history.c.outcome, history.c.reason, history.c.evidence, history.c.key)
            .where(history.c.patient == key.patient(who), history.c.user == key.user(who), history.c.kind == ROW)
            .where(history.c.at >= now - self._span.override * DAY)
            .order_by(history.c.at.desc(), history.c.feedback.desc())
            .limit(MOST)
        )
        return connection.execute(newest).all()

    def _orders_of(self, connection: Connection, key: Key, who: CallParties, now: int) -> Sequence[Any]:
        if not self._span.accepted:
            return ()
        newest = (
            select(history.c.name, history.c.at)
            .where(history.c.patient == key.patient(who), history.c.kind == ORDER)
            .where(history.c.at >= now - self._span.accepted * DAY)
            .order_by(history.c.at.desc())
            .limit(MOST)
        )
        return connection.execute(newest).all()


def write_feedback(
    connection: Connection, client: str, given: Sequence[FeedbackRecord], key: Key, at: int
) -> list[int]:
    """Store what is not there yet, received `at`; the ids of that whose card is not known (yet)."""
    told = {}
    for each in given:
        row = feedback_row(client, each, key, at)
        told[row["digest"]] = (row, accepted_ids(each, key))
    if not told:
        return []
    # In the order of their digests: two writers that bring the same in another order must not wait for each other.
    rows = [told[digest][0] for digest in sorted(told)]
    new = insert_new(connection, feedback).returning(feedback.c.id, feedback.c.digest)
    made = {digest: number for number, digest in connection.execute(new, rows).all()}
    suggestions = [
        {"feedback": number, "suggestion": suggestion}
        for digest, number in made.items()
        for suggestion in told[digest][1]
    ]
    if suggestions:
        connection.execute(insert_new(connection, accepted), suggestions)
    return note_answers(connection, [*made.values()])


def note_answers(connection: Connection, ids: Sequence[int]) -> list[int]:
    """Bring feedback, by its ids, into the history; the ids of that whose card is not known (yet)."""
    if not ids:
        return []
    answers = answers_to_cards(connection, ids)
    lines = [*row_lines(connection, answers), *order_lines(connection, ids)]
    lines.sort(
        key=lambda line: (line["client"], line["card"], line["kind"], line["name"], line["at"], line["feedback"])
    )
    if lines:
        connection.execute(upsert(connection), lines)
    return sorted({*ids} - {each["feedback"] for each in answers})


def answered_at(given: FromClause = feedback) -> ColumnElement[int]:
    """When a feedback was given: as the client says, but never later than it came."""
    told = func.coalesce(given.c.at, given.c.received)
    return case((told < given.c.received, told), else_=given.c.received)


def answers_to_cards(connection: Connection, ids: Sequence[int]) -> list[Line]:
    """The feedback of these ids with the cards that it is about; those cards stay as they are until we have done."""
    found = (
        select(feedback.c.id.label("feedback"), feedback.c.outcome, feedback.c.reason, answered_at().label("at"), card)
        .join(card, and_(card.c.client == feedback.c.client, card.c.card == feedback.c.card))
        .where(feedback.c.id.in_(ids))
        .order_by(card.c.client, card.c.card, feedback.c.id)
        .with_for_update(of=card)
    )
    return [dict(each) for each in connection.execute(found).mappings()]


def row_lines(connection: Connection, answers: Sequence[Line]) -> list[Line]:
    """What answers say of the rows that their cards showed."""
    telling = [each for each in answers if not (each["other_call"] or each["critical"])]
    if not telling:
        return []
    which = tuple_(shown.c.decision, shown.c.card).in_([(each["decision"], each["card"]) for each in telling])
    rows: dict[str, set[str]] = {}
    for name, row in connection.execute(select(shown.c.card, shown.c.row).where(which)):
        rows.setdefault(name, set()).add(row)
    return [line(each, ROW, row, each) for each in telling for row in rows.get(each["card"], ())]


def order_lines(connection: Connection, ids: Sequence[int]) -> list[Line]:
    """The orders that feedback accepts: by the suggestion's id, whatever card the feedback names."""
    given = (
        select(feedback.c.id.label("feedback"), feedback.c.client, feedback.c.outcome, feedback.c.reason,
               answered_at().label("at"), accepted.c.suggestion)
        .join(accepted, accepted.c.feedback == feedback.c.id)
        .where(feedback.c.id.in_(ids), feedback.c.outcome == ACCEPTED)
    )  # fmt: skip
    lines = []
    for answer in connection.execute(given).mappings().all():
        of_suggestion = select(offered.c.card, offered.c.kind, offered.c.draft)
        what = connection.execute(of_suggestion.where(offered.c.suggestion == answer["suggestion"]).limit(1)).first()
        if what is None:
            continue
        of_card = select(card).where(card.c.client == answer["client"], card.c.card == what.card, ~card.c.other_patient)
        sent = connection.execute(of_card).mappings().first()
        if sent is not None:
            lines.append(line(sent, ORDER, f"{what.kind}:{what.draft}", answer))
    return lines


def line(sent: Mapping[Any, Any], kind: str, name: str, answer: Mapping[Any, Any]) -> Line:
    """A row of the history: what a card was about, and what was said to it."""
    about = ("client", "card", "patient", "user", "evidence", "key", "decision")
    return {
        **{each: sent[each] for each in about},
        **{each: answer[each] for each in ("outcome", "reason", "at", "feedback")},
        "kind": kind,
        "name": name,
    }


def upsert(connection: Connection) -> SqliteInsert | PostgresInsert:
    """Insert a line, or replace an earlier answer to the same. What closes a card that was accepted, without a reason,
    is no override of it."""
    insert = insert_of(connection, history)
    new = insert.excluded
    is_newer = tuple_(new["at"], new["feedback"]) >= tuple_(history.c.at, history.c.feedback)
    only_closes = and_(history.c.outcome == ACCEPTED, new["outcome"] == OVERRIDDEN, new["reason"] == "")
    changed = ("evidence", "key", "user", "patient", "outcome", "reason", "at", "feedback", "decision")
    return insert.on_conflict_do_update(
        index_elements=[*history.primary_key.columns],
        set_={name: new[name] for name in changed},
        where=and_(is_newer, ~only_closes),
    )


def catch_up(connection: Connection, cards: Sequence[tuple[str, str]]) -> None:
    """After decisions were written that sent these cards (client, id): take back what was said of one that turned out
    to be of several decisions, and note feedback that came before its decision."""
    if not cards:
        return
    withdraw(connection, cards)
    same_card = and_(history.c.client == feedback.c.client, history.c.card == feedback.c.card)
    earlier = (
        select(feedback.c.id)
        .where(feedback.c.card.in_(sorted({name for _, name in cards})))
        .where(~exists().where(same_card))
        .order_by(feedback.c.id.desc())
        .limit(MOST_EARLIER)
    )
    note_answers(connection, [*connection.scalars(earlier)])


def withdraw(connection: Connection, cards: Sequence[tuple[str, str]]) -> None:
    """Take back what was said of cards of which it is not known any more which decision was meant."""
    doubtful = or_(card.c.other_call, card.c.critical)
    flagged = select(card.c.client, card.c.card, card.c.other_patient).where(
        tuple_(card.c.client, card.c.card).in_(cards), doubtful
    )
    for each in connection.execute(flagged).all():
        which = and_(history.c.client == each.client, history.c.card == each.card)
        kind = history.c.kind.in_([ROW, ORDER] if each.other_patient else [ROW])
        connection.execute(delete(history).where(which, kind))
