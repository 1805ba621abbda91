"""The evidence view launched in Chromium, from a record system whose authorization server is oidc-provider."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.driving import PATIENCE, SCREENSHOTS, launched
from tests.fhir import loopback
from tests.hooks.living import fhir_server, prefetch
from tests.hooks.processes import free_port
from tests.smart.record_system import App, Ehr, app, consent, ehr, sign_in

pytestmark = pytest.mark.needs("npm", "chromium")


@dataclass(frozen=True)
class World:
    ehr: Ehr
    app: App
    upstream: loopback.Server


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder, port = tmp_path_factory.mktemp("smart"), free_port()
    with (
        loopback.serving(fhir_server()) as upstream,
        ehr(upstream.base, f"http://127.0.0.1:{port}", folder) as system,
        app(port, folder, system.base, standalone=True) as service,
    ):
        yield World(system, service, upstream)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = launched(playwright)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


def test_from_the_card_through_consent_to_cards_and_evidence(world: World, page: Page):
    card = world.app.hook(world.ehr, prefetch=prefetch())["cards"][0]
    (link,) = [each for each in card["links"] if each["type"] == "smart"]
    launch = world.ehr.launch("pt-1", appContext=link["appContext"])
    page.goto(f"{link['url']}?iss={world.ehr.base}&launch={launch}")
    sign_in(page)
    consent(page)
    page.wait_for_url("**/smart/callback**")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "smart.png", full_page=True)
    expect(page.locator("h2#cards")).to_be_visible()
