"""The playground in a real browser: choose a patient, change a value, see the cards and why, and answer a card."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from contextlib import closing
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Demo, Views
from tests.browser.driving import View

pytestmark = pytest.mark.needs("chromium")

AT_180 = "/?patient=uk-ng239/02-edge-180-is-grey"
DEFICIENT = "meets the NICE threshold for deficiency"
UNCERTAIN = "uncertain"
SOON = 10.0  # seconds for the store's writer
MOST_TABS = 150


def cards(page: Page) -> Locator:
    return page.locator("article.card")


def show(here: View) -> None:
    here.page.get_by_role("button", name="Show the cards").last.click()
    expect(here.page.locator("[aria-busy]")).to_have_count(0)


def b12_value(page: Page) -> Locator:
    return page.get_by_role("group", name="total B12").first.get_by_label("Value")


def kept(demo: Demo, question: str, *values: str) -> list[Any]:
    """Rows of the store's own file, as soon as there are any."""
    latest = time.monotonic() + SOON
    while True:
        with closing(sqlite3.connect(f"file:{demo.store}?mode=ro", uri=True)) as store:
            found = store.execute(question, values).fetchall()
        if found or time.monotonic() > latest:
            return found
        time.sleep(0.1)


def test_a_person_chooses_a_patient_and_sees_the_cards(view: Views):
    with view() as here:
        here.go("/")
        here.page.get_by_label("Example patient", exact=True).select_option("on-injections")
        here.page.get_by_role("button", name="Open", exact=True).click()
        expect(here.page).to_have_url(f"{here.base}/?patient=on-injections")
        expect(here.page.get_by_role("heading", name="What the clinician sees")).to_be_visible()
        here.go("/?patient=neuro-metformin")
        expect(cards(here.page).first).to_contain_text("B12")


def test_one_nanogram_less_changes_the_label(view: Views):
    with view() as here:
        here.go(AT_180)
        expect(cards(here.page).first.get_by_role("heading").first).to_contain_text(UNCERTAIN)
        b12_value(here.page).fill("179")
        show(here)
        expect(cards(here.page).first.get_by_role("heading").first).to_contain_text("B12 179 ng/L")
        expect(cards(here.page).first.get_by_role("heading").first).to_contain_text(DEFICIENT)
        expect(b12_value(here.page)).to_have_value("179")
        assert here.page.url == f"{here.base}{AT_180}", "what is changed is in the body of the form, not in the address"


def test_an_accepted_suggestion_and_an_overridden_card_arrive_in_the_store(view: Views, demo: Demo):
    with view() as here:
        here.go("/?patient=uk-ng239/01-deficient-vegan")
        show(here)
        uuid = cards(here.page).first.get_attribute("aria-labelledby").removeprefix("card-")
        cards(here.page).first.get_by_role("button", name="Accept").first.click()
        expect(here.page.get_by_text("the store has it").first).to_be_visible()
        outcomes = "select outcome, reason from feedback where card like '%' || ?"
        assert kept(demo, outcomes, uuid) == [("accepted", "")]
        suggestions = "select count(*) from accepted join feedback on feedback.id = feedback where card like '%' || ?"
        assert kept(demo, suggestions, uuid) == [(1,)]

        here.go("/?patient=neuro-metformin")
        show(here)
        first = cards(here.page).first
        uuid = first.get_attribute("aria-labelledby").removeprefix("card-")
        first.get_by_label("Not now, because").select_option(label="The patient declines")
        first.get_by_role("button", name="Override").click()
        expect(here.page.get_by_text("the store has it").first).to_be_visible()
        assert kept(demo, outcomes, uuid) == [("overridden", "patient-refuses")]
        assert kept(demo, 'select 1 from shown where card = ? and "row" != ?', uuid, ""), "the decision is kept as well"


def test_the_evidence_names_the_row_the_value_and_the_source(view: Views):
    with view() as here:
        here.go(AT_180)
        why = here.page.get_by_role("region", name="Why: the evidence")
        why.get_by_text("The decision in full").click()
        expect(why).to_contain_text("interpret/grey-symptoms")
        expect(why).to_contain_text("total B12 180 ng/L")
        expect(why).to_contain_text("NICE guideline NG239")
        here.page.get_by_role("button", name="Open as a page to print").click()
        expect(here.page.get_by_role("heading", level=1)).to_be_visible()
        expect(here.page.locator("main")).to_contain_text("interpret/grey-symptoms")
        assert "180" not in here.page.url


def test_the_request_on_the_page_is_the_request_that_the_service_answers(view: Views, demo: Demo):
    with view() as here:
        here.go("/?patient=neuro-metformin")
        request = here.page.locator("textarea[name=request]").first.input_value()
        shown = cards(here.page).locator("h3").all_inner_texts()
        hook = json.loads(request)["hook"]
        answer = here.page.request.post(f"{demo.base}/cds-services/b12-{hook}", data=json.loads(request))
        assert answer.status == 200
        assert [card["summary"] for card in answer.json()["cards"]] == shown


