"""What users did with the cards that they were shown, by row, pathway and content version.

Feedback counts only where its client is the one that was sent the card; of several answers to one card the latest
counts. A card that showed several rows counts for each of them. A card that was sent twice under one id is one card.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo

from sqlalchemy import Connection, Row, Select, Subquery, case, distinct, false, func, select
from sqlalchemy.sql.elements import ColumnElement

from .recalling import answered_at
from .tables import decision, feedback, shown

AT_ONCE = {"yield_per": 5_000}  # rows in memory
MOST_NAMED = 100  # unknown cards
ACCEPTED, OVERRIDDEN = "accepted", "overridden"
SENT = (decision.c.silent == false(), decision.c.status == 200)  # silent mode and errors send no card
NEVER, ELSEWHERE, IN_SILENCE = "never sent", "sent to another client", "not sent: silent mode"


@dataclass(frozen=True, slots=True)
class Asked:
    """Of what a report is wanted: cards of [since, until) in ms since 1970, of one client ("" for all)."""

    since: int | None = None
    until: int | None = None
    client: str = ""
    weekly: bool = False
    zone: tzinfo = UTC  # whose weeks count

    def week(self, at: int) -> str:
        """The ISO week of a moment, "2026-W03"; "" where weeks are not told apart."""
        if not self.weekly:
            return ""
        year, week, _ = datetime.fromtimestamp(at / 1000, self.zone).isocalendar()
        return f"{year:04}-W{week:02}"

    def covers(self, at: ColumnElement[int], client: ColumnElement[str]) -> Iterator[ColumnElement[bool]]:
        """The conditions on a moment and a client."""
        if self.since is not None:
            yield at >= self.since
        if self.until is not None:
            yield at < self.until
        if self.client:
            yield client == self.client


@dataclass(slots=True)
class Tally:
    """How cards were answered."""

    shown: int = 0
    accepted: int = 0
    overridden: int = 0
    commented: int = 0
    reasons: Counter[str] = field(default_factory=Counter)  # codes of the overrides; "" where none was given

    @property
    def no_answer(self) -> int:
        return self.shown - self.accepted - self.overridden

    def add(self, outcome: str | None, reason: str | None, commented: bool | None) -> None:
        self.shown += 1
        self.accepted += outcome == ACCEPTED
        self.overridden += outcome == OVERRIDDEN
        self.commented += bool(commented)
        if outcome == OVERRIDDEN:
            self.reasons[reason or ""] += 1


@dataclass(frozen=True, slots=True, order=True)
class Of:
    """What a tally is of."""

    week: str
    row: str
    pathway: str
    content: str


@dataclass(frozen=True, slots=True, order=True)
class UnknownCard:
    """A card that was answered and that its client was not sent, as far as the store goes back."""

    client: str
    card: str
    why: str
    answers: int


@dataclass(frozen=True, slots=True)
class FeedbackReport:
    """The whole report. `cards` counts each card once, `rows` once for each of its rows."""

    cards: Tally
    rows: dict[Of, Tally]
    unknown: tuple[UnknownCard, ...]  # the first of them
    unknown_cards: int
    unknown_answers: int


def feedback_report(connection: Connection, asked: Asked) -> FeedbackReport:
    """What came back on the cards that were sent in a period, whenever it came back."""
    cards, rows = Tally(), defaultdict[Of, Tally](Tally)
    for each in connection.execute(_answered(asked), execution_options=AT_ONCE):
        cards.add(each.outcome, each.reason, each.commented)
    by_row = _answered(asked, shown.c.row, decision.c.pathway, decision.c.content)
    for each in connection.execute(by_row, execution_options=AT_ONCE):
        place = Of(asked.week(each.at), each.row, each.pathway, each.content)
        rows[place].add(each.outcome, each.reason, each.commented)
    unknown = [_unknown(each) for each in connection.execute(_strangers(asked))]
    return FeedbackReport(
        cards=cards,
        rows=dict(sorted(rows.items())),
        unknown=tuple(unknown[:MOST_NAMED]),
        unknown_cards=len(unknown),
        unknown_answers=sum(each.answers for each in unknown),
    )


def _latest() -> Subquery:
    """The answers to cards, numbered from the latest. A card is a client's own: ids of two never mix."""
    newest_first = (answered_at().desc(), feedback.c.id.desc())
    place = func.row_number().over(partition_by=(feedback.c.client, feedback.c.card), order_by=newest_first)
    columns = (feedback.c.client, feedback.c.card, feedback.c.outcome, feedback.c.reason, feedback.c.commented)
    return select(*columns, place.label("place")).subquery("latest")


def _answered(asked: Asked, *columns: ColumnElement[str]) -> Select[tuple[object, ...]]:
    """The cards that clients were sent, each once for every value of `columns`, with the latest answer if any."""
    key = (decision.c.client, shown.c.card, *columns)
    sent = (
        select(*key, func.min(decision.c.at).label("at"))
        .join(shown, shown.c.decision == decision.c.id)
        .where(*SENT, *asked.covers(decision.c.at, decision.c.client))
        .group_by(*key)
        .subquery("sent")
    )
    latest = _latest()
    same = (latest.c.client == sent.c.client) & (latest.c.card == sent.c.card) & (latest.c.place == 1)
    told = (latest.c.outcome, latest.c.reason, latest.c.commented)
    return select(sent, *told).outerjoin(latest, same)


def _strangers(asked: Asked) -> Select[tuple[object, ...]]:
    """Cards that were answered in the period by a client that was not sent them."""
    of_card = (
        select(decision.c.id).join(shown, shown.c.decision == decision.c.id).where(shown.c.card == feedback.c.card)
    )
    theirs = of_card.where(decision.c.client == feedback.c.client)
    why = case((theirs.exists(), IN_SILENCE), (of_card.exists(), ELSEWHERE), else_=NEVER)
    key = (feedback.c.client, feedback.c.card)
    return (
        select(*key, func.min(why).label("why"), func.count(distinct(feedback.c.id)).label("answers"))
        .where(~theirs.where(*SENT).exists(), *asked.covers(feedback.c.received, key[0]))
        .group_by(*key)
        .order_by(*key)
    )


def _unknown(each: Row[tuple[object, ...]]) -> UnknownCard:
    return UnknownCard(each.client, each.card, each.why, each.answers)
