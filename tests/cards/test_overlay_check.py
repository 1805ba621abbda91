"""`b12-cds check --site DIR`: the difference in words that can be signed, and the site's limits tried out."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, tzinfo
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cds_service.app import client_config
from cds_service.cli import main
from cds_service.commands.site_check import check_site
from cds_service.content.content import load_content
from cds_service.content.difference import cautions, difference
from cds_service.content.files import cards_folder
from cds_service.settings import Settings
from cds_service.site_trial import PROBES, Baseline, boundaries, tried, untried
from tests.book import FIXTURES, PATHWAYS, content, overlaid, service
from tests.depth import chosen

BATH = FIXTURES / "sites" / "ruh-bath"
UK = "pathways/uk-ng239/"
ORIGIN = 'source = "ng239"\nevidence = "design"\nchecked = 2026-11-21\n'


def check(*arguments: Any, **environment: str) -> Result:
    unset = dict.fromkeys(("CDS_DEMO", "CDS_PATHWAY", "CDS_PREFETCH", "CDS_TIME_ZONE", "CDS_SITE_DIR"))
    return CliRunner(env={**unset, **environment}).invoke(main, ["check", *map(str, arguments)])


def limit(name: str, value: str, unit: str) -> str:
    return f'[[threshold]]\nid = "{name}"\nvalue = {value}\nunit = "{unit}"\n{ORIGIN}'


@pytest.fixture
def site(tmp_path: Path) -> Any:
    """Writes a site's folder and names it."""

    def write(**files: str) -> Path:
        for name, text in files.items():
            path = tmp_path / "site" / {"csv": "value-sets/lab-b12.csv"}.get(name, f"{name}.toml")
            path = tmp_path / "site" / f"{UK}{name}.toml" if name in ("thresholds", "safety", "interpret") else path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path / "site"

    return write


