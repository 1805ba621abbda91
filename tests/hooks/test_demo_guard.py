"""Demo mode is closed (issue 3, "What a user gets"), and pages of other origins read only what they may (item 130)."""

from __future__ import annotations

import pytest

from cds_service.web.access import allowed_origin, host_name, is_loopback
from tests.hooks.calling import PATH, Answers, Caller, body, outcome

LISTED = frozenset(("https://app.example.org",))
LOOPBACK_HOSTS = [
    "127.0.0.1",
    "127.0.0.1:8000",
    "localhost",
    "localhost:1",
    "LOCALHOST:8000",
    "[::1]:8000",
    "127.8.8.8",
]
OTHER_HOSTS = [
    "", "example.org", "example.org:8000", "localhost.example.org", "127.0.0.1.nip.io", "10.0.0.5", "0.0.0.0", "::1",
    "localhost@example.org", "example.org#localhost", "localhost/", "localhost:0", "localhost:x", "[::1", "[fe80::1]",
    "2130706433", "127.1", "0x7f000001", "localhost, example.org", "localhost example.org", "169.254.169.254",
]  # fmt: skip
LOOPBACK_ORIGINS = ["http://localhost", "http://localhost:3000", "https://127.0.0.1:8443", "http://[::1]:5000"]
OTHER_ORIGINS = [
    "null", "", "https://example.org", "http://localhost.example.org", "https://app.example.org.evil.example",
    "http://app.example.org", "https://app.example.org:8443", "file://", "localhost", "//localhost", "ftp://localhost",
    "http://localhost http://example.org", "http://example.org@localhost/", "http://localhost/page", "chrome-extension://x",
]  # fmt: skip


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.0.0.53", "::1", "::ffff:127.0.0.1"])
def test_a_caller_on_this_machine_is_answered(peer):
    assert Caller().get("/cds-services", environ={"REMOTE_ADDR": peer}).status_code == 200


@pytest.mark.parametrize(
    "peer", ["10.0.0.1", "192.168.1.2", "8.8.8.8", "::ffff:10.0.0.1", "fe80::1", "", "localhost.evil"]
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("GET", "/cds-services"), ("POST", PATH), ("GET", "/none"), ("OPTIONS", PATH)]
)
def test_a_caller_from_elsewhere_gets_403_on_any_address(peer, method, path):
    caller = Caller()
    response = caller.open(method, path, environ={"REMOTE_ADDR": peer})
    assert response.status_code == 403
    assert outcome(response)[0]["code"] == "forbidden"
    assert not caller.answers.calls
    assert '"status": 403' in caller.log.getvalue()


@pytest.mark.parametrize("host", LOOPBACK_HOSTS)
def test_a_loopback_host_is_answered(host):
    assert Caller().get("/cds-services", environ={"HTTP_HOST": host}).status_code == 200


@pytest.mark.parametrize("host", OTHER_HOSTS)
def test_another_host_gets_403(host):
    assert Caller().get("/cds-services", environ={"HTTP_HOST": host}).status_code == 403


@pytest.mark.parametrize("origin", [*LOOPBACK_ORIGINS, "https://app.example.org", "https://APP.example.org"])
def test_a_page_of_this_machine_or_of_the_list_is_answered_and_may_read_it(origin):
    response = Caller(origins=LISTED).post(body(), headers={"Origin": origin})
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == origin
    assert response.headers["Vary"] == "Origin"


@pytest.mark.parametrize("origin", OTHER_ORIGINS)
@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
def test_any_other_page_gets_403_and_may_not_read_why(origin, method):
    response = Caller(origins=LISTED).open(method, PATH, headers={"Origin": origin})
    assert response.status_code == 403
    assert "Access-Control-Allow-Origin" not in response.headers
    assert response.headers["Vary"] == "Origin"


FORWARDED = {
    "X-Forwarded-For": "127.0.0.1",
    "X-Forwarded-Host": "localhost",
    "X-Forwarded-Proto": "https",
    "X-Real-IP": "127.0.0.1",
    "Forwarded": "for=127.0.0.1;host=localhost",
}


def test_forwarded_headers_let_nobody_in_and_keep_nobody_out():
    assert Caller().get("/cds-services", headers=FORWARDED, environ={"REMOTE_ADDR": "10.0.0.1"}).status_code == 403
    assert Caller().get("/cds-services", headers=FORWARDED, environ={"HTTP_HOST": "example.org"}).status_code == 403
    outside = dict.fromkeys(FORWARDED, "10.0.0.1")
    assert Caller().get("/cds-services", headers=outside).status_code == 200


def test_outside_of_demo_mode_only_listed_pages_may_read_and_nobody_is_kept_out_here():
    caller = Caller(demo=False, origins=LISTED)
    elsewhere = {"REMOTE_ADDR": "10.0.0.1", "HTTP_HOST": "cds.example.org"}
    listed = caller.get("/cds-services", headers={"Origin": "https://app.example.org"}, environ=elsewhere)
    assert listed.headers["Access-Control-Allow-Origin"] == "https://app.example.org"
    other = caller.get("/cds-services", headers={"Origin": "http://localhost:3000"}, environ=elsewhere)
    assert other.status_code == 200
    assert "Access-Control-Allow-Origin" not in other.headers


def preflight(caller: Caller, path: str, method: str, headers: str):
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    return caller.open("OPTIONS", path, headers={"Origin": "http://localhost:3000", **asked})


@pytest.mark.parametrize(("path", "method"), [("/cds-services", "GET"), (PATH, "POST")])
def test_item_130_a_preflight_needs_no_token(path, method):
    response = preflight(Caller(), path, method, "authorization,content-type")
    assert response.status_code == 200
    assert response.data == b""
    assert response.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert method in response.headers["Access-Control-Allow-Methods"].split(", ")
    assert response.headers["Access-Control-Allow-Headers"] == "authorization, content-type"
    assert response.headers["Vary"] == "Origin"


def test_a_public_page_that_is_listed_may_call_into_this_machine():
    asked = {"Origin": "https://app.example.org", "Access-Control-Request-Private-Network": "true"}
    response = Caller(origins=LISTED).open("OPTIONS", PATH, headers=asked)
    assert response.headers["Access-Control-Allow-Private-Network"] == "true"


@pytest.mark.parametrize(
    ("answers", "sent", "path", "status"),
    [
        (Answers(), b"no JSON", PATH, 400),
        (Answers(), body(), "/cds-services/none", 404),
        (Answers(), body(), "/cds-services", 405),
        (Answers(missing=("b12",)), body(), PATH, 412),
        (Answers(bug=ValueError()), body(), PATH, 500),
    ],
)
def test_item_130_errors_carry_the_headers_too(answers, sent, path, status):
    response = Caller(answers).post(sent, path, headers={"Origin": "http://localhost:3000"})
    assert response.status_code == status
    assert response.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert response.headers["Vary"] == "Origin"


def test_without_an_origin_the_answer_still_varies_by_it():
    assert Caller().get("/cds-services").headers["Vary"] == "Origin"


def test_no_name_is_looked_up():
    assert not is_loopback("ip6-localhost")
    assert host_name("[::1]:80") == "::1"
    assert not allowed_origin("http://localhost:3000", frozenset(), demo=False)
