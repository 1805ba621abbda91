"""What if: which row holds, and how loud, along the whole axis of one number of a patient.

The call is made as it is, with only that number changed, two hundred times. Nothing of it is remembered or recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from cds_service.cdshooks.client_config import ClientConfig
from cds_service.clinical.decide import SEVERITY
from cds_service.clinical.tables import Pathway

from .charts import SCALES, rounded_text
from .client import PageCall, PageClient
from .form import Entered
from .my_patient import request_of_form

POINTS = 200
VARIED = ("b12", "mma", "mcv")  # tests; and the days since the last injection
DAYS = "inj-last"
MOST_DAYS = 400


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the axis on which the same row decides. `x` and `width` in per cent."""

    x: float
    width: float
    low: str
    high: str
    rows: str
    words: str  # the first card, or that there is none
    indicator: str  # critical | warning | info | none


@dataclass(frozen=True, slots=True)
class Strip:
    """The whole axis of one number. `limits`: x and words of the pathway's limits on it."""

    field: str
    title: str
    unit: str
    low: Decimal
    high: Decimal
    step: Decimal
    now: str
    stretches: tuple[Stretch, ...]
    limits: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class Axis:
    """The numbers that are tried."""

    low: Decimal
    high: Decimal

    @property
    def step(self) -> Decimal:
        return (self.high - self.low) / POINTS

    def values(self) -> Iterator[Decimal]:
        for number in range(POINTS + 1):
            yield (self.low + number * self.step).quantize(Decimal("0.01")).normalize()

    def x(self, value: Decimal) -> float:
        return round(float((value - self.low) / (self.high - self.low) * 100), 2)


def strip_of(entered: Entered, varied: str, client: PageClient, config: ClientConfig) -> Strip:
    """The axis of one test in the unit of the form, or of the days since the last injection."""
    today = client.today()
    if varied == DAYS:
        axis = Axis(Decimal(0), Decimal(MOST_DAYS))
        tried = stretches(entered, DAYS, axis, caller(client, config, today))
        now = entered.value(DAYS) or "60"
        return Strip(DAYS, "Days since the last injection", "days", axis.low, axis.high, Decimal(1), now, tried, ())
    known, field = config.pathway.analytes[varied], f"{varied}-value"
    unit = entered.value(f"{varied}-unit") or known.chart_unit
    chosen = next(each for each in known.units.values() if each.spelling == unit)
    low, high, _ = SCALES[varied, chosen.family]
    axis = Axis(Decimal(low) / chosen.factor, Decimal(high) / chosen.factor)
    tried = stretches(entered, field, axis, caller(client, config, today))
    limits = tuple(limits_on(varied, unit, axis, config.pathway))
    return Strip(field, known.display, unit, axis.low, axis.high, axis.step, entered.value(field), tried, limits)


Call = Callable[[Entered], tuple[str, str, str]]


def caller(client: PageClient, config: ClientConfig, today: date) -> Call:
    """Asks the service about a form: the rows, the first card, how loud."""

    def call(entered: Entered) -> tuple[str, str, str]:
        body = request_of_form(entered, config, today)
        found = client.answer(PageCall(body, config.pathway.id, "0" * 16, today, remembers=False, records=False)).found
        cards = sorted(found.cards, key=lambda card: -SEVERITY[card["indicator"]])
        words = cards[0]["summary"] if cards else "no card"
        return ", ".join(found.decision.rows), words, cards[0]["indicator"] if cards else "none"

    return call


def stretches(entered: Entered, field: str, axis: Axis, call: Call) -> tuple[Stretch, ...]:
    """Neighbouring numbers with the same rows and the same loudness are one part. Where one ends is looked for between
    the points, down to a whole number."""

    def ask(value: Decimal) -> tuple[str, str, str]:
        return call(Entered(dict(entered.form) | {field: f"{value:f}"}))

    found: list[tuple[Decimal, tuple[str, str, str]]] = []
    ends: list[Decimal] = []
    for value in axis.values():
        answer = ask(value)
        if found and is_like(found[-1][1], answer):
            ends[-1] = value
            continue
        if found:
            ends[-1], value, answer = between(ends[-1], found[-1][1], (value, answer), ask)
        found.append((value, answer))
        ends.append(value)
    parts = []
    for number, ((value, (rows, words, indicator)), end) in enumerate(zip(found, ends, strict=True)):
        x = axis.x(value)
        until = axis.x(found[number + 1][0]) if number + 1 < len(found) else 100.0
        parts.append(Stretch(x, round(until - x, 2), rounded_text(value), rounded_text(end), rows, words, indicator))
    return tuple(parts)


def is_like(one: tuple[str, str, str], other: tuple[str, str, str]) -> bool:
    """The same rows, and as loud."""
    return (one[0], one[2]) == (other[0], other[2])


def between(
    low: Decimal,
    before: tuple[str, str, str],
    after: tuple[Decimal, tuple[str, str, str]],
    ask: Callable[[Decimal], tuple[str, str, str]],
) -> tuple[Decimal, Decimal, tuple[str, str, str]]:
    """The last number that is answered as before, and the first that is not, with its answer: one apart at most."""
    high, answer = after
    while high - low > 1:
        middle = (low + high) // 2
        if not low < middle < high:
            break
        found = ask(middle)
        if is_like(before, found):
            low = middle
        else:
            high, answer = middle, found
    return low, high, answer


def limits_on(analyte: str, unit: str, axis: Axis, pathway: Pathway) -> Iterator[tuple[float, str]]:
    """The limits of the pathway that are stated in this unit."""
    for name, limit in pathway.thresholds.items():
        if name.startswith(f"{analyte}-") and limit.unit == unit and axis.low < limit.value < axis.high:
            yield axis.x(limit.value), f"{limit.value} {unit}"
