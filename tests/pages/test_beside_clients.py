"""With real clients there are no pages, unless the operator has switched them on; then they say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cds_service.cdshooks.registry import BY_SERVICE_ID
from tests.hooks.tokens import Gated

PLACES = ("/examples", "/fhir", "/content", "/content/edit", "/static/style.css")


def status(gated: Gated, path: str, method: str = "GET") -> int:
    return gated.open(method, path).status_code


@pytest.mark.parametrize("path", PLACES)
def test_there_are_none_by_default(tmp_path: Path, path: str):
    assert status(Gated(tmp_path), path) == 404


@pytest.mark.parametrize("path", ["/", "/evidence", "/feedback", "/request.json", "/fhir", "/fhir/cards"])
def test_no_form_is_taken_by_default(tmp_path: Path, path: str):
    assert status(Gated(tmp_path), path, "POST") in (404, 405)


def test_the_start_says_in_plain_text_what_the_service_is(tmp_path: Path):
    answer = Gated(tmp_path).open("GET", "/")
    assert answer.mimetype == "text/plain"
    assert all(f"/cds-services/{each}" in answer.text for each in BY_SERVICE_ID)


def switched_on(folder: Path, **settings: Any) -> Gated:
    return Gated(folder, settings={"playground": True, **settings})


@pytest.mark.parametrize("path", ["/content/edit", "/content/edit/zip", "/content/edit/sheet"])
def test_the_studio_has_a_switch_of_its_own(tmp_path: Path, path: str):
    assert status(switched_on(tmp_path), path, "POST") == 404
    (tmp_path / "with").mkdir()
    assert status(switched_on(tmp_path / "with", studio=True), path, "POST") == 403, "a form from nowhere is refused"


def test_switched_on_they_carry_a_banner(tmp_path: Path):
    page = switched_on(tmp_path).open("GET", "/")
    assert page.status_code == 200
    assert "runs beside real clients" in page.text
    assert status(switched_on(tmp_path), "/content") == 200


def test_switched_on_a_foreign_form_is_refused_and_clients_still_need_their_token(tmp_path: Path):
    gated = switched_on(tmp_path)
    assert gated.open("POST", "/", headers={"Origin": "https://evil.example"}, data={}).status_code == 403
    assert gated.open("POST", "/cds-services/b12-patient-view", json={}).status_code == 401


def test_switched_on_no_fhir_server_is_called_that_the_operator_did_not_name(tmp_path: Path):
    gated = switched_on(tmp_path)
    page = gated.open(
        "POST",
        "/fhir",
        headers={"Sec-Fetch-Site": "same-origin"},
        data={"base": "http://127.0.0.1:9/fhir", "name": "x"},
    )
    assert "not among the allowed FHIR bases" in page.text


def test_switched_on_the_bases_of_the_settings_are_not_open_to_whoever_sees_the_page(tmp_path: Path):
    base = "http://127.0.0.1:9/fhir"
    gated = switched_on(tmp_path, fhir_bases=(base,))
    told = {"headers": {"Sec-Fetch-Site": "same-origin"}, "data": {"base": base, "name": "x", "patient": "1"}}
    for path in ("/fhir", "/fhir/cards"):
        assert "not among the allowed FHIR bases" in gated.open("POST", path, **told).text
    assert base not in gated.open("GET", "/fhir").text


def test_switched_on_nobody_can_enter_a_patient_of_his_own(tmp_path: Path):
    gated = switched_on(tmp_path)
    page = gated.open("GET", "/")
    assert 'class="mine' not in page.text and 'class="patient' in page.text
    sent = {"mine": "1", "b12-value": "150", "b12-unit": "ng/L"}
    answer = gated.open("POST", "/", headers={"Sec-Fetch-Site": "same-origin"}, data=sent)
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1:8000", 200), ("localhost", 200), ("cds.example.org", 200), ("app.example.org", 200),
     ("attacker.example", 403), ("", 403), ("10.0.0.1", 403)],
)  # fmt: skip
def test_they_are_answered_under_known_names_only_so_that_no_other_page_can_read_them(tmp_path, host, expected):
    gated = switched_on(tmp_path, origins="https://app.example.org")
    for path in ("/", "/content"):
        assert gated.open("GET", path, headers={"Host": host}).status_code == expected
    for path in ("/healthz", "/cds-services", "/openapi.json"):
        assert gated.open("GET", path, headers={"Host": host}).status_code == 200
