"""Sorts each answer into matches, includes and outcomes, and finds the resources of a call by their reference."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from ..clinical.record import Ignored
from ..content.codes import canonical_system
from .bundles import Decoded
from .resources import CodeableConcept, Entry, Issue, Link, Reference, Resource, listed, medicine_of

_VERSION = re.compile(r"/_history/[^/]*$")
MOST_SUBJECTS = 10  # one is the rule; a longer list is somebody's trick, and its first ones decide
MOST_CONTAINED = 200  # contained resources that are searched for one reference
WORD = re.compile(r"[A-Za-z]{4}")  # a code that is no code but a name
_MEDICATION = re.compile(r"(?:.*/)?Medication/[^/?#]+$")


class Page(NamedTuple):
    """One answer, sorted: the matches, what was only included with them, and what the server said about it."""

    kind: str
    own: Sequence[Entry]
    resources: Sequence[Resource]  # those of `own`
    kinds: frozenset[str]  # the types of these: most questions about an answer need not go through all of it
    included: Sequence[Entry]
    outcomes: frozenset[str]  # of the weights below
    next_urls: Sequence[str]
    self_url: str
    total: Decimal | None
    damaged: int
    ignored: Sequence[Ignored]


# How much an issue of an OperationOutcome weighs.
ERROR, PARTIAL, UNKNOWN, NOTHING_FOUND, ROUTINE = "error", "partial", "unknown", "nothing-found", "routine"
UNSUPPORTED = "unsupported"  # a part is missing for good: the server does not search by all that was asked for
_UNSUPPORTED_CODE = "not-supported"
_PARTIAL_CODES = frozenset(
    [
        *("incomplete", "timeout", "too-costly", "too-long", "throttled", "transient", "exception"),
        *("suppressed", "forbidden", "security", "login", "expired", "lock-error", "no-store"),
    ]
)
_NO_MATCH = ("include", "outcome")  # Bundle.entry.search.mode of what was not asked for
_ISSUES = 1000  # of one OperationOutcome that are looked at
_NOTHING_FOUND_CODE, _ROUTINE_CODE = "4101", "4119"  # Epic
_NOTHING_FOUND_WORDS = ("no results", "no matching", "no matches", "nothing found")


def sort(decoded: Decoded) -> Page:
    """Matches, includes and outcomes of one answer."""
    kind, entries, links, total, ignored, damaged = decoded
    if not entries and not links:  # of most keys a chart holds nothing
        return Page(kind, (), (), _NONE, (), _NONE, (), "", total, damaged, ignored)
    own: list[Entry] = []
    resources: list[Resource] = []
    others: list[tuple[Entry, Resource]] = []
    for entry in entries:  # every entry of a call comes by here: no function calls for what is usual
        resource, search = entry.resource, entry.search
        if resource is None:
            continue
        if resource.resource_type == "OperationOutcome" or (search is not None and search.mode in _NO_MATCH):
            others.append((entry, resource))
        else:
            own.append(entry)
            resources.append(resource)
    included, outcomes, remarks = _others(others) if others else _NO_OTHERS
    next_urls, self_urls = (_urls(links, "next"), _urls(links, "self")) if links else ((), ())
    self_url = self_urls[0] if self_urls else ""
    return Page(
        kind,
        own,
        resources,
        frozenset({resource.resource_type for resource in resources}),
        included,
        outcomes,
        next_urls,
        self_url,
        total,
        damaged,
        (*ignored, *remarks),
    )


_NONE: frozenset[str] = frozenset()
_NO_OTHERS: tuple[Sequence[Entry], frozenset[str], Sequence[Ignored]] = ((), _NONE, ())


def _others(
    others: Sequence[tuple[Entry, Resource]],
) -> tuple[Sequence[Entry], frozenset[str], Sequence[Ignored]]:
    """(what was included, how much the outcomes weigh, what was not used) of the entries that are no matches."""
    included: list[Entry] = []
    outcomes: set[str] = set()
    ignored: list[Ignored] = []
    for entry, resource in others:
        if resource.resource_type == "OperationOutcome":
            issues = listed(resource.issue)
            weights = {weigh(issue) for issue in issues[:_ISSUES]} or {UNKNOWN}
            weights |= {PARTIAL} if len(issues) > _ISSUES else set()
            outcomes |= weights
            ignored += [Ignored("OperationOutcome", _NOTES[weight]) for weight in sorted(weights)]
        elif entry.search is not None and entry.search.mode == "include":
            included.append(entry)
        else:
            ignored.append(Ignored(reference_of(resource), REMARK))
    return included, frozenset(outcomes), ignored


_NOTES = {
    ERROR: "the server reported an error",
    PARTIAL: "the server reported that a part is missing",
    UNSUPPORTED: "the server reported that it does not search by all that was asked for",
    UNKNOWN: "the server gave a warning that is not known here",
    NOTHING_FOUND: "the server reported that nothing was found",
    ROUTINE: "the server gave a routine note",
}
REMARK = "sent as a remark on the search, not as data"
REASONS = frozenset([REMARK, *_NOTES.values()])  # why something was not used, as the metrics count it


def weigh(issue: Issue) -> str:
    """What one issue means for the completeness of an answer."""
    if issue.severity in ("error", "fatal"):
        return ERROR
    details = issue.details
    codes = {coding.code for coding in listed(details.coding)} if details else set()
    if _NOTHING_FOUND_CODE in codes:
        return NOTHING_FOUND
    if _ROUTINE_CODE in codes:
        return ROUTINE
    if issue.code == _UNSUPPORTED_CODE:
        return UNSUPPORTED
    if issue.code in _PARTIAL_CODES:
        return PARTIAL
    if issue.severity in ("information", "success"):
        return ROUTINE
    words = f"{(details.text if details else None) or ''} {issue.diagnostics or ''}"[:1000].casefold()
    return NOTHING_FOUND if any(phrase in words for phrase in _NOTHING_FOUND_WORDS) else UNKNOWN


def _urls(links: Sequence[Link], relation: str) -> tuple[str, ...]:
    """The addresses of such links; "" of one that gives none: there is a further page all the same."""
    return tuple(link.url or "" for link in links if (link.relation or link.rel or "").lower() == relation)


def reference_of(resource: Resource) -> str:
    """ "Observation/o1", or the type alone where there is no id."""
    return f"{resource.resource_type}/{resource.id}" if resource.id else resource.resource_type or ""


def plain_reference(reference: str) -> str:
    """ "Patient/1" of "https://server/fhir/Patient/1/_history/3"."""
    parts = reference.partition("/_history/")[0].rstrip("/").rsplit("/", 2)
    return "/".join(parts[-2:])


class ResourceIndex:
    """Grows while data arrives: the patient's own resources, those that only came along, and all by reference."""

    def __init__(self, patient_id: str) -> None:
        self.patient_id = patient_id
        self.resources: list[Resource] = []
        self.included: list[Resource] = []
        self.ignored: list[Ignored] = []
        self.versions = False  # has a reference come more than once, with different contents?
        self.has_patient = False  # the patient of the context is among the resources
        self._own: dict[tuple[str, str], Resource] = {}  # of `resources`, the first of each type and id
        self._ids: set[str | None] = set()  # of `resources`
        self._names = {f"Patient/{patient_id}"}  # references that mean the patient
        self._arrived: list[Page | tuple[str, Resource]] = []  # in their order; not yet in the two that follow
        self._by_reference: dict[str, Resource] = {}
        self._with_address: set[str] = set()  # references of resources that came with an absolute address

    def put(self, page: Page) -> None:
        """Everything of one answer. A resource counts once; another patient's Patient resource is left out."""
        self.ignored.extend(page.ignored)
        if not page.resources and not page.included:
            return
        self._arrived.append(page)
        ids = {resource.id for resource in page.resources}
        repeated = len(ids) < len(page.resources) or not ids.isdisjoint(self._ids)
        self._ids |= ids
        new = self._new(page.resources) if repeated else page.resources
        if "Patient" in page.kinds:
            new = [each for each in new if each.resource_type != "Patient" or self._is_the_patient(each)]
        self.resources += new
        for entry in page.included:
            if entry.resource is None:
                continue
            self.include(entry.full_url or "", entry.resource)
            if entry.resource.resource_type == "Patient" and entry.resource.id == self.patient_id:
                self.has_patient = True  # a Patient counts wherever it comes
                self.resources.append(entry.resource)

    def include(self, reference: str, resource: Resource) -> None:
        """A resource that is not the patient's own, to be found by its address or reference."""
        self._arrived.append((reference, resource))
        self.included.append(resource)

    def find(self, reference: str) -> Resource | None:
        """The resource that a reference names, if it came.

        An absolute reference finds a resource by its type and id only where that resource gave no address of its own:
        the same id on another server is another resource.
        """
        if self._arrived:
            self._add_references()
        reference = _VERSION.sub("", reference)
        found = self._by_reference.get(reference)
        if found is not None or "://" not in reference:
            return found
        relative = "/".join(reference.rsplit("/", 2)[1:])
        return None if relative in self._with_address else self._by_reference.get(relative)

    def is_own(self, resource: Resource) -> bool:
        """Is the resource about this patient? One that names no subject is accepted."""
        named = resource.subject
        if type(named) is Reference and named.reference in self._names and resource.patient is None:  # nearly all
            return True
        for subject in (named, resource.patient, resource.beneficiary):
            for reference in listed(subject)[:MOST_SUBJECTS]:
                name = reference.reference
                if not name or name in self._names:
                    continue
                if not self._names_patient(name, resource):
                    return False
                if not name.startswith("#"):
                    self._names.add(name)
        return True

    def _names_patient(self, name: str, holder: Resource) -> bool:
        """Relative, absolute, with a version, as a URN of the Bundle, or contained."""
        if plain_reference(name) in (f"Patient/{self.patient_id}", self.patient_id):
            return True
        if name == f"urn:uuid:{self.patient_id}":
            return True
        if name.startswith("#"):  # a contained Patient has no identity of its own
            contained = (holder.contained or ())[:MOST_CONTAINED]
            return any(each.id == name[1:] and each.resource_type == "Patient" for each in contained)
        found = self.find(name)
        return found is not None and found.resource_type == "Patient" and found.id == self.patient_id

    def _new(self, resources: Sequence[Resource]) -> list[Resource]:
        """Those that did not come before. Of one reference the same again is not new; something different is."""
        own = self._own
        if len(own) < len(self.resources):
            for each in self.resources:
                own.setdefault((each.resource_type, each.id or ""), each)
        found = []
        for each in resources:
            known = own.setdefault((each.resource_type, each.id), each) if each.id else each
            if known is each:
                found.append(each)
            elif known != each:
                self.versions = True
                found.append(each)
        return found

    def _add_references(self) -> None:
        """Put what arrived where its references find it; the first of one reference stays."""
        arrived, self._arrived = self._arrived, []
        for each in arrived:
            if isinstance(each, Page):
                for entry in each.own:
                    if entry.resource is not None:
                        self._add_reference(entry.full_url or "", entry.resource)
            else:
                self._add_reference(*each)

    def _add_reference(self, address: str, resource: Resource) -> None:
        if address:
            self._by_reference.setdefault(address, resource)
            if "://" in address:
                self._with_address.add(reference_of(resource))
        if resource.id:
            self._by_reference.setdefault(reference_of(resource), resource)

    def _is_the_patient(self, patient: Resource) -> bool:
        if patient.id == self.patient_id:
            self.has_patient = True
            return True
        self.ignored.append(Ignored(reference_of(patient), "another patient"))
        return False


