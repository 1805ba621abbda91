"""One call, from the request to its answer. Read this first.

HookRequest -> relevant? -> gather -> read_record -> assess -> decide -> history -> draft -> build_cards -> record

`evaluate` is what every caller uses: the route, the pages, `explain`, `replay` and `doctor`. `ClientConfig` is all
that a client gets. Every step is a plain function; the only effects are `fetch` and `history`, which are passed in, and
time is an argument. The one branch: orders that do not concern us are answered before anything is gathered.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, tzinfo
from functools import partial
from typing import Any, Protocol

from .bounds import OutOfTime
from .cdshooks.client_config import REQUIRED, ClientConfig
from .cdshooks.registry import HOOKS
from .cdshooks.requests import HookRequest, log_name
from .clinical.advice import said_of_access
from .clinical.composing import fitted
from .clinical.decide import Decision, decide, decide_without, incomplete, unavailable, urgency
from .clinical.decide_orders import decide_orders
from .clinical.dismissals import Remaining, evidence_of, may_be_suppressed, suppress
from .clinical.findings import Assessment, assess
from .clinical.laboratory import unjudged_results
from .clinical.record import Patient, PatientRecord
from .clinical.tables import Pathway
from .content.content import Content
from .fetching import Fetch
from .fhir.gather import Fetching, Gathered, KeyState, gather
from .fhir.orders import Drafted, read_drafted
from .fhir.reader import read_record
from .fhir.reading import ReadFor
from .fhir.reasons import DAMAGED, NO_DATE
from .http.addresses import AddressRefused, parse_base
from .store.records import CallParties, DecisionRecord, History, Offered, Shown, Suppressed
from .suggestions import Answered, cards_for
from .tracing import span

Json = dict[str, Any]


MISSING = ("absent", "failed")
INCOMPLETE, FAILED = "incomplete", "failed"
PARTS = {  # type of resource -> part of the record, as messages.toml names it under [prefetch]
    "Observation": "results", "Condition": "conditions", "Procedure": "procedures", "FamilyMemberHistory": "family",
    "MedicationRequest": "medicationRequests", "MedicationStatement": "medications", "Patient": "patient",
    "MedicationAdministration": "administrations", "MedicationDispense": "dispenses",
    "AllergyIntolerance": "allergies",
}  # fmt: skip
DRAFT_ORDERS = "draftOrders"
NO_ORDERS = Drafted()
# Times a client's seconds for one call. Fetching stops when those are over; then what came is read and judged, which
# takes milliseconds unless the record is huge or the machine overloaded.
OVERTIME = 2
NOTHING_GATHERED = Gathered((), (), {}, (), lambda _: True, lambda _: None)


OTHER_PATIENTS_ONLY = "only-other-patients-resources"  # a search brought nothing else, and so it failed
ZONE_NOT_STATED = "time-zone-not-stated"  # and a time came with an offset from UTC: its day may be another


class Memory(Protocol):
    """What is remembered of earlier calls, and where this one is recorded. Both never raise."""

    def history(self, who: CallParties, now: int, zone: tzinfo) -> History:
        """What is remembered of that user and patient at `now` (ms since 1970)."""

    def save_decision(self, decision: DecisionRecord) -> None:
        """Record the decision, without waiting."""


@dataclass(frozen=True, slots=True)
class CallTime:
    """The time of one call: its moment, for calendar days and what lies in the future; and when it arrived, in seconds
    of the monotonic clock. `seconds`: another limit than the client's. `recorded`: another moment for the record."""

    now: datetime
    arrived: float = field(default_factory=time.monotonic)
    seconds: float | None = None
    recorded: datetime | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The answer to one call, and everything that explains it.

    `missing` names required keys that could not be had; status 412 where nothing can be said without them. `decision`
    is what follows from the record, whatever is remembered; `shown` and `offered` are what the cards say, and
    `suppressed` what they leave out of it. `evidence` is what an override of these cards holds for ("": nothing).
    `remembered` is False where what is remembered was asked for and could not be had.
    """

    status: int
    cards: list[Json]
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
    warnings: tuple[str, ...] = ()  # keys of what was odd in the orders, for the log


@dataclass(frozen=True, slots=True)
class Call:
    """One call while it is answered. `look_up` asks the history, at most once and only where it can matter; None:
    nothing is remembered. The deadlines are seconds of the monotonic clock; after the second no optional key is
    fetched."""

    request: HookRequest
    client: ClientConfig
    today: date
    fetch: Fetch | None
    deadline: float
    optional_deadline: float
    look_up: Callable[[], History] | None
    ends: float = math.inf  # when reading and judging stop too, in seconds of the monotonic clock

    def ensure_in_time(self) -> None:
        """OutOfTime where the caller has given up: nobody is held up by an answer that comes too late to be heard."""
        if time.monotonic() > self.ends:
            raise OutOfTime


@dataclass(frozen=True, slots=True)
class Judged:
    """What was gathered for a call, and what it means."""

    assessment: Assessment
    gathered: Gathered
    decision: Decision
    missing: tuple[str, ...] = ()


def evaluate(
    request: HookRequest,
    client: ClientConfig,
    clock: CallTime,
    fetch: Fetch | None = None,
    history: Memory | None = None,
) -> Evaluation:
    """Answer one call of this client, and record it. `fetch` reads from the FHIR server that the request names; None:
    nothing is read. `history` None: nothing is remembered, nothing recorded."""
    person = who(request, client)
    look_up = None if history is None else partial(history.history, person, milliseconds(clock.now), client.zone)
    seconds = client.seconds_for(request.hook) if clock.seconds is None else clock.seconds
    base = request.fhir_access.base if request.fhir_access else ""
    with client.limit(base, fetch) as limited:
        answered = answer(
            Call(
                request=request,
                client=client,
                today=client.today(clock.now),
                fetch=limited,
                deadline=clock.arrived + seconds,
                optional_deadline=clock.arrived + seconds / 2,
                ends=clock.arrived + OVERTIME * seconds,
                look_up=None if client.is_silent(clock.now) else look_up,  # what was never shown was not dismissed
            )
        )
    if history is not None:
        history.save_decision(record_of(request, person, client, clock, answered))
    return answered


def answer(call: Call) -> Evaluation:
    """The answer to a call, from its orders to the cards."""
    orders = read_orders(call.request, call.client, call.today, fetching_of(call))
    found = answer_with(call, orders)
    warnings = orders.warnings
    if found.record.other_offset and not call.client.zone_stated:
        warnings = (*warnings, ZONE_NOT_STATED)
    if found.gathered.of_others_only:
        warnings = (*warnings, OTHER_PATIENTS_ONLY)
    return replace(found, warnings=warnings) if warnings else found


def answer_with(call: Call, orders: Drafted) -> Evaluation:
    """The answer to a call whose orders are read."""
    if call.request.draft_orders is not None and not orders.relevant:
        return answer_irrelevant(call, orders)
    record, gathered = gather_record(call)
    with span("decide"):
        assessment = assess(with_orders(record, orders), call.client.pathway, call.today)
        call.ensure_in_time()
        missing = missing_keys(gathered, assessment)
        decision = judge(assessment, gathered, call.client, missing)
        call.ensure_in_time()
        if not (missing or decision.advice) and gathered.states["b12"].state == INCOMPLETE:
            missing = ("b12",)  # what was not read may be the result that matters: no cards would say that all is well
            decision = judge(assessment, gathered, call.client, missing)
    if orders.unread and not missing:
        if not decision.advice:
            return answer_unread(call, assessment, gathered)
        decision = with_unread_named(decision, assessment, call.client.pathway)
    if not missing:
        lost = lost_parts(gathered, assessment, has_advice=bool(decision.advice))
        decision = with_losses_named(decision, assessment, call.client.pathway, lost)
    return answer_judged(call, Judged(assessment, gathered, decision, missing))


def gather_record(call: Call) -> tuple[PatientRecord, Gathered]:
    """The patient's record, and what it was read from."""
    request, client = call.request, call.client
    with span("gather"):
        gathered = gather(request.prefetch, client.templates, request.tokens, fetching_of(call))
    with span("read"):
        record = read_record(gathered, read_for(request, client, call.today), call.ends)
    call.ensure_in_time()
    return record, gathered


