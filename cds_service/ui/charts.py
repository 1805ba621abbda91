"""The course of a patient as one chart: results with the bands of the pathway, symptoms, doses and orders on one axis.

Each test is drawn in the unit of its newest result, with the limits that this unit has; results in another unit are
converted, and say so. What was reported stands at every mark. A mark always lies in the band in which the result is
judged: the decision compares in the unit that was reported, and the chart follows the decision.

Positions on the time axis are per cent of the width, heights are pixels, so that text keeps its size on every screen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from cds_service.clinical.bands import BOUNDS, band
from cds_service.clinical.case import (
    B12_ANALYTES,
    MARKERS,
    Case,
    in_limit_unit,
    quantity,
    surely_above,
    surely_below,
)
from cds_service.clinical.laboratory import is_raised, upper_limit, why_not
from cds_service.clinical.record import LabResult, Measured, Medication, Problem, measured
from cds_service.clinical.tables import Analyte, Unit, convert, days_before, unit_named

from .frame import days_of_problem, written

ANALYTES = (*B12_ANALYTES, *MARKERS, "mcv", "haemoglobin")
HEIGHT, TOP, BOTTOM = 132, 8, 8  # of the plot of one test
INSET = 1.5  # per cent left free at both ends, so that a mark of today is not cut
SHORTEST, LONGEST = 365, 3650  # days on the time axis
MOST_POINTS, MOST_LANES, MOST_BARS = 60, 14, 40
MOST_TICKS = 4  # words on the time axis of a narrow screen
SOURCES = {"order": "ordered", "statement": "stated", "administration": "given", "dispense": "dispensed"}
EVENTS = ("administration", "dispense")
SCALES: dict[tuple[str, str], tuple[int, int, int]] = {  # analyte, family -> lowest, highest, step, in its base unit
    ("b12", "mass"): (0, 600, 100),
    ("b12", "molar"): (0, 450, 100),
    ("active-b12", "molar"): (0, 150, 25),
    ("mma", "molar"): (0, 1000, 250),
    ("mma", "mass"): (0, 120, 20),
    ("homocysteine", "molar"): (0, 50, 10),
    ("homocysteine", "mass"): (0, 7, 1),
    ("mcv", "volume"): (70, 130, 10),
    ("haemoglobin", "mass"): (50, 180, 25),
    ("haemoglobin", "molar"): (3, 11, 2),
}
B12_BANDS = {
    "deficient": "deficient: below {low}",
    "grey": "uncertain: from {low} to {high}",
    "above": "unlikely to be deficient: above {high}",
    "straddling": "may or may not be below {low}",
}


@dataclass(frozen=True, slots=True)
class Band:
    """A region from `low` to `high` (None: to the edge) in the unit of the chart, and what a result there is called."""

    key: str  # deficient | grey | above | normal | raised | small | usual | large | severe | anaemia
    meaning: str  # low | unsure | fine: the colour
    words: str
    low: Decimal | None
    high: Decimal | None
    y: float = 0
    height: float = 0


@dataclass(frozen=True, slots=True)
class Mark:
    """One result. `x` is per cent of the width, `y` pixels; `value` is in the unit of the chart."""

    x: float
    y: float
    value: Decimal
    shown: str  # `value`, rounded, with its comparator
    reported: str
    day: str
    reference: str
    kind: str  # "", "below" (<), "above" (>), "doubtful"
    place: str  # its band in words, or why it is not classified
    band: str  # the key of the band in which it is judged; "" for none
    converted: bool
    beyond: str  # "", "top" or "bottom": off the scale, drawn at its edge


@dataclass(frozen=True, slots=True)
class Strip:
    """One test over time."""

    analyte: str
    title: str
    unit: str
    marks: tuple[Mark, ...]  # the oldest first
    bands: tuple[Band, ...]
    limits: tuple[tuple[float, str], ...]  # y and words of each limit
    ticks: tuple[tuple[float, str], ...]  # y and words of round numbers
    note: str  # what a reader must know of conversions
    laboratory: bool  # the limit is the laboratory's own

    height: int = HEIGHT

    @property
    def newest(self) -> Mark:
        return self.marks[-1]


@dataclass(frozen=True, slots=True)
class Bar:
    """One entry, from the first to the last day that is known, in per cent of the width. `open`: it goes on."""

    x: float
    width: float
    words: str
    reference: str
    open: bool
    earlier: bool  # it began before the axis does
    event: bool  # one dose, one operation, one order


@dataclass(frozen=True, slots=True)
class Lane:
    """One medicine, symptom, state or order: every entry about it, on one line."""

    kind: str  # treatment | medicine | problem | pregnancy | order
    words: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Course:
    """The whole chart. `ticks` are x, words and anchor of the time axis that all parts share."""

    strips: tuple[Strip, ...]
    lanes: tuple[Lane, ...]
    undated: tuple[str, ...]  # of which no day is known
    ticks: tuple[tuple[float, str, str], ...]
    first: date
    last: date


class Axis:
    """Days to per cent of the width."""

    def __init__(self, first: date, last: date) -> None:
        self.first, self.last = first, last

    def x(self, day: date) -> float:
        share = (min(max(day, self.first), self.last) - self.first).days / (self.last - self.first).days
        return round(INSET + share * (100 - 2 * INSET), 2)

    def ticks(self) -> tuple[tuple[float, str, str], ...]:
        """The first days of years, or of months where the span is short: round, and few enough to be read."""
        months = max((self.last - self.first).days / 30.4 / MOST_TICKS, 1)
        step = next(each for each in (1, 2, 3, 6, 12, 24, 36) if each >= months or each == 36)
        found = [day for day in firsts(self.first, self.last) if (day.year * 12 + day.month - 1) % step == 0]
        labels = [str(day.year) if step >= 12 else written(day).partition(" ")[2] for day in found]
        return tuple((self.x(day), label, anchor(self.x(day))) for day, label in zip(found, labels, strict=True))


def anchor(x: float) -> str:
    return "start" if x < 8 else "end" if x > 92 else "middle"


def firsts(first: date, last: date) -> Iterator[date]:
    """The first day of every month in between."""
    day = date(first.year, first.month, 1)
    while day <= last:
        if day >= first:
            yield day
        day = date(day.year + day.month // 12, day.month % 12 + 1, 1)


def course(case: Case) -> Course:
    """The chart of one patient."""
    labs = {analyte: shown_labs(case, analyte) for analyte in ANALYTES}
    axis = axis_of(case, [lab.date for found in labs.values() for lab in found])
    strips = tuple(strip(case, analyte, found, axis) for analyte, found in labs.items() if found)
    lanes = (*problem_lanes(case, axis), *medicine_lanes(case, axis), *order_lanes(case, axis))[:MOST_LANES]
    return Course(strips, lanes, tuple(undated(case)), axis.ticks(), axis.first, axis.last)


def undated(case: Case) -> Iterator[str]:
    """What is recorded as lasting, since when is not said."""
    found = [each.ingredient for each in case.record.medications if each.active and not days_of_medicine(each)]
    found += [each.concept for each in case.record.problems if each.active and not (each.onset or each.recorded)]
    yield from dict.fromkeys(map(case.display, found))


def shown_labs(case: Case, analyte: str) -> list[Measured]:
    """The newest results with a number, a unit and a day, the newest first."""
    known = (measured(lab) for lab in case.labs.get(analyte, ())[:MOST_POINTS])
    found = [lab for lab in known if lab is not None and lab.date <= case.today]
    return [lab for lab in found if is_drawn(case, lab, found[0])]


def is_drawn(case: Case, lab: Measured, newest: Measured) -> bool:
    """Can it be drawn in the unit of the newest? What cannot be converted stands in the record only."""
    try:
        convert(case.pathway.analytes[lab.analyte], lab.value, lab.unit, newest.unit)
    except ValueError:
        return False
    return True


def days_of_medicine(entry: Medication) -> list[date]:
    return [day for day in (entry.start, entry.last, entry.end) if day is not None]


def axis_of(case: Case, days: list[date]) -> Axis:
    """From before the first result until today: at least a year, at most ten. What began not long before is shown from
    its beginning."""
    earliest, year = days_before(case.today, LONGEST), days_before(case.today, SHORTEST)
    given = [day for each in case.record.medications if each.source in EVENTS for day in days_of_medicine(each)]
    first = min([*days, *given, year])
    begun = [each.start for each in case.record.medications if each.start]
    begun += [day for each in case.record.problems if (day := each.onset or each.recorded)]
    first = max(min([first, *(day for day in begun if (first - day).days <= SHORTEST)]), earliest)
    return Axis(first - timedelta(days=(case.today - first).days // 25), case.today)


# --- One test


def strip(case: Case, analyte: str, found: Sequence[Measured], axis: Axis) -> Strip:
    """One test, in the unit of its newest result."""
    known, newest = case.pathway.analytes[analyte], found[0]
    unit = unit_named(known, newest.unit)
    bands = bands_of(case, newest)
    edges = [edge for each in bands for edge in (each.low, each.high) if edge is not None]
    scale = Scale.of(known, unit, [convert(known, lab.value, lab.unit, newest.unit) for lab in found], edges)
    placed = tuple(with_place(each, scale) for each in bands)
    others = any(unit_named(known, lab.unit).family != unit.family for lab in found)
    limits = dict.fromkeys(edges)
    return Strip(
        analyte,
        known.display,
        newest.unit,
        tuple(mark(case, lab, newest, placed, (axis.x(lab.date), scale)) for lab in reversed(found)),
        placed,
        tuple((scale.y(edge), rounded_text(edge)) for edge in limits),
        tuple(each for each in scale.ticks() if all(abs(each[0] - scale.y(edge)) > 15 for edge in limits)),
        f"A result that was reported in another kind of unit is converted to {newest.unit} here, and is judged in the "
        "unit in which it was reported." if others else "",
        analyte in MARKERS and newest.high is not None,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scale:
    """The numbers of a chart, from the lowest to the highest, as heights."""

    low: Decimal
    high: Decimal
    step: Decimal

    @classmethod
    def of(cls, known: Analyte, unit: Unit, values: list[Decimal], edges: list[Decimal]) -> Scale:
        """The fixed clinical range of a test in this unit, longer by whole steps where a limit lies beyond."""
        fixed = SCALES.get((known.id, unit.family))
        if fixed is None:
            low, high = min([*values, *edges]), max([*values, *edges])
            margin = (high - low) / 8 or Decimal(1)
            return cls(low - margin, high + margin, (high - low + 2 * margin) / 4)
        low, high, step = (Decimal(each) / unit.factor for each in fixed)
        while edges and max(edges) >= high:
            high += step
        while edges and min(edges) <= low and low >= step:
            low -= step
        return cls(low, high, step)

    def y(self, value: Decimal) -> float:
        share = float((min(max(value, self.low), self.high) - self.low) / (self.high - self.low))
        return round(TOP + (1 - share) * (HEIGHT - TOP - BOTTOM), 1)

    def beyond(self, value: Decimal) -> str:
        return "top" if value > self.high else "bottom" if value < self.low else ""

    def ticks(self) -> Iterator[tuple[float, str]]:
        value = self.low
        while value <= self.high:
            yield self.y(value), rounded_text(value)
            value += self.step


def with_place(each: Band, scale: Scale) -> Band:
    upper = 0.0 if each.high is None else scale.y(each.high)
    lower = float(HEIGHT) if each.low is None else scale.y(each.low)
    return Band(each.key, each.meaning, each.words, each.low, each.high, upper, round(lower - upper, 1))


def mark(case: Case, lab: Measured, newest: Measured, bands: Sequence[Band], place: tuple[float, Scale]) -> Mark:
    """A result. It is hollow where it was not classified, and an arrow where only a bound was reported."""
    known, (x, scale) = case.pathway.analytes[lab.analyte], place
    value = convert(known, lab.value, lab.unit, newest.unit)
    kind = {"<": "below", "<=": "below", ">": "above", ">=": "above"}.get(lab.comparator, "")
    why = why_unclassified(case, lab)
    key = "" if why else band_key(case, lab)
    judged_in = next((each for each in bands if each.key == key), None)
    return Mark(
        x,
        within(scale.y(value), judged_in),
        value,
        f"{lab.comparator}{rounded_text(value)}",
        quantity(lab),
        written(lab.date),
        lab.reference,
        "doubtful" if why else kind,
        why or place_of(case, lab, key),
        key,
        unit_named(known, lab.unit) != unit_named(known, newest.unit),
        scale.beyond(value),
    )


def within(y: float, judged_in: Band | None) -> float:
    """The height of a mark, inside the band in which the result is judged: conversion never moves it out."""
    if judged_in is None or judged_in.height <= 2:
        return y
    return round(min(max(y, judged_in.y + 1), judged_in.y + judged_in.height - 1), 1)


# --- Bands and places: the limits of the decision, in the unit of the chart


def bands_of(case: Case, newest: Measured) -> list[Band]:
    """What the values of a test mean under this pathway, in the unit of its newest result."""
    analyte = newest.analyte
    if analyte in B12_ANALYTES:
        family, _ = case.base(newest)
        low, high = (in_unit(case, newest, name) for name in BOUNDS[analyte, family])
        return [
            Band("deficient", "low", "deficient", None, low),
            Band("grey", "unsure", "uncertain", low, high),
            Band("above", "fine", "unlikely", high, None),
        ]
    if analyte in MARKERS:
        known = case.pathway.analytes[analyte]
        upper = upper_limit(case, newest, f"{analyte}-upper")
        edge = convert(known, upper, known.bases["molar"], newest.unit)
        return [Band("normal", "fine", "not raised", None, edge), Band("raised", "low", "raised", edge, None)]
    if analyte == "mcv":
        small, large = (in_unit(case, newest, name) for name in ("mcv-microcytosis", "mcv-macrocytosis"))
        return [
            Band("small", "unsure", "small cells", None, small),
            Band("usual", "fine", "", small, large),
            Band("large", "low", "enlarged cells", large, None),
        ]
    anaemia, severe = in_unit(case, newest, anaemia_limit(case)), in_unit(case, newest, "hb-severe")
    return [
        Band("severe", "low", "severe", None, severe),
        Band("anaemia", "unsure", "anaemia", severe, anaemia),
        Band("usual", "fine", "", anaemia, None),
    ]


def anaemia_limit(case: Case) -> str:
    """The limit of haemoglobin that counts for this patient."""
    return "hb-pregnancy" if case.has("pregnant") else "hb-men" if case.record.patient.sex == "male" else "hb-women"


def in_unit(case: Case, lab: Measured, name: str) -> Decimal:
    """A threshold in the unit of a result."""
    known, threshold = case.pathway.analytes[lab.analyte], case.pathway.thresholds[name]
    return convert(known, threshold.value, threshold.unit, lab.unit)


def why_unclassified(case: Case, lab: LabResult) -> str:
    """Why a result counts for nothing, "" for one that counts."""
    key = why_not(case, lab)
    return f"not classified: {case.pathway.messages.get(f'doubt.{key}', key)}" if key else ""


def band_key(case: Case, lab: Measured) -> str:
    """The band in which the decision judges a result that counts; "" for a bound that allows several."""
    if lab.analyte in B12_ANALYTES:
        found = band(case, lab)
        return "" if found == "straddling" else found
    if lab.analyte in MARKERS:
        raised = is_raised(case, lab, f"{lab.analyte}-upper")
        return "raised" if raised else "" if lab.comparator in (">", ">=") else "normal"
    value, limits = in_limit_unit(case, lab), case.limits
    if lab.analyte == "mcv":
        if surely_above(lab, value, limits["mcv-macrocytosis"]):
            return "large"
        return "small" if surely_below(lab, value, limits["mcv-microcytosis"]) else "" if lab.comparator else "usual"
    if surely_below(lab, value, limits["hb-severe"]):
        return "severe"
    return "anaemia" if surely_below(lab, value, limits[anaemia_limit(case)]) else "" if lab.comparator else "usual"


def place_of(case: Case, lab: Measured, key: str) -> str:
    """The band of a result in words, with its limits, in the unit in which it is judged."""
    thresholds = case.pathway.thresholds
    if lab.analyte in B12_ANALYTES:
        family, _ = case.base(lab)
        low, high = (thresholds[name] for name in BOUNDS[lab.analyte, family])
        words = B12_BANDS[key or "straddling"]
        return words.format(low=f"{low.value} {low.unit}", high=f"{high.value} {high.unit}")
    if lab.analyte in MARKERS:
        threshold = thresholds[f"{lab.analyte}-upper"]
        own = f"{lab.high} {lab.unit}, the laboratory's own"
        limit = f"{threshold.value} {threshold.unit}" if lab.high is None else own
        words = {"raised": "raised", "normal": "not raised", "": "may or may not be raised"}[key]
        return f"{words}: limit {limit}"
    names = {
        "large": ("enlarged cells: above", "mcv-macrocytosis"),
        "small": ("small cells: below", "mcv-microcytosis"),
        "severe": ("severe: below", "hb-severe"),
        "anaemia": ("anaemia: below", anaemia_limit(case)),
    }
    if key not in names:
        return "within the limits that are drawn"
    words, name = names[key]
    return f"{words} {thresholds[name].value} {thresholds[name].unit}"


# --- What lasts, and what was done


def is_treatment(case: Case, entry: Medication) -> bool:
    return entry.ingredient in case.pathway.groups.get("cobalamin", ()) and not (entry.multivitamin or entry.antidote)


def medicine_lanes(case: Case, axis: Axis) -> Iterator[Lane]:
    """One lane for each medicine, treatment with B12 first."""
    dated = [(min(days), each) for each in case.record.medications if (days := days_of_medicine(each))]
    by_medicine: dict[tuple[bool, str], list[Medication]] = {}
    for _, each in sorted(dated, key=lambda pair: (pair[0], pair[1].reference)):
        by_medicine.setdefault((not is_treatment(case, each), each.ingredient), []).append(each)
    for (other, ingredient), found in sorted(by_medicine.items()):
        newest = sorted(found[-MOST_BARS:], key=lambda each: each.source in EVENTS)
        bars = tuple(medicine_bar(case, each, axis) for each in newest)
        yield Lane("medicine" if other else "treatment", case.display(ingredient), bars)


def medicine_bar(case: Case, entry: Medication, axis: Axis) -> Bar:
    """What is known of the days of one entry, and the same in words."""
    days = days_of_medicine(entry)
    begin = entry.start or days[0]
    end = entry.end or (case.today if entry.active else entry.last or begin)
    on = entry.active and not entry.end
    words = f"{case.display(entry.ingredient)}, {SOURCES[entry.source]}{', ' + entry.route if entry.route else ''}: "
    words += written(begin) if begin == end else f"from {written(entry.start) if entry.start else 'an unknown day'}"
    words += "" if begin == end else ", still in use" if on else f", until {written(end)}"
    return bar((begin, end), words, entry.reference, axis, (on, entry.source in EVENTS))


def bar(days: tuple[date, date], words: str, reference: str, axis: Axis, how: tuple[bool, bool]) -> Bar:
    """A bar between two days; `how`: does it go on, is it a single event?"""
    (begin, end), (goes_on, event) = days, how
    x, until = axis.x(begin), axis.x(max(begin, end))
    return Bar(x, round(max(until - x, 0.8), 2), words, reference, goes_on, begin < axis.first, event)


def problem_lanes(case: Case, axis: Axis) -> Iterator[Lane]:
    """One lane for each symptom, disease or state, in the order in which they began."""
    found: dict[str, list[tuple[date, Problem]]] = {}
    dated = [(day, each) for each in case.record.problems if (day := each.onset or each.recorded)]
    for day, each in sorted(dated, key=lambda pair: (pair[0], pair[1].reference)):
        found.setdefault(each.concept, []).append((day, each))
    pregnancy = case.pathway.groups.get("pregnancy", frozenset()) | {"pregnancy"}
    for concept, entries in found.items():
        bars = tuple(problem_bar(case, day, each, axis) for day, each in entries[-MOST_BARS:])
        yield Lane("pregnancy" if concept in pregnancy else "problem", case.display(concept), bars)


def problem_bar(case: Case, day: date, problem: Problem, axis: Axis) -> Bar:
    """From the day since which it is known until its end, or until today."""
    event = problem.source == "procedure"
    end = day if event else problem.end or (case.today if problem.active else day)
    on = problem.active and not problem.end and not event
    words = f"{case.display(problem.concept)}: {'on' if event else 'since'} {days_of_problem(problem)}"
    words += "" if on or event else f", until {written(problem.end)}" if problem.end else ", no longer active"
    return bar((day, end), words, problem.reference, axis, (on, event))


def order_lanes(case: Case, axis: Axis) -> Iterator[Lane]:
    """Tests that are ordered and not done; and the orders that this call is about, today."""
    orderables = case.pathway.orderables
    for each in case.record.orders:
        title = orderables[each.orderable].title if each.orderable in orderables else each.orderable
        day = each.written or case.today
        words = f"{title}: ordered {written(each.written)}, not done yet"
        yield Lane("order", title, (bar((day, day), words, each.reference, axis, (False, True)),))
    for order in case.record.selected:
        title = case.display(order.ingredient) if order.ingredient else order.orderable
        title = orderables[title].title if title in orderables else title
        words = f"{title}: being ordered now"
        yield Lane("order", title, (bar((case.today, case.today), words, order.reference, axis, (False, True)),))


def rounded_text(number: Decimal) -> str:
    """At most three digits that mean something, without an exponent."""
    return f"{round(number, 0 if abs(number) >= 100 else 1 if abs(number) >= 1 else 2).normalize():f}"
