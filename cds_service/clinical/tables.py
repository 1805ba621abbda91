"""The shapes of the clinical content: what cards/ becomes once it is loaded and checked; its limits and its units.

Nothing here reads a file; `cds_service.content` builds these from TOML. All numbers are Decimal. Units are a closed
table per analyte, no parser: UCUM is case sensitive and reads nonsense ("PG/ML" is petagauss per megalitre), so a text
is a unit only if the table of the analyte says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Context, Decimal
from functools import lru_cache

DIGITS = Context(prec=34)  # far beyond any laboratory: within a family every conversion is exact
MICRO = str.maketrans({"\u00b5": "u", "\u03bc": "u", "\u039c": "u"})  # micro sign, Greek mu, and mu in capitals


class Limits:
    """The thresholds of a pathway as plain numbers, looked up by name."""

    __slots__ = ("names", "_numbers", "_whole")

    def __init__(self, numbers: Mapping[str, Decimal]):
        self.names = frozenset(numbers)
        self._numbers = dict(numbers)
        self._whole = {name: int(value) for name, value in self._numbers.items()}

    def __getitem__(self, name: str) -> Decimal:
        return self._numbers[name]

    def __contains__(self, name: str) -> bool:
        return name in self._numbers

    def days(self, name: str) -> int:
        """A number of days, months or years as a whole number."""
        return self._whole[name]

    def within_days(self, name: str, day: date | None, today: date) -> bool:
        """Is `day` today or at most that many days before? An unknown day is not."""
        return day is not None and 0 <= (today - day).days <= self._whole[name]

    def within_months(self, name: str, day: date | None, today: date) -> bool:
        """Is `day` today or at most that many calendar months before? An unknown day is not."""
        return day is not None and months_before(today, self._whole[name]) <= day <= today

    def longer_than_months(self, name: str, day: date, today: date) -> bool:
        """Is `day` strictly more than that many calendar months before?"""
        return day < months_before(today, self._whole[name])


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a number or a sentence comes from: a key of sources.toml, its evidence grade, the day it was checked."""

    source: str
    evidence: str  # primary | secondary | design
    checked: date


@dataclass(frozen=True, slots=True)
class Threshold:
    """A number that decides. `step` is the smallest difference that can be reported in that unit."""

    id: str
    value: Decimal
    unit: str
    step: Decimal
    provenance: Provenance
    note: str = field(default="", compare=False)
    analyte: str = ""  # a limit that the content adds: a current result of this analyte ...
    below: str = ""  # ... surely below it makes this finding
    above: str = ""  # ... surely above it makes this finding

    @property
    def makes(self) -> str:
        """The finding of a limit that the content adds; "" for those that the program reads."""
        return self.below or self.above


@dataclass(frozen=True, slots=True)
class Unit:
    """One spelling of a unit. value in this unit x factor = value in the base unit of its family, exactly."""

    spelling: str
    family: str  # mass | molar | count | volume | ...
    factor: Decimal


@dataclass(frozen=True, slots=True)
class Plausible:
    """The range outside which a result in this family's base unit is not taken at face value."""

    family: str
    low: Decimal | None
    high: Decimal | None
    high_on_injections: Decimal | None = None  # a higher limit while B12 is injected


@dataclass(frozen=True, slots=True)
class Analyte:
    """What is known of one analyte: units by normalised text, base unit per family, chart unit, molar mass."""

    id: str
    display: str
    units: dict[str, Unit]  # by `normalise_unit(text)`
    bases: dict[str, str]  # family -> base spelling
    chart_unit: str
    mass_per_molar: Decimal | None  # 1 base molar unit = this many base mass units
    plausible: tuple[Plausible, ...] = ()
    provenance: Provenance | None = None
    prefetch: str = ""  # the prefetch key under which it is asked for
    current: str = ""  # the threshold, in days, within which its newest result counts


@dataclass(frozen=True, slots=True)
class Choice:
    """An orderable or regimen of a row, chosen when all of `when`, one of `any` and none of `unless` were found."""

    id: str
    when: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    any: tuple[str, ...] = ()  # empty: nothing is asked


