"""clients.toml: which CDS clients may call, by which keys, and how each of them is answered.

Read once at start. What cannot be used is named by place, fault and what is allowed; nothing is guessed, and a client
that is described wrongly keeps the service from starting. Paths are relative to the folder of clients.toml.
`ClientsFile` is what the file may say; `b12-cds schema clients` prints it as JSON Schema.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from ..cdshooks.registry import HOOKS
from ..content.faults import ContentError, Faults, listing
from ..content.files import parsed
from ..content.typed import Shape, read
from ..http.addresses import AddressRefused, Base, parse_base
from ..settings import SettingsError
from .keys import ALGORITHMS, KeySource, SigningKey, read_keys
from .launching import SmartApp, SmartTable, app_of
from .reading import Reading
from .tokens import Issuer
from .watching import Watch, WatchTable, watch_of

SANDBOX = "https://sandbox.cds-hooks.org"
SANDBOX_KID = "44823f3d-0b01-4a6c-a80e-b9d3e8a7226f"  # its private half is public
RATE = 1200  # calls per minute
HTTPS = "an https address such as https://cds.example.org"
NAME = re.compile(r"[a-z0-9-]{1,64}")
A_DAY = "allowed: a day such as 2027-01-31"

Text = Annotated[str, Meta(pattern=r"\S")]
Texts = tuple[Text, ...]
Seconds = msgspec.defstruct(  # the time for one call, by hook
    "Seconds",
    [(hook.replace("-", "_"), Annotated[float, Meta(ge=0.1, le=20)] | None, None) for hook in HOOKS],
    bases=(Shape,),
    rename="kebab",
    kw_only=True,
    frozen=True,
)


class KeysTable(Shape, frozen=True, kw_only=True):
    """Where a client's keys come from: a file beside clients.toml, or one address."""

    file: Text | None = None
    url: Text | None = None
    private: bool = False
    jku: Texts = ()


class FhirTable(Shape, frozen=True, kw_only=True):
    """A FHIR base URL that a client may name, or an address under it."""

    base: Text
    anonymous: bool = False
    private: bool = False
    tenants: Texts = ()


class ClientTable(Shape, frozen=True, kw_only=True):
    """One CDS client, and what it is to this service."""

    iss: Text
    keys: KeysTable
    public_base_url: Text
    algorithms: Annotated[tuple[Literal["ES384", "RS384", "ES256", "RS256", "PS384"], ...], Meta(min_length=1)] = (
        "ES384",
        "RS384",
    )
    audiences: Texts = ()
    tenants: Texts = ()
    fhir: tuple[FhirTable, ...] = ()
    pathway: Annotated[str, Meta(pattern="^[a-z0-9-]+$")] | None = None
    site: Text | None = None
    mode: Literal["active", "silent"] = "active"
    silent_until: Annotated[str, Meta(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$")] | None = None  # its last day
    on_missing: Literal["412", "card"] = "412"
    cds_hooks: Literal["2.0", "3.0"] = "2.0"
    seconds: Seconds | None = None  # type: ignore[valid-type]  # made from the registry of hooks
    selection_behaviour: Literal["any", "alternatives", "at-most-one"] | None = None
    replacing: Literal["update", "delete-and-create", "create"] | None = None
    order_details: bool | None = None
    max_cards: Annotated[int, Meta(ge=1, le=3)] | None = None
    max_suggestions: Annotated[int, Meta(ge=1, le=20)] | None = None
    jti: Literal["once", "until-exp"] = "once"
    rate: Annotated[int, Meta(ge=1, le=100_000)] = RATE
    ca_file: Text | None = None
    watch: WatchTable | None = None
    smart: SmartTable | None = None


class ClientsFile(Shape, frozen=True, kw_only=True):
    """clients.toml: the CDS clients that may call."""

    client: dict[str, ClientTable]
    discovery: Literal["open", "closed"] = "open"
    jti_memory: Literal["per-process"] | None = None
    allow_sandbox: bool = False


CARDS = ("selection_behaviour", "max_cards", "max_suggestions", "replacing", "order_details")  # fields of CardOptions


@dataclass(frozen=True, slots=True)
class FhirBase:
    """A FHIR base URL that a client may name, or an address under it."""

    base: Base
    anonymous: bool = False  # may be called without a token
    private: bool = False  # may lie in a private network, or on this machine
    tenants: tuple[str, ...] = ()  # none: for every tenant of the client


@dataclass(frozen=True, slots=True)
class Client:
    """One CDS client. None: what the site's content or our default says."""

    name: str
    issuer: Issuer
    keys: KeySource
    bases: tuple[FhirBase, ...] = ()
    pathway: str | None = None
    site: Path | None = None
    silent: bool = False
    silent_until: date | None = None  # the last day of it
    on_missing: str = "412"
    cds_hooks: str = "2.0"  # the version that it is known to speak
    seconds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    cards: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))  # by the names of CardOptions
    once: bool = True  # each jti one call only
    rate: int = RATE
    ca_file: str | None = None
    watch: Watch | None = None
    smart: SmartApp | None = None


