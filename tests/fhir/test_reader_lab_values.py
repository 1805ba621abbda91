"""What a laboratory result says: number, unit, comparator, range and flag, as reported or in doubt. Never guessed."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.fhir.records import B12, LOINC, concept, lab_of, observation, quantity, read, reasons


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
    ["1E+9999999", "0E-9999999", "1234567890123456", "0.00000000001", "10000000001", "NaN"],
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
        (quantity(0.18, "ug/L"), None, (180, None)),
        (quantity(180), quantity(180), (None, None)),
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


@pytest.mark.parametrize(
    ("value", "number"), [("149.99999999999997", "150"), ("150.1000000000000001", "150.1"), ("150.10", "150.10")]
)
def test_a_double_is_the_number_that_it_stands_for(value: str, number: str) -> None:
    assert lab_of(observation(value=quantity(value))).number == number


@pytest.mark.parametrize(
    ("text", "comparator"),
    [("150 ng/L", ""), ("150 ng/L (L)", ""), ("less than 150 ng/L", "<"), ("< 150 ng/L", "<"), ("150 pg/mL^^UCUM", "")],
)
def test_what_a_text_says_is_read(text: str, comparator: str) -> None:
    for given in ({"valueString": text}, {"valueCodeableConcept": {"text": text}}):
        lab = lab_of(observation(value=None, **given))
        assert (str(lab.value), lab.comparator, lab.doubt) == ("150", comparator, "")


@pytest.mark.parametrize(
    ("unit", "code"), [("/nanoliter", "/nL"), ("10+3/uL", None), ("thou/mcL", None), ("bil/L", None), ("K/uL", None)]
)
def test_spellings_of_other_systems_are_units(unit: str, code: str | None) -> None:
    platelets = {"coding": [{"system": "http://loinc.org", "code": "777-3"}]}
    value = {"value": 150, "unit": unit} | ({"code": code} if code else {})
    assert lab_of(observation(code=platelets, value=value)).doubt == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [("180 - 900", (180, 900)), ("<900", (None, 900)), ("> 180 ng/L", (180, None)), ("see handbook", (None, None))],
)
def test_a_range_in_simple_words_is_read(text: str, expected: tuple) -> None:
    lab = lab_of(observation(referenceRange=[{"text": text}]))
    assert (lab.low, lab.high) == expected


def test_a_range_that_its_own_text_contradicts_is_none() -> None:
    lab = lab_of(observation(referenceRange=[{"high": {"value": 90, "unit": "ng/L"}, "text": "180 - 900"}]))
    assert (lab.low, lab.high) == (None, None)


def test_two_versions_of_one_id_that_do_not_say_which_is_the_later_both_stay() -> None:
    """The worse one drives; an amended one takes the place of the other."""
    first, second = observation(value=600), observation(value=150)
    for both in ((first, second), (second, first), (first, second, first, second)):
        assert sorted(each.number for each in read(*both).labs) == ["150", "600"]
    amended = observation(value=150) | {"status": "amended"}
    assert [each.number for each in read(first, second, amended).labs] == ["150"]
