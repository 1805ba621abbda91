"""Who calls: each CDS client by its token, and what somebody else hears instead of an answer."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from structlog.typing import FilteringBoundLogger

from ..auth.clients import SANDBOX, Clients
from ..auth.gate import Gate, NotAdmitted
from ..evaluate import ClientConfig
from .errors import Refused

# The same words whatever was wrong: who guesses at tokens learns nothing (item 124).
TEXTS = {
    401: "the call is not authenticated",
    429: "this client calls more often than was agreed",
    503: "the call cannot be answered just now",
}


@dataclass(frozen=True, slots=True)
class Callers:
    """Every client by its name, and who of them makes a call. `catalogues` are their answers of discovery."""

    gate: Gate
    by_name: Mapping[str, ClientConfig]
    catalogues: Mapping[str, bytes]
    discovery_open: bool
    log: FilteringBoundLogger
    needs_store: bool = False  # only the store can tell whether a token of some client is new

    def caller(self, authorization: str | None, path: str, now: float) -> ClientConfig:
        """Who calls the endpoint at `path`; Refused for everybody whom we do not know, without a reason."""
        try:
            admitted = self.gate.admit(authorization, path, now, time.monotonic())
        except NotAdmitted as error:
            self.log.warning("not admitted", why=error.why, **error.told)
            raise Refused(error.status, TEXTS[error.status], headers=headers(error)) from None
        return replace(self.by_name[admitted.client.name], tenant=admitted.tenant)

    def discovery(self, authorization: str | None, path: str, now: float, otherwise: bytes) -> bytes:
        """The catalogue of who asks; where discovery is open, `otherwise` for everybody else."""
        if self.discovery_open and authorization is None:
            return otherwise
        try:
            return self.catalogues[self.caller(authorization, path, now).name]
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
