"""A suggestion takes the place of the clinician's own draft, in the form that the client takes (item 95)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cds_service.cdshooks import cards as actions
from cds_service.cdshooks.cards import CardIds, SuggestedOrder, build_cards
from cds_service.cdshooks.requests import read_request
from cds_service.cdshooks.schemas import load_schema
from cds_service.clinical.advice import Draft
from cds_service.evaluate import CallTime, evaluate
from cds_service.fhir.drafts import patched, received
from tests import book
from tests.hooks.calling import advice, options
from tests.hooks.invariants import faults
from tests.hooks.living import TODAY, bundle, post, prefetch, problem
from tests.hooks.ordering import LONG_ID, cards, dosage, draft, drafts, select, sign

Json = dict[str, Any]
RESPONSE = Draft202012Validator(load_schema("response"))
TABLETS = {"text": "Cyanocobalamin 50 microgram tablets"}
NEURO = prefetch(conditions=bundle(problem()))
REST = {  # what a draft carries beside the medicine and its dosage, in the client's own shapes
    "category": [{"text": "Outpatient"}],
    "requester": {"reference": "Practitioner/1"},
    "dispenseRequest": {"numberOfRepeatsAllowed": 3, "quantity": {"value": 28.50, "unit": "tablet"}},
    "reasonCode": [{"text": "low B12"}],
    "extension": [{"url": "urn:x", "valueDecimal": 1.10}],
}


def tablets(identity: str = "draft-1", **changed: Any) -> Json:
    """A draft of B12 by mouth, which does not suit a patient with neurological signs."""
    given = {"medicationCodeableConcept": TABLETS, "dosageInstruction": dosage(50, "microgram"), **REST, **changed}
    return draft(identity, **given)


def replaced(request: Json, **changed: Any) -> tuple[list[Json], list[Json]]:
    """The cards for a client with these options, and the suggestions on them; every answer is a good one."""
    client = book.service("uk-ng239")
    client = replace(client, cards=replace(client.cards, **changed))
    read = read_request(json.dumps(request).encode(), request["hook"])
    found = evaluate(read, client, CallTime(TODAY, seconds=book.NEVER))
    assert faults({"cards": found.cards}, "pt-1") == []
    assert not list(RESPONSE.iter_errors({"cards": found.cards}))
    return found.cards, [each for card in found.cards for each in card.get("suggestions", [])]


def test_by_default_the_draft_is_updated_as_it_was_received_with_another_medicine_and_dosage():
    own = tablets(LONG_ID)
    (card,) = cards(select(drafts(own), prefetch=NEURO))
    assert (card["indicator"], card["source"]["topic"]["code"]) == ("warning", "B12OrderRegimen")
    (suggestion,) = card["suggestions"]
    (action,) = suggestion["actions"]
    assert action["type"] == "update"
    changed = action["resource"]
    assert changed["medicationCodeableConcept"]["text"].startswith("Hydroxocobalamin")
    assert [each["sequence"] for each in changed["dosageInstruction"]] == [1, 2]
    ours = {name: changed[name] for name in ("medicationCodeableConcept", "dosageInstruction")}
    assert changed == own | ours
    assert "alternate days" in action["description"]
    assert action["description"].startswith("Your order of cyanocobalamin becomes: ")


def test_numbers_keep_their_digits():
    body = json.dumps(select(drafts(tablets()), prefetch=NEURO)).replace('"value": 28.5', '"value": 28.50')
    body = body.replace('"valueDecimal": 1.1', '"valueDecimal": 1.10')
    text = post(body.encode(), path="/cds-services/b12-order-select").text
    assert '"value":28.50' in text
    assert '"valueDecimal":1.10' in text


def test_item_95_delete_comes_before_create():
    _, (suggestion,) = replaced(select(drafts(tablets()), prefetch=NEURO), replacing=actions.DELETE_AND_CREATE)
    gone, new = suggestion["actions"]
    assert gone == {
        "type": "delete",
        "description": "Removes your order of cyanocobalamin",
        "resourceId": "MedicationRequest/draft-1",
    }
    assert (new["type"], new["resource"]["status"], new["resource"]["intent"]) == ("create", "draft", "proposal")
    assert new["resource"]["id"] != "draft-1"
    assert "alternate days" in new["description"]


def test_item_95_one_create_tells_the_prescriber_to_remove_the_draft():
    _, (suggestion,) = replaced(select(drafts(tablets()), prefetch=NEURO), replacing=actions.CREATE)
    (new,) = suggestion["actions"]
    assert new["type"] == "create"
    assert "Remove your own order of cyanocobalamin" in new["description"]
    assert "alternate days" in new["description"]


def test_a_draft_without_an_id_cannot_be_named_and_is_told_of_instead():
    for form in (actions.UPDATE, actions.DELETE_AND_CREATE):
        _, (suggestion,) = replaced(sign(drafts(tablets(id=...)), prefetch=NEURO), replacing=form)
        (new,) = suggestion["actions"]
        assert new["type"] == "create"
        assert "Remove your own order" in new["description"]


@pytest.mark.parametrize("kind", ["MedicationOrder"])
def test_an_order_of_another_version_of_fhir_is_not_written_over(kind):
    _, (suggestion,) = replaced(sign(drafts(tablets(kind=kind)), prefetch=NEURO))
    assert [each["type"] for each in suggestion["actions"]] == ["create"]


def test_a_reference_is_replaced_with_what_it_refers_to():
    medication = {"resourceType": "Medication", "id": "m", "code": TABLETS}
    other = {"resourceType": "Practitioner", "id": "p"}
    own = tablets(medicationCodeableConcept=..., medicationReference={"reference": "#m"}, contained=[medication, other])
    (card,) = cards(select(drafts(own), prefetch=NEURO))
    changed = card["suggestions"][0]["actions"][0]["resource"]
    assert "medicationReference" not in changed
    assert changed["contained"] == [other]
    alone = tablets(medicationCodeableConcept=..., medicationReference={"reference": "#m"}, contained=[medication])
    (card,) = cards(select(drafts(alone), prefetch=NEURO))
    assert "contained" not in card["suggestions"][0]["actions"][0]["resource"]


def test_items_3_and_4_what_is_null_or_empty_in_the_draft_is_not_sent_back():
    own = tablets(note=[], encounter=None, reasonCode=[{"text": ""}, {"text": "x", "coding": [{"code": None}]}])
    _, (suggestion,) = replaced(select(drafts(own), prefetch=NEURO))
    changed = suggestion["actions"][0]["resource"]
    assert changed["reasonCode"] == [{"text": "x"}]
    assert "note" not in changed and "encounter" not in changed


def test_item_102_what_a_draft_lacks_to_be_valid_comes_from_ours():
    _, (suggestion,) = replaced(select(drafts(tablets(intent=..., status=..., subject=...)), prefetch=NEURO))
    changed = suggestion["actions"][0]["resource"]
    assert (changed["status"], changed["intent"]) == ("draft", "proposal")
    assert changed["subject"] == {"reference": "Patient/pt-1"}


def test_the_narrative_of_what_is_replaced_is_left_out():
    own = tablets(text={"status": "generated", "div": "<div>Cyanocobalamin 50 microgram tablets</div>"})
    (card,) = cards(select(drafts(own), prefetch=NEURO))
    assert "text" not in card["suggestions"][0]["actions"][0]["resource"]


def test_an_order_without_the_loading_doses_gets_both_phases():
    maintenance = dosage(1, "mg", "Intramuscular", frequency=1, period=2, periodUnit="mo")
    own = draft(medicationCodeableConcept={"text": "Hydroxocobalamin 1 mg/1 ml"}, dosageInstruction=maintenance)
    (card,) = cards(select(drafts(own)))
    assert "without the loading doses" in card["detail"]
    changed = card["suggestions"][0]["actions"][0]["resource"]
    repeats = [each["timing"]["repeat"] for each in changed["dosageInstruction"]]
    assert [(each["frequency"], each["period"], each["periodUnit"]) for each in repeats] == [(3, 1, "wk"), (1, 3, "mo")]


def test_two_wrong_orders_are_replaced_each():
    two = drafts(tablets("a"), tablets("b"))
    _, suggestions = replaced(sign(two, prefetch=NEURO))
    assert [each["actions"][0]["resource"]["id"] for each in suggestions] == ["a", "b"]
    assert len({each["uuid"] for each in suggestions}) == 2


def test_a_client_that_ignores_order_details_gets_the_regimen_in_words_alone():
    (card,), suggestions = replaced(
        select(drafts(tablets()), prefetch=NEURO), order_details=False, replacing=actions.CREATE
    )
    assert suggestions == []
    assert "selectionBehavior" not in card
    assert "alternate days until there is no further improvement" in card["detail"]


def test_a_preference_list_item_lets_such_a_client_order_it():
    item = {"system": "urn:com.epic.cdshooks.action.code.system.preference-list-item", "code": "1"}
    one = Draft("medicine", "im", "MedicationRequest/1")
    template = {
        "resourceType": "MedicationRequest",
        "medicationCodeableConcept": {"text": "Hydroxocobalamin", "coding": [item]},
    }
    request = read_request(json.dumps(select(drafts(tablets()))).encode(), "order-select")
    order = SuggestedOrder(template, actions.Title("Hydroxocobalamin", "The whole regimen in words"))
    ids = CardIds("demo", "b12-order-select", request.hook_instance)
    wanted = options(order_details=False, replacing=actions.CREATE)
    (card,) = build_cards([advice("orders/O7", "warning", one)], {one: order}, ids, wanted).cards
    (action,) = card["suggestions"][0]["actions"]
    assert action["description"] == "The whole regimen in words"


def test_a_test_is_offered_to_such_a_client_too():
    found, suggestions = replaced(
        select(drafts(draft()), prefetch=prefetch(b12=bundle(), conditions=bundle(problem()))), order_details=False
    )
    offered = [each["actions"][0] for each in suggestions]
    assert [each["resource"]["resourceType"] for each in offered[:2]] == ["ServiceRequest"] * 2
    assert [each["type"] for each in offered[2:]] == ["delete"], "of the folic acid that B12 must come before"
    assert found


OURS = {
    "resourceType": "MedicationRequest", "id": "x", "status": "draft", "intent": "proposal",
    "subject": {"reference": "Patient/p"}, "medicationCodeableConcept": {"text": "B"}, "dosageInstruction": [{}],
}  # fmt: skip


@pytest.mark.parametrize(
    "bundle_",
    [
        b'{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"MedicationRequest","id":"1","extension":[{"url":"u","valueDecimal":1.10}]}}]}',
        b'{"resourceType":"Bundle","entry":{"resource":{"resourceType":"MedicationRequest","id":"1","extension":[{"url":"u","valueDecimal":1.10}]}}}',
        b'{"resourceType":"MedicationRequest","id":"1","extension":[{"url":"u","valueDecimal":1.10}]}',
        b'{"resourceType":"Bundle","entry":[5,{"resource":{"resourceType":"Bundle","entry":[{"resource":null},'
        b'{"resource":{"resourceType":"MedicationRequest","id":7}},'
        b'{"resource":{"resourceType":"MedicationRequest","id":"1","extension":[{"url":"u","valueDecimal":1.10}]}}]}}]}',
    ],
    ids=["Bundle", "lone entry", "lone resource", "Bundle within a Bundle"],
)
def test_the_received_draft_is_found_as_it_was_sent(bundle_):
    found = received(bundle_, {"MedicationRequest/1", "MedicationRequest/2", "Medication/1"})
    assert list(found) == ["MedicationRequest/1"]
    assert str(found["MedicationRequest/1"]["extension"][0]["valueDecimal"]) == "1.10"
    assert patched(found["MedicationRequest/1"], OURS)["id"] == "1"