@dataclass(frozen=True, slots=True)
class Clients:
    """All of clients.toml."""

    all: tuple[Client, ...]
    discovery_open: bool = True
    memory_per_process: bool = False  # the operator knows that several workers do not share what they remember


def load_clients(path: Path) -> Clients:
    """The clients of a file. SettingsError says in one line all that is wrong with it."""
    faults = Faults()
    found = _file(path, faults)
    clients: tuple[Client, ...] = ()
    if found is not None:
        reader = _Reader(path, found.allow_sandbox, faults)
        clients = tuple(reader.client(name, table) for name, table in found.client.items())
        reader.check_issuers(clients)
        reader.check_launches(clients)
    try:
        faults.raise_any()
    except ContentError as error:
        raise SettingsError("CDS_CLIENTS: " + "; ".join(error.faults)) from None
    assert found is not None  # else there was a fault
    return Clients(clients, found.discovery == "open", found.jti_memory is not None)


def _file(path: Path, faults: Faults) -> ClientsFile | None:
    """The file as its types; None, with every fault, where something has the wrong shape."""
    text = _toml(path, faults)
    tables = text.get("client")
    clients = tables if isinstance(tables, dict) else {}
    if not faults:
        read(ClientsFile, {**text, "client": {}} if tables == clients else text, path.name, faults)
    if tables == {}:
        faults.add(path.name, "'client' has 0 entries; it needs at least 1")
    for name, table in clients.items():
        if isinstance(table, dict) and isinstance(table.get("silent_until"), date):
            table["silent_until"] = str(table["silent_until"])  # a day with quotation marks or without
        if not NAME.fullmatch(name):
            faults.add(path.name, f"'client' is {name!r}; it must match {NAME.pattern}")
        read(ClientTable, table, f'{path.name} client "{name}"', faults)
    if faults:
        return None
    found: ClientsFile | None = read(ClientsFile, text, path.name, faults)
    return found


def _toml(path: Path, faults: Faults) -> dict[str, Any]:
    try:
        return parsed(path.read_text(encoding="utf-8-sig"))
    except OSError:
        faults.add(path.name, "there is no such file that can be read")
    except UnicodeDecodeError:
        faults.add(path.name, "is not text in UTF-8")
    except ValueError as error:
        faults.add(path.name, f"is not TOML: {error}")
    return {}


