"""Items 62 to 70 of the protocol checklist over HTTP: which FHIR server is called, with what, and what is never told.

How single calls fail is in tests/fhir/test_outgoing.py; which status follows in test_checklist_prefetch.py.
"""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from typing import Any

import pytest

from cds_service.http.addresses import leads_here
from tests.fhir import loopback
from tests.hooks.calling import Caller, body, request
from tests.hooks.living import bundle, fhir_server, missing, post, prefetch, says_deficient

TOKEN = "tOkEn-nobody-may-see"


def granted(**changed: Any) -> dict[str, Any]:
    told = {
        "access_token": TOKEN,
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "patient/*.read",
        "subject": "b12",
    }
    return {name: value for name, value in {**told, **changed}.items() if value is not ...}


def ask(server: loopback.Server, authorization: Any = ..., **changed: Any):
    return post(body(prefetch=..., fhirServer=server.base, fhirAuthorization=authorization, **changed))


def test_items_62_and_65_the_token_goes_with_every_call():
    with loopback.serving(fhir_server()) as server:
        assert says_deficient(ask(server, granted()))
        assert len(server.requests) > 10
        assert {each.headers["Authorization"] for each in server.requests} == {f"Bearer {TOKEN}"}


def test_items_57_and_62_without_authorization_this_machine_is_asked_without_a_token():
    with loopback.serving(fhir_server()) as server:
        assert says_deficient(ask(server))
        assert not any("Authorization" in each.headers for each in server.requests)


@pytest.mark.parametrize("expires", [300, 300.0, "300", ..., None, "soon", {}])
@pytest.mark.parametrize("scope", ["patient/Observation.rs", "Observation.Read (Labs) (R4)", "", ..., None, 5])
def test_items_63_and_67_scope_and_expiry_come_in_many_forms(expires, scope):
    read = request(fhirServer="http://127.0.0.1:1/fhir", fhirAuthorization=granted(expires_in=expires, scope=scope))
    assert read.fhir_access.token == TOKEN
    assert read.fhir_access.lifetime == (300 if expires in (300, "300") else None)


@pytest.mark.parametrize(
    "authorization",
    [
        granted(token_type="DPoP"),
        granted(access_token="a\nb"),
        granted(access_token=5),
    ],
)
def test_item_63_a_token_that_cannot_be_used_is_no_access_rather_than_access_without_one(authorization):
    with loopback.serving(fhir_server()) as server:
        assert missing(ask(server, authorization)) == ["patient", "b12", "fhirServer"]
        assert not server.requests


@pytest.mark.parametrize("told", ["pt-2", "Patient/pt-2"])
def test_item_64_a_token_for_another_patient_is_not_used(told):
    with loopback.serving(fhir_server()) as server:
        assert missing(ask(server, granted(patient=told))) == ["patient", "b12", "fhirServer"]
        assert not server.requests
    caller = Caller()
    caller.post(body(fhirServer=server.base, fhirAuthorization=granted(patient=told)))
    assert "token-for-another-patient" in caller.log.getvalue()


@pytest.mark.parametrize("told", ["pt-1", "Patient/pt-1", "", None, 7])
def test_item_64_a_token_for_this_patient_is(told):
    with loopback.serving(fhir_server()) as server:
        assert says_deficient(ask(server, granted(patient=told)))


@pytest.mark.parametrize("status", [200, 401, 500])
def test_item_66_the_token_is_in_no_log_no_answer_and_no_repr(status):
    heard = io.StringIO()
    with loopback.serving(fhir_server()) as server, redirect_stderr(heard):
        if status != 200:
            server.answers = dict.fromkeys(server.answers, loopback.status(status))
        caller = Caller()
        told = body(fhirServer=server.base, fhirAuthorization=granted(), prefetch=...)
        seen = [ask(server, granted()).text, caller.post(told).text, caller.log.getvalue(), heard.getvalue()]
        seen += [repr(each) for each in (request(**told), caller.answers.calls)]
        seen += [post({**told, "hook": 1}).text]
    assert not [text for text in seen if TOKEN in text]


def test_item_68a_every_search_refuses_an_answer_from_a_cache():
    with loopback.serving(fhir_server()) as server:
        ask(server)
        assert {each.headers["Cache-Control"] for each in server.requests} == {"no-cache"}


def test_item_68a_an_unknown_patient_is_told_by_the_read_not_by_empty_searches():
    answers = {path: loopback.fhir(bundle()) for path in fhir_server()} | {"/fhir/Patient/pt-1": loopback.status(404)}
    with loopback.serving(answers) as server:
        assert missing(ask(server)) == ["patient"]


def test_item_68b_an_environment_of_proxies_and_password_files_changes_nothing(monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with loopback.serving(fhir_server()) as server:
        assert says_deficient(ask(server, granted()))
        assert server.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    "base",
    [
        "http://169.254.169.254/latest",
        "http://10.0.0.1/fhir",
        "https://ehr.example.org/fhir",
        "http://127.1/fhir",
        "file:///etc/passwd",
        "http://localhost.example.org/fhir",
        "http://user@127.0.0.1/fhir",
        "https://127.0.0.1/fhir",
        "gopher://127.0.0.1/",
        "x",
        "",
    ],
)
def test_item_69_a_base_that_is_not_allowed_is_never_called_and_its_keys_are_missing(base):
    assert missing(post(body(prefetch=..., fhirServer=base))) == ["patient", "b12", *(["fhirServer"] if base else [])]
    assert says_deficient(post(body(prefetch=prefetch(), fhirServer=base)))


def test_item_69_this_service_is_no_fhir_server_of_its_own():
    with loopback.serving(fhir_server()) as server:
        port = str(server.server_port)
        request = body(prefetch=..., fhirServer=server.base)
        refused = post(request, SERVER_PORT=port, HTTP_HOST=f"127.0.0.1:{port}")
        assert missing(refused) == ["patient", "b12", "fhirServer"]
        assert not server.requests
    assert leads_here("http://localhost:8000/fhir", "8000")
    assert not leads_here("http://localhost:8001/fhir", "8000")
    assert not leads_here("https://ehr.example.org:8000/fhir", "8000")
    assert not leads_here("no address", "8000")


@pytest.mark.parametrize("expires", [0, -5])
def test_item_70_a_token_that_has_expired_is_not_used(expires):
    with loopback.serving(fhir_server()) as server:
        assert missing(ask(server, granted(expires_in=expires))) == ["patient", "b12", "fhirServer"]
        assert not server.requests
