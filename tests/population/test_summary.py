"""The summary of a run: counts by hand, a valid MeasureReport, and what it says of what it does not know."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from fhir.resources.R4B.measurereport import MeasureReport

from cds_service.population.run import Plan, RunRefused, run_population
from cds_service.population.summary import lines, summarised, write_summary
from tests.book import content, service
from tests.population.conftest import DAY
from tests.population.patients import TYPES, decisions, lines_of, resources_of, vignettes_of_an_extract, write_extract

NAMES = {
    "deficient-never-treated": "01-deficient-vegan",
    "injections-overdue": "b19-overdue-29-days",
    "coded-without-treatment": "a09-coded-deficiency-no-treatment",
    "treatment-lapsed": "course-lapsed-antibody",
    "metformin-long-never-tested": "a05-diabetic-neuropathy-metformin-untested",
    "folic-acid-before-b12": "e-folate-long-up",
}
CLIENT = service("uk-ng239")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A run over the vignettes of one pathway that an extract can hold."""
    told = vignettes_of_an_extract("uk-ng239")
    patients = {f"patient-{each.name}": lines_of(resources_of(each, content())) for each in told}
    folder = tmp_path_factory.mktemp("summary")
    extract = write_extract(folder / "in", patients, set(TYPES.values()) - {"FamilyMemberHistory"})
    (extract / "export.json").write_text(json.dumps({"types": [], "transactionTime": "2026-01-14T02:00:00Z"}))
    run_population(Plan(extract, folder / "out", DAY, "ndjson"), CLIENT, lambda *_: None)
    write_summary(folder / "out", summarised(folder / "out", content()), content())
    return folder / "out"


@pytest.fixture(scope="module")
def rows(out):
    return decisions(out / "decisions.ndjson")


@pytest.fixture(scope="module")
def summary(out):
    return summarised(out, content())


def test_the_next_injection_is_that_of_a_course_of_injections_alone(rows):
    due = {row["patient"].removeprefix("patient-"): row["due"] for row in rows}
    assert due["b19-overdue-29-days"] == "2025-12-17"
    ended = ("14-lapsed-pernicious", "b27-repeat-order-no-doses", "b67-loaded-then-tablets", "c-child-on-injections")
    assert {name: due[name] for name in ended} == dict.fromkeys(ended)


def test_every_count_is_that_of_the_rows(summary, rows):
    assert summary.patients == len(rows) > 700
    assert summary.labels == Counter(row["label"] for row in rows)
    assert summary.courses == Counter(row["course"] for row in rows)
    assert summary.indicators == Counter(row["indicator"] for row in rows if row["indicator"])
    assert summary.not_judged == Counter(each for row in rows for each in row["not_judged"])
    assert summary.unavailable == Counter(each for row in rows for each in row["unavailable"])
    counted = Counter(each for row in rows for each in row["measures"])
    assert summary.measures == {each.id: counted[each.id] for each in content().measures}
    assert summary.cards == sum(row["cards"] for row in rows)
    assert summary.cards_per_1000_charts == round(1000 * summary.cards / len(rows), 1)


@pytest.mark.parametrize("measure", [each.id for each in content().measures])
def test_every_measure_counts_some_vignette_and_not_all(measure, summary):
    assert 0 < summary.measures[measure] < summary.patients / 2


@pytest.mark.parametrize(("measure", "vignette"), NAMES.items())
def test_a_measure_counts_the_patient_whom_it_is_made_for(measure, vignette, rows):
    (row,) = (row for row in rows if row["patient"] == f"patient-{vignette}")
    assert measure in row["measures"]


def test_no_measure_counts_a_patient_on_treatment_as_never_treated_or_one_who_is_out_of_scope(rows):
    assert not [row for row in rows if row["label"] == "on-treatment" and "deficient-never-treated" in row["measures"]]
    assert not [row for row in rows if row["label"] == "out-of-scope" and row["measures"]]


def test_the_report_is_valid_fhir_and_holds_the_same_counts(out, summary):
    told = json.loads((out / "measure-report.json").read_text())
    report = MeasureReport.model_validate(told)
    assert (report.status, report.type) == ("complete", "summary")
    counts = {group.code.coding[0].code: group.population[-1].count for group in report.group}
    assert counts == summary.measures


def test_the_summary_says_of_which_moment_the_extract_is_and_on_which_day_was_judged(summary):
    told = "\n".join(lines(summary, content()))
    assert "as of 2026-01-15" in told
    assert "The extract is of 2026-01-14T02:00:00Z: look at the chart before anybody is called." in told


def test_the_summary_says_what_it_does_not_know(summary):
    told = "\n".join(lines(summary, content()))
    assert "Who is not counted may be deficient or treated elsewhere, or was not exported." in told
    assert "Not exported, and so not known of anybody: FamilyMemberHistory" in told
    assert "Observation: the result has no unit" in told and "  family" in told


def test_no_patient_is_named_in_manifest_summary_or_report(out, summary):
    told = [path.read_text() for path in out.glob("*.json")] + ["\n".join(lines(summary, content()))]
    assert len(told) == 4 and not [text for text in told if "patient-0" in text or "Patient/" in text]


def test_a_summary_by_another_content_is_refused(out):
    from dataclasses import replace

    with pytest.raises(RunRefused, match="was decided by content"):
        summarised(out, replace(content(), digest="0" * 64))


@pytest.mark.parametrize("left", [None, "junk of patient-01\n"])
def test_decisions_that_are_gone_or_damaged_are_one_line_that_repeats_nothing(left, out, tmp_path):
    (tmp_path / "manifest.json").write_bytes((out / "manifest.json").read_bytes())
    if left:
        (tmp_path / "decisions.ndjson").write_text(left)
    with pytest.raises(RunRefused, match=r"decisions\.ndjson: is not what the run wrote; allowed: ") as refused:
        summarised(tmp_path, content())
    assert "patient-01" not in str(refused.value) and "\n" not in str(refused.value)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(RunRefused, match="no run was made here"):
        summarised(tmp_path, content())
