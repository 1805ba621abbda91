"""The draft orders that a vignette tells of: what is selected, what lies beside it, as the context of an order hook."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Protocol

from ..clinical.tables import Orderable

Json = dict[str, Any]
UNITS = {"day": "d", "week": "wk", "month": "mo", "year": "a"}


class Builder(Protocol):
    """What builds the vignette's other resources."""

    def begin(self, kind: str, told: Json, **fields: Any) -> Json: ...
    def concept(self, name: str, code: str | None = None, text: str | None = None) -> Json: ...
    def orderable(self, name: str) -> Orderable: ...


def order_context(told: Json, hook: str, build: Builder) -> Json:
    """`draftOrders` and, for order-select, `selections`."""
    selected = [draft(entry, build) for entry in told.get("selected", ())]
    beside = [draft(entry, build) for entry in told.get("beside", ())]
    entries = [{"resource": each} for each in (*selected, *beside)]
    bundle: Json = {"resourceType": "Bundle", "type": "collection", **({"entry": entries} if entries else {})}
    if hook != "order-select":
        return {"draftOrders": bundle}
    return {"selections": [f"{each['resourceType']}/{each['id']}" for each in selected], "draftOrders": bundle}


def draft(told: Json, build: Builder) -> Json:
    """A draft ServiceRequest of one of our tests, or a draft MedicationRequest."""
    status = told.get("status", "draft")
    if "orderable" in told:
        orderable = build.orderable(told["orderable"])
        code = {"coding": [dict(zip(("system", "code", "display"), orderable.coding, strict=True))]}
        return build.begin("ServiceRequest", told, status=status, intent="order", code=code)
    medicine = build.concept(f"medicine-{told['ingredient']}", text=told.get("text"))
    found = build.begin("MedicationRequest", told, status=status, intent="order", medicationCodeableConcept=medicine)
    instructions = [instruction({"route": told.get("route"), **each}) for each in told.get("phases", [told])]
    if any(instructions):
        found["dosageInstruction"] = [{"sequence": number, **each} for number, each in enumerate(instructions, start=1)]
    return found


def instruction(told: Json) -> Json:
    """A dosage instruction: route, dose ("1 mg"), how often (`times` "every" so long), `for` how long; or in words."""
    found: Json = {}
    if told.get("instructions"):
        found["text"] = told["instructions"]
    if told.get("route"):
        found["route"] = {"text": told["route"]}
    if told.get("dose"):
        found["doseAndRate"] = [{"doseQuantity": quantity(told["dose"])}]
    if told.get("every"):
        found["timing"] = {"repeat": repeat(told)}
    return found


def quantity(text: str) -> Json:
    amount, unit = text.split(" ", 1)
    return {"value": Decimal(amount), "unit": unit}


def repeat(told: Json) -> Json:
    """Timing.repeat: 3 `times` every "1 week" for "2 weeks"."""
    period, unit = told["every"].split(" ", 1)
    found: Json = {"frequency": told.get("times", 1), "period": Decimal(period), "periodUnit": UNITS[unit.rstrip("s")]}
    if "for" in told:
        length, unit = told["for"].split(" ", 1)
        found["boundsDuration"] = {"value": Decimal(length), "code": UNITS[unit.rstrip("s")]}
    return found
