"""One patient on one day, as the findings see it: the record, the pathway's numbers, and what was found so far.

Here too is what can be asked of a single laboratory result: its number in the unit of a limit, surely below or above
it, plausible or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from .record import LabResult, Measured, Medication, Order, PartDate, PatientRecord, Problem, Results, measured
from .tables import DateWords, Pathway, Plausible, normalise_unit

if TYPE_CHECKING:
    from .course import Course
    from .injections import Ended
    from .loading import Loading

B12_ANALYTES = ("b12", "active-b12")
MARKERS = ("mma", "homocysteine")  # the analytes, and the tests that measure them
ORDERS = "the orders of this call"  # those that it is about

EVIDENCE = tuple(
    f"evidence.{name}"
    for name in (
        "on-day range range-from injection injections-ordered no-injection doses-elsewhere ordered by-mouth-until "
        "no-b12-ever no-b12 no-b12-in-a-year b12-in-part b12-begun kidneys-unknown doses aged deceased no-birth "
        "chloramphenicol cobalamin-allergy cobalt-allergy no-medicine-list no-list no-allergies "
        "positive negative"
    ).split()
)  # the phrases of messages.toml with which evidence is said


class Because(NamedTuple):
    """One piece of evidence: the resource it came from ("" where none stands for it) and what it says."""

    reference: str
    text: str


Evidence = tuple[Because, ...]


def written(day: date | None, words: DateWords) -> str:
    """A day as a clinician reads it, "10 Jan 2026"; the month or year that is known; "undated" when none is."""
    if day is None:
        return words.undated
    if isinstance(day, PartDate) and day.whole_year:
        return str(day.year)
    template = words.month if isinstance(day, PartDate) else words.day
    return template.format(day=day.day, month=words.months[day.month - 1], year=day.year)


class Case:
    """The record of one patient with lookups by analyte, concept group and ingredient group; `found` grows.

    What a step works out (`doses`, `b12`, `mma` ...) is not there before that step: reading it too early is an error.
    """

    __slots__ = (
        "record", "pathway", "limits", "today", "found", "labs", "problems", "oral", "course", "ended",
        "doses_are_recorded", "loading", "answered_b12", "b12", "b12_other", "b12_earlier", "b12_newer", "b12_state",
        "band", "usable_b12", "judged_b12", "old_b12", "doubtful_b12", "mma", "homocysteine", "unjudged",
        "folic_orders", "b12_begun", "lowering", "long_uses", "explaining", "_newest",
    )  # fmt: skip

    doses_are_recorded: bool  # False: the site does not record injections, or its record of them could not be read
    course: Course
    ended: Ended | None  # the last B12 treatment that no longer counts
    loading: Loading | None
    answered_b12: Measured | None  # the newest result after which treatment began that no longer counts
    oral: list[Medication]  # what counts as B12 by mouth today
    b12: LabResult | None  # the result that drives, or the preliminary one
    b12_other: Measured | None  # of total and active B12 the one that does not drive
    b12_earlier: Measured | None  # another recent one, in another band
    b12_newer: LabResult | None  # a newer one that is preliminary
    b12_state: str  # driven | masked | untested | preliminary | unusable
    band: str  # of the result that drives: deficient | grey | above, or ""
    usable_b12: list[Measured]  # newest first
    judged_b12: list[Measured]  # of whatever age
    old_b12: Measured | None  # the newest that is too old to count
    doubtful_b12: LabResult | None
    mma: Measured | None
    homocysteine: Measured | None
    unjudged: dict[str, Because]  # analyte -> its newest result, where that could not be judged
    folic_orders: list[Order]  # folic acid at treatment dose that is selected
    b12_begun: list[Because]  # where it is: B12 drafted with it, or begun today or yesterday
    lowering: list[Medication]  # medicines that lower B12 and count, one entry of each
    explaining: list[Medication]  # those of them that have been taken long enough to explain a deficiency
    long_uses: dict[str, tuple[list[Because], bool]]  # by its limit: the evidence of a use, and whether it is longer

    def __init__(self, record: PatientRecord, pathway: Pathway, today: date):
        self.record, self.pathway, self.limits, self.today = record, pathway, pathway.limits, today
        self.found: dict[str, Evidence] = {}
        self._newest: dict[str, Measured | None] = {}
        labs = record.labs if isinstance(record.labs, Results) else Results(record.labs)
        self.labs: Mapping[str, Results] = labs.by_analyte()
        self.problems: dict[str, list[Problem]] = {}
        for problem in record.problems:
            self.problems.setdefault(problem.concept, []).append(problem)

    def recorded(self) -> set[str]:
        """The analytes, and the groups of problems and medicines, of which anything is recorded; and whether the call
        carries orders."""
        names = {*self.problems, *(each.ingredient for each in self.record.medications)}
        groups = (group for group, members in self.pathway.groups.items() if not members.isdisjoint(names))
        return {*self.labs, *groups, *((ORDERS,) if self.record.selected else ())}

    def written(self, day: date | None) -> str:
        """A day as a clinician reads it."""
        return written(day, self.pathway.dates)

    def on_day(self, what: str, day: date | None) -> str:
        """ "B12 150 ng/L on 10 Jan 2026"."""
        return self.words("on-day", what=what, date=self.written(day))

    def words(self, key: str, **values: object) -> str:
        """One of our short phrases, [evidence] in messages.toml, filled in."""
        return self.pathway.messages[f"evidence.{key}"].format(**values)

    def add(self, name: str, evidence: Iterable[Because] | None) -> None:
        """Record a finding, unless there is no evidence for it."""
        if evidence and (because := tuple(evidence)):
            self.found[name] = because

    def has(self, *names: str) -> bool:
        """Was any of these found?"""
        for name in names:  # noqa: SIM110  # asked a hundred times in a call, where `any` costs three times as much
            if name in self.found:
                return True
        return False

    def joined(self, names: Iterable[str]) -> Iterable[Because]:
        """The evidence of those of the findings that hold, each piece once."""
        return dict.fromkeys([because for each in names for because in self.found.get(each, ())])

    def in_group(self, group: str) -> list[Problem]:
        """Every problem whose concept belongs to the group, in the record's order."""
        concepts = self.pathway.groups.get(group, frozenset())
        return [problem for problem in self.record.problems if problem.concept in concepts]

    def medicines(self, group: str) -> list[Medication]:
        """Every entry about an ingredient of the group."""
        ingredients = self.pathway.groups.get(group, frozenset())
        return [entry for entry in self.record.medications if entry.ingredient in ingredients]

    def display(self, key: str) -> str:
        """Our own words for a concept, ingredient or analyte."""
        return self.pathway.displays.get(key, key)

    def base(self, lab: Measured) -> tuple[str, Decimal]:
        """(family, value in the family's base unit), exactly."""
        return self.base_of(lab, lab.value)

    def base_of(self, lab: LabResult, number: Decimal) -> tuple[str, Decimal]:
        """(family, a number in the result's unit expressed in the family's base unit), exactly."""
        unit = self.pathway.analytes[lab.analyte].units[normalise_unit(lab.unit)]
        return unit.family, number * unit.factor

    def newest(self, analyte: str, days: str) -> Measured | None:
        """The newest result with a number that counts and lies within the named number of days."""
        if analyte not in self._newest:
            results = self.labs.get(analyte)
            self._newest[analyte] = worse_of_the_day(self, self._within(results, days)) if results else None
        return self._newest[analyte]

    def _within(self, results: Results, days: str) -> Iterator[Measured]:
        """Those of the newest day that has any. What is older need not be read."""
        chosen: date | None = None
        for place, day in enumerate(results.days()):
            if chosen and day != chosen:
                return
            if day is not None and not self.limits.within_days(days, day, self.today):
                return  # newest first: what follows is older still, or has no date
            lab = results[place]
            known = None if lab.doubt or lab.preliminary else measured(lab)
            if known and not implausible(self, known):
                chosen = known.date
                yield known

    def current(self, analyte: str) -> Measured | None:
        """The newest result that counts, of an analyte that some finding has compared."""
        return self._newest.get(analyte)

    def labs_within(self, *analytes: str, days: str) -> bool:
        """Is there any final result of these analytes within the named number of days, whatever it says?"""
        return any(
            not lab.preliminary and self.limits.within_days(days, lab.date, self.today)
            for analyte in analytes
            for lab in self.labs.get(analyte, ())
        )

    def because(self, *labs: LabResult | None) -> Evidence:
        """The evidence of laboratory results: what was measured, the number as reported, and when."""
        return tuple(Because(lab.reference, self.on_day(self.reported(lab), lab.date)) for lab in labs if lab)

    def reported(self, lab: LabResult) -> str:
        """A result as the laboratory reported it, with our spelling of its unit: "total B12 150.10 ng/L"."""
        shown = quantity(lab) if lab.value is not None else self.outcome(lab)
        return f"{self.display(lab.analyte)} {shown}".rstrip()

    def outcome(self, lab: LabResult) -> str:
        """The outcome of a qualitative test in our words; "" where there is none."""
        return self.words(lab.outcome) if lab.outcome else ""


