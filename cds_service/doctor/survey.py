"""Whole categories of the record read, as far as the server allows: over everybody, else patient by patient.

Bounded in pages, number and time. What was not read is said: a code that comes once a year may not be among what was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from urllib.parse import quote

from ..evaluate import Service
from ..fetching import FetchFailed
from ..fhir.gathering.bundles import UnreadableError, decode
from ..fhir.gathering.gather import Gathered
from ..fhir.gathering.key_states import sort
from ..fhir.gathering.shelf import Shelf, can_be_fetched, medication_to_look_up
from ..fhir.reading.dates import Calendar
from ..fhir.reading.reading import Reading
from ..fhir.resources import Resource
from .access import Reply, Server
from .cleaning import Privacy
from .labs import LabTally
from .medicines import KINDS, MedicineTally
from .patients import query_of, subjects, without_patient

LOOKED_UP = 50  # Medications that entries only refer to
PATIENT = "patient="
Take = Callable[[Resource], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """One search of the survey, in words, and how far it was read."""

    what: str
    over: str  # "everybody" | "the patients tried"
    found: int
    failure: str = ""  # why there is nothing, or not for all patients
    cut: str = ""


class Survey:
    """What was read and counted so far."""

    def __init__(self, server: Server, service: Service, today: date, patients: tuple[str, ...]):
        self._server, self._patients = server, patients
        self._shelf = Shelf("")
        calendar = Calendar(service.zone, today)
        self._reading = Reading(service.content, service.pathway, calendar, self._shelf.find)
        self._counted: set[tuple[str | None, str]] = set()
        self.labs, self.medicines = LabTally(), MedicineTally()
        self.asked: list[Asked] = []
        self.unreadable = 0
        self.privacy = Privacy()
        self.privacy.add(patients)

    def laboratory(self, published: Mapping[str, str]) -> None:
        """The category, then everything without a category, then our codes: the same result counts once."""
        self._search("laboratory results", "Observation?category=laboratory&_count=200", self._observation)
        self._search("all observations", "Observation?_count=200", self._observation)
        for key in ("b12", "bloodCount", "chemistry"):
            self._search(f"our codes, {key}", without_patient(published[key]), self._observation, published[key])

    def gathered(self, found: Iterable[Gathered]) -> None:
        """What the calls for the patients tried have found already."""
        for each in found:
            for resource in each.included:
                self._shelf.include("", resource)
            for resource in each.resources:
                if resource.resource_type == "Observation":
                    self._once(resource, self._observation)
                elif resource.resource_type in KINDS:
                    self._once(resource, self._keep)

    def all_medicines(self) -> None:
        """Every kind of entry that names a medicine. One after the other: entries share Medications."""
        for kind in KINDS:
            self._search(kind, f"{kind}?_count=200", self._keep)
        self._look_up()
        for resource in self._shelf.resources:
            self._guarded(lambda resource: self.medicines.add(resource, self._reading), resource)

    def _search(self, what: str, query: str, take: Take, template: str = "") -> None:
        """Over everybody; where that is refused or finds nothing, for each of the patients."""
        reply = self._server.read(query)
        found = self._take(reply, query, take)
        if found or not self._patients:
            self.asked.append(Asked(what, "everybody", found, reply.failure, reply.cut))
            return
        replies = [self._server.read(each) for each in self._by_patient(query, template)]
        found = sum(self._take(each, query, take) for each in replies)
        failure, cut = ("; ".join(dict.fromkeys(filter(None, said))) for said in self._said(replies))
        self.asked.append(Asked(what, "the patients tried", found, failure, cut))

    def _by_patient(self, query: str, template: str) -> list[str]:
        if template:
            return [query_of(template, patient) for patient in self._patients]
        kind, _, rest = query.partition("?")
        return [f"{kind}?{PATIENT}{quote(patient, safe='')}&{rest}" for patient in self._patients]

    def _said(self, replies: Iterable[Reply]) -> tuple[list[str], list[str]]:
        replies = list(replies)
        return [each.failure for each in replies], [each.cut for each in replies]

    def _take(self, reply: Reply, query: str, take: Take) -> int:
        """Take each resource of the type that was asked for; how many there were."""
        kind = query.partition("?")[0]
        for page in reply.pages:
            for entry in page.included:
                if entry.resource is not None:
                    self._shelf.include(entry.full_url or "", entry.resource)
        found = [each for each in reply.resources if each.resource_type == kind]
        self.privacy.add(subjects(found))
        for resource in found:
            self._once(resource, take)
        return len(found)

    def _once(self, resource: Resource, take: Take) -> None:
        """The same resource may come with several searches."""
        key = (resource.resource_type, resource.id or f"#{len(self._counted)}")
        if key not in self._counted:
            self._counted.add(key)
            self._guarded(take, resource)

    def _guarded(self, take: Take, resource: Resource) -> None:
        try:
            take(resource)
        except (ValueError, ArithmeticError):  # as in fhir.reader: data that no reader foresaw
            self.unreadable += 1

    def _observation(self, resource: Resource) -> None:
        self.labs.add(resource, self._reading)

    def _keep(self, resource: Resource) -> None:
        self._shelf.resources.append(resource)

    def _look_up(self) -> None:
        """Medications that an entry only refers to, some of them."""
        missing = dict.fromkeys(medication_to_look_up(each, self._shelf) for each in self._shelf.resources)
        wanted = [reference for reference in missing if reference and can_be_fetched(reference)][:LOOKED_UP]
        for reference in wanted:
            try:
                page = sort(decode(self._server.raw(reference)))
            except (FetchFailed, UnreadableError):
                continue
            for entry in page.own:
                if entry.resource is not None and entry.resource.resource_type == "Medication":
                    self._shelf.include(reference, entry.resource)
