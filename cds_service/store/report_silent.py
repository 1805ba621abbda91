"""What silent mode would have shown, so that a pilot can be judged: per 1,000 charts that were opened.

A chart is a patient-view call, also one that was answered 412; a call that was repeated under its hookInstance is one
call. Orders are told apart by their rows, and counted per 1,000 charts too.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import Connection, Row, Select, func, select, true
from sqlalchemy.sql.elements import ColumnElement

from .report import AT_ONCE, Asked
from .tables import decision, shown

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
    told = decision.join(shown, (shown.c.decision == decision.c.id) & (decision.c.status == ANSWERED))
    return calls.select_from(told)
