"""The reasons: the row that held, the rows before it with the condition that failed, what a finding rests on."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import cache

import pytest

from cds_service.app import client_config
from cds_service.cdshooks.client_config import ClientConfig
from cds_service.cdshooks.requests import read_request
from cds_service.clinical.advice import matches, row_name
from cds_service.content.content import Content, load_content
from cds_service.content.files import cards_folder
from cds_service.evaluate import CallTime, Evaluation, evaluate
from cds_service.examples.vignette_fhir import request_bytes
from cds_service.examples.vignettes import Vignette, overlay_folder, read_vignette
from cds_service.settings import Settings
from cds_service.ui.evidence import Why, why
from tests import golden
from tests.book import FIXTURES, PATHWAYS, book, play
from tests.depth import chosen

FOLDER = FIXTURES / "vignettes"
VIGNETTES = [each for pathway in PATHWAYS for each in book(pathway) if overlay_folder(each) is None]
LATER = 1e12


@cache
def content() -> Content:
    return load_content(cards_folder())


@cache
def service(pathway: str) -> ClientConfig:
    return client_config(Settings(demo=True, pathway=pathway), content())


def answered(vignette: Vignette) -> tuple[Evaluation, ClientConfig]:
    chosen = service(vignette.pathway)
    request = read_request(request_bytes(vignette, content()), vignette.hook)
    noon = datetime(vignette.as_of.year, vignette.as_of.month, vignette.as_of.day, 12, tzinfo=UTC)
    return evaluate(request, chosen, CallTime(noon, seconds=LATER)), chosen


def reasons(name: str) -> Why:
    return why(*answered(read_vignette(FOLDER / f"{name}.toml")))


def walk_of(told: Why, table: str):
    (found,) = [each for each in told.walks if each.table == table]
    return found


def test_the_row_that_held_is_told_with_the_value_that_made_it_true():
    told = reasons("uk-ng239/01-deficient-vegan")
    (row,) = walk_of(told, "interpret").held
    assert row.name == "interpret/deficient"
    assert [each.name for each in row.when] == ["b12_deficient"]
    (fact,) = [each for each in told.facts if each.name == "b12_deficient"]
    assert fact.used
    assert [each.text for each in fact.because] == ["total B12 179 ng/L on 10 Jan 2026"]
    assert fact.because[0].reference.startswith("Observation/")


def test_the_rows_before_it_are_told_with_what_they_lack_the_nearest_first():
    table = walk_of(reasons("uk-ng239/02-edge-180-is-grey"), "interpret")
    rows = list(service("uk-ng239").pathway.interpret)
    at = [row.id for row in rows].index(table.held[0].id)
    assert [row.id for row in table.above] == [row.id for row in reversed(rows[:at])]
    deficient = next(row for row in table.above if row.id == "deficient")
    assert [(kind, each.name) for kind, each in deficient.failing] == [("lacks", "b12_deficient")]


def test_a_row_that_is_excluded_names_what_was_found():
    table = walk_of(reasons("uk-ng239/03-molar-132-paraesthesia-metformin"), "interpret")
    row = next(each for each in table.above if each.id == "nitrous-oxide")
    assert ("has", "b12_deficient") in [(kind, each.name) for kind, each in row.failing]


def test_findings_have_words():
    told = reasons("uk-ng239/01-deficient-vegan")
    assert all(each.words and "_" not in each.words for each in told.facts)


def test_sources_come_with_grade_and_day():
    told = reasons("uk-ng239/01-deficient-vegan")
    assert told.sources
    for source, origins in told.sources:
        assert source.title
        assert all(each.evidence in ("primary", "secondary", "design") for each in origins)
        assert all(isinstance(each.checked, date) for each in origins)


@pytest.mark.parametrize("part", range(4))
def test_the_same_rows_are_told_as_were_decided(part: int):
    """Of every third vignette; thorough: of each."""
    for vignette in VIGNETTES[part :: chosen(12, 4)]:
        check(vignette)


def check(vignette: Vignette) -> None:
    found, chosen = answered(vignette)
    told = why(found, chosen, lambda *_: {})  # without the limits behind each finding, which take their time
    if not found.decision.label or found.status == 412:
        return
    asked = {each.table for each in told.walks}
    held = {row.name for walk in told.walks for row in walk.held}
    decided = {name for name in found.decision.rows if name.split("/")[0] in (*asked, "safety")}
    orders = bool(found.record.selected)
    assert decided <= held, vignette.name
    spoken = {name for name in held if not (orders and name.startswith(("course/", "interpret/")))}
    assert spoken <= decided | only_read(found), vignette.name
    for walk in told.walks:
        for row in walk.above:
            assert row.failing or not walk.first_match, f"{vignette.name}: nothing says why {row.name} did not hold"
        table = getattr(chosen.pathway, walk.table)
        read = walk.table in ("course", "interpret")
        findings = found.assessment.findings if read else found.decision.findings
        told_rows = {row.name for row in (*walk.held, *walk.above)}
        assert told_rows <= {row_name(row) for row in table}
        if walk.first_match:
            assert walk.held[0].name == row_name(next(row for row in table if matches(row, findings)))


def only_read(found: Evaluation) -> set[str]:
    """Rows that hold unasked: of a patient who is out of scope, and where required data is missing."""
    silent = "out_of_scope" in found.decision.findings or found.decision.label == "not-assessable"
    pathway = found.assessment.case.pathway
    return {row_name(row) for row in (*pathway.interpret, *pathway.course)} if silent else set()


BESIDE = re.compile(r"(?:: |\()(.*), limits? (.+?)\)?$")


@pytest.mark.parametrize("part", range(4))
def test_a_limit_stands_only_beside_a_number_in_its_own_unit(part: int):
    """ "Haemoglobin 121 g/L, limit 80 fL" would be read as the limit of haemoglobin."""
    compared = 0
    for vignette in VIGNETTES[part::40]:
        for reason in why(*answered(vignette)).reasons:
            parts = (BESIDE.search(each) for each in reason.sentence.removesuffix(".").split("; "))
            for evidence, limits in (each.groups() for each in parts if each):
                unit = limits.split()[-1]
                assert f" {unit} " in f"{evidence} ", (vignette.name, reason.sentence)
                compared += 1
    assert compared


@pytest.mark.parametrize("patient", ["renal", "grey-mma", "nitrous-oxide"])
def test_no_reason_names_a_limit_of_something_else(patient: str):
    call = read_request(golden.request_of(patient), "patient-view")
    found = evaluate(call, service("uk-ng239"), CallTime(golden.NOW, seconds=LATER))
    said = [each.sentence for each in why(found, service("uk-ng239")).reasons]
    assert said
    assert not [
        each
        for each in said
        if "750 pmol/L" in each or "limit 80 fL" in each or "limit 60 mL" in each or "limit the lab" in each
    ]


def test_the_reason_of_a_course_says_when_the_last_injection_was_and_when_the_next_is_due():
    call = read_request(golden.request_of("lapsed-pernicious"), "patient-view")
    found = evaluate(call, service("uk-ng239"), CallTime(golden.NOW, seconds=LATER))
    (said,) = [each.sentence for each in why(found, service("uk-ng239")).reasons]
    assert re.fullmatch(
        r"A disease or operation that calls for injections is recorded: pernicious anaemia \(.* 2018\); the last of 30 "
        r"recorded B12 injections was \d+ days ago \(.*\), and the next was due on .* \(\d+ days overdue\)\.",
        said,
    ), said


@pytest.mark.parametrize(("name", "held"), [("c-b12-unavailable", []), ("c-cord-b12-unavailable", ["safety/S1"])])
def test_without_required_data_no_row_is_said_to_hold_that_did_not_decide(name, held):
    found = play(next(each for each in book("uk-ng239") if each.name == name))
    shown = why(found, service("uk-ng239"))
    assert [row.name for walk in shown.walks for row in walk.held] == held
