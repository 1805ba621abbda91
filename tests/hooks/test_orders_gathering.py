"""What is read for an order, and when nothing is: a FHIR server of our own notes every call (issue 4, part 1)."""

from __future__ import annotations

import pytest

from tests.fhir import loopback
from tests.hooks.calling import HOOK_INSTANCE
from tests.hooks.living import FAULT, b12, bundle, fhir_server, missing, prefetch, problem
from tests.hooks.ordering import FOLATE_FIRST, FOLIC, call, cards, draft, drafts, lab_draft, select, sign, topics

BARE = {"medicationCodeableConcept": ..., "medicationReference": {"reference": "Medication/med-1"}}
FOLIC_MEDICATION = {"resourceType": "Medication", "id": "med-1", "code": FOLIC}
CORD = "60576007"  # subacute combined degeneration of the spinal cord
AMOXICILLIN = {"text": "Amoxicillin 500 mg capsules"}
IRRELEVANT = {
    "another medicine": select(drafts(draft(medicationCodeableConcept=AMOXICILLIN)), prefetch=...),
    "another test": select(drafts(lab_draft("718-7")), prefetch=...),
    "an empty order": select(drafts(draft(medicationCodeableConcept=..., intent=...)), prefetch=...),
    "ours only beside it": select(drafts(lab_draft("718-7"), draft()), "ServiceRequest/lab-1", prefetch=...),
    "a low dose": select(drafts(draft(medicationCodeableConcept={"text": "Folic acid 400 micrograms"})), prefetch=...),
    "signed": sign(drafts(draft(medicationCodeableConcept=AMOXICILLIN)), prefetch=...),
    "another patient's": sign(drafts(draft(subject={"reference": "Patient/pt-2"})), prefetch=...),
    "bare beside it": select(drafts(lab_draft("718-7"), draft(**BARE)), "ServiceRequest/lab-1", prefetch=...),
}  # fmt: skip


@pytest.mark.parametrize("request_", IRRELEVANT.values(), ids=IRRELEVANT.keys())
def test_item_76_an_order_that_is_none_of_our_business_is_answered_without_reading_anything(request_):
    with loopback.serving(fhir_server()) as server:
        assert cards(request_ | {"fhirServer": server.base}) == []
        assert server.paths == []


def test_an_order_of_ours_is_what_makes_the_record_be_read():
    with loopback.serving(fhir_server()) as server:
        assert topics(select(drafts(draft()), prefetch=..., fhirServer=server.base)) == [FOLATE_FIRST]
        assert {path.partition("?")[0] for path in server.paths} == set(fhir_server())


def test_item_54_what_was_sent_is_not_read_again():
    with loopback.serving(fhir_server()) as server:
        assert topics(select(drafts(draft()), fhirServer=server.base)) == [FOLATE_FIRST]
        assert server.paths == []


def test_a_medicine_that_is_only_a_reference_is_read_from_the_server():
    answers = {"/fhir/Medication/med-1": loopback.fhir(FOLIC_MEDICATION)}
    with loopback.serving(fhir_server() | answers) as server:
        assert topics(select(drafts(draft(**BARE)), fhirServer=server.base)) == [FOLATE_FIRST]
        assert server.paths == ["/fhir/Medication/med-1"]


def test_a_medicine_that_turns_out_to_be_another_is_the_only_thing_read():
    answers = {"/fhir/Medication/med-1": loopback.fhir(FOLIC_MEDICATION | {"code": AMOXICILLIN})}
    with loopback.serving(fhir_server() | answers) as server:
        assert cards(select(drafts(draft(**BARE)), prefetch=..., fhirServer=server.base)) == []
        assert server.paths == ["/fhir/Medication/med-1"]


@pytest.mark.parametrize(
    "named",
    [{"reference": "Medication/med-1", "display": "Folic acid 5 mg"}, {"reference": "#here"}],
    ids=["display", "contained"],
)
def test_a_medicine_that_is_named_in_the_call_is_not_read(named):
    order = draft(
        medicationCodeableConcept=..., medicationReference=named, contained=[FOLIC_MEDICATION | {"id": "here"}]
    )
    with loopback.serving(fhir_server()) as server:
        assert topics(select(drafts(order), fhirServer=server.base)) == [FOLATE_FIRST]
        assert server.paths == []


def referring(count: int) -> list[dict]:
    return [
        draft(f"d-{number}", medicationCodeableConcept=..., medicationReference={"reference": f"Medication/m-{number}"})
        for number in range(count)
    ]


