"""Tests that are already ordered and not yet done, so that they are not suggested again."""

from __future__ import annotations

from ...clinical.record import OpenOrder
from ..resources import Resource, listed
from . import reasons
from .reading import Reading, reference_of, status_of
from .recognise import concepts, find_codes

ORDERS = frozenset(("order", "original-order", "reflex-order", "filler-order", "instance-order", ""))
OPEN = "active"  # on hold or a draft is not on its way: suggesting it again does less harm than not at all


def read_order(resource: Resource, reading: Reading) -> None:
    """A ServiceRequest for one of our tests."""
    ordered = orderables(resource, reading)
    if not ordered:
        return
    reference, status = reference_of(resource), status_of(resource)
    written = reading.calendar.day(resource.authored_on)
    if resource.do_not_perform:
        reading.ignore(reference, reasons.DO_NOT_PERFORM)
    elif (resource.intent or "").strip().lower() not in ORDERS:
        reading.ignore(reference, reasons.PROPOSAL)
    elif status != OPEN:
        reading.ignore(reference, reasons.of_status(status))
    elif reading.calendar.ahead(written):
        reading.ignore(reference, reasons.FUTURE)
    else:
        reading.orders += [OpenOrder(reference, name, written) for name in ordered]


def orderables(resource: Resource, reading: Reading) -> list[str]:
    """Ours that the request covers: named by a code, or every analyte of them measured by what is named."""
    named: set[str] = set()
    measured: set[str] = set()
    for use, _ in find_codes(reading.find, resource.code):
        kind, _, name = use.concept.partition("-")
        if kind == "order":
            named.add(name)
        elif kind == "lab":
            measured.add(name)
    codings = {(each.system, each.code) for concept in concepts(resource.code) for each in listed(concept.coding)}
    if not (codings or measured):
        return []
    for name, orderable in reading.orderables.items():
        own = [orderable.coding, *orderable.more_codings]
        if any(coding is not None and coding[:2] in codings for coding in own):
            named.add(name)
    for name in named & reading.orderables.keys():
        measured.update(reading.orderables[name].measures)
    return [
        name
        for name, orderable in reading.orderables.items()
        if name in named or (orderable.measures and measured.issuperset(orderable.measures))
    ]
