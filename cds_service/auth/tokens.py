"""Who calls: the JSON Web Token of a CDS client, checked in the order of checklist item 123. Keys and time are given.

A token is believed in nothing but its claims, and in those only once its signature fits a key on record: it never says
itself with which key, from which address or by which algorithm it wants to be checked. It is good once (items 123,
123a): which `jti` an issuer has sent is remembered by this process, or by the store for all of them.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated, Any, Protocol

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jws import CompactSignature, JWSRegistry

from ..store.records import DecisionStore, StoreBusy, StoreDown
from .keys import ALGORITHMS, SigningKey

SKEW = 60  # seconds by which clocks may differ (item 127)
LONGEST_LIFE = 3600  # seconds from iat to exp
LONGEST_TOKEN = 8_000  # characters; what a front end accepts as a header line
LONGEST_HEADER = 2_048
LONGEST_JTI = 128  # item 123a
# What could bring a key of the sender's choice, or a rule that we do not know (item 125).
FORBIDDEN = ("crit", "b64", "jwk", "x5u", "x5c")

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2_048)]


class Claims(msgspec.Struct, frozen=True):
    """What a token says of itself (item 120). Other claims are tolerated and not read (item 126)."""

    iss: Text
    aud: str | list[str]
    exp: float
    iat: float
    jti: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_JTI)]
    tenant: str | None = None
    nbf: float | None = None

    @property
    def remembered_until(self) -> float:
        """Until when its `jti` must be remembered: after that it is refused for its age."""
        return self.exp + SKEW


class NotTrusted(Exception):
    """A token that is not believed, and why in one word or two, for the log: the caller hears nothing of it.

    `expected` is what would have been right, where that helps the operator: ours, never a part of the token.
    """

    def __init__(self, why: str, claims: Claims | None = None, expected: str = ""):
        self.why, self.claims, self.expected = why, claims, expected
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Issuer:
    """What is on record of the one who signs: never taken from a token."""

    iss: str
    base_url: str  # public base URL of this service, as this client knows it; never from a Host header
    audiences: tuple[str, ...] = ()  # other texts that it may send as `aud`
    tenants: tuple[str, ...] = ()  # none: only tokens without a tenant
    algorithms: tuple[str, ...] = ("ES384", "RS384")
    key_addresses: tuple[str, ...] = ()  # what its tokens may name as `jku`


class Token:
    """A token taken apart. No repr, so that it cannot be logged by mistake."""

    __slots__ = ("claims", "header", "signature")

    def __init__(self, signature: CompactSignature, claims: Claims):
        self.signature, self.claims = signature, claims
        self.header: dict[str, Any] = signature.protected

    @property
    def kid(self) -> str:
        """The name of the key; a text once `check_header` has passed."""
        return str(self.header["kid"])

    @property
    def algorithm(self) -> str:
        """The algorithm; one that was agreed once `check_header` has passed."""
        return str(self.header["alg"])


def read_token(text: str) -> Token:
    """A token, read and not yet believed."""
    if len(text) > LONGEST_TOKEN or not text.isascii():
        raise NotTrusted("no token")
    try:
        signature = jws.extract_compact(text.encode(), None, _registry(ALGORITHMS))
    except (JoseError, ValueError, TypeError, RecursionError):
        raise NotTrusted("no token") from None
    if not isinstance(signature.protected, dict):
        raise NotTrusted("no token")
    try:
        return Token(signature, msgspec.json.decode(signature.payload, type=Claims))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotTrusted("claims missing or of the wrong type") from None


def check_claims(token: Token, issuer: Issuer, path: str, now: float) -> None:
    """Audience, time and tenant; `path` is the endpoint that is called, `now` are seconds since 1970."""
    claims = token.claims
    if claims.iss != issuer.iss:
        raise NotTrusted("iss", claims)
    called = {without_last_slash(issuer.base_url + path), *map(without_last_slash, issuer.audiences)}
    sent = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    if called.isdisjoint(map(without_last_slash, sent)):
        raise NotTrusted("aud", claims, expected=without_last_slash(issuer.base_url + path))
    if claims.exp + SKEW <= now:
        raise NotTrusted("exp: expired", claims)
    if claims.exp - claims.iat > LONGEST_LIFE or claims.exp - now > LONGEST_LIFE + SKEW:
        raise NotTrusted("exp: lives too long", claims)
    if claims.iat > now + SKEW or claims.exp <= claims.iat:
        raise NotTrusted("iat", claims)
    if claims.nbf is not None and claims.nbf > now + SKEW:
        raise NotTrusted("nbf", claims)
    if claims.tenant not in (issuer.tenants or (None,)):
        raise NotTrusted("tenant", claims)


def check_header(token: Token, issuer: Issuer) -> None:
    """How the token wants to be checked is what was agreed with this client (items 119, 122, 125)."""
    header = token.header
    if header.get("alg") not in issuer.algorithms:
        raise NotTrusted("alg", token.claims)
    if forbidden := [name for name in FORBIDDEN if name in header]:
        raise NotTrusted(f"header {forbidden[0]}", token.claims)
    if "jku" in header and header["jku"] not in issuer.key_addresses:
        raise NotTrusted("jku", token.claims)
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.upper() != "JWT":
        raise NotTrusted("typ", token.claims)
    if not isinstance(header.get("kid"), str) or not header["kid"]:
        raise NotTrusted("kid", token.claims)


def check_signature(token: Token, key: SigningKey | None) -> None:
    """The signature fits the key on record; None if there is none of that name and kind."""
    if key is None or not key.serves(token.kid, token.algorithm):
        raise NotTrusted("kid: no such key on record", token.claims)
    try:
        fits = jws.validate_compact(token.signature, key.key, registry=_registry((token.algorithm,)))
    except (JoseError, ValueError, TypeError):
        fits = False
    if not fits:
        raise NotTrusted("signature", token.claims)


def without_last_slash(audience: str) -> str:
    """An audience without the slash that it may end with."""
    return audience.removesuffix("/")


def _registry(algorithms: Iterable[str]) -> JWSRegistry:
    """What may stand in a token's header: fields that we do not know are tolerated."""
    registry = JWSRegistry(algorithms=list(algorithms), strict_check_header=False)
    registry.max_header_length = LONGEST_HEADER
    return registry


