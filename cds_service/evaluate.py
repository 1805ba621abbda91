"""One request, from what the client sent to what it is told. Read this first.

HookRequest -> relevant? -> gather -> read_record -> assess -> decide -> recall -> draft -> compose -> cards. Every step
is a plain function; the only effects are `fetch` and `recall`, which are made for this call and passed in, and time is
an argument. The one branch: an order that is none of our business is answered before anything is gathered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, tzinfo
from typing import Any

from .cdshooks.compose import Options, laid_out
from .cdshooks.messages import HookRequest
from .clinical.advice import Advice, Draft
from .clinical.decide import Decision, decide, decide_without, unavailable
from .clinical.decide_orders import decide_orders
from .clinical.dismissals import Quieter, evidence_of, may_be_quiet, quieter
from .clinical.findings import Assessment, assess
from .clinical.record import Patient, PatientRecord
from .clinical.tables import Pathway
from .content.content import Content
from .fhir.drafts import Drafts
from .fhir.gather import Fetch, Gathered, KeyState, gather
from .fhir.orders import Drafted, read_drafted
from .fhir.reader import read_record
from .store.records import History, Offered, Shown, Suppressed
from .suggestions import resources, titles

REQUIRED = ("patient", "b12")
MISSING = ("absent", "failed")
DRAFT_ORDERS = "draftOrders"
NO_ORDERS = Drafted()
NOTHING_GATHERED = Gathered((), (), {}, (), {})

Recall = Callable[[], History]


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
    """The answer and everything that explains it. `missing` names required keys that could not be had, when 412.

    `decision` is what follows from the record, whatever is remembered; `shown` and `offered` are what the cards say,
    and `suppressed` what they leave out of it. `evidence` is what an override of these cards holds for ("": nothing),
    and `remembered` is False where what is remembered was asked for and could not be had.
    """

    status: int
    cards: list[dict[str, Any]]
    decision: Decision
    assessment: Assessment
    record: PatientRecord
    gathered: Gathered
    missing: tuple[str, ...] = ()
    shown: tuple[Shown, ...] = ()
    offered: tuple[Offered, ...] = ()
    suppressed: tuple[Suppressed, ...] = ()
    evidence: str = ""
    remembered: bool = True


def answer(
    request: HookRequest,
    service: Service,
    fetch: Fetch | None,
    now: datetime,
    deadline: float,
    optional_deadline: float,
    recall: Recall | None = None,
) -> Answer:
    """Answer one call. `now` decides what is in the future; the deadlines are monotonic seconds. `recall` is asked at
    most once, and only where something could be left out; None: nothing is remembered."""
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
    return told(request, service, decision, assessment, gathered, missing, today, recall)


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
    recall: Recall | None = None,
) -> Answer:
    """The decision as cards; 412 where required data is missing and nothing can be said without it."""
    record, pathway, options = assessment.case.record, service.pathway, service.options
    if missing and not decision.advice:
        return Answer(412, [], decision, assessment, record, gathered, missing)
    quiet, evidence, remembered = remember(decision, assessment, service.content, None if missing else recall)
    drafts = dict.fromkeys(draft for advice in quiet.advice for draft in advice.drafts)
    suggested = resources(drafts, service.drafts, options.replacing, request, record, today)
    words = titles(drafts, pathway, options.replacing, record)
    composed = laid_out(quiet.advice, suggested, words, request, options)
    return Answer(
        200,
        composed.cards,
        decision,
        assessment,
        record,
        gathered,
        missing,
        shown=tuple(Shown(each.card, each.row, each.indicator) for each in composed.placed),
        offered=tuple(
            Offered(each.card, each.suggestion, each.draft.kind, each.draft.id) for each in composed.suggested
        ),
        suppressed=(
            *(Suppressed(each.what, each.why, each.on) for each in quiet.left),
            *(Suppressed(f"{each.kind}:{each.id}", "ordered", today) for each in ordered(quiet.advice)),
        ),
        evidence=evidence,
        remembered=remembered,
    )


def ordered(advice: Iterable[Advice]) -> tuple[Draft, ...]:
    """The tests that nothing suggests because they are ordered already."""
    return tuple(dict.fromkeys(test for each in advice for test in each.ordered))


def remember(
    decision: Decision, assessment: Assessment, content: Content, recall: Recall | None
) -> tuple[Quieter, str, bool]:
    """The advice without what was dismissed or accepted before, the evidence that an override of it holds for, and
    whether what is remembered could be had. Where nothing may be left out an override holds for nothing: "" it is."""
    everything = Quieter(decision.advice, ())
    if recall is None or not may_be_quiet(decision, assessment):
        return everything, "", True
    evidence, memory = evidence_of(decision, assessment, content.digest), recall()
    quiet = quieter(decision, assessment, evidence, memory) if memory.known else everything
    return quiet, evidence, memory.known


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
