"""Who is admitted: by the token of each call, in the order of item 123; not too often; each token once only.

What is wrong with a token is for the log; the caller hears 401 and nothing else (item 124). A token is never kept or
logged: its issuer, tenant and jti may be. Which FHIR servers may be called for a client is said here too: only those
under the bases that are written down for it (item 69).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..bounds import LARGEST_BODY
from ..fetching import Fetch
from ..http.addresses import AddressRefused, Policy, parse_base
from ..http.client import HttpClient
from .clients import Client
from .keys import FetchedKeys, Find, Note, chosen, key_policy
from .tokens import (
    CannotTell,
    Claims,
    NotTrusted,
    SeenTokens,
    Token,
    check_claims,
    check_header,
    check_signature,
    read_token,
)

LONGEST_LOGGED = 200  # characters of a text that anybody may have sent


class NotAdmitted(Exception):
    """A call that is not answered: its status, why (for the log), and what else may be logged of it."""

    def __init__(self, status: int, why: str, claims: Claims | None = None, wait: int | None = None):
        self.status, self.why, self.wait = status, why, wait
        self.logged: dict[str, Any] = {} if claims is None else loggable(claims)
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who calls. `tenant` is None for a client that has none."""

    client: Client
    tenant: str | None


@dataclass(slots=True)
class RateLimit:
    """How many calls a client may still make now: a minute's worth at most, and the next one little by little."""

    per_minute: int
    left: float = math.inf
    seen: float = -math.inf
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def wait(self, tick: float) -> int:
        """0 for a call that may be made (and counts), else the seconds after which one may. `tick` is monotonic."""
        with self.lock:
            since = max(tick - self.seen, 0.0)
            self.left = min(self.left + since * self.per_minute / 60, float(self.per_minute))
            self.seen = max(self.seen, tick)
            if self.left >= 1:
                self.left -= 1
                return 0
            return max(math.ceil((1 - self.left) * 60 / self.per_minute), 1)

    def refund(self) -> None:
        """Refund one call: the one that counted was not answered."""
        with self.lock:
            self.left = min(self.left + 1, float(self.per_minute))


class Admission:
    """Admits clients. One per process; threads share it."""

    def __init__(self, clients: Iterable[Client], seen: SeenTokens, note: Note) -> None:
        self._clients: Mapping[str, Client] = {client.issuer.iss: client for client in clients}
        self._keys: Mapping[str, Find] = {iss: finder_of(client, note) for iss, client in self._clients.items()}
        self._rates = {iss: RateLimit(client.rate) for iss, client in self._clients.items()}
        self._seen = seen

    def admit(self, authorization: str | None, path: str, now: float, tick: float) -> Admitted:
        """Who makes this call of the endpoint at `path` ("/cds-services/b12-patient-view"), or NotAdmitted.

        `now` are seconds since 1970, `tick` those of a clock that is never set back.
        """
        try:
            token = read_token(bearer(authorization))
            client = self._client_of(token, path, now, tick)
            self._within_limits(token.claims, client, now, tick)
        except NotTrusted as error:
            refused = NotAdmitted(401, error.why, error.claims)
            if error.expected:
                refused.logged["expected"] = error.expected
            raise refused from None
        return Admitted(client, token.claims.tenant)

    def _client_of(self, token: Token, path: str, now: float, tick: float) -> Client:
        claims = token.claims
        client = self._clients.get(claims.iss)
        if client is None:
            raise NotTrusted("iss", claims)
        check_claims(token, client.issuer, path, now)
        check_header(token, client.issuer)
        check_signature(token, self._keys[claims.iss](token.kid, token.algorithm, tick))
        return client

    def _within_limits(self, claims: Claims, client: Client, now: float, tick: float) -> None:
        """Not too often, and once only. Who has to wait may come with the same token; a replay counts as no call."""
        rate = self._rates[client.issuer.iss]
        if wait := rate.wait(tick):
            raise NotAdmitted(429, "rate", claims, wait)
        try:
            self._first_time(claims, client, now)
        except (NotTrusted, NotAdmitted):
            rate.refund()
            raise

    def _first_time(self, claims: Claims, client: Client, now: float) -> None:
        if not client.once:
            return
        try:
            first = self._seen.first_time(claims.iss, claims.jti, claims.remembered_until, now)
        except CannotTell as error:
            raise NotAdmitted(503, "jti: cannot be remembered", claims, wait=error.wait) from None
        if not first:
            raise NotTrusted("jti: seen before", claims)


def finder_of(client: Client, note: Note) -> Find:
    """How the keys of this client are found. Nothing is fetched before a token asks for it."""
    source = client.keys
    if not source.url:
        return lambda kid, algorithm, _: chosen(source.given, kid, algorithm)
    return FetchedKeys(client.name, source.url, HttpClient(key_policy(source, client.ca_file)), note).find


def bearer(authorization: str | None) -> str:
    """The token of an Authorization header."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        raise NotTrusted("no token")
    return token.strip()


def loggable(claims: Claims) -> dict[str, Any]:
    """What may be logged of a token (item 124), cut: anybody may have written it."""
    read = {"iss": claims.iss, "tenant": claims.tenant, "jti": claims.jti}
    return {name: value[:LONGEST_LOGGED] for name, value in read.items() if value is not None}


class ClientAccess:
    """Fetches from the FHIR servers of one client. Each base has its own HTTP client, so that
    a slow server holds up no other."""

    def __init__(self, client: Client, answer_bytes: int = LARGEST_BODY) -> None:
        self._servers = [
            (
                base,
                HttpClient(
                    Policy(
                        bases=(base.base,),
                        anonymous=base.anonymous,
                        private=base.private,
                        below=True,
                        ca_file=client.ca_file,
                        answer_bytes=answer_bytes,
                        call_bytes=answer_bytes,
                    )
                ),
            )
            for base in client.bases
        ]

    def fetch_for(
        self, base: str, token: str, lifetime: float | None, tenant: str | None = None
    ) -> tuple[Fetch | None, str]:
        """A fetch for one hook call, or None and why not. `tenant` is that of the token that was believed."""
        try:
            named = parse_base(base)
        except AddressRefused:
            return None, "the fhirServer is not an address that can be called"
        under = [(each, http) for each, http in self._servers if each.base.holds(named)]
        if not under:
            return None, "the fhirServer is not among the client's FHIR bases"
        narrowest = max(len(each.base.path) for each, _ in under)  # it says how
        for each, http in under:
            if len(each.base.path) == narrowest and (not each.tenants or tenant in each.tenants):
                return http.fetch_for(base, token, lifetime)
        return None, "the fhirServer is not for the caller's tenant"
