"""What the cards suggest, as FHIR and in words: new orders, a clinician's own order changed, later orders together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from .cdshooks.cards import (
    CREATE,
    DELETE_AND_CREATE,
    UPDATE,
    CardIds,
    Cards,
    SuggestedOrder,
    Title,
    build_cards,
    form_of,
)
from .cdshooks.client_config import ClientConfig
from .cdshooks.registry import HOOKS
from .cdshooks.requests import HookRequest
from .clinical.advice import FOLLOW_UP, PROBLEM, REMOVAL, Advice, Draft
from .clinical.record import PatientRecord
from .clinical.tables import Pathway
from .fhir.drafts import as_care_plan, as_task, patched, problem, received

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answered:
    """The call that the suggestions answer: what was asked, by which client, of which patient, on which day. `causes`
    are the causes of the deficiency that are known, in words."""

    request: HookRequest
    client: ClientConfig
    record: PatientRecord
    today: date
    causes: str = ""


def cards_for(answered: Answered, advice: Iterable[Advice]) -> Cards:
    """The advice as cards, with what they suggest."""
    client, request, record = answered.client, answered.request, answered.record
    advice = tuple(removable(each, client.cards.replacing) for each in advice)
    drafts = list(dict.fromkeys(draft for each in advice for draft in each.drafts))
    resources = suggested_resources(drafts, answered)
    orders = {
        draft: follow_ups(draft, answered)
        if draft.kind == FOLLOW_UP
        else SuggestedOrder(resources.get(draft, {}), title(draft, client.pathway, client.cards.replacing, record))
        for draft in drafts
    }
    ids = CardIds(client.name, HOOKS[request.hook].service_id, request.hook_instance)
    return build_cards(advice, orders, ids, client.cards)


def removable(advice: Advice, taken: str) -> Advice:
    """The advice without suggestions to remove an order that this client does not let us name or remove."""
    drafts = tuple(each for each in advice.drafts if each.kind != REMOVAL or form_of(each, taken) != CREATE)
    return advice if drafts == advice.drafts else replace(advice, drafts=drafts)


def suggested_resources(drafts: list[Draft], answered: Answered) -> dict[Draft, Json]:
    """The resource of each suggestion: a new order, which the card gives the id of this call, or a clinician's own."""
    request, templates, patient = answered.request, answered.client.drafts, answered.record.patient.reference
    taken = answered.client.cards.replacing
    changed = {draft.replaces for draft in drafts if draft.replaces and form_of(draft, taken) == UPDATE}
    own = received(request.draft_orders, changed) if request.draft_orders is not None else {}
    found = {}
    for draft in drafts:
        if draft.kind in (FOLLOW_UP, REMOVAL):
            continue  # several resources, see follow_ups; and none
        if draft.kind == PROBLEM:
            found[draft] = problem(patient, answered.causes, answered.today)
            continue
        make = templates.test if draft.kind == "test" else templates.medicine
        ours = make(draft.id, patient, draft.id, answered.today)
        if draft.replaces in changed:
            ours = patched(own.get(draft.replaces) or {"id": draft.replaces.partition("/")[2]}, ours)
        found[draft] = ours | ({"occurrenceDateTime": draft.due.isoformat()} if draft.due else {})
    return found


def follow_ups(draft: Draft, answered: Answered) -> SuggestedOrder:
    """Several later orders as one suggestion."""
    client, patient = answered.client, answered.record.patient.reference
    known, kind = client.pathway.follow_ups, client.content.site.follow_up
    label = client.pathway.messages["follow-up"]
    requests = {
        known[each].title: client.drafts.follow_up(known[each], patient, each, answered.today)
        for each in draft.id.split()
    }
    if kind == "CarePlan":
        requests = {label: as_care_plan(list(requests.values()))}
    elif kind == "Task":
        requests = {title: as_task(request) for title, request in requests.items()}
    parts = tuple(SuggestedOrder(request, Title(title, title)) for title, request in requests.items())
    return SuggestedOrder({}, Title(label, label), parts)


def title(draft: Draft, pathway: Pathway, taken: str, record: PatientRecord) -> Title:
    """A test by its title; a regimen in words, and what becomes of the order in whose place it goes."""
    if draft.kind == PROBLEM:
        return Title(pathway.messages["problem-list"], pathway.messages["problem-list"])
    if draft.kind == "test":
        name = pathway.orderables[draft.id].title
        return Title(name, name)
    if draft.kind == REMOVAL:
        label = pathway.messages["remove"].format_map({"order": draft.id})
        return Title(label, label)
    regimen, words = pathway.regimens[draft.id], pathway.messages
    if not draft.replaces:
        return Title(regimen.title, regimen.words)
    named = {"order": replaced(draft, record, pathway.displays), "regimen": regimen.words.strip()}
    form = form_of(draft, taken)
    if form == DELETE_AND_CREATE:
        return Title(regimen.title, regimen.words, words["replace.delete"].format_map(named))
    return Title(regimen.title, words[f"replace.{form}"].format_map(named))


def replaced(draft: Draft, record: PatientRecord, displays: Mapping[str, str]) -> str:
    """What the clinician's own draft orders, in our words."""
    ordered = [each.ingredient for each in record.selected if each.reference == draft.replaces]
    return ", ".join(dict.fromkeys(displays.get(name, name) for name in ordered))
