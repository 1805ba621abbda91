"""Draft orders in clinical terms: substance, route, dose and schedule as far as they are said in a form to compare."""

from __future__ import annotations

from datetime import UTC, date
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from cds_service.clinical.record import Ignored, Order, OrderedPhase
from cds_service.fhir import reasons
from cds_service.fhir.orders import DRAFTS, NOT_IN_BUNDLE, UNREAD, Drafted, read_drafted
from cds_service.fhir.reading import ReadFor
from tests.book import content

Json = dict[str, Any]
INJECTION = {"text": "Hydroxocobalamin 1 mg/1 ml solution for injection"}
IM = {"text": "Intramuscular"}


def read(*drafts: Json, selections: tuple[str, ...] | None = None) -> Drafted:
    bundle = {"resourceType": "Bundle", "entry": [{"resource": each} for each in drafts]}
    pathway = content().pathways["uk-ng239"]
    raw = msgspec.Raw(msgspec.json.encode(bundle))
    return read_drafted(raw, selections, ReadFor("pt-1", content(), pathway, date(2026, 1, 15), UTC))


def medicine(concept: Json = INJECTION, *instructions: Json, **fields: Any) -> Json:
    return {"resourceType": "MedicationRequest", "id": "m", "status": "draft", "medicationCodeableConcept": concept,
            "dosageInstruction": list(instructions), **fields}  # fmt: skip


def instruction(amount: float | None = 1, unit: str = "mg", **repeat: Any) -> Json:
    found: Json = {"route": IM, "timing": {"repeat": repeat}}
    if amount is not None:
        found["doseAndRate"] = [{"doseQuantity": {"value": amount, "unit": unit}}]
    return found


def order(*instructions: Json, concept: Json = INJECTION, **fields: Any) -> Order:
    (found,) = read(medicine(concept, *instructions, **fields)).selected
    return found


def phases(*instructions: Json, concept: Json = INJECTION) -> tuple[OrderedPhase, ...]:
    return order(*instructions, concept=concept).phases


def weekly(times: int, **more: Any) -> Json:
    return instruction(frequency=times, period=1, periodUnit="wk", **more)


def test_an_order_is_read_with_substance_route_dose_and_phases_in_sequence():
    second = instruction(frequency=1, period=2, periodUnit="mo") | {"sequence": 2}
    first = weekly(3, boundsDuration={"value": 2, "code": "wk"}) | {"sequence": 1}
    found = order(second, first)
    assert (found.reference, found.ingredient, found.route) == ("MedicationRequest/m", "hydroxocobalamin", "im")
    assert [round(each.interval, 2) for each in found.phases] == [Decimal("2.33"), Decimal("60.88")]
    assert [(each.dose, each.days) for each in found.phases] == [(1000, 14), (1000, None)]


LENGTHS = {
    "boundsDuration": ({"boundsDuration": {"value": 10, "unit": "days"}}, 10),
    "boundsPeriod": ({"boundsPeriod": {"start": "2026-01-15", "end": "2026-01-29"}}, 14),
    "an end alone counts from today": ({"boundsPeriod": {"end": "2026-01-25"}}, 10),
    "a number of doses": ({"count": 6}, 12),
    "the shortest of them": ({"count": 6, "boundsDuration": {"value": 3, "code": "wk"}}, 12),
    "a start alone": ({"boundsPeriod": {"start": "2026-01-15"}}, None),
    "an end before the start": ({"boundsPeriod": {"start": "2026-01-15", "end": "2026-01-10"}}, None),
    "a count of nothing": ({"count": 0}, None),
    "none": ({}, None),
}


@pytest.mark.parametrize(("limits", "days"), LENGTHS.values(), ids=LENGTHS.keys())
def test_how_long_an_instruction_holds(limits, days):
    (phase,) = phases(instruction(frequency=1, period=2, periodUnit="d", **limits))
    assert phase.days == days


def test_an_interval_in_words_alone_is_marked_as_such():
    (phase,) = phases({"text": "1 mg on alternate days for two weeks, then every 2 months"})
    assert phase.in_words
    (phase,) = phases({"text": "as directed"})
    assert (phase.interval, phase.in_words) == (None, False)


def test_timing_comes_before_words():
    (phase,) = phases(instruction(frequency=1, period=2, periodUnit="d") | {"text": "every 3 months"})
    assert (phase.interval, phase.in_words) == (2, False)


def test_while_nothing_is_filled_in_the_product_tells_the_dose():
    folic = {"text": "Folic acid 5 mg tablets"}
    assert phases(concept=folic) == (OrderedPhase(Decimal(5000), None),)
    assert phases({"text": "one daily"}, concept=folic)[0].dose == 5000


def test_a_product_of_two_ingredients_is_two_orders():
    found = read(medicine({"text": "Folic acid 2.5 mg / pyridoxine 25 mg / vitamin B12 1 mg tablets"})).selected
    assert [each.ingredient for each in found] == ["cyanocobalamin", "folic-acid"]
    assert {each.reference for each in found} == {"MedicationRequest/m"}


def test_of_other_medicines_no_dose_is_read():
    assert order(instruction(500), concept={"text": "Metformin 500 mg tablets"}).phases == ()


def test_a_panel_is_an_order_of_every_test_that_it_covers():
    code = {"coding": [{"system": "http://loinc.org", "code": each} for each in ("2132-9", "2284-8")]}
    found = read({"resourceType": "ServiceRequest", "id": "s", "status": "draft", "code": code}).selected
    assert [each.orderable for each in found] == ["b12-total", "folate"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"subject": {"reference": "Patient/pt-2"}}, reasons.ANOTHER_PATIENT),
        ({"doNotPerform": True}, reasons.DO_NOT_PERFORM),
        ({"status": "entered-in-error"}, reasons.ENTERED_IN_ERROR),
        ({"status": "stopped"}, reasons.of_status("stopped")),
    ],
)
def test_what_is_not_ordered_for_this_patient_is_reported(changed, reason):
    found = read(medicine(**changed))
    assert found.selected == ()
    assert found.ignored == (Ignored("MedicationRequest/m", reason),)
    assert not found.relevant


@pytest.mark.parametrize("status", ["draft", "active", "on-hold", "completed", "unknown", "", "DRAFT"])
def test_an_order_signed_again_counts_whatever_its_status(status):
    assert read(medicine(status=status)).relevant


def test_a_selection_that_is_not_there_is_reported():
    found = read(medicine(), selections=("MedicationRequest/another", "MedicationRequest/m"))
    assert len(found.selected) == 1
    assert Ignored("", NOT_IN_BUNDLE) in found.ignored


def test_a_medicine_that_cannot_be_looked_up_is_reported():
    bare = {"resourceType": "MedicationRequest", "id": "m", "medicationReference": {"reference": "Medication/x"}}
    found = read(bare)
    assert (found.unread, found.relevant, found.ignored) == (True, False, (Ignored("MedicationRequest/m", UNREAD),))


def test_what_is_beside_orders_of_others_is_not_read_at_all():
    found = read(medicine({"text": "Amoxicillin"}), medicine() | {"id": "n"}, selections=("MedicationRequest/m",))
    assert (found.selected, found.beside, found.relevant) == ((), (), False)


def test_more_drafts_than_anybody_makes_are_cut_and_reported():
    found = read(*[medicine() | {"id": str(number)} for number in range(DRAFTS + 1)])
    assert len(found.selected) == DRAFTS
    assert found.ignored == (Ignored("", f"more than {DRAFTS} draft orders"),)