PARTS = ("first", "act", "urgent", "next", "do-not", "caveat", "context")  # of a card, in the order of reading
Leads = tuple[tuple[str, tuple[str, ...]], ...]  # part of a card, and words with which a paragraph of it begins


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a decision table: it holds when all of `when`, one of `any` and none of `unless` were found.

    `indicator` "none" means: no card, unless raised.
    """

    id: str
    table: str  # safety | course | interpret | treat | orders | notes
    when: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    any: tuple[str, ...] = ()
    label: str = ""
    tests: tuple[Choice, ...] = ()
    treat: str = "none"  # now | consider | after | none
    treat_when: tuple[tuple[str, tuple[str, ...]], ...] = ()  # (treat, any of these findings): the first that holds
    regimens: tuple[Choice, ...] = ()
    recommended: tuple[str, ...] = ()  # of these tests and regimens, the one that comes first
    review: str = ""
    indicator: str = "none"
    raised: tuple[tuple[str, tuple[str, ...]], ...] = ()  # (indicator, any of these findings): the most severe counts
    no_card: tuple[str, ...] = ()  # any of these findings: the row matches, without a card
    removes: str = ""  # orders only: a finding about the clinician's own orders, which a suggestion removes
    summary: str = ""
    detail: str = ""
    topic: str = ""
    speaks_alone: bool = False  # safety only: sent even when required data is missing
    off: bool = False  # a site withholds the card and its drafts; the row still matches and gives its label
    part: str = ""  # notes only: which part of a card it is, a word of PARTS
    on: tuple[str, ...] = ()  # notes only: the tables ("interpret") or rows ("interpret/deficient") it is added to
    provenance: Provenance = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Phase:
    """One part of a regimen: a dose, a route, how often, and what ends it."""

    id: str  # loading | maintenance | treatment | prophylaxis
    dose: Decimal
    dose_high: Decimal | None  # an upper dose where the source gives a range
    dose_unit: str  # mg | microgram
    route: str  # im | sc | oral
    frequency: int
    period: Decimal
    period_high: Decimal | None
    period_unit: str  # d | wk | mo | a
    count: int | None = None  # number of doses that end the phase
    duration: tuple[Decimal, str] | None = None
    duration_high: tuple[Decimal, str] | None = None  # a longer one where the source gives a range
    drafted_dose: Decimal | None = None  # what is drafted where the words give a range
    drafted_period: Decimal | None = None
    ends: str = ""  # the words that end it, where no number does
    words: str = ""  # the phase as a clinician reads it


@dataclass(frozen=True, slots=True)
class Regimen:
    """A treatment schedule: one source for the card's text, the draft order and the check of a clinician's own."""

    id: str
    ingredient: str  # an id of cards/medicines.toml
    title: str
    words: str
    text: str  # medicationCodeableConcept.text: begins with the ingredient
    phases: tuple[Phase, ...]
    provenance: Provenance
    codings: tuple[tuple[str, str, str], ...] = ()  # (system, code, display)
    also: tuple[str, ...] = ()  # ingredients that a clinician's own order may have instead
    least_dose: Decimal | None = None  # the first dose of another recognised schedule, in the phase's unit
    under_skin: str = ""  # the regimen that takes its place where an injection into a muscle may bleed


@dataclass(frozen=True, slots=True)
class Orderable:
    """A test that can be drafted, what would make it superfluous, and for how many days a result serves."""

    id: str
    title: str
    coding: tuple[str, str, str] | None
    measures: tuple[str, ...]  # a current result of every one of these analytes makes the draft superfluous
    current_days: int
    provenance: Provenance
    more_codings: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What is to be done later, drafted with a regimen: a test of `orderable`, or a review ("")."""

    id: str
    title: str
    after: tuple[int, str]  # 8, "wk"
    provenance: Provenance
    orderable: str = ""
    when: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    any: tuple[str, ...] = ()

    def day(self, today: date) -> date:
        """The day on which it is due."""
        number, unit = self.after
        if unit in DAYS_IN:
            return today + timedelta(days=number * DAYS_IN[unit])
        return months_before(today, -number * (12 if unit == "a" else 1))


DAYS_IN = {"d": 1, "wk": 7}


@dataclass(frozen=True, slots=True)
class Source:
    """A publication that cards may name."""

    id: str
    title: str
    url: str
    published: str


@dataclass(frozen=True, slots=True)
class FixedCard:
    """A card that no table row makes: what could not be judged."""

    id: str
    indicator: str
    summary: str
    detail: str
    topic: str
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class DateWords:
    """How a day is written: the names of the months, and where day, month and year stand."""

    months: tuple[str, ...]
    day: str = "{day} {month} {year}"
    month: str = "{month} {year}"
    undated: str = ""

    @classmethod
    def of(cls, messages: Mapping[str, str]) -> DateWords:
        """As the content says it; what it does not say is a fault of the content, which is reported when it loads."""
        day, month, undated = (messages.get(name, "") for name in ("date.day", "date.month", "undated"))
        return cls(tuple(messages.get("date.months", "").split(" | ")), day, month, undated)