def fetching_of(call: Call) -> Fetching | None:
    """How this call fetches what was not sent; None where it may not."""
    if call.fetch is None:
        return None
    return Fetching(call.fetch, call.deadline, call.optional_deadline, call.request.fhir_base)


def read_for(request: HookRequest, client: ClientConfig, today: date) -> ReadFor:
    """For whom and for when a request is read."""
    return ReadFor(request.patient_id, client.content, client.pathway, today, client.zone)


def record_without_fetching(request: HookRequest, client: ClientConfig, today: date) -> PatientRecord:
    """What the request itself says of the patient, its orders included."""
    call = Call(request, client, today, None, 0.0, 0.0, None)
    record, _ = gather_record(call)
    return with_orders(record, read_orders(request, client, today))


def read_orders(request: HookRequest, client: ClientConfig, today: date, fetching: Fetching | None = None) -> Drafted:
    """The orders of a hook that carries some."""
    if request.draft_orders is None:
        return NO_ORDERS
    return read_drafted(
        request.draft_orders,
        request.selections,
        read_for(request, client, today),
        fetching,
        [value for key, value in request.prefetch.items() if key not in client.templates],
    )


def with_orders(record: PatientRecord, orders: Drafted) -> PatientRecord:
    """The record with the orders of this call, and with what of them was not used."""
    if orders == NO_ORDERS:
        return record
    ignored = sorted({*record.ignored, *orders.ignored}, key=lambda each: (each.reference, each.reason))
    return replace(record, selected=orders.selected, beside=orders.beside, ignored=tuple(ignored))


