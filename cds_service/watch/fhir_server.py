"""The FHIR server of a watched client: read with a token of our own, searched page by page, and Tasks written to it.

The token is that of SMART Backend Services: a signed assertion is exchanged for it at the one address that clients.toml
names; it stays in memory and is sent to the one base. A write is tried once. It is conditional: a Task is created only
if there is none of its identifier, and changed only if nobody else has changed it since it was read.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import msgspec

from ..auth.backend_tokens import TokenEndpoint
from ..auth.watching import Watch
from ..fetching import Fetch, FetchFailed
from ..fhir.bundles import decode
from ..fhir.fetch import under_base
from ..fhir.index import ERROR, PARTIAL, sort
from ..http.addresses import Policy
from ..http.client import HttpClient, Outgoing, Send
from .tasks import CODES, FOLLOW_UP, IDENTIFIER, Standing

Json = dict[str, Any]

SECONDS = 30.0  # for one call
PAGE = 200
CONFLICTS = (404, 409, 410, 412)  # what was read before is not so any more
FHIR_JSON = {"Content-Type": "application/fhir+json"}


class Conflict(Exception):
    """Somebody else was quicker: look again."""


class FhirServer:
    """The server of one client. `now` is in seconds since 1970, for what is signed."""

    def __init__(self, watch: Watch, ca_file: str | None, answer_bytes: int) -> None:
        self._watch, self.base = watch, watch.fhir.url
        self._http = HttpClient(
            Policy(
                bases=(watch.fhir,),
                anonymous=watch.credentials is None,
                private=watch.private,
                ca_file=ca_file,
                answer_bytes=answer_bytes,
                call_bytes=10 * answer_bytes,
            )
        )
        self._tokens = None if watch.credentials is None else TokenEndpoint(watch.credentials, watch.private, ca_file)

    def close(self) -> None:
        """Close every connection."""
        self._http.close()
        if self._tokens is not None:
            self._tokens.close()

    def fetch(self, now: float) -> Fetch:
        """A fetch for one patient, or for one search. FetchFailed where there is no token."""
        token, lifetime = self._token(now)
        fetch, why = self._http.fetch_for(self.base, token, lifetime)
        if fetch is None:
            raise FetchFailed(why)
        return fetch

    def _send(self, now: float) -> Send:
        if not self._watch.active:
            raise FetchFailed("nothing is written in silent mode")
        send, why = self._http.send_for(self.base, self._token(now)[0])
        if send is None:
            raise FetchFailed(why)
        return send

    def forget_token(self) -> None:
        """The token is not accepted any more: ask for another one next time."""
        if self._tokens is not None:
            self._tokens.forget()

    def _token(self, now: float) -> tuple[str, float | None]:
        return ("", None) if self._tokens is None else self._tokens.token(now)

    def search(self, query: str, now: float) -> Iterator[list[Json]]:
        """The matches of a search, page by page, to the last. FetchFailed where a page cannot be read, or the server
        says that there is more: what came before is a part only."""
        address: str | None = query
        read: set[str] = set()
        left = Decimal(0)  # of what the server counted
        while address:
            if address in read:
                raise FetchFailed("the pages of a search lead in a circle")
            read.add(address)
            body = self.fetch(now)(address, time.monotonic() + SECONDS)
            page = decoded(body)
            if page.get("resourceType") != "Bundle":
                raise FetchFailed("the answer of a search is no Bundle")
            entries = [each for each in members(page, "entry") if not is_outcome(each)]
            yield [each["resource"] for each in entries if isinstance(each.get("resource"), dict)]
            said = sort(decode(body))
            if said.outcomes & {ERROR, PARTIAL}:
                raise FetchFailed("the FHIR server reported that a part of a search is missing")
            if len(read) == 1 and said.total is not None and said.total.is_finite():
                left = said.total
            left -= len(entries)
            address = next_page(page, self.base)
            if address is None:
                raise FetchFailed("a further page has an address that is not one of this server")
        if left > 0:
            raise FetchFailed("fewer resources came than the FHIR server counted")

    def tasks_of(self, patient_id: str, now: float) -> list[Standing]:
        """Our Tasks of a patient, open and closed."""
        query = f"Task?patient={quote(patient_id, safe='')}&code={token_of(CODES, FOLLOW_UP)}&_count={PAGE}"
        found = [Standing(each) for page in self.search(query, now) for each in page]
        own = f"Patient/{patient_id}"
        return [each for each in found if is_follow_up(each.task) and whom(each.task) == own]

    def open_tasks(self, now: float) -> Iterator[Standing]:
        """Our open Tasks, of all patients."""
        query = f"Task?code={token_of(CODES, FOLLOW_UP)}&status=requested&_count={PAGE}"
        for page in self.search(query, now):
            yield from (Standing(each) for each in page if is_follow_up(each))

    def create(self, task: Json, digest: str, now: float) -> bool:
        """Create a Task, if there is none of this digest. Was it created? Conflict where there is one, or several."""
        condition = f"identifier={token_of(IDENTIFIER, digest)}"
        headers = {**FHIR_JSON, "If-None-Exist": condition, "Prefer": "return=minimal"}
        return self._write(Outgoing("POST", "Task", msgspec.json.encode(task), headers), now) == 201

    def change(self, standing: Standing, task: Json, now: float) -> None:
        """Change a Task that is as it was read. Conflict where somebody else has changed it meanwhile."""
        if not standing.version:
            raise FetchFailed("the FHIR server tells no version of a Task, so that none can be changed safely")
        headers = {**FHIR_JSON, "If-Match": f'W/"{standing.version}"', "Prefer": "return=minimal"}
        target = f"Task/{quote(standing.id, safe='')}"
        self._write(Outgoing("PUT", target, msgspec.json.encode(task), headers), now)

    def _write(self, request: Outgoing, now: float) -> int:
        """The status of a write that was done. Where no answer comes it may have been done all the same."""
        status = self._send(now)(request, time.monotonic() + SECONDS).status
        if status in CONFLICTS:
            raise Conflict
        if not 200 <= status < 300:
            raise FetchFailed(f"the FHIR server did not take a Task: HTTP status {status}", status)
        return status


def members(page: Json, name: str) -> list[Json]:
    """The objects of a list of a page; none where it has no such list. FetchFailed where anything else stands there."""
    found = page.get(name)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise FetchFailed(f"the answer of a search has something else than objects under {name!r}")
    return found


def next_page(page: Json, base: str) -> str | None:
    """The address of the next page, "" where there is none; None where it is not one of this server.
    FetchFailed where a page names a next one without its address.
    """
    links = [each.get("url") for each in members(page, "link") if each.get("relation") == "next"]
    if not links:
        return ""
    if not isinstance(links[0], str) or not links[0]:
        raise FetchFailed("a further page has no address")
    return under_base(links[0], base)


def is_outcome(entry: Json) -> bool:
    """Does it say how the search went, and is no match?"""
    search = entry.get("search")
    return isinstance(search, dict) and search.get("mode") == "outcome"


def token_of(system: str, code: str) -> str:
    """A code or identifier as a search names it."""
    return quote(f"{system}|{code}", safe="")


def is_follow_up(task: Json) -> bool:
    """Is it one of this kind? A server may ignore what it was asked for."""
    code = task.get("code")
    codings = code.get("coding") if isinstance(code, dict) else None
    kind = {"system": CODES, "code": FOLLOW_UP}.items()
    ours = isinstance(codings, list) and any(isinstance(each, dict) and kind <= each.items() for each in codings)
    return task.get("resourceType") == "Task" and "id" in task and ours


def whom(task: Json) -> str:
    """Whom a Task or a result is about, as "Patient/1"; "" where it does not say."""
    for name in ("for", "subject", "patient"):
        reference = task.get(name, {}).get("reference") if isinstance(task.get(name), dict) else None
        if isinstance(reference, str):
            parts = reference.partition("/_history/")[0].split("/")
            return f"Patient/{parts[-1]}" if len(parts) >= 2 and parts[-2] == "Patient" and parts[-1] else ""
    return ""


def decoded(body: bytes) -> Json:
    """A JSON object; FetchFailed where it is none."""
    try:
        found: Json = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        raise FetchFailed("the answer is not FHIR JSON") from None
    return found
