"""FHIR resources become the patient's record: whose data it is, each resource once, each by its type.

FHIR ends here. A resource that cannot be read costs itself and is reported; what is none of our business is skipped
without a word; what is ours and was not used is reported with its reference and the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, tzinfo
from typing import TYPE_CHECKING

import msgspec

from ..clinical.record import Patient, PatientRecord, Results
from ..clinical.tables import Pathway
from . import reasons
from .dates import Calendar
from .labs import apply_corrections
from .medicines import read_medicine
from .observations import read_observation
from .orders import read_order
from .problems import close_ended, read_allergy, read_condition, read_family, read_procedure
from .reading import Reading, is_own, reference_of, status_of
from .resources import Resource

if TYPE_CHECKING:
    from ..content.content import Content
    from .gather import Gathered


READERS: Mapping[str, Callable[[Resource, Reading], None]] = {
    "Observation": read_observation,
    "Condition": read_condition,
    "Procedure": read_procedure,
    "FamilyMemberHistory": read_family,
    "AllergyIntolerance": read_allergy,
    "MedicationRequest": read_medicine,
    "MedicationStatement": read_medicine,
    "MedicationAdministration": read_medicine,
    "MedicationDispense": read_medicine,
    "ServiceRequest": read_order,
}
VERSIONS = {"entered-in-error": 4, "corrected": 3, "amended": 3, "final": 2, "preliminary": 1}


def read_record(
    gathered: Gathered, patient_id: str, content: Content, pathway: Pathway, today: date, zone: tzinfo
) -> PatientRecord:
    """Everything that the resources say about the patient of that id, on that day, in that time zone."""
    reading = Reading(content, pathway, Calendar(zone, today), gathered.find)
    own = {f"Patient/{patient_id}"}
    resources = distinct(gathered.resources, reading) if gathered.versions else gathered.resources
    for resource in resources:
        read = READERS.get(resource.resource_type)
        if read is None:
            continue
        if not is_own(resource, patient_id, own, reading):
            reading.ignore(reference_of(resource), reasons.ANOTHER_PATIENT)
            continue
        try:
            read(resource, reading)
        except (ValueError, ArithmeticError):  # data that no reader foresaw; other exceptions are bugs, and stay loud
            reading.ignore(reference_of(resource), reasons.UNREADABLE)
    apply_corrections(reading)
    close_ended(reading)
    return assembled(reading, gathered, read_patient(resources, patient_id, reading))


def distinct(resources: Iterable[Resource], reading: Reading) -> list[Resource]:
    """Each resource once: the same may come under several keys. Of two versions the later one, as far as they say."""
    chosen: dict[object, Resource] = {}
    for resource in resources:
        key = (resource.resource_type, resource.id) if resource.id else id(resource)
        other = chosen.setdefault(key, resource)
        if other is not resource and other != resource:
            chosen[key] = max(other, resource, key=lambda each: version(each, reading))
    return list(chosen.values())


def version(resource: Resource, reading: Reading) -> tuple[int, float, bytes]:
    """Orders two versions of one resource: by what the status says, by when it was written, else in a fixed order."""
    when = reading.calendar.read(resource.issued or resource.recorded_date or resource.authored_on)
    refuted = msgspec.json.encode(resource.verification_status).count(b"entered-in-error")
    rank = VERSIONS.get(status_of(resource), 0) or (4 if refuted else 0)
    return rank, when.seconds if when else 0.0, msgspec.json.encode(resource)


def read_patient(resources: Iterable[Resource], patient_id: str, reading: Reading) -> Patient:
    """The patient of the context; another Patient among the resources is reported."""
    found: Resource | None = None
    for resource in resources:
        if resource.resource_type != "Patient":
            continue
        if resource.id != patient_id:
            reading.ignore(reference_of(resource), reasons.ANOTHER_PATIENT)
        elif found is None:
            found = resource
    if found is None:
        return Patient(f"Patient/{patient_id}")
    sex = (found.gender or "").strip().lower()
    born = reading.calendar.read(found.birth_date)
    return Patient(
        reference_of(found),
        sex if sex in ("male", "female") else "",
        born.first if born and born.first <= reading.today else None,  # the oldest that a bare year allows
        bool(found.deceased_boolean) or found.deceased_date_time is not None,
    )


def assembled(reading: Reading, gathered: Gathered, patient: Patient) -> PatientRecord:
    """The record, in an order that does not depend on the order in which things came."""
    return PatientRecord(
        patient=patient,
        labs=Results(reading.labs),
        problems=tuple(sorted(reading.problems, key=lambda each: (each.reference, each.concept))),
        medications=tuple(sorted(reading.medications, key=lambda each: (each.reference, each.ingredient))),
        allergies=tuple(sorted(reading.allergies, key=lambda each: (each.reference, each.substance))),
        orders=tuple(sorted(reading.orders, key=lambda each: (each.reference, each.orderable))),
        ignored=tuple(sorted({*gathered.ignored, *reading.ignored}, key=lambda each: (each.reference, each.reason))),
        unmapped=tuple(sorted(reading.unmapped, key=lambda each: (each.reference, each.analyte, each.code))),
        published=gathered.published,
        unavailable=gathered.unavailable,
        incomplete=gathered.incomplete,
    )
