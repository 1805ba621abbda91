"""My patient in a real browser: cards while one types, what if, a link, the order tray, and the first card in view."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Views

pytestmark = pytest.mark.needs("chromium")

QUICK = 20.0  # seconds from a blank form to the cards


def test_from_blank_to_cards_while_one_types_and_on_to_a_signed_order(view: Views):
    with view() as here:
        here.go("/")
        begun = time.monotonic()
        here.page.locator("#b12-value").press_sequentially("150")
        here.page.locator("#has-paraesthesia").check()
        card = here.page.locator("article.card").first
        expect(card).to_contain_text("B12 150 ng/L")
        expect(card).to_contain_text("Because:")
        assert time.monotonic() - begun < QUICK
        assert here.page.url == f"{here.base}/", "nothing is in the address before somebody asks for it"
        here.page.get_by_role("button", name=re.compile("Accept ?: Hydroxocobalamin")).click()
        tray = here.page.get_by_role("region", name="Order tray")
        expect(tray).to_contain_text("ydroxocobalamin")
        expect(here.page.get_by_text("✓ In the order tray")).to_be_visible()
        tray.get_by_role("button", name="Sign").click()
        expect(here.page.get_by_text("Signed: the service was asked")).to_be_visible()
        expect(here.page.locator("#b12-value")).to_have_value("150")
        here.is_accessible()


def test_a_link_holds_the_patient_and_brings_it_back(view: Views):
    with view() as here:
        here.go("/")
        here.page.locator("#b12-value").fill("150")
        here.page.locator("#has-vegan").check()
        expect(here.page.locator("article.card").first).to_be_visible()
        here.page.get_by_role("button", name="Copy link").click()
        expect(here.page).to_have_url(re.compile(r"/#p=.*b12-value=150.*has-vegan=1"))
        link = here.page.url
        here.page.goto("about:blank")
        here.page.goto(link)
        expect(here.page.locator("article.card").first).to_contain_text("B12 150 ng/L")
        expect(here.page.locator("#has-vegan")).to_be_checked()


def test_what_if_shows_the_axis_and_the_slider_moves_the_value(view: Views):
    with view() as here:
        here.go("/")
        here.page.locator("#b12-value").fill("150")
        here.page.locator("#has-paraesthesia").check()
        expect(here.page.locator("article.card").first).to_contain_text("150 ng/L")
        here.page.get_by_role("button", name="another B12").click()
        strip = here.page.locator("#what-if-strip")
        expect(strip.locator("rect.loud").nth(1)).to_be_attached()
        slider = strip.get_by_role("slider")
        slider.fill("240")
        expect(here.page.locator("#b12-value")).to_have_value("240")
        expect(here.page.locator("article.card").first).to_contain_text("240 ng/L")
        here.fits()
        here.is_accessible()


def test_the_first_card_is_in_view_on_a_small_screen(view: Views):
    with view(320) as here:
        here.page.set_viewport_size({"width": 320, "height": 568})  # the smallest telephone
        here.go("/?patient=neuro-metformin")
        heading = here.page.locator("article.card h3").first.bounding_box()
        assert heading["y"] + heading["height"] < 400
        assert here.page.locator("article.card .because").first.bounding_box()["y"] < 400, "and why it came"
        here.go("/")
        here.page.locator("#b12-value").fill("150")
        heading = here.page.locator("article.card h3").first
        expect(heading).to_be_visible()
        here.page.evaluate("scrollTo(0, 0)")
        assert heading.bounding_box()["y"] < 400
        here.fits()


def test_developers_have_a_tab_of_their_own(view: Views):
    with view() as here:
        here.go("/?patient=neuro-metformin")
        expect(here.page.get_by_role("heading", name="For developers: the same call on the wire")).not_to_be_visible()
        here.page.get_by_role("tab", name="For developers").click()
        expect(here.page.get_by_text("Call it yourself")).to_be_visible()
        here.page.keyboard.press("ArrowLeft")
        expect(here.page.get_by_role("tab", name="Why")).to_be_focused()
        here.is_accessible()