HIGHER_IS_WORSE = ("mma", "homocysteine", "creatinine", "mcv")


def worse_of_the_day(case: Case, newest_first: Iterable[Measured]) -> Measured | None:
    """The newest result; of several of that day the worse, whatever the hour or the reference."""
    chosen: Measured | None = None
    for lab in newest_first:
        if chosen is None:
            chosen = lab
        elif lab.date != chosen.date:
            break
        elif comparable(case, lab) != comparable(case, chosen):
            higher = comparable(case, lab) > comparable(case, chosen)
            chosen = lab if higher == (lab.analyte in HIGHER_IS_WORSE) else chosen
    return chosen


def comparable(case: Case, lab: Measured) -> Decimal:
    """The number in one unit for all results of an analyte: in mass where it has a molar mass."""
    family, value = case.base(lab)
    ratio = case.pathway.analytes[lab.analyte].mass_per_molar
    return value * ratio if family == "molar" and ratio else value


def quantity(lab: LabResult) -> str:
    """The number as reported, with comparator and unit; the outcome of a qualitative test."""
    if lab.value is None:
        return lab.outcome
    return f"{lab.comparator}{lab.number} {lab.unit}".strip()


def in_limit_unit(case: Case, lab: Measured) -> Decimal:
    """The number in the base unit of the analyte; a molar haemoglobin in g/L, the unit of its limits."""
    family, value = case.base(lab)
    factor = case.pathway.analytes[lab.analyte].mass_per_molar
    return value * factor if family == "molar" and factor and lab.analyte == "haemoglobin" else value


