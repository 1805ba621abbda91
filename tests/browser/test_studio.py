"""The content studio in a real browser: a limit is typed, and cards, patients, zip and printed page follow."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from cds_service.content.content import load_content
from cds_service.content.files import cards_folder
from cds_service.content.site_files import opened, temporary_folder
from tests.browser.conftest import Views

pytestmark = pytest.mark.needs("chromium")


def test_a_limit_is_typed_and_what_is_taken_home_is_what_is_signed(view: Views):
    with view() as here:
        here.go("/content/edit?row=interpret/deficient")
        here.page.get_by_label("A publication of your own (title)").fill("Laboratory handbook 2026")
        here.page.locator("#limit-b12-deficient-mass").fill("145")
        expect(here.page.locator(".guard")).to_contain_text("b12-grey-mass was not")
        expect(here.page.locator("table.moves")).to_contain_text("confirmed, warning → indeterminate")
        first = here.page.locator("table.moves tbody tr").first
        expect(first).to_have_class("worse")
        expect(here.page.locator("#limit-b12-deficient-mass")).to_have_value("145")
        with here.page.expect_download() as download:
            here.page.get_by_role("button", name="Download the folder").click()
        with temporary_folder(opened(download.value.path().read_bytes())) as folder:
            digest = load_content(cards_folder(), folder).digest
        here.page.locator("button[value=sheet]").evaluate("(each) => each.removeAttribute('formtarget')")
        here.page.get_by_role("button", name="The page to print and sign").click()
        here.page.wait_for_url("**/sheet")
        expect(here.page.get_by_text(digest)).to_be_visible()
        expect(here.page.get_by_role("cell", name="Clinical safety officer")).to_be_visible()
        here.is_accessible()
        assert 2 <= len(re.findall(rb"/Type\s*/Page[^s]", here.page.pdf(format="A4"))) <= 4


def test_a_fault_is_said_where_one_types_and_the_row_changes_by_keyboard(view: Views):
    with view(320) as here:
        here.go("/content/edit?row=interpret/deficient")
        here.page.locator("#limit-b12-deficient-mass").fill("9000")
        expect(here.page.get_by_role("alert")).to_contain_text("whose limit is it")
        here.page.get_by_label("or one that is known").select_option(label="NICE guideline NG239, Table 1")
        expect(here.page.get_by_role("alert")).to_contain_text("lies above")
        here.page.locator("#limit-b12-deficient-mass").fill("180")
        expect(here.page.get_by_role("alert")).to_have_count(0)
        here.page.locator("#row").select_option("safety/S1")
        here.page.locator("#row").press("Tab")
        here.page.keyboard.press("Enter")
        expect(here.page.get_by_role("heading", name="safety/S1")).to_be_visible()
        here.fits()
