"""Order hooks as clients send them: drafts, Bundles and bodies for the tests of order-select and order-sign."""

from __future__ import annotations

from typing import Any

from werkzeug.test import TestResponse

from cds_service.cdshooks.registry import HOOKS
from tests.hooks.calling import CONTEXT, body
from tests.hooks.living import post, prefetch

Json = dict[str, Any]
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
FOLIC = {"text": "Folic acid 5 mg tablets"}
DAILY = {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}
LONG_ID = "e" + "aZ09.-" * 32 + "x"  # 194 characters, as Epic's draft ids


def draft(identity: str = "draft-1", kind: str = "MedicationRequest", **changed: Any) -> Json:
    """A draft order of folic acid 5 mg; a field given as ... is left out."""
    found = {
        "resourceType": kind,
        "id": identity,
        "status": "draft",
        "intent": "order",
        "subject": {"reference": "Patient/pt-1"},
        "medicationCodeableConcept": FOLIC,
    }
    return {name: told for name, told in {**found, **changed}.items() if told is not ...}


def lab_draft(code: str = "2132-9", identity: str = "lab-1", system: str = "http://loinc.org", **changed: Any) -> Json:
    """A draft order of a test; total B12 unless said otherwise."""
    concept = {"coding": [{"system": system, "code": code}]}
    return draft(identity, "ServiceRequest", medicationCodeableConcept=..., **{"code": concept, **changed})


def dosage(amount: float, unit: str, route: str = "Oral", **timing: Any) -> list[Json]:
    return [{
        "route": {"text": route},
        "timing": {"repeat": timing} if timing else DAILY,
        "doseAndRate": [{"doseQuantity": {"value": amount, "unit": unit}}],
    }]  # fmt: skip


def drafts(*resources: Json, **changed: Any) -> Json:
    """A Bundle of drafts."""
    found = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": each} for each in resources]}
    return {name: told for name, told in {**found, **changed}.items() if told is not ...}


def select(bundle: Any, *selections: Any, **changed: Any) -> Json:
    """An order-select body; every draft is selected unless selections are given."""
    if not selections and isinstance(bundle, dict):
        entries = bundle.get("entry", [])
        selections = tuple(f"{each['resource']['resourceType']}/{each['resource']['id']}" for each in entries)
    context = {**CONTEXT, "selections": list(selections), "draftOrders": bundle}
    return body(**{"hook": "order-select", "context": context, "prefetch": prefetch(), **changed})


def sign(bundle: Any, **changed: Any) -> Json:
    """An order-sign body."""
    context = {**CONTEXT, "draftOrders": bundle}
    return body(**{"hook": "order-sign", "context": context, "prefetch": prefetch(), **changed})


def call(request: Json, **given: Any) -> TestResponse:
    """The call at the endpoint of its hook."""
    return post(request, path=f"/cds-services/{HOOKS[request['hook']].service_id}", **given)


def cards(request: Json) -> list[Json]:
    """The cards of a call that is answered."""
    response = call(request)
    assert response.status_code == 200, response.text
    return response.json["cards"]


def topics(request: Json) -> list[str]:
    """What the cards are about."""
    return [card["source"]["topic"]["code"] for card in cards(request)]


FOLATE_FIRST = "B12OrderFolateFirst"
