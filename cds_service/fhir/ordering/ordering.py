"""One draft order in clinical terms: its ingredients with route and schedule, or the tests that it asks for."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from ...clinical.record import Order, OrderedPhase
from ..datatypes import Dosage, Repeat
from ..reading.doses import amounts, dose_of
from ..reading.orders import orderables
from ..reading.products import Content, contents, is_dosed, product_of
from ..reading.reading import Reading, reference_of
from ..reading.recognise import texts
from ..reading.routes import route_of
from ..reading.timing import by_code, by_repeat, by_words, days_of, positive
from ..resources import Resource, listed


def test_orders(resource: Resource, reading: Reading) -> list[Order]:
    """One Order per test of ours that the request covers."""
    return [Order(named(resource), orderable=name) for name in orderables(resource, reading)]


def medicine_orders(resource: Resource, reading: Reading) -> list[Order]:
    """One Order per ingredient of ours."""
    product = product_of(by_its_own_words(resource), reading)
    found = contents(product, reading)
    if not found:
        return []
    dosages = sorted(listed(resource.dosage_instruction), key=lambda each: each.sequence or Decimal(0))
    route = route_of(dosages, product, reading)
    return [
        Order(
            named(resource),
            ingredient=content.ingredient,
            route=route,
            per_day=amounts(dosages, content, "order", reading)[1],
            phases=phases(dosages, content, reading),
            multivitamin=content.multivitamin,
            antidote=content.antidote,
        )
        for content in found
    ]


def named(resource: Resource) -> str:
    """How the client names the draft. One without an id cannot be named, only counted by its type."""
    return reference_of(resource) or str(resource.resource_type)


def by_its_own_words(resource: Resource) -> Resource:
    """The order without its reference where it says itself what is ordered: that comes first."""
    concept = resource.medication_codeable_concept
    if resource.medication_reference is None or concept is None:
        return resource
    said = texts(concept) or [coding.code for coding in listed(concept.coding) if coding.code]
    return msgspec.structs.replace(resource, medication_reference=None) if said else resource


def phases(dosages: list[Dosage], content: Content, reading: Reading) -> tuple[OrderedPhase, ...]:
    """The dosage instructions in sequence, for ingredients whose dose decides something.

    While nothing is filled in yet, one tablet or ampoule of the product is what is ordered.
    """
    if not is_dosed(content.ingredient, reading):
        return ()
    return tuple(phase_of(dosage, content, reading) for dosage in dosages or [Dosage()])


def phase_of(dosage: Dosage, content: Content, reading: Reading) -> OrderedPhase:
    """Dose, interval and length of one dosage instruction."""
    dose = dose_of(dosage, content)
    if dose is None and not content.per_ml:
        dose = content.strength  # one tablet or ampoule: what the product's name promises
    timing = dosage.timing
    interval = None if timing is None else by_repeat(timing.repeat) or by_code(timing)
    if interval:
        return OrderedPhase(dose, interval, length_of(timing.repeat, interval, reading) if timing else None)
    written = by_words(dosage.text)
    return OrderedPhase(dose, written, None, in_words=written is not None)


def length_of(repeat: Repeat | None, interval: Decimal, reading: Reading) -> Decimal | None:
    """For how many days the instruction holds, by its bounds or its number of doses; the shortest where both are."""
    if repeat is None:
        return None
    found = [days_of(repeat.bounds_duration)]
    calendar = reading.calendar
    end = calendar.ends(repeat.bounds_period)
    if end is not None:
        found.append(Decimal((end - (calendar.starts(repeat.bounds_period) or reading.today)).days))
    if positive(repeat.count):
        found.append(repeat.count * interval)
    return min((days for days in found if days is not None and days > 0), default=None)
