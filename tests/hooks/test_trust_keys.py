"""Keys on record (item 128): which keys of a set are taken, and how a set is fetched again. Over real TLS."""

from __future__ import annotations

import json
import logging
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from cds_service.auth.admission import Admission, finder_of
from cds_service.auth.clients import Client, KeySource
from cds_service.auth.keys import AT_MOST_EVERY, FRESH, LARGEST, PATIENCE, STALE, WITHOUT_ANY, read_keys
from cds_service.auth.tokens import Issuer, MemoryOfTokens
from tests.endings import LATE, all_ended, until
from tests.fhir import loopback
from tests.hooks.calling import PATH
from tests.hooks.tokens import ISS, NOW, PUBLIC, claims, jwks, key, signed

KEYS = "/keys.json"


def taken(*entries: Any) -> tuple[list[str], tuple[str, ...]]:
    """The names of the keys that are taken of a set, and what is told of the others."""
    keys, wrong = read_keys(json.dumps({"keys": list(entries)}).encode())
    return [each.kid for each in keys], wrong


def public(made: Any, **changed: Any) -> dict[str, Any]:
    entry = {**made.as_dict(private=False), "kid": "k", **changed}
    return {name: value for name, value in entry.items() if value is not ...}


def test_item_128_keys_of_the_kinds_we_use_are_taken():
    entries = [public(key(algorithm), kid=algorithm) for algorithm in ("ES384", "ES256", "RS384")]
    assert taken(*entries) == (["ES384", "ES256", "RS384"], ())
    assert taken(public(key(), use=...), public(key(), key_ops=["verify"], use=...), public(key(), x="…")) == (
        ["k", "k"], ("key 3 cannot be read",)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (public(key(), use="enc"), ""),
        (public(key(), alg="ES512"), ""),
        (public(key(), alg="none"), ""),
        (public(key(), alg=5), ""),
        (public(key(), key_ops=["sign"]), ""),
        (public(OKPKey.generate_key("Ed25519")), ""),
        (public(key(), kid=...), "has no kid"),
        (public(key(), kid=5), "has no kid"),
        (public(ECKey.generate_key("P-521")), "on a curve that is not used; allowed: P-256, P-384"),
        (public(key(), crv="P-256"), "cannot be read"),
        (public(key("RS384"), n="AQAB"), "cannot be read"),
        (public(key("RS384"), e=...), "cannot be read"),
        (key().as_dict(private=True), "is a private or shared key"),
        (OctKey.generate_key(256, {"kid": "k"}).as_dict(private=True), "is a private or shared key"),
        ({"kty": 5}, "is no JSON Web Key"),
        (5, "is no JSON Web Key"),
    ],
)
def test_items_125_and_128_other_keys_are_left_out_and_named(entry, says):
    names, wrong = taken(entry)
    assert names == []
    assert says in "".join(wrong)
    assert bool(wrong) == bool(says)


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_a_short_rsa_key_is_too_weak():
    assert taken(public(RSAKey.generate_key(1024))) == ([], ("key 1 has 1024 bits; allowed: 2048 to 8192",))


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys":' + b"[" * 9_000, b"\xff", b"<html>"])
def test_what_is_no_key_set_is_told(raw):
    with pytest.raises(ValueError, match="not a JSON Web Key Set"):
        read_keys(raw)


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1, as a file for who calls and ready for who answers."""
    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, secret.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(secret, hashes.SHA256())
    )
    file, both = folder / "ca.pem", folder / "both.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = secret.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    both.write_bytes(plain + file.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return file, context


class Fetched:
    """A client whose keys lie on a real https server, and what was noted for the log."""

    def __init__(self, server: loopback.Server, ca_file: Path, private: bool = True):
        self.server, self.notes = server, []
        url = f"https://127.0.0.1:{server.server_port}{KEYS}"
        self.client = Client("main", Issuer(ISS, PUBLIC), KeySource(url=url, private=private), ca_file=str(ca_file))
        self.find_key = finder_of(self.client, self.note)

    def note(self, level: int, event: str, **told: Any) -> None:
        self.notes.append({"level": level, "event": event, **told})

    def serve(self, *keys: Any) -> None:
        self.server.answers[KEYS] = loopback.fhir(jwks(*keys))

    def finds(self, kid: str, now: float, algorithm: str = "ES384") -> bool:
        return self.find_key(kid, algorithm, now) is not None

    @property
    def fetches(self) -> int:
        return len(self.server.requests)

    @property
    def why(self) -> str:
        return self.notes[-1].get("why", "")


@contextmanager
def key_server(folder: Path, **given: Any) -> Iterator[Fetched]:
    ca_file, context = certificate(folder)
    with loopback.serving() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        fetched = Fetched(server, ca_file, **given)
        fetched.serve(key())
        yield fetched


def test_item_128_keys_are_fetched_when_first_needed_and_then_kept(tmp_path):
    with key_server(tmp_path) as fetched:
        assert fetched.fetches == 0
        assert all(fetched.finds("kid-ES384", NOW + seconds) for seconds in (0, 1, 3_000))
        assert fetched.fetches == 1
        assert "Authorization" not in fetched.server.requests[0].headers
        told = {"level": logging.INFO, "event": "keys fetched", "client": "main", "keys": 1, "left_out": []}
        assert fetched.notes == [told]


def test_item_128_an_unknown_kid_is_worth_one_fetch_every_five_minutes(tmp_path):
    with key_server(tmp_path) as fetched:
        assert fetched.finds("kid-ES384", NOW)
        fetched.serve(key(), key("ES384", "next"))
        assert not fetched.finds("next", NOW + AT_MOST_EVERY - 1)
        assert fetched.fetches == 1
        assert fetched.finds("next", NOW + AT_MOST_EVERY)
        assert not any(fetched.finds("forged", NOW + AT_MOST_EVERY + seconds) for seconds in range(0, 299, 13))
        assert fetched.fetches == 2


def test_item_128_many_callers_at_once_are_one_fetch(tmp_path):
    with key_server(tmp_path) as fetched:
        fetched.server.answers[KEYS] = loopback.after(0.3, loopback.fhir(jwks(key())))
        found: list[bool] = []
        callers = [threading.Thread(target=lambda: found.append(fetched.finds("kid-ES384", NOW))) for _ in range(8)]
        [each.start() for each in callers]
        all_ended(callers)
        assert found == [True] * 8
        assert fetched.fetches == 1


def test_item_128_a_set_that_is_an_hour_old_is_fetched_again_and_nobody_waits_for_it(tmp_path):
    with key_server(tmp_path) as fetched:
        assert fetched.finds("kid-ES384", NOW)
        go_on = threading.Event()
        fetched.server.answers[KEYS] = loopback.held(go_on, loopback.fhir(jwks(key("ES384", "next"))))
        assert fetched.finds("kid-ES384", NOW + FRESH)
        assert len(fetched.notes) == 1, "the new set has not come yet, and was not waited for"
        go_on.set()
        until(lambda: len(fetched.notes) == 2)
        assert not fetched.finds("kid-ES384", NOW + FRESH + 1), "a key that was withdrawn is not believed any more"
        assert fetched.finds("next", NOW + FRESH + 1)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (loopback.status(500), "the key server failed"),
        (loopback.status(302, Location="https://127.0.0.1/other"), "the key server sends elsewhere, which is not foll"),
        (loopback.body(b" " * (LARGEST + 1)), "the answer is too large"),
        (loopback.gzip_bomb(50), "the answer is too large"),
        (loopback.body(b"<html>"), "not a JSON Web Key Set"),
        (loopback.fhir({"keys": []}), "no key in it can be used"),
        (loopback.fhir({"keys": [key().as_dict(private=True)]}), "no key in it can be used"),
        (loopback.reset, "the key server cannot be reached"),
        (loopback.drip(b"HTTP/1.1 200 OK\r\n\r\n"), "no answer in time"),
    ],
    ids=["500", "redirect", "large", "bomb", "html", "empty", "private", "reset", "drip"],
)
def test_item_128_when_a_fetch_fails_the_last_keys_serve_for_a_day(tmp_path, answer, why):
    with key_server(tmp_path) as fetched:
        assert fetched.finds("kid-ES384", NOW)
        fetched.server.answers[KEYS] = answer
        asked = time.monotonic()
        assert not fetched.finds("next", NOW + AT_MOST_EVERY)
        assert time.monotonic() - asked < PATIENCE + LATE
        assert why in fetched.why
        assert "http" not in fetched.why.replace("https address", "")
        assert fetched.finds("kid-ES384", NOW + AT_MOST_EVERY + 1)
        assert fetched.finds("kid-ES384", NOW + STALE - 1)
        assert not fetched.finds("kid-ES384", NOW + STALE)


def test_while_there_are_no_keys_at_all_they_are_asked_for_again_soon_and_the_log_warns(tmp_path):
    with key_server(tmp_path) as fetched:
        fetched.server.answers[KEYS] = loopback.status(500)
        assert not fetched.finds("kid-ES384", NOW)
        assert not fetched.finds("kid-ES384", NOW + WITHOUT_ANY - 1)
        asked = fetched.fetches
        assert [each["level"] for each in fetched.notes] == [logging.WARNING]
        fetched.serve(key())
        assert fetched.finds("kid-ES384", NOW + WITHOUT_ANY)
        assert fetched.fetches == asked + 1


def test_keys_that_have_gone_stale_are_no_keys(tmp_path):
    with key_server(tmp_path) as fetched:
        assert fetched.finds("kid-ES384", NOW)
        fetched.server.answers[KEYS] = loopback.status(500)
        assert not fetched.finds("kid-ES384", NOW + STALE)
        fetched.serve(key())
        assert fetched.finds("kid-ES384", NOW + STALE + WITHOUT_ANY)


def test_a_clock_that_is_set_back_keeps_no_new_key_out(tmp_path):
    with key_server(tmp_path) as fetched:
        gate = Admission([fetched.client], MemoryOfTokens(), fetched.note)

        def admitted(name: str, now: float, tick: float) -> bool:
            by = key("ES384", name)
            token = signed(claims(iat=now, exp=now + 60), by=by)
            return gate.admit(f"Bearer {token}", PATH, now, tick).client.name == "main"

        fetched.serve(key("ES384", "old"))
        assert admitted("old", NOW, 0.0)
        fetched.serve(key("ES384", "next"))
        assert admitted("next", NOW - 86_400, AT_MOST_EVERY)


def test_items_69_and_128_a_private_address_is_called_only_if_that_is_allowed(tmp_path):
    with key_server(tmp_path, private=False) as fetched:
        assert not fetched.finds("kid-ES384", NOW)
        assert fetched.fetches == 0
        assert "an address that is not allowed" in fetched.why


def test_item_128_a_certificate_of_nobody_is_not_accepted(tmp_path):
    with key_server(tmp_path) as fetched:
        source = KeySource(url=f"https://127.0.0.1:{fetched.server.server_port}{KEYS}", private=True)
        notes: list[dict[str, Any]] = []
        find = finder_of(Client("main", Issuer(ISS, PUBLIC), source), lambda *_, **told: notes.append(told))
        assert find("kid-ES384", "ES384", NOW) is None
        assert "certificate is not accepted" in notes[0]["why"]
