"""The public keys of a CDS client, read from its JSON Web Key Set: only what can check a signature that we accept.

A key is taken for signatures if it names itself (`kid`), is of a kind that one of our algorithms uses, and is public.
Whatever else a set may hold is left out and told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

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
