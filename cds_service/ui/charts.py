"""The course of a patient: results as small charts on one time axis, with the bands of the pathway, and medicines.

Everything is converted to the chart unit of the analyte (analytes.toml) and placed here, so that the template only
draws. Every point names what was reported: decisions compare in the unit that was reported, charts do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from cds_service.clinical.b12 import BOUNDS, band
from cds_service.clinical.case import Case, quantity, surely_above, surely_below, written
from cds_service.clinical.laboratory import molar, upper_limit, why_not
from cds_service.clinical.record import LabResult, Medication
from cds_service.clinical.tables import convert, days_before, unit_named


@dataclass(frozen=True, slots=True)
class Band:
    """A shaded region from `low` to `high` (None: to the edge), and what it means."""

    meaning: str  # low | unsure | fine: the colour
    words: str
    low: Decimal | None
    high: Decimal | None
    y: float = 0
    height: float = 0


def bands_of(case: Case, analyte: str) -> list[Band]:
    """The pathway's bands in the chart unit."""
    known = case.pathway.analytes[analyte]
    if analyte in ("b12", "active-b12"):
        family = unit_named(known, known.chart_unit).family
        low, high = (in_chart(case, analyte, name) for name in BOUNDS[analyte, family])
        return [
            Band("low", "deficient", None, low),
            Band("unsure", "uncertain", low, high),
            Band("fine", "unlikely", high, None),
        ]
    if analyte in ("mma", "homocysteine"):
        upper = charted_upper_limit(case, analyte)
        return [Band("fine", "not raised", None, upper), Band("low", "raised", upper, None)]
    if analyte == "mcv":
        large = in_chart(case, analyte, "mcv-macrocytosis")
        return [Band("fine", "", None, large), Band("low", "enlarged cells", large, None)]
    sex = "hb-pregnancy" if case.has("pregnant") else "hb-men" if case.record.patient.sex == "male" else "hb-women"
    anaemia, severe = in_chart(case, analyte, sex), in_chart(case, analyte, "hb-severe")
    return [
        Band("low", "severe", None, severe),
        Band("unsure", "anaemia", severe, anaemia),
        Band("fine", "", anaemia, None),
    ]


def in_chart(case: Case, analyte: str, name: str) -> Decimal:
    """A threshold in the chart unit."""
    known, threshold = case.pathway.analytes[analyte], case.pathway.thresholds[name]
    return convert(known, threshold.value, threshold.unit, known.chart_unit)


def charted_upper_limit(case: Case, analyte: str) -> Decimal:
    """The upper limit that counts for the newest result: the laboratory's own, else the pathway's."""
    lab = case.mma if analyte == "mma" else case.homocysteine
    name = f"{analyte}-upper"
    if lab is None or lab.high is None:
        return in_chart(case, analyte, name)
    known = case.pathway.analytes[analyte]
    return convert(known, molar(case, lab, lab.high), known.bases["molar"], known.chart_unit)


B12_BANDS = {
    "deficient": "deficient: below {low}",
    "grey": "uncertain: from {low} to {high}",
    "above": "unlikely to be deficient: above {high}",
    "straddling": "may or may not be below {low}",
}


def why_unclassified(case: Case, lab: LabResult) -> str:
    """Why a result counts for nothing, "" for one that counts."""
    key = why_not(case, lab)
    return f"not classified: {case.pathway.messages.get(f'doubt.{key}', key)}" if key else ""


def place_of(case: Case, lab: LabResult, value: Decimal, bands: list[Band], unit: str) -> str:
    """The band of a result with its limits. B12 and the markers are judged in the unit in which they were reported."""
    if why := why_unclassified(case, lab):
        return why
    if lab.analyte in ("b12", "active-b12"):
        family, _ = case.base(lab)
        low, high = (case.pathway.thresholds[name] for name in BOUNDS[lab.analyte, family])
        words = B12_BANDS[band(case, lab)]
        return words.format(low=f"{low.value} {low.unit}", high=f"{high.value} {high.unit}")
    if lab.analyte in ("mma", "homocysteine"):
        return marker_place(case, lab)
    return count_place(lab, value, bands, unit)


def marker_place(case: Case, lab: LabResult) -> str:
    """Raised or not, by the laboratory's own limit where it sent one."""
    default = f"{lab.analyte}-upper"
    limit, threshold = upper_limit(case, lab, default), case.pathway.thresholds[default]
    words = (
        f"{threshold.value} {threshold.unit}" if lab.high is None else f"{lab.high} {lab.unit}, the laboratory's own"
    )
    raised = surely_above(lab, molar(case, lab, lab.value), limit)
    return f"{'raised' if raised else 'not raised'}: limit {words}"


def count_place(lab: LabResult, value: Decimal, bands: list[Band], unit: str) -> str:
    """Of the blood count: the limit that it surely lies beyond, the furthest first."""
    beyond, word = (surely_below, "below") if lab.analyte == "haemoglobin" else (surely_above, "above")
    for each in bands:
        edge = each.high if word == "below" else each.low
        if each.words and edge is not None and beyond(lab, value, edge):
            return f"{each.words}: {word} {edge.normalize():f} {unit}"
    return "within the limits that are drawn"


WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 340, 168, 40, 12, 24, 24
MIDDLE = (LEFT + WIDTH - RIGHT) / 2
ANALYTES = ("b12", "active-b12", "mma", "homocysteine", "mcv", "haemoglobin")
FROM_ZERO = ("b12", "active-b12", "mma", "homocysteine")
SHORTEST, LONGEST = 365, 3650  # days on the time axis
SOURCES = {"order": "ordered", "statement": "stated", "administration": "given", "dispense": "dispensed"}
EVENTS = ("administration", "dispense")
LANE = 28  # height of one medicine with its words
MOST_POINTS, MOST_LANES, MOST_BARS = 60, 12, 40


@dataclass(frozen=True, slots=True)
class Point:
    """One result. `value` is in the chart unit; `x` and `y` are where it stands."""

    x: float
    y: float
    value: Decimal
    shown: str  # `value`, rounded, with its comparator
    reported: str
    day: str
    reference: str
    kind: str  # "", "below" (<), "above" (>), "doubtful"
    anchor: str  # of its words: start | middle | end
    place: str  # its band in words, or why it is not classified


@dataclass(frozen=True, slots=True)
class Chart:
    """One analyte."""

    analyte: str
    title: str
    unit: str
    points: tuple[Point, ...]
    bands: tuple[Band, ...]
    lines: tuple[tuple[float, str], ...]  # y and words of each limit
    other_units: bool  # some result was reported in the other kind of unit
    newest: Point
    floor: str  # the lowest number of the axis
    words_left: bool  # the words of the bands stand at the left, where no result is


@dataclass(frozen=True, slots=True)
class Bar:
    """One entry about a medicine, from the first to the last day that is known. `open`: still taken."""

    x: float
    width: float
    words: str
    reference: str
    open: bool
    earlier: bool  # it began before the axis does
    event: bool  # one dose on one day


@dataclass(frozen=True, slots=True)
class Lane:
    """One medicine: every entry about it, on one line."""

    y: float
    words: str
    treatment: bool
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """All charts of a patient; `ticks` are x and words of the time axis that they share."""

    charts: tuple[Chart, ...]
    lanes: tuple[Lane, ...]
    undated: tuple[str, ...]  # medicines of which no day is known
    ticks: tuple[tuple[float, str, str], ...]
    first: date
    last: date
    lanes_height: float


