"""The CapabilityStatement: what the server says of itself. It is believed only where trying says nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from ..fetching import FetchFailed
from ..fhir.resources import Fhir, listed
from .access import NOT_FHIR, NoServer, Server
from .cleaning import shown

READ_VERSIONS = ("4.0", "4.1", "4.3")  # R4 and R4B: the same for what is read here
SAYS = {
    404: "there is nothing at /metadata: is this the FHIR base?",
    401: "it asks for a token even for /metadata: give one (--token-file, or CDS_FHIR_TOKEN)",
}


class Named(Fhir):
    """A searchParam or an interaction."""

    name: str | None = None
    code: str | None = None


class Described(Fhir):
    """CapabilityStatement.rest.resource."""

    type: str | None = None
    interaction: list[Named] | Named | None = None
    search_param: list[Named] | Named | None = None


class Rest(Fhir):
    mode: str | None = None
    resource: list[Described] | Described | None = None


class Software(Fhir):
    name: str | None = None
    version: str | None = None


class Statement(Fhir):
    resource_type: str | None = None
    fhir_version: str | None = None
    software: Software | None = None
    rest: list[Rest] | Rest | None = None


class Outline(Fhir):
    """What is left of a statement whose details do not fit."""

    resource_type: str | None = None
    fhir_version: str | None = None


@dataclass(frozen=True, slots=True)
class Capability:
    """What the server says that it can do. `types` is empty where it does not say."""

    software: str = ""
    fhir_version: str = ""
    types: dict[str, frozenset[str]] = field(default_factory=dict)  # searchable or readable type -> search parameters
    remarks: tuple[str, ...] = ()

    @property
    def readable(self) -> bool:
        """Is it the FHIR that the service reads, as far as it says?"""
        return not self.fhir_version or self.fhir_version.startswith(READ_VERSIONS)

    def lacks(self, kind: str) -> bool:
        """Does it say that it has no such type?"""
        return bool(self.types) and kind not in self.types

    def unnamed(self, kind: str, parameters: frozenset[str]) -> frozenset[str]:
        """The parameters that it does not name for a type of which it names some; "patient" may be "subject"."""
        named = self.types.get(kind, frozenset())
        named |= frozenset(["patient"]) if "subject" in named else frozenset()
        return parameters - named if named else frozenset()


def read_capability(server: Server) -> Capability:
    """GET /metadata. Raises NoServer, in one line, where there is no FHIR server to be examined."""
    try:
        raw = server.raw("metadata")
    except FetchFailed as failed:
        why = SAYS.get(failed.status or 0, failed.reason)
        code = f" (HTTP {failed.status})" if failed.status else ""
        raise NoServer(f"{server.base.url}: {why}{code}") from None
    try:
        statement = msgspec.json.decode(raw, type=Statement)
    except msgspec.ValidationError:
        return outline(raw, server)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NoServer(f"{server.base.url}: {NOT_FHIR}") from None
    check(statement, server)
    software = statement.software or Software()
    named = " ".join(part for part in (software.name, software.version) if part)
    return Capability(shown(named), shown(statement.fhir_version or ""), described(statement))


def outline(raw: bytes, server: Server) -> Capability:
    """A CapabilityStatement with something odd in it: only what it is and its version."""
    try:
        statement = msgspec.json.decode(raw, type=Outline)
    except msgspec.ValidationError:
        raise NoServer(f"{server.base.url}: {NOT_FHIR}") from None
    check(statement, server)
    remark = "its CapabilityStatement cannot be read in full: what it offers was found out by trying only"
    return Capability("", shown(statement.fhir_version or ""), {}, (remark,))


def check(statement: Statement | Outline, server: Server) -> None:
    if statement.resource_type == "Conformance":
        raise NoServer(f"{server.base.url}: it speaks DSTU2, an old FHIR; the service reads R4")
    if statement.resource_type != "CapabilityStatement":
        raise NoServer(f"{server.base.url}: {NOT_FHIR}: /metadata is no CapabilityStatement")


def described(statement: Statement) -> dict[str, frozenset[str]]:
    """Type -> its search parameters, of what can be read or searched there."""
    types: dict[str, frozenset[str]] = {}
    for rest in listed(statement.rest):
        if rest.mode not in (None, "server"):
            continue
        for each in listed(rest.resource):
            can = {interaction.code for interaction in listed(each.interaction)}
            if each.type and (not can or can & {"search-type", "read"}):
                names = frozenset(named.name for named in listed(each.search_param) if named.name)
                types[each.type] = types.get(each.type, frozenset()) | names
    return types
