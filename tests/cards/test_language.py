"""A language as an overlay: complete, true to its English, and nothing that a card shows goes past it."""

from __future__ import annotations

import re
import shutil
from functools import cache
from itertools import islice
from pathlib import Path

import pytest
from click.testing import CliRunner

from cds_service.app import client_config
from cds_service.cli import main
from cds_service.clinical.wording import PLURALS, counted
from cds_service.content.content import Content, load_content
from cds_service.content.difference import cautions, difference
from cds_service.content.faults import ContentError, Faults
from cds_service.content.files import cards_folder, read_files
from cds_service.content.language import LANG, Language, coverage, language, said
from cds_service.examples.vignettes import shipped_vignettes
from cds_service.settings import Settings
from cds_service.site_trial import played, shipped

WORD = re.compile(r"[^\W\d_]{3,}")
UNITS = {"pmol", "nmol", "umol", "µmol", "mol", "mmol", "min"}
NEARLY_ALL = 97  # per cent: a text that was just reworded is English until somebody has translated it anew
EVERY = 6  # of the shipped vignettes each sixth is asked in German


@cache
def german() -> Content:
    return load_content(cards_folder(), language="de")


def test_the_uk_pathway_is_said_in_german():
    found = german().coverage["uk-ng239"]
    assert found.per_cent >= NEARLY_ALL, found.missing
    assert found.total > 500


def test_that_no_clinician_has_approved_it_is_said_by_check_and_by_the_difference(tmp_path: Path):
    (tmp_path / "site.toml").write_text('language = "de"\n', encoding="utf-8")
    theirs = load_content(cards_folder(), tmp_path)
    assert any("NO CLINICIAN HAS APPROVED THIS TRANSLATION" in each for each in theirs.remarks)
    assert difference(load_content(cards_folder()), theirs)["Settings"] == [
        "Cards speak Deutsch (de): uk-ng239 {} %, us-aafp {} % of the texts; ".format(
            *(theirs.coverage[name].per_cent for name in ("uk-ng239", "us-aafp"))
        )
        + "the rest stays English."
    ]
    assert difference(german(), theirs).keys() == {"Settings"}, "a language is no change of wording by the site"
    assert not [each for each in cautions(german(), theirs) if "no longer" in each]
    said_by_check = CliRunner().invoke(main, ["check"]).stdout
    assert "NO CLINICIAN HAS APPROVED THIS TRANSLATION" in said_by_check
    assert f"uk-ng239: {theirs.coverage['uk-ng239'].per_cent} % of" in said_by_check


def test_every_word_of_a_german_card_is_in_the_catalogue():
    """No English in code: each word that a card shows comes from a text of the language, or is a unit or a digit."""
    content = german()
    spoken = (*content.language.texts.values(), *content.coverage["uk-ng239"].missing)
    known = {word for text in spoken for word in WORD.findall(text)} | UNITS
    known |= {word[0].upper() + word[1:] for word in known}  # where a sentence begins with it
    config = client_config(Settings(), content)
    for vignette in islice(shipped(shipped_vignettes(), "uk-ng239"), 0, None, EVERY):
        for card in played(vignette, config).cards:
            shown = [card["summary"], card.get("detail", ""), *(each["label"] for each in card.get("suggestions", ()))]
            strange = {word for text in shown for word in WORD.findall(text)} - known
            assert not strange, f"{vignette.name}: {strange}"


def test_a_text_whose_english_has_changed_is_english_and_counted_as_missing(tmp_path: Path):
    folder = tmp_path / "cards"
    shutil.copytree(cards_folder(), folder)
    path = folder / "pathways/uk-ng239/notes.toml"
    old = "Metformin can lower B12: continue metformin."
    path.write_text(path.read_text(encoding="utf-8").replace(old, "Metformin lowers B12: go on."), encoding="utf-8")
    found = load_content(folder, language="de")
    assert "Metformin lowers B12: go on." in found.coverage["uk-ng239"].missing
    assert found.coverage["uk-ng239"].per_cent < 100
    assert any("not translated: Metformin lowers B12: go on." in each for each in found.remarks)
    note = next(each for each in found.pathways["uk-ng239"].notes if each.id == "metformin")
    assert note.detail == "Metformin lowers B12: go on."


@pytest.mark.parametrize(
    "english, text, fault",
    [
        ("B12 {b12} is low", "B12 ist niedrig", "keep every placeholder"),
        ("B12 is low", "B12 {b12} ist niedrig", "keep every placeholder"),
        ("**Do not** stop", "Nicht aufhören", "keep every pair of"),
        ("One", "Eins\n\nZwei", "one paragraph"),
        ("One", "", "one paragraph"),
    ],
)
def test_a_translation_that_loses_something_is_a_fault(english: str, text: str, fault: str):
    faults = Faults()
    tables = {"language.toml": {"name": "X", "translator": "x"}, "a.toml": {english: text}}
    language("xx", tables, faults)
    with pytest.raises(ContentError, match=re.escape(fault)):
        faults.raise_any()


def test_what_must_not_be_done_begins_so_in_either_language(tmp_path: Path):
    folder = tmp_path / "cards"
    shutil.copytree(cards_folder(), folder)
    path = folder / LANG / "de" / "interpret.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("**Nicht** Folsäure vor", "**Bitte** nie Folsäure vor"),
                    encoding="utf-8")  # fmt: skip
    with pytest.raises(ContentError, match="is 'do-not', and its translation 'next'"):
        load_content(folder, language="de")


def test_a_language_that_is_not_there_is_named_with_those_that_are(tmp_path: Path):
    (tmp_path / "site.toml").write_text('language = "fr"\n', encoding="utf-8")
    with pytest.raises(ContentError, match=r"no language 'fr'|language 'fr'"):
        load_content(cards_folder(), tmp_path)


def test_an_approval_is_of_the_very_texts_that_were_read():
    texts = {"One": "Eins"}
    read = Language("xx", approver="Dr A", approved_texts=Language("xx", texts=texts).digest, texts=texts)
    assert read.is_approved
    assert not Language("xx", approver="Dr A", approved_texts=read.digest, texts={"One": "Ein"}).is_approved


def test_english_has_a_digest_of_its_own_whatever_is_translated():
    assert load_content(cards_folder()).digest != german().digest
    assert not [name for name in read_files(cards_folder(), None, Faults()).ours if name.startswith(LANG)]


def test_paragraphs_are_translated_each_by_itself():
    chosen = Language("xx", texts={"One.": "Eins."})
    assert said("One.\n\nTwo.", chosen) == "Eins.\n\nTwo."
    found = coverage("p", {"p/notes.toml": {"row": [{"id": "a", "detail": "One.\n\nTwo.\n\n{regimens}"}]}}, chosen)
    assert (found.total, found.missing, found.per_cent) == (2, ("Two.",), 50)


@pytest.mark.parametrize("rule, forms", [("one-other", "ABBBB"), ("none", "AAAAA"), ("one-few-many", "ABBCC")])
def test_a_phrase_has_the_form_that_goes_with_its_number(rule: str, forms: str):
    words = {"plural": rule, "days": "{n}A | {n}B | {n}C"}
    numbers = (1, 2, 22, 5, 12)
    said_forms = "".join(counted(words, "days", n)[-1] for n in numbers)
    expected = {"one-other": "ABBBB", "none": "AAAAA", "one-few-many": "ABBCC"}
    assert said_forms == expected[rule] == forms
    assert set(PLURALS) == set(expected)
