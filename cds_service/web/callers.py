"""For whom a call is answered: one `Caller` for each CDS client, and what somebody else hears instead of an answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING

from structlog.typing import FilteringBoundLogger

from ..auth.clients import SANDBOX, Clients
from ..auth.gate import Gate, NotAdmitted
from ..cdshooks.messages import FhirAccess
from ..fetching import Fetch
from .errors import Refused

if TYPE_CHECKING:
    from ..evaluate import Service

# The same words whatever was wrong: who guesses at tokens learns nothing (item 124).
TEXTS = {
    401: "the call is not authenticated",
    429: "this client calls more often than was agreed",
    503: "the call cannot be answered just now",
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One CDS service that can be called: its hook, and all that it answers with."""

    hook: str
    service: Service


@dataclass(frozen=True, slots=True)
class Caller:
    """One who calls, and how it is answered."""

    name: str
    endpoints: Mapping[str, Endpoint]
    discovery: bytes
    way: Callable[[str, str, float | None, str | None], tuple[Fetch | None, str]]  # base, token, lifetime, tenant
    seconds: Callable[[str], float]  # hook -> time for one call, from its arrival
    silent: bool = False  # decided and noted, but no card is sent: a pilot
    silent_until: date | None = None  # its last day
    tenant: str | None = None

    def fetch_for(self, access: FhirAccess) -> tuple[Fetch | None, str]:
        """The way to the FHIR server that is named, or None and why there is none."""
        return self.way(access.base, access.token, access.lifetime, self.tenant)

    def is_silent(self, now: float) -> bool:
        """Is it still so at that moment? Days are those of the place where its content is at home."""
        zone = next(iter(self.endpoints.values())).service.zone
        ended = self.silent_until is not None and datetime.fromtimestamp(now, zone).date() > self.silent_until
        return self.silent and not ended


@dataclass(frozen=True, slots=True)
class Callers:
    """Every client by its name, behind the gate."""

    gate: Gate
    by_name: Mapping[str, Caller]
    discovery_open: bool
    log: FilteringBoundLogger
    needs_store: bool = False  # only the store can tell whether a token of some client is new

    def caller(self, authorization: str | None, path: str, now: float) -> Caller:
        """Who calls the endpoint at `path`; Refused for everybody whom we do not know, without a reason."""
        try:
            admitted = self.gate.admit(authorization, path, now, time.monotonic())
        except NotAdmitted as error:
            self.log.warning("not admitted", why=error.why, **error.told)
            raise Refused(error.status, TEXTS[error.status], headers=headers(error)) from None
        found = self.by_name[admitted.client.name]
        return replace(found, tenant=admitted.tenant, silent=found.is_silent(now))

    def discovery(self, authorization: str | None, path: str, now: float, otherwise: bytes) -> bytes:
        """The catalogue of who asks; where discovery is open, `otherwise` for everybody else."""
        if self.discovery_open and authorization is None:
            return otherwise
        try:
            return self.caller(authorization, path, now).discovery
        except Refused:
            if not self.discovery_open:
                raise
            return otherwise


def headers(error: NotAdmitted) -> dict[str, str]:
    """What a client needs to know to come again."""
    if error.status == 401:
        return {"WWW-Authenticate": "Bearer"}
    return {} if error.wait is None else {"Retry-After": str(error.wait)}


def remarks(clients: Clients, kept: bool) -> Iterator[str]:
    """What an operator should read at every start. `kept`: is there a store?"""
    if not kept:
        yield "CDS_STORE_URL=none: no decision is kept for an incident, no feedback is taken, no override remembered"
    for client in clients.all:
        if client.issuer.iss.rstrip("/") == SANDBOX:
            yield f"client {client.name}: the Sandbox's private key is public, so anybody can call: for testing only"
        for each in client.bases:
            if each.base.scheme == "http" and not each.base.loopback_name:
                yield f"client {client.name}: {each.base.url} is not encrypted, no token is sent there"
    if any(client.once for client in clients.all) and not kept:
        yield (
            'jti = "once": without a store tokens are remembered in the memory of each process; a restart forgets '
            "them, and several workers do not tell each other"
        )