@dataclass(frozen=True, slots=True)
class Pathway:
    """One pathway, complete: everything that decides and everything that is said."""

    id: str
    title: str
    version: str
    sources: dict[str, Source]
    card_source: str  # the source that cards name
    thresholds: dict[str, Threshold]
    analytes: dict[str, Analyte]
    groups: dict[str, frozenset[str]]  # group -> problem concepts or ingredients
    displays: dict[str, str]  # concept, ingredient, analyte -> our display
    messages: dict[str, str]  # our own short phrases by key
    interpret: tuple[Row, ...]
    treat: tuple[Row, ...]
    safety: tuple[Row, ...]
    orders: tuple[Row, ...]
    notes: tuple[Row, ...]
    regimens: dict[str, Regimen]
    orderables: dict[str, Orderable]
    fixed: dict[str, FixedCard]
    limits: Limits = field(init=False, repr=False, compare=False)  # the thresholds as plain numbers
    compared: tuple[Threshold, ...] = field(init=False, repr=False, compare=False)  # limits that the content adds
    dates: DateWords = field(init=False, repr=False, compare=False)
    leads: Leads = field(init=False, repr=False, compare=False)
    follow_ups: dict[str, FollowUp] = field(default_factory=dict)
    course: tuple[Row, ...] = ()  # a pathway without one tells nothing of a course
    problem_list: bool = False  # a site wants a deficiency that was found offered for its problem list
    doses_recorded: bool = True  # False: injections are given and not recorded where this service reads
    site_limits: frozenset[str] = field(default_factory=frozenset)  # "system|code|unit" whose limits a site has set

    def __post_init__(self) -> None:
        numbers = {name: threshold.value for name, threshold in self.thresholds.items()}
        object.__setattr__(self, "limits", Limits(numbers))
        object.__setattr__(self, "dates", DateWords.of(self.messages))
        object.__setattr__(self, "leads", leads_in(self.messages))
        object.__setattr__(self, "compared", tuple(each for each in self.thresholds.values() if each.makes))


def leads_in(messages: Mapping[str, str]) -> Leads:
    """The leads of the parts, as the content says them under "part."."""
    said = ((key.removeprefix("part."), text) for key, text in messages.items() if key.startswith("part."))
    return tuple((part, tuple(text.split(" | "))) for part, text in said)


def months_before(day: date, months: int) -> date:
    """The same day of the month, so many months earlier; the last day of a shorter month."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    if year < 1:
        return date.min
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, last)
        except ValueError:
            continue
    raise ValueError(f"no day in {year}-{month + 1}")


def days_before(day: date, days: int) -> date:
    """So many days earlier, never before the calendar begins."""
    return day - timedelta(days=min(days, (day - date.min).days))


@lru_cache(maxsize=1024)  # laboratories write few units; bounded, because the caller is not trusted
def normalise_unit(text: str) -> str:
    """A unit's text without spaces and case, every micro sign as "u": the key of `Analyte.units`."""
    return "".join(text.split()).translate(MICRO).casefold()


def to_base(value: Decimal, unit: Unit) -> Decimal:
    """The value in the base unit of the unit's family, exactly."""
    return DIGITS.multiply(value, unit.factor)


def convert(analyte: Analyte, value: Decimal, text: str, wanted: str) -> Decimal:
    """A value of this analyte in another of its units: exact within a family, by molar mass between mass and molar.

    Raises ValueError for a unit that the analyte's table does not hold, and between families without a molar mass.
    """
    given, target = unit_named(analyte, text), unit_named(analyte, wanted)
    base = to_base(value, given)
    if given.family != target.family:
        base = across(analyte, base, given.family, target.family)
    return DIGITS.divide(base, target.factor)


def unit_named(analyte: Analyte, text: str) -> Unit:
    """The unit of the analyte's table that a text stands for."""
    unit = analyte.units.get(normalise_unit(text))
    if unit is None:
        raise ValueError(f"{analyte.id}: no such unit. Known: {', '.join(sorted(analyte.bases.values()))} and others")
    return unit


def across(analyte: Analyte, base: Decimal, family: str, wanted: str) -> Decimal:
    """From the base unit of mass to that of substance amount, or back."""
    ratio = analyte.mass_per_molar
    if ratio is not None and (family, wanted) == ("molar", "mass"):
        return DIGITS.multiply(base, ratio)
    if ratio is not None and (family, wanted) == ("mass", "molar"):
        return DIGITS.divide(base, ratio)
    raise ValueError(f"{analyte.id}: {family} and {wanted} cannot be converted into each other")
