"""The charts: every point is a result of the record in the chart's unit, and the bands are the pathway's."""

from __future__ import annotations

import itertools
from decimal import Decimal
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.clinical.case import Case
from cds_service.clinical.findings import assess
from cds_service.clinical.record import LabResult, Patient, PatientRecord
from cds_service.content.content import Content, load_content
from cds_service.content.files import cards_folder, shipped_folder
from cds_service.ui.charts import HEIGHT, LEFT, RIGHT, WIDTH, Chart, Timeline, timeline
from tests.clinical.patients import KEYS, TODAY, ago, injection, lab, oral


@cache
def content() -> Content:
    return load_content(cards_folder())


def case(*labs: LabResult, sex: str = "female", **record: object) -> Case:
    made = PatientRecord(Patient("Patient/p", sex, ago(20_000)), labs=labs, published=KEYS, **record)
    return assess(made, content().pathways["uk-ng239"], TODAY).case


def drawn(*labs: LabResult, **given: object) -> Timeline:
    return timeline(case(*labs, **given))


def only(*labs: LabResult, **given: object) -> Chart:
    (chart,) = drawn(*labs, **given).charts
    return chart


def test_a_result_in_the_chart_unit_is_drawn_as_it_was_reported():
    (point,) = only(lab("b12", "150.10", "ng/L")).points
    assert point.value == Decimal("150.10")
    assert (point.reported, point.day) == ("150.10 ng/L", "10 Jan 2026")


def test_another_unit_is_converted_for_the_chart_and_shown_as_reported():
    chart = only(lab("b12", "133", "pmol/L"))
    assert chart.unit == "ng/L"
    assert chart.points[0].value == Decimal("133") * Decimal("1.35537")
    assert chart.points[0].reported == "133 pmol/L"
    assert chart.other_units
    assert not only(lab("b12", "133", "pg/mL")).other_units


@pytest.mark.parametrize(
    "analyte, unit, edges",
    [
        ("b12", "ng/L", [None, 180, 350, None]),
        ("active-b12", "pmol/L", [None, 25, 70, None]),
        ("mma", "nmol/L", [None, 280, None]),
        ("homocysteine", "umol/L", [None, 15, None]),
        ("mcv", "fL", [None, 100, None]),
        ("haemoglobin", "g/L", [None, 80, 120, None]),
    ],
)
def test_the_bands_are_the_limits_of_the_pathway(analyte: str, unit: str, edges: list[int | None]):
    bands = only(lab(analyte, "90", unit)).bands
    assert [bands[0].low, *(each.high for each in bands)] == edges
    assert all(one.high == other.low for one, other in itertools.pairwise(bands))


def test_the_limit_of_haemoglobin_is_that_of_the_patient():
    assert [each.high for each in only(lab("haemoglobin", "90", "g/L"), sex="male").bands] == [80, 130, None]


def test_the_laboratory_s_own_upper_limit_of_mma_is_the_band():
    bands = only(lab("mma", "0.50", "umol/L", high=Decimal("0.40"))).bands
    assert [each.high for each in bands] == [Decimal("400"), None]


def test_the_limits_of_a_site_are_its_bands():
    site = load_content(cards_folder(), shipped_folder("fixtures", holding="sites") / "sites" / "ruh-bath")
    made = PatientRecord(Patient("Patient/p"), labs=(lab("b12", "150", "ng/L"),), published=KEYS)
    (chart,) = timeline(assess(made, site.pathways["uk-ng239"], TODAY).case).charts
    assert chart.bands[0].high == 145


def test_what_has_no_date_no_number_or_no_unit_is_not_drawn():
    assert drawn(lab("b12", "150", "ng/L")._replace(date=None)).charts == ()
    assert drawn(lab("b12", "150", "ng/L")._replace(value=None)).charts == ()
    assert drawn(lab("b12", "150", "", doubt="no-unit")).charts == ()


@pytest.mark.parametrize(
    "fields, kind",
    [
        ({"comparator": "<"}, "below"),
        ({"comparator": ">"}, "above"),
        ({"preliminary": True}, "doubtful"),
        ({"doubt": "flag-opposes-range"}, "doubtful"),
        ({}, ""),
    ],
)
def test_a_bound_and_a_doubtful_result_look_different(fields: dict[str, object], kind: str):
    assert only(lab("b12", "150", "ng/L", **fields)).points[0].kind == kind


