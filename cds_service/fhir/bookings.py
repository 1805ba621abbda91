"""Appointments and Tasks for an injection of B12 that is due: it is arranged, and needs no card (6.3.1).

Read where a client sends them, and asked for where the site says so (`bookings` in site.toml). What cannot be read as
one of an injection changes nothing: then the card that the injection is due is shown, which is the safe side.
"""

from __future__ import annotations

from datetime import date
from typing import TypeVar

import msgspec

from ..clinical.record import OpenOrder
from . import reasons
from .concepts import texts
from .index import plain_reference
from .orders import orderables
from .reading import Reading, reference_of, status_of
from .resources import NOTHING, CodeableConcept, Participant, Resource, listed

INJECTION = "b12-injection"
BOOKED = frozenset(("proposed", "pending", "booked", "waitlist", "arrived", "checked-in"))
UNDER_WAY = frozenset(("requested", "received", "accepted", "ready", "in-progress"))
MOST = 20  # participants, services or reasons of one appointment that are looked at
Part = TypeVar("Part")
CONCEPTS = msgspec.json.Decoder(list[CodeableConcept] | CodeableConcept | None)
PARTICIPANTS = msgspec.json.Decoder(list[Participant] | Participant | None)


def read_appointment(resource: Resource, reading: Reading) -> None:
    """An appointment of this patient that is for an injection of B12, by its service, its reason or its words."""
    concepts = [*parts(CONCEPTS, resource.service_type), *parts(CONCEPTS, resource.reason_code)]
    if not (any(is_injection(each, reading) for each in concepts) or names_b12(resource.description, reading)):
        return
    if is_of_another(resource, reading):
        reading.ignore(reference_of(resource), reasons.ANOTHER_PATIENT)
        return
    add(resource, reading, BOOKED, reading.calendar.day(resource.start))


def read_task(resource: Resource, reading: Reading) -> None:
    """A Task for an injection of B12, by its code or its words."""
    named = INJECTION in orderables(resource, reading)
    if named or any(names_b12(text, reading) for text in (*texts(resource.code), resource.description)):
        period = resource.restriction.period if resource.restriction else None
        add(resource, reading, UNDER_WAY, reading.calendar.day(period.end or period.start) if period else None)


def add(resource: Resource, reading: Reading, under_way: frozenset[str], planned: date | None) -> None:
    """The open order, if its status says that it is under way; else reported."""
    reference, status = reference_of(resource), status_of(resource)
    if status in under_way:
        written = reading.calendar.day(resource.authored_on)
        reading.orders.append(OpenOrder(reference, INJECTION, written, planned))
    else:
        reading.ignore(reference, reasons.of_status(status))


def is_injection(concept: CodeableConcept, reading: Reading) -> bool:
    return INJECTION in orderables(Resource(code=concept), reading) or any(
        names_b12(text, reading) for text in texts(concept)
    )


def names_b12(text: str | None, reading: Reading) -> bool:
    """Does the text name a cobalamin? "Blood test for B12" names the test, not the medicine."""
    if not text or reading.words.find(text, "analyte"):
        return False
    cobalamins = reading.groups.get("cobalamin", frozenset())
    return not cobalamins.isdisjoint(reading.words.find(text, "medicine"))


def is_of_another(resource: Resource, reading: Reading) -> bool:
    """Does it name patients, and not this one?"""
    actors = [each.actor.reference for each in parts(PARTICIPANTS, resource.participant) if each.actor]
    patients = [each for each in map(plain_reference, filter(None, actors)) if each.startswith("Patient/")]
    return bool(patients) and reading.patient not in patients


def parts(decoder: msgspec.json.Decoder[list[Part] | Part | None], raw: msgspec.Raw) -> list[Part]:
    """A repeated part that few resources have; nothing where it has another shape."""
    if raw == NOTHING:
        return []
    try:
        return listed(decoder.decode(raw))[:MOST]
    except msgspec.ValidationError:
        return []
