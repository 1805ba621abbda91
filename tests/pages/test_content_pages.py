"""The content pages as they are served: which content, whose approval, what is not there, and to whom."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.test import Client, TestResponse

from cds_service.content.content import Content, load_content
from cds_service.content.files import cards_folder, shipped_folder
from cds_service.ui.content_pages import add_content_pages
from cds_service.ui.frame import add_frame
from tests.cards.small_content import SmallContent
from tests.pages.visiting import Visitor

TODAY = date(2026, 11, 21)


@cache
def ours() -> Content:
    return load_content(cards_folder())


def get(path: str, contents: Mapping[str, Content] | None = None, today: date = TODAY) -> TestResponse:
    app = Flask("cds_service", static_folder=None)
    add_frame(app, demo=True, playground=True)
    add_content_pages(app, contents or {"": ours()}, lambda: today)
    return Client(app).get(path)


def text(path: str, **given: object) -> str:
    """The page's text without line breaks; its status is 200."""
    found = get(path, **given)
    assert found.status_code == 200, found.text
    return " ".join(found.text.split())


def test_content_that_nobody_approved_says_so():
    assert "<strong>no</strong>: nobody has approved this content" in text("/content")
    assert "nobody owns this content yet" in text("/content")


def test_what_is_still_to_approve_is_a_list_of_things_to_do():
    page = text("/content")
    assert "Still to approve, before anybody uses it" in page
    rows = ours().pathways["uk-ng239"].interpret
    compared = [row.id for row in rows if row.provenance and row.provenance.evidence == "primary"]
    for row in rows:
        linked = f'<a href="/content/pathways/uk-ng239/interpret#interpret/{row.id}">' in page
        assert linked is (row.id not in compared), row.id


def test_a_pathway_begins_with_its_rows_and_the_picture_is_folded_after_them():
    page = text("/content/pathways/uk-ng239")
    assert page.index('id="course/') < page.index("<svg")
    assert '<details id="course-picture"><summary>' in page


@pytest.mark.parametrize("today, passed", [(date(2027, 5, 21), False), (date(2027, 5, 22), True)])
def test_the_day_of_review_that_has_passed_is_said(today: date, passed: bool):
    assert ("This day has passed." in text("/content", today=today)) is passed


def test_a_site_that_approved_is_named_with_its_limits():
    site = load_content(cards_folder(), shipped_folder("fixtures", holding="sites") / "sites" / "ruh-bath")
    shown = text("/content", contents={"": site})
    assert "by Dr A. Example" in shown
    assert "<strong>no</strong>" not in shown
    assert "below 145 ng/L instead of below 180 ng/L" in text("/content/difference", contents={"": site})


def test_the_content_of_another_site_is_shown_by_its_name_and_links_stay_with_it():
    site = load_content(cards_folder(), shipped_folder("fixtures", holding="sites") / "sites" / "ruh-bath")
    shown = text("/content/pathways/uk-ng239/thresholds?site=bath", contents={"": ours(), "bath": site})
    assert ">145<" in shown
    assert "/content/value-sets?site=bath" in shown


@pytest.mark.parametrize(
    "path, says",
    [
        ("/content?site=nowhere", "known: example"),
        ("/content/pathways/fr", "known: uk-ng239, us-aafp"),
        ("/content/pathways/uk-ng239/tables", "known: course, interpret, treat"),
        ("/content/value-sets/lab-b13", "GET /content/value-sets lists them"),
        ("/content/value-sets/..%2F..%2Fcontent", ""),
    ],
)
def test_what_is_not_there_is_a_404_that_says_what_is(path: str, says: str):
    found = get(path)
    assert found.status_code == 404
    assert says in found.text


def test_a_value_set_whose_file_changed_since_the_start_says_so(small: SmallContent):
    content = small.load()
    told = "The files on disk are no longer those that this service loaded"
    assert told not in text("/content/value-sets/lab-b12", contents={"": content})
    small.change("thresholds.toml", "value = 180", "value = 181")
    assert told in text("/content/value-sets/lab-b12", contents={"": content})


def test_content_is_shown_as_text_and_never_as_html(small: SmallContent):
    small.change("interpret.toml", "Consider a further test.", "below <180 & *more*")
    small.change("value-sets/lab-b12.csv", "B12 level", "<script>x</script>")
    content = small.load()
    assert "below &lt;180 &amp; <em>more</em>" in text("/content/pathways/uk-small/interpret", contents={"": content})
    assert "<script>x" not in text("/content/value-sets/lab-b12", contents={"": content})


@pytest.mark.parametrize("path", ["/content", "/content/pathways/uk-ng239", "/content/value-sets", "/content?site=no"])
def test_every_page_goes_out_with_the_policy_that_forbids_what_is_foreign(path: str):
    assert get(path).headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self';")


@pytest.fixture
def small(tmp_path: Path) -> SmallContent:
    return SmallContent(tmp_path / "cards", tmp_path / "site")


@pytest.mark.parametrize("pathway", ["uk-ng239", "us-aafp"])
def test_a_pathway_on_paper_has_every_row_and_room_for_a_signature(visitor: Visitor, pathway: str):
    page = visitor.get(f"/content/pathways/{pathway}/print")
    assert page.status_code == 200
    assert "Reviewed by, on" in page.text and "<style" not in page.text
    assert page.text.count("<tr>") > 200
    assert "counter(page)" in visitor.get("/static/print.css").text
