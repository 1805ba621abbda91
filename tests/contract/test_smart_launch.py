"""The evidence view before a real FHIR server: HAPI behind an authorization server that is not ours, in Chromium."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.browser.driving import PATIENCE, View, launched
from tests.contract import hapi
from tests.hooks.processes import free_port
from tests.smart.record_system import app, consent, ehr, sign_in

PATIENT = "neuro-metformin"
INSTANCE = "7f0d2a0e-3a1b-4f0c-9a55-5d6b8f1f6a12"


@pytest.mark.needs("npm", "chromium")
def test_a_patient_of_hapi_is_read_with_the_token_of_a_launch(server: hapi.Hapi, tmp_path: Path):
    port = free_port()
    with (
        ehr(server.base, f"http://127.0.0.1:{port}", tmp_path) as system,
        app(port, tmp_path, system.base) as service,
        sync_playwright() as playwright,
    ):
        browser = launched(playwright)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(PATIENCE)
        page.goto(service.launch_address(system, system.launch(PATIENT, appContext=INSTANCE)))
        sign_in(page)
        consent(page)
        expect(page.locator("article.card").first).to_contain_text("118 pmol/L")
        expect(page.get_by_label("Patient", exact=True)).to_contain_text("Brian Testpatient")
        expect(page.get_by_role("status").first).to_contain_text("is not known here any more")
        expect(page.locator("details.whole")).to_contain_text("Label: confirmed")
        View(page, service.address).photograph("smart-hapi")
        browser.close()
