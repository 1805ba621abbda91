"""The FHIR tab: a patient is searched, chosen, and judged from what the service reads; faults are said in words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fhir import loopback
from tests.hooks.living import PATIENT, bundle, fhir_server
from tests.pages.visiting import HOSTILE, Visitor, fields, label, summaries

NAMED = PATIENT | {"name": [{"given": ["Ada"], "family": "Example"}], "birthDate": "1951-03-09"}


@pytest.fixture
def server() -> Iterator[loopback.Server]:
    answers = fhir_server() | {"/fhir/Patient": loopback.fhir(bundle(NAMED))}
    with loopback.serving(answers) as running:
        yield running


def search(visitor: Visitor, base: str, name: str = "Ada") -> str:
    answer = visitor.post("/fhir", {"base": base, "name": name})
    assert answer.status_code == 200
    return answer.text


def test_a_patient_is_found_by_name_and_judged_from_what_the_server_has(visitor: Visitor, server: loopback.Server):
    found = search(visitor, server.base)
    assert "Ada Example" in found
    assert "born 1951-03-09" in found
    assert server.paths == ["/fhir/Patient?name=Ada&_count=20"]
    page = visitor.post("/fhir/cards", {"base": server.base, "patient": "pt-1", "name": "Ada"})
    assert page.status_code == 200
    assert any(path.startswith("/fhir/Observation?") for path in server.paths)
    assert label(page) == "not-tested" or summaries(page)
    assert "&#34;fhirServer&#34;" in page.text or '"fhirServer"' in page.text
    printed = visitor.post("/evidence", fields(page, "state"))
    assert printed.status_code == 200


def test_a_name_cannot_leave_its_place_in_the_query(visitor: Visitor, server: loopback.Server):
    search(visitor, server.base, "x&_count=9999#/../y")
    assert server.paths == ["/fhir/Patient?name=x%26_count%3D9999%23%2F..%2Fy&_count=20"]


def test_hostile_text_of_a_server_is_shown_as_text(visitor: Visitor):
    told = NAMED | {"id": HOSTILE, "name": [{"family": HOSTILE}], "gender": HOSTILE, "birthDate": HOSTILE}
    with loopback.serving({"/fhir/Patient": loopback.fhir(bundle(told))}) as server:
        assert "<script>alert" not in search(visitor, server.base)


@pytest.mark.parametrize(
    "odd",
    [
        {},
        [],
        {"resourceType": "Bundle", "entry": 7},
        {"resourceType": "OperationOutcome"},
        {
            "resourceType": "Bundle",
            "entry": [{"resource": {"resourceType": "Patient", "id": "x", "name": [7, {"given": "x", "family": 3}]}}],
        },
    ],
)
def test_an_odd_answer_of_a_server_is_no_failure_of_ours(visitor: Visitor, odd: object):
    with loopback.serving({"/fhir/Patient": loopback.fhir(odd)}) as server:
        search(visitor, server.base)


@pytest.mark.parametrize(
    "base, said",
    [
        ("https://fhir.example.org/r4", "not among the allowed FHIR bases"),
        ("http://127.0.0.1:8000/fhir", "the fhirServer is this service"),
        ("http://127.0.0.1:1/fhir", "cannot be reached"),
        ("file:///etc/passwd", "not an address that can be called"),
        ("", "not an address that can be called"),
        (HOSTILE, "not an address that can be called"),
    ],
)
def test_a_server_that_may_not_or_cannot_be_called_is_said(visitor: Visitor, base: str, said: str):
    for path in ("/fhir", "/fhir/cards"):
        page = visitor.post(path, {"base": base, "name": "Ada", "patient": "pt-1"})
        assert page.status_code == 200
        if path == "/fhir" or "reached" not in said:
            assert said in page.text
        assert "<script>alert" not in page.text


def test_a_server_that_refuses_is_said(visitor: Visitor):
    with loopback.serving({"/fhir/Patient": loopback.status(403)}) as server:
        assert "does not give access" in search(visitor, server.base)


def test_data_that_the_server_does_not_give_is_said(visitor: Visitor):
    with loopback.serving({}) as server:
        page = visitor.post("/fhir/cards", {"base": server.base, "patient": "pt-1"})
    assert "required data is missing" in page.text
