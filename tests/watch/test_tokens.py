"""SMART Backend Services: who the watcher is, signed; one token for many calls; a new one when it is refused."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import pytest
from joserfc import jwt

from cds_service.auth.backend_tokens import ASSERTION
from cds_service.auth.watching import Credentials
from cds_service.fetching import FetchFailed
from cds_service.watch.fhir_server import FhirServer
from tests.hooks.tokens import key
from tests.watch.fhir_store import FhirStore, serving
from tests.watch.patients import b12, look, person, watch, watcher

KEY = key("ES384", "watch")


class Endpoint:
    """A token endpoint that believes nobody whom it cannot verify."""

    def __init__(self, store: FhirStore) -> None:
        self.store, self.seen, self.answer = store, [], {"token_type": "Bearer", "expires_in": 300}
        store.tokens, store.token_endpoint = set(), self

    @property
    def url(self) -> str:
        return self.store.base.replace("/fhir", "/token")

    def __call__(self, body: bytes) -> tuple[int, dict[str, Any]]:
        form = {name: value for name, (value,) in parse_qs(body.decode(), strict_parsing=True).items()}
        assert (form["grant_type"], form["client_assertion_type"]) == ("client_credentials", ASSERTION)
        public = KEY.import_key(KEY.as_dict(private=False))
        token = jwt.decode(form["client_assertion"], public, algorithms=["ES384"])
        claims = token.claims
        assert token.header["kid"] == "watch"
        assert claims["iss"] == claims["sub"] == "b12-watch" and claims["aud"] == self.url
        assert 0 < claims["exp"] - self.store.now.timestamp() <= 300
        assert claims["jti"] not in self.seen
        self.seen.append(claims["jti"])
        issued = f"token-{len(self.seen)}"
        self.store.tokens = {issued}
        return 200, {"access_token": issued, "scope": form["scope"], **self.answer}


def credentials(endpoint: Endpoint) -> Credentials:
    return Credentials("b12-watch", KEY, "ES384", endpoint.url, "system/*.rs system/Task.cu")


@pytest.fixture
def endpoint():
    store = FhirStore()
    store.put(person("p1"))
    store.put(b12("p1", 95))
    with serving(store):
        yield Endpoint(store)


def test_one_token_serves_many_calls_and_a_refused_one_is_replaced(endpoint, tmp_path):
    with watcher(endpoint.store, tmp_path, by=FhirServer, credentials=credentials(endpoint)) as watching:
        look(watching)
        assert len(endpoint.seen) == 1 and len(endpoint.store.open_tasks) == 1
        endpoint.store.tokens = {"nobody's"}  # as after a restart of the server
        look(watching)
        look(watching)
        assert len(endpoint.seen) == 2 and watching.waiting == 0
        assert "token-1" not in str(watching.of.log.lines)


def test_a_token_that_ends_is_renewed_before(endpoint):
    endpoint.answer["expires_in"] = 20  # less than is left over
    server = FhirServer(watch(endpoint.store, credentials=credentials(endpoint)), None, 1_000_000)
    try:
        for _ in range(2):
            list(server.open_tasks(endpoint.store.now.timestamp()))
        assert len(endpoint.seen) == 2
    finally:
        server.close()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((401, {"error": "invalid_client"}), "no token: the token server answers with HTTP status 401"),
        ((200, {"expires_in": 5}), "no token: the answer of the token server holds none"),
        ((200, {"access_token": "t", "token_type": "mac"}), "no token: the token server gave one of another kind"),
    ],
)
def test_without_a_token_nothing_is_called_and_it_is_said_why(endpoint, answer, why):
    given, endpoint.store.token_endpoint = endpoint, lambda _: answer
    server = FhirServer(watch(endpoint.store, credentials=credentials(given)), None, 1_000_000)
    try:
        with pytest.raises(FetchFailed, match=why):
            server.fetch(0)
    finally:
        server.close()
    assert endpoint.store.reads == 0
