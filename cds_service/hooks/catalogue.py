"""Discovery: what this service offers, for CDS clients and the people who configure them (checklist 2.2, 2.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

PATIENT_VIEW = "b12-patient-view"


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
        usage_requirements=(
            f"Needs the prefetch keys {' and '.join(required)}, or FHIR access to read them. With fewer of the other "
            "keys it answers with less certainty and says so. Data counts by its resourceType, under whatever key it "
            "is sent."
        ),
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
