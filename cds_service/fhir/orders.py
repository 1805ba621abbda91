"""Orders: tests that are ordered already and not yet done, and the drafts of an order-select or order-sign call.

Of the drafts, which drive the call, and what each of them is in clinical terms: its ingredients with route and
schedule, or the tests that it asks for. Tolerant like the reader of the record: one odd draft costs itself and is
reported. A Medication is read from the FHIR server only for an order that says no more than its reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from ..clinical.ordered import concerns
from ..clinical.record import Ignored, OpenOrder, Order, OrderedPhase
from . import reasons
from .bundles import decode
from .concepts import concepts, find_codes
from .dates import Calendar
from .dosage import days_of, interval_in_words, interval_of_code, interval_of_repeat, positive
from .fetch import Fetching, MedicationLookUp, run
from .index import (
    Page,
    ResourceIndex,
    is_understood,
    medication_to_look_up,
    names_no_medicine,
    says,
    sort,
)
from .key_states import FAILED, INCOMPLETE, judge
from .medicines import amounts, dose_of
from .products import Constituent, described, is_dosed, route_of
from .reading import ReadFor, Reading, reference_of, status_of
from .resources import Dosage, Entry, Repeat, Resource, listed, medicine_of

ORDERS = frozenset(("order", "original-order", "reflex-order", "filler-order", "instance-order", ""))
OPEN = "active"  # on hold or a draft is not under way: suggesting it again does less harm than not at all


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
        period = resource.occurrence_period
        planned = reading.calendar.day(resource.occurrence_date_time or (period.start if period else None))
        reading.orders += [OpenOrder(reference, name, written, planned) for name in ordered]


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


def test_orders(resource: Resource, reading: Reading) -> list[Order]:
    """One Order per test of ours that the request covers."""
    return [Order(draft_name(resource), orderable=name) for name in orderables(resource, reading)]


def medicine_orders(resource: Resource, reading: Reading) -> list[Order]:
    """One Order per ingredient of ours."""
    medicine = described(by_its_own_words(resource), reading)
    found = medicine.constituents
    if not found:
        return []
    dosages = sorted(listed(resource.dosage_instruction), key=lambda each: each.sequence or Decimal(0))
    route = route_of(dosages, medicine, reading)
    return [
        Order(
            draft_name(resource),
            ingredient=content.ingredient,
            route=route,
            per_day=amounts(dosages, content, "order", reading)[1],
            phases=phases(dosages, content, reading),
            multivitamin=content.multivitamin,
            antidote=content.antidote,
        )
        for content in found
    ]


def draft_name(resource: Resource) -> str:
    """How the client names the draft. One without an id cannot be named, only counted by its type."""
    return reference_of(resource) or str(resource.resource_type)


def by_its_own_words(resource: Resource) -> Resource:
    """The order without its reference where it says itself what is ordered: that comes first."""
    concept, reference = medicine_of(resource)
    if reference is None or concept is None or not is_understood(concept):
        return resource
    return msgspec.structs.replace(
        resource, medication_codeable_concept=concept, medication_reference=None, medication=None
    )


def phases(dosages: list[Dosage], content: Constituent, reading: Reading) -> tuple[OrderedPhase, ...]:
    """The dosage instructions in sequence, for ingredients whose dose decides something.

    While nothing is filled in yet, one tablet or ampoule of the product is what is ordered.
    """
    if not is_dosed(content.ingredient, reading):
        return ()
    return tuple(phase_of(dosage, content, reading) for dosage in dosages or [Dosage()])


def phase_of(dosage: Dosage, content: Constituent, reading: Reading) -> OrderedPhase:
    """Dose, interval and length of one dosage instruction."""
    dose = dose_of(dosage, content)
    if dose is None and not content.per_ml:
        dose = content.strength  # one tablet or ampoule: what the product's name promises
    timing = dosage.timing
    as_needed = bool(dosage.as_needed_boolean) or dosage.as_needed_codeable_concept is not None
    interval = None if timing is None else interval_of_repeat(timing.repeat) or interval_of_code(timing)
    if interval:
        length = length_of(timing.repeat, interval, reading) if timing else None
        return OrderedPhase(dose, interval, length, as_needed=as_needed)
    written = interval_in_words(dosage.text)
    return OrderedPhase(dose, written, None, in_words=written is not None, as_needed=as_needed)


def length_of(repeat: Repeat | None, interval: Decimal, reading: Reading) -> Decimal | None:
    """For how many days the instruction holds, by its bounds or its number of doses; the shortest where both are."""
    if repeat is None:
        return None
    found = [days_of(repeat.bounds_duration)]
    calendar = reading.calendar
    end = calendar.ends(repeat.bounds_period)
    if end is not None:
        found.append(Decimal((end - (calendar.starts(repeat.bounds_period) or reading.today)).days))
    if count := positive(repeat.count):
        found.append(count * interval)
    return min((days for days in found if days is not None and days > 0), default=None)


KINDS = {  # what older versions of FHIR call it, too
    "MedicationRequest": medicine_orders, "MedicationOrder": medicine_orders,
    "ServiceRequest": test_orders, "ProcedureRequest": test_orders,
}  # fmt: skip
MEDICINES = ("MedicationRequest", "MedicationOrder")
MEDICATION = "Medication"
WITHDRAWN = ("cancelled", "stopped", "revoked", "entered-in-error")  # signed again to end it: nothing is ordered
DRAFTS = 500  # of those that drive a call, and of the other drafts
NOT_IN_BUNDLE = "selected, but not among the draft orders"
SELECTION_UNKNOWN = "selection-not-among-the-drafts"
UNREAD = "its medicine could not be read, or is not named"


@dataclass(frozen=True, slots=True)
class Drafted:
    """What is ordered. `unread`: an order that drives the call, or its medicine, could not be read."""

    selected: tuple[Order, ...] = ()
    beside: tuple[Order, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    unread: bool = False
    relevant: bool = False  # could any row of the orders table be about it?
    warnings: tuple[str, ...] = ()  # keys of what was odd, for the log


def read_drafted(
    raw: msgspec.Raw,
    selections: Sequence[str] | None,
    whom: ReadFor,
    fetching: Fetching | None = None,
    sent: Sequence[Resource | msgspec.Raw | None] = (),
) -> Drafted:
    """The orders in `draftOrders`. Those of `selections` drive; all of them, where a hook has no selections. `sent` is
    what came along under keys of the client's own: Medications to which orders only refer."""
    index = ResourceIndex(whom.patient_id)
    decoded = decode(raw)  # how a search found a draft says nothing of it
    page = sort(decoded._replace(entries=[Entry(each.full_url, each.resource) for each in decoded.entries]))
    index.put(page)
    reading = Reading(whom.content, whom.pathway, Calendar(whom.zone, whom.today), index.find)
    drafts = [each for each in index.resources if placed(each, index, reading)]
    driving, warnings = chosen(drafts, selections, page, index)
    if warnings:
        reading.ignore("", NOT_IN_BUNDLE)
    driving = cut(driving, reading)
    names = {id(each) for each in driving}
    others = cut([each for each in drafts if id(each) not in names], reading)
    take_medications(driving, index, sent)
    look_up(driving, index, fetching)
    selected = orders(driving, reading)
    unread = [each for each in driving if is_unread(each, index)]
    for each in unread:
        reading.ignore(reference_of(each), UNREAD)
    relevant = any(concerns(each, whom.pathway) for each in selected)
    if relevant:
        take_medications(others, index, sent)
        look_up(others, index, fetching)
    ignored = tuple(dict.fromkeys((*index.ignored, *reading.ignored)))
    others_read = orders(others, reading) if relevant else ()
    return Drafted(selected, others_read, ignored, bool(unread) or may_lack_orders(raw, page), relevant, warnings)


