"""Orders and a real FHIR server: the record comes from it, and so does a medicine that a draft only points to."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests import golden
from tests.contract.calling import Answer, Service

pytestmark = pytest.mark.needs("java", "maven")

ORDERS = {
    "folic acid": {
        "resourceType": "MedicationRequest",
        "medicationCodeableConcept": {"text": "Folic acid 5 mg tablets"},
    },
    "hydroxocobalamin, slow": {
        "resourceType": "MedicationRequest",
        "medicationCodeableConcept": {"text": "Hydroxocobalamin 1 mg/1 ml solution for injection"},
        "dosageInstruction": [
            {
                "route": {"text": "intramuscular"},
                "timing": {"repeat": {"frequency": 1, "period": 2, "periodUnit": "mo"}},
                "doseAndRate": [{"doseQuantity": {"value": 1, "unit": "mg"}}],
            }
        ],
    },
    "total B12": {
        "resourceType": "ServiceRequest",
        "code": {"coding": [{"system": "http://loinc.org", "code": "2132-9"}]},
    },
    "amoxicillin": {
        "resourceType": "MedicationRequest",
        "medicationCodeableConcept": {"text": "Amoxicillin 500 mg capsules"},
    },
}


def ordered(service: Service, patient: str, order: dict[str, Any], prefetch: bool, hook: str) -> Answer:
    """The golden request of the patient as an order call, with the whole prefetch or with none."""
    sent = golden.decoded(patient)
    reference = {"reference": f"Patient/{sent['context']['patientId']}"}
    draft = {"id": "draft-1", "status": "draft", "intent": "order", "subject": reference, **order}
    context = {
        **sent["context"],
        "selections": [f"{draft['resourceType']}/draft-1"],
        "draftOrders": {"resourceType": "Bundle", "entry": [{"resource": draft}]},
    }
    raw = msgspec.json.decode(golden.Pair(patient).request.read_bytes(), type=dict[str, msgspec.Raw])
    body = {
        "hook": hook,
        "hookInstance": sent["hookInstance"],
        "fhirServer": service.fhir,
        "context": context,
        "prefetch": raw["prefetch"] if prefetch else {},
    }
    return service.post(msgspec.json.encode(body), f"/cds-services/b12-{hook}")


@pytest.mark.parametrize("patient", ["dietary", "neuro-metformin", "on-injections", "nitrous-oxide"])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("hook", ["order-select", "order-sign"])
def test_an_order_gets_the_same_cards_with_and_without_prefetch(service, patient, order, hook):
    with_it = ordered(service, patient, ORDERS[order], True, hook)
    without = ordered(service, patient, ORDERS[order], False, hook)
    assert with_it.cards == without.cards


def test_the_orders_that_matter_get_a_card_and_the_others_none(service):
    shown = {order: ordered(service, "neuro-metformin", ORDERS[order], False, "order-select").cards for order in ORDERS}
    assert shown["folic acid"][0]["indicator"] == "critical"
    assert shown["hydroxocobalamin, slow"][0]["indicator"] == "warning"
    assert shown["amoxicillin"] == []


def test_a_medicine_that_the_draft_only_points_to_is_read_from_the_server(server, service):
    server.put({"resourceType": "Medication", "id": "med-folic", "code": {"text": "Folic acid 5 mg tablets"}})
    pointed = {"resourceType": "MedicationRequest", "medicationReference": {"reference": "Medication/med-folic"}}
    by_name = ordered(service, "neuro-metformin", ORDERS["folic acid"], False, "order-select")
    assert ordered(service, "neuro-metformin", pointed, False, "order-select").cards == by_name.cards
