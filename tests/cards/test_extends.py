"""A pathway that extends another holds only what differs. Entries change, come, go and move; its faults are its own."""

from __future__ import annotations

import shutil

import pytest

from cds_service.content.content import load_content
from cds_service.content.files import cards_folder
from tests.cards.small_content import SmallContent

ORIGIN = 'source = "guide"\nevidence = "secondary"\nchecked = 2026-11-21\n'
ABOUT = 'extends = "uk-small"\nid = "us-small"\ntitle = "Other"\nversion = "1.2.3"\nlanguage = "en-US"\n'


@pytest.fixture
def extending(small: SmallContent) -> SmallContent:
    small.write("pathways/us-small/pathway.toml", ABOUT)
    return small


def changed(extending: SmallContent, file: str, text: str) -> SmallContent:
    extending.write(f"pathways/us-small/{file}", text)
    return extending


def rows(extending: SmallContent) -> list[str]:
    return [row.id for row in extending.load().pathways["us-small"].interpret]


def test_a_pathway_that_changes_nothing_decides_and_says_the_same(extending: SmallContent):
    content = extending.load()
    ours, theirs = content.pathways["uk-small"], content.pathways["us-small"]
    assert (theirs.id, theirs.title) == ("us-small", "Other")
    for name in ("interpret", "treat", "safety", "orders", "notes", "thresholds", "orderables", "regimens", "fixed"):
        assert getattr(ours, name) == getattr(theirs, name)


def test_an_entry_of_the_same_id_replaces_what_it_states_and_keeps_the_rest(extending: SmallContent):
    entry = '[[row]]\nid = "grey"\nsummary = "B12 {b12} may be low"\nwithout = ["no_card"]\n'
    changed(extending, "interpret.toml", entry)
    content = extending.load()
    (before,) = (row for row in content.pathways["uk-small"].interpret if row.id == "grey")
    (after,) = (row for row in content.pathways["us-small"].interpret if row.id == "grey")
    assert before.no_card
    assert (after.summary, after.no_card, after.when, after.detail) == (
        "B12 {b12} may be low", (), before.when, before.detail,
    )  # fmt: skip


def test_a_word_removes_an_entry_and_another_says_where_a_new_one_stands(extending: SmallContent):
    new = f'[[row]]\nid = "neuro"\nbefore = "grey"\nlabel = "confirmed"\nwhen = ["neuro"]\nindicator = "none"\n{ORIGIN}'
    changed(extending, "interpret.toml", f'without = ["deficient"]\n{new}')
    changed(extending, "notes.toml", 'without = ["undated"]\n')
    whole = [row.id for row in extending.load().pathways["uk-small"].interpret]
    assert rows(extending) == ["neuro", *whole[1:]]


def test_an_entry_moves(extending: SmallContent):
    changed(extending, "interpret.toml", '[[row]]\nid = "deficient"\nafter = "grey"\n')
    assert rows(extending)[:2] == ["grey", "deficient"]


def test_a_sites_folder_lies_over_an_extending_pathway_too(extending: SmallContent):
    extending.site("pathways/us-small/interpret.toml", '[[row]]\nid = "grey"\nsummary = "The site says so"\n')
    content = extending.load()
    assert "The site says so" in {row.summary for row in content.pathways["us-small"].interpret}
    assert "The site says so" not in {row.summary for row in content.pathways["uk-small"].interpret}


