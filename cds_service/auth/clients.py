"""clients.toml: which CDS clients may call, by which keys, and how each of them is answered.

Read once at start. What cannot be used is named by place, fault and what is allowed; nothing is guessed, and a client
that is described wrongly keeps the service from starting. Files and folders are named beside clients.toml.
"""

from __future__ import annotations

import ssl
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jsonschema import Draft202012Validator

from ..cdshooks.jwks import ALGORITHMS, SigningKey, read_keys
from ..cdshooks.schemas import load_schema
from ..cdshooks.trust import Issuer
from ..content.faults import ContentError, Faults, listing
from ..content.typed import phrase
from ..http.addresses import AddressRefused, Base, parse_base
from ..settings import SettingsError
from .silence import days_as_text, silent_until

SANDBOX = "https://sandbox.cds-hooks.org"
SANDBOX_KID = "44823f3d-0b01-4a6c-a80e-b9d3e8a7226f"  # its private half is public
# as CardOptions names them
CARDS = ("selection_behaviour", "max_cards", "max_suggestions", "replacing", "order_details")
RATE = 1200  # calls per minute
HTTPS = "an https address such as https://cds.example.org"
Toml = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FhirBase:
    """A FHIR base URL that a client may name, or an address under it."""

    base: Base
    anonymous: bool = False  # may be called without a token
    private: bool = False  # may lie in a private network, or on this machine
    tenants: tuple[str, ...] = ()  # none: for every tenant of the client


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where a client's keys come from: given with clients.toml, or fetched from one address."""

    given: tuple[SigningKey, ...] = ()
    url: str = ""
    private: bool = False


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
    seconds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    cards: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))  # by the names of CardOptions
    once: bool = True  # each jti one call only
    rate: int = RATE
    ca_file: str | None = None


@dataclass(frozen=True, slots=True)
class Clients:
    """All of clients.toml."""

    all: tuple[Client, ...]
    discovery_open: bool = True
    memory_per_process: bool = False  # the operator knows that several workers do not tell each other of a jti


def load_clients(path: Path) -> Clients:
    """The clients of a file. SettingsError says in one line all that is wrong with it."""
    faults = Faults()
    read = _read(path, faults)
    if not faults:
        for error in Draft202012Validator(load_schema("clients")).iter_errors(read):
            for line in phrase(error):
                faults.add(path.name, line)
    clients: tuple[Client, ...] = ()
    if not faults:
        reader = _Reader(path, read.get("allow_sandbox", False), faults)
        clients = tuple(reader.client(name, table) for name, table in read["client"].items())
        reader.check_issuers(clients)
    try:
        faults.raise_any()
    except ContentError as error:
        raise SettingsError("CDS_CLIENTS: " + "; ".join(error.faults)) from None
    return Clients(clients, read.get("discovery") != "closed", "jti_memory" in read)


