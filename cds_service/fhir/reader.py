"""FHIR resources become the patient's record: whose data it is, each resource once, each by its type.

FHIR ends here. A resource that cannot be read costs itself and is reported; what is none of our business is skipped
without a word; what is ours and was not used is reported with its reference and the reason.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING

import msgspec

from ..bounds import OutOfTime
from ..clinical.record import Medication, Patient, PatientRecord, Problem, Results
from . import reasons
from .bookings import read_appointment, read_task
from .dates import Calendar
from .index import plain_reference
from .labs import apply_corrections
from .medicines import read_medicine
from .observations import read_observation
from .orders import read_order
from .problems import close_ended, read_allergy, read_condition, read_family, read_procedure
from .reading import ReadFor, Reading, reference_of, status_of
from .resources import NOTHING, Reference, Resource, listed

if TYPE_CHECKING:
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
    "Appointment": read_appointment,
    "Task": read_task,
}
BASED_ON: msgspec.json.Decoder[list[Reference] | Reference | None] = msgspec.json.Decoder(
    list[Reference] | Reference | None
)
LOOK_EVERY = 100  # resources between two looks at the clock
VERSIONS = {"entered-in-error": 4, "corrected": 3, "amended": 3, "final": 2, "preliminary": 1}


def read_record(gathered: Gathered, whom: ReadFor, latest: float = math.inf) -> PatientRecord:
    """Everything that the resources say about the patient of that id, on that day, in that time zone. OutOfTime where
    that takes beyond `latest`, in seconds of the monotonic clock."""
    born = birth_of(gathered.resources, whom.patient_id, Calendar(whom.zone, whom.today))
    calendar = Calendar(whom.zone, whom.today, born)
    reading = Reading(whom.content, whom.pathway, calendar, gathered.find)
    reading.patient = f"Patient/{whom.patient_id}"
    resources = distinct(gathered.resources, reading) if gathered.versions else gathered.resources
    reading.issued_plans = issued_plans(resources)
    calendar.met_no_date = False  # of two versions of one resource only the one that counts is named
    patients = []
    for place, resource in enumerate(resources):
        if place % LOOK_EVERY == LOOK_EVERY - 1 and time.monotonic() > latest:
            raise OutOfTime
        read = READERS.get(resource.resource_type)
        if read is None:
            if resource.resource_type == "Patient":
                patients.append(resource)
            continue
        if not gathered.is_own(resource):
            reading.ignore(reference_of(resource), reasons.ANOTHER_PATIENT)
            continue
        try:
            read(resource, reading)
        except (ValueError, ArithmeticError):  # data that no reader foresaw; other exceptions are bugs, and stay loud
            reading.ignore(reference_of(resource), reasons.UNREADABLE)
        if calendar.met_no_date:
            calendar.met_no_date = False
            reading.ignore(reference_of(resource), reasons.NO_DATE)
    apply_corrections(reading)
    close_ended(reading)
    record = assembled(reading, gathered, read_patient(patients, whom.patient_id, reading))
    # What is not read yet refers to `reading`. Without the way back all that was decoded is freed with the record, and
    # does not wait for the garbage collector: the next call finds its memory ready, and still in the caches.
    reading.labs, reading.lab_sources = [], []
    return record


def issued_plans(resources: Iterable[Resource]) -> frozenset[str]:
    """The plans ("MedicationRequest/p1") that an order in the record is based on."""
    found: set[str] = set()
    for resource in resources:
        if resource.resource_type == "MedicationRequest" and resource.based_on != NOTHING:
            try:
                plans = BASED_ON.decode(resource.based_on)
            except msgspec.ValidationError:
                continue
            found.update(plain_reference(each.reference) for each in listed(plans) if each.reference)
    return frozenset(found)


Version = tuple[int, float, bytes]


def distinct(resources: Iterable[Resource], reading: Reading) -> list[Resource]:
    """Each resource once: the same may come under several keys. Of two versions the later one, as far as they say.

    Of results neither of which says that it is the later one both stay: the worse of them will drive.
    """
    chosen: dict[object, Resource] = {}
    versions: dict[object, Version] = {}  # of those chosen, where there are several: encoded once
    equals: dict[object, dict[bytes, Resource]] = {}  # results beside the one chosen, by what they say
    for resource in resources:
        key = (resource.resource_type, resource.id) if resource.id else id(resource)
        other = chosen.setdefault(key, resource)
        if other is resource or other == resource:
            continue
        known, new = versions.get(key) or version(other, reading), version(resource, reading)
        chosen[key], versions[key] = (resource, new) if new > known else (other, known)
        if new[:2] == known[:2] and resource.resource_type == "Observation":
            lesser, said = (other, known[2]) if new > known else (resource, new[2])
            equals.setdefault(key, {})[said] = lesser
        elif new > known:
            equals.pop(key, None)
    return [*chosen.values(), *(each for others in equals.values() for each in others.values())]


def version(resource: Resource, reading: Reading) -> Version:
    """Orders two versions of one resource: by what the status says, by when it was written, else in a fixed order."""
    when = reading.calendar.read(resource.issued or resource.recorded_date or resource.authored_on)
    refuted = msgspec.json.encode(resource.verification_status).count(b"entered-in-error")
    rank = VERSIONS.get(status_of(resource), 0) or (4 if refuted else 0)
    return rank, when.seconds if when else 0.0, msgspec.json.encode(resource)


def birth_of(resources: Iterable[Resource], patient_id: str, calendar: Calendar) -> date | None:
    """The day of birth, as far as the Patient says it; the oldest that a bare year or month allows."""
    for resource in resources:
        if resource.resource_type == "Patient" and resource.id == patient_id:
            born = calendar.read(resource.birth_date)
            return born.first if born and born.first <= calendar.today else None
    return None


def has_died(patient: Resource, reading: Reading) -> bool:
    """Is the patient dead? A death without a date that can be one, or one that is yet to come, is none."""
    if patient.deceased_boolean:
        return True
    death = reading.calendar.read(patient.deceased_date_time)
    if death is not None and death.first > reading.today:
        reading.calendar.met_no_date = True
        return False
    return death is not None


def read_patient(patients: Iterable[Resource], patient_id: str, reading: Reading) -> Patient:
    """The patient of the context; another Patient is reported."""
    found: Resource | None = None
    for resource in patients:
        if resource.id != patient_id:
            reading.ignore(reference_of(resource), reasons.ANOTHER_PATIENT)
        elif found is None:
            found = resource
    if found is None:
        return Patient(f"Patient/{patient_id}")
    sex = (found.gender or "").strip().lower()
    born = birth_of([found], patient_id, reading.calendar)
    deceased = has_died(found, reading)
    if reading.calendar.met_no_date:
        reading.ignore(reference_of(found), reasons.NO_DATE)
    return Patient(reference_of(found), sex if sex in ("male", "female") else "", born, deceased)


def problem_order(each: Problem) -> tuple[str, date, date, str]:
    """By what it is and since when; by its id only where nothing else tells two apart."""
    return each.concept, each.onset or date.min, each.recorded or date.min, each.reference


def medication_order(each: Medication) -> tuple[str, date, date, str]:
    """The same of medicines."""
    return each.ingredient, each.start or date.min, each.last or date.min, each.reference


def assembled(reading: Reading, gathered: Gathered, patient: Patient) -> PatientRecord:
    """The record, in an order that does not depend on the order in which things came."""
    return PatientRecord(
        patient=patient,
        labs=Results(reading.labs),
        problems=tuple(sorted(reading.problems, key=problem_order)),
        medications=tuple(sorted(reading.medications, key=medication_order)),
        allergies=tuple(sorted(reading.allergies, key=lambda each: (each.substance, each.reference))),
        orders=tuple(sorted(reading.orders, key=lambda each: (each.orderable, each.reference))),
        ignored=tuple(sorted({*gathered.ignored, *reading.ignored}, key=lambda each: (each.reference, each.reason))),
        unmapped=tuple(sorted(reading.unmapped, key=lambda each: (each.reference, each.analyte, each.code))),
        published=gathered.published,
        unavailable=gathered.unavailable,
        incomplete=gathered.incomplete,
        other_offset=reading.calendar.met_offset,
    )
