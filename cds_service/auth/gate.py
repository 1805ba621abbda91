"""The gate: who is let in, by the token of each call, in the order of item 123; then not too often, then once only.

What is wrong with a token is for the log; the caller hears 401 and nothing else (item 124). A token is never kept,
told or logged: its issuer, tenant and jti may be.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..cdshooks.replay import CannotTell, SeenTokens
from ..cdshooks.trust import Claims, NotTrusted, Token, check_claims, check_header, check_signature, read_token
from .clients import Client
from .keys import Find, Note, keys_of

LONGEST_LOGGED = 200  # characters of a text that anybody may have sent


class NotAdmitted(Exception):
    """A call that is not answered: its status, why (for the log), and what else may be logged of it."""

    def __init__(self, status: int, why: str, claims: Claims | None = None, wait: int | None = None, **more: str):
        self.status, self.why, self.wait = status, why, wait
        self.told: dict[str, Any] = {**({} if claims is None else told(claims)), **more}
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who calls. `tenant` is None for a client that has none."""

    client: Client
    tenant: str | None


@dataclass(slots=True)
class Rate:
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

    def give_back(self) -> None:
        """The call that counted was none."""
        with self.lock:
            self.left = min(self.left + 1, float(self.per_minute))


class Gate:
    """Lets clients in. One per process; threads share it."""

    def __init__(self, clients: Iterable[Client], seen: SeenTokens, note: Note) -> None:
        self._clients: Mapping[str, Client] = {client.issuer.iss: client for client in clients}
        self._keys: Mapping[str, Find] = {iss: keys_of(client, note) for iss, client in self._clients.items()}
        self._rates = {iss: Rate(client.rate) for iss, client in self._clients.items()}
        self._seen = seen

    def admit(self, authorization: str | None, path: str, now: float, tick: float) -> Admitted:
        """Who makes this call of the endpoint at `path` ("/cds-services/b12-patient-view"), or NotAdmitted.

        `now` are seconds since 1970, `tick` those of a clock that is never set back.
        """
        try:
            token = read_token(bearer(authorization))
            client = self._believed(token, path, now, tick)
            self._in_turn(token.claims, client, now, tick)
        except NotTrusted as error:
            expected = {"expected": error.expected} if error.expected else {}
            raise NotAdmitted(401, error.why, error.claims, **expected) from None
        return Admitted(client, token.claims.tenant)

    def _believed(self, token: Token, path: str, now: float, tick: float) -> Client:
        claims = token.claims
        client = self._clients.get(claims.iss)
        if client is None:
            raise NotTrusted("iss", claims)
        check_claims(token, client.issuer, path, now)
        check_header(token, client.issuer)
        check_signature(token, self._keys[claims.iss](token.kid, token.algorithm, tick))
        return client

    def _in_turn(self, claims: Claims, client: Client, now: float, tick: float) -> None:
        """Not too often, and once only. Who is told to wait may come with the same token; a replay uses up no turn."""
        rate = self._rates[client.issuer.iss]
        if wait := rate.wait(tick):
            raise NotAdmitted(429, "rate", claims, wait)
        try:
            self._first_time(claims, client, now)
        except (NotTrusted, NotAdmitted):
            rate.give_back()
            raise

    def _first_time(self, claims: Claims, client: Client, now: float) -> None:
        if not client.once:
            return
        try:
            first = self._seen.first_time(claims.iss, claims.jti, claims.remembered_until, now)
        except CannotTell:
            raise NotAdmitted(503, "jti: cannot be remembered", claims, wait=60) from None
        if not first:
            raise NotTrusted("jti: seen before", claims)


def bearer(authorization: str | None) -> str:
    """The token of an Authorization header."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        raise NotTrusted("no token")
    return token.strip()


def told(claims: Claims) -> dict[str, Any]:
    """What may be logged of a token (item 124), cut: anybody may have written it."""
    read = {"iss": claims.iss, "tenant": claims.tenant, "jti": claims.jti}
    return {name: value[:LONGEST_LOGGED] for name, value in read.items() if value is not None}
