"""Fetches what the client did not send: missing keys, further pages, and Medications that are only referred to.

Fetches run side by side, a few at a time, each waited for until its own deadline. The threads belong to one hook call:
a server that hangs holds back nobody else. They end by themselves, for a fetch ends at its deadline; they are daemons,
so that one that does not (a name server that never answers) cannot prevent the process from stopping. What comes back
is taken in the caller's thread, one by one: nothing is shared.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from queue import Empty, SimpleQueue
from typing import TypeAlias

from ..fetching import Fetch, FetchFailed
from . import templates
from .bundles import Decoded, UnreadableError, decode
from .index import ResourceIndex, can_be_fetched, sort
from .key_states import ABSENT, FAILED, INCOMPLETE, PATIENT, REQUIRED, KeyReading
from .resources import Resource

AT_ONCE = 16
LATE = "no answer in time"


@dataclass(frozen=True, slots=True, eq=False)
class FetchTask:
    """One fetch, and what is done with its result: `take` gives further tasks, or None to stop everything."""

    url: str
    deadline: float  # monotonic
    take: Callable[[bytes | FetchFailed], Iterable[FetchTask] | None]


Results: TypeAlias = "SimpleQueue[tuple[FetchTask, bytes | Exception]]"


def run(fetch: Fetch, tasks: Iterable[FetchTask]) -> None:
    """Run the tasks, and those that follow from them, in their order."""
    waiting = deque(tasks)
    running: set[FetchTask] = set()
    results: Results = SimpleQueue()
    while waiting or running:
        late = _start(fetch, waiting, running, results)
        task, result = (late, FetchFailed(LATE)) if late else _next(running, results)
        running.discard(task)
        further = task.take(result)
        if further is None:
            return
        waiting.extend(further)


def _start(fetch: Fetch, waiting: deque[FetchTask], running: set[FetchTask], results: Results) -> FetchTask | None:
    """Start what there is a thread for. A task that is too late before it starts is given back."""
    while waiting and len(running) < AT_ONCE:
        task = waiting.popleft()
        if task.deadline <= time.monotonic():
            return task
        running.add(task)
        threading.Thread(target=_do, args=(fetch, task, results), name="fhir-fetch", daemon=True).start()
    return None


def _do(fetch: Fetch, task: FetchTask, results: Results) -> None:
    try:
        results.put((task, fetch(task.url, task.deadline)))
    except Exception as error:  # noqa: BLE001  (raised again in the thread of the call)
        results.put((task, error))


def _next(running: set[FetchTask], results: Results) -> tuple[FetchTask, bytes | FetchFailed]:
    """The next result, or the first task that is not back at its deadline. A fault of our own is raised here."""
    while True:
        first = min(running, key=lambda task: task.deadline)
        try:
            task, result = results.get(timeout=max(first.deadline - time.monotonic(), 0))
        except Empty:
            return first, FetchFailed(LATE)
        if task not in running:  # given up before
            continue
        if isinstance(result, bytes | FetchFailed):
            return task, result
        raise result


ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
RESOURCE_TYPE = re.compile(r"[A-Z][A-Za-z]{2,40}")
OF_THE_SERVER = re.compile(r"Medication/([A-Za-z0-9.-]{1,64})")
STANDING = (403, 404, 501)  # of any patient: access was not granted, the server has no such type or does not search it
PAGES = 50  # of one key
TOGETHER = 50  # Medications that one search asks for: its address stays below 4,000 characters
SEARCHES = 8  # of Medications, in one look-up
READS = 20  # of Medications one by one, in one look-up


@dataclass(frozen=True, slots=True)
class Fetching:
    """How to fetch what was not sent. The deadlines are moments of the monotonic clock; after the second one nothing
    optional is fetched. `base` is the address of the FHIR server as the client names it, "" if it is not known."""

    fetch: Fetch
    deadline: float
    optional_deadline: float
    base: str = ""


def fetch_missing(
    readings: Mapping[str, KeyReading],
    index: ResourceIndex,
    context: Mapping[str, str],
    fetching: Fetching,
) -> None:
    """Complete the readings as far as the deadlines allow. Required keys go first and have more time."""
    run(fetching.fetch, _Tasks(readings, index, context, fetching).first())


class _Tasks:
    """Which fetch follows from which."""

    def __init__(
        self,
        readings: Mapping[str, KeyReading],
        index: ResourceIndex,
        context: Mapping[str, str],
        fetching: Fetching,
    ) -> None:
        self._readings, self._index, self._context = readings, index, context
        self._deadline, self._optional_deadline = fetching.deadline, fetching.optional_deadline
        self._base = fetching.base
        self._pages_read: set[tuple[str, str]] = set()  # prefetch key and address
        self._look_up = MedicationLookUp(index, fetching.deadline, fetching.base)

    def first(self) -> list[FetchTask]:
        """What to fetch after looking at what was sent, required keys first."""
        keys = sorted(self._readings, key=lambda key: key not in REQUIRED)
        tasks = [task for key in keys for task in self._of_key(self._readings[key])]
        return tasks + [task for key in keys for task in self._medications(self._readings[key])]

    def _of_key(self, reading: KeyReading) -> list[FetchTask]:
        """The query of a key that was not had, or not wholly; where only pages are missing, the next page."""
        state, _ = reading.judged()
        if reading.next_urls and state != FAILED:
            return self._pages(reading)
        wanted = not self._index.has_patient if reading.key == PATIENT else state in (ABSENT, FAILED, INCOMPLETE)
        if not wanted or not reading.template:
            return []
        query = templates.fill(reading.template, self._context)
        if query is None:
            reading.failure, reading.offered = "the context does not say what the query needs", False
            return []
        return [FetchTask(query, self._until(reading), partial(self._take_key, reading))]

    def _until(self, reading: KeyReading) -> float:
        return self._deadline if reading.key in REQUIRED else self._optional_deadline

    def _take_key(self, reading: KeyReading, result: bytes | FetchFailed) -> Iterable[FetchTask] | None:
        decoded = _decoded(result)
        if isinstance(decoded, str):
            reading.failure = _explained(decoded, result, reading.template)
            reading.offered = not (isinstance(result, FetchFailed) and result.status in STANDING)
            return []
        reading.replace(decoded)
        if reading.of_another_patient:
            return None
        return self._following(reading)

    def _following(self, reading: KeyReading) -> list[FetchTask]:
        return self._pages(reading) + self._medications(reading)

    def _pages(self, reading: KeyReading) -> list[FetchTask]:
        """The next page, unless there are too many or it was read already."""
        if not reading.next_urls:
            return []
        if not reading.next_urls[0]:
            reading.unread = "a further page has no address"
            return []
        url = under_base(reading.next_urls[0], self._base)
        if url is None:
            reading.unread = "a further page has an address that is not one of this server"
            return []
        if len(reading.pages) >= PAGES:
            reading.unread = "there are too many pages"
        elif (reading.key, url) in self._pages_read:
            reading.unread = "the pages lead in a circle"
        else:
            self._pages_read.add((reading.key, url))
            return [FetchTask(url, self._until(reading), partial(self._take_page, reading))]
        return []

    def _take_page(self, reading: KeyReading, result: bytes | FetchFailed) -> Iterable[FetchTask]:
        decoded = _decoded(result)
        if isinstance(decoded, Decoded) and decoded.kind != "bundle":
            decoded = "a further page is not a Bundle"
        if isinstance(decoded, str):
            reading.unread = f"a further page was not read: {decoded}"
            return []
        reading.next_urls.pop(0)
        reading.add(decoded)
        return self._following(reading)

    def _medications(self, reading: KeyReading) -> list[FetchTask]:
        """The Medications to look up. Some entries carry nothing but a reference."""
        return self._look_up.tasks(reading.medications_missing())


class MedicationLookUp:
    """Reads the Medications that entries only refer to: many in one search, and one by one where that brings nothing.

    There are at most SEARCHES searches and READS reads. What is beyond that stays missing, and its key incomplete.
    """

    def __init__(self, index: ResourceIndex, deadline: float, base: str = "") -> None:
        self._index, self._deadline = index, deadline
        self._own = f"{base.rstrip('/')}/" if base else ""
        self._asked: set[str] = set()
        self._searches, self._reads = 0, 0

    def tasks(self, references: Iterable[str]) -> list[FetchTask]:
        """What to fetch for references that were not asked for before."""
        new = [each for each in dict.fromkeys(references) if each not in self._asked and can_be_fetched(each)]
        self._asked.update(new)
        named: dict[str, list[str]] = {}  # by the id on the server that is asked
        elsewhere = []
        for reference in new:
            found = OF_THE_SERVER.fullmatch(reference.removeprefix(self._own))
            if found:
                named.setdefault(found[1], []).append(reference)
            else:
                elsewhere.append(reference)
        return [*self._together(named), *self._one_by_one(elsewhere)]

    def _together(self, named: Mapping[str, Sequence[str]]) -> list[FetchTask]:
        """Searches for these ids. A single one is read."""
        ids, tasks = list(named), []
        while len(ids) > 1 and self._searches < SEARCHES:
            some, ids = {each: named[each] for each in ids[:TOGETHER]}, ids[TOGETHER:]
            query = f"Medication?_id={','.join(some)}&_count={TOGETHER}"
            tasks.append(FetchTask(query, self._deadline, partial(self._take_found, some)))
            self._searches += 1
        return tasks + self._one_by_one(reference for each in ids for reference in named[each][:1])

    def _take_found(self, named: Mapping[str, Sequence[str]], result: bytes | FetchFailed) -> list[FetchTask]:
        """What a search found; what it did not is searched again where it found some (a page may be short)."""
        found = {each.id: each for each in medications(result) if each.id is not None and each.id in named}
        for name, resource in found.items():
            for reference in named[name]:
                self._index.include(reference, resource)
        missing = {name: references for name, references in named.items() if name not in found}
        if found:
            return self._together(missing)
        return self._one_by_one(reference for references in missing.values() for reference in references[:1])

    def _one_by_one(self, references: Iterable[str]) -> list[FetchTask]:
        some = list(islice(references, READS - self._reads))
        self._reads += len(some)
        return [FetchTask(each, self._deadline, partial(self._take_read, each)) for each in some]

    def _take_read(self, reference: str, result: bytes | FetchFailed) -> list[FetchTask]:
        for resource in medications(result):
            self._index.include(reference, resource)
        return []


def medications(result: bytes | FetchFailed) -> list[Resource]:
    """The Medications in an answer; none in one that failed or cannot be read."""
    decoded = _decoded(result)
    own = [] if isinstance(decoded, str) else sort(decoded).resources
    return [each for each in own if each.resource_type == "Medication"]


def under_base(url: str, base: str) -> str | None:
    """The address of a further page at the server that was asked; None where it cannot be told.

    Behind a proxy servers write their links under a host, scheme or port of their own. What counts is the path after
    the base, and the query: "http://internal:8080/fhir/Observation?page=2" becomes "Observation?page=2".
    """
    if not (base and ABSOLUTE.match(url)) or re.match(re.escape(base.rstrip("/")) + "([/?]|$)", url):
        return url
    path, _, query = url.partition("#")[0].partition("?")
    path = "/" + path.partition("://")[2].partition("/")[2].rstrip("/")
    own = "/" + base.partition("://")[2].partition("/")[2].rstrip("/")
    parts = path.split("/")
    if any(part in (".", "..") or "%" in part for part in parts):
        return None
    if path == own or (own != "/" and path.startswith(own + "/")):
        rest = path[len(own) :].lstrip("/")
    else:
        types = [place for place, part in enumerate(parts) if RESOURCE_TYPE.fullmatch(part)]
        if not types:
            return None
        rest = "/".join(parts[types[-1] :])
    return f"{rest}?{query}" if query else rest or None


def _decoded(result: bytes | FetchFailed) -> Decoded | str:
    """What the server sent, or why there is nothing."""
    if isinstance(result, FetchFailed):
        return result.reason
    try:
        return decode(result)
    except UnreadableError:
        return "the answer is not FHIR JSON"


def _explained(reason: str, result: bytes | FetchFailed, template: str) -> str:
    """A 404 says different things: this server has no such type, or no such patient."""
    if isinstance(result, FetchFailed) and result.status == 404:
        kind = templates.resource_type(template)
        return (
            f"the FHIR server has no such {kind}"
            if templates.is_read(template)
            else f"the FHIR server offers no {kind}"
        )
    return reason
