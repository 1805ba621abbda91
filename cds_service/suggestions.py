"""What a suggestion would order, as FHIR, and in which words: new orders, and a clinician's own draft as it becomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from .cdshooks.actions import DELETE_AND_CREATE, UPDATE, Title, form_of
from .cdshooks.messages import HookRequest
from .clinical.advice import Draft
from .clinical.record import PatientRecord
from .clinical.tables import Pathway
from .fhir.drafts import Drafts, patched, received

Json = dict[str, Any]


def resources(
    drafts: Iterable[Draft], templates: Drafts, taken: str, request: HookRequest, record: PatientRecord, today: date
) -> dict[Draft, Json]:
    """The resource of each suggestion: a new order, which `compose` gives the id of this call, or a clinician's own."""
    drafts = list(drafts)
    changed = {draft.replaces for draft in drafts if draft.replaces and form_of(draft, taken) == UPDATE}
    own = received(request.draft_orders, changed) if request.draft_orders is not None else {}
    found = {}
    for draft in drafts:
        make = templates.test if draft.kind == "test" else templates.medicine
        ours = make(draft.id, record.patient.reference, draft.id, today)
        if draft.replaces in changed:
            ours = patched(own.get(draft.replaces) or {"id": draft.replaces.partition("/")[2]}, ours)
        found[draft] = ours
    return found


def titles(drafts: Iterable[Draft], pathway: Pathway, taken: str, record: PatientRecord) -> dict[Draft, Title]:
    """Label and description of each suggestion: the description states the whole regimen in words."""
    return {draft: title(draft, pathway, taken, record) for draft in drafts}


def title(draft: Draft, pathway: Pathway, taken: str, record: PatientRecord) -> Title:
    """A test by its title; a regimen in words, and what becomes of the order in whose place it goes."""
    if draft.kind == "test":
        name = pathway.orderables[draft.id].title
        return Title(name, name)
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