def test_the_medicines_of_many_orders_are_read_together():
    others = {f"m-{number}": FOLIC_MEDICATION | {"id": f"m-{number}", "code": AMOXICILLIN} for number in range(25)}
    with loopback.serving(fhir_server() | {"/fhir/Medication": loopback.by_id(others)}) as server:
        assert cards(sign(drafts(*referring(25)), prefetch=..., fhirServer=server.base)) == []
        assert len(server.paths) == 1


def test_where_they_cannot_be_read_together_at_most_20_are_read():
    answers = {
        f"/fhir/Medication/m-{number}": loopback.fhir(FOLIC_MEDICATION | {"id": f"m-{number}", "code": AMOXICILLIN})
        for number in range(25)
    }
    with loopback.serving(fhir_server() | answers) as server:
        assert missing(call(sign(drafts(*referring(25)), prefetch=..., fhirServer=server.base))) == ["draftOrders"]
        assert len(server.paths) == 21


def test_the_medicine_of_an_order_beside_is_read_once_the_selected_one_is_ours():
    cobalamin = FOLIC_MEDICATION | {"code": {"text": "Hydroxocobalamin 1 mg/1 ml injection"}}
    request = select(drafts(draft(), draft("draft-2", **BARE)), "MedicationRequest/draft-1")
    with loopback.serving(fhir_server() | {"/fhir/Medication/med-1": loopback.fhir(cobalamin)}) as server:
        (card,) = cards(request | {"fhirServer": server.base})
    assert card["indicator"] == "info"
    (card,) = cards(request)
    assert card["indicator"] == "critical"


def test_a_medicine_that_could_not_be_read_is_missing_data_and_no_silence():
    request = select(drafts(draft(**BARE)))
    assert missing(call(request)) == ["draftOrders"]
    with loopback.serving(fhir_server()) as server:
        assert missing(call(request | {"fhirServer": server.base})) == ["draftOrders"]
        assert server.paths == ["/fhir/Medication/med-1"]


def test_beside_an_order_that_is_judged_an_unread_one_does_not_stop_the_card_and_is_named():
    assert topics(select(drafts(draft(), draft("draft-2", **BARE)))) == [FOLATE_FIRST, "B12DataUnavailable"]


@pytest.mark.parametrize("key", ["patient", "b12"])
@pytest.mark.parametrize("sent", [..., FAULT], ids=["absent", "failed"])
def test_item_55_without_required_data_the_answer_is_412(key, sent):
    metformin = draft(medicationCodeableConcept={"text": "Metformin 500 mg tablets"})
    assert missing(call(select(drafts(metformin), prefetch=prefetch(**{key: sent})))) == [key]


def test_item_55_a_safety_row_that_holds_is_sent_all_the_same_and_what_is_missing_with_it():
    sent = prefetch(b12=..., conditions=bundle(problem()))
    first, second = cards(select(drafts(draft()), prefetch=sent))
    assert (first["source"]["topic"]["code"], first["indicator"]) == (FOLATE_FIRST, "critical")
    assert "B12, MMA and homocysteine results" in second["detail"]


def test_only_safety_rows_of_orders_speak_alone():
    cord = prefetch(b12=..., conditions=bundle(problem(CORD)))
    metformin = draft(medicationCodeableConcept={"text": "Metformin 500 mg tablets"})
    assert missing(call(select(drafts(metformin), prefetch=cord))) == ["b12"]


def test_promise_7_the_record_of_another_patient_is_412():
    other = {"resourceType": "Patient", "id": "pt-2"}
    response = call(select(drafts(draft()), prefetch=prefetch(patient=other)))
    assert response.status_code == 412


def test_promise_1_what_could_not_be_seen_is_named_where_no_row_holds():
    metformin = draft(medicationCodeableConcept={"text": "Metformin 500 mg tablets"})
    assert cards(select(drafts(metformin), prefetch=prefetch(b12=bundle(b12(400))))) == []
    (card,) = cards(select(drafts(metformin), prefetch=prefetch(b12=bundle(b12(400)), conditions=...)))
    assert card["indicator"] == "info"
    assert "problem list" in card["detail"]


def test_item_79_the_same_call_gives_the_same_ids_and_another_hook_its_own():
    (first,) = cards(select(drafts(draft()), hookInstance=HOOK_INSTANCE))
    (again,) = cards(select(drafts(draft()), hookInstance=HOOK_INSTANCE))
    (signed,) = cards(sign(drafts(draft()), hookInstance=HOOK_INSTANCE))
    assert first["uuid"] == again["uuid"] != signed["uuid"]
