"""Medicines: which ingredient, by what evidence, used when, by which route, how much and how often."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.fhir.records import RXNORM, SNOMED, concept, medication_of, order, read, reasons, resource, statement

ATC, NDC = "http://www.whocc.no/atc", "http://hl7.org/fhir/sid/ndc"
MONTH, THIRD_WEEK = Decimal("30.4375"), Decimal(7) / 3
METFORMIN, HYDROXO = "Metformin 500mg tablets", "Hydroxocobalamin 1mg/1ml solution for injection ampoules"


def given(medicine: str = HYDROXO, **fields: Any) -> dict:
    """A dose given."""
    defaults = {"status": "completed", "effectiveDateTime": "2025-12-01"}
    return resource(
        "MedicationAdministration", "m1", medicationCodeableConcept={"text": medicine}, **(defaults | fields)
    )


def dispensed(medicine: str = METFORMIN, **fields: Any) -> dict:
    """A supply handed over."""
    defaults = {"status": "completed", "whenHandedOver": "2025-12-20"}
    return resource("MedicationDispense", "m1", medicationCodeableConcept={"text": medicine}, **(defaults | fields))


@pytest.mark.parametrize(
    ("medicine", "ingredient", "by"),
    [
        (concept("860975", RXNORM), "metformin", "code"),
        (concept("109081006", SNOMED), "metformin", "code"),
        (concept("109081006", "https://dmd.nhs.uk"), "metformin", "code"),
        (concept("A10BA02", ATC), "metformin", "atc"),
        (concept(text="METFORMIN 500mg tabs"), "metformin", "words"),
        (concept("77", "urn:local", display="Glucophage 500 mg"), "metformin", "words"),
        (concept(text="omeprazole 20 MG Delayed Release Oral Capsule"), "omeprazole", "words"),
        (concept(text="esomeprazole 20 MG"), "esomeprazole", "words"),
        (concept(text="Vitamin B 12 1000 mcg tablet"), "cyanocobalamin", "words"),
    ],
)
def test_an_ingredient_is_found_by_code_then_atc_then_words(medicine: dict, ingredient: str, by: str) -> None:
    found = medication_of(order(medicine))
    assert (found.ingredient, found.recognised_by) == (ingredient, by)


def test_a_code_counts_before_the_words() -> None:
    medicine = {
        "coding": [{"system": ATC, "code": "A10BA02"}, {"system": RXNORM, "code": "7646"}],
        "text": "ranitidine",
    }
    found = medication_of(order(medicine))
    assert (found.ingredient, found.recognised_by) == ("omeprazole", "code")


@pytest.mark.parametrize(
    "text", ["atorvastatin 20 mg", "lamotrigine [Subvenite Green (for Patients Taking Primidone)]", ""]
)
def test_medicines_that_are_none_of_ours_are_skipped_without_a_word(text: str) -> None:
    record = read(order(text))
    assert not record.medications
    assert not record.ignored


@pytest.mark.parametrize("reference", ["Medication/med", "#med", "https://ehr.example.org/fhir/Medication/med"])
def test_a_medicine_may_be_described_elsewhere(reference: str) -> None:
    medicine = {"resourceType": "Medication", "id": "med", "code": {"text": METFORMIN}}
    entry = resource(
        "MedicationRequest", "m1", status="active", intent="order", authoredOn="2026-01-01",
        medicationReference={"reference": reference}, contained=[medicine] if reference[0] == "#" else None,
    )  # fmt: skip
    assert medication_of(entry, medicine).ingredient == "metformin"


def test_a_reference_that_leads_nowhere_is_read_by_its_display() -> None:
    lost = {"reference": "Medication/gone", "display": "Metformin 500 mg"}
    assert medication_of(resource("MedicationRequest", "m1", status="active", medicationReference=lost)).active


@pytest.mark.parametrize(
    "medicine",
    [
        {
            "identifier": [{"system": "urn:mimic:name", "value": "Cyanocobalamin"}],
            "code": concept("99999999999", "urn:x"),
        },
        {"identifier": {"value": "Cyanocobalamin"}},
        {"ingredient": [{"itemCodeableConcept": concept("419382002", SNOMED)}]},
        {"ingredient": {"itemCodeableConcept": {"text": "cyanocobalamin"}}},
        {"ingredient": [{"itemReference": {"display": "cyanocobalamin"}}]},
        {"code": concept("B03BA01", ATC)},
    ],
)
def test_a_name_in_an_identifier_or_an_ingredient_list_is_enough(medicine: dict) -> None:
    entry = resource("MedicationStatement", "m1", status="active", medicationReference={"reference": "Medication/b"})
    assert medication_of(entry, {"resourceType": "Medication", "id": "b"} | medicine).ingredient == "cyanocobalamin"


def ndc_of(ingredient: str) -> str:
    """An eleven-digit NDC of ours for the ingredient."""
    from cds_service.knowledge.locate import cards_folder

    rows = (cards_folder() / "value-sets" / f"medicine-{ingredient}.csv").read_text().splitlines()
    return next(row.split(",")[1] for row in rows if row.startswith(NDC + ","))


@pytest.mark.parametrize(
    "system", [NDC, "urn:oid:2.16.840.1.113883.6.69", "urn:our-pharmacy", "http://x.org/mimic-medication-ndc"]
)
def test_an_ndc_is_read_in_its_own_and_in_a_local_system(system: str) -> None:
    found = medication_of(order(concept(ndc_of("metformin"), system)))
    assert (found.ingredient, found.recognised_by) == ("metformin", "ndc")


def test_a_combination_is_one_entry_for_each_of_our_ingredients() -> None:
    text = "Folic Acid 2.2 MG / vitamin B12 1 MG / pyridoxine 25 MG Oral Tablet"
    entries = read(order(text)).medications
    assert {each.ingredient: each.dose for each in entries} == {"folic-acid": 2200, "cyanocobalamin": 1000}
    assert {each.reference for each in entries} == {"MedicationRequest/m1"}
    assert not any(each.multivitamin for each in entries)


@pytest.mark.parametrize(
    "text",
    [
        "Multivitamin with cyanocobalamin tablet",
        "Ascorbic Acid 60 MG / Cyanocobalamin 0.006 MG / Folic Acid 0.4 MG / Niacin 20 MG Oral Tablet",
    ],
)
def test_a_multivitamin_is_called_one(text: str) -> None:
    assert all(each.multivitamin for each in read(order(text)).medications)
    assert read(order(text)).medications


def test_a_multivitamin_by_its_ingredient_list() -> None:
    names = ("cyanocobalamin", "folic acid", "thiamine", "riboflavin")
    ingredients = [{"itemCodeableConcept": {"text": name}} for name in names]
    product = {"resourceType": "Medication", "id": "b", "ingredient": ingredients}
    entry = resource("MedicationStatement", "m1", status="active", medicationReference={"reference": "Medication/b"})
    assert [each.multivitamin for each in read(entry, product).medications] == [True, True]


@pytest.mark.parametrize(
    "medicine",
    [concept("V03AB33", ATC), concept("700496", RXNORM), concept(text="hydroxocobalamin 5000 MG Injection [Cyanokit]")],
)
def test_a_cyanide_kit_is_an_antidote(medicine: dict) -> None:
    assert medication_of(given() | {"medicationCodeableConcept": medicine}).antidote


def test_an_injection_of_b12_is_none() -> None:
    assert not medication_of(given()).antidote


@pytest.mark.parametrize(
    ("status", "active"),
    [("active", True), ("on-hold", False), ("completed", False), ("stopped", False), ("unknown", False)],
)
def test_an_order_is_in_force_only_while_it_is_active(status: str, active: bool) -> None:
    found = medication_of(order(METFORMIN, status=status))
    assert (found.source, found.active, found.start, found.last) == (
        "order",
        active,
        date(2026, 1, 1),
        date(2026, 1, 1),
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "draft"},
        {"status": "cancelled"},
        {"status": "entered-in-error"},
        {"intent": "proposal"},
        {"intent": "plan"},
        {"intent": "option"},
        {"doNotPerform": True},
        {"authoredOn": "2026-02-01"},
    ],
)
def test_an_order_that_never_was_one_is_listed(fields: dict) -> None:
    entry = order(METFORMIN, **fields)
    assert not read(entry).medications
    assert list(reasons(entry)) == ["MedicationRequest/m1"]


@pytest.mark.parametrize(
    ("fields", "end", "active"),
    [
        ({"dispenseRequest": {"validityPeriod": {"end": "2026-01-10"}}}, date(2026, 1, 10), False),
        ({"dispenseRequest": {"validityPeriod": {"end": "2026-01-15"}}}, date(2026, 1, 15), True),
        (
            {"dosageInstruction": [{"timing": {"repeat": {"boundsPeriod": {"end": "2026-01-08"}}}}]},
            date(2026, 1, 8),
            False,
        ),
        (
            {"dosageInstruction": {"timing": {"repeat": {"boundsDuration": {"value": 2, "unit": "weeks"}}}}},
            date(2026, 1, 15),
            True,
        ),
        (
            {
                "dosageInstruction": [
                    {"timing": {"repeat": {"boundsPeriod": {"end": "2026-01-08"}}}},
                    {"text": "then daily"},
                ]
            },
            None,
            True,
        ),
        (
            {"dosageInstruction": [{"timing": {"repeat": {"boundsDuration": {"value": "1E+8", "code": "a"}}}}]},
            None,
            True,
        ),
    ],
)
def test_an_order_ends_where_its_validity_or_its_instructions_end(fields: dict, end: date | None, active: bool) -> None:
    found = medication_of(order(METFORMIN, **fields))
    assert (found.end, found.active) == (end, active)


@pytest.mark.parametrize(
    ("fields", "start", "last", "end", "active"),
    [
        ({"effectivePeriod": {"start": "2020-03-01"}}, date(2020, 3, 1), date(2020, 3, 1), None, True),
        (
            {"effectivePeriod": {"start": "2020-03-01"}, "dateAsserted": "2026-01-02"},
            date(2020, 3, 1),
            date(2026, 1, 2),
            None,
            True,
        ),
        ({"effectivePeriod": {"end": "2025-12-31"}}, None, date(2025, 12, 31), date(2025, 12, 31), False),
        ({"effectiveDateTime": "2025-06"}, date(2025, 6, 30), date(2025, 6, 30), None, True),
        ({}, None, None, None, True),
        ({"status": "unknown", "dateAsserted": "2026-01-02"}, None, date(2026, 1, 2), None, False),
        ({"status": "stopped", "dateAsserted": "2026-01-02"}, None, None, None, False),
        (
            {"status": "stopped", "effectivePeriod": {"start": "2020-03-01"}, "dateAsserted": "2026-01-02"},
            date(2020, 3, 1),
            date(2020, 3, 1),
            None,
            False,
        ),
        (
            {"status": "completed", "effectivePeriod": {"start": "2025-01-01", "end": "2025-02-01"}},
            date(2025, 1, 1),
            date(2025, 2, 1),
            date(2025, 2, 1),
            False,
        ),
        ({"effectivePeriod": {"start": "2025-01-01", "end": "2027-01-01"}}, date(2025, 1, 1), date(2025, 1, 1),
         date(2027, 1, 1), True),
    ],
)  # fmt: skip
def test_when_a_statement_says_the_medicine_was_taken(
    fields: dict, start: date | None, last: date | None, end: date | None, active: bool
) -> None:
    found = medication_of(statement(METFORMIN, **fields))
    assert (found.start, found.last, found.end, found.active) == (start, last, end, active)


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "not-taken"},
        {"status": "entered-in-error"},
        {"status": "intended"},
        {"taken": "n"},
        {"wasNotTaken": True},
        {"effectivePeriod": {"start": "2026-03-01"}},
    ],
)
def test_a_statement_of_no_use_is_listed(fields: dict) -> None:
    entry = statement(METFORMIN, **fields)
    assert not read(entry).medications
    assert list(reasons(entry)) == ["MedicationStatement/m1"]


def test_a_dose_that_was_given_is_dated_and_not_in_use() -> None:
    found = medication_of(given())
    assert (found.source, found.start, found.last, found.active) == (
        "administration",
        date(2025, 12, 1),
        date(2025, 12, 1),
        False,
    )


def test_a_course_that_was_given_runs_to_its_last_day() -> None:
    found = medication_of(given(effectiveDateTime=None, effectivePeriod={"start": "2025-12-01", "end": "2025-12-12"}))
    assert (found.start, found.last) == (date(2025, 12, 1), date(2025, 12, 12))


@pytest.mark.parametrize(
    "fields",
    [{"status": each} for each in ("not-done", "entered-in-error", "on-hold", "stopped", "unknown")]
    + [{"notGiven": True}],
)
def test_a_dose_that_was_not_given_is_listed(fields: dict) -> None:
    assert not read(given(**fields)).medications
    assert list(reasons(given(**fields))) == ["MedicationAdministration/m1"]


@pytest.mark.parametrize(
    ("fields", "start", "end", "active"),
    [
        ({}, date(2025, 12, 20), None, False),
        ({"daysSupply": {"value": 28, "unit": "days"}}, date(2025, 12, 20), date(2026, 1, 17), True),
        ({"daysSupply": {"value": 7}}, date(2025, 12, 20), date(2025, 12, 27), False),
        ({"daysSupply": {"value": 3, "code": "mo"}}, date(2025, 12, 20), date(2026, 3, 21), True),
        ({"whenHandedOver": None, "whenPrepared": "2025-12-18"}, date(2025, 12, 18), None, False),
        ({"status": "in-progress"}, date(2025, 12, 20), None, False),
    ],
)
def test_a_supply_lasts_as_long_as_it_says(fields: dict, start: date, end: date | None, active: bool) -> None:
    found = medication_of(dispensed(**fields))
    assert (found.source, found.start, found.last, found.end, found.active) == ("dispense", start, start, end, active)


@pytest.mark.parametrize("status", ["cancelled", "declined", "preparation", "stopped", "on-hold", "entered-in-error"])
def test_a_supply_that_was_not_handed_over_is_listed(status: str) -> None:
    assert not read(dispensed(status=status)).medications
    assert not read(dispensed(status="unknown", whenHandedOver=None, whenPrepared="2025-12-18")).medications


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