def may_lack_orders(raw: msgspec.Raw, page: Page) -> bool:
    """May there be orders that did not come: an error instead of them, a part, an object that is no FHIR? An empty
    object is no orders: some clients send it."""
    if page.kind == "other":
        return bool(msgspec.json.decode(raw, type=dict[str, msgspec.Raw]))
    state, _ = judge([page], "", "further pages were not read" if page.next_urls else "")
    return state in (FAILED, INCOMPLETE)


def is_unread(resource: Resource, index: ResourceIndex) -> bool:
    """Is it an order of a medicine, and nobody can say of which?"""
    if resource.resource_type not in MEDICINES:
        return False
    concept, reference = medicine_of(resource)
    if not says(concept) and reference is None and not resource.dosage_instruction:
        return False  # just opened: nothing is filled in yet
    return bool(medication_to_look_up(resource, index)) or names_no_medicine(resource, index)


def placed(resource: Resource, index: ResourceIndex, reading: Reading) -> bool:
    """Is it an order for this patient that somebody is about to place?"""
    if resource.resource_type not in KINDS:
        return False
    reference, status = reference_of(resource), status_of(resource)
    if not index.is_own(resource) and names_a_patient(resource, reading):
        reading.ignore(reference, reasons.ANOTHER_PATIENT)
    elif resource.do_not_perform:
        reading.ignore(reference, reasons.DO_NOT_PERFORM)
    elif status in WITHDRAWN:
        reading.ignore(reference, reasons.of_status(status))
    else:
        return True
    return False


