"""The content pages in a real browser: a reviewer finds, cites and prints every row."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from cds_service.content.content import load_content
from cds_service.content.files import cards_folder
from tests.browser.conftest import Views

pytestmark = pytest.mark.needs("chromium")


def test_a_reviewer_finds_a_row_its_words_and_its_source(view: Views):
    with view() as here:
        here.go("/content")
        here.page.get_by_role("link", name="Interpretation: the first row that holds").first.click()
        row = here.page.locator("[id='interpret/deficient']")
        expect(row).to_contain_text("B12 is below the limit of deficiency")
        expect(row).to_contain_text("NICE guideline NG239")
        expect(row).to_contain_text("secondary")
        expect(row.locator(".placeholder").get_by_text("{b12}", exact=True).first).to_be_visible()


def test_a_row_can_be_cited_by_its_address(view: Views):
    with view() as here:
        here.go("/content/pathways/uk-ng239/interpret#interpret/deficient")
        cited = here.page.locator("tr:target")
        expect(cited.get_by_role("rowheader")).to_contain_text("deficient")
        expect(cited).to_be_in_viewport()


def test_every_row_and_threshold_of_every_pathway_is_there(view: Views):
    content = load_content(cards_folder())
    with view() as here:
        for pathway in content.pathways.values():
            here.go(f"/content/pathways/{pathway.id}")
            shown = set(here.page.evaluate("[...document.querySelectorAll('tr[id]')].map((each) => each.id)"))
            rows = {f"{table}/{row.id}" for table in ("interpret", "treat", "safety", "orders", "notes")
                    for row in getattr(pathway, table)}  # fmt: skip
            assert rows | {f"thresholds/{name}" for name in pathway.thresholds} <= shown


def test_a_code_is_found_in_its_value_set(view: Views):
    with view() as here:
        here.go("/content/value-sets")
        here.page.get_by_role("link", name="lab-b12", exact=True).click()
        row = here.page.get_by_role("row").filter(has=here.page.get_by_role("rowheader", name="2132-9"))
        expect(row).to_contain_text("http://loinc.org")
        expect(row).to_contain_text("in mass units")


def test_the_example_of_a_site_shows_its_own_limit_in_the_tables(view: Views):
    with view() as here:
        here.go("/content/difference")
        here.page.get_by_role("link", name="Show the example that is shipped").click()
        expect(here.page.get_by_text("below 145 ng/L instead of below 180 ng/L")).to_be_visible()
        here.page.get_by_role("link", name="uk-ng239").click()
        expect(here.page.locator("[id='thresholds/b12-deficient-mass']")).to_contain_text("145")


def test_paper_has_the_tables_and_no_navigation(view: Views):
    with view() as here:
        here.go("/content/pathways/uk-ng239/safety")
        here.page.emulate_media(media="print")
        for each in here.page.get_by_role("table").all():
            expect(each).to_be_visible()
        for each in here.page.locator("nav").all():
            expect(each).not_to_be_visible()
        assert here.page.evaluate("getComputedStyle(document.querySelector('tbody tr')).breakInside") == "avoid"
        assert here.page.pdf(format="A4", landscape=True).startswith(b"%PDF")


def test_paper_is_light_also_where_the_screen_is_dark(view: Views):
    with view(1440, "dark") as here:
        for path in ("/content/pathways/uk-ng239/safety", "/?patient=neuro-metformin"):
            here.go(path)
            here.page.emulate_media(media="print", color_scheme="dark")
            here.is_accessible()
            assert here.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
