"""What the readers of the single resource types share while one record is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ..clinical.record import Allergy, Ignored, LabResult, Medication, OpenOrder, Problem, Unmapped, UnreadResult
from ..clinical.tables import Analyte, Limits, Pathway, Unit
from ..content.codes import Codes
from ..content.words import Words
from .concepts import Matches
from .dates import Calendar
from .index import MOST_CONTAINED
from .resources import Resource

if TYPE_CHECKING:
    from ..content.content import Content

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class ReadFor:
    """For whom and for when something is read: the patient's id, the content, and the client's day and time zone."""

    patient_id: str
    content: Content
    pathway: Pathway
    today: date
    zone: tzinfo


class Test(NamedTuple):
    """Which test a result is of, as it was recognised."""

    analyte: Analyte
    kind: str  # what the code promises: "mass", "molar" ...
    code: str  # "system|code"
    doubt: str  # "words-only" or ""


class Recognition(NamedTuple):
    """What the code of an Observation stands for."""

    test: Test | None  # a laboratory test of ours
    reason: str  # why it looks like one and is none
    matches: Matches  # symptoms and states
    named: bool  # no code is ours, but the name is that of one of our tests
    looks_like: str = ""  # the analyte, if that test is one of those that decide

    @property
    def is_other(self) -> bool:
        """Is it something else, so that a number of it says nothing here?"""
        return self.test is None and not (self.reason or self.matches or self.named or self.looks_like)


CodeKey = tuple[str | None, str | None, str | None, str | None]
MOST_REMEMBERED, LONGEST_REMEMBERED = 2048, 400  # texts, and their length: the caller is not trusted


class Recognised:
    """What codes and units were found to stand for, remembered over calls: laboratories and shops have few of them.

    What is remembered follows from the content alone, and is nothing that is about a patient.
    """

    __slots__ = ("tests", "units", "medicines")

    def __init__(self) -> None:
        self.tests: dict[CodeKey, Recognition] = {}  # by system, code, display and text
        self.units: dict[CodeKey, tuple[Unit | None, str]] = {}  # by analyte, unit, code and system
        self.medicines: dict[CodeKey, object] = {}  # of `products.described`, by system, code, display and text


def remember(known: dict[CodeKey, Found], key: CodeKey, found: Found) -> Found:
    """Keep what was found, if the texts are not too long; when there are too many, begin anew."""
    if sum(len(each) for each in key if each) <= LONGEST_REMEMBERED:
        if len(known) >= MOST_REMEMBERED:
            known.clear()
        known[key] = found
    return found


@lru_cache(maxsize=32)
def recognised_with(codes: Codes, words: Words, limits: Limits) -> Recognised:
    """What is remembered for one pathway of one content. Each pathway has limits of its own: they stand for it here."""
    return Recognised()


class Reading:
    """One record being read: what it is read with, and what has been found so far. Lives for one call."""

    __slots__ = (
        "codes", "find", "words", "analytes", "groups", "orderables", "site_limits", "calendar", "today",
        "find_resource", "recognised", "specimens", "labs", "lab_sources", "corrected", "problems", "ended",
        "medications", "allergies", "described", "orders", "issued_plans", "ignored", "unmapped",
        "patient",
    )  # fmt: skip

    def __init__(
        self,
        content: Content,
        pathway: Pathway,
        calendar: Calendar,
        find_resource: Callable[[str], Resource | None],
    ):
        self.codes, self.words = content.codes, content.words
        self.find = content.codes.find
        self.analytes, self.groups = pathway.analytes, pathway.groups
        self.orderables, self.site_limits = pathway.orderables, pathway.site_limits
        self.calendar, self.today = calendar, calendar.today
        self.find_resource = find_resource
        self.recognised = recognised_with(content.codes, content.words, pathway.limits)
        self.specimens: dict[str, str] = {}  # reference or text -> what is wrong with the specimen, or ""
        self.described: dict[tuple[int, str], object] = {}  # of `products.described`, by Medication and display
        self.labs: list[LabResult | UnreadResult] = []
        self.lab_sources: list[Resource] = []  # as `labs`: the resource of each
        self.corrected = False  # is any of them amended or corrected?
        self.problems: list[Problem] = []
        self.ended: dict[str, date] = {}  # "pregnancy", "breastfeeding" -> the newest day on which it was denied
        self.medications: list[Medication] = []
        self.allergies: list[Allergy] = []
        self.orders: list[OpenOrder] = []
        self.issued_plans: frozenset[str] = frozenset()  # references of plans that orders are based on
        self.ignored: list[Ignored] = []
        self.unmapped: list[Unmapped] = []
        self.patient = ""  # the reference of the patient of the context

    def ignore(self, reference: str, reason: str) -> None:
        """Report that something was not used."""
        self.ignored.append(Ignored(reference, reason))

    def add_problem(self, problem: Problem) -> None:
        """Add a problem. What is recorded has begun: a date in the future is none, and it counts as undated."""
        if self.calendar.ahead(problem.onset) or self.calendar.ahead(problem.recorded):
            self.calendar.met_no_date = True
            onset, recorded = (None if self.calendar.ahead(day) else day for day in (problem.onset, problem.recorded))
            problem = replace(problem, onset=onset, recorded=recorded)
        self.problems.append(problem)

    def deny(self, concept: str, day: date | None) -> None:
        """A state ("pregnancy") was denied on that day; what was recorded of it before has ended by then."""
        if day is not None and not self.calendar.ahead(day):
            self.ended[concept] = max(day, self.ended.get(concept, day))

    def resolve(self, reference: str | None, holder: Resource | None = None) -> Resource | None:
        """The resource that a reference means: contained in its holder, or sent along; None if it is not here."""
        if not reference:
            return None
        if reference.startswith("#"):
            contained = (holder.contained if holder is not None else None) or ()
            return next((each for each in contained[:MOST_CONTAINED] if each.id == reference[1:]), None)
        return self.find_resource(reference)


def reference_of(resource: Resource) -> str:
    """How a card or an explanation names the resource; "" if it has no id."""
    return f"{resource.resource_type}/{resource.id}" if resource.id else ""


def status_of(resource: Resource) -> str:
    """The status in FHIR's spelling: some senders write "Final"."""
    return (resource.status or "").strip().lower()
