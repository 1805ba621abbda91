"""The evidence view as a SMART app of a client's record system: its table `smart` in clients.toml.

The view only reads, with the token of the clinician who opens it. An authorization server may have its addresses on
the hosts of the client's FHIR bases and on those that are written down; no browser is sent elsewhere, nothing called.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated

from joserfc.jwk import ECKey, RSAKey
from msgspec import Meta

from ..content.typed import Shape
from ..http.addresses import Base
from .reading import Reading, private_key

Text = Annotated[str, Meta(pattern=r"\S")]
ENCRYPTED = "is not encrypted; allowed: an https address"


class ServerTable(Shape, frozen=True, kw_only=True):
    """An authorization server whose addresses do not lie on the host of a FHIR base."""

    base: Text
    private: bool = False


class SmartTable(Shape, frozen=True, kw_only=True):
    """The evidence view as a SMART app of this client's record system."""

    client_id: Text
    key: Text | None = None  # a file with our private key, as a JSON Web Key; without one a public client
    scopes: tuple[Text, ...] = ()  # none: those that `b12-cds prefetch` prints, in the notation that the server knows
    authorization_servers: tuple[ServerTable, ...] = ()
    frame_ancestors: tuple[Text, ...] = ()  # origins of pages that may show the view in a frame
    standalone: bool = False  # may a clinician open the view without a card?


@dataclass(frozen=True, slots=True)
class SmartApp:
    """How the evidence view is registered as a SMART app, and which addresses an authorization server may have."""

    client_id: str
    servers: tuple[Base, ...]
    private: bool = False  # may these lie in a private network, or on this machine?
    key: ECKey | RSAKey | None = field(default=None, repr=False)  # None: a public client
    scopes: tuple[str, ...] = ()
    frame_ancestors: tuple[str, ...] = ()
    standalone: bool = False


def app_of(table: SmartTable, reading: Reading) -> SmartApp:
    """What the table means. Every fault is noted, and then nothing starts."""
    place, faults = reading.place, reading.faults
    if not reading.bases:
        faults.add(place, "needs a FHIR base (fhir), from which the view is launched and read")
    servers = [replace(each.base, path="") for each in reading.bases]
    for number, entry in enumerate(table.authorization_servers, start=1):
        here = f"{place} authorization_servers entry {number} base"
        server = reading.base(here, entry.base)
        if server and server.scheme != "https" and not server.loopback_name:
            faults.add(here, ENCRYPTED)
        servers += [server] if server else []
    for origin in table.frame_ancestors:
        found = reading.base(f"{place} frame_ancestors", origin)
        if found and (found.path or (found.scheme != "https" and not found.loopback_name)):
            faults.add(f"{place} frame_ancestors", "allowed: https origins such as https://ehr.example.org")
    private = any(each.private for each in reading.bases) or any(e.private for e in table.authorization_servers)
    file = None if table.key is None else reading.file(f"{place} key", table.key)
    return SmartApp(
        client_id=table.client_id,
        servers=tuple(dict.fromkeys(servers)),
        private=private,
        key=None if file is None else private_key(file, f"{place} key", faults),
        scopes=table.scopes,
        frame_ancestors=tuple(origin.rstrip("/").lower() for origin in table.frame_ancestors),
        standalone=table.standalone,
    )
