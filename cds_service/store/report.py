"""Reports: what users did with the cards that they were shown, and what silent mode would have shown.

Feedback counts only where its client is the one that was sent the card; of several answers to one card the latest
counts. What closes a card without a reason does not take back that its suggestion was accepted: it is counted as
"accepted, then closed". A card that showed several rows counts for each of them. A card that was sent twice under one
id is one card.

In silent mode a chart is a patient-view call, also one that was answered 412; a call that was repeated under its
hookInstance is one call. Orders are distinguished by their rows, and counted per 1,000 charts too.

Both reports become plain documents (the JSON of the command line), and these become rows of a spreadsheet.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any

from sqlalchemy import Connection, Row, Select, Subquery, and_, case, distinct, false, func, select, true
from sqlalchemy.sql.elements import ColumnElement

from .history import answered_at
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
        """The ISO week of a moment, "2026-W03"; "" where weeks are not distinguished."""
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
    closed: int = 0  # of those accepted: closed afterwards
    overridden: int = 0
    commented: int = 0
    reasons: Counter[str] = field(default_factory=Counter)  # codes of the overrides; "" where none was given

    @property
    def no_answer(self) -> int:
        return self.shown - self.accepted - self.overridden

    def add(self, card: Row[tuple[object, ...]]) -> None:
        """Count a card with its answer, if there is one."""
        self.shown += 1
        self.accepted += card.outcome == ACCEPTED
        self.closed += card.outcome == ACCEPTED and card.last == OVERRIDDEN
        self.overridden += card.outcome == OVERRIDDEN
        self.commented += bool(card.commented)
        if card.outcome == OVERRIDDEN:
            self.reasons[card.reason or ""] += 1


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
        cards.add(each)
    by_row = _answered(asked, shown.c.row, decision.c.pathway, decision.c.content)
    for each in connection.execute(by_row, execution_options=AT_ONCE):
        place = Of(asked.week(each.at), each.row, each.pathway, each.content)
        rows[place].add(each)
    unknown = [_unknown(each) for each in connection.execute(_strangers(asked))]
    return FeedbackReport(
        cards=cards,
        rows=dict(sorted(rows.items())),
        unknown=tuple(unknown[:MOST_NAMED]),
        unknown_cards=len(unknown),
        unknown_answers=sum(each.answers for each in unknown),
    )


def _latest() -> Subquery:
    """The answers to cards, numbered from the one that counts, each with the outcome of the last. A card is a client's
    own: ids of two never mix."""
    newest_first = (answered_at().desc(), feedback.c.id.desc())
    only_closes = case((and_(feedback.c.outcome == OVERRIDDEN, feedback.c.reason == ""), 1), else_=0)
    card = (feedback.c.client, feedback.c.card)
    place = func.row_number().over(partition_by=card, order_by=(only_closes, *newest_first))
    last = func.first_value(feedback.c.outcome).over(partition_by=card, order_by=newest_first)
    columns = (*card, feedback.c.outcome, feedback.c.reason, feedback.c.commented)
    return select(*columns, place.label("place"), last.label("last")).subquery("latest")


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
    latest_answer = (latest.c.outcome, latest.c.reason, latest.c.commented, latest.c.last)
    return select(sent, *latest_answer).outerjoin(latest, same)


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


CHART = "patient-view"
ANSWERED, REFUSED = 200, 412


@dataclass(slots=True)
class SilentPeriod:
    """What was answered with silence in one week, or in the whole period. Moments in ms since 1970; 0 for no call."""

    calls: Counter[str] = field(default_factory=Counter)  # by hook
    charts_with_card: int = 0
    rows: Counter[tuple[str, str]] = field(default_factory=Counter)  # calls by row and indicator
    refused: int = 0  # calls that were 412
    missing: Counter[str] = field(default_factory=Counter)  # those by the key that was missing
    first: int = 0
    last: int = 0

    @property
    def charts(self) -> int:
        return self.calls[CHART]

    def per_thousand(self, count: int) -> float | None:
        """Of 1,000 charts; None where no chart was opened."""
        return round(1000 * count / self.charts, 1) if self.charts else None


def silent_report(connection: Connection, asked: Asked) -> dict[str, SilentPeriod]:
    """The periods by week, or the only one as ""."""
    found = defaultdict[str, SilentPeriod](SilentPeriod)

    def each(query: Select[tuple[object, ...]]) -> Iterator[tuple[SilentPeriod, Row[tuple[object, ...]]]]:
        for call in connection.execute(query, execution_options=AT_ONCE):
            yield found[asked.week(call.at)], call

    for period, call in each(_calls(asked, decision.c.hook)):
        period.calls[call.hook] += 1
        period.first = min(period.first or call.at, call.at)
        period.last = max(period.last, call.last)
    for period, call in each(_with_cards(_calls(asked, shown.c.row, shown.c.indicator))):
        period.rows[call.row, call.indicator] += 1
    for period, _ in each(_with_cards(_calls(asked)).where(decision.c.hook == CHART)):
        period.charts_with_card += 1
    for period, call in each(_calls(asked, decision.c.missing).where(decision.c.status == REFUSED)):
        period.refused += 1
        period.missing.update(set(json.loads(call.missing)))
    return dict(sorted(found.items()))


def _calls(asked: Asked, *columns: ColumnElement[str]) -> Select[tuple[object, ...]]:
    """Every silent call once for each value of `columns`, with the moments of the first and the last time."""
    key = (decision.c.client, decision.c.hook_instance, *columns)
    return (
        select(*key, func.min(decision.c.at).label("at"), func.max(decision.c.at).label("last"))
        .where(decision.c.silent == true(), *asked.covers(decision.c.at, decision.c.client))
        .group_by(*key)
    )


def _with_cards(calls: Select[tuple[object, ...]]) -> Select[tuple[object, ...]]:
    """Those that would have been answered with cards."""
    sent = decision.join(shown, (shown.c.decision == decision.c.id) & (decision.c.status == ANSWERED))
    return calls.select_from(sent)


Json = dict[str, Any]
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # what a spreadsheet would reckon with
NO_REASON, OTHER = "no reason given", "another reason, without a code"
FEEDBACK_COLUMNS = ("week", "row", "pathway", "content", "shown", "accepted", "accepted_then_closed", "overridden",
                    "no_answer", "commented", "reasons")  # fmt: skip
SILENT_COLUMNS = ("week", "what", "name", "indicator", "calls", "per_1000_charts")


def feedback_document(found: FeedbackReport, asked: Asked, words: Mapping[str, str]) -> Json:
    """The feedback report. `words` are the displays of our own override reasons by code."""
    named = [{"client": e.client, "card": e.card, "why": e.why, "answers": e.answers} for e in found.unknown]
    return {
        "report": "feedback",
        **_period(asked),
        "cards": _tally(found.cards, words),
        "rows": [
            {"week": of.week, "row": of.row, "pathway": of.pathway, "content": of.content, **_tally(tally, words)}
            for of, tally in found.rows.items()
        ],
        "unknown_cards": {"cards": found.unknown_cards, "answers": found.unknown_answers, "named": named},
    }


def silent_document(periods: Mapping[str, SilentPeriod], asked: Asked) -> Json:
    """The report of silent mode."""
    return {
        "report": "silent",
        **_period(asked),
        "periods": [{"week": week, **_silent(period, asked)} for week, period in periods.items()],
    }


def feedback_csv(report: Json) -> str:
    """The rows of a feedback report. Unknown cards are in its JSON only."""
    rows = ({**row, "reasons": reasons_text(row["reasons"])} for row in report["rows"])
    return as_csv(FEEDBACK_COLUMNS, ([row[name] for name in FEEDBACK_COLUMNS] for row in rows))


def silent_csv(report: Json) -> str:
    """The counts of a report of silent mode."""
    return as_csv(SILENT_COLUMNS, (row for period in report["periods"] for row in _silent_rows(period)))


def reasons_text(reasons: Sequence[Json], most: int | None = None) -> str:
    """The most frequent reasons in words: "Already done: 3; The patient declines: 1"."""
    return "; ".join(f"{each['display']}: {each['count']}" for each in reasons[:most])


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table as CSV, one header line, nothing in it that a spreadsheet takes for a formula."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_inert(cell) for cell in row] for row in rows)
    return out.getvalue()


def _inert(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def _period(asked: Asked) -> Json:
    return {
        "since": moment(asked.since, asked),
        "until": moment(asked.until, asked),
        "client": asked.client or None,
        "by": "week" if asked.weekly else None,
    }


def moment(at: int | None, asked: Asked) -> str | None:
    """A moment as text, where the service stands; None for none."""
    return None if at is None else datetime.fromtimestamp(at / 1000, asked.zone).isoformat(timespec="seconds")


def _tally(tally: Tally, words: Mapping[str, str]) -> Json:
    return {
        "shown": tally.shown,
        "accepted": tally.accepted,
        "accepted_then_closed": tally.closed,
        "overridden": tally.overridden,
        "no_answer": tally.no_answer,
        "commented": tally.commented,
        "reasons": _reasons(tally.reasons, {"": NO_REASON, "other": OTHER, **words}),
    }


def _reasons(reasons: Counter[str], words: Mapping[str, str]) -> list[Json]:
    """The most frequent first, of equals in the order of their codes."""
    ordered = sorted(reasons.items(), key=lambda each: (-each[1], each[0]))
    return [{"code": code, "display": words.get(code, code), "count": count} for code, count in ordered]


def _silent(period: SilentPeriod, asked: Asked) -> Json:
    def counted(count: int) -> Json:
        return {"calls": count, "per_1000_charts": period.per_thousand(count)}

    return {
        "first": moment(period.first or None, asked),
        "last": moment(period.last or None, asked),
        "calls": dict(sorted(period.calls.items())),
        "charts": period.charts,
        "charts_with_card": counted(period.charts_with_card),
        "refused": counted(period.refused),
        "rows": [
            {"row": row, "indicator": indicator, **counted(count)}
            for (row, indicator), count in sorted(period.rows.items())
        ],
        "missing": [{"key": key, **counted(count)} for key, count in sorted(period.missing.items())],
    }


def _silent_rows(period: Json) -> Iterable[tuple[Any, ...]]:
    def line(what: str, name: str, counted: Json, indicator: str = "") -> tuple[Any, ...]:
        return (period["week"], what, name, indicator, counted["calls"], counted["per_1000_charts"])

    for hook, count in period["calls"].items():
        yield period["week"], "calls", hook, "", count, ""
    yield line("charts with a card", "", period["charts_with_card"])
    for row in period["rows"]:
        yield line("row", row["row"], row, row["indicator"])
    yield line("answered 412", "", period["refused"])
    for each in period["missing"]:
        yield line("412 for want of", each["key"], each)
