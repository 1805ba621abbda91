"""The public keys of a CDS client: read from its JSON Web Key Set, given with clients.toml or fetched (item 128).

A key is taken for signatures if it names itself (`kid`), is of a kind that one of our algorithms uses, and is public.
Whatever else a set may hold is left out and named.

A set that is fetched is asked for again when a token names a key that is not in it, and once it is an hour old, but
never more often than every five minutes, by one call at a time, and only from the address that the operator wrote
down. While its server cannot be reached the last set serves for a day. Without any set nobody of this client can call,
so then it is tried every ten seconds. Time is given, in seconds of a clock that is never set back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from ..fetching import FetchFailed
from ..http.addresses import Policy, parse_base
from ..http.client import HttpClient

# algorithm -> key type and, for elliptic curves, the curve. No HMAC, and not `none`: they are not even known here.
ALGORITHMS = {
    "ES384": ("EC", "P-384"),
    "RS384": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "RS256": ("RSA", None),
    "PS384": ("RSA", None),
}
CURVES = ("P-256", "P-384")
RSA_BITS = 2048, 8192  # less is too weak, more only costs time
PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")

AT_MOST_EVERY = 300.0  # seconds between two fetches
WITHOUT_ANY = 10.0  # the same, while no key can be used
FRESH, STALE = 3600.0, 86_400.0  # seconds: then it is fetched again; then it is believed no longer
PATIENCE = 2.0  # seconds for one fetch
LARGEST = 256_000  # bytes of a key set


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One public key: what it is called, of what kind it is, and which algorithm it says it is for ("" for any)."""

    kid: str
    kty: str
    curve: str | None
    algorithm: str
    key: ECKey | RSAKey = field(repr=False)

    def serves(self, kid: str, algorithm: str) -> bool:
        """Is this the key for a token with that `kid` and `alg`? (item 128)"""
        return (
            self.kid == kid
            and (self.kty, self.curve if self.kty == "EC" else None) == ALGORITHMS.get(algorithm)
            and self.algorithm in ("", algorithm)
        )


Find = Callable[[str, str, float], SigningKey | None]  # (kid, alg, tick)
Note = Callable[..., None]  # a line of the log: its level, its event, and what is said of it


def read_keys(raw: bytes) -> tuple[tuple[SigningKey, ...], tuple[str, ...]]:
    """The keys of a set, and what is wrong with the others. ValueError if it is no key set at all."""
    try:
        entries = msgspec.json.decode(raw, type=dict[str, Any])["keys"]
    except (msgspec.DecodeError, KeyError, RecursionError):
        raise ValueError("not a JSON Web Key Set: an object with a list named keys") from None
    if not isinstance(entries, list):
        raise ValueError("not a JSON Web Key Set: keys is no list")
    read = [_key(entry, place) for place, entry in enumerate(entries, start=1)]
    keys = tuple(each for each in read if isinstance(each, SigningKey))
    return keys, tuple(each for each in read if isinstance(each, str) and each)


def chosen(keys: Iterable[SigningKey], kid: str, algorithm: str) -> SigningKey | None:
    """The key with which a token of that `kid` and `alg` must be signed."""
    return next((key for key in keys if key.serves(kid, algorithm)), None)


def _key(entry: Any, place: int) -> SigningKey | str:
    """A key; or what is wrong with it, "" if it is merely not for us (another use or kind)."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("kty"), str):
        return f"key {place} is no JSON Web Key"
    if any(name in entry for name in PRIVATE):
        return f"key {place} is a private or shared key: give the public ones only, and replace this one"
    if not _for_signatures(entry):
        return ""
    kid = entry.get("kid")
    if not isinstance(kid, str) or not kid:
        return f"key {place} has no kid"
    curve = entry.get("crv") if entry["kty"] == "EC" else None
    if curve is not None and curve not in CURVES:
        return f"key {place} is on a curve that is not used; allowed: {', '.join(CURVES)}"
    try:
        key = (ECKey if entry["kty"] == "EC" else RSAKey).import_key(dict(entry))
        bits = key.raw_value.key_size
    except (JoseError, ValueError, TypeError, OverflowError):
        return f"key {place} cannot be read"
    if entry["kty"] == "RSA" and not RSA_BITS[0] <= bits <= RSA_BITS[1]:
        return f"key {place} has {bits} bits; allowed: {RSA_BITS[0]} to {RSA_BITS[1]}"
    return SigningKey(kid, entry["kty"], curve, entry.get("alg") or "", key)


def _for_signatures(entry: Mapping[str, Any]) -> bool:
    operations = entry.get("key_ops")
    return (
        entry["kty"] in ("EC", "RSA")
        and entry.get("use") in (None, "sig")
        and entry.get("alg") in (None, *ALGORITHMS)
        and (operations is None or (isinstance(operations, list) and "verify" in operations))
    )


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where a client's keys come from: given with clients.toml, or fetched from one address."""

    given: tuple[SigningKey, ...] = ()
    url: str = ""
    private: bool = False


class FetchedKeys:
    """The key set at one address. Threads share it; the one that fetches lets the others have the last set."""

    def __init__(self, name: str, url: str, outgoing: HttpClient, note: Note) -> None:
        self._name, self._url, self._note = name, url, note
        fetch, why = outgoing.fetch_for(url.partition("?")[0])
        assert fetch is not None, why  # the policy was made for this address
        self._fetch = fetch
        self._fetching = threading.Lock()
        self._keys: tuple[SigningKey, ...] = ()
        self._fetched = self._tried = float("-inf")

    def find(self, kid: str, algorithm: str, tick: float) -> SigningKey | None:
        """The key of that name; an unknown one, or a set gone stale, is worth one fetch, if the last is long ago."""
        known = self._known(kid, algorithm, tick)
        if known is None:
            self._fetch_again(tick)
            return self._known(kid, algorithm, tick)
        if tick - self._fetched >= FRESH and tick - self._tried >= AT_MOST_EVERY:
            # in the background: a caller with a good key does not wait for another machine
            threading.Thread(target=self._fetch_again, args=(tick,), daemon=True).start()
        return known

    def _known(self, kid: str, algorithm: str, tick: float) -> SigningKey | None:
        return chosen(self._keys, kid, algorithm) if tick - self._fetched < STALE else None

    def _fetch_again(self, tick: float) -> None:
        """One fetch at a time; who comes meanwhile waits for it, and then finds that it has just been done."""
        if not self._fetching.acquire(timeout=PATIENCE):
            return
        try:
            if tick - self._tried < (AT_MOST_EVERY if tick - self._fetched < STALE else WITHOUT_ANY):
                return
            self._tried = tick
            keys, left_out = read_keys(self._fetch(self._url, time.monotonic() + PATIENCE))
            if not keys:
                raise ValueError("no key in it can be used")
            self._keys, self._fetched = keys, tick
            self._note(logging.INFO, "keys fetched", client=self._name, keys=len(keys), left_out=list(left_out))
        except (FetchFailed, ValueError) as error:
            why = str(error).replace("FHIR server", "key server")
            self._note(logging.WARNING, "keys not fetched", client=self._name, why=why)
        finally:
            self._fetching.release()


def key_policy(source: KeySource, ca_file: str | None) -> Policy:
    """The one address, checked like every other that is called."""
    base = parse_base(source.url.partition("?")[0])
    return Policy(bases=(base,), private=source.private, answer_bytes=LARGEST, at_once=1, ca_file=ca_file)
