"""Who may see the pages and send their forms, and what the headers of every page forbid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask

from cds_service.ui.frame import HEADERS
from cds_service.ui.frame import HERE as PAGES
from tests.pages.visiting import ENVIRON, Visitor, demo, fields

FORMS = ("/tray", "/", "/evidence", "/feedback", "/request.json", "/fhir", "/fhir/cards", "/content/edit")
FILES = ("/content/edit/zip", "/content/edit/sheet")  # forms that are answered with something else than our page


@pytest.mark.parametrize("path", ["/", "/examples", "/fhir", "/?patient=nobody", "/?pathway=none", "/content"])
def test_every_page_carries_the_policy(visitor: Visitor, path: str):
    page = visitor.get(path)
    assert page.mimetype == "text/html"
    for name, value in HEADERS.items():
        assert page.headers[name] == value
    assert page.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in page.headers


@pytest.mark.parametrize("path", FORMS)
def test_what_a_form_answers_carries_the_policy_too(visitor: Visitor, path: str):
    answer = visitor.post(path, {})
    assert answer.status_code in (200, 400)
    assert answer.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]


def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere():
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert not re.search(r"unsafe|https?:|data:|\*", policy)
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize("path", sorted((PAGES / "templates").glob("*.html")), ids=lambda path: path.name)
def test_no_template_holds_a_script_or_style_of_its_own(path: Path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:|\|safe\b", text)


@pytest.mark.parametrize("path", [*FORMS, *FILES])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9000"},
        {"Origin": "http://127.0.0.1:8000", "Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "none"},
        {"Referer": "http://127.0.0.1:8000/"},
    ],
)
def test_a_form_from_elsewhere_is_refused(visitor: Visitor, path: str, headers: dict[str, str]):
    assert visitor.post(path, fields(visitor.get("/?patient=neuro-metformin")), **headers).status_code == 403


@pytest.mark.parametrize("headers", [{"Origin": "http://127.0.0.1:8000"}, {"Sec_Fetch_Site": "same-origin"}])
def test_a_form_of_our_own_page_is_answered(visitor: Visitor, headers: dict[str, str]):
    assert visitor.post("/", fields(visitor.get("/?patient=neuro-metformin")), **headers).status_code == 200


@pytest.mark.parametrize("path", ["/", "/examples", "/fhir", "/content"])
def test_a_demo_answers_this_machine_only(visitor: Visitor, path: str):
    answer = visitor.client.get(path, environ_overrides=ENVIRON | {"REMOTE_ADDR": "10.0.0.7"})
    assert answer.status_code == 403


@pytest.mark.parametrize("name", ["style.css", "playground.css", "evidence.css", "playground.js", "icon.svg"])
def test_static_files_are_served_with_their_type_and_checked_again(visitor: Visitor, name: str):
    answer = visitor.get(f"/static/{name}")
    assert answer.status_code == 200
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.mimetype == {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}[name.split(".")[1]]
    again = visitor.client.get(
        f"/static/{name}", headers={"If-None-Match": answer.headers["ETag"]}, environ_overrides=ENVIRON
    )
    assert again.status_code == 304


@pytest.mark.parametrize("name", ["../routes.py", "..%2froutes.py", "nothing.css", "style.css/x"])
def test_there_is_no_other_file(visitor: Visitor, name: str):
    assert visitor.get(f"/static/{name}").status_code == 404


def test_no_request_of_a_patient_is_ever_an_address(visitor: Visitor):
    """Forms with GET choose shipped examples only."""
    for path in ("/", "/examples", "/fhir"):
        for form in re.findall(r"<form[^>]*method=\"get\".*?</form>", visitor.get(path).text, re.DOTALL):
            assert set(re.findall(r'name="([^"]+)"', form)) <= {"patient", "words", "pathway", "hook", "label"}


def test_a_form_that_is_too_large_is_refused(visitor: Visitor):
    answer = visitor.client.post(
        "/",
        data=b"request=" + b"x" * 5_100_000,
        content_type="application/x-www-form-urlencoded",
        headers={"Sec-Fetch-Site": "same-origin"},
        environ_overrides=ENVIRON,
    )
    assert answer.status_code == 413
    assert answer.mimetype == "text/html"


def test_a_body_that_is_no_form_is_refused(visitor: Visitor):
    answer = visitor.client.post(
        "/",
        data=b"\xff\x00",
        content_type="application/octet-stream",
        headers={"Sec-Fetch-Site": "same-origin"},
        environ_overrides=ENVIRON,
    )
    assert answer.status_code == 400


def test_the_playground_says_what_it_is_in_a_demo(visitor: Visitor):
    assert "Not for real patients." in visitor.get("/").text


def test_pages_never_name_another_host_to_load_from(visitor: Visitor):
    for path in ("/", "/examples", "/fhir"):
        text = visitor.get(path).text
        assert not re.findall(r'(?:src|srcset|action|formaction)="(?:https?:)?//[^"]*"', text)
        assert not re.findall(r'<link[^>]+href="(?:https?:)?//', text)


def app_without_store() -> Flask:
    return demo(store_url="none")


def test_without_a_store_no_button_promises_to_keep_anything():
    page = Visitor(app_without_store()).get("/")
    assert page.status_code == 200
    assert 'name="accept"' not in page.text and 'name="override"' not in page.text


@pytest.mark.parametrize("path", sorted((PAGES / "templates").glob("*.html")), ids=lambda path: path.name)
def test_a_script_that_imports_others_is_loaded_as_a_module(path: Path):
    scripts = re.findall(r"<script[^>]*filename='([^']+)'[^>]*>", path.read_text(encoding="utf-8"))
    for name in scripts:
        if "import " in (PAGES / "static" / name).read_text(encoding="utf-8"):
            assert re.search(rf"filename='{re.escape(name)}'[^>]*type=\"module\"", path.read_text(encoding="utf-8"))
