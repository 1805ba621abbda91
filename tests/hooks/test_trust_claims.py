"""Tokens: issuer, audience, time and tenant, by items 113 and 120 to 127 of the protocol checklist."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from cds_service.auth.tokens import LONGEST_JTI, LONGEST_LIFE, SKEW
from tests.hooks.calling import PATH
from tests.hooks.tokens import EVERY, ISS, NOW, PUBLIC, believed, claims, key, signed


@pytest.mark.parametrize("name", ["iss", "aud", "exp", "iat", "jti"])
@pytest.mark.parametrize("value", [..., None, {}, True], ids=repr)
def test_item_120_what_a_token_must_say(name, value):
    assert believed(signed(claims(**{name: value}))) == "claims missing or of the wrong type"


@pytest.mark.parametrize("jti", ["", "x" * (LONGEST_JTI + 1)], ids=len)
def test_item_123a_a_jti_has_1_to_128_characters(jti):
    assert believed(signed(claims(jti=jti))) == "claims missing or of the wrong type"
    assert believed(signed(claims(jti="x" * LONGEST_JTI))) == ""


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize("number", ["1e400", "NaN", "Infinity", "-1", '"9999999999"', "99999999999999999999999"])
def test_item_120_times_that_are_no_times_are_refused(name, number):
    text = json.dumps({**claims(), name: 0}).replace(f'"{name}": 0', f'"{name}": {number}')
    if (name, number) != ("nbf", "-1"):
        assert believed(signed(text.encode()))


def test_item_122_another_issuer_is_not_this_one():
    assert believed(signed(claims(iss=ISS + "/"))) == "iss"


@pytest.mark.parametrize(
    "audience",
    [
        PUBLIC + PATH,
        PUBLIC + PATH + "/",
        [PUBLIC + PATH],
        ["https://elsewhere.example.org", PUBLIC + PATH + "/"],
        "sand_man",
        ["sand_man"],
        "https://cds.example.org/typed-by-hand",
    ],
)
def test_item_121_the_audience_is_the_endpoint_that_is_called_or_an_alias(audience):
    known = replace(EVERY, audiences=("sand_man", "https://cds.example.org/typed-by-hand/"))
    assert believed(signed(claims(aud=audience)), known) == ""
    assert believed(signed(claims(aud=PUBLIC + PATH)), replace(known, base_url=PUBLIC)) == ""


@pytest.mark.parametrize(
    "audience",
    [
        "",
        [],
        PUBLIC,
        PUBLIC + "/cds-services",
        PUBLIC + PATH + "//",
        PUBLIC + PATH + "/feedback",
        PUBLIC + PATH + "?x=1",
        PATH,
        "http://cds.example.org/b12" + PATH,
        "https://127.0.0.1:8000" + PATH,
        "sand_man",
    ],
)
def test_item_121_every_other_audience_is_refused(audience):
    assert believed(signed(claims(aud=audience))) == "aud"


def test_items_113_and_121_each_endpoint_is_an_audience_of_its_own():
    for path in ("/cds-services", PATH, PATH + "/feedback"):
        assert believed(signed(claims(aud=PUBLIC + path)), path=path) == ""
        assert believed(signed(claims(aud=PUBLIC + path)), path="/cds-services/other") == "aud"


def test_items_123_and_127_a_token_is_good_until_it_expires_with_a_minute_for_clocks():
    token = signed(claims(exp=NOW, iat=NOW - 300))
    assert believed(token, now=NOW + SKEW - 1) == ""
    assert believed(token, now=NOW + SKEW) == "exp: expired"
    assert believed(signed(claims(exp=NOW + 0.5, iat=NOW - 0.5))) == ""


def test_item_127_a_token_lives_an_hour_at_most():
    assert believed(signed(claims(exp=NOW + LONGEST_LIFE))) == ""
    assert believed(signed(claims(exp=NOW + LONGEST_LIFE + 1))) == "exp: lives too long"
    assert believed(signed(claims(exp=NOW + 9_000, iat=NOW + 8_000))) == "exp: lives too long"


def test_item_127_a_token_of_the_future_is_not_good_yet():
    assert believed(signed(claims(iat=NOW + SKEW))) == believed(signed(claims(nbf=NOW + SKEW))) == ""
    assert believed(signed(claims(iat=NOW + SKEW + 1))) == "iat"
    assert believed(signed(claims(nbf=NOW + SKEW + 1))) == "nbf"
    assert believed(signed(claims(iat=NOW + 30, exp=NOW + 30))) == "iat"


@pytest.mark.parametrize(
    ("tenants", "sent", "why"),
    [((), ..., ""), ((), "a", "tenant"), (("a", "b"), "b", ""), (("a",), "b", "tenant"), (("a",), ..., "tenant")],
)
def test_item_123_the_tenant_is_one_of_the_client(tenants, sent, why):
    assert believed(signed(claims(tenant=sent)), replace(EVERY, tenants=tenants)) == why


def test_item_126_extra_claims_and_header_fields_are_tolerated():
    extra = {"nbf": NOW, "sub": "client-id", "com.example": {"x": [1]}, "exp": NOW + 900}
    assert believed(signed(claims(**extra), x5t="abc", kind="x")) == ""


def test_item_123_the_order_is_issuer_audience_expiry_tenant_signature():
    wrong = {"iss": "x", "aud": "x", "exp": NOW - 300, "iat": NOW - 600, "tenant": "x"}
    forged = {"by": key("ES384", "other"), "kid": "kid-ES384"}
    expected = ["iss", "aud", "exp: expired", "tenant", "signature"]
    whys = []
    for name in ("", "iss", "aud", "exp", "tenant"):
        wrong.pop(name, None)
        whys.append(believed(signed(claims(**wrong), **forged)))
    assert whys == expected