@pytest.mark.parametrize(
    "found, place",
    [
        (lab("b12", "179", "ng/L"), "deficient: below 180 ng/L"),
        (lab("b12", "180", "ng/L"), "uncertain: from 180 ng/L to 350 ng/L"),
        (lab("b12", "350", "ng/L"), "uncertain: from 180 ng/L to 350 ng/L"),
        (lab("b12", "133", "pmol/L"), "uncertain: from 133 pmol/L to 258 pmol/L"),
        (lab("b12", "2000", "ng/L", comparator=">"), "unlikely to be deficient: above 350 ng/L"),
        (lab("b12", "200", "ng/L", comparator="<"), "may or may not be below 180 ng/L"),
        (lab("b12", "150", "ng/L", preliminary=True), "not classified: the result is preliminary"),
        (lab("b12", "150", "ng/L", doubt="unit-conflict"),
         "not classified: the unit is written in two ways that do not agree"),
        (lab("mma", "300", "nmol/L"), "raised: limit 280 nmol/L"),
        (lab("mma", "350", "nmol/L", high=Decimal(400)), "not raised: limit 400 nmol/L, the laboratory's own"),
        (lab("mcv", "100", "fL"), "within the limits that are drawn"),
        (lab("mcv", "101", "fL"), "enlarged cells: above 100 fL"),
        (lab("haemoglobin", "119", "g/L"), "anaemia: below 120 g/L"),
        (lab("haemoglobin", "79", "g/L"), "severe: below 80 g/L"),
        (lab("haemoglobin", "120", "g/L"), "within the limits that are drawn"),
    ],
)  # fmt: skip
def test_every_point_says_in_which_band_it_lies_or_why_in_none(found: LabResult, place: str):
    assert only(found).points[0].place == place


def test_a_bound_keeps_its_comparator_in_the_chart_unit():
    assert only(lab("b12", "2000", "ng/L", comparator=">")).points[0].shown == ">2000"


def test_the_axis_has_a_lowest_number():
    assert only(lab("b12", "150", "ng/L")).floor == "0"
    assert Decimal(only(lab("mcv", "93", "fL")).floor) < 93


def test_the_words_of_the_bands_stand_where_the_results_do_not():
    assert only(lab("b12", "150", "ng/L", 5)).words_left
    assert not only(lab("b12", "150", "ng/L", 350)).words_left


def test_points_go_from_the_oldest_to_the_newest_and_lie_on_one_axis():
    line = drawn(lab("b12", "150", "ng/L", 5), lab("b12", "300", "ng/L", 900), lab("mcv", "104", "fL", 5))
    points = line.charts[0].points
    assert [each.reported for each in points] == ["300 ng/L", "150 ng/L"]
    assert points[0].x < points[1].x == line.charts[1].points[0].x
    assert points[0].y < points[1].y, "a higher value lies higher"
    assert line.last == TODAY


def test_doses_of_one_medicine_lie_on_one_lane_and_treatment_comes_first():
    line = drawn(medications=(injection(20), injection(100), injection(900), oral(200)))
    assert [(each.words, each.treatment) for each in line.lanes] == [
        ("cyanocobalamin", True),
        ("hydroxocobalamin", True),
    ]
    doses = line.lanes[1].bars
    assert [each.event for each in doses] == [True, True, True]
    assert doses[0].earlier and not doses[2].earlier
    assert line.lanes[0].bars[0].words == "cyanocobalamin, stated, oral: from 29 Jun 2025, still in use"


ANALYTES = st.sampled_from(["b12", "active-b12", "mma", "homocysteine", "mcv", "haemoglobin"])


@st.composite
def any_lab(draw: st.DrawFn) -> LabResult:
    analyte = content().analytes[draw(ANALYTES)]
    unit = draw(st.sampled_from([each.spelling for each in analyte.units.values()]))
    value = draw(st.decimals("0.01", "100000", allow_nan=False, places=2))
    fields = {
        "comparator": draw(st.sampled_from(["", "<", ">"])),
        "doubt": draw(st.sampled_from(["", "flag-opposes-range"])),
    }
    return lab(analyte.id, value, unit, draw(st.integers(0, 20_000)), **fields)


@given(st.lists(any_lab(), max_size=8, unique_by=lambda each: each.reference))
def test_every_mark_lies_inside_its_chart(labs: list[LabResult]):
    line = drawn(*labs)
    assert sum(len(each.points) for each in line.charts) == len(labs)
    for chart in line.charts:
        for point in chart.points:
            assert LEFT <= point.x <= WIDTH - RIGHT
            assert 0 < point.y < HEIGHT
        assert all(band.height >= 0 for band in chart.bands)
        for low, high in zip(chart.points, chart.points[1:], strict=False):
            assert low.x <= high.x
