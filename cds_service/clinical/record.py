"""What is known of one patient, in clinical terms: the only thing that the findings read.

FHIR ends where these types begin. All of them are frozen. Dates are calendar days in the site's time zone; a date
that the record does not give is None, never a guess. `reference` is the FHIR reference ("Observation/o1") that a
card or an explanation can name; it is "" only where the resource had no id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple, Protocol, overload

# The prefetch keys in which symptoms and signs, medicines in use, and doses that were given are recorded
SIGNS_STAND_IN = frozenset({"conditions", "status"})
MEDICINES_STAND_IN = frozenset({"medications", "medicationRequests"})  # one suffices: many servers have no other
DOSES_STAND_IN = frozenset({"administrations", "medications", "dispenses"})
Day = date  # inside a class that has an attribute `date`
Age = tuple[date, float, str]  # of a result: day, moment of that day, reference


class PartDate(date):
    """A day of which the record gives the month or the year alone: it counts as that day and is shown as given."""

    @property
    def whole_year(self) -> bool:
        """Is the year all that is known?"""
        return self.known == "year"

    @classmethod
    def of(cls, day: date, known: str) -> PartDate:
        """The day that counts, and what is known of it: "month" or "year"."""
        found = cls(day.year, day.month, day.day)
        found.known = known
        return found

    known = "month"


@dataclass(frozen=True, slots=True)
class Ignored:
    """A resource, or a part of one, that was not used, and why (our own words, never the record's)."""

    reference: str
    reason: str


@dataclass(frozen=True, slots=True)
class Unmapped:
    """A result whose name is that of a test that decides, under a code that is in no value set.

    What is written here of the code is the record's own: it is for the operator who maps it, never for a card or a log.
    """

    reference: str
    analyte: str  # an id of cards/analytes.toml, by the name
    system: str  # "" if the code came without one
    code: str
    display: str
    use: str  # what its unit promises: "mass", "molar", "either" or ""


class LabResult(NamedTuple):
    """One laboratory result that counts by its status (final, amended, corrected or preliminary).

    A named tuple, because a chart holds hundreds and it is four times as quick to make as a frozen dataclass.

    `value` and the range are in `unit`, which is our own spelling ("ng/L", "pmol/L"); `unit` is "" when it was
    missing or not in the closed table of the analyte, and then `doubt` says so. `number` is the digits as reported.
    """

    reference: str
    analyte: str  # an id of cards/analytes.toml
    date: Day | None
    moment: float = 0.0  # seconds since the epoch, to order results of one day; 0.0 when undated
    preliminary: bool = False
    value: Decimal | None = None
    number: str = ""
    comparator: str = ""  # "", "<", "<=", ">=", ">"
    unit: str = ""
    low: Decimal | None = None  # the laboratory's own reference range, only where its unit is the result's
    high: Decimal | None = None
    flag: str = ""  # "low", "high", "normal" as the laboratory flagged it
    outcome: str = ""  # "positive" or "negative", for antibodies
    kind: str = ""  # what the code promises: "mass", "molar", "either", "" where the analyte has one family only
    doubt: str = ""  # why the reader could not take it at face value: a key of cards/messages.toml [doubt]
    code: str = ""  # "system|code" by which it was recognised

    @property
    def age(self) -> Age:
        """Orders results by when they were taken; undated ones come first."""
        return self.date or Day.min, self.moment, self.reference


class UnreadResult(Protocol):
    """A result of which the value is not read yet; the rest is as in LabResult."""

    @property
    def reference(self) -> str: ...
    @property
    def analyte(self) -> str: ...
    @property
    def date(self) -> Day | None: ...
    @property
    def age(self) -> Age: ...

    def read(self) -> LabResult:
        """Read the result in full."""


class Results(Sequence[LabResult]):
    """Laboratory results, each read in full when somebody looks at it: a chart holds hundreds; the newest decide."""

    __slots__ = ("_results",)

    def __init__(self, results: Iterable[LabResult | UnreadResult]) -> None:
        self._results = list(results)

    def __len__(self) -> int:
        return len(self._results)

    @overload
    def __getitem__(self, place: int) -> LabResult: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[LabResult]: ...
    def __getitem__(self, place: int | slice) -> LabResult | Sequence[LabResult]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        found = self._results[place]
        if not isinstance(found, LabResult):
            found = self._results[place] = found.read()
        return found

    def __iter__(self) -> Iterator[LabResult]:
        return map(self.__getitem__, range(len(self._results)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def days(self) -> list[Day | None]:
        """The day of each result, in their order; no result is read for it."""
        return [each.date for each in self._results]

    def by_analyte(self) -> dict[str, Results]:
        """The results of each analyte, the newest first; undated ones last."""
        found: dict[str, list[LabResult | UnreadResult]] = {}
        for each in self._results:
            found.setdefault(each.analyte, []).append(each)
        return {analyte: Results(sorted(results, key=AGE, reverse=True)) for analyte, results in found.items()}


AGE = attrgetter("age")


class Measured(LabResult):
    """A result that may be used: it has a value, a unit and a date, by type. Made by `measured`."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def date(self) -> Day: ...

        @property
        def value(self) -> Decimal: ...


def measured(lab: LabResult) -> Measured | None:
    """The result as one that may be used; None where the number, the unit or the date is missing."""
    if isinstance(lab, Measured):
        return lab
    return Measured._make(lab) if lab.value is not None and lab.unit and lab.date is not None else None


@dataclass(frozen=True, slots=True)
class Problem:
    """A condition, symptom, operation, family history or state, recognised as one concept of cards/problems.toml."""

    reference: str
    concept: str
    source: str = "condition"  # condition | observation | procedure | family | patient
    onset: date | None = None
    recorded: date | None = None
    end: date | None = None
    active: bool = True  # False: resolved, inactive or in remission (an operation is always active)
    by_words: bool = False


@dataclass(frozen=True, slots=True)
class Medication:
    """One entry about one ingredient: an order, a statement of use, a dose given or dispensed.

    `start` is the first day of use that the entry gives (for an order: the day it was written), `last` the newest day
    on which use, supply or renewal is documented, `end` the day it stopped.
    """

    reference: str
    ingredient: str  # an id of cards/medicines.toml
    source: str  # order | statement | administration | dispense
    route: str = ""  # im | sc | iv | injection (which is not said) | oral | sublingual | nasal | other | "" (not said)
    start: date | None = None
    last: date | None = None
    end: date | None = None
    active: bool = False  # in use, or an order in force, as far as its status and end say
    dose: Decimal | None = None  # micrograms in one dose
    per_day: Decimal | None = None  # micrograms a day
    interval: Decimal | None = None  # days between doses; of several instructions the longest
    multivitamin: bool = False
    antidote: bool = False  # a cyanide kit is no B12 treatment
    recognised_by: str = "code"  # code | atc | ndc | words
    shortest: Decimal | None = None  # days between doses; of several instructions the shortest
    one_day: bool = False  # a statement about a single day
    pieces: Decimal | None = None  # ampoules, vials or millilitres that were dispensed
    supply: Decimal | None = None  # days for which a dispensed supply lasts


@dataclass(frozen=True, slots=True)
class Allergy:
    """An active allergy or intolerance to a substance that matters here: "cobalamin" or "cobalt"."""

    reference: str
    substance: str
    recorded: date | None = None
    by_words: bool = False


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """A test that is already ordered and not yet done: what it would measure."""

    reference: str
    orderable: str  # an id of orderables.toml
    written: date | None = None
    planned: date | None = None  # the day for which it is asked, where that is said


@dataclass(frozen=True, slots=True)
class OrderedPhase:
    """One dosage instruction of an order. None: not said."""

    dose: Decimal | None  # micrograms in one dose
    interval: Decimal | None  # days between doses
    days: Decimal | None = None  # how long it lasts, where that is limited
    in_words: bool = False  # the interval was read from free text: good enough to exempt an order, not to fault it
    as_needed: bool = False  # taken when needed: no schedule, whatever the timing says


@dataclass(frozen=True, slots=True)
class Order:
    """An order that a clinician has drafted: a medicine of one ingredient, or a test.

    `ingredient` is an id of medicines.toml, `orderable` one of orderables.toml; the other one is "".
    """

    reference: str  # "MedicationRequest/draft-2", as the client names it
    ingredient: str = ""
    orderable: str = ""
    route: str = ""
    per_day: Decimal | None = None  # micrograms a day
    phases: tuple[OrderedPhase, ...] = ()  # in sequence
    multivitamin: bool = False
    antidote: bool = False


@dataclass(frozen=True, slots=True)
class Patient:
    """The patient of the context. `sex` is "male", "female" or "" (not said or another value)."""

    reference: str
    sex: str = ""
    born: date | None = None
    deceased: bool = False


@dataclass(frozen=True, slots=True)
class PatientRecord:
    """Everything that was read about one patient, and what could not be read."""

    patient: Patient
    labs: Sequence[LabResult] = ()
    problems: tuple[Problem, ...] = ()
    medications: tuple[Medication, ...] = ()
    allergies: tuple[Allergy, ...] = ()
    orders: tuple[OpenOrder, ...] = ()
    selected: tuple[Order, ...] = ()  # what this call is about: the orders selected or signed
    beside: tuple[Order, ...] = ()  # other drafts of the same session
    ignored: tuple[Ignored, ...] = ()
    unmapped: tuple[Unmapped, ...] = ()
    published: frozenset[str] = frozenset()  # prefetch keys that this service asks for
    unavailable: frozenset[str] = frozenset()  # of these, the ones neither sent nor fetched
    incomplete: frozenset[str] = frozenset()  # prefetch keys of which only a part was read
    other_offset: bool = False  # a time came with an offset from UTC, and the days are those of UTC

    def unread(self, keys: frozenset[str]) -> frozenset[str]:
        """Those of these prefetch keys that this service asks for, and of which nothing or only a part was read."""
        return keys & self.published & (self.unavailable | self.incomplete)

    def medicines_unread(self) -> frozenset[str]:
        """The lists of medicines that were not read in full: none while one is whole and no other came in part."""
        lists = MEDICINES_STAND_IN & self.published
        whole_enough = lists - self.unavailable and not lists & self.incomplete
        return frozenset() if whole_enough else self.unread(lists)