# Which tokens were seen already

MOST = 100_000  # tokens remembered of one issuer: more than its rate and the longest life allow in practice


SOON, LATER = 1, 60  # seconds after which a client may come again: the service is busy, the store is down


class CannotTell(Exception):
    """Whether a token was seen is not known just now: the call is not answered, rather than answered twice. `wait`:
    the seconds after which the client may come again."""

    def __init__(self, wait: int = LATER) -> None:
        super().__init__("whether a token was seen is not known")
        self.wait = wait


class SeenTokens(Protocol):
    """What remembers tokens: one process's memory, or a store that several share."""

    def first_time(self, issuer: str, jti: str, until: float, now: float) -> bool:
        """Note this token until `until` (seconds since 1970), atomically; False if it was noted before."""


class MemoryOfTokens:
    """Remembers in this process alone: a restart forgets, and no other process knows."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[set[bytes], list[tuple[float, bytes]]]] = {}

    def first_time(self, issuer: str, jti: str, until: float, now: float) -> bool:
        """Each issuer has its own memory: one that sends too many shuts out nobody else."""
        name = blake2b(jti.encode(errors="surrogatepass"), digest_size=16).digest()
        with self._lock:
            names, by_end = self._seen.setdefault(issuer, (set(), []))
            while by_end and by_end[0][0] < now:
                names.discard(heapq.heappop(by_end)[1])
            if name in names:
                return False
            if len(names) >= self._most:
                raise CannotTell
            names.add(name)
            heapq.heappush(by_end, (until, name))
            return True


class TokensInStore:
    """Tokens that were seen, remembered by the store for every process (item 123a).

    `otherwise` remembers in this process's memory while the store cannot tell; without it the caller hears 503.
    """

    def __init__(self, store: DecisionStore, otherwise: SeenTokens | None) -> None:
        self._store, self._otherwise = store, otherwise

    def first_time(self, issuer: str, jti: str, until: float, now: float) -> bool:
        """See `SeenTokens`. What was seen in the store's absence stays known to this process."""
        if self._otherwise is not None and not self._otherwise.first_time(issuer, jti, until, now):
            return False
        try:
            return self._store.first_time(issuer, jti, until, now)
        except StoreDown as error:
            if self._otherwise is None:
                raise CannotTell(SOON if isinstance(error, StoreBusy) else LATER) from None
            return True