class _Reader:
    """Makes records of what has the right shape, and notes what cannot be meant."""

    def __init__(self, path: Path, allow_sandbox: bool, faults: Faults) -> None:
        self.file, self.folder, self.allow_sandbox, self.faults = path.name, path.parent, allow_sandbox, faults

    def client(self, name: str, table: ClientTable) -> Client:
        """One client, with its files read."""
        place = f'{self.file} client "{name}"'
        keys = self.keys(place, table.keys)
        options = {key: getattr(table, key) for key in CARDS}
        bases = tuple(self.bases(place, table.fhir, table.tenants))
        seconds: dict[str, float | None] = {} if table.seconds is None else msgspec.to_builtins(table.seconds)
        return Client(
            name=name,
            issuer=self.issuer(place, table, keys),
            keys=keys,
            bases=bases,
            pathway=table.pathway,
            site=self.named_file(f"{place} site", table.site, Path.is_dir, "a folder"),
            silent=table.mode == "silent",
            silent_until=self.silent_until(place, table),
            on_missing=table.on_missing,
            cds_hooks=table.cds_hooks,
            seconds=MappingProxyType({hook: value for hook, value in seconds.items() if value is not None}),
            cards=MappingProxyType({key: value for key, value in options.items() if value is not None}),
            once=table.jti == "once",
            rate=table.rate,
            ca_file=self.certificates(place, table.ca_file),
            watch=None if table.watch is None else watch_of(table.watch, self.reading(f"{place} watch", bases)),
            smart=None if table.smart is None else app_of(table.smart, self.reading(f"{place} smart", bases)),
        )

    def reading(self, place: str, bases: tuple[FhirBase, ...]) -> Reading:
        """What a table of a client is read with that has a module of its own."""

        def file(where: str, name: str) -> Path | None:
            return self.named_file(where, name, Path.is_file, "a file")

        return Reading(place, bases, self.base, file, self.faults)

    def silent_until(self, place: str, table: ClientTable) -> date | None:
        """The last day of a client's silent mode, with quotation marks or without; None if nobody has said."""
        until = table.silent_until
        if until is None:
            return None
        if table.mode != "silent":
            self.faults.add(f"{place} silent_until", 'is for mode = "silent" only')
        try:
            return date.fromisoformat(until)
        except ValueError:
            self.faults.add(f"{place} silent_until", f"is no day of the calendar; {A_DAY}")
            return None

    def issuer(self, place: str, table: ClientTable, keys: KeySource) -> Issuer:
        """What its tokens are compared with."""
        sandbox = table.iss.rstrip("/") == SANDBOX or any(key.kid == SANDBOX_KID for key in keys.given)
        if sandbox and not self.allow_sandbox:
            self.faults.add(place, "the Sandbox's private key is public: anybody may sign as it. Allowed only for "
                                   "testing, with allow_sandbox = true at the top of the file")  # fmt: skip
        url = self.base(f"{place} public_base_url", table.public_base_url)
        if url and url.scheme != "https" and not url.loopback_name:
            self.faults.add(f"{place} public_base_url", f"is not encrypted; allowed: {HTTPS}")
        jku = (*table.keys.jku, *([keys.url] if keys.url else ()))
        return Issuer(
            iss=table.iss,
            base_url=table.public_base_url.rstrip("/"),
            audiences=table.audiences,
            tenants=table.tenants,
            algorithms=table.algorithms,
            key_addresses=jku,
        )

    def keys(self, place: str, table: KeysTable) -> KeySource:
        """A file of keys, or the one address from which they are fetched."""
        place = f"{place} keys"
        if (table.file is None) == (table.url is None):
            self.faults.add(place, "give either file, a JSON Web Key Set beside clients.toml, or url, an https address")
            return KeySource()
        if table.url is not None:
            url = self.base(f"{place} url", table.url.partition("?")[0])
            if url and url.scheme != "https":
                self.faults.add(f"{place} url", f"is not encrypted; allowed: {HTTPS}/keys.json")
            return KeySource(url=table.url, private=table.private)
        file = self.named_file(f"{place} file", table.file, Path.is_file, "a file")
        return KeySource(given=self.given_keys(f"{place} file", file) if file else ())

    def given_keys(self, place: str, file: Path) -> tuple[SigningKey, ...]:
        """The keys of a file: all of them must be usable, and public."""
        try:
            keys, wrong = read_keys(file.read_bytes())
        except (OSError, ValueError) as error:
            self.faults.add(place, str(error) if isinstance(error, ValueError) else "cannot be read")
            return ()
        for line in wrong:
            self.faults.add(place, line)
        if not keys and not wrong:
            self.faults.add(place, f"holds no key for signatures; allowed: EC and RSA keys for {listing(ALGORITHMS)}")
        return keys

    def bases(self, place: str, entries: tuple[FhirTable, ...], tenants: tuple[str, ...]) -> Iterator[FhirBase]:
        for number, entry in enumerate(entries, start=1):
            here = f"{place} fhir entry {number}"
            base = self.base(f"{here} base", entry.base)
            for tenant in sorted(set(entry.tenants) - set(tenants)):
                self.faults.unknown(f"{here} tenants", "tenant", tenant, tenants)
            if base and base.scheme != "https" and not entry.private:
                self.faults.add(f"{here} base", "is not encrypted; allowed: an https address, or with private = true "
                                "an http one (to which no token is sent, but on this machine)")  # fmt: skip
            if base and base.loopback_name and not entry.private:
                self.faults.add(f"{here} base", "is on this machine; allowed with private = true")
            if base:
                yield FhirBase(base, entry.anonymous, entry.private, entry.tenants)

    def base(self, place: str, text: str) -> Base | None:
        try:
            return parse_base(text)
        except AddressRefused as refused:
            spelled = "" if text.isascii() else "; a host name in other letters than a to z is written as xn--..."
            self.faults.add(place, f"is {refused}; allowed: {HTTPS}{spelled}")
            return None

    def named_file(self, place: str, name: str | None, exists: Callable[[Path], bool], kind: str) -> Path | None:
        """A file or folder, relative to the folder of clients.toml."""
        if name is None:
            return None
        path = self.folder / name
        if not exists(path):
            self.faults.add(place, f"there is no {name!r}; allowed: {kind}, named beside {self.file}")
            return None
        return path

    def certificates(self, place: str, name: str | None) -> str | None:
        """The certificates of a hospital's own authority, if they can be read."""
        path = self.named_file(f"{place} ca_file", name, Path.is_file, "a file")
        if path is None:
            return None
        try:
            ssl.create_default_context(cafile=path)
        except (OSError, ValueError):
            self.faults.add(f"{place} ca_file", "holds no certificates in PEM form")
        return str(path)

    def check_issuers(self, clients: tuple[Client, ...]) -> None:
        """An issuer is one client: whose token it is may not depend on the order of the file."""
        by_issuer: dict[str, str] = {}
        for client in clients:
            other = by_issuer.setdefault(client.issuer.iss, client.name)
            if other != client.name:
                self.faults.add(f'{self.file} client "{client.name}" iss', f'is that of client "{other}" too')

    def check_launches(self, clients: tuple[Client, ...]) -> None:
        """A launch names a FHIR base and nothing else: it must be clear whose it is."""
        by_base: dict[Base, str] = {}
        for client in (each for each in clients if each.smart):
            place = f'{self.file} client "{client.name}" smart'
            if urlsplit(client.issuer.base_url).path:
                self.faults.add(place, "needs a public_base_url without a path: the pages of the view lie at its root")
            for each in client.bases:
                other = by_base.setdefault(each.base, client.name)
                if other != client.name:
                    self.faults.add(place, f'can be launched from a FHIR base of client "{other}" too: whose launch it '
                                    "is could not be said")  # fmt: skip
                if len(each.tenants) > 1:
                    self.faults.add(place, "can be launched from a FHIR base of several tenants; give each a base of "
                                    "its own")  # fmt: skip