def answer_irrelevant(call: Call, orders: Drafted) -> Evaluation:
    """No card for orders that do not concern us; the record is not read."""
    record = with_orders(PatientRecord(Patient(f"Patient/{call.request.patient_id}")), orders)
    assessment = assess(record, call.client.pathway, call.today)
    if orders.unread:
        return answer_unread(call, assessment, NOTHING_GATHERED)
    return Evaluation(200, [], Decision("", (), (), {}), assessment, record, NOTHING_GATHERED)


def answer_unread(call: Call, assessment: Assessment, gathered: Gathered) -> Evaluation:
    """An order whose medicine could not be read may be one of ours: that is missing data like any other."""
    state = KeyState(DRAFT_ORDERS, "failed", "an order could not be read, or its medicine is not named")
    gathered = replace(gathered, states={**gathered.states, DRAFT_ORDERS: state})
    decision = judge(assessment, gathered, call.client, (DRAFT_ORDERS,))
    return answer_judged(call, Judged(assessment, gathered, decision, (DRAFT_ORDERS,)))


def with_unread_named(decision: Decision, assessment: Assessment, pathway: Pathway) -> Decision:
    """The decision with a card that says that an order could not be read."""
    also = unavailable(assessment, pathway, pathway.messages[f"prefetch.{DRAFT_ORDERS}"])
    advice = sorted((*decision.advice, *also.advice), key=urgency)
    return replace(decision, rows=(*decision.rows, *also.rows), advice=tuple(advice))


def lost_parts(gathered: Gathered, assessment: Assessment, *, has_advice: bool) -> list[str]:
    """What was lost on the way, in words: parts of the record that were read in part, brought an error or did not come
    when they were asked for, entries that are damaged, results that could not be judged."""
    record, messages = assessment.case.record, assessment.case.pathway.messages
    lost = {
        key: state.state == INCOMPLETE or (state.state == FAILED and state.tried)
        for key, state in gathered.states.items()
        if key in gathered.published and key != "patient"
    }
    keys = [key for key, is_lost in lost.items() if is_lost]
    treated = assessment.case.has("on_im", "on_oral")  # then it matters of every symptom when it was first recorded
    reasons = DAMAGED if has_advice else (*DAMAGED, NO_DATE)  # what counts without its date is on a card then
    keys += [PARTS.get(each.reference.partition("/")[0], "") for each in record.ignored if each.reason in reasons]
    dated = record.problems if treated else assessment.case.in_group("cord-recent")
    if any(each.active and not (each.onset or each.recorded) for each in dated):
        keys.append("conditions")
    words = [messages[f"prefetch.{key}"] for key in dict.fromkeys(keys) if f"prefetch.{key}" in messages]
    return [*words, *unjudged_results(assessment.case)]


def with_losses_named(decision: Decision, assessment: Assessment, pathway: Pathway, lost: list[str]) -> Decision:
    """The decision with a card that names what was lost and no other card names: nothing falls silent."""
    if not lost or "out_of_scope" in decision.findings:
        return decision
    said = said_of_access(decision.advice, pathway).casefold()
    unsaid = [each for each in dict.fromkeys(lost) if each.casefold() not in said]
    if not unsaid:
        return decision
    also = incomplete(assessment, pathway, ", ".join(unsaid))
    others = [each for each in decision.advice if each.row != also.row]
    if len(others) < len(decision.advice):  # there is such a card: one names all
        names = [words for key, words in pathway.messages.items() if key.startswith("prefetch.")]
        parts = [words for words in names if words.casefold() in said]
        also = incomplete(assessment, pathway, ", ".join(dict.fromkeys([*parts, *unsaid])))
    return replace(decision, advice=tuple(fitted(sorted((*others, also), key=urgency))))


