"""Units come from a closed table; a conversion is exact within a family, and by the molar mass between families."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.api import Analyte, Unit, convert, normalise_unit, to_base

UNITS = {
    "ng/l": Unit("ng/L", "mass", Decimal(1)),
    "pg/ml": Unit("pg/mL", "mass", Decimal(1)),
    "ug/l": Unit("ug/L", "mass", Decimal(1000)),
    "ng/dl": Unit("ng/dL", "mass", Decimal(10)),
    "pmol/l": Unit("pmol/L", "molar", Decimal(1)),
    "nmol/l": Unit("nmol/L", "molar", Decimal(1000)),
}
B12 = Analyte("b12", "total B12", UNITS, {"mass": "ng/L", "molar": "pmol/L"}, "ng/L", Decimal("1.35537"))
VALUES = st.decimals(min_value=0, max_value=10**9, places=6)


@pytest.mark.parametrize(
    "text", ["ug/L", "UG/L", " ug / l ", "\u00b5g/L", "\u03bcg/L", "\u039cG/L", "ug\u00a0/\u00a0L", "\tug/L\n"]
)
def test_spellings_of_one_unit_have_one_key(text: str) -> None:
    assert normalise_unit(text) == "ug/l"


def test_what_differs_stays_different() -> None:
    assert len({normalise_unit(text) for text in ("mg/L", "ug/L", "ng/L", "pg/L", "g/L", "mmol/L", "nmol/L", "")}) == 8


@pytest.mark.parametrize(
    ("value", "unit", "wanted", "expected"),
    [
        ("180", "ng/L", "pg/mL", "180"),
        ("0.18", "ug/L", "ng/L", "180"),
        ("150.10", "ng/dL", "ng/L", "1501"),
        ("100", "pmol/L", "ng/L", "135.537"),
        ("135.537", "ng/L", "pmol/L", "100"),
        ("0.2", "nmol/L", "ng/L", "271.074"),
        ("271.074", "pg/mL", "nmol/L", "0.2"),
    ],
)
def test_conversions_are_exact(value: str, unit: str, wanted: str, expected: str) -> None:
    assert convert(B12, Decimal(value), unit, wanted) == Decimal(expected)


def test_the_edges_of_the_two_families_do_not_meet() -> None:
    assert convert(B12, Decimal(180), "ng/L", "pmol/L") < 133
    assert convert(B12, Decimal(350), "ng/L", "pmol/L") > 258


@given(VALUES, st.sampled_from(sorted(UNITS)), st.sampled_from(sorted(UNITS)))
def test_there_and_back_is_the_same_within_a_family(value: Decimal, unit: str, wanted: str) -> None:
    there = convert(B12, value, unit, wanted)
    back = convert(B12, there, wanted, unit)
    if UNITS[unit].family == UNITS[wanted].family:
        assert back == value
    else:
        assert abs(back - value) <= abs(value) * Decimal("1E-30")


@given(VALUES, VALUES, st.sampled_from(sorted(UNITS)), st.sampled_from(sorted(UNITS)))
def test_conversion_keeps_the_order(one: Decimal, other: Decimal, unit: str, wanted: str) -> None:
    assert (one < other) == (convert(B12, one, unit, wanted) < convert(B12, other, unit, wanted))


@given(VALUES)
def test_the_base_unit_is_exact(value: Decimal) -> None:
    assert to_base(value, UNITS["ug/l"]) == value * 1000


def test_what_the_table_does_not_hold_is_refused_without_repeating_it() -> None:
    with pytest.raises(ValueError, match="no such unit") as refusal:
        convert(B12, Decimal(1), "petagauss", "ng/L")
    assert "petagauss" not in str(refusal.value)


def test_without_a_molar_mass_the_families_do_not_meet() -> None:
    with pytest.raises(ValueError, match="cannot be converted"):
        convert(replace(B12, mass_per_molar=None), Decimal(1), "ng/L", "pmol/L")
