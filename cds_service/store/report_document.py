"""The reports as plain documents (the JSON of the command line), and these as rows of a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from .report import Asked, FeedbackReport, Tally
from .report_silent import SilentPeriod

Json = dict[str, Any]
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # what a spreadsheet would reckon with
NO_REASON, OTHER = "no reason given", "another reason, without a code"
FEEDBACK_COLUMNS = ("week", "row", "pathway", "content", "shown", "accepted", "overridden", "no_answer", "commented",
                    "reasons")  # fmt: skip
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


def feedback_csv(told: Json) -> str:
    """The rows of a feedback report. Unknown cards are in its JSON only."""
    rows = ({**row, "reasons": reasons_text(row["reasons"])} for row in told["rows"])
    return as_csv(FEEDBACK_COLUMNS, ([row[name] for name in FEEDBACK_COLUMNS] for row in rows))


def silent_csv(told: Json) -> str:
    """The counts of a report of silent mode."""
    return as_csv(SILENT_COLUMNS, (row for period in told["periods"] for row in _silent_rows(period)))


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
