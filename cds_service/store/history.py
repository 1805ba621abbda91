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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    or_,
    select,
    tuple_,
)
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
Name = TypeVar("Name", str, tuple[str, str])
Line = dict[str, Any]  # a row of the table `history`


def answered_at(given: FromClause = feedback) -> ColumnElement[int]:
    """When a feedback was given: as the client says, but never later than it came."""
    said = func.coalesce(given.c.at, given.c.received)
    return case((said < given.c.received, said), else_=given.c.received)


# The statements, made once: a database's compiled form of each is then kept.
ROWS_OF_USER = (
    select(history.c.name, history.c.at, history.c.outcome, history.c.reason, history.c.evidence, history.c.key)
    .where(history.c.patient == bindparam("patient"), history.c.user == bindparam("user"), history.c.kind == ROW)
    .where(history.c.at >= bindparam("since"))
    .order_by(history.c.at.desc(), history.c.feedback.desc())
    .limit(MOST)
)
ORDERS_OF_PATIENT = (
    select(history.c.name, history.c.at)
    .where(history.c.patient == bindparam("patient"), history.c.kind == ORDER)
    .where(history.c.at >= bindparam("since"))
    .order_by(history.c.at.desc())
    .limit(MOST)
)
ANSWERS = (
    select(feedback.c.id.label("feedback"), feedback.c.outcome, feedback.c.reason, answered_at().label("at"), card)
    .join(card, and_(card.c.client == feedback.c.client, card.c.card == feedback.c.card))
    .where(feedback.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(card.c.client, card.c.card, feedback.c.id)
    .with_for_update(of=card)
)
ROWS_SHOWN = select(shown.c.decision, shown.c.card, shown.c.row).where(
    shown.c.decision.in_(bindparam("decisions", expanding=True))
)
ACCEPTANCES = (
    select(feedback.c.id.label("feedback"), feedback.c.client, feedback.c.outcome, feedback.c.reason,
           answered_at().label("at"), accepted.c.suggestion)
    .join(accepted, accepted.c.feedback == feedback.c.id)
    .where(feedback.c.id.in_(bindparam("ids", expanding=True)), feedback.c.outcome == ACCEPTED)
)  # fmt: skip
OFFERS = (
    select(offered.c.suggestion, offered.c.card, offered.c.kind, offered.c.draft)
    .where(offered.c.suggestion.in_(bindparam("suggestions", expanding=True)))
    .order_by(offered.c.decision, offered.c.place)
)
CARDS_OF_ONE_PATIENT = select(card).where(
    tuple_(card.c.client, card.c.card).in_(bindparam("cards", expanding=True)), ~card.c.other_patient
)
FEEDBACK_WITHOUT_HISTORY = (
    select(feedback.c.id)
    .where(feedback.c.card.in_(bindparam("names", expanding=True)))
    .where(~exists().where(history.c.client == feedback.c.client, history.c.card == feedback.c.card))
    .order_by(feedback.c.id.desc())
    .limit(MOST_EARLIER)
)
DOUBTFUL = select(card.c.client, card.c.card, card.c.other_patient).where(
    tuple_(card.c.client, card.c.card).in_(bindparam("cards", expanding=True)), or_(card.c.other_call, card.c.critical)
)


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
            key = self._keys.find(each.key)
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
            asked = {"patient": key.patient(who), "user": key.user(who)}
            if self._span.override:
                since = now - self._span.override * DAY
                for each in connection.execute(ROWS_OF_USER, {**asked, "since": since}).all():
                    answered = Answered(each.at, each.outcome, each.reason, each.evidence, each.key)
                    rows.setdefault(each.name, []).append(answered)
            if self._span.accepted:
                del asked["user"]
                since = now - self._span.accepted * DAY
                for name, at in connection.execute(ORDERS_OF_PATIENT, {**asked, "since": since}).all():
                    orders[name] = max(at, orders.get(name, at))
        for found in rows.values():
            found.sort(key=lambda each: each.at, reverse=True)  # stable: of one moment the newest feedback first
        return StoredHistory(who, self._keys, rows, orders, zone)


def write_feedback(
    connection: Connection, client: str, given: Sequence[FeedbackRecord], key: Key, at: int
) -> list[int]:
    """Store what is not there yet, received `at`; the ids of that whose card is not known (yet)."""
    by_digest = {}
    for each in given:
        row = feedback_row(client, each, key, at)
        by_digest[row["digest"]] = (row, accepted_ids(each, key))
    if not by_digest:
        return []
    # In the order of their digests: two writers that bring the same in another order must not wait for each other.
    rows = [by_digest[digest][0] for digest in sorted(by_digest)]
    new = insert_new(connection.dialect.name, feedback).returning(feedback.c.id, feedback.c.digest)
    made = {digest: number for number, digest in connection.execute(new, rows).all()}
    suggestions = [
        {"feedback": number, "suggestion": suggestion}
        for digest, number in made.items()
        for suggestion in by_digest[digest][1]
    ]
    if suggestions:
        connection.execute(insert_new(connection.dialect.name, accepted), suggestions)
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
        connection.execute(upsert(connection.dialect.name), lines)
    return sorted({*ids} - {each["feedback"] for each in answers})


def answers_to_cards(connection: Connection, ids: Sequence[int]) -> list[Line]:
    """The feedback of these ids with the cards that it is about; those cards stay as they are until we have done."""
    return [dict(each) for each in connection.execute(ANSWERS, {"ids": ids}).mappings()]


def row_lines(connection: Connection, answers: Sequence[Line]) -> list[Line]:
    """What answers say of the rows that their cards showed."""
    telling = [each for each in answers if not (each["other_call"] or each["critical"])]
    if not telling:
        return []
    rows: dict[tuple[str, str], set[str]] = {}
    decisions = list({each["decision"] for each in telling})
    for decision, name, row in connection.execute(ROWS_SHOWN, {"decisions": decisions}):
        rows.setdefault((decision, name), set()).add(row)
    return [line(each, ROW, row, each) for each in telling for row in rows.get((each["decision"], each["card"]), ())]


def order_lines(connection: Connection, ids: Sequence[int]) -> list[Line]:
    """The orders that feedback accepts: by the suggestion's id, whatever card the feedback names."""
    answers = connection.execute(ACCEPTANCES, {"ids": ids}).mappings().all()
    offers: dict[str, Any] = {}
    for some in in_parts(sorted({each["suggestion"] for each in answers})):
        for each in connection.execute(OFFERS, {"suggestions": some}):
            offers.setdefault(each.suggestion, each)
    asked = {(each["client"], offers[each["suggestion"]].card) for each in answers if each["suggestion"] in offers}
    sent: dict[tuple[str, str], Mapping[Any, Any]] = {}
    for cards in in_parts(sorted(asked)):
        for found in connection.execute(CARDS_OF_ONE_PATIENT, {"cards": cards}).mappings():
            sent[found["client"], found["card"]] = found
    lines = []
    for answer in answers:
        what = offers.get(answer["suggestion"])
        about = sent.get((answer["client"], what.card)) if what is not None else None
        if what is not None and about is not None:
            lines.append(line(about, ORDER, f"{what.kind}:{what.draft}", answer))
    return lines


def in_parts(names: Sequence[Name]) -> Iterator[Sequence[Name]]:
    """So many at a time as one statement may ask for."""
    for start in range(0, len(names), MOST):
        yield names[start : start + MOST]


def line(sent: Mapping[Any, Any], kind: str, name: str, answer: Mapping[Any, Any]) -> Line:
    """A row of the history: what a card was about, and what was said to it."""
    about = ("client", "card", "patient", "user", "evidence", "key", "decision")
    return {
        **{each: sent[each] for each in about},
        **{each: answer[each] for each in ("outcome", "reason", "at", "feedback")},
        "kind": kind,
        "name": name,
    }


@cache
def upsert(dialect: str) -> SqliteInsert | PostgresInsert:
    """Insert a line, or replace an earlier answer to the same. What closes a card that was accepted, without a reason,
    is no override of it."""
    insert = insert_of(dialect, history)
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
    earlier = connection.scalars(FEEDBACK_WITHOUT_HISTORY, {"names": sorted({name for _, name in cards})})
    note_answers(connection, [*earlier])


def withdraw(connection: Connection, cards: Sequence[tuple[str, str]]) -> None:
    """Take back what was said of cards of which it is not known any more which decision was meant."""
    for each in connection.execute(DOUBTFUL, {"cards": cards}).all():
        which = and_(history.c.client == each.client, history.c.card == each.card)
        kind = history.c.kind.in_([ROW, ORDER] if each.other_patient else [ROW])
        connection.execute(delete(history).where(which, kind))
