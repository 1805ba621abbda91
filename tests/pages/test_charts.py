"""The course as one chart: every mark is a result of the record, and lies in the band in which it was judged."""

from __future__ import annotations

import itertools
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.app import client_config
from cds_service.clinical.case import Case
from cds_service.clinical.findings import assess
from cds_service.clinical.record import LabResult, OpenOrder, Patient, PatientRecord, Problem
from cds_service.content.content import Content, load_content
from cds_service.content.files import cards_folder, shipped_folder
from cds_service.evaluate import Evaluation
from cds_service.examples.vignettes import Vignette, overlay_folder, shipped_vignettes
from cds_service.explanation import answer_saved, saved_vignette
from cds_service.settings import Settings
from cds_service.ui.charts import HEIGHT, Course, Strip, course
from tests import depth
from tests.clinical.patients import KEYS, TODAY, ago, injection, lab, oral

SITES = sorted((shipped_folder("fixtures", holding="sites") / "sites").iterdir())
BANDS = {  # finding -> the bands in which its results must lie
    "b12_deficient": {"deficient"},
    "b12_grey": {"grey"},
    "b12_above": {"above"},
    "mma_raised": {"raised"},
    "mma_normal": {"normal"},
    "macrocytosis": {"large"},
    "microcytosis": {"small"},
    "hb_severe": {"severe"},
    "anaemia": {"severe", "anaemia"},
}


@cache
def content(site: Path | None = None) -> Content:
    return load_content(cards_folder(), site)


def case(*labs: LabResult, sex: str = "female", **record: object) -> Case:
    made = PatientRecord(Patient("Patient/p", sex, ago(20_000)), labs=labs, published=KEYS, **record)
    return assess(made, content().pathways["uk-ng239"], TODAY).case


def drawn(*labs: LabResult, **given: object) -> Course:
    return course(case(*labs, **given))


def only(*labs: LabResult, **given: object) -> Strip:
    (strip,) = drawn(*labs, **given).strips
    return strip


def band_at(strip: Strip, y: float) -> str:
    """The band that lies behind that height."""
    return next(each.key for each in strip.bands if each.y <= y <= each.y + each.height)


def test_a_result_is_drawn_as_it_was_reported():
    (mark,) = only(lab("b12", "150.10", "ng/L")).marks
    assert (mark.value, mark.reported, mark.day) == (Decimal("150.10"), "150.10 ng/L", "10 Jan 2026")


def test_the_newest_result_s_own_unit_is_that_of_the_chart_with_its_own_limits():
    strip = only(lab("b12", "118", "pmol/L", 5), lab("b12", "250", "ng/L", 300))
    assert strip.unit == "pmol/L"
    assert [each.high for each in strip.bands] == [133, 258, None]
    assert strip.marks[-1].value == 118
    assert strip.marks[0].converted and not strip.marks[-1].converted
    assert "is converted to pmol/L" in strip.note
    assert not only(lab("b12", "133", "pg/mL")).note


@pytest.mark.parametrize(
    "analyte, unit, edges",
    [
        ("b12", "ng/L", [None, 180, 350, None]),
        ("b12", "pmol/L", [None, 133, 258, None]),
        ("active-b12", "pmol/L", [None, 25, 70, None]),
        ("mma", "nmol/L", [None, 280, None]),
        ("homocysteine", "umol/L", [None, 15, None]),
        ("mcv", "fL", [None, 80, 100, None]),
        ("haemoglobin", "g/L", [None, 80, 120, None]),
        ("haemoglobin", "g/dL", [None, 8, 12, None]),
    ],
)
def test_the_bands_are_the_limits_of_the_pathway(analyte: str, unit: str, edges: list[int | None]):
    bands = only(lab(analyte, "90", unit)).bands
    assert [bands[0].low, *(each.high for each in bands)] == edges
    assert all(one.high == other.low for one, other in itertools.pairwise(bands))


