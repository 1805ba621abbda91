"""The actions of a suggestion: an order is created, or takes the place of a draft of the clinician's own (item 95)."""

from __future__ import annotations

from typing import Any, NamedTuple

from cds_service.clinical.advice import Draft

Json = dict[str, Any]

UPDATE, DELETE_AND_CREATE, CREATE = "update", "delete-and-create", "create"  # how a client lets a draft be replaced
PREFERENCE_LIST = "urn:com.epic.cdshooks.action.code.system."  # a site's own item, by which some clients order


class Title(NamedTuple):
    """A suggestion in words: its label, what its action does, and what is said where it removes a draft."""

    label: str
    description: str
    removal: str = ""


def form_of(draft: Draft, taken: str) -> str:
    """How this draft is offered to a client that takes replacements in the form `taken`.

    What cannot be named cannot be changed: a draft without an id, or of a type that we do not write.
    """
    kind, _, name = draft.replaces.partition("/")
    return taken if kind == "MedicationRequest" and name else CREATE


def actions(draft: Draft, taken: str, title: Title, resource: Json, new_id: str) -> list[Json]:
    """One action, or two that belong together. In a transaction deletes come before creates, and these before updates.

    `resource` is a new order, or for an update the clinician's own as it becomes.
    """
    form = form_of(draft, taken)
    if form == UPDATE:
        return [{"type": "update", "description": title.description, "resource": resource}]
    new = {"resourceType": resource["resourceType"], **resource, "id": new_id}
    create = {"type": "create", "description": title.description, "resource": new}
    if form == DELETE_AND_CREATE:
        return [{"type": "delete", "description": title.removal, "resourceId": draft.replaces}, create]
    return [create]


def is_taken(resource: Json, order_details: bool) -> bool:
    """Does the client order what is meant? One that ignores order details needs an item of its own preference list."""
    concept = resource.get("medicationCodeableConcept")
    if order_details or concept is None:
        return True
    return any(str(each.get("system", "")).startswith(PREFERENCE_LIST) for each in concept.get("coding", []))