def medication_to_look_up(resource: Resource, index: ResourceIndex) -> str:
    """The reference of the Medication without which this entry names no medicine at all, or ""."""
    concept, named = medicine_of(resource)
    if named is None or not named.reference or named.display or named.reference.startswith("#") or says(concept):
        return ""
    return "" if index.find(named.reference) else _VERSION.sub("", named.reference)


def says(concept: CodeableConcept | None) -> bool:
    """Does the concept say anything, be it a code alone?"""
    if concept is None:
        return False
    return bool(concept.text) or any(each.code or each.display for each in listed(concept.coding))


def names_no_medicine(resource: Resource, index: ResourceIndex) -> bool:
    """Is this an entry whose medicine nobody can understand: not named, or only by a code of an unknown system?

    A reference that can be looked up is none of these; neither is an entry that carries out another one that came.
    """
    concept, named = medicine_of(resource)
    if named is not None and named.reference:
        if not named.reference.startswith("#"):
            return False
        if any(each.id == named.reference[1:] for each in resource.contained or ()):
            return False
    if named is not None and named.display:
        return False
    others = [resource.request, *listed(resource.authorizing_prescription)]
    if any(each is not None and each.reference and index.find(each.reference) for each in others):
        return False
    return concept is None or not is_understood(concept)


