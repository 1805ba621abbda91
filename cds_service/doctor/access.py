"""The FHIR server under examination: asked through the guarded session, within bounds of time, pages and number.

The person who runs the command names the address, and for this run it is the only one allowed. What a server does not
give is told in our own words; the address of a query is never told, because it may name a patient.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from ..fetching import Fetch, FetchFailed
from ..fhir.gathering.bundles import UnreadableError, decode
from ..fhir.gathering.key_states import Page, sort
from ..fhir.resources import Resource
from ..http.addresses import AddressRefused, Base, Policy, parse_base
from ..http.door import Outgoing

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

    def __init__(self, base: Base, token: str, outgoing: Outgoing, limits: Limits):
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
            return None, told(failed), failed.status
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


def told(failed: FetchFailed) -> str:
    """A failure with the status that a person can look up."""
    return f"{failed.reason} (HTTP {failed.status})" if failed.status else failed.reason


def server_at(url: str, token: str, limits: Limits) -> Server:
    """The server at an address that a person named: https, or http on this machine. Raises BadAddress."""
    try:
        base = parse_base(url.strip())
    except AddressRefused as refused:
        raise BadAddress(f"--fhir: {refused}; give a FHIR base URL such as https://ehr.example.org/fhir") from None
    if base.scheme != "https" and not base.loopback_name:
        raise BadAddress("--fhir: an address without encryption (http) is called on this machine only; use https")
    server = Server(base, token, Outgoing(Policy(bases=(base,))), limits)
    server.fetch()  # says at once what is wrong with a token
    return server
