"""Draft orders as clients send them (protocol checklist 4.3, 6, 7.1; items 34, 35, 37, 76): odd ones cost no others."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hooks.calling import CONTEXT, body
from tests.hooks.living import PATIENT, b12, bundle, prefetch, problem
from tests.hooks.ordering import (
    FOLATE_FIRST,
    FOLIC,
    LONG_ID,
    RXNORM,
    call,
    cards,
    dosage,
    draft,
    drafts,
    lab_draft,
    select,
    sign,
    topics,
)

FOLIC_CODE = {"system": RXNORM, "code": "4511"}
SERVER = "https://ehr.example.org/fhir"
FOLIC_MEDICATION = {"resourceType": "Medication", "id": "med-1", "code": FOLIC}
IN_BUNDLE = {"medicationReference": {"reference": "Medication/med-1"}, "medicationCodeableConcept": ...}
NUTRITION = {"resourceType": "NutritionOrder", "id": "diet", "patient": {"reference": "Patient/pt-1"}}


def test_a_selected_order_drives_and_the_others_are_only_beside_it():
    both = drafts(draft(), lab_draft())
    assert topics(select(both, "MedicationRequest/draft-1")) == [FOLATE_FIRST]
    assert topics(select(both, "ServiceRequest/lab-1")) == ["B12OrderRepeatEarly"]
    assert topics(select(both)) == [FOLATE_FIRST, "B12OrderRepeatEarly"]
    assert topics(sign(both)) == [FOLATE_FIRST, "B12OrderRepeatEarly"]


def test_a_cobalamin_beside_the_folic_acid_changes_the_card():
    cobalamin = draft("draft-2", medicationCodeableConcept={"text": "Hydroxocobalamin 1 mg/1 ml injection"})
    (alone,) = cards(select(drafts(draft()), "MedicationRequest/draft-1"))
    (together,) = cards(select(drafts(draft(), cobalamin), "MedicationRequest/draft-1"))
    assert (alone["indicator"], together["indicator"]) == ("critical", "info")


SILENT: dict[str, Any] = {
    "an empty Bundle": select(drafts(), "MedicationRequest/draft-1"),
    "a Bundle without entries": select(drafts(entry=...), "MedicationRequest/draft-1"),
    "an object that is no Bundle": select({}, "MedicationRequest/draft-1"),
    "a draft without medication or intent": select(drafts(draft(medicationCodeableConcept=..., intent=...))),
    "a medication that says nothing": select(drafts(draft(medicationCodeableConcept={"coding": [{}]}))),
    "a medicine that is none of ours": select(drafts(draft(medicationCodeableConcept={"text": "Amoxicillin 500 mg"}))),
    "a test that is none of ours": select(drafts(lab_draft("718-7"))),
    "another kind of order": select(drafts(NUTRITION)),
    "an order that says that it must not be done": select(drafts(draft(doNotPerform=True))),
    "an order that is withdrawn": sign(drafts(draft(status="cancelled"))),
}
FORBIDDEN = {"severity": "error", "code": "forbidden"}
UNREADABLE: dict[str, Any] = {
    "an entry without a resource": select(drafts(entry=[{}, None, {"resource": None}]), "MedicationRequest/draft-1"),
    "entries that are no list": select(drafts(entry="x"), "MedicationRequest/draft-1"),
    "an error instead of the drafts": select({"resourceType": "OperationOutcome", "issue": [FORBIDDEN]}),
    "an error among the entries": sign(drafts({"resourceType": "OperationOutcome", "issue": [FORBIDDEN]})),
    "an object without a resourceType": select(drafts(draft(), resourceType=...)),
    "fewer drafts than are counted": sign(drafts(total=2)),
    "a further page of drafts": select(drafts(link=[{"relation": "next", "url": f"{SERVER}?page=2"}])),
    "a draft that is a number": select(drafts(entry=[{"resource": 5}]), "MedicationRequest/draft-1"),
}


@pytest.mark.parametrize("request_", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_drafts_that_cannot_be_read_are_412_and_never_silence(request_):
    response = call(request_)
    assert response.status_code == 412
    assert "draftOrders: " in response.text


@pytest.mark.parametrize("request_", SILENT.values(), ids=SILENT.keys())
def test_item_76_what_is_none_of_our_business_is_200_without_a_card(request_):
    assert cards(request_) == []


SPOKEN: dict[str, Any] = {
    "a Bundle without its type": select(drafts(draft(), type=...)),
    "a lone entry instead of a list": select(drafts(entry={"resource": draft()}), "MedicationRequest/draft-1"),
    "a full URL and an absolute selection": select(
        drafts(entry=[{"fullUrl": f"{SERVER}/MedicationRequest/draft-1", "resource": draft()}]),
        f"{SERVER}/MedicationRequest/draft-1",
    ),
    "an absolute selection without a full URL": select(drafts(draft()), f"{SERVER}/MedicationRequest/draft-1"),
    "the same selection twice": select(drafts(draft()), *["MedicationRequest/draft-1"] * 2),
    "several selections, some not there": select(drafts(draft()), "A/b", "MedicationRequest/draft-1", "?"),
    "an id of 194 characters": select(drafts(draft(LONG_ID))),
    "category as an object": select(drafts(draft(category={"text": "Outpatient"}))),
    "doseAndRate as an object": select(
        drafts(draft(dosageInstruction=[{**dosage(5, "mg")[0], "doseAndRate": dosage(5, "mg")[0]["doseAndRate"][0]}]))
    ),
    "dosageInstruction as an object": select(drafts(draft(dosageInstruction=dosage(5, "mg")[0]))),
    "no status, no intent, no subject": select(drafts(draft(status=..., intent=..., subject=...))),
    "an absolute subject": select(drafts(draft(subject={"reference": f"{SERVER}/Patient/pt-1"}))),
    "a code of RxNorm": select(drafts(draft(medicationCodeableConcept={"coding": [FOLIC_CODE]}))),
    "a contained Medication": select(
        drafts(draft(contained=[FOLIC_MEDICATION], **{**IN_BUNDLE, "medicationReference": {"reference": "#med-1"}}))
    ),
    "a Medication in the Bundle": select(drafts(draft(**IN_BUNDLE), FOLIC_MEDICATION), "MedicationRequest/draft-1"),
    "an absolute reference to it": select(
        drafts(
            draft(**IN_BUNDLE | {"medicationReference": {"reference": f"{SERVER}/Medication/med-1"}}), FOLIC_MEDICATION
        ),
        "MedicationRequest/draft-1",
    ),
    "a reference with a display alone": select(
        drafts(draft(**{**IN_BUNDLE, "medicationReference": {"reference": "Medication/x", "display": FOLIC["text"]}}))
    ),
    "a display without a reference": select(
        drafts(draft(**{**IN_BUNDLE, "medicationReference": {"display": FOLIC["text"]}}))
    ),
    "an active order that is signed again": sign(drafts(draft(status="active"))),
    "a Bundle within the Bundle": select(drafts(drafts(draft()) | {"id": "b"}), "MedicationRequest/draft-1"),
    "entries that say how a search found them": select(
        drafts(entry=[{"resource": draft(), "search": {"mode": mode}} for mode in ("include", "outcome")])
    ),
    "STU3": sign(drafts(draft(kind="MedicationOrder"))),
}


@pytest.mark.parametrize("request_", SPOKEN.values(), ids=SPOKEN.keys())
def test_items_35_to_37_the_shapes_of_real_clients_are_read(request_):
    assert topics(request_) == [FOLATE_FIRST]


def test_the_medicine_that_the_order_itself_names_comes_first():
    other = {"resourceType": "Medication", "id": "med-1", "code": {"text": "Amoxicillin 500 mg capsules"}}
    named = draft(medicationReference={"reference": "Medication/med-1"})
    assert topics(select(drafts(named, other), "MedicationRequest/draft-1")) == [FOLATE_FIRST]
    contained = draft(**{**IN_BUNDLE, "medicationReference": {"reference": "#med-1"}}, contained=[FOLIC_MEDICATION])
    assert topics(select(drafts(contained, other), "MedicationRequest/draft-1")) == [FOLATE_FIRST]
    bundled = draft(**{**IN_BUNDLE, "medicationReference": {"reference": "Medication/med-1", "display": "Folic acid"}})
    assert topics(select(drafts(bundled, other | {"code": FOLIC}), "MedicationRequest/draft-1")) == [FOLATE_FIRST]


@pytest.mark.parametrize(
    ("code", "system"), [("2132-9", "http://loinc.org"), ("2132-9", "urn:oid:2.16.840.1.113883.6.1")]
)
def test_a_test_is_recognised_by_its_code(code, system):
    assert topics(select(drafts(lab_draft(code, system=system)))) == ["B12OrderRepeatEarly"]


def test_a_test_is_recognised_in_the_form_of_r5():
    test = lab_draft()
    assert topics(sign(drafts(test | {"code": {"concept": test["code"]}}))) == ["B12OrderRepeatEarly"]


def test_a_procedure_request_counts_as_a_test():
    assert topics(sign(drafts({**lab_draft(), "resourceType": "ProcedureRequest"}))) == ["B12OrderRepeatEarly"]


def test_the_order_of_the_drafts_changes_nothing():
    one = draft("a", medicationCodeableConcept={"text": "Cyanocobalamin 50 microgram tablets"})
    two, three = draft("b"), lab_draft()
    neuro = prefetch(conditions=bundle(problem()))
    forwards = cards(sign(drafts(one, two, three), prefetch=neuro))
    assert cards(sign(drafts(three, two, one), prefetch=neuro)) == forwards
    assert len(forwards) == 3


def test_a_draft_for_another_patient_is_ignored_and_the_own_one_counts():
    foreign = draft("other", subject={"reference": "Patient/pt-2"})
    assert cards(select(drafts(foreign))) == []
    assert topics(select(drafts(foreign, draft()))) == [FOLATE_FIRST]


def test_the_mistake_of_one_draft_costs_no_other():
    odd = draft("odd", dosageInstruction=[{"timing": {"repeat": {"frequency": "x", "period": [], "periodUnit": 3}}}])
    assert topics(select(drafts(odd, draft(), {"resourceType": 7}, entry=...) | {"entry": [
        {"resource": odd}, {"resource": {"resourceType": 7}}, 5, {"resource": draft()}]},
        "MedicationRequest/draft-1")) == [FOLATE_FIRST, "B12DataUnavailable"]  # fmt: skip


def test_numbers_beyond_all_sense_are_no_dose():
    for value in (1e300, -5, 0):
        request = select(drafts(draft(medicationCodeableConcept={"text": "Folic acid"},
                                      dosageInstruction=dosage(value, "mg"))))  # fmt: skip
        assert cards(request) is not None


def test_a_bundle_with_half_a_surrogate_pair_is_400():
    request = select(drafts(draft(medicationCodeableConcept={"text": "\ud800"})))
    assert call(request).status_code == 400


def test_the_specifications_example_of_section_4_5_names_what_it_could_not_see():
    metformin = {"coding": [{"system": RXNORM, "code": "861007"}], "text": "Metformin 500 mg tablet"}
    counted = draft("draft-0", "ServiceRequest", medicationCodeableConcept=..., code={"text": "Full blood count"})
    failed = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]}
    orders = drafts(counted, draft("draft-2", medicationCodeableConcept=metformin))
    sent = {"patient": PATIENT, "b12": bundle(), "medications": failed}
    context = {**CONTEXT, "selections": ["MedicationRequest/draft-2"], "draftOrders": orders}
    (card,) = cards(body(hook="order-select", context=context, prefetch=sent))
    assert card["indicator"] == "info"
    assert "problem list" in card["detail"]


def test_the_low_dose_of_a_pregnancy_is_none_of_our_business():
    low = draft(medicationCodeableConcept={"text": "Folic acid 400 microgram tablets"}, dosageInstruction=[
        {"timing": DAILY_TABLET, "doseAndRate": [{"doseQuantity": {"value": 1, "unit": "tablet"}}]}])  # fmt: skip
    assert cards(select(drafts(low), prefetch=prefetch(b12=bundle(b12(90))))) == []


DAILY_TABLET = {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}