NUMBER = '[[threshold]]\nid = "b12-deficient-mass"\nvalue = 200\n'
WRONG = {
    "a misspelt entry": (
        "interpret.toml", '[[row]]\nid = "gray"\nsummary = "x"\n',
        "us-small/interpret.toml: no row to change 'gray'. Did you mean 'grey'?",
    ),
    "an entry to remove that is not there": (
        "interpret.toml", 'without = ["gray"]\n',
        "us-small/interpret.toml without: no row 'gray'. Did you mean 'grey'?",
    ),
    "a key to remove that is not there": (
        "interpret.toml", '[[row]]\nid = "grey"\nwithout = ["lable"]\n',
        "us-small/interpret.toml row \"grey\" without: no key 'lable'. Did you mean 'label'?",
    ),
    "a neighbour that is not there": (
        "interpret.toml", '[[row]]\nid = "grey"\nafter = "deficent"\n',
        "us-small/interpret.toml row \"grey\" after: no entry 'deficent'. Did you mean 'deficient'?",
    ),
    "a number without its source": (
        "thresholds.toml", NUMBER,
        'us-small/thresholds.toml threshold "b12-deficient-mass": a changed value must state its unit, source',
    ),
    "a pathway to extend that is not there": (
        "pathway.toml", ABOUT.replace('"uk-small"', '"uk-smal"'),
        "us-small/pathway.toml extends: no pathway that is complete by itself 'uk-smal'. Did you mean 'uk-small'?",
    ),
    "a misspelt finding": (
        "interpret.toml", '[[row]]\nid = "grey"\nwhen = ["b12_gray"]\n',
        "us-small/interpret.toml row \"grey\": no finding 'b12_gray'",
    ),
    "a name where a list of names belongs": (
        "interpret.toml", 'without = "grey"\n',
        "us-small/interpret.toml without: is 'grey'; it must be a list of names",
    ),
    "one bracket too few": (
        "interpret.toml", '[row]\nid = "grey"\n',
        "us-small/interpret.toml: 'row' must be written as [[row]]",
    ),
    "two places": (
        "interpret.toml", '[[row]]\nid = "grey"\nafter = "deficient"\nbefore = "deficient"\n',
        'us-small/interpret.toml row "grey": stands before and after another entry: one of the two says where',
    ),
    "no title of its own": (
        "pathway.toml", ABOUT.replace('title = "Other"\n', ""),
        "us-small/pathway.toml: missing 'title': that of uk-small names another pathway",
    ),
    "what an inherited row needs is removed": (
        "orderables.toml", 'without = ["h-pylori"]\n',
        "us-small/interpret.toml row \"deficient\" (from uk-small): no orderable 'h-pylori'",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("file", "text", "said"), WRONG.values(), ids=WRONG)
def test_a_fault_is_named_in_its_own_file(extending: SmallContent, file: str, text: str, said: str):
    faults = changed(extending, file, text).faults()
    assert faults[0].startswith(said), faults
    assert len(faults) == 1 or "(from" in said, "one mistake has one line"
    assert not any(fault.startswith("uk-small") for fault in faults)


def test_a_fault_of_the_parent_is_named_once(extending: SmallContent):
    extending.change("interpret.toml", '"b12_deficient"', '"b12_deficent"')
    assert extending.fault().startswith('uk-small/interpret.toml row "deficient": no finding')


def test_a_follow_up_is_due_on_another_day_and_can_still_be_moved(tmp_path):
    """Its own `after` is how long; that of every other entry is a neighbour's name."""
    folder = tmp_path / "cards"
    shutil.copytree(cards_folder(), folder, ignore=shutil.ignore_patterns("lang"))
    other = folder / "pathways/uk-other"
    other.mkdir()
    about = 'id = "uk-other"\nextends = "uk-ng239"\ntitle = "Other"\nversion = "1"\n'
    (other / "pathway.toml").write_text(about)
    (other / "follow-ups.toml").write_text(
        '[[follow_up]]\nid = "fbc-day-8"\nafter = [9, "d"]\n[[follow_up]]\nid = "review-day-21"\nafter = "fbc-year-1"\n'
    )
    follow_ups = load_content(folder).pathways["uk-other"].follow_ups
    assert follow_ups["fbc-day-8"].after == (9, "d")
    assert follow_ups["review-day-21"].after == (21, "d")
    assert [*follow_ups][-1] == "review-day-21"