@pytest.mark.parametrize(
    "analyte, unit, words",
    [
        ("mcv", "fL", ["70", "90", "110", "120", "130"]),
        ("haemoglobin", "g/L", ["50", "100", "150", "175"]),
        ("haemoglobin", "g/dL", ["5", "10", "15", "17.5"]),
        ("b12", "ng/L", ["0", "100", "200", "300", "400", "500", "600"]),
    ],
)
def test_the_scale_is_fixed_and_its_ticks_are_round(analyte: str, unit: str, words: list[str]):
    low, high = only(lab(analyte, "93", unit)), only(lab(analyte, "88", unit))
    assert low.ticks == high.ticks, "another value moves nothing"
    shown = [each for _, each in low.ticks]
    assert set(shown) <= set(words) and len(shown) >= 3


def test_the_limit_of_haemoglobin_is_that_of_the_patient():
    assert [each.high for each in only(lab("haemoglobin", "90", "g/L"), sex="male").bands] == [80, 130, None]


def test_the_laboratory_s_own_upper_limit_of_mma_is_the_band():
    strip = only(lab("mma", "0.50", "umol/L", high=Decimal("0.40")))
    assert [each.high for each in strip.bands] == [Decimal("0.4"), None]
    assert strip.laboratory


def test_the_limits_of_a_site_are_its_bands():
    site = content(shipped_folder("fixtures", holding="sites") / "sites" / "ruh-bath")
    made = PatientRecord(Patient("Patient/p"), labs=(lab("b12", "150", "ng/L"),), published=KEYS)
    (strip,) = course(assess(made, site.pathways["uk-ng239"], TODAY).case).strips
    assert strip.bands[0].high == 145


def test_what_has_no_date_no_number_or_no_unit_is_not_drawn():
    assert drawn(lab("b12", "150", "ng/L")._replace(date=None)).strips == ()
    assert drawn(lab("b12", "150", "ng/L")._replace(value=None)).strips == ()
    assert drawn(lab("b12", "150", "", doubt="no-unit")).strips == ()


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
    assert only(lab("b12", "150", "ng/L", **fields)).marks[0].kind == kind


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
        (lab("mcv", "79", "fL"), "small cells: below 80 fL"),
        (lab("haemoglobin", "119", "g/L"), "anaemia: below 120 g/L"),
        (lab("haemoglobin", "79", "g/L"), "severe: below 80 g/L"),
        (lab("haemoglobin", "120", "g/L"), "within the limits that are drawn"),
    ],
)  # fmt: skip
def test_every_mark_says_in_which_band_it_lies_or_why_in_none(found: LabResult, place: str):
    assert only(found).marks[0].place == place


def test_a_converted_result_stays_in_the_band_in_which_it_was_judged():
    strip = only(lab("b12", "240", "ng/L", 5), lab("b12", "132", "pmol/L", 300))  # 132 pmol/L are 179 ng/L
    older = strip.marks[0]
    assert older.place == "deficient: below 133 pmol/L"
    assert band_at(strip, older.y) == "deficient"


def test_what_lies_off_the_scale_is_drawn_at_its_edge_and_says_so():
    mark = only(lab("b12", "1900", "ng/L")).marks[0]
    assert (mark.beyond, mark.reported) == ("top", "1900 ng/L")


def test_marks_go_from_the_oldest_to_the_newest_on_one_axis():
    line = drawn(lab("b12", "150", "ng/L", 5), lab("b12", "300", "ng/L", 900), lab("mcv", "104", "fL", 5))
    marks = line.strips[0].marks
    assert [each.reported for each in marks] == ["300 ng/L", "150 ng/L"]
    assert marks[0].x < marks[1].x == line.strips[1].marks[0].x
    assert marks[0].y < marks[1].y, "a higher value lies higher"
    assert line.last == TODAY


