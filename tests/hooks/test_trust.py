"""Tokens: which signature is believed, by the items 118 to 128 of the protocol checklist. Keys and time are given.

The specification's own example is not among them: its public key is printed in the specification, not here.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.auth.keys import ALGORITHMS
from cds_service.auth.tokens import Issuer
from tests.hooks.tokens import EVERY, ISS, PUBLIC, believed, claims, encoded, jwks, key, signed


def hmac_signed(algorithm: str, secret: bytes, kid: str) -> str:
    signing = encoded({"alg": algorithm, "typ": "JWT", "kid": kid}) + "." + encoded(claims())
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[algorithm]
    return signing + "." + encoded(hmac.new(secret, signing.encode(), digest).digest())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_items_118_and_125_a_token_signed_with_the_key_on_record_is_believed(algorithm):
    assert believed(signed(algorithm=algorithm)) == ""


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "PS384"])
def test_item_125_without_configuration_only_the_recommended_algorithms_are_taken(algorithm):
    assert believed(signed(algorithm=algorithm), Issuer(ISS, PUBLIC)) == "alg"
    assert believed(signed(), Issuer(ISS, PUBLIC)) == believed(signed(algorithm="RS384"), Issuer(ISS, PUBLIC)) == ""


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE"])
def test_item_125_no_signature_is_no_signature(name):
    bare = encoded({"alg": name, "typ": "JWT", "kid": "kid-ES384"}) + "." + encoded(claims()) + "."
    assert believed(bare) == "alg"
    assert believed(bare + signed().rpartition(".")[2]) == "alg"


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_item_125_a_public_key_is_no_shared_secret(algorithm):
    public = key("RS384")
    for secret in (public.as_pem(private=False), json.dumps(public.as_dict(private=False)).encode(), b""):
        assert believed(hmac_signed(algorithm, secret, public.kid)) == "alg"


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"crit": []},
        {"b64": True},
        {"jwk": key("ES384", "mine").as_dict(private=False)},
        {"x5u": "https://evil.example.org/c.pem"},
        {"x5c": ["MIIB"]},
    ],
    ids=lambda header: "a jwk" if "jwk" in header else str(header),  # that one is another in each run
)
def test_item_125_a_token_does_not_bring_its_own_key_or_rules(header):
    by = key("ES384", "mine") if "jwk" in header else key()
    head = {"alg": "ES384", "typ": "JWT", "kid": "kid-ES384", **header}
    good = signed(by=by, kid="kid-ES384")
    why, first = believed(encoded(head) + "." + good.partition(".")[2]), next(iter(header))
    # with b64 false the claims would have to stand there unencoded, and are not even read
    assert why == ("claims missing or of the wrong type" if header.get("b64") is False else f"header {first}")


def test_item_123_the_signature_must_fit_the_key_on_record():
    assert believed(signed(by=key("ES384", "other"), kid="kid-ES384")) == "signature"
    head, told, signature = signed().split(".")
    forged = encoded({**claims(), "tenant": "x"})
    assert believed(f"{head}.{forged}.{signature}", replace(EVERY, tenants=("x",))) == "signature"
    assert believed(f"{head}.{told}.{encoded(bytes(96))}") == "signature"
    assert believed(f"{head}.{told}.{signature[:-4]}") == "signature"
    assert believed(f"{head}.{told}.") == "signature"


@pytest.mark.parametrize(
    "kid", ["kid-RS384", "kid-ES256", "unknown", "", ..., 5, None, "kid-ES384 "], ids=repr
)  # fmt: skip
def test_items_119_and_128_the_kid_names_the_key_and_the_key_fits_the_algorithm(kid):
    assert believed(signed(kid=...).partition(".")[2]) == "no token"
    head = {"alg": "ES384", "typ": "JWT", "kid": kid}
    if kid is ...:
        del head["kid"]
    assert believed(encoded(head) + "." + signed().partition(".")[2]) in ("kid", "kid: no such key on record")


def test_item_128_a_key_for_another_algorithm_or_use_does_not_serve():
    assert believed(signed(algorithm="RS256"), keys=jwks(key("RS256"), alg="RS384")).startswith("kid")
    assert believed(signed(), keys=jwks(key(), use="enc")).startswith("kid")
    assert believed(signed(), keys=jwks(key(), alg="ES384")) == ""


def test_item_119_a_type_that_is_said_is_jwt():
    assert believed(signed(typ=...)) == believed(signed(typ="jwt")) == ""
    assert [believed(signed(typ=each)) for each in ("at+jwt", "JOSE")] == ["typ", "typ"]


def test_item_122_an_address_of_keys_is_accepted_only_if_it_is_on_record():
    address = "https://ehr.example.org/keys.json"
    assert believed(signed(jku=address)) == "jku"
    known = replace(EVERY, key_addresses=(address,))
    assert believed(signed(jku=address), known) == ""
    assert believed(signed(), known) == ""
    assert believed(signed(jku=address + "?x"), known) == "jku"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "..",
        "a.b.c",
        "a.b.c.d.e",
        "é.é.é",
        encoded([]) + ".." ,
        encoded(["alg"]) + "." + encoded(claims()) + ".",
        encoded(7) + "." + encoded(claims()) + ".x",
        encoded(b"[" * 1_200) + "." + encoded({}) + ".",
        encoded({"alg": "ES384", "kid": "k"}) + "." + encoded(b"[" * 4_000) + ".AAAA",
        encoded({"alg": "ES384", "kid": "k"}) + "." + encoded(b'{"x":' + b"[" * 4_000) + ".AAAA",
        encoded({"alg": "ES384", "kid": "k"}) + "." + encoded(b'"\xff"') + ".AAAA",
        encoded({"alg": "ES384", "kid": "k"}) + "." + encoded({**claims(), "iss": "\ud800"}) + ".AAAA",
        "x" * 100_000,
    ],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_what_is_no_token_is_not_believed_and_breaks_nothing(text):
    assert believed(text)


@given(st.data())
def test_no_token_that_is_changed_anywhere_is_believed(data):
    good = signed()
    place = data.draw(st.integers(0, len(good) - 1))
    sign = data.draw(st.characters(codec="utf-8"))
    changed = good[:place] + sign + good[place + 1 :]
    assert (changed == good) == (believed(changed) == "")


@given(st.dictionaries(st.sampled_from(["alg", "kid", "typ", "jku", "x"]), st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.lists(st.text(max_size=3), max_size=2),
    st.sampled_from(["ES384", "kid-ES384", "JWT"]),
)))  # fmt: skip
def test_an_odd_header_breaks_nothing(header):
    believed(encoded(header) + "." + signed().partition(".")[2])
