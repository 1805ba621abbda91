"""The numbers behind a finding: those that, moved, would have changed it, whoever set them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from cds_service.clinical.findings import assess
from cds_service.clinical.record import LabResult, Patient, PatientRecord
from cds_service.content.content import load_content
from cds_service.content.files import cards_folder
from cds_service.ui.limits_behind import limits_behind
from tests.clinical.patients import KEYS, TODAY, ago, lab
from tests.pages.test_why import reasons, walk_of

CONTENT = load_content(cards_folder())


def behind(finding: str, *labs: LabResult) -> list[str]:
    """The limits behind a finding of a woman with these results, values only."""
    record = PatientRecord(Patient("Patient/p", "female", ago(20_000)), labs=labs, published=KEYS)
    pathway = CONTENT.pathways["uk-ng239"]
    found = limits_behind(assess(record, pathway, TODAY), pathway)
    return [each.id or each.words for each in found.get(finding, ()) if not each.is_period]


OWN_LIMIT = "the laboratory's own limit, 400 nmol/L"
GREY = lab("b12", "200", "ng/L")


@pytest.mark.parametrize(
    "finding, labs, limits",
    [
        ("b12_deficient", [lab("b12", "150", "ng/L")], ["b12-deficient-mass"]),
        ("b12_deficient", [lab("b12", "100", "pmol/L")], ["b12-deficient-molar"]),
        ("b12_grey", [GREY], ["b12-deficient-mass", "b12-grey-mass"]),
        ("macrocytosis", [lab("mcv", "104", "fL")], ["mcv-macrocytosis"]),
        ("anaemia", [lab("haemoglobin", "110", "g/L")], ["hb-women"]),
        ("mma_normal", [GREY, lab("mma", "200", "nmol/L")], ["mma-upper"]),
        (
            "mma_raised",
            [GREY, lab("mma", "800", "nmol/L"), lab("egfr", "45", "mL/min/1.73 m2")],
            ["mma-upper", "mma-high", "egfr-severe"],
        ),
        (
            "mma_normal",
            [GREY, lab("mma", "350", "nmol/L", high=Decimal(400))],
            ["the laboratory's own limit, 400 nmol/L"],
        ),
    ],
)
def test_the_limits_behind_a_finding_are_those_that_would_have_changed_it(
    finding: str, labs: list[LabResult], limits: list[str]
):
    assert behind(finding, *labs) == limits


def test_a_finding_that_is_there_names_them_with_their_source_and_they_are_among_the_sources():
    told = reasons("uk-ng239/01-deficient-vegan")
    (fact,) = [each for each in told.facts if each.name == "b12_deficient"]
    limit = fact.limits[0]
    assert (limit.id, limit.words) == ("b12-deficient-mass", "180 ng/L")
    assert limit.provenance in {source.id: origins for source, origins in told.sources}[limit.source.id]


def test_a_card_s_notes_and_regimens_are_told_with_their_own_grade_and_are_among_the_sources():
    told = reasons("uk-ng239/01-deficient-vegan")
    added = [each for table in ("interpret", "treat") for row in walk_of(told, table).held for each in row.added]
    assert {"notes", "regimens"} == {each.table for each in added}
    by_source = {source.id: origins for source, origins in told.sources}
    for each in added:
        assert each.provenance in by_source[each.source.id]


def test_a_row_without_a_card_has_nothing_on_it():
    held = walk_of(reasons("uk-ng239/06-above-no-symptom"), "interpret").held
    assert [row.added for row in held] == [()]


def test_a_record_that_is_too_large_is_not_gone_through_again():
    labs = [lab("b12", "150", "ng/L", days) for days in range(1, 405)]
    assert behind("b12_deficient", *labs[:20]) == ["b12-deficient-mass"]
    assert behind("b12_deficient", *labs) == []
