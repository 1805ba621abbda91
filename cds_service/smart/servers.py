"""Which record systems launch the evidence view, and what their authorization servers say of themselves.

The `iss` of a launch is one of the FHIR bases that are written down for a client, letter by letter once both are in
normal form: nothing else is called. What is fetched is kept for five minutes, a failure for ten seconds, so that a
launch that anybody may forge costs at most one call in that time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import msgspec

from cds_service.auth.clients import Client, FhirBase
from cds_service.auth.keys import FetchedKeys, Note
from cds_service.auth.launching import SmartApp
from cds_service.cdshooks.client_config import ClientConfig
from cds_service.content.prefetch import scopes
from cds_service.fetching import FetchFailed
from cds_service.http.addresses import AddressRefused, Base, Policy, parse_base
from cds_service.http.client import HttpClient
from cds_service.http.oauth import OAuthClient

from .faults import LaunchFault

WELL_KNOWN = ".well-known/smart-configuration"
PATIENCE = 4.0  # seconds for one call of an authorization server
FRESH, AFTER_FAILURE = 300.0, 10.0  # seconds for which an answer, or a failure, is believed
LARGEST = 256_000  # bytes of a configuration
IDENTITY = ("openid", "fhirUser")


class SmartConfiguration(msgspec.Struct, frozen=True):
    """What we read of `.well-known/smart-configuration`."""

    authorization_endpoint: str
    token_endpoint: str
    issuer: str = ""
    jwks_uri: str = ""
    capabilities: tuple[str, ...] = ()
    code_challenge_methods_supported: tuple[str, ...] | None = None
    authorization_response_iss_parameter_supported: bool = False

    @property
    def identifies(self) -> bool:
        """Can an id_token be checked: is it said who signs it, and with which keys?"""
        return bool(self.issuer and self.jwks_uri)


@dataclass(slots=True)
class Remembered:
    """The last answer of one authorization server, or why there was none, and when (seconds of the monotonic clock)."""

    at: float = float("-inf")
    found: SmartConfiguration | None = None
    fault: LaunchFault | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class RecordSystem:
    """One FHIR base from which the view may be launched: whose it is, and its authorization server."""

    def __init__(self, client: Client, base: FhirBase, config: ClientConfig, note: Note) -> None:
        assert client.smart is not None, f"{client.name} has the table smart"
        self.client, self.base = client, base.base
        self.smart: SmartApp = client.smart
        tenant = base.tenants[0] if base.tenants else None
        cards = replace(config.cards, smart_launch="")  # the view does not lead to itself
        self.config = replace(config, tenant=tenant, cards=cards)
        self.tenants: tuple[str | None, ...] = base.tenants or (
            None,
            *client.issuer.tenants,
        )  # of the hook calls about this server's patients
        self.policy = Policy(
            bases=client.smart.servers,
            below=True,
            private=client.smart.private,
            answer_bytes=LARGEST,
            at_once=4,
            ca_file=client.ca_file,
        )
        self._http, self._note = HttpClient(self.policy), note
        self._last = Remembered()
        self._keys: dict[str, FetchedKeys] = {}  # by the address at which they lie; one at a time

    @property
    def oauth(self) -> OAuthClient:
        """Who we are to the authorization server."""
        return OAuthClient(self.smart.client_id, self.smart.key)

    @property
    def redirect_uri(self) -> str:
        """Where the authorization server sends the browser back to."""
        return f"{self.client.issuer.base_url}/smart/callback"

    def scopes(self, configuration: SmartConfiguration, launch: str) -> tuple[str, ...]:
        """What is asked for: the launch, who the clinician is, and the resources of the prefetch templates."""
        known = configuration.capabilities
        version = "v1" if "permission-v1" in known and "permission-v2" not in known else "v2"
        wanted = self.smart.scopes or scopes(self.config.templates)[version]
        return ("launch" if launch else "launch/patient", *(IDENTITY if configuration.identifies else ()), *wanted)

    def configuration(self) -> SmartConfiguration:
        """What its authorization server says of itself; LaunchFault where it cannot be used."""
        last = self._last
        with last.lock:
            tick = time.monotonic()
            if tick - last.at >= (AFTER_FAILURE if last.found is None else FRESH):
                last.found, last.fault, last.at = None, None, tick
                try:
                    last.found = self._fetched()
                except LaunchFault as fault:
                    last.fault = fault
            if last.found is None:
                raise last.fault or LaunchFault("configuration")
            return last.found

    def _fetched(self) -> SmartConfiguration:
        fetch, why = self._http.fetch_for(self.base.url)
        try:
            if fetch is None:
                raise FetchFailed(why)
            body = fetch(WELL_KNOWN, time.monotonic() + PATIENCE)
            found = msgspec.json.decode(body, type=SmartConfiguration)
        except FetchFailed as failed:
            raise LaunchFault("configuration", failed.reason) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise LaunchFault("configuration", "the answer is no SMART configuration") from None
        self._check(found)
        return found

    def _check(self, found: SmartConfiguration) -> None:
        """Every address is one that may be called, for the browser too."""
        methods = found.code_challenge_methods_supported
        if methods is not None and "S256" not in methods:
            raise LaunchFault("configuration-unfit", "code_challenge_methods_supported: no S256")
        for name in ("authorization_endpoint", "token_endpoint", *(("jwks_uri",) if found.jwks_uri else ())):
            try:
                address = parse_base(getattr(found, name).partition("?")[0])
            except AddressRefused as refused:
                raise LaunchFault("configuration-unfit", f"{name}: {refused}") from None
            if not self.policy.allows(address):
                raise LaunchFault("configuration-unfit", f"{name}: not among the allowed authorization_servers")
            if address.scheme != "https" and not address.loopback_name:
                raise LaunchFault("configuration-unfit", f"{name}: is not encrypted")

    def keys(self, configuration: SmartConfiguration) -> FetchedKeys:
        """The keys with which its id_tokens are signed."""
        address = configuration.jwks_uri
        with self._last.lock:
            if address not in self._keys:
                name = f"{self.client.name} smart"
                self._keys = {address: FetchedKeys(name, address, HttpClient(self.policy), self._note)}
            return self._keys[address]


@dataclass(frozen=True, slots=True)
class RecordSystems:
    """Every record system that may launch the view, by its FHIR base in normal form."""

    by_base: Mapping[Base, RecordSystem]

    def __iter__(self) -> Iterator[RecordSystem]:
        return iter(self.by_base.values())

    def record_system(self, iss: str) -> RecordSystem:
        """The one that a launch names; LaunchFault for every other address."""
        try:
            return self.by_base[parse_base(iss)]
        except (AddressRefused, KeyError):
            raise LaunchFault("foreign-iss") from None

    @property
    def standalone(self) -> tuple[RecordSystem, ...]:
        """Those in which a clinician may open the view without a card."""
        return tuple(each for each in self if each.smart.standalone)

    @property
    def frame_ancestors(self) -> tuple[str, ...]:
        """The origins of all that may show a page in a frame: for faults of which nobody can say whose they are."""
        return tuple(dict.fromkeys(origin for each in self for origin in each.smart.frame_ancestors))


def record_systems(clients: Iterable[Client], configs: Mapping[str, ClientConfig], note: Note) -> RecordSystems:
    """The record systems of these clients."""
    found = (
        RecordSystem(client, base, configs[client.name], note)
        for client in clients
        if client.smart
        for base in client.bases
    )
    return RecordSystems({each.base: each for each in found})


def host_of(system: RecordSystem) -> str:
    """The host of its FHIR base, for a person."""
    return urlsplit(system.base.url).hostname or ""
