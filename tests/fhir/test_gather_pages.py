"""Further pages are read from a real server on this machine, and none that lies elsewhere (items 54, 58, 62 to 70)."""

from __future__ import annotations

import pytest

from tests.fhir.loopback import Handler, Server, body, fhir, never, serving, status
from tests.fhir.small_ehr import (
    ERROR,
    PATIENT,
    QUERIES,
    b12,
    bundle,
    gathered,
)


def pages(server: Server, count: int, path: str = QUERIES["b12"]) -> None:
    """So many pages of one result each, the later ones as queries on the base itself."""
    for number in range(1, count + 1):
        following = f"{server.base}?_getpages=x&_offset={number}" if number < count else ""
        here = path if number == 1 else f"/fhir?_getpages=x&_offset={number - 1}"
        server.answers[here] = fhir(bundle(b12(number), following=following))


def test_pages_are_followed_to_the_end(server, fetch):
    pages(server, 7)
    found = gathered(fetch)
    assert found.states["b12"].state == "data"
    assert found.states["b12"].count == 7
    assert all("Authorization" in request.headers for request in server.requests)


def test_pages_of_what_the_client_sent_are_followed(server, fetch):
    pages(server, 3)
    first = bundle(b12(1), following=f"{server.base}?_getpages=x&_offset=1")
    found = gathered(fetch, {"patient": PATIENT, "b12": first})
    assert found.states["b12"].count == 3
    assert found.states["b12"].state == "data"
    assert "/fhir/Observation" not in " ".join(server.paths)


def test_pages_that_cannot_be_followed_leave_the_key_incomplete(server):
    found = gathered(None, {"patient": PATIENT, "b12": bundle(b12(1), following=f"{server.base}?_getpages=x")})
    assert found.states["b12"].state == "incomplete"
    assert found.states["b12"].reason == "further pages were not read"


@pytest.mark.parametrize(
    "link", ["{other}/fhir?page=2", "{origin}/fhir-evil?page=2", "{origin}/?page=2", "//{host}/fhir"]
)
def test_a_page_that_lies_elsewhere_is_not_asked_for(server, fetch, link):
    with serving() as other:
        place = {"other": f"http://127.0.0.1:{other.server_port}", "origin": server.base.removesuffix("/fhir")}
        url = link.format(**place, host=f"127.0.0.1:{other.server_port}")
        server.answers[QUERIES["b12"]] = fhir(bundle(b12(1), following=url))
        found = gathered(fetch)
        assert found.states["b12"].state == "incomplete"
        assert "further page" in found.states["b12"].reason
        assert other.requests == []
        assert len(server.requests) == 4


@pytest.mark.parametrize("answer", [status(500), fhir(ERROR), fhir(b12(2)), body(b"<html>"), never])
def test_a_page_that_fails_keeps_those_before_it(server, fetch, answer):
    pages(server, 3)
    server.answers["/fhir?_getpages=x&_offset=2"] = answer
    found = gathered(fetch, seconds=4, optional=3)
    assert found.states["b12"].state == "incomplete"
    assert found.states["b12"].count == 2


def test_pages_that_lead_in_a_circle_end(server, fetch):
    server.answers[QUERIES["b12"]] = fhir(bundle(b12(1), following=f"{server.base}?page=2"))
    server.answers["/fhir?page=2"] = fhir(bundle(b12(2), following=f"{server.base}?page=2"))
    found = gathered(fetch)
    assert found.states["b12"].reason == "the pages lead in a circle"
    assert found.states["b12"].state == "incomplete"


def test_ten_thousand_pages_are_not_read(server, fetch):
    def page(handler: Handler) -> None:
        number = int(handler.path.partition("offset=")[2] or 0) + 1
        fhir(bundle(b12(number), following=f"{server.base}?offset={number}", total=10_000))(handler)

    server.answers |= {QUERIES["b12"]: page, "/fhir": page}
    found = gathered(fetch)
    assert found.states["b12"].state == "incomplete"
    assert found.states["b12"].reason == "there are too many pages"
    assert found.states["b12"].count == 50
