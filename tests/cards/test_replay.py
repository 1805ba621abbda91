"""`b12-cds replay`: what another content would answer otherwise, and that nothing is passed over in silence."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cds_service.cli import main
from cds_service.commands.replay import Replay, Side
from cds_service.content.files import cards_folder
from cds_service.settings import Settings
from tests.book import FIXTURES

BATH = FIXTURES / "sites" / "ruh-bath"
VIGNETTE = FIXTURES / "vignettes" / "uk-ng239" / "01-deficient-vegan.toml"


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another content: ours, as yet unchanged."""
    return Path(shutil.copytree(cards_folder(), tmp_path / "cards"))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder with one request of each kind, with its answer and its day beside it."""
    folder = tmp_path / "saved"
    (folder / "calls").mkdir(parents=True)
    for name in ("dietary.request.json", "dietary.response.json", "days.toml"):
        shutil.copy(FIXTURES / "golden" / name, folder / "calls")
    shutil.copy(VIGNETTE, folder)
    return folder


def change(content: Path, file: str, old: str, new: str) -> None:
    path = content / "pathways" / "uk-ng239" / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def replay(*asked: object) -> Result:
    return CliRunner().invoke(main, ["replay", *map(str, asked)])


def document(*asked: object) -> dict:
    return json.loads(replay(*asked, "--json").stdout)


def test_the_same_content_changes_nothing(saved, other):
    result = replay(saved, "--against", other)
    assert result.exit_code == 0, result.output
    assert "Requests: 2. Changed: 0. Cannot be used: 0, 1 recorded answers" in result.stdout


def test_another_threshold_tells_label_rows_and_cards_of_every_request_that_it_moves(saved, other):
    change(other, "thresholds.toml", 'id = "b12-deficient-mass"\nvalue = 180', 'id = "b12-deficient-mass"\nvalue = 179')
    result = replay(saved, "--against", other)
    assert result.exit_code == 1, result.output
    assert "01-deficient-vegan.toml\n  label: confirmed -> indeterminate" in result.stdout
    assert "card interpret/deficient + treat/dietary: warning: B12 179 ng/L" in result.stdout
    assert "-> (nothing)" in result.stdout
    moved = [each["request"] for each in document(saved, "--against", other)["changed"]]
    assert moved == ["01-deficient-vegan.toml", "calls/dietary.request.json"], "the limits stand in the other's text"


def test_another_wording_is_told_by_the_lines_that_go_and_come(saved, other):
    change(other, "interpret.toml", "meets the NICE threshold for deficiency", "is below the NICE threshold")
    told = document(saved, "--against", other)
    (first, *_) = told["changed"][0]["changes"]
    assert first["what"] == "card interpret/deficient + treat/dietary: summary"
    assert "meets the NICE threshold for deficiency (below 180 ng/L)" in first["ours"]
    assert "is below the NICE threshold (below 180 ng/L)" in first["against"]


def test_a_regimen_that_orders_otherwise_under_the_same_words_is_told(saved, other):
    change(
        other,
        "regimens.toml",
        'dose = 1\ndose_unit = "mg"\nroute = "im"\nfrequency = 3',
        'dose = 2\ndose_unit = "mg"\nroute = "im"\nfrequency = 3',
    )
    ordered = [
        each["what"] for one in document(FIXTURES / "golden", "--against", other)["changed"] for each in one["changes"]
    ]
    assert ordered and all(": orders of 'Hydroxocobalamin" in what for what in ordered)


def test_a_site_may_be_the_other_content(saved):
    result = replay(saved, "--against-site", BATH)
    assert result.exit_code == 1
    assert "label: confirmed -> indeterminate" in result.stdout
    assert replay(saved, "--site", BATH, "--against-site", BATH).exit_code == 0


def test_what_cannot_be_read_is_named_and_ends_with_2_although_nothing_else_changes(saved, other):
    (saved / "broken.json").write_text("{")
    (saved / "calls" / "no-hook.json").write_text('{"context": {}}')
    (saved / "odd.toml").write_text("title = 7\n[[lab]]\nwhat = 1\n")
    result = replay(saved, "--against", other)
    assert result.exit_code == 2
    for name in ("broken.json", "calls/no-hook.json", "odd.toml"):
        assert f"\n{name}\n  cannot be used: " in result.stdout
    assert "Requests: 5. Changed: 0. Cannot be used: 3" in result.stdout
    assert len(document(saved, "--against", other)["unusable"]) == 3


def test_a_pathway_that_the_other_content_does_not_have_is_named(saved, other):
    (other / "pathways" / "us-aafp").rename(other.parent / "us-aafp")
    result = replay(saved, "--against", other, "--pathway", "us-aafp")
    assert result.exit_code == 2
    assert "cannot be used: CDS_PATHWAY: no pathway of that name" in result.stdout


def test_a_content_with_a_fault_is_refused_by_its_fault(saved, other):
    change(other, "interpret.toml", '"b12_deficient"', '"b12_deficent"')
    result = replay(saved, "--against", other)
    assert result.exit_code == 2
    assert "no finding 'b12_deficent'" in result.stderr and not result.stdout


@pytest.mark.parametrize("asked", [(), ("--against-site", BATH)])
def test_without_anything_to_compare_or_to_read_it_says_what_is_needed(tmp_path, asked):
    result = replay(tmp_path, *asked)
    assert result.exit_code == 2
    assert ("against what?" if not asked else "no request") in result.stderr


def test_the_day_is_that_beside_the_request_unless_one_is_given(saved, other):
    change(other, "interpret.toml", "meets the NICE threshold for deficiency", "is below the NICE threshold")
    assert "calls/dietary.request.json" in replay(saved, "--against", other).stdout
    late = replay(saved, "--against", other, "--as-of", "2028-01-01")
    assert late.exit_code == 0, "two years later nobody acts on these results"
    (saved / "calls" / "days.toml").write_text('dietary = "soon"\n')
    broken = replay(saved, "--against", other)
    assert broken.exit_code == 2 and '"dietary" is no day' in broken.stderr


def test_every_shipped_request_is_answered_and_the_same_by_the_same_content():
    told = document(FIXTURES / "golden", "--against", cards_folder())
    assert (told["changed"], told["unusable"]) == ([], [])
    assert told["requests"] == told["passedOver"] > 15


def test_today_is_that_of_the_sites_folder_where_it_states_a_zone():
    late = datetime(2026, 7, 1, 23, 30, tzinfo=UTC)  # 00:30 of the next day in London
    for site, today in ((None, date(2026, 7, 1)), (BATH, date(2026, 7, 2))):
        ours = Side(cards_folder(), site, Settings())
        assert Replay(ours, ours, now=late).today(ours.service("uk-ng239", None)) == today
