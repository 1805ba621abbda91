"""Medicines: by which route, how much and how often."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.fhir.records import (
    HYDROXO,
    SNOMED,
    concept,
    given,
    medication_of,
    order,
    resource,
)

MONTH, THIRD_WEEK = Decimal("30.4375"), Decimal(7) / 3


@pytest.mark.parametrize(
    ("medicine", "dosage", "route"),
    [
        (HYDROXO, {"route": concept("78421000", SNOMED)}, "im"),
        (HYDROXO, {"route": concept("IM", "http://terminology.hl7.org/CodeSystem/v3-RouteOfAdministration")}, "im"),
        (HYDROXO, {"route": {"text": "Intramuscular use"}}, "im"),
        (HYDROXO, {"route": concept("9", "urn:x", display="deep subcutaneous")}, "sc"),
        (HYDROXO, {"text": "1 mg IM every 3 months"}, "im"),
        (HYDROXO, {"text": "1 mg i.m. every 3 months"}, "im"),
        (HYDROXO, {"route": {"text": "Intrathecal route"}}, "other"),
        (HYDROXO, {"route": {"text": "per gastrostomy"}}, "other"),
        (HYDROXO, {"route": concept("9", "urn:x")}, "injection"),
        (HYDROXO, {}, "injection"),
        ("cyanocobalamin 1000 MCG oral tablet", {}, "oral"),
        ("cyanocobalamin 50microgram tablets", {}, "oral"),
        ("vitamin B12 1 MG Sublingual Tablet", {}, "sublingual"),
        ("vitamin B12 0.5 MG/ACTUAT Nasal Spray", {}, "nasal"),
        ("Chloramphenicol 0.5% eye drops", {}, "other"),
        ("Cyanocobalamin", {}, ""),
        ("Cyanocobalamin", {"text": "one tablet daily by mouth"}, "oral"),
        ("Cyanocobalamin", {"doseAndRate": {"doseQuantity": {"value": 1, "unit": "tablet"}}}, "oral"),
    ],
)
def test_the_route_is_read_from_its_code_its_words_or_the_products_form(
    medicine: str, dosage: dict, route: str
) -> None:
    assert medication_of(order(medicine, dosageInstruction=[dosage])).route == route
    assert medication_of(order(medicine, dosageInstruction=dosage)).route == route


def test_the_form_of_a_medication_tells_the_route() -> None:
    product = {"resourceType": "Medication", "id": "b", "code": {"text": "Cyanocobalamin"}, "form": {"text": "Tablet"}}
    entry = resource("MedicationStatement", "m1", status="active", medicationReference={"reference": "Medication/b"})
    assert medication_of(entry, product).route == "oral"


def timing(**repeat: Any) -> dict:
    return {"timing": {"repeat": repeat}}


def dose(value: Any, unit: str) -> dict:
    return {"doseAndRate": [{"doseQuantity": {"value": value, "unit": unit}}]}


@pytest.mark.parametrize(
    ("medicine", "dosage", "amount", "a_day", "interval"),
    [
        ("Folic acid 5mg tablets", dose(5, "mg") | timing(frequency=1, period=1, periodUnit="d"), 5000, 5000, 1),
        ("Folic acid 400microgram tablets", {"text": "One daily"}, 400, 400, 1),
        ("Folic acid 5mg tablets", {"text": "one tablet once weekly"}, 5000, Decimal(5000) / 7, 7),
        ("Folic acid 5mg tablets", {}, 5000, None, None),
        ("Folic acid", {}, None, None, None),
        ("Cyanocobalamin", dose(50, "ug") | timing(frequency=2, period=1, periodUnit="d"), 50, 100, Decimal("0.5")),
        ("Cyanocobalamin", dose(50, "µg"), 50, None, None),
        ("Cyanocobalamin", {"text": "50-150 micrograms daily"}, 150, 150, 1),
        ("Cyanocobalamin", {"text": "1,000 mcg once a day"}, 1000, 1000, 1),
        ("Cyanocobalamin 50microgram tablets", dose(2, "tablet") | {"text": "twice daily"}, 100, 200, Decimal("0.5")),
        ("Cyanocobalamin 50microgram tablets", {"text": "take two tablets in the morning"}, 100, 100, 1),
        ("Cyanocobalamin 50microgram tablets", {"text": "take 1-2 tablets daily"}, 100, 100, 1),
        ("Cyanocobalamin", {"text": "take two 50 microgram tablets daily"}, 100, 100, 1),
        ("Cyanocobalamin", {"text": "vitamin B12 50 micrograms daily"}, 50, 50, 1),
        ("Cyanocobalamin", {"text": "B12-5 mg weekly"}, 5000, Decimal(5000) / 7, 7),
        ("Cyanocobalamin 50microgram tablets", {"doseAndRate": [{"doseQuantity": {"value": 2}}]}, 100, None, None),
        ("Cyanocobalamin 50microgram tablets", {"doseAndRate": [{"doseQuantity": {"value": 400}}]}, 50, None, None),
        (
            "Cyanocobalamin",
            {"doseAndRate": {"doseRange": {"low": {"value": 50, "unit": "ug"}, "high": {"value": 150, "unit": "ug"}}}},
            150,
            None,
            None,
        ),
        ("vitamin B12 1 MG/ML Injectable Solution", dose(1, "mL"), 1000, None, None),
        ("vitamin B12 1 MG/ML Injectable Solution", {}, None, None, None),
        (HYDROXO, dose(1, "mg") | timing(period=3, periodUnit="mo"), 1000, 1000 / (3 * MONTH), 3 * MONTH),
        (HYDROXO, dose(1, "mg") | timing(frequency=3, period=1, periodUnit="wk"), 1000, 1000 / THIRD_WEEK, THIRD_WEEK),
        (HYDROXO, dose(1, "mg") | timing(period=2, periodMax=3, periodUnit="wk"), 1000, Decimal(1000) / 21, 21),
    ],
)  # fmt: skip
def test_dose_and_interval(
    medicine: str, dosage: dict, amount: int | None, a_day: Decimal | None, interval: Decimal | None
) -> None:
    found = medication_of(order(medicine, dosageInstruction=[dosage]))
    assert (found.dose, found.per_day, found.interval) == (amount, a_day, interval)


@pytest.mark.parametrize(
    ("dosage", "days"),
    [
        ({"text": "every 12 weeks"}, 84),
        ({"text": "every 2-3 months"}, 3 * MONTH),
        ({"text": "Inject every other day"}, 2),
        ({"text": "on alternate days"}, 2),
        ({"text": "three times a week for 2 weeks"}, THIRD_WEEK),
        ({"text": "3 times per week"}, THIRD_WEEK),
        ({"text": "weekly"}, 7),
        ({"text": "on Fridays"}, 7),
        ({"text": "5 mg every Monday"}, 7),
        ({"text": "once   \n  a   week"}, 7),
        ({"text": "once a month"}, MONTH),
        ({"text": "three-monthly"}, 3 * MONTH),
        ({"text": "12-weekly"}, 84),
        ({"text": "1mg im 8 weekly"}, 56),
        ({"text": "twice a year"}, 6 * MONTH),
        ({"text": "OD"}, 1),
        ({"text": "bd"}, Decimal("0.5")),
        ({"text": "each morning"}, 1),
        ({"text": "as directed"}, None),
        ({"text": ""}, None),
        (
            {"timing": {"code": concept("BID", "http://terminology.hl7.org/CodeSystem/v3-GTSAbbreviation")}},
            Decimal("0.5"),
        ),
        ({"timing": {"code": {"text": "every 3 months"}}}, 3 * MONTH),
        (timing(dayOfWeek=["mon", "thu"]), Decimal("3.5")),
        (timing(dayOfWeek=["mon", "wed", "fri"], period=1, periodUnit="wk"), THIRD_WEEK),
        (timing(when=["MORN", "NIGHT"]), Decimal("0.5")),
        (timing(frequency=0, period=1, periodUnit="d"), 1),
        (timing(frequency=1, period=0, periodUnit="d"), None),
        (timing(frequency=1, period="1E+99", periodUnit="d"), None),
        (timing(frequency=1, period=1, periodUnit="fortnight"), None),
        ({"text": "every 0 days"}, None),
    ],
)
def test_how_often_is_read_from_timing_or_words(dosage: dict, days: Decimal | None) -> None:
    assert medication_of(order(HYDROXO, dosageInstruction=[dosage])).interval == days


def test_of_several_instructions_the_largest_dose_and_the_longest_interval_count() -> None:
    loading = dose(1, "mg") | timing(frequency=3, period=1, periodUnit="wk")
    maintenance = dose(1, "mg") | timing(period=12, periodUnit="wk")
    found = medication_of(order(HYDROXO, dosageInstruction=[loading, maintenance]))
    assert (found.dose, found.interval) == (1000, 84)


def test_the_dosage_of_an_administration_is_read() -> None:
    found = medication_of(given(dosage={"route": concept("78421000", SNOMED), "dose": {"value": 1000, "unit": "mcg"}}))
    assert (found.route, found.dose) == ("im", 1000)


def test_strengths_come_from_an_ingredient_list() -> None:
    ingredient = {
        "itemCodeableConcept": {"text": "cyanocobalamin"},
        "strength": {"numerator": {"value": 50, "unit": "ug"}, "denominator": {"value": 1, "unit": "tablet"}},
    }
    product = {"resourceType": "Medication", "id": "b", "ingredient": [ingredient]}
    entry = resource(
        "MedicationStatement", "m1", status="active", medicationReference={"reference": "Medication/b"},
        dosage=[dose(3, "tablet")],
    )  # fmt: skip
    assert medication_of(entry, product).dose == 150
