"""Where the resources of one hook call are put as they arrive, and found again by their reference."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set

from cds_service.clinical.record import Ignored

from ..resources import Resource, listed
from .key_states import Page, reference_of

_VERSION = re.compile(r"/_history/[^/]*$")
_MEDICATION = re.compile(r"(?:.*/)?Medication/[^/?#]+$")


class Shelf:
    """Grows while data arrives: the patient's own resources, those that only came along, and all by reference."""

    def __init__(self, patient_id: str) -> None:
        self.patient_id = patient_id
        self.resources: list[Resource] = []
        self.included: list[Resource] = []
        self.ignored: list[Ignored] = []
        self.by_reference: dict[str, Resource] = {}
        self.with_address: set[str] = set()  # references of resources that came with an absolute address
        self.versions = False  # has a reference come more than once, with different contents?
        self.has_patient = False  # the patient of the context is among the resources
        self._included_ids: set[int] = set()

    def put(self, page: Page) -> None:
        """Everything of one answer. The same resource again is not kept twice; another Patient is not kept at all."""
        self.ignored.extend(page.ignored)
        by_reference, resources = self.by_reference, self.resources
        # the longest loop of a call: no function calls for what is usual
        for entry, resource in zip(page.own, page.resources, strict=True):
            kind, name, address = resource.resource_type, resource.id, entry.full_url
            reference = f"{kind}/{name}" if name else ""
            if address:
                by_reference.setdefault(address, resource)
                if "://" in address:
                    self.with_address.add(reference)
            if reference:
                known = by_reference.setdefault(reference, resource)
                if known is not resource:
                    if self._is_repeated(known, resource):
                        continue
                    self.versions = True
            if kind == "Patient" and not self._is_the_patient(resource):
                continue
            resources.append(resource)
        for entry in page.included:
            if entry.resource is not None:
                self.include(entry.full_url or "", entry.resource)

    def include(self, reference: str, resource: Resource) -> None:
        """A resource that is not the patient's own, to be found by its address or reference."""
        relative = reference_of(resource)
        if reference:
            self.by_reference.setdefault(reference, resource)
            if "://" in reference:
                self.with_address.add(relative)
        if resource.id:
            self.by_reference.setdefault(relative, resource)
        self.included.append(resource)
        self._included_ids.add(id(resource))

    def find(self, reference: str) -> Resource | None:
        """The resource that a reference names, if it came."""
        return find(self.by_reference, self.with_address, reference)

    def _is_repeated(self, known: Resource, resource: Resource) -> bool:
        """Whether the same was put before; what only came along does not count, and a difference is kept."""
        return known == resource and id(known) not in self._included_ids

    def _is_the_patient(self, patient: Resource) -> bool:
        if patient.id == self.patient_id:
            self.has_patient = True
            return True
        self.ignored.append(Ignored(reference_of(patient), "another patient"))
        return False


def find(by_reference: Mapping[str, Resource], with_address: Set[str], reference: str) -> Resource | None:
    """The resource that a reference names, if it came.

    An absolute reference finds a resource by its type and id only where that resource gave no address of its own: the
    same id on another server is another resource.
    """
    reference = _VERSION.sub("", reference)
    found = by_reference.get(reference)
    if found is not None or "://" not in reference:
        return found
    relative = "/".join(reference.rsplit("/", 2)[1:])
    return None if relative in with_address else by_reference.get(relative)


def medication_to_look_up(resource: Resource, shelf: Shelf) -> str:
    """The reference of the Medication without which this entry names no medicine at all, or ""."""
    named = resource.medication_reference
    if named is None or not named.reference or named.display or named.reference.startswith("#"):
        return ""
    concept = resource.medication_codeable_concept
    if concept is not None and (concept.text or any(each.code or each.display for each in listed(concept.coding))):
        return ""
    return "" if shelf.find(named.reference) else _VERSION.sub("", named.reference)


def can_be_fetched(reference: str) -> bool:
    """Whether this is the address of a Medication, not a urn: or something else."""
    return _MEDICATION.fullmatch(reference) is not None and not reference.startswith("urn:")
