"""A site's folder begun, and the sheet on which it is signed."""

from __future__ import annotations

from datetime import date
from itertools import islice
from pathlib import Path

from click.testing import CliRunner, Result

from cds_service.app import client_config
from cds_service.approval import approval_sheet, remarks
from cds_service.cli import main
from cds_service.content.content import load_content
from cds_service.content.difference import difference
from cds_service.content.files import cards_folder, shipped_folder
from cds_service.examples.vignettes import shipped_vignettes
from cds_service.settings import Settings
from cds_service.site_trial import Tried, answered_by, answered_otherwise

SETTINGS = ("CDS_DEMO", "CDS_PATHWAY", "CDS_PREFETCH", "CDS_TIME_ZONE", "CDS_FHIR_BASES", "CDS_SITE_DIR")
SAID = (
    "look at this before you sign",
    "What changes: Limits",
    "What moves: ",
    " → ",
    "Digest with this folder",
    "Clinical safety officer",
    "Signature",
)


def run(*arguments: object) -> Result:
    return CliRunner(env=dict.fromkeys(SETTINGS)).invoke(main, [*map(str, arguments)], catch_exceptions=False)


def test_a_new_site_changes_nothing_and_is_never_written_over(tmp_path: Path):
    folder = tmp_path / "site"
    assert run("new-site", folder).exit_code == 0
    assert not difference(load_content(cards_folder()), load_content(cards_folder(), folder))
    again = run("new-site", folder)
    assert again.exit_code == 2
    assert "is there already" in again.stderr


def test_the_sheet_to_sign_says_what_changes_what_moves_and_has_lines_for_names():
    site = shipped_folder("fixtures", holding="sites") / "sites" / "ruh-bath"
    ours, theirs = load_content(cards_folder()), load_content(cards_folder(), site)
    some = list(islice((each for each in shipped_vignettes().values() if each.pathway == "uk-ng239"), 60))
    plain, local = (client_config(Settings(), each) for each in (ours, theirs))
    found = Tried(otherwise=answered_otherwise(answered_by(some, plain), local), vignettes=len(some))
    page = approval_sheet(ours, theirs, found, date(2026, 11, 28))
    assert page.startswith("<!doctype html>")
    assert [each for each in SAID if each not in page] == []
    assert "src=" not in page and "href=" not in page


def test_the_sheet_is_of_a_site():
    assert "name one with --site DIR" in run("check", "--html").stderr


def test_an_approval_of_a_day_that_has_not_come_is_named(tmp_path: Path):
    version = load_content(cards_folder()).version
    about = f'approver = "Dr A. Example"\napproved = 2026-12-01\napproved_version = "{version}"\n'
    (tmp_path / "content.toml").write_text(about)
    content = load_content(cards_folder(), tmp_path)
    early = "the approval is of 2026-12-01, a day that has not come"
    assert early in remarks(content, date(2026, 11, 30))
    assert early not in remarks(content, date(2026, 12, 1))