def test_symptoms_doses_orders_and_pregnancy_lie_on_the_same_axis_and_treatment_before_other_medicines():
    line = drawn(
        lab("b12", "150", "ng/L"),
        problems=(
            Problem("Condition/1", "paraesthesia", onset=ago(200)),
            Problem("Condition/2", "pregnancy", onset=ago(90), recorded=ago(80)),
        ),
        medications=(injection(20), injection(100), injection(900), oral(200)),
        orders=(OpenOrder("ServiceRequest/1", "mma", ago(3)),),
    )
    assert [(each.kind, each.words) for each in line.lanes] == [
        ("problem", "paraesthesia"),
        ("pregnancy", "pregnancy"),
        ("treatment", "cyanocobalamin"),
        ("treatment", "hydroxocobalamin"),
        ("order", content().pathways["uk-ng239"].orderables["mma"].title),
    ]
    doses = line.lanes[3].bars
    assert [each.event for each in doses] == [True, True, True]
    assert not doses[0].earlier, "every dose of ten years is on the axis"
    assert line.lanes[2].bars[0].words == "cyanocobalamin, stated, oral: from 29 Jun 2025, still in use"
    assert line.lanes[0].bars[0].words == "paraesthesia: since 29 Jun 2025"
    assert line.lanes[1].bars[0].words == "pregnancy: since 17 Oct 2025, recorded 27 Oct 2025", "a card names the later"


def test_the_ticks_of_the_time_axis_are_first_days_of_months_or_years():
    assert {words.count(" ") for _, words, _ in drawn(lab("b12", "150", "ng/L", 5)).ticks} == {1}
    years = drawn(lab("b12", "150", "ng/L", 3000)).ticks
    assert all(words.isdecimal() and len(words) == 4 for _, words, _ in years)
    assert 2 <= len(years) <= 6


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
def test_every_mark_lies_inside_its_chart_and_in_its_band(labs: list[LabResult]):
    line = drawn(*labs)
    assert sum(len(each.marks) for each in line.strips) == len(labs)
    for strip in line.strips:
        for mark in strip.marks:
            assert 0 <= mark.x <= 100
            assert 0 < mark.y < HEIGHT
            assert not mark.band or band_at(strip, mark.y) == mark.band
        assert all(band.height >= 0 for band in strip.bands)
        for low, high in itertools.pairwise(strip.marks):
            assert low.x <= high.x


@cache
def answered(site: Path | None, pathway: str) -> object:
    return client_config(Settings(pathway=pathway), content(site))


def evaluated(vignette: Vignette, site: Path | None) -> Evaluation:
    loaded = content(site)
    saved = saved_vignette(vignette, loaded)
    config = answered(site, vignette.pathway)
    return answer_saved(saved.request, config, vignette.as_of, None, saved.history)


def contradictions(found: Evaluation) -> list[str]:
    """Results that a finding, by which a card speaks, names as one thing and the chart shows as another."""
    line, wrong = course(found.assessment.case), []
    marks = {(strip.analyte, mark.reference): (strip, mark) for strip in line.strips for mark in strip.marks}
    for (_, reference), (strip, mark) in marks.items():
        if mark.band and band_at(strip, mark.y) != mark.band:
            wrong.append(f"{reference}: judged {mark.band}, drawn in {band_at(strip, mark.y)}")
    for name, allowed in BANDS.items():
        finding = found.decision.findings.get(name)
        for because in finding.because if finding else ():
            for (analyte, reference), (strip, mark) in marks.items():
                names_it = reference == because.reference and because.text.startswith(
                    f"{found.assessment.case.display(analyte)} {mark.reported}"
                )
                if names_it and mark.band and band_at(strip, mark.y) not in allowed:
                    wrong.append(f"{name} names {reference} {mark.reported}: drawn in {band_at(strip, mark.y)}")
    return wrong


@pytest.mark.parametrize("site", [None, *SITES], ids=lambda each: each.name if each else "ours")
def test_the_chart_never_contradicts_the_decision(site: Path | None):
    wrong, compared = {}, 0
    every = 1 if site is None else depth.chosen(3, 1)
    for name, vignette in itertools.islice(shipped_vignettes().items(), 0, None, every):
        over = overlay_folder(vignette) if site is None else site
        foreign = site is not None and vignette.overlay not in ("", site.name)
        if foreign or (site is not None and vignette.pathway not in content(site).pathways):
            continue
        found = contradictions(evaluated(vignette, over))
        compared += 1
        if found:
            wrong[name] = found
    assert not wrong
    assert compared > 100
