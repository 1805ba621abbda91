"""Discovery: what this service offers, for CDS clients and the people who configure them (checklist 2.2, 2.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

PATIENT_VIEW, ORDER_SELECT, ORDER_SIGN = "b12-patient-view", "b12-order-select", "b12-order-sign"
SERVICES = {"patient-view": PATIENT_VIEW, "order-select": ORDER_SELECT, "order-sign": ORDER_SIGN}  # hook -> id


UNSIGNED = "The orders must come in context.draftOrders: grant the scopes for unsigned orders."


@dataclass(frozen=True, slots=True)
class Listed:
    """One service of the catalogue. Each hook has an id of its own: some clients go by id alone (item 19)."""

    id: str
    hook: str
    title: str
    description: str
    templates: Mapping[str, str]
    usage_requirements: str = ""


def listed_patient_view(pathway_title: str, templates: Mapping[str, str], required: Iterable[str]) -> Listed:
    """The patient-view service of a pathway."""
    return Listed(
        id=PATIENT_VIEW,
        hook="patient-view",
        title="Vitamin B12 deficiency",
        description=(
            "Says how likely vitamin B12 deficiency is, which tests come next and which treatment the guideline "
            f"advises, with drafts to accept. Pathway: {pathway_title}."
        ),
        templates=templates,
        usage_requirements=needs(required),
    )


def listed_order_select(pathway_title: str, templates: Mapping[str, str], required: Iterable[str]) -> Listed:
    """The order-select service of a pathway."""
    return Listed(
        id=ORDER_SELECT,
        hook="order-select",
        title="Vitamin B12: orders as they are chosen",
        description=(
            "Looks at the orders just chosen: folic acid before B12, B12 that does not suit the patient or differs "
            "from the guideline's regimen, tests of B12 that another test answers better, and medicines that lower "
            f"B12. Other orders are answered at once, without a card. Pathway: {pathway_title}."
        ),
        templates=templates,
        usage_requirements=f"{needs(required)} {UNSIGNED}",
    )


def listed_order_sign(pathway_title: str, templates: Mapping[str, str], required: Iterable[str]) -> Listed:
    """The order-sign service of a pathway."""
    return Listed(
        id=ORDER_SIGN,
        hook="order-sign",
        title="Vitamin B12: orders as they are signed",
        description=(
            "Looks at every order that is about to be signed, as the order-select service does at those just chosen. "
            f"Pathway: {pathway_title}."
        ),
        templates=templates,
        usage_requirements=f"{needs(required)} {UNSIGNED}",
    )


LISTINGS = (listed_patient_view, listed_order_select, listed_order_sign)


def needs(required: Iterable[str]) -> str:
    """What every service needs of its client."""
    return (
        f"Needs the prefetch keys {' and '.join(required)}, or FHIR access to read them. With fewer of the other "
        "keys it answers with less certainty and says so. Data counts by its resourceType, under whatever key it is "
        "sent."
    )


def discovery(services: Iterable[Listed]) -> dict[str, Any]:
    """The answer of GET /cds-services."""
    return {"services": [_entry(service) for service in services]}


def _entry(service: Listed) -> dict[str, Any]:
    entry = {
        "hook": service.hook,
        "title": service.title,
        "description": service.description,
        "id": service.id,
        "prefetch": dict(service.templates),
        "usageRequirements": service.usage_requirements,
    }
    return {name: value for name, value in entry.items() if value}