class Axis:
    """Days to x."""

    def __init__(self, first: date, last: date) -> None:
        self.first, self.last = first, last

    def x(self, day: date) -> float:
        share = (min(max(day, self.first), self.last) - self.first).days / (self.last - self.first).days
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def ticks(self) -> tuple[tuple[float, str, str], ...]:
        """Four moments: the edges and two between them."""
        span = (self.last - self.first).days
        days = [self.first + timedelta(days=span * number // 3) for number in range(4)]
        anchors = ("start", "middle", "middle", "end")
        words = (lambda day: str(day.year)) if span > 1500 else (lambda day: written(day).partition(" ")[2])
        return tuple((self.x(day), words(day), anchor) for day, anchor in zip(days, anchors, strict=True))


def timeline(case: Case) -> Timeline:
    """The charts of one patient."""
    labs = {analyte: tuple(shown_labs(case, analyte)) for analyte in ANALYTES}
    axis = axis_of(case, [lab.date for found in labs.values() for lab, _ in found if lab.date])
    charts = tuple(chart(case, analyte, found, axis) for analyte, found in labs.items() if found)
    taken = case.record.medications
    dated = [each for each in taken if each.start or each.last or each.end]
    undated = dict.fromkeys(case.display(each.ingredient) for each in taken if each not in dated and each.active)
    lanes = tuple(lanes_of(case, dated, axis))
    height = len(lanes) * LANE + BOTTOM + 4
    return Timeline(charts, lanes, tuple(undated), axis.ticks(), axis.first, axis.last, height)


def shown_labs(case: Case, analyte: str) -> Iterator[tuple[LabResult, Decimal]]:
    """Dated results whose unit is known, with the value in the chart unit; the newest ones."""
    known = case.pathway.analytes[analyte]
    for lab in case.labs.get(analyte, ())[:MOST_POINTS]:
        if lab.date is None or lab.value is None or not lab.unit or lab.date > case.today:
            continue
        try:
            yield lab, convert(known, lab.value, lab.unit, known.chart_unit)
        except ValueError:
            continue  # a unit of a kind that cannot be converted: it stands in the table


def axis_of(case: Case, days: list[date]) -> Axis:
    """From before the first result until today: at least a year, at most ten. A medicine that began not long before is
    shown from its beginning."""
    earliest, year = days_before(case.today, LONGEST), days_before(case.today, SHORTEST)
    first = min([*days, year])
    begun = [each.start for each in case.record.medications if each.start]
    first = max(min([first, *(day for day in begun if (first - day).days <= SHORTEST)]), earliest)
    return Axis(days_before(first, (case.today - first).days // 25), case.today)


def chart(case: Case, analyte: str, found: tuple[tuple[LabResult, Decimal], ...], axis: Axis) -> Chart:
    """One chart, with a scale that holds every value and every limit."""
    known = case.pathway.analytes[analyte]
    bands = bands_of(case, analyte)
    limits = [edge for each in bands for edge in (each.low, each.high) if edge is not None]
    bottom, top = scale([value for _, value in found], limits, analyte in FROM_ZERO)

    def y(value: Decimal) -> float:
        share = float((min(max(value, bottom), top) - bottom) / (top - bottom))
        return round(TOP + (1 - share) * (HEIGHT - TOP - BOTTOM), 1)

    points = tuple(
        point(case, lab, value, axis, y(value), place_of(case, lab, value, bands, known.chart_unit))
        for lab, value in reversed(found)
    )
    family = unit_named(known, known.chart_unit).family
    return Chart(
        analyte,
        known.display,
        known.chart_unit,
        points,
        tuple(with_place(each, bottom, top, y) for each in bands),
        tuple((y(edge), plain(edge)) for edge in dict.fromkeys(limits)),
        any(unit_named(known, lab.unit).family != family for lab, _ in found),
        points[-1],
        plain(bottom),
        sum(each.x > MIDDLE for each in points) >= sum(each.x < MIDDLE for each in points),
    )


def scale(values: list[Decimal], limits: list[Decimal], from_zero: bool) -> tuple[Decimal, Decimal]:
    """The lowest and the highest number of the axis. One value far off may not flatten the rest of limits away."""
    low, high = min([*values, *limits]), max([*values, *limits])
    room = (high - low) / 8 or Decimal(1)
    return (Decimal(0) if from_zero else low - room), high + room


def with_place(band: Band, bottom: Decimal, top: Decimal, y: object) -> Band:
    upper, lower = y(top if band.high is None else band.high), y(bottom if band.low is None else band.low)
    return Band(band.meaning, band.words, band.low, band.high, upper, round(lower - upper, 1))


def point(case: Case, lab: LabResult, value: Decimal, axis: Axis, y: float, place: str) -> Point:
    """A result. It is hollow where it was not classified, and an arrow where only a bound was reported."""
    kind = {"<": "below", "<=": "below", ">": "above", ">=": "above"}.get(lab.comparator, "")
    if why_unclassified(case, lab):
        kind = "doubtful"
    x = axis.x(lab.date)
    anchor = "start" if x < WIDTH * 0.3 else "end" if x > WIDTH * 0.6 else "middle"
    shown = f"{lab.comparator}{plain(value)}"
    return Point(x, y, value, shown, quantity(lab), written(lab.date), lab.reference, kind, anchor, place)


def is_treatment(case: Case, entry: Medication) -> bool:
    return entry.ingredient in case.pathway.groups.get("cobalamin", ()) and not (entry.multivitamin or entry.antidote)


def lanes_of(case: Case, entries: list[Medication], axis: Axis) -> Iterator[Lane]:
    """One lane for each medicine, treatment with B12 first."""
    by_medicine: dict[tuple[bool, str], list[Medication]] = {}
    for each in sorted(entries, key=lambda each: (each.start or each.last or each.end, each.reference)):
        by_medicine.setdefault((not is_treatment(case, each), each.ingredient), []).append(each)
    for number, ((other, ingredient), found) in enumerate(sorted(by_medicine.items())[:MOST_LANES]):
        bars = tuple(
            bar(case, each, axis) for each in sorted(found[-MOST_BARS:], key=lambda each: each.source in EVENTS)
        )
        yield Lane(number * LANE + 4, case.display(ingredient), not other, bars)


def bar(case: Case, entry: Medication, axis: Axis) -> Bar:
    """What is known of the days of one entry, and the same in words."""
    begin = entry.start or entry.last or entry.end
    end = entry.end or (case.today if entry.active else entry.last or begin)
    x, until = axis.x(begin), axis.x(max(begin, end))
    taken_still = entry.active and not entry.end
    words = f"{case.display(entry.ingredient)}, {SOURCES[entry.source]}{', ' + entry.route if entry.route else ''}: "
    words += written(begin) if begin == end else f"from {written(entry.start) if entry.start else 'an unknown day'}"
    words += "" if begin == end else ", still in use" if taken_still else f", until {written(end)}"
    return Bar(x, max(until - x, 3.0), words, entry.reference, taken_still, begin < axis.first, entry.source in EVENTS)


def plain(number: Decimal) -> str:
    """At most three digits that mean something, without an exponent."""
    rounded = round(number) if abs(number) >= 100 else round(number, 1)
    return f"{Decimal(rounded).normalize():f}"