def is_understood(concept: CodeableConcept) -> bool:
    """Words, or a code of a system whose medicines we know: one that is not ours then is another medicine."""
    if concept.text or any(each.display for each in listed(concept.coding)):
        return True
    return any(
        each.code and ((each.system and canonical_system(each.system[:200])) or WORD.search(each.code))
        for each in listed(concept.coding)
    )


def is_in_force(resource: Resource) -> bool:
    """Is it an order or a statement of a medicine that is to be taken now?"""
    status, intent = (resource.status or "").strip().lower(), (resource.intent or "").strip().lower()
    if resource.resource_type == "MedicationStatement":
        return status in ("active", "recorded", "")
    if resource.resource_type != "MedicationRequest" or resource.do_not_perform:
        return False
    return status in ("active", "") and (intent not in ("proposal", "plan") or is_reported(resource))


def is_void(resource: Resource) -> bool:
    """Was it never meant, or withdrawn? Then nobody need know what it was about."""
    return (resource.status or "").strip().lower() in ("entered-in-error", "cancelled")


def is_reported(resource: Resource) -> bool:
    """Is it no order but what somebody says is taken? US Core writes such a medicine as a plan that is reported."""
    return bool(resource.reported_boolean or resource.reported_reference or resource.reported)


def can_be_fetched(reference: str) -> bool:
    """Whether this is the address of a Medication, not a urn: or something else."""
    return _MEDICATION.fullmatch(reference) is not None and not reference.startswith("urn:")
