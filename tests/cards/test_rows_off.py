"""A row that a site switches off keeps its label and says nothing; of one that is gone `check` says who falls where."""

from __future__ import annotations

import re
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from cds_service.app import client_config
from cds_service.content.content import Content, load_content
from cds_service.content.difference import cautions, difference
from cds_service.content.faults import ContentError
from cds_service.content.files import cards_folder
from cds_service.evaluate import Evaluation
from cds_service.examples.vignettes import DEFAULT_DAY, Vignette
from cds_service.settings import Settings
from cds_service.site_trial import answered_by, answered_otherwise, falling_through
from tests.book import book, content, play, service

LOW = {"analyte": "b12", "value": "132", "unit": "pmol/L", "days_ago": 3}
GREY = {"analyte": "b12", "value": "200", "unit": "ng/L", "days_ago": 3}
TINGLING = {"concept": "paraesthesia", "days_ago": 20}


def told(lab: dict[str, Any], *problems: dict[str, Any]) -> Vignette:
    patient = {"sex": "female", "born": date(1970, 1, 1)}
    record = {"patient": patient, "lab": [lab], "problem": [*problems]}
    return Vignette("told", "Told", DEFAULT_DAY, "uk-ng239", record, {})


def at_site(folder: Path, table: str, text: str) -> Content:
    """Our content with a site's rows of one table over it."""
    path = folder / "pathways/uk-ng239" / f"{table}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return load_content(cards_folder(), folder)


OFF = {
    "the regimen with neurological signs": ("treat", "neuro", told(LOW, TINGLING), "confirmed"),
    "an uncertain result with symptoms": ("interpret", "grey-symptoms", told(GREY, TINGLING), "indeterminate"),
    "a deficient result": ("interpret", "deficient", told({**LOW, "value": "120"}), "confirmed"),
}


REGULATION = Path(__file__).resolve().parents[2] / "deploy" / "safety" / "regulation.md"
TIME_CRITICAL = re.findall(
    r"^\| `(S\d\w?)` \|.*\| `off = true` \|$", REGULATION.read_text(encoding="utf-8"), re.MULTILINE
)


@pytest.mark.parametrize("row", TIME_CRITICAL)
def test_the_switch_for_time_critical_rows_really_removes_their_cards(tmp_path: Path, row: str):
    """As deploy/safety/regulation.md says: where a vignette shows the row's card, with the switch it does not."""
    showing = (each for each in book("uk-ng239") if not each.overlay and f"safety/{row}" in each.expect.get("rows", ()))
    shown = [*islice((each for each in showing if f"safety/{row}" in rows_shown(play(each))), 2)]
    assert shown
    switched = at_site(tmp_path, "safety", f'[[row]]\nid = "{row}"\noff = true\n')
    config = client_config(Settings(demo=True, pathway="uk-ng239"), switched)
    for vignette in shown:
        assert f"safety/{row}" not in rows_shown(play(vignette, config)), vignette.name


def without_b12(body: dict[str, Any]) -> None:
    body["prefetch"].pop("b12", None)


def test_a_row_that_is_off_says_nothing_either_where_required_data_is_missing(tmp_path: Path):
    """With what speaks alone switched off there is nothing to say without the data: 412, and no card."""
    vignette = next(each for each in book("uk-ng239") if each.name == "07-nitrous-oxide-90")
    found = play(vignette, change=without_b12)
    assert (found.status, rows_shown(found)) == (200, {"safety/S1", "fixed/unavailable"})
    config = client_config(
        Settings(demo=True, pathway="uk-ng239"), at_site(tmp_path, "safety", '[[row]]\nid = "S1"\noff = true\n')
    )
    found = play(vignette, config, change=without_b12)
    assert (found.status, found.cards, found.missing) == (412, [], ("b12",))


def rows_shown(found: Evaluation) -> set[str]:
    return {each.row for each in found.shown}


def test_the_page_names_the_rows_that_put_the_exemption_at_risk():
    assert {"S1", "S1b", "S5"} <= set(TIME_CRITICAL)


@pytest.mark.parametrize(("table", "row", "vignette", "label"), OFF.values(), ids=OFF)
def test_a_row_that_is_off_gives_its_label_and_no_card_and_nobody_falls_into_the_next(
    tmp_path: Path, table: str, row: str, vignette: Vignette, label: str
):
    there = play(vignette).decision
    assert f"{table}/{row}" in there.rows
    switched = at_site(tmp_path, table, f'[[row]]\nid = "{row}"\noff = true\n')
    found = play(vignette, client_config(Settings(demo=True, pathway="uk-ng239"), switched)).decision
    assert found.label == there.label == label
    assert f"{table}/{row}" in found.rows
    assert [name for name in found.rows if name.startswith(f"{table}/")] == [f"{table}/{row}"]
    assert f"{table}/{row}" not in {each.row for each in found.advice}
    assert not any(draft.kind == "medicine" for each in found.advice for draft in each.drafts)


def test_falling_through_is_a_word_of_its_own_and_check_says_who_goes_where(tmp_path: Path):
    gone = at_site(tmp_path, "treat", '[[row]]\nid = "neuro"\nfall_through = true\n')
    theirs = client_config(Settings(demo=True, pathway="uk-ng239"), gone)
    otherwise = answered_otherwise(answered_by([told(LOW, TINGLING)], service("uk-ng239")), theirs)
    (line,) = falling_through(content(), gone, otherwise)
    assert line.startswith("uk-ng239: 1 vignette of treat/neuro now go to treat/")
    assert "hydroxocobalamin-neuro" in line
    assert any("A TREATMENT ROW is gone, and its patients fall through" in each for each in cautions(content(), gone))


def test_a_row_is_off_or_falls_through_and_not_both(tmp_path: Path):
    with pytest.raises(ContentError, match="'off' withholds the card, 'fall_through' takes the row away"):
        at_site(tmp_path, "treat", '[[row]]\nid = "neuro"\noff = true\nfall_through = true\n')


def test_an_indicator_of_none_is_announced_as_what_it_does(tmp_path: Path):
    without_card = at_site(tmp_path, "interpret", '[[row]]\nid = "grey-symptoms"\nindicator = "none"\n')
    (line,) = difference(content(), without_card)["Rows"]
    assert "still makes a card where it is raised (warning: neuro)" in line


RAILS = {
    "a lost warning": ("safety", '[[row]]\nid = "S1"\ndetail = "Start."\n', 'no longer says: "Do not'),
    "a lost value": ("interpret", '[[row]]\nid = "deficient"\ndetail = "Treat."\n', "no longer shows {b12_"),
    "a limit far away": (
        "thresholds",
        '[[threshold]]\nid = "hb-severe"\nvalue = 8\nunit = "g/L"\nsource = "project-design"\nevidence = "design"\n'
        "checked = 2026-11-21\n",
        "hb-severe is 8 g/L, more than 30 % from the shipped 80 g/L",
    ),
    "a day that has not come": (
        "interpret", '[[row]]\nid = "grey-symptoms"\nchecked = 2062-01-01\n', "checked on 2062-01-01, which has not",
    ),
    "a treatment that is off": ("treat", '[[row]]\nid = "neuro"\noff = true\n', "A TREATMENT ROW is switched off"),
}  # fmt: skip


@pytest.mark.parametrize(("table", "text", "said"), RAILS.values(), ids=RAILS)
def test_whoever_signs_is_told(tmp_path: Path, table: str, text: str, said: str):
    lines = cautions(content(), at_site(tmp_path, table, text), date(2026, 11, 28))
    assert any(said in line for line in lines), lines