def test_a_pasted_bundle_is_judged(view: Views):
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": each} for each in (
        {"resourceType": "Patient", "id": "1", "gender": "female", "birthDate": "1961-04-12"},
        {"resourceType": "Observation", "id": "b12", "status": "final", "subject": {"reference": "Patient/1"},
         "code": {"coding": [{"system": "http://loinc.org", "code": "2132-9"}]}, "effectiveDateTime": "2026-11-01",
         "valueQuantity": {"value": 150, "unit": "ng/L"}})]}  # fmt: skip
    with view() as here:
        here.go("/")
        here.page.get_by_text("Search, or paste").click()
        here.page.get_by_text("Bring your own").click()
        here.page.get_by_label("JSON of a hook request").fill(json.dumps(bundle))
        here.page.locator("#pasted-today").fill("2026-11-21")
        here.page.locator("form:has(#pasted)").get_by_role("button", name="Show the cards").click()
        expect(cards(here.page).first).to_contain_text("150 ng/L")


def test_a_script_in_what_is_pasted_is_text(view: Views):
    with view() as here:
        here.go(AT_180)
        b12_value(here.page).evaluate("(field) => { field.value = '<img src=x onerror=alert(1)>' }")
        with here.refused():
            show(here)
            expect(here.page.get_by_role("heading", level=1)).to_be_visible()
        assert here.page.locator("img[src=x]").count() == 0


def test_a_wrong_value_comes_back_with_the_focus_on_what_is_wrong(view: Views):
    with view(320) as here:
        here.go(AT_180)
        here.page.get_by_role("heading", name="Change what is recorded").click()
        b12_value(here.page).fill("1,234")
        here.page.get_by_label("Age in years").fill("40,5")
        with here.refused():
            show(here)
            summary = here.page.get_by_role("alert")
            expect(summary).to_be_focused()
        expect(summary).to_contain_text("can be read in two ways")
        expect(here.page).to_have_title("Error: the form was not understood · B12 CDS")
        here.fits()
        here.is_accessible()
        summary.get_by_role("link", name="Value of total B12").click()
        expect(b12_value(here.page)).to_be_focused()
        expect(b12_value(here.page)).to_have_value("1,234")
        expect(b12_value(here.page)).to_have_accessible_description(re.compile("write 1234 or 1.234"))
        b12_value(here.page).fill("179")
        here.page.get_by_label("Age in years").fill("40")
        show(here)
        expect(cards(here.page).first.get_by_role("heading").first).to_contain_text(DEFICIENT)


def test_paper_has_the_patient_and_the_changed_value_and_says_that_it_is_not_for_real_patients(view: Views):
    with view() as here:
        here.go(AT_180)
        expect(here.page.get_by_text("Begun from an invented patient")).not_to_be_visible()
        b12_value(here.page).fill("179")
        show(here)
        expect(b12_value(here.page)).to_have_value("179")
        here.page.emulate_media(media="print")
        expect(here.page.get_by_text("Begun from an invented patient")).to_be_visible()
        expect(here.page.get_by_text("total B12 179 ng/L, 10 Jan 2026")).to_be_visible()
        expect(here.page.get_by_text("Not for real patients.")).to_be_visible()


def tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until that element has the focus, which must then be seen."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if wanted.evaluate("(each) => each === document.activeElement"):
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", "the focus cannot be seen"
            return
    raise AssertionError(f"{wanted} is not reached by {MOST_TABS} times Tab")


def test_everything_can_be_done_with_the_keyboard_alone(view: Views):
    with view() as here:
        here.go(AT_180)
        here.page.keyboard.press("Tab")
        assert here.page.evaluate("document.activeElement.textContent") == "Skip to the content"
        here.page.keyboard.press("Enter")
        tab_to(here.page, b12_value(here.page))
        here.page.keyboard.press("Control+A")
        here.page.keyboard.type("179")
        here.page.keyboard.press("Enter")
        heading = cards(here.page).first.get_by_role("heading").first
        expect(heading).to_contain_text(DEFICIENT)
        first = cards(here.page).first
        tab_to(here.page, first.get_by_label("Not now, because"))
        here.page.keyboard.type("Does not")
        tab_to(here.page, first.get_by_role("button", name="Override"))
        here.page.keyboard.press("Enter")
        expect(here.page.get_by_text("the store has it").first).to_be_visible()
        tab_to(here.page, here.page.get_by_role("button", name="Open as a page to print"))
        here.page.keyboard.press("Enter")
        expect(here.page.locator("main")).to_contain_text("interpret/deficient")
