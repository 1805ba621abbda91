"""The findings as a sheet: every one with its words, the rows that ask for it, and what the program draws it from."""

from __future__ import annotations

from functools import cache

import pytest

from cds_service.clinical.findings import NAMES
from cds_service.content.content import Content, load_content
from cds_service.content.files import cards_folder
from cds_service.content.review import Entry
from cds_service.ui.content_pages import every_sheet
from tests.pages.visiting import Visitor


@cache
def content() -> Content:
    return load_content(cards_folder())


def entries(pathway: str = "uk-ng239") -> dict[str, Entry]:
    (sheet,) = [each for each in every_sheet(content(), content().pathways[pathway]) if each.id == "findings"]
    return {each.id: each for each in sheet.entries}


def said(entry: Entry, title: str) -> list[str]:
    """The names under a title; the texts where these are names themselves."""
    fact = entry.fact(title)
    return [each.name or each.text for each in fact.said] if fact else []


@pytest.mark.parametrize("pathway", ["uk-ng239", "us-aafp"])
def test_every_finding_is_there_in_plain_words(pathway: str):
    found = entries(pathway)
    assert set(found) == NAMES
    assert not [name for name, each in found.items() if not each.title or each.title == name]


def test_the_rows_that_ask_for_a_finding_are_named_however_they_ask():
    found = entries()
    asked = {name: set(said(each, "Asked for by")) for name, each in found.items()}
    pathway = content().pathways["uk-ng239"]
    for table in ("interpret", "treat", "safety", "orders", "notes"):
        for row in getattr(pathway, table):
            shown = f"safety/{row.id}" if table == "orders" and row.id.startswith("S") else f"{table}/{row.id}"
            for name in (*row.when, *row.unless, *row.no_card):
                assert shown in asked[name], (shown, name)


@pytest.mark.parametrize(
    "name, drawn",
    [
        ("irreversible_cause", ["must_im", "bariatric"]),
        ("macrocytosis", ["mcv", "mcv-macrocytosis", "blood-count-current"]),
        ("must_im_disease", ["must-im", "lifelong"]),
        ("severe", ["hb_severe", "pancytopenia"]),
    ],
)
def test_what_a_finding_is_drawn_from_is_what_it_declares(name: str, drawn: list[str]):
    assert said(entries()[name], "Drawn from") == drawn


@pytest.mark.parametrize("pathway", ["uk-ng239", "us-aafp"])
def test_every_finding_shows_what_it_is_drawn_from(pathway: str):
    assert [name for name, each in entries(pathway).items() if not said(each, "Drawn from")] == []


def test_a_limit_is_shown_with_the_value_of_this_content():
    (fact,) = [each for each in entries()["macrocytosis"].facts if each.title == "Drawn from"]
    assert fact.said[1].text == "above 100 fL"


def test_the_start_of_the_content_says_what_the_program_adds_and_leads_there(visitor: Visitor):
    page = visitor.get("/content").text
    assert "There is no other knowledge" not in page
    assert '/content/pathways/uk-ng239/findings">Findings</a>' in page
    sheet = visitor.get("/content/pathways/uk-ng239/findings")
    assert sheet.status_code == 200
    assert 'id="findings/megaloblastic_neuro"' in sheet.text
