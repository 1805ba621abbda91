"""What each file of cards/ may hold: one type for each kind of element.

Types whose attributes have the names of a type of `cds_service.clinical.tables` become one by `elements.built`.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta, field

from cds_service.clinical.tables import Choice, Provenance

from .typed import Shape

Text = Annotated[str, Meta(pattern=r"\S")]
# Beside a list or a table: msgspec 0.22 takes a pattern there for another type, and a process crashes when it is freed.
Filled = Annotated[str, Meta(min_length=1)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$")]
Word = Annotated[str, Meta(pattern=r"^[^A-Z]*[^\sA-Z][^A-Z]*$")]
Topic = Annotated[str, Meta(pattern=r"^[A-Za-z0-9]{1,100}$")]
Period = Annotated[str, Meta(pattern=r"^P[0-9]+[YMWD]$")]
Count = Annotated[int, Meta(ge=1, le=36_525)]
Texts = tuple[Text, ...]
SomeTexts = Annotated[tuple[Text, ...], Meta(min_length=1)]
Words = tuple[Word, ...]
Evidence = Literal["primary", "secondary", "design"]
Card = Literal["info", "warning", "critical"]
Indicator = Literal["none", "info", "warning", "critical"]
Treat = Literal["now", "consider", "after", "none"]
Family = Literal["mass", "molar", "count", "fraction", "volume", "rate", "arbitrary"]
PeriodUnit = Literal["s", "min", "h", "d", "wk", "mo", "a"]
LabKey = Literal["b12", "bloodCount", "chemistry"]  # the prefetch keys that ask for laboratory results
FindingName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*$")]
Label = Literal[
    "confirmed", "indeterminate", "indeterminate-mma-supports", "indeterminate-mma-against", "unlikely",
    "functional-suspected", "not-assessable", "on-treatment", "not-tested", "out-of-scope",
]  # fmt: skip
Pairs = tuple[tuple[str, tuple[str, ...]], ...]
Phrases = dict[str, Filled | dict[str, Text]]
Coding = tuple[str, str, str]  # system, code, display


class Signed(Shape, frozen=True, kw_only=True):
    """What rests on a source."""

    source: Text
    evidence: Evidence
    checked: date

    @property
    def provenance(self) -> Provenance:
        return Provenance(self.source, self.evidence, self.checked)


class ContentFile(Shape, frozen=True, kw_only=True):
    """content.toml."""

    version: Annotated[str, Meta(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+([.-][0-9A-Za-z.-]+)?$")]
    title: Text
    intended_use: Text
    owners: Texts
    developer: str = ""  # "": not stated
    funding: str = ""
    approver: str
    review_by: date
    approved: date | None = None
    approved_version: Text = ""


class ExclusionEntry(Shape, frozen=True, kw_only=True):
    """Two sentences that no answer may hold together."""

    id: Name
    one: Text
    other: Text
    reason: Text


class MeasureEntry(Signed, frozen=True, kw_only=True):
    """What is counted in a population: a patient of these labels and courses (of any, where none is named) for whom all
    of `when`, at least one of `any` and none of `unless` are found."""

    id: Name
    title: Text
    meaning: str = ""  # what it counts, in words; {im-window} is that threshold of the pathway
    labels: tuple[Label, ...] = ()
    courses: tuple[Name, ...] = ()
    when: Texts = ()
    any: Texts = ()
    unless: Texts = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.labels or self.courses or self.when or self.any):
            raise ValueError("counts everybody; it needs labels, courses, when or any")


class PriorityEntry(Signed, frozen=True, kw_only=True):
    """How urgent a Task is whose worst card has the indicator `id`: Task.priority."""

    id: Card
    priority: Literal["routine", "urgent", "asap", "stat"]


class SourceTable(Shape, frozen=True, kw_only=True):
    """A publication of sources.toml."""

    title: Text
    url: Annotated[str, Meta(pattern=r"^(https://\S+)?$")]
    published: str


class UnitEntry(Shape, frozen=True, kw_only=True):
    """One unit of an analyte, and the other texts that stand for it."""

    above_zero: ClassVar[tuple[str, ...]] = ("factor",)
    spelling: Text
    family: Family
    factor: Decimal
    accepts: Texts = ()
    note: Text = ""


class PlausibleEntry(Shape, frozen=True, kw_only=True):
    """The range outside which a result is not taken at face value."""

    above_zero: ClassVar[tuple[str, ...]] = ("high", "high_on_injections")
    family: Family
    low: Decimal | None = None
    high: Decimal | None = None
    high_on_injections: Decimal | None = None
    note: Text = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low is None and self.high is None and self.high_on_injections is None:
            raise ValueError("states no limit; it needs low, high or both")
        if self.low is not None and self.low < 0:
            raise ValueError(f"'low' is {self.low}; it must be at least 0")


class AnalyteTable(Signed, frozen=True, kw_only=True):
    """An analyte of analytes.toml."""

    above_zero: ClassVar[tuple[str, ...]] = ("mass_per_molar",)
    display: Text
    prefetch: LabKey
    current: Name
    chart: Text = ""
    mass_per_molar: Decimal | None = None
    words: Words = ()
    note: Text = ""
    unit: tuple[UnitEntry, ...] = ()
    plausible: tuple[PlausibleEntry, ...] = ()


class ProblemTable(Shape, frozen=True, kw_only=True):
    """A concept of problems.toml."""

    display: Text
    groups: Texts
    lifelong: bool = False
    words: Words = ()
    note: Text = ""


class MedicineTable(Shape, frozen=True, kw_only=True):
    """An ingredient of medicines.toml."""

    display: Text
    groups: Texts
    words: Words = ()
    brands: Words = ()
    note: Text = ""


class FixedCardTable(Signed, frozen=True, kw_only=True):
    """A card that no row makes."""

    indicator: Card
    summary: Text
    detail: Text
    topic: Topic


class LineTable(FixedCardTable, frozen=True, kw_only=True):
    """The line that is left of a dismissed card."""

    indicator: Literal["info"]


class FixedTables(Shape, frozen=True, kw_only=True, rename={"dismissed_untreated": "dismissed-untreated"}):
    """[fixed] of a pathway.toml."""

    incomplete: FixedCardTable
    unjudged: FixedCardTable
    unavailable: FixedCardTable
    dismissed_untreated: LineTable
    dismissed: LineTable

    def by_name(self) -> dict[str, FixedCardTable]:
        """The cards by the names that they have in the file."""
        return {each.encode_name: getattr(self, each.name) for each in msgspec.structs.fields(self)}


class PathwayFile(Shape, frozen=True, kw_only=True):
    """pathway.toml."""

    id: Annotated[str, Meta(pattern=r"^[a-z0-9-]+$")]
    title: Text
    version: Text
    language: Annotated[str, Meta(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")]
    card_source: Text
    based_on: Filled | Texts
    fixed: FixedTables
    displays: dict[str, Text] = field(default_factory=dict)
    messages: Phrases = field(default_factory=dict)


WHOLE = {"days": 36_525, "months": 1_200, "years": 150, "doses": 1_000}  # units that are counted, and the most of each


class ThresholdEntry(Signed, frozen=True, kw_only=True):
    """A threshold."""

    above_zero: ClassVar[tuple[str, ...]] = ("step",)
    id: Name
    value: Decimal
    unit: Text
    step: Decimal
    remark: Text = field(name="note", default="")
    analyte: Name = ""
    below: FindingName = ""
    above: FindingName = ""

    @property
    def note(self) -> str:
        return " ".join(self.remark.split())

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.value < 0:
            raise ValueError(f"'value' is {self.value}; it must be at least 0")
        most = WHOLE.get(self.unit)
        if most and (self.value != int(self.value) or self.value > most):
            raise ValueError(f"'value' is {self.value}; a number of {self.unit} is whole and at most {most}")
        if bool(self.analyte) != bool(self.below or self.above) or (self.below and self.above):
            raise ValueError("a limit of your own says 'analyte', and the finding that it makes in 'below' or 'above'")


class CodingTable(Shape, frozen=True, kw_only=True):
    """A coding that a draft carries."""

    system: Text
    code: Text
    display: Text

    @property
    def coding(self) -> Coding:
        return self.system, self.code, self.display


class OrderableEntry(Signed, frozen=True, kw_only=True):
    """A test that can be ordered."""

    id: Name
    title: Text
    measures: Texts
    current_days: Count
    coded: CodingTable | None = field(name="coding", default=None)
    further: tuple[CodingTable, ...] = field(name="more_codings", default=())
    note: Text = ""

    @property
    def coding(self) -> Coding | None:
        return self.coded.coding if self.coded else None

    @property
    def more_codings(self) -> tuple[Coding, ...]:
        return tuple(each.coding for each in self.further)


class FollowUpEntry(Signed, frozen=True, kw_only=True):
    """What is to be done later."""

    id: Name
    title: Text
    after: tuple[Annotated[int, Meta(ge=1, le=1_000)], Literal["d", "wk", "mo", "a"]]
    orderable: Name = ""
    when: SomeTexts = ()
    unless: SomeTexts = ()
    any: SomeTexts = ()


class PhaseEntry(Shape, frozen=True, kw_only=True):
    """One phase of a regimen; ranges rise."""

    above_zero: ClassVar[tuple[str, ...]] = (
        "dose", "dose_high", "drafted_dose", "period", "period_high", "drafted_period",
    )  # fmt: skip
    id: Literal["loading", "maintenance", "treatment", "prophylaxis"]
    dose: Decimal
    dose_unit: Literal["mg", "microgram"]
    route: Literal["im", "sc", "oral"]
    frequency: Count
    period: Decimal
    period_unit: PeriodUnit
    words: Text
    dose_high: Decimal | None = None
    period_high: Decimal | None = None
    count: Count | None = None
    duration: tuple[Decimal, PeriodUnit] | None = None
    duration_high: tuple[Decimal, PeriodUnit] | None = None
    drafted_dose: Decimal | None = None
    drafted_period: Decimal | None = None
    ends: Text = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        for low, high in (("dose", "dose_high"), ("period", "period_high")):
            least, most = getattr(self, low), getattr(self, high)
            if most is not None and most <= least:
                raise ValueError(f"phase {self.id!r}: {high} {most} is not above {low} {least}")
            drafted = getattr(self, f"drafted_{low}")
            if (most is None) != (drafted is None):
                raise ValueError(f"phase {self.id!r}: drafted_{low} says which value of the range from {low} to {high} "
                                 "is drafted, and belongs to a range")  # fmt: skip
            if most is not None and not least <= drafted <= most:
                raise ValueError(f"phase {self.id!r}: drafted_{low} {drafted} is not between {least} and {most}")
        longer = self.duration_high
        if longer is not None and (self.duration is None or longer[1] != self.duration[1] or longer <= self.duration):
            raise ValueError(f"phase {self.id!r}: duration_high is the longer end of duration, in the same unit")
        if self.duration is not None and self.duration[0] <= 0:
            raise ValueError(f"phase {self.id!r}: 'duration' is {self.duration[0]}; it must be above 0")


class RegimenEntry(Signed, frozen=True, kw_only=True):
    """A treatment schedule."""

    above_zero: ClassVar[tuple[str, ...]] = ("least_dose",)
    id: Name
    ingredient: Name
    title: Text
    words: Text
    text: Text
    phases: Annotated[tuple[PhaseEntry, ...], Meta(min_length=1)] = field(name="phase")
    coded: tuple[CodingTable, ...] = field(name="codings", default=())
    also: Annotated[tuple[Name, ...], Meta(min_length=1)] = ()
    least_dose: Decimal | None = None
    under_skin: Name = ""
    note: Text = ""

    @property
    def codings(self) -> tuple[Coding, ...]:
        return tuple(each.coding for each in self.coded)


class ChoiceTable(Shape, frozen=True, kw_only=True):
    """A test or regimen with conditions of its own."""

    id: Name
    when: SomeTexts = ()
    any: SomeTexts = ()
    unless: SomeTexts = ()


Choices = tuple[Name | ChoiceTable, ...]


class RowEntry(Signed, frozen=True, kw_only=True):
    """What every row has."""

    table: ClassVar[str]
    id: Name
    when: SomeTexts = ()
    any: SomeTexts = ()
    unless: SomeTexts = ()
    off: bool = False
    fall_through: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.off and self.fall_through:
            raise ValueError("'off' withholds the card, 'fall_through' takes the row away: one of the two")


class CardRow(RowEntry, frozen=True, kw_only=True):
    """A row that can make a card."""

    indicator: Indicator = "none"
    raising: dict[Card, SomeTexts] = field(name="raise", default_factory=dict)
    no_card: SomeTexts = ()
    proposed: Choices = field(name="tests", default=())
    recommended: SomeTexts = ()
    review: Period = ""
    opening: Text = field(name="summary", default="")
    body: Text = field(name="detail", default="")
    topic: Topic = ""

    @property
    def raised(self) -> Pairs:
        return tuple(self.raising.items())

    @property
    def tests(self) -> tuple[Choice, ...]:
        return choices(self.proposed)

    @property
    def summary(self) -> str:
        return self.opening.strip()

    @property
    def detail(self) -> str:
        return self.body.strip()


class InterpretRow(CardRow, frozen=True, kw_only=True):
    """A row of interpret.toml."""

    table: ClassVar[str] = "interpret"
    label: Label
    indicator: Indicator
    treat: Treat = "none"
    treating: dict[Treat, SomeTexts] = field(name="treat_when", default_factory=dict)

    @property
    def treat_when(self) -> Pairs:
        return tuple(self.treating.items())


class TreatRow(CardRow, frozen=True, kw_only=True):
    """A row of treat.toml."""

    table: ClassVar[str] = "treat"
    speaks_alone: bool = False
    schedules: Choices = field(name="regimens", default=())

    @property
    def regimens(self) -> tuple[Choice, ...]:
        return choices(self.schedules)


class SafetyRow(TreatRow, frozen=True, kw_only=True):
    """A row of safety.toml. `treat`: the regimen is that of the treatment table."""

    table: ClassVar[str] = "safety"
    indicator: Indicator
    treat: Treat = "none"
    treating: dict[Treat, SomeTexts] = field(name="treat_when", default_factory=dict)

    @property
    def treat_when(self) -> Pairs:
        return tuple(self.treating.items())


class CourseRow(SafetyRow, frozen=True, kw_only=True):
    """A row of course.toml."""

    table: ClassVar[str] = "course"
    indicator: Indicator = "none"


class OrdersRow(SafetyRow, frozen=True, kw_only=True):
    """A row of orders.toml."""

    table: ClassVar[str] = "orders"
    removes: str = ""


PartOfCard = Literal["first", "act", "urgent", "next", "do-not", "caveat", "context"]


class NotesRow(RowEntry, frozen=True, kw_only=True):
    """A row of notes.toml."""

    table: ClassVar[str] = "notes"
    on: SomeTexts
    body: Text = field(name="detail")
    of_card: PartOfCard | None = field(name="part", default=None)

    @property
    def part(self) -> str:
        """Which part of a card it is; "" leaves that to the words with which it begins."""
        return self.of_card or ""

    @property
    def detail(self) -> str:
        return self.body.strip()


def choices(entries: Choices) -> tuple[Choice, ...]:
    """A list of ids, each alone or with its conditions."""
    return tuple(
        Choice(each) if isinstance(each, str) else Choice(each.id, each.when, each.unless, each.any) for each in entries
    )
