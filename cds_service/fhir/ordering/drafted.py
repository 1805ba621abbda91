"""The orders of an order-select or order-sign call: which drive the call, and what each of them is.

Tolerant like the reader of the record: one odd draft costs itself and is reported. A Medication is read from the FHIR
server only for an order that says no more than its reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, tzinfo
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from ...clinical.ordered import concerns
from ...clinical.record import Ignored, Order
from ...clinical.tables import Pathway
from ...fetching import Fetch, FetchFailed
from ..gathering.bundles import UnreadableError, decode
from ..gathering.fetch_missing import MEDICATIONS
from ..gathering.key_states import sort
from ..gathering.shelf import Shelf, can_be_fetched, medication_to_look_up
from ..gathering.side_by_side import Errand, run
from ..reader import is_own
from ..reading import reasons
from ..reading.dates import Calendar
from ..reading.reading import Reading, reference_of, status_of
from ..resources import Resource
from .ordering import medicine_orders, test_orders

if TYPE_CHECKING:
    from ...content.content import Content

KINDS = {  # what older versions of FHIR call it, too
    "MedicationRequest": medicine_orders, "MedicationOrder": medicine_orders,
    "ServiceRequest": test_orders, "ProcedureRequest": test_orders,
}  # fmt: skip
WITHDRAWN = ("cancelled", "stopped", "revoked", "entered-in-error")  # signed again to end it: nothing is ordered
DRAFTS = 500  # of those that drive a call, and of those beside them
NOT_IN_BUNDLE = "selected, but not among the draft orders"
UNREAD = "its medicine is only a reference that could not be read"


@dataclass(frozen=True, slots=True)
class Drafted:
    """What is ordered. `unread`: the medicine of an order that drives the call could not be had."""

    selected: tuple[Order, ...] = ()
    beside: tuple[Order, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    unread: bool = False
    relevant: bool = False  # could any row of the orders table be about it?


def read_drafted(
    raw: msgspec.Raw,
    selections: Sequence[str] | None,
    patient_id: str,
    content: Content,
    pathway: Pathway,
    today: date,
    zone: tzinfo,
    fetch: Fetch | None,
    deadline: float,
) -> Drafted:
    """The orders in `draftOrders`. Those of `selections` drive; all of them, where a hook has no selections."""
    shelf = Shelf(patient_id)
    page = sort(decode(raw))
    shelf.put(page)
    reading = Reading(content, pathway, Calendar(zone, today), shelf.find)
    drafts = [each for each in shelf.resources if placed(each, patient_id, reading)]
    driving = chosen(drafts, selections, shelf, reading)
    names = {id(each) for each in driving}
    others = cut([each for each in drafts if id(each) not in names], reading)
    look_up(driving, shelf, fetch, deadline)
    selected = orders(driving, reading)
    unread = [each for each in driving if medication_to_look_up(each, shelf)]
    for each in unread:
        reading.ignore(reference_of(each), UNREAD)
    relevant = any(concerns(each, pathway) for each in selected)
    if relevant:
        look_up(others, shelf, fetch, deadline)
    ignored = tuple(dict.fromkeys((*shelf.ignored, *reading.ignored)))
    return Drafted(selected, orders(others, reading) if relevant else (), ignored, bool(unread), relevant)


def placed(resource: Resource, patient_id: str, reading: Reading) -> bool:
    """Is it an order for this patient that somebody is about to place?"""
    if resource.resource_type not in KINDS:
        return False
    reference, status = reference_of(resource), status_of(resource)
    if not is_own(resource, patient_id, {f"Patient/{patient_id}"}, reading):
        reading.ignore(reference, reasons.ANOTHER_PATIENT)
    elif resource.do_not_perform:
        reading.ignore(reference, reasons.DO_NOT_PERFORM)
    elif status in WITHDRAWN:
        reading.ignore(reference, reasons.of_status(status))
    else:
        return True
    return False


def chosen(drafts: list[Resource], selections: Sequence[str] | None, shelf: Shelf, reading: Reading) -> list[Resource]:
    """The drafts that were selected, each once; what was selected and is not there is reported."""
    if selections is None:
        return cut(drafts, reading)
    names = {id(shelf.find(selection)) for selection in selections}
    if id(None) in names:
        reading.ignore("", NOT_IN_BUNDLE)
    return cut([each for each in drafts if id(each) in names], reading)


def cut(drafts: list[Resource], reading: Reading) -> list[Resource]:
    """As many as anybody drafts in one session; a request could hold tens of thousands."""
    if len(drafts) > DRAFTS:
        reading.ignore("", f"more than {DRAFTS} draft orders")
    return drafts[:DRAFTS]


def look_up(drafts: Iterable[Resource], shelf: Shelf, fetch: Fetch | None, deadline: float) -> None:
    """Read the Medications of orders that say no more than a reference, a few at most, side by side."""
    wanted = dict.fromkeys(medication_to_look_up(each, shelf) for each in drafts)
    references = [each for each in wanted if each and can_be_fetched(each)][:MEDICATIONS]
    if fetch is not None and references:
        run(fetch, [Errand(each, deadline, partial(take, shelf, each)) for each in references])


def take(shelf: Shelf, reference: str, result: bytes | FetchFailed) -> Iterable[Errand]:
    """Put a Medication that was read where its reference finds it."""
    if isinstance(result, FetchFailed):
        return []
    try:
        entries = sort(decode(result)).own
    except UnreadableError:
        return []
    for entry in entries:
        if entry.resource is not None and entry.resource.resource_type == "Medication":
            shelf.include(reference, entry.resource)
    return []


def orders(drafts: Iterable[Resource], reading: Reading) -> tuple[Order, ...]:
    """What the drafts order, in an order that does not depend on theirs."""
    found: list[Order] = []
    for resource in drafts:
        try:
            found += KINDS[resource.resource_type](resource, reading)
        except (ValueError, ArithmeticError):  # data that nobody foresaw; other exceptions are bugs, and stay loud
            reading.ignore(reference_of(resource), reasons.UNREADABLE)
    return tuple(sorted(found, key=lambda each: (each.reference, each.ingredient, each.orderable)))
