"""A laboratory result is read as it was reported, or it is in doubt, or it is reported as not used. Never guessed."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.fhir.records import B12, LOINC, SNOMED, concept, lab_of, observation, quantity, read, reasons


def test_a_plain_result_is_read_with_all_that_it_says() -> None:
    lab = lab_of(
        observation(
            value=quantity(150.5, "ng/L", "ng/L"),
            referenceRange=[{"low": quantity(180), "high": quantity(900)}],
            interpretation=[concept("L", "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation")],
        )
    )
    assert (lab.reference, lab.analyte, lab.date) == ("Observation/o1", "b12", date(2026, 1, 10))
    assert (lab.value, lab.unit, lab.low, lab.high) == (Decimal("150.5"), "ng/L", 180, 900)
    assert (lab.flag, lab.kind, lab.doubt, lab.code) == ("low", "mass", "", f"{LOINC}|{B12}")
    assert not lab.preliminary


def test_trailing_zeros_stay() -> None:
    assert lab_of(json.loads(json.dumps(observation(value=quantity("150.10"))))).number == "150.10"


@pytest.mark.parametrize(
    ("text", "code", "unit"),
    [
        ("pg/mL", "", "pg/mL"),
        ("PG/ML", "", "pg/mL"),
        (" pg / mL ", "", "pg/mL"),
        ("", "pg/mL", "pg/mL"),
        ("µg/L", "", "ug/L"),
        ("μg/L", "", "ug/L"),
        ("mcg/L", "ug/L", "ug/L"),
        ("nanograms", "ng/L", "ng/L"),
        ("pmol/L", "", "pmol/L"),
    ],
)
def test_every_spelling_of_a_known_unit_is_read(text: str, code: str, unit: str) -> None:
    lab = lab_of(observation("35201-3", quantity(200, text, code)))
    assert (lab.unit, lab.doubt) == (unit, "")


@pytest.mark.parametrize(
    ("text", "code", "doubt"),
    [
        ("", "", "no-unit"),
        ("furlong", "", "unit-unknown"),
        ("mmol/L", "mmol/L", "unit-unknown"),
        ("pg/mL", "pmol/L", "unit-conflict"),
        ("ug/L", "ng/L", "unit-conflict"),
        ("ng/L", "mmol/L", "unit-conflict"),
        ("fmol/L", "pmol/L", "unit-conflict"),
    ],
)
def test_a_unit_that_is_missing_unknown_or_contradicted_is_in_doubt(text: str, code: str, doubt: str) -> None:
    lab = lab_of(observation("35201-3", quantity(200, text, code)))
    assert (lab.unit, lab.doubt) == ("", doubt)


def test_a_code_of_a_local_unit_system_does_not_contradict_the_unit() -> None:
    local = {
        "value": 200,
        "unit": "pg/mL",
        "system": "http://mimic.mit.edu/fhir/mimic/CodeSystem/mimic-units",
        "code": "u17",
    }
    assert lab_of(observation(value=local)).doubt == ""


@pytest.mark.parametrize(
    ("code", "unit", "doubt"),
    [
        ("2132-9", "pmol/L", "wrong-kind"),
        ("14685-2", "ng/L", "wrong-kind"),
        ("14685-2", "pmol/L", ""),
        ("16695-9", "pmol/L", ""),
        ("35201-3", "ng/L", ""),
    ],
)
def test_the_codes_property_and_the_unit_must_agree_unless_the_code_accepts_either(
    code: str, unit: str, doubt: str
) -> None:
    assert lab_of(observation(code, quantity(200, unit))).doubt == doubt


def test_a_site_that_has_set_its_limits_for_code_and_unit_has_settled_the_kind() -> None:
    mine = observation("2132-9", quantity(200, "pmol/L"))
    assert lab_of(mine, site_limits=(f"{LOINC}|2132-9|pmol/L",)).doubt == ""
    assert lab_of(mine, site_limits=(f"{LOINC}|2132-9|ng/L",)).doubt == "wrong-kind"


@pytest.mark.parametrize("written", ["<", "<=", ">=", ">"])
def test_comparators_are_kept(written: str) -> None:
    assert lab_of(observation(value=quantity(150, comparator=written))).comparator == written


def test_a_comparator_that_fhir_does_not_know_puts_the_result_in_question() -> None:
    assert lab_of(observation(value=quantity(150, comparator="~"))).doubt == "qualified"


@pytest.mark.parametrize(
    ("text", "number", "comparator", "unit", "doubt"),
    [
        ("150 ng/L", "150", "", "ng/L", ""),
        ("<150 ng/L", "150", "<", "ng/L", ""),
        ("≥ 1500 pg/mL", "1500", ">=", "pg/mL", ""),
        ("150,5 ng/L", "150.5", "", "ng/L", ""),
        (">20", "20", ">", "", "no-unit"),
        ("150", "150", "", "", "no-unit"),
        ("150 - 200", "", "", "", "no-number"),
        ("150 apples", "150", "", "", "unit-unknown"),
        ("150 or more", "", "", "", "no-number"),
        ("1,234 ng/L", "", "", "", "no-number"),
        ("volgt", "", "", "", "pending"),
        ("Result pending", "", "", "", "pending"),
        ("haemolysed", "", "", "", "no-number"),
        ("", "", "", "", "no-number"),
        ("9" * 3000, "", "", "", "no-number"),
    ],
)
def test_a_value_sent_as_text_is_read_only_as_a_number_with_its_unit(
    text: str, number: str, comparator: str, unit: str, doubt: str
) -> None:
    lab = lab_of(observation(value=None, valueString=text))
    assert (lab.number, lab.comparator, lab.unit, lab.doubt) == (number, comparator, unit, doubt)


def test_an_integer_has_no_unit() -> None:
    assert lab_of(observation(value=None, valueInteger=150)).doubt == "no-unit"


@pytest.mark.parametrize(
    "value",
    ["1E+9999999", "0E-9999999", "1234567890123456", "0.00000000001", "10000000001", "NaN", "150.1000000000000001"],
)
def test_a_number_that_no_laboratory_reports_is_reported_and_in_doubt(value: str) -> None:
    record = read(observation(value=quantity(value)))
    assert [lab.value for lab in record.labs] == [None]
    assert record.labs[0].doubt in ("number-unreadable", "no-number")


def test_long_numbers_are_named_among_the_ignored() -> None:
    assert "number" in reasons(observation(value=quantity("1234567890123456")))["Observation/o1"]


@pytest.mark.parametrize("value", ["1000000000", "0.000000001", "123456789.123456", "1E+3"])
def test_numbers_within_the_bounds_are_read(value: str) -> None:
    lab = lab_of(observation(value=quantity(value)))
    assert (lab.value, lab.doubt) == (Decimal(value), "")
    assert "E" not in lab.number


def test_a_negative_number_is_no_measurement() -> None:
    lab = lab_of(observation(value=quantity(-1)))
    assert (lab.value, lab.doubt) == (None, "no-number")


def test_a_result_without_a_value_is_in_doubt_and_one_that_is_awaited_is_pending() -> None:
    assert lab_of(observation(value=None)).doubt == "no-number"
    awaited = concept("temp-unknown", "http://terminology.hl7.org/CodeSystem/data-absent-reason")
    assert lab_of(observation(value=None, dataAbsentReason=awaited)).doubt == "pending"


def test_a_value_beside_a_reason_for_its_absence_is_in_question() -> None:
    assert lab_of(observation(dataAbsentReason=concept(text="error"))).doubt == "qualified"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (quantity(180), quantity(900), (180, 900)),
        ({"value": 180}, {"value": 900}, (180, 900)),
        (quantity(180, "pg/mL"), quantity(900, "PG/ML"), (180, 900)),
        (quantity(133, "pmol/L"), quantity(660, "pmol/L"), (None, None)),
        (quantity(0.18, "ug/L"), None, (None, None)),
        (quantity(0), quantity(0), (None, None)),
        (quantity(900), quantity(180), (None, None)),
        (None, quantity(280), (None, 280)),
        (quantity("1E+99"), quantity(900), (None, 900)),
    ],
)
def test_a_reference_range_counts_where_its_unit_is_the_results(low: Any, high: Any, expected: tuple) -> None:
    given = {name: each for name, each in (("low", low), ("high", high)) if each}
    lab = lab_of(observation(referenceRange=[given]))
    assert (lab.low, lab.high) == expected
    assert lab_of(observation(referenceRange=given)) == lab  # a lone object


def test_of_several_reference_ranges_only_the_normal_one_counts() -> None:
    normal = {"type": concept("normal", "http://terminology.hl7.org/CodeSystem/referencerange-meaning")}
    other = {"type": concept("treatment", "http://terminology.hl7.org/CodeSystem/referencerange-meaning")}
    ranges = [other | {"low": quantity(400)}, normal | {"low": quantity(180)}]
    assert lab_of(observation(referenceRange=ranges)).low == 180
    by_sex = [{"low": quantity(130), "text": "men"}, {"low": quantity(120), "text": "women"}]
    assert lab_of(observation(referenceRange=by_sex)).low is None


def test_a_range_of_a_result_without_a_unit_is_not_kept() -> None:
    assert lab_of(observation(value={"value": 150}, referenceRange=[{"low": {"value": 180}}])).low is None


@pytest.mark.parametrize(
    ("given", "flag"),
    [
        (concept("LL", "x"), "low"),
        ([concept("H", "x")], "high"),
        ([concept("N", "x")], "normal"),
        ([{"text": "Below normal"}], "low"),
        ([concept("A", "x"), concept(text="HIGH")], "high"),
        ([concept("POS", "x")], ""),
        ("laag", ""),
    ],
)
def test_the_laboratorys_flag_is_read_from_code_or_text(given: Any, flag: str) -> None:
    assert lab_of(observation(interpretation=given)).flag == flag


@pytest.mark.parametrize("status", ["final", "amended", "corrected", "Final", "FINAL "])
def test_final_amended_and_corrected_results_count(status: str) -> None:
    assert not lab_of(observation(status=status)).preliminary


def test_a_preliminary_result_is_kept_and_called_so() -> None:
    assert lab_of(observation(status="preliminary")).preliminary


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled", "registered", "unknown", "surprise", None])
def test_a_result_of_any_other_status_is_as_if_never_reported_and_listed(status: str | None) -> None:
    given = observation(status=status) if status else observation() | {"status": None}
    record = read(given)
    assert not record.labs
    assert [each.reference for each in record.ignored] == ["Observation/o1"]
    assert "surprise" not in record.ignored[0].reason


@pytest.mark.parametrize("code", ["2171-7", "54378-5", "3030-4", "14733-0", "26916-7"])
def test_a_test_that_looks_like_b12_is_listed_as_another_test(code: str) -> None:
    record = read(observation(code))
    assert not record.labs
    assert "another test" in record.ignored[0].reason


def test_codes_of_two_different_tests_are_no_result() -> None:
    both = {"coding": [{"system": LOINC, "code": "2132-9"}, {"system": LOINC, "code": "787-2"}]}
    assert reasons(observation(both)) == {"Observation/o1": "its codes name two different tests"}


def test_one_coding_of_several_is_enough() -> None:
    code = {"coding": [{"system": "urn:local", "code": "51010"}, {"code": "x"}, {"system": LOINC, "code": B12}]}
    assert lab_of(observation(code)).code == f"{LOINC}|{B12}"


def test_a_coding_that_is_a_lone_object_and_a_code_list_are_read() -> None:
    assert lab_of(observation({"coding": {"system": LOINC, "code": B12}})).analyte == "b12"
    assert lab_of(observation(B12) | {"code": [concept(B12)]}).analyte == "b12"


def test_the_system_of_a_code_matters() -> None:
    assert not read(observation(concept(B12, "urn:local"))).labs
    assert lab_of(observation(concept(B12, "urn:oid:2.16.840.1.113883.6.1"))).analyte == "b12"


def test_uk_records_name_the_test_in_snomed_ct() -> None:
    assert lab_of(observation(concept("271216009", SNOMED))).analyte == "b12"


@pytest.mark.parametrize(
    "code",
    [
        concept(text="Vitamin B12"),
        concept("51010", "urn:local", text="Vitamine B12"),
        concept("51010", "urn:local", display="Serum vitamin B12 level"),
        concept("11-1", LOINC, text="Cobalamin"),
    ],
)
def test_a_b12_recognised_by_its_name_is_kept_in_doubt(code: dict) -> None:
    lab = lab_of(observation(code))
    assert (lab.analyte, lab.doubt, lab.value, lab.code) == ("b12", "words-only", 150, "")


@pytest.mark.parametrize("text", ["Active B12", "Folate and vitamin B12", "MCV", "Methylmalonic acid"])
@pytest.mark.parametrize("coded", [{}, {"coding": [{"system": SNOMED, "code": "999000000"}]}])
def test_any_other_test_recognised_by_its_name_is_listed_and_not_used(text: str, coded: dict) -> None:
    record = read(observation({"text": text} | coded))
    assert not record.labs
    assert "words" in record.ignored[0].reason


def test_another_test_of_loinc_is_not_listed_for_its_name() -> None:
    assert not read(observation(concept("785-6", LOINC, text="MCH, not MCV"))).ignored


def test_what_is_none_of_our_business_is_skipped_without_a_word() -> None:
    record = read(observation("8302-2", quantity(176, "cm")), observation(concept(text="Urine dip"), name="o2"))
    assert not record.labs
    assert not record.ignored


@pytest.mark.parametrize(
    "specimen",
    [
        {"display": "Urine 24 h"},
        {"reference": "#s"},
        {"reference": "Specimen/s1"},
        [{"reference": "Specimen/s1"}],
        {"reference": "https://lab.example.org/fhir/Specimen/s1"},
    ],
)
def test_a_specimen_that_is_not_serum_is_ignored_with_a_note(specimen: Any) -> None:
    urine = {"resourceType": "Specimen", "id": "s1", "type": concept("122575003", SNOMED)}
    given = observation(specimen=specimen, contained=[urine | {"id": "s"}])
    record = read(given, urine)
    assert not record.labs
    assert record.ignored[0].reason == "specimen: urine"


@pytest.mark.parametrize("text", ["CSF", "Dried blood spot", "Umbilical cord blood", "Urine"])
def test_a_specimen_that_is_named_in_words_is_recognised(text: str) -> None:
    specimen = {"resourceType": "Specimen", "id": "s1", "type": {"text": text}}
    assert not read(observation(specimen={"reference": "Specimen/s1"}), specimen).labs


@pytest.mark.parametrize("text", ["Serum", "EDTA plasma", "Venous blood", "Serum (oker met gel)"])
def test_serum_plasma_and_blood_are_what_we_want(text: str) -> None:
    specimen = {"resourceType": "Specimen", "id": "s1", "type": {"text": text}}
    assert lab_of(observation(specimen={"reference": "Specimen/s1"}), specimen).doubt == ""
    assert lab_of(observation(specimen={"reference": "Specimen/nowhere"})).doubt == ""


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"valueCodeableConcept": concept("260385009", SNOMED)}, "negative"),
        ({"valueCodeableConcept": concept("LA6576-8", LOINC)}, "positive"),
        ({"valueCodeableConcept": {"text": "Detected"}}, "positive"),
        ({"valueString": "Not detected"}, "negative"),
        ({"valueString": "POSITIVE (1:40)"}, "positive"),
        ({"valueBoolean": True}, "positive"),
        ({"valueString": "see comment", "interpretation": [concept("POS", "x")]}, "positive"),
        ({"valueQuantity": quantity(12, "AU/mL"), "referenceRange": [{"high": quantity(1.5, "AU/mL")}]}, "positive"),
        ({"valueQuantity": quantity(1.5, "AU/mL"), "referenceRange": [{"high": quantity(1.5, "AU/mL")}]}, "negative"),
        (
            {"valueQuantity": quantity(1, "AU/mL", comparator="<"), "referenceRange": [{"high": {"value": 1.5}}]},
            "negative",
        ),
        (
            {"valueQuantity": quantity(3, "AU/mL", comparator=">"), "referenceRange": [{"high": {"value": 1.5}}]},
            "positive",
        ),
    ],
)
def test_an_antibody_is_positive_or_negative(fields: dict, outcome: str) -> None:
    lab = lab_of(observation("31443-5", None, **fields))
    assert (lab.analyte, lab.outcome, lab.doubt) == ("intrinsic-factor-antibody", outcome, "")


@pytest.mark.parametrize(
    "fields",
    [
        {"valueString": "equivocal"},
        {"valueString": "see comment"},
        {"valueQuantity": quantity(12, "AU/mL")},
        {"valueQuantity": quantity(1, "AU/mL", comparator=">"), "referenceRange": [{"high": {"value": 1.5}}]},
        {},
    ],
)
def test_an_antibody_that_says_neither_is_listed_and_not_used(fields: dict) -> None:
    record = read(observation("31443-5", None, **fields))
    assert not record.labs
    assert "positive" in record.ignored[0].reason


def test_results_inside_components_are_read_with_the_date_of_the_panel() -> None:
    panel = observation(
        "58410-2",
        None,
        component=[
            {"code": concept("718-7"), "valueQuantity": quantity(11.2, "g/dL")},
            {"code": concept("787-2"), "valueQuantity": quantity(104, "U3")},
            {"code": concept("8302-2"), "valueQuantity": quantity(1, "cm")},
        ],
    )
    labs = {lab.analyte: lab for lab in read(panel).labs}
    assert {name: (lab.number, lab.unit, lab.date) for name, lab in labs.items()} == {
        "haemoglobin": ("11.2", "g/dL", date(2026, 1, 10)),
        "mcv": ("104", labs["mcv"].unit, date(2026, 1, 10)),
    }
    assert {lab.reference for lab in labs.values()} == {"Observation/o1"}


def test_a_component_that_is_a_lone_object_is_read() -> None:
    part = {"code": concept(B12), "valueQuantity": quantity(150)}
    assert lab_of(observation("58410-2", None, component=part)).value == 150


def test_the_code_of_a_panel_that_has_no_value_itself_is_no_doubtful_result() -> None:
    part = {"code": concept(B12), "valueQuantity": quantity(150)}
    assert [lab.doubt for lab in read(observation(B12, None, component=[part])).labs] == [""]


def test_members_that_a_panel_contains_are_read_with_what_the_panel_says() -> None:
    member = {"resourceType": "Observation", "id": "m", "code": concept(B12), "valueQuantity": quantity(150)}
    lab = lab_of(observation("58410-2", None, contained=[member], hasMember=[{"reference": "#m"}]))
    assert (lab.reference, lab.value, lab.date) == ("Observation/o1", 150, date(2026, 1, 10))


def test_members_share_the_specimen_of_the_panel() -> None:
    member = {"resourceType": "Observation", "id": "m", "code": concept(B12), "valueQuantity": quantity(150)}
    urine = {"resourceType": "Specimen", "id": "s", "type": {"text": "Urine"}}
    panel = observation("58410-2", None, contained=[member, urine], specimen={"reference": "#s"})
    assert reasons(panel) == {"Observation/o1": "specimen: urine"}


def test_members_in_the_bundle_are_read_once_each() -> None:
    panel = observation("58410-2", None, name="panel", hasMember=[{"reference": "Observation/o1"}])
    assert len(read(panel, observation(), observation()).labs) == 1
