"""The token endpoint of an authorization server that is slow, large, elsewhere, or says more than it should."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from cds_service.fetching import FetchFailed
from cds_service.http.addresses import Policy, parse_base
from cds_service.http.oauth import LARGEST, OAuthClient, TokenRefused, fetch_token, oauth_session
from tests.fhir import loopback

SECRET = "seCret-of-the-server"
TOKEN = {"access_token": "x", "token_type": "Bearer", "patient": "pt-1"}


@pytest.fixture
def server() -> Iterator[loopback.Server]:
    with loopback.serving() as server:
        yield server


def asked(server: loopback.Server, answer: loopback.Answer, path: str = "/token", seconds: float = 5) -> dict:
    """The answer of the token endpoint to a code."""
    origin = server.base.removesuffix("/fhir")
    server.answers[path] = answer
    policy = Policy(bases=(parse_base(origin),), below=True)
    with oauth_session(OAuthClient("b12-cds"), policy, time.time(), redirect_uri="https://cds.example.org") as session:
        return dict(fetch_token(session, origin + path, seconds, grant_type="authorization_code", code="c"))


def test_a_token_comes_with_what_is_said_beside_it(server: loopback.Server):
    assert asked(server, loopback.fhir(TOKEN))["patient"] == "pt-1"


@pytest.mark.parametrize("answer, says", [
    (loopback.status(302, Location="http://127.0.0.1:1/elsewhere"), "holds no token"),
    (loopback.body(b"<html>" + SECRET.encode()), "cannot be read"),
    (loopback.body(SECRET.encode(), 503), "cannot be read"),
    (loopback.body(b'{"access_token": "' + b"x" * LARGEST + b'"}'), "too large"),
    (loopback.never, "no answer in time"),
    (loopback.reset, "cannot be reached"),
    (loopback.half(b"{}"), "broke off"),
], ids=["redirect", "html", "503", "large", "never", "reset", "half"])  # fmt: skip
def test_without_a_whole_answer_there_is_no_token(server: loopback.Server, answer: loopback.Answer, says: str):
    with pytest.raises(FetchFailed) as failed:
        asked(server, answer, seconds=1 if answer is loopback.never else 20)
    assert says in str(failed.value)
    assert SECRET not in str(failed.value) and "FHIR" not in str(failed.value)
    assert len(server.paths) == 1


@pytest.mark.parametrize("error, code", [("invalid_grant", "invalid_grant"), (SECRET, ""), (1, "")])
def test_an_error_is_repeated_only_by_a_code_that_is_known(server: loopback.Server, error: object, code: str):
    said = {"error": error, "error_description": SECRET}
    with pytest.raises(TokenRefused) as refused:
        asked(server, loopback.body(json.dumps(said).encode(), 400))
    assert (refused.value.code, str(refused.value)) == (code, code)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/token", "https://evil.example.org/token",
                                     "http://login.example.org/token"])  # fmt: skip
def test_no_other_address_is_called_and_no_secret_is_sent_in_clear(address: str):
    policy = Policy(bases=(parse_base("https://login.example.org"), parse_base("http://login.example.org")), below=True)
    with (
        oauth_session(OAuthClient("b12-cds"), policy, time.time()) as session,
        pytest.raises(FetchFailed, match=r"not among|without encryption"),
    ):
        fetch_token(session, address, 5, grant_type="authorization_code", code="c")