def _read(path: Path, faults: Faults) -> Toml:
    try:
        return days_as_text(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError:
        faults.add(path.name, "there is no such file that can be read")
    except UnicodeDecodeError:
        faults.add(path.name, "is not text in UTF-8")
    except tomllib.TOMLDecodeError as error:
        faults.add(path.name, f"is not TOML: {error}")
    return {}


class _Reader:
    """Makes records of what has the right shape, and notes what cannot be meant."""

    def __init__(self, path: Path, allow_sandbox: bool, faults: Faults) -> None:
        self.file, self.folder, self.allow_sandbox, self.faults = path.name, path.parent, allow_sandbox, faults

    def client(self, name: str, table: Toml) -> Client:
        place = f'{self.file} client "{name}"'
        keys = self.keys(place, table["keys"])
        cards = {key: table[key] for key in CARDS if key in table}
        return Client(
            name=name,
            issuer=self.issuer(place, table, keys),
            keys=keys,
            bases=tuple(self.bases(place, table.get("fhir", []), tuple(table.get("tenants", ())))),
            pathway=table.get("pathway"),
            site=self.beside(f"{place} site", table.get("site"), Path.is_dir, "a folder"),
            silent=table.get("mode") == "silent",
            silent_until=silent_until(place, table, self.faults),
            on_missing=table.get("on_missing", "412"),
            seconds=MappingProxyType(table.get("seconds", {})),
            cards=MappingProxyType(cards),
            once=table.get("jti", "once") == "once",
            rate=table.get("rate", RATE),
            ca_file=self.certificates(place, table.get("ca_file")),
        )

    def issuer(self, place: str, table: Toml, keys: KeySource) -> Issuer:
        """What its tokens are compared with."""
        sandbox = table["iss"].rstrip("/") == SANDBOX or any(key.kid == SANDBOX_KID for key in keys.given)
        if sandbox and not self.allow_sandbox:
            self.faults.add(place, "the Sandbox's private key is public: anybody may sign as it. Allowed only for "
                                   "testing, with allow_sandbox = true at the top of the file")  # fmt: skip
        url = self.base(f"{place} public_base_url", table["public_base_url"])
        if url and url.scheme != "https" and not url.loopback_name:
            self.faults.add(f"{place} public_base_url", f"is not encrypted; allowed: {HTTPS}")
        jku = (*table["keys"].get("jku", ()), *([keys.url] if keys.url else ()))
        return Issuer(
            iss=table["iss"],
            base_url=table["public_base_url"].rstrip("/"),
            audiences=tuple(table.get("audiences", ())),
            tenants=tuple(table.get("tenants", ())),
            algorithms=tuple(table.get("algorithms", ("ES384", "RS384"))),
            key_addresses=jku,
        )

    def keys(self, place: str, table: Toml) -> KeySource:
        """A file of keys, or the one address from which they are fetched."""
        place = f"{place} keys"
        if ("file" in table) == ("url" in table):
            self.faults.add(place, "give either file, a JSON Web Key Set beside clients.toml, or url, an https address")
            return KeySource()
        if "url" in table:
            url = self.base(f"{place} url", table["url"].partition("?")[0])
            if url and url.scheme != "https":
                self.faults.add(f"{place} url", f"is not encrypted; allowed: {HTTPS}/keys.json")
            return KeySource(url=table["url"], private=table.get("private", False))
        file = self.beside(f"{place} file", table["file"], Path.is_file, "a file")
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

    def bases(self, place: str, entries: list[Toml], tenants: tuple[str, ...]) -> Iterator[FhirBase]:
        for number, entry in enumerate(entries, start=1):
            here = f"{place} fhir entry {number}"
            base = self.base(f"{here} base", entry["base"])
            for tenant in set(entry.get("tenants", ())) - set(tenants):
                self.faults.unknown(f"{here} tenants", "tenant", tenant, tenants)
            private = entry.get("private", False)
            if base and base.scheme != "https" and not private:
                self.faults.add(f"{here} base", "is not encrypted; allowed: an https address, or with private = true "
                                "an http one (to which no token is sent, but on this machine)")  # fmt: skip
            if base and base.loopback_name and not private:
                self.faults.add(f"{here} base", "is on this machine; allowed with private = true")
            if base:
                yield FhirBase(base, entry.get("anonymous", False), private, tuple(entry.get("tenants", ())))

    def base(self, place: str, text: str) -> Base | None:
        try:
            return parse_base(text)
        except AddressRefused as refused:
            spelled = "" if text.isascii() else "; a host name in other letters than a to z is written as xn--..."
            self.faults.add(place, f"is {refused}; allowed: {HTTPS}{spelled}")
            return None

    def beside(self, place: str, name: str | None, exists: Callable[[Path], bool], kind: str) -> Path | None:
        """A file or folder that is named beside clients.toml."""
        if name is None:
            return None
        path = self.folder / name
        if not exists(path):
            self.faults.add(place, f"there is no {name!r}; allowed: {kind}, named beside {self.file}")
            return None
        return path

    def certificates(self, place: str, name: str | None) -> str | None:
        """The certificates of a hospital's own authority, if they can be read."""
        path = self.beside(f"{place} ca_file", name, Path.is_file, "a file")
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