def flag_opposes(lab: LabResult, side: str) -> bool:
    """Does the laboratory's flag say otherwise than that the result is "below" or "above" a limit, or "normal"?"""
    agreeing = {"below": "low", "above": "high", "normal": "normal"}[side]
    return lab.flag not in ("", agreeing)


def surely_below(lab: LabResult, value: Decimal, limit: Decimal) -> bool:
    """Do all the values that the result allows lie below the limit? `value` is the result in the limit's unit."""
    if not lab.comparator:
        return value < limit
    return (lab.comparator == "<" and value <= limit) or (lab.comparator == "<=" and value < limit)


def surely_above(lab: LabResult, value: Decimal, limit: Decimal) -> bool:
    """Do all the values that the result allows lie above the limit?"""
    if not lab.comparator:
        return value > limit
    return (lab.comparator == ">" and value >= limit) or (lab.comparator == ">=" and value > limit)


def implausible(case: Case, lab: Measured) -> str:
    """Why a number cannot be taken at face value (a key of messages.toml [doubt]), or ""."""
    analyte = case.pathway.analytes[lab.analyte]
    if not lab.unit:
        return "no-unit"
    family, value = case.base(lab)
    limits = next((limit for limit in analyte.plausible if limit.family == family), None)
    if limits is None:
        return other_family(case, lab, family, value)
    return outside(case, lab, value, limits)


def outside(case: Case, lab: LabResult, value: Decimal, limits: Plausible) -> str:
    """Above or below what is plausible; while B12 is injected a very high B12 is what one expects."""
    if limits.low is not None and value < limits.low:
        return "implausible-low"
    injected = lab.analyte in B12_ANALYTES and "on_im" in case.found
    high = limits.high_on_injections if injected else limits.high
    return "implausible-high" if high is not None and value > high else ""


def other_family(case: Case, lab: LabResult, family: str, value: Decimal) -> str:
    """The same check where the plausible range is stated in the other family: mass for a molar result or back."""
    analyte = case.pathway.analytes[lab.analyte]
    if not analyte.plausible or analyte.mass_per_molar is None:
        return ""
    limits = analyte.plausible[0]
    factor = analyte.mass_per_molar if family == "molar" else 1 / analyte.mass_per_molar
    return outside(case, lab, value * factor, limits)