def answer_judged(call: Call, judged: Judged) -> Evaluation:
    """The decision as cards; 412 where required data is missing and nothing can be said without it."""
    decision, assessment, missing = judged.decision, judged.assessment, judged.missing
    found = Evaluation(200, [], decision, assessment, assessment.case.record, judged.gathered, missing)
    if missing and not decision.advice:
        return replace(found, status=412)
    quiet, evidence, remembered = with_history(
        decision, assessment, call.client.content, None if missing else call.look_up
    )
    causes = assessment.values["causes"] if "cause_known" in assessment.findings else ""
    answered = Answered(call.request, call.client, assessment.case.record, call.today, causes)
    with span("build"):
        cards = cards_for(answered, quiet.advice)
    ordered = dict.fromkeys(test for each in quiet.advice for test in each.ordered)  # already, so nothing suggests them
    return replace(
        found,
        cards=cards.cards,
        shown=tuple(Shown(each.card, each.row, each.indicator) for each in cards.shown),
        offered=tuple(Offered(each.card, each.suggestion, each.draft.kind, each.draft.id) for each in cards.offered),
        suppressed=(
            *(Suppressed(each.what, each.why, each.on) for each in quiet.left),
            *(Suppressed(f"{each.kind}:{each.id}", "ordered", call.today) for each in ordered),
        ),
        evidence=evidence,
        remembered=remembered,
    )


def with_history(
    decision: Decision, assessment: Assessment, content: Content, look_up: Callable[[], History] | None
) -> tuple[Remaining, str, bool]:
    """The advice without what was dismissed or accepted before, the evidence that an override of it holds for, and
    whether what is remembered could be had. Where nothing may be left out an override holds for nothing: ""."""
    everything = Remaining(decision.advice, ())
    if look_up is None or not may_be_suppressed(decision, assessment):
        return everything, "", True
    evidence = evidence_of(decision, assessment, content.digest)
    with span("history"):
        memory = look_up()
    quiet = suppress(decision, assessment, evidence, memory) if memory.known else everything
    return quiet, evidence, memory.known


def missing_keys(gathered: Gathered, assessment: Assessment) -> tuple[str, ...]:
    """Required keys that could not be had; also B12 of which only a part came, with nothing usable in it."""
    missing = [key for key in REQUIRED if gathered.states[key].state in MISSING]
    nothing_usable = assessment.case.has("b12_not_known") and gathered.states["b12"].state == INCOMPLETE
    return tuple(missing + (["b12"] if nothing_usable else []))


def judge(assessment: Assessment, gathered: Gathered, client: ClientConfig, missing: tuple[str, ...]) -> Decision:
    """The decision; without required data only what a safety row can say, or nothing."""
    if not missing:
        about_orders = bool(assessment.case.record.selected)
        return (decide_orders if about_orders else decide)(assessment, client.pathway)
    words = ", ".join(client.pathway.messages[f"prefetch.{key}"] for key in missing)
    if gathered.wrong_patient:
        return Decision("not-assessable", (), (), dict(assessment.findings))
    decision = decide_without(assessment, client.pathway, words)
    if decision.advice or client.on_missing == "412":
        return decision
    return unavailable(assessment, client.pathway, words)


# What is recorded


def who(request: HookRequest, client: ClientConfig) -> CallParties:
    """About whom and by whom the call is: the ids are those of the FHIR server that it names, may it be read or not.

    A call that names none stands by itself: of which server its ids are is not said, and is not guessed. Then a card
    that was overridden elsewhere is shown once more, which is the safer mistake.
    """
    base = in_normal_form(request.fhir_base)
    return CallParties(client.name, client.tenant, base, request.patient_id, request.tokens["userId"])


def in_normal_form(base: str) -> str:
    """A FHIR base as it is however it was spelled; what is no address as it was sent."""
    try:
        return parse_base(base).url
    except AddressRefused:
        return base


def record_of(
    request: HookRequest, person: CallParties, client: ClientConfig, clock: CallTime, found: Evaluation
) -> DecisionRecord:
    """What is recorded of an answered call. Of a silent one: what would have been shown."""
    return DecisionRecord(
        at=milliseconds(clock.recorded or clock.now),
        who=person,
        service=HOOKS[request.hook].service_id,
        hook=request.hook,
        hook_instance=log_name(request.hook_instance),
        content=client.content.version,
        pathway=client.pathway.id,
        label=found.decision.label,
        status=found.status,
        silent=client.is_silent(clock.now),
        rows=found.decision.rows,
        missing=found.missing,
        shown=found.shown,
        offered=found.offered,
        suppressed=found.suppressed,
        evidence=found.evidence,
        ms=round((time.monotonic() - clock.arrived) * 1000, 1),
    )


def milliseconds(moment: datetime) -> int:
    """Since 1970, UTC."""
    return int(moment.timestamp() * 1000)
