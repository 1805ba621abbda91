"""The order tray: draft orders that were accepted, as a person reads them before signing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from .request_json import ENCODER, Json

ORDERS = ("MedicationRequest", "ServiceRequest")
KINDS = {"MedicationRequest": "Medicine", "ServiceRequest": "Test"}
LONGEST = 400  # characters of a text of an order


@dataclass(frozen=True, slots=True)
class OrderDraft:
    """One draft order: what it is, its lines, and the FHIR resource."""

    kind: str  # Medicine | Test
    title: str
    lines: tuple[str, ...]
    resource: Json

    @property
    def fhir(self) -> str:
        return msgspec.json.format(ENCODER.encode(self.resource), indent=2).decode()


def tray(resources: Iterable[Json]) -> tuple[OrderDraft, ...]:
    """The drafts as they are shown. A resource may have come from a form, and hold anything."""
    return tuple(
        OrderDraft(KINDS[each["resourceType"]], title_of(each), tuple(dict.fromkeys(lines_of(each))), each)
        for each in resources
    )


def title_of(resource: Json) -> str:
    """What is ordered, in words."""
    concept = table(resource.get("medicationCodeableConcept") or resource.get("code"))
    coding = table(first(concept.get("coding")))
    return text(concept.get("text")) or text(coding.get("display")) or text(coding.get("code")) or "(no name)"


def lines_of(resource: Json) -> Iterator[str]:
    """Dose, route and schedule step by step; when it is to be done; remarks such as the review."""
    for step in items(resource.get("dosageInstruction")):
        if said := text(step.get("text")) or text(table(step.get("route")).get("text")):
            yield said
        if said := text(step.get("patientInstruction")):
            yield said
    for name in ("occurrenceDateTime", "priority"):
        if said := text(resource.get(name)):
            yield f"{'on' if name.startswith('occ') else name}: {said}" if name == "priority" else f"on {said}"
    for reason in items(resource.get("reasonCode")):
        if said := text(reason.get("text")):
            yield f"because of: {said}"
    for note in items(resource.get("note")):
        if said := text(note.get("text")):
            yield said


def items(value: Any) -> list[Json]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else None


def table(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def text(value: Any) -> str:
    return value[:LONGEST] if isinstance(value, str) else ""
