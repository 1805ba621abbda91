"""Tokens of prefetch templates: what the grammar of CDS Hooks 3.0 gives, and what is refused by name."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from cds_service.fhir.tokens import ALLOWED, Call, UnknownToken, check, resolved

DAY = date(2024, 9, 13)
ROLE = {"resourceType": "PractitionerRole", "id": "role-1", "practitioner": {"reference": "Practitioner/p-9"}}
CONDITION = {"resourceType": "Condition", "id": "c-1", "asserter": {"reference": "PractitionerRole/role-1"}}


def order(name: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "MedicationRequest", "id": name, **more}


DRAFTS = [
    order("m-1", medicationReference={"reference": "Medication/a b"}, requester={"reference": "Practitioner/p-1"}),
    order("m-2", medicationReference={"reference": "Medication/m2"}, requester={"reference": "PractitionerRole/r-2"}),
    order("m-3", medicationReference={"reference": "https://ehr.example.org/r4/Medication/m3/_history/2"}),
    order("m-4", medicationCodeableConcept={"text": "B12"}, status="draft", priority=7, doNotPerform=False),
    order("m-5", medicationReference={"reference": "#in-it"}),  # not its own: it contains none
    {
        "resourceType": "MedicationDispense",
        "id": "d-1",
        "medicationReference": {"reference": "#in-it"},
        "receiver": [{"reference": "#who"}, {"reference": "#nobody"}],
        "contained": [
            {"resourceType": "Medication", "id": "in-it", "manufacturer": {"reference": "#maker"}},
            {"resourceType": "PractitionerRole", "id": "who", "practitioner": {"reference": "Practitioner/p-5"}},
            {"resourceType": "Organization", "id": "maker", "name": "Maker", "partOf": {"reference": "#"}},
            "no resource",
        ],
    },
    {
        "resourceType": "ServiceRequest",
        "id": "s-1",
        "reasonReference": [{"reference": "Condition/c-1"}],
        "statusReason": {"text": "moved"},
    },  # no choice of `status`
]
CONTEXT = {
    "userId": "PractitionerRole/role-7",
    "patientId": "pt 1",
    "draftOrders": {"resourceType": "Bundle", "entry": [{"resource": each} for each in DRAFTS]},
}
ANSWERS = {
    "serviceConditions": {"resourceType": "Bundle", "entry": [{"resource": CONDITION}]},
    "practitionerRoles": {"resourceType": "Bundle", "entry": [{"resource": ROLE}]},
    "patient": {"resourceType": "Patient", "id": "pt 1"},
    "nothing": None,
}
CALL = Call(CONTEXT, DAY, ANSWERS)
ORDERS = "context.draftOrders.entry.resource"
DISPENSE = f"{ORDERS}.ofType(MedicationDispense)"


@pytest.mark.parametrize(
    ("token", "value"),
    [
        ("context.patientId", "pt%201"),
        (" context.patientId ", "pt%201"),
        ("context.userId", "PractitionerRole/role-7"),
        ("userPractitionerRoleId", "role-7"),
        ("today()", "2024-09-13"),
        ("today() - 90 days", "2024-06-15"),
        ("today()+1 day", "2024-09-14"),
        (f"{ORDERS}.ofType(MedicationRequest).medication.resolve().id", "m2,m3"),
        (f"{ORDERS}.ofType(MedicationRequest).requester.resolve().ofType(Practitioner).id", "p-1"),
        (f"{ORDERS}.ofType(ServiceRequest).reasonReference.resolve().ofType(Condition).id", "c-1"),
        (f"{ORDERS}.ofType(MedicationRequest).priority", "7"),
        (f"{ORDERS}.ofType(MedicationRequest).doNotPerform", "false"),
        ("%serviceConditions.entry.resource.asserter.resolve().ofType(PractitionerRole).id", "role-1"),
        ("%serviceConditions.entry.resource.asserter.resolve().practitioner.resolve().id", "p-9"),
        (f"{DISPENSE}.receiver.resolve().practitioner.resolve().id", "p-5"),
        (f"{DISPENSE}.medication.resolve().ofType(Medication).manufacturer.resolve().name", "Maker"),
        (f"{DISPENSE}.medication.resolve().manufacturer.resolve().partOf.resolve().id", "d-1"),
        (f"{DISPENSE}.contained.ofType(Medication).manufacturer.resolve().name", "Maker"),
        ("%patient.id", "pt%201"),
        ("%practitionerRoles.entry.resource.practitioner.resolve().id|context.patientId", "p-9,pt%201"),
        ("context.patientId|%patient.id", "pt%201"),
    ],
)  # fmt: skip
def test_a_token_of_the_grammar_is_resolved(token: str, value: str):
    assert resolved(f"X?_id={{{{{token}}}}}&b=1", CALL) == f"X?_id={value}&b=1"
    check(f"{{{{{token}}}}}")


@pytest.mark.parametrize(
    ("token", "fault"),
    [
        ("today() - 1 year", "'today() - 1 year' is not resolved"),
        ("now()", "'now()' is not resolved"),
        ("patientId", "'patientId' is not resolved"),
        ("context", "'context' is not resolved"),
        ("Patient.id", "'Patient.id' is not resolved"),
        ("", "'' is not resolved"),
        (f"{ORDERS}.where(status='draft').id", "\"where(status='draft')\" is no step of a path"),
        (f"{ORDERS}.first()", "first() is no function that is resolved"),
        (f"{ORDERS}.ofType(medication).id", "ofType(medication) is no function that is resolved"),
        (f"{ORDERS}[0].id", "'resource[0]' is no step of a path"),
        ("context.patientId + 'x'", "\"patientId + 'x'\" is no step of a path"),
    ],
)
def test_what_is_not_of_the_grammar_is_refused_with_what_is_allowed(token: str, fault: str):
    for attempt in (lambda text: resolved(text, CALL), check):
        with pytest.raises(UnknownToken) as refused:
            attempt(f"X?_id={{{{{token}}}}}")
        assert str(refused.value) == f"{token}: {fault}; {ALLOWED}"


@pytest.mark.parametrize(
    ("token", "fault"),
    [
        ("userPractitionerId", "has no value in this call"),
        ("context.encounterId", "has no value in this call"),
        (f"{ORDERS}.ofType(ServiceRequest).status", "has no value in this call"),
        (f"{DISPENSE}.medication.resolve().id", "has no value in this call"),
        ("%nothing.id", "has no value in this call"),
        ("%later.id", "%later is the key of no template before this one"),
        (f"{ORDERS}.ofType(MedicationRequest).requester",
         "ends at an object; a query needs a text, a number or true and false"),
        (f"{ORDERS}.ofType(MedicationRequest).requester.resolve().name",
         "name of Practitioner/p-1, which did not come with the call"),
    ],
)  # fmt: skip
def test_a_token_without_a_value_is_named_and_nothing_is_put_in_its_place(token: str, fault: str):
    with pytest.raises(UnknownToken) as refused:
        resolved(f"X?_id={{{{{token}}}}}", CALL)
    assert str(refused.value) == f"{token}: {fault}"
    check(f"{{{{{token}}}}}")
