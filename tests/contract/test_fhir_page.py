"""The FHIR tab against a real server: search a patient by name, choose one, see the cards without prefetch."""

from __future__ import annotations

from tests.contract import hapi
from tests.pages.visiting import Visitor, demo, label, summaries


def test_a_patient_of_a_real_server_is_found_by_name_chosen_and_judged(server: hapi.Hapi):
    visitor = Visitor(demo(store_url="none"))
    found = visitor.post("/fhir", {"base": server.base, "name": "Brian"})
    assert found.status_code == 200
    assert "Brian Testpatient" in found.text
    page = visitor.post("/fhir/cards", {"base": server.base, "patient": "neuro-metformin", "name": "Brian"})
    assert page.status_code == 200
    assert label(page) == "confirmed"
    assert any("118 pmol/L" in summary for summary in summaries(page))
    assert visitor.post("/fhir", {"base": server.base, "name": "Nobody-of-that-name"}).status_code == 200
