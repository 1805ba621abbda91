"""Who is signed in: an id_token is believed only with a signature of the issuer, for us, now, for this launch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from joserfc import jwt

from cds_service.auth.clients import Client, FhirBase
from cds_service.auth.keys import KeySource
from cds_service.auth.launching import SmartApp
from cds_service.auth.tokens import Issuer
from cds_service.http.addresses import parse_base
from cds_service.smart.faults import LaunchFault
from cds_service.smart.launch import NOT_SAID, identity, person
from cds_service.smart.servers import RecordSystem, SmartConfiguration
from tests.book import service
from tests.fhir import loopback
from tests.hooks.tokens import jwks, key

NOW = time.time()
GOOD = {"iss": "https://login.example.org", "aud": "b12-cds", "exp": NOW + 300, "iat": NOW, "nonce": "nonce",
        "sub": "1", "fhirUser": "https://ehr.example.org/fhir/Practitioner/gp-1"}  # fmt: skip


@pytest.fixture(scope="module")
def asked() -> Iterator[tuple[RecordSystem, SmartConfiguration]]:
    """A record system, and where the keys of its authorization server lie."""
    with loopback.serving({"/jwks": loopback.fhir(jwks(key("RS256", "theirs")))}) as server:
        base = FhirBase(parse_base(server.base), private=True)
        origin = server.base.removesuffix("/fhir")
        app = SmartApp("b12-cds", (parse_base(origin),), private=True)
        client = Client("main", Issuer("https://ehr.example.org", ""), KeySource(), (base,), smart=app)
        said = SmartConfiguration(f"{origin}/auth", f"{origin}/token", GOOD["iss"], f"{origin}/jwks")
        yield RecordSystem(client, base, service("uk-ng239"), lambda *_, **__: None), said


def signed(by: str = "theirs", algorithm: str = "RS256", **changed: Any) -> str:
    claims = {name: value for name, value in {**GOOD, **changed}.items() if value is not ...}
    return jwt.encode({"alg": algorithm, "kid": "theirs"}, claims, key(algorithm, by), algorithms=[algorithm])


def test_a_statement_of_the_issuer_is_believed(asked):
    assert person(identity(*asked, signed(), "nonce", NOW)) == "Practitioner/gp-1"
    assert identity(*asked, signed(aud=["b12-cds", "another"]), "nonce", NOW)["sub"] == "1"


@pytest.mark.parametrize("token", [
    signed(iss="https://evil.example.org"), signed(aud="another-app"), signed(exp=NOW - 120), signed(exp=...),
    signed(nonce="of-another-launch"), signed(nonce=...), signed("somebody"), signed(algorithm="ES384"),
    signed()[:-8] + "AAAAAAAA", signed().rpartition(".")[0] + ".", "", "a.b.c", "x" * 10_000,
    "eyJhbGciOiJub25lIiwia2lkIjoidGhlaXJzIn0." + signed().split(".")[1] + ".",  # alg: none
], ids=range(14))  # fmt: skip
def test_what_is_not_is_refused(asked, token: str):
    with pytest.raises(LaunchFault) as refused:
        identity(*asked, token, "nonce", NOW)
    assert refused.value.why == "id-token"


@pytest.mark.parametrize("claims, found", [
    ({"fhirUser": "Practitioner/1"}, "Practitioner/1"),
    ({"profile": "https://ehr.example.org/PractitionerRole/2"}, "PractitionerRole/2"),
    ({"fhirUser": "https://ehr.example.org/Device/2"}, NOT_SAID),
    ({"fhirUser": ["Practitioner/1"]}, NOT_SAID),
    ({}, NOT_SAID),
])  # fmt: skip
def test_who_it_is_is_a_fhir_reference_or_not_said(claims: dict, found: str):
    assert person(claims) == found