@pytest.fixture
def some_vignettes(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a check of which other things are asked than how the shipped vignettes are answered."""
    whole, every = Baseline.vignettes, chosen(10, 1)
    monkeypatch.setattr(Baseline, "vignettes", lambda self, pathway: whole(self, pathway)[::every])


@pytest.fixture(scope="module")
def report() -> str:
    """The whole report about the example site."""
    result = check("--site", BATH)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize(
    "sentence",
    [
        "The content is approved by Dr A. Example, haematology (invented) on 2026-12-01, for version",
        "uk-ng239: total B12 deficient: below 145 ng/L instead of below 180 ng/L. Source: RUH Bath, pathology handbook",
        "uk-ng239: total B12 in ng/L is now deficient below 145, uncertain from 145 to 180, unlikely above 180.",
        "row interpret/untested-symptom has the indicator info instead of none and so makes a card.",
        "    before: {b12_name} {b12} ({b12_date}) meets the NICE threshold for deficiency (below {b12_threshold})\n"
        "    after:  {b12_name} {b12} ({b12_date}) meets the local threshold for deficiency (below {b12_threshold})\n",
        "B12 (Vitamin B12) of http://hospital.example.org/lab is read as total B12, in mass units. Seen: site.",
        "analytes.toml b12 unit ng/L accepts: also 'nanog/l'.",
        "the draft order 'mma' also carries the code LAB-4711 (Methylmalonic acid, serum) of urn:com.epic.",
        "A day begins and ends by the clock of Europe/London.",
        "At most 4 suggestions on one card; the rest stands in its text.",
        "neither its reference range nor its flag puts that unit in doubt.",
        "Key 'b12' asks for B12, AB12. Clients that have the template typed in need the new one",
        "total B12 that is reported in pmol/L is still compared with 133 and 258 pmol/L.",
        "us-aafp: no limit is changed here, only in uk-ng239",
        "uk-ng239: b12-deficient-mass: b12_deficient at 144 ng/L yes, at 145 ng/L no, at 146 ng/L no",
        "with the range 145 to 180: b12_above at 179 ng/L no, at 180 ng/L no, at 181 ng/L yes",
        "- uk-ng239/01-deficient-vegan (Total B12 179 ng/L, fatigue, vegan: deficient, treated by mouth): course/none, "
        "interpret/",
    ],
)
def test_the_report_says_what_changes_in_plain_words(report: str, sentence: str):
    assert sentence in report


def test_vignettes_that_are_answered_otherwise_are_listed_worst_first_and_fail_nothing(report: str):
    listed = report.partition("answered otherwise: ")[2]
    assert int(listed.partition(" of ")[0]) > 50
    assert "confirmed, warning -> indeterminate, info (" in listed
    assert "uk-ng239/site-" not in listed
    assert "us-aafp/" not in listed
    assert listed.index("warning -> unlikely, none") < listed.index("info -> unlikely, none")


@pytest.mark.usefixtures("some_vignettes")
def test_a_folder_of_the_settings_that_changes_nothing_is_said_to_and_no_sign_of_it_commands_the_terminal(site: Any):
    result = check(CDS_SITE_DIR=str(site(site='name = "Qui\\u001b[2Jet"\n')))
    assert result.exit_code == 0
    assert result.stdout.startswith("Site: Qui\ufffd[2Jet (")
    assert "\x1b" not in result.output
    assert "This folder changes nothing." in result.stdout
    assert 'content.toml of the site\'s folder: approver = "..."' in result.stdout


def test_every_fault_is_printed_and_the_exit_code_is_1(site: Any):
    folder = site(site="[cards]\nmost = 9\n", thresholds=limit("b12-grey-mass", "100", "ng/L"))
    result = check("--site", folder)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "site.toml: 'cards' 'most' is 9; it must be at most 3",
        "uk-ng239/thresholds.toml: 'b12-deficient-mass' (180) lies above 'b12-grey-mass' (100)",
        "b12-cds: faults in the content: 2",
    ]


def test_a_time_zone_that_the_environment_contradicts_is_a_fault(site: Any):
    result = check("--site", site(site='time_zone = "Europe/London"\n'), CDS_TIME_ZONE="UTC")
    assert (result.exit_code, "CDS_TIME_ZONE is UTC" in result.stderr) == (1, True)


@pytest.mark.usefixtures("some_vignettes")
def test_a_limit_that_does_not_do_what_it_says_is_a_failure(site: Any):
    analytes = f'[b12]\n{ORIGIN}[[b12.plausible]]\nfamily = "mass"\nhigh = 140\n'
    folder = site(analytes=analytes, thresholds=limit("b12-deficient-mass", "145", "ng/L"))
    result = check("--site", folder)
    assert result.exit_code == 1
    assert "b12_deficient at 144 ng/L no (WRONG)" in result.stdout
    assert "limits that do not do what they say" in result.stderr


@pytest.mark.parametrize("pathway", PATHWAYS)
def test_every_probe_comes_and_goes_at_our_own_limits(pathway: str):
    for probe in PROBES:
        found = tried(probe, service(pathway))
        assert found.holds, found.told()
        assert {came for _, _, came in found.points} == {True, False}


def test_a_changed_limit_without_a_probe_is_named(site: Any):
    theirs = load_content(cards_folder(), site(thresholds=limit("result-current", "60", "days")))
    local = client_config(Settings(demo=True), theirs)
    assert list(boundaries(service("uk-ng239"), local)) == []
    assert untried(service("uk-ng239"), local) == ["result-current"]


def test_what_must_not_be_overlooked_is_said(site: Any):
    folder = site(
        thresholds=limit("b12-deficient-mass", "145", "ng/L"),
        safety='[[row]]\nid = "S1"\noff = true\n',
    )
    said = "\n".join(cautions(content(), load_content(cards_folder(), folder)))
    for sentence in (
        "b12-deficient-mass was changed and b12-grey-mass was not: it is still 350 ng/L. Is that meant?",
        "uk-ng239: A SAFETY ROW is switched off: safety/S1",
        "row interpret/deficient still calls the threshold that of a guideline",
        "whose reference range begins at 145 and ends below 700 looks like one in pmol/L and is in doubt.",
    ):
        assert sentence in said
    assert "range begins" not in "\n".join(cautions(content(), overlaid(BATH)))


def test_a_switched_off_row_a_new_unit_and_a_number_without_words_are_told_too(site: Any):
    folder = site(
        safety='[[row]]\nid = "S3"\noff = true\n',
        thresholds=limit("result-current", "60", "days"),
        analytes='[[mma.unit]]\nspelling = "micromole/L"\nfamily = "molar"\nfactor = 1000\n',
        problems='[fatigue]\nwords = ["knackered"]\n',
    )
    told = difference(content(), load_content(cards_folder(), folder))
    withheld = "its card and drafts are withheld, it still matches and gives its label"
    assert told["Rows"] == [f"uk-ng239: row safety/S3 is switched off: {withheld}."]
    assert told["Limits"][0].startswith("uk-ng239: result-current")
    assert "60 days instead of 90 days" in told["Limits"][0]
    assert told["Units and words"] == [
        "analytes.toml mma unit micromole/L: spelling = micromole/L, family = molar, factor = 1000 instead of nothing.",
        "problems.toml fatigue words: also 'knackered'.",
    ]


def test_an_approval_of_another_version_is_said_to_be_none():
    theirs = replace(overlaid(BATH), version="99.0.0")
    (said,) = difference(content(), theirs)["Approval"]
    assert said.startswith("Not approved: Dr A. Example, haematology (invented) approved version")


def test_the_day_of_a_check_is_that_of_the_sites_own_time_zone():
    def today(zone: tzinfo) -> date:
        raise InterruptedError(str(zone))  # the rest of the check takes long

    with pytest.raises(InterruptedError, match="Europe/London"):
        check_site(BATH, Settings(), print, today)
