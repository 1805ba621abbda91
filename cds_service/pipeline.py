"""One request, from what the client sent to what it is told. Read this first.

HookRequest -> relevant? -> gather -> read_record -> assess -> decide -> draft -> compose -> cards. Every step is a
plain function; the only effect is `fetch`, which is made for this call and passed in, and time is an argument. The one
branch: an order that is none of our business is answered before anything is gathered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, tzinfo
from typing import Any

from .clinical.decide import Decision, decide, decide_without, unavailable
from .clinical.decide_orders import decide_orders
from .clinical.findings import Assessment, assess
from .clinical.record import Patient, PatientRecord
from .clinical.tables import Pathway
from .fhir.drafted import Drafted, read_drafted
from .fhir.drafts import Drafts
from .fhir.gather import Fetch, Gathered, KeyState, gather
from .fhir.reader import read_record
from .hooks.compose import Options, compose
from .hooks.messages import HookRequest
from .knowledge.content import Content
from .suggestions import resources, titles

REQUIRED = ("patient", "b12")
MISSING = ("absent", "failed")
DRAFT_ORDERS = "draftOrders"
NO_ORDERS = Drafted()
NOTHING_GATHERED = Gathered((), (), {}, (), {})


@dataclass(frozen=True, slots=True)
class Service:
    """What one service endpoint needs to answer: content, templates, and how its client wants to be answered."""

    content: Content
    pathway: Pathway
    drafts: Drafts
    templates: Mapping[str, str]  # prefetch key -> template
    zone: tzinfo
    options: Options
    on_missing: str = "412"  # 412 | card


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer and everything that explains it. `missing` names required keys that could not be had, when 412."""

    status: int
    cards: list[dict[str, Any]]
    decision: Decision
    assessment: Assessment
    record: PatientRecord
    gathered: Gathered
    missing: tuple[str, ...] = ()


def answer(
    request: HookRequest,
    service: Service,
    fetch: Fetch | None,
    now: datetime,
    deadline: float,
    optional_deadline: float,
) -> Answer:
    """Answer one call. `now` decides what is in the future; the deadlines are monotonic seconds."""
    today = now.astimezone(service.zone).date()
    ordered = read_orders(request, service, today, fetch, optional_deadline)
    if request.draft_orders is not None and not ordered.relevant:
        return answer_aside(request, service, ordered, today)
    gathered = gather(request.prefetch, service.templates, request.tokens, fetch, deadline, optional_deadline)
    record = read_record(gathered, request.patient_id, service.content, service.pathway, today, service.zone)
    record = with_orders(record, ordered)
    assessment = assess(record, service.pathway, today)
    missing = missing_keys(gathered, assessment)
    decision = judge(assessment, gathered, service, missing)
    if ordered.unread and not (missing or decision.advice):
        return answer_unread(request, service, assessment, gathered, today)
    return told(request, service, decision, assessment, gathered, missing, today)


def read_orders(request: HookRequest, service: Service, today: date, fetch: Fetch | None, deadline: float) -> Drafted:
    """The orders of an order hook; none of patient-view."""
    if request.draft_orders is None:
        return NO_ORDERS
    return read_drafted(
        request.draft_orders,
        request.selections,
        request.patient_id,
        service.content,
        service.pathway,
        today,
        service.zone,
        fetch,
        deadline,
    )


def with_orders(record: PatientRecord, ordered: Drafted) -> PatientRecord:
    """The record with the orders of this call, and with what of them was not used."""
    if ordered == NO_ORDERS:
        return record
    ignored = sorted({*record.ignored, *ordered.ignored}, key=lambda each: (each.reference, each.reason))
    return replace(record, selected=ordered.selected, beside=ordered.beside, ignored=tuple(ignored))


def answer_aside(request: HookRequest, service: Service, ordered: Drafted, today: date) -> Answer:
    """Orders that are none of our business: no card, and the record is not read."""
    record = with_orders(PatientRecord(Patient(f"Patient/{request.patient_id}")), ordered)
    assessment = assess(record, service.pathway, today)
    if ordered.unread:
        return answer_unread(request, service, assessment, NOTHING_GATHERED, today)
    return Answer(200, [], Decision("", (), (), {}), assessment, record, NOTHING_GATHERED)


def answer_unread(
    request: HookRequest, service: Service, assessment: Assessment, gathered: Gathered, today: date
) -> Answer:
    """An order whose medicine could not be had may be one of ours: that is missing data like any other."""
    state = KeyState(DRAFT_ORDERS, "failed", "the medicine of an order is only a reference that could not be read")
    gathered = replace(gathered, states={**gathered.states, DRAFT_ORDERS: state})
    decision = judge(assessment, gathered, service, (DRAFT_ORDERS,))
    return told(request, service, decision, assessment, gathered, (DRAFT_ORDERS,), today)


def told(
    request: HookRequest,
    service: Service,
    decision: Decision,
    assessment: Assessment,
    gathered: Gathered,
    missing: tuple[str, ...],
    today: date,
) -> Answer:
    """The decision as cards; 412 where required data is missing and nothing can be said without it."""
    record, pathway, options = assessment.case.record, service.pathway, service.options
    if missing and not decision.advice:
        return Answer(412, [], decision, assessment, record, gathered, missing)
    drafts = dict.fromkeys(draft for advice in decision.advice for draft in advice.drafts)
    suggested = resources(drafts, service.drafts, options.replacing, request, record, today)
    words = titles(drafts, pathway, options.replacing, record)
    cards = compose(decision.advice, suggested, words, request, options)
    return Answer(200, cards, decision, assessment, record, gathered, missing)


def missing_keys(gathered: Gathered, assessment: Assessment) -> tuple[str, ...]:
    """Required keys that could not be had; also B12 of which only a part came, with nothing usable in it."""
    missing = [key for key in REQUIRED if gathered.states[key].state in MISSING]
    nothing_usable = assessment.case.has("b12_not_known") and gathered.states["b12"].state == "incomplete"
    return tuple(missing + (["b12"] if nothing_usable else []))


def judge(assessment: Assessment, gathered: Gathered, service: Service, missing: tuple[str, ...]) -> Decision:
    """The decision; without required data only what a safety row can say, or nothing."""
    if not missing:
        about_orders = bool(assessment.case.record.selected)
        return (decide_orders if about_orders else decide)(assessment, service.pathway)
    words = ", ".join(service.pathway.messages[f"prefetch.{key}"] for key in missing)
    if gathered.wrong_patient:
        return Decision("not-assessable", (), (), dict(assessment.findings))
    decision = decide_without(assessment, service.pathway, words)
    if decision.advice or service.on_missing == "412":
        return decision
    return unavailable(assessment, service.pathway, words)
