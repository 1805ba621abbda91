"""One request, from what the client sent to what it is told. Read this first.

HookRequest -> gather -> read_record -> assess -> decide -> draft -> compose -> cards. Every step is a plain function;
the only effect is `fetch`, which is made for this call and passed in, and time is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from .clinical.advice import Draft
from .clinical.decide import Decision, decide, decide_without, unavailable
from .clinical.findings import Assessment, assess
from .clinical.record import PatientRecord
from .clinical.tables import Pathway
from .fhir.drafts import Drafts
from .fhir.gather import Fetch, Gathered, gather
from .fhir.reader import read_record
from .hooks.compose import Options, compose
from .hooks.messages import HookRequest
from .knowledge.content import Content

REQUIRED = ("patient", "b12")
MISSING = ("absent", "failed")


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
    """Answer one patient-view call. `now` decides what is in the future; the deadlines are monotonic seconds."""
    today = now.astimezone(service.zone).date()
    gathered = gather(request.prefetch, service.templates, request.tokens, fetch, deadline, optional_deadline)
    record = read_record(gathered, request.patient_id, service.content, service.pathway, today, service.zone)
    assessment = assess(record, service.pathway, today)
    missing = missing_keys(gathered, assessment)
    decision = judge(assessment, gathered, service, missing)
    if missing and not decision.advice:
        return Answer(412, [], decision, assessment, record, gathered, missing)
    resources = {draft: drafted(draft, service, record, now) for advice in decision.advice for draft in advice.drafts}
    cards = compose(decision.advice, resources, titles(service.pathway, resources), request, service.options)
    return Answer(200, cards, decision, assessment, record, gathered, missing)


def missing_keys(gathered: Gathered, assessment: Assessment) -> tuple[str, ...]:
    """Required keys that could not be had; also B12 of which only a part came, with nothing usable in it."""
    missing = [key for key in REQUIRED if gathered.states[key].state in MISSING]
    nothing_usable = assessment.case.has("b12_not_known") and gathered.states["b12"].state == "incomplete"
    return tuple(missing + (["b12"] if nothing_usable else []))


def judge(assessment: Assessment, gathered: Gathered, service: Service, missing: tuple[str, ...]) -> Decision:
    """The decision; without required data only what a safety row can say, or nothing."""
    if not missing:
        return decide(assessment, service.pathway)
    words = ", ".join(service.pathway.messages[f"prefetch.{key}"] for key in missing)
    if gathered.wrong_patient:
        return Decision("not-assessable", (), (), dict(assessment.findings))
    decision = decide_without(assessment, service.pathway, words)
    if decision.advice or service.on_missing == "412":
        return decision
    return unavailable(assessment, service.pathway, words)


def drafted(draft: Draft, service: Service, record: PatientRecord, now: datetime) -> dict[str, Any]:
    """The resource that a suggestion creates; `compose` gives it the id of this call."""
    make = service.drafts.test if draft.kind == "test" else service.drafts.medicine
    today = now.astimezone(service.zone).date()
    return make(draft.id, record.patient.reference, draft.id, today)


def titles(pathway: Pathway, drafts: Mapping[Draft, Any]) -> dict[Draft, tuple[str, str]]:
    """Label and description of each suggestion: the description states the whole regimen in words."""
    words = {}
    for draft in drafts:
        if draft.kind == "test":
            title = pathway.orderables[draft.id].title
            words[draft] = (title, title)
        else:
            regimen = pathway.regimens[draft.id]
            words[draft] = (regimen.title, regimen.words)
    return words
