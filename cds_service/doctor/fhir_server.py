"""The FHIR server under examination: how it is asked, what it says of itself, and what it wrote made safe to show.

It is asked through the guarded session, within bounds of time, pages and number. The person who runs the command names
the address, and for this run it is the only one allowed. What a server does not give is said in our own words; the
address of a query is never printed, because it may name a patient. Texts of a record reach a terminal, a spreadsheet
and a configuration file: no control signs, no formulas, no id of a patient.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import msgspec

from ..commands.given import fhir_base
from ..content.files import printable
from ..fetching import Fetch, FetchFailed
from ..fhir.bundles import UnreadableError, decode
from ..fhir.index import Page, sort
from ..fhir.resources import Fhir, Resource, listed
from ..http.addresses import Base, Policy
from ..http.client import HttpClient

LONGEST = 120
FORMULA = "=+-@"  # a spreadsheet takes a cell that begins so for a formula
SHORTEST_ID = 4  # an id such as "7" stands in half of all texts
WITHHELD = "(withheld)"
PARTS = re.compile(r"[^A-Za-z0-9._-]+")


def shown(text: str) -> str:
    """A text of one line, printable, not endless."""
    line = " ".join(printable(text[: LONGEST * 4]).split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1].rstrip() + "…"


def no_formula(text: str) -> str:
    """A text for a spreadsheet's cell."""
    return text.lstrip(FORMULA + " ")


def is_formula(text: str) -> bool:
    return text.startswith(tuple(FORMULA))


class Privacy:
    """Knows the ids of the patients that were read, so that no text with one of them is shown."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    def add(self, ids: Iterable[str]) -> None:
        """Ids that must not be shown."""
        self._ids.update(each for each in ids if len(each) >= SHORTEST_ID)

    def hides(self, text: str) -> bool:
        """Does an id stand in this text?"""
        parts = (text, *PARTS.split(text))
        return any(part in self._ids or part.strip("._-") in self._ids for part in parts)

    def show(self, text: str) -> str:
        """The text to show, or that it is withheld."""
        return WITHHELD if self.hides(text) else shown(text)


NOT_FHIR = "what it answers is not FHIR in JSON"
NO_TIME = "the time for this examination was over"


class CannotExamine(Exception):
    """There will be no examination. One line for the person, and the exit code."""

    code = 1


class BadAddress(CannotExamine):
    """The address, the token or a file cannot be used: the person has to name another."""

    code = 2


class NoServer(CannotExamine):
    """There is no FHIR server that could be examined."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is asked at most: a doctor must not make the patient ill."""

    answer_seconds: float = 20.0  # for one answer
    reading_seconds: float = 45.0  # for all pages of one search
    total_seconds: float = 900.0
    pages: int = 40  # of one search
    resources: int = 5_000  # of one search
    patients: int = 5
    shallow_pages: int = 5  # of a search that is only tried


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one search: its pages, why there is none, or why there are no more of them."""

    pages: tuple[Page, ...] = ()
    failure: str = ""
    status: int | None = None
    cut: str = ""
    seconds: float = 0.0  # until the first page

    @property
    def resources(self) -> list[Resource]:
        """The matches, without what only came along."""
        return [entry.resource for page in self.pages for entry in page.own if entry.resource is not None]

    @property
    def self_url(self) -> str:
        """What the server says that it understood; "" if it does not say."""
        return self.pages[0].self_url if self.pages else ""


class Server:
    """One FHIR base with the token for it, as long as the examination lasts."""

    def __init__(self, base: Base, token: str, outgoing: HttpClient, limits: Limits):
        self.base, self._token, self._outgoing, self.limits = base, token, outgoing, limits
        self._latest = time.monotonic() + limits.total_seconds

    @property
    def has_token(self) -> bool:
        return bool(self._token)

    def until(self, seconds: float) -> float:
        """The moment on the monotonic clock that lies so far ahead, or the end of the examination."""
        return min(time.monotonic() + seconds, self._latest)

    def fetch(self) -> Fetch:
        """A fetch as a hook call has one, with the same caps."""
        fetch, why = self._outgoing.fetch_for(self.base.url, self._token)
        if fetch is None:
            raise BadAddress(why)
        return fetch

    def raw(self, target: str) -> bytes:
        """One answer. Raises FetchFailed."""
        return self.fetch()(target, self.until(self.limits.answer_seconds))

    def ask(self, target: str) -> Reply:
        """The first page of a search, or one resource."""
        return self.read(target, pages=1)

    def read(self, target: str, pages: int = 0) -> Reply:
        """A search with its further pages, until there are no more or enough."""
        fetch, started = self.fetch(), time.monotonic()
        latest = self.until(self.limits.reading_seconds)
        reply = self._first(fetch, target, started)
        seen = {target}
        while reply.pages and (url := next(iter(reply.pages[-1].next_urls), "")):
            cut = self._enough(reply, pages or self.limits.pages, latest)
            cut = cut or ("the pages lead in a circle" if url in seen else "")
            if cut:
                return replace(reply, cut=cut)
            seen.add(url)
            page, failure, _ = self._page(fetch, url, latest)
            if page is None or page.kind != "bundle":
                return replace(reply, cut=f"a further page was not read: {failure or 'it is not a Bundle'}")
            reply = replace(reply, pages=(*reply.pages, page))
        return reply

    def _first(self, fetch: Fetch, target: str, started: float) -> Reply:
        page, failure, status = self._page(fetch, target, self._latest)
        pages = () if page is None else (page,)
        return Reply(pages, failure, status, seconds=time.monotonic() - started)

    def _page(self, fetch: Fetch, target: str, latest: float) -> tuple[Page | None, str, int | None]:
        if time.monotonic() >= self._latest:
            return None, NO_TIME, None
        try:
            page = sort(decode(fetch(target, min(self.until(self.limits.answer_seconds), latest))))
        except FetchFailed as failed:
            return None, with_status(failed), failed.status
        except UnreadableError:
            return None, NOT_FHIR, None
        return (None, NOT_FHIR, None) if page.kind == "other" else (page, "", None)

    def _enough(self, reply: Reply, pages: int, latest: float) -> str:
        """Why no further page is read, or ""."""
        if len(reply.pages) >= pages:
            return f"only the first {pages} pages were read" if pages > 1 else "only the first page was read"
        if sum(len(page.own) for page in reply.pages) >= self.limits.resources:
            return f"only about {self.limits.resources} resources were read"
        return "there was no time for more pages" if time.monotonic() >= latest else ""


def with_status(failed: FetchFailed) -> str:
    """A failure with the status that a person can look up."""
    return f"{failed.reason} (HTTP {failed.status})" if failed.status else failed.reason


def server_at(url: str, token: str, limits: Limits) -> Server:
    """The server at an address that a person named: https, or http on this machine. Raises BadOption, BadAddress."""
    base = fhir_base(url)
    server = Server(base, token, HttpClient(Policy(bases=(base,))), limits)
    server.fetch()  # says at once what is wrong with a token
    return server


READ_VERSIONS = ("4.0", "4.1", "4.3")  # R4 and R4B: the same for what is read here
SAYS = {
    404: "there is nothing at /metadata: is this the FHIR base?",
    401: "it asks for a token even for /metadata: give one (--token-file, or CDS_FHIR_TOKEN)",
}


class SearchParam(Fhir):
    """A searchParam or an interaction."""

    name: str | None = None
    code: str | None = None


class Described(Fhir):
    """CapabilityStatement.rest.resource."""

    type: str | None = None
    interaction: list[SearchParam] | SearchParam | None = None
    search_param: list[SearchParam] | SearchParam | None = None


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
