"""Who is answered: each CDS client by its token, in demo mode this machine only; and which pages may read an answer.

Demo mode is closed: it answers this machine only, whatever headers say, and browsers only from allowed pages. The
peer's address is the connection's own; forwarded headers are never looked at. CORS headers (checklist item 130) are on
errors too, or no page sees them.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from structlog.typing import FilteringBoundLogger

from ..auth.admission import Admission, NotAdmitted
from ..auth.clients import SANDBOX, Clients
from ..cdshooks.client_config import ClientConfig
from .messages import Refused

# The same words whatever was wrong: who guesses at tokens learns nothing (item 124).
TEXTS = {
    401: "the call is not authenticated",
    429: "this client calls more often than was agreed",
    503: "the call cannot be answered just now",
}


@dataclass(frozen=True, slots=True)
class Callers:
    """Every client by its name, and who of them makes a call. `catalogues` are their answers of discovery."""

    admission: Admission
    by_name: Mapping[str, ClientConfig]
    catalogues: Mapping[str, bytes]
    discovery_open: bool
    log: FilteringBoundLogger
    needs_store: bool = False  # only the store can tell whether a token of some client is new

    def caller(self, authorization: str | None, path: str, now: float) -> ClientConfig:
        """Who calls the endpoint at `path`; Refused for everybody whom we do not know, without a reason."""
        try:
            admitted = self.admission.admit(authorization, path, now, time.monotonic())
        except NotAdmitted as error:
            self.log.warning("not admitted", why=error.why, **error.logged)
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


# Demo mode


def refusal(environ: Mapping[str, Any], origins: Collection[str]) -> str:
    """Why a request may not be answered in demo mode, or ""."""
    if not is_loopback(environ.get("REMOTE_ADDR") or ""):
        return "demo mode answers this machine only: the caller's address is not a loopback address"
    if not is_loopback(host_name(environ.get("HTTP_HOST") or "")):
        return "demo mode answers this machine only: Host is not a loopback name"
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None and not allowed_origin(origin, origins, demo=True):
        return "demo mode answers pages of this machine and of CDS_ORIGINS only: Origin is neither"
    return ""


def allowed_origin(origin: str, origins: Collection[str], demo: bool) -> bool:
    """May a page of this origin read our answers? Those of CDS_ORIGINS; in demo mode loopback ones on any port too."""
    if origin.lower() in origins:
        return True
    scheme, _, authority = origin.partition("://")
    return demo and scheme in ("http", "https") and is_loopback(host_name(authority))


@lru_cache(maxsize=64)  # a caller has few names for us; bounded, because the caller is not trusted
def host_name(authority: str) -> str:
    """The host of "host:port", an IPv6 address without its brackets; "" for anything that is more or less than that."""
    try:
        parts = urlsplit(f"//{authority}")
        plain = parts.netloc == authority and not (parts.path or parts.query or parts.fragment or "@" in authority)
        return (parts.hostname or "") if plain and parts.port != 0 else ""
    except ValueError:
        return ""


@lru_cache(maxsize=64)
def is_loopback(name: str) -> bool:
    """Is it localhost, or literally a loopback address? No name is looked up."""
    if name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


# Pages of other origins

PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "authorization, content-type",
    "Access-Control-Max-Age": "600",
}
EXPOSED = "Retry-After, Server-Timing"  # what a page may read of an answer's headers, beyond what every page may


def cors_headers(environ: dict[str, Any], origins: Collection[str], demo: bool) -> dict[str, str]:
    """The CORS headers of the answer to this request; a preflight needs no token and gets what it asks about."""
    headers = {"Vary": "Origin"}
    origin = environ.get("HTTP_ORIGIN")
    if origin is None or not allowed_origin(origin, origins, demo):
        return headers
    headers["Access-Control-Allow-Origin"] = origin
    headers["Access-Control-Expose-Headers"] = EXPOSED
    if environ["REQUEST_METHOD"] == "OPTIONS":
        headers |= PREFLIGHT
        if "HTTP_ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK" in environ:  # a public page calls a service on this machine
            headers["Access-Control-Allow-Private-Network"] = "true"
    return headers