def names_a_patient(resource: Resource, reading: Reading) -> bool:
    """Does it say whose it is? A reference that leads nowhere does not; a draft of the call is then judged."""
    subjects = [each for named in (resource.subject, resource.patient) if named is not None for each in listed(named)]
    names = [each.reference for each in subjects if each.reference]
    return any("Patient/" in name or reading.resolve(name, resource) is not None for name in names)


def chosen(
    drafts: list[Resource], selections: Sequence[str] | None, page: Page, index: ResourceIndex
) -> tuple[list[Resource], tuple[str, ...]]:
    """The drafts that drive the call, and what was odd. Without selections all of them do; also where one selection
    names nothing that is there: which of them is meant is then not known."""
    if not selections:
        return drafts, ()
    by_id: dict[str, list[Resource]] = {}
    for entry in page.own:
        if entry.resource is not None:
            for name in {entry.resource.id or "", last_part(entry.full_url or "")}:
                by_id.setdefault(name, []).append(entry.resource)
    named = [named_by(selection, by_id, index) for selection in selections]
    if not all(named):
        return drafts, (SELECTION_UNKNOWN,)
    several = {id(found): found for found in named}.values()  # an id that many drafts have names them once
    names = {id(each) for found in several for each in found}
    return [each for each in drafts if id(each) in names], ()


def named_by(selection: str, by_id: Mapping[str, list[Resource]], index: ResourceIndex) -> list[Resource]:
    """The resources that a selection names: by reference, by address, by id alone, with a slash too many."""
    name = selection.strip().lstrip("/")
    found = index.find(name)
    if found is not None:
        return [found]
    last = name.rpartition("/")[2]
    return by_id.get(last, []) if last else []


def last_part(address: str) -> str:
    """The id in an address: "1" of ".../MedicationRequest/1" and of "urn:uuid:1"."""
    return address.rpartition("/")[2].rpartition(":")[2]


def cut(drafts: list[Resource], reading: Reading) -> list[Resource]:
    """As many as anybody drafts in one session; a request could hold tens of thousands."""
    if len(drafts) > DRAFTS:
        reading.ignore("", f"more than {DRAFTS} draft orders")
    return drafts[:DRAFTS]


def take_medications(
    drafts: Iterable[Resource], index: ResourceIndex, sent: Sequence[Resource | msgspec.Raw | None]
) -> None:
    """Make the Medications that came along findable, where an order says no more than a reference."""
    if not (sent and any(medication_to_look_up(draft, index) for draft in drafts)):
        return
    for each in sent:
        page = sort(decode(each))
        for entry in (*page.own, *page.included):
            if entry.resource is not None and entry.resource.resource_type == MEDICATION:
                index.include(entry.full_url or "", entry.resource)


def look_up(drafts: Iterable[Resource], index: ResourceIndex, fetching: Fetching | None) -> None:
    """Read the Medications of orders that say no more than a reference."""
    wanted = [each for each in (medication_to_look_up(draft, index) for draft in drafts) if each]
    if fetching is not None and wanted:
        run(fetching.fetch, MedicationLookUp(index, fetching.optional_deadline, fetching.base).tasks(wanted))


def orders(drafts: Iterable[Resource], reading: Reading) -> tuple[Order, ...]:
    """What the drafts order, in an order that does not depend on theirs."""
    found: list[Order] = []
    for resource in drafts:
        try:
            found += KINDS[resource.resource_type](resource, reading)
        except (ValueError, ArithmeticError):  # data that nobody foresaw; other exceptions are bugs, and stay loud
            reading.ignore(reference_of(resource), reasons.UNREADABLE)
    return tuple(sorted(found, key=lambda each: (each.ingredient, each.orderable, each.route, each.reference)))
