"""What the readers of the single resource types share while one record is read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from ..clinical.record import Allergy, Ignored, LabResult, Medication, OpenOrder, Problem, Unmapped, UnreadResult
from ..clinical.tables import Analyte, Pathway, Unit
from . import reasons
from .concepts import Matches
from .dates import Calendar
from .resources import Reference, Resource, listed

if TYPE_CHECKING:
    from ..content.content import Content


MOST_SUBJECTS = 10  # one is the rule; a longer list is somebody's trick, and its first ones decide
MOST_CONTAINED = 200  # contained resources that are searched for one reference


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


CodeKey = tuple[str | None, str | None, str | None, str | None]


class Reading:
    """One record being read: what it is read with, and what has been found so far. Lives for one call."""

    __slots__ = (
        "codes", "find", "words", "analytes", "groups", "orderables", "site_limits", "calendar", "today",
        "find_resource", "units", "recognised", "specimens", "labs", "lab_sources", "corrected", "problems", "ended",
        "medications", "allergies", "orders", "ignored", "unmapped",
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
        # results repeat their units, specimens and codes: what was found for one is remembered for the call
        self.units: dict[CodeKey, tuple[Unit | None, str]] = {}  # by analyte, unit, code and system
        self.specimens: dict[str, str] = {}  # reference or text -> what is wrong with the specimen, or ""
        self.recognised: dict[CodeKey, Recognition] = {}  # by system, code, display and text
        self.labs: list[LabResult | UnreadResult] = []
        self.lab_sources: list[Resource] = []  # as `labs`: the resource of each
        self.corrected = False  # is any of them amended or corrected?
        self.problems: list[Problem] = []
        self.ended: dict[str, date] = {}  # "pregnancy", "breastfeeding" -> the newest day on which it was denied
        self.medications: list[Medication] = []
        self.allergies: list[Allergy] = []
        self.orders: list[OpenOrder] = []
        self.ignored: list[Ignored] = []
        self.unmapped: list[Unmapped] = []

    def ignore(self, reference: str, reason: str) -> None:
        """Report that something was not used."""
        self.ignored.append(Ignored(reference, reason))

    def add_problem(self, problem: Problem) -> None:
        """Add a problem, unless it is dated in the future: that is reported."""
        if self.calendar.ahead(problem.onset) or self.calendar.ahead(problem.recorded):
            self.ignore(problem.reference, reasons.FUTURE)
        else:
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


def plain_reference(reference: str) -> str:
    """ "Patient/1" of "https://server/fhir/Patient/1/_history/3"."""
    parts = reference.partition("/_history/")[0].rstrip("/").rsplit("/", 2)
    return "/".join(parts[-2:])


def reference_of(resource: Resource) -> str:
    """How a card or an explanation names the resource; "" if it has no id."""
    return f"{resource.resource_type}/{resource.id}" if resource.id else ""


def status_of(resource: Resource) -> str:
    """The status in FHIR's spelling: some senders write "Final"."""
    return (resource.status or "").strip().lower()


def is_own(resource: Resource, patient_id: str, own: set[str], reading: Reading) -> bool:
    """Is the resource about this patient? One that names no subject is accepted. `own` grows by what was accepted."""
    named = resource.subject
    if type(named) is Reference and named.reference in own and resource.patient is None:  # as nearly all are
        return True
    for subject in (named, resource.patient):
        if subject is None:
            continue
        for reference in listed(subject)[:MOST_SUBJECTS]:
            name = reference.reference
            if not name or name in own:
                continue
            if not names_patient(name, patient_id, resource, reading):
                return False
            if not name.startswith("#"):
                own.add(name)
    return True


def names_patient(name: str, patient_id: str, holder: Resource, reading: Reading) -> bool:
    """Relative, absolute, with a version, as a URN of the Bundle, or contained."""
    if plain_reference(name) in (f"Patient/{patient_id}", patient_id) or name == f"urn:uuid:{patient_id}":
        return True
    found = reading.resolve(name, holder)
    if found is None or found.resource_type != "Patient":
        return False
    return found.id == patient_id or name.startswith("#")  # a contained Patient has no identity of its own
