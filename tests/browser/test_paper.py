"""What goes on paper: whole on A4 and on Letter, with page numbers, and no thicker than somebody reads."""

from __future__ import annotations

import re

import pytest

from tests.browser.conftest import Views

pytestmark = pytest.mark.needs("chromium")

MOST_PAGES = 29


@pytest.mark.parametrize("size", ["A4", "Letter"])
@pytest.mark.parametrize("pathway", ["uk-ng239", "us-aafp"])
def test_a_pathway_is_printed_whole_on_under_thirty_pages(view: Views, pathway: str, size: str):
    with view() as here:
        here.go(f"/content/pathways/{pathway}/print")
        pdf = here.page.pdf(format=size)
        assert 5 < len(re.findall(rb"/Type\s*/Page[^s]", pdf)) <= MOST_PAGES
        here.page.emulate_media(media="print")
        here.page.set_viewport_size({"width": 720, "height": 1000})  # the paper, in pixels
        here.fits()


@pytest.mark.parametrize("patient", ["neuro-metformin", "lapsed-pernicious"])
def test_the_evidence_is_two_printed_pages_with_charts_as_wide_as_the_paper_allows(view: Views, patient: str):
    with view() as here:
        here.go(f"/?patient={patient}")
        here.page.get_by_role("button", name="Open as a page to print").click()
        here.page.wait_for_url("**/evidence")
        assert len(re.findall(rb"/Type\s*/Page[^s]", here.page.pdf(format="A4"))) <= 2
        here.page.emulate_media(media="print")
        here.page.set_viewport_size({"width": 720, "height": 1000})  # the paper, in pixels
        here.fits()
        assert here.page.locator(".strip-plot").first.bounding_box()["width"] > 400
