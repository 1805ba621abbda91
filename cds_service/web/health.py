"""How an operator sees the service: /healthz, /readyz, metrics, the OpenAPI document, and remarks at the start.

Is it alive (GET /healthz), and how is it (GET /readyz)? Asked without a token, answered without a secret. A store that
is down does not take a replica out of service: /readyz stays 200 and says "degraded". Calls are answered all the same,
but for those of clients whose tokens are good once: nobody can say whether such a token is new, so they hear 503, and
/readyz says that too, and how many calls of the last minute heard 503, for whatever reason. Content that cannot be
loaded needs no answer: then no process starts at all.

A pilot in silent mode is of limited length. After its last day (`silent_until`) the client is answered like any other,
without anybody's doing; so it is said beforehand, at every start and by /readyz, and afterwards that it is so.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from typing import Any

import msgspec
from flask import Flask, Response, request

from .. import __version__
from ..cdshooks.client_config import ClientConfig
from ..cdshooks.registry import HOOKS
from ..content.content import overdue
from ..evaluate import DRAFT_ORDERS
from ..metrics import About, Measures, Metrics, NotMeasured, names_of
from ..store.records import DecisionStore, StoreState
from .calls import Site
from .messages import JSON, add_error_handlers
from .openapi import Installation, openapi

BEGIN, END = "cds-begin", "cds-end"  # app.extensions: what each process does before it answers, and when it ends
MINUTE = 60  # seconds of which /readyz tells how calls were answered
TOLERATED = 0.01  # share of calls answered 503 in it, beyond which somebody should look
ALIVE = b'{"status":"ok"}'
ONCE = 'store: while it is down, clients with jti = "once" are answered 503'


@dataclass(frozen=True, slots=True)
class Pilot:
    """A client that is silent by clients.toml. `until` is its last day; None: nobody has said."""

    client: str
    until: date | None
    ended: bool

    @property
    def remark(self) -> str:
        """One line for the operator."""
        if self.ended:
            over = f"client {self.client}: silent mode ended with {self.until}, its cards are sent"
            return f"{over}; take mode and silent_until out of clients.toml, or give another day"
        until = f" until {self.until}, from the next day on they are" if self.until else ""
        without = "" if self.until else "; a pilot has an end: silent_until = 2027-01-31, for example"
        return f"client {self.client}: silent mode, no card is sent{until}{without}"


def pilots(clients: Iterable[ClientConfig], now: datetime) -> tuple[Pilot, ...]:
    """The pilots among them, also those that have ended."""
    return tuple(Pilot(each.name, each.silent_until, each.pilot_ended(now)) for each in clients if each.silent)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was loaded at the start."""

    version: str  # of the service
    content: str
    pathways: tuple[str, ...]
    review_by: date
    approved: bool


class LastMinute:
    """What calls really heard in the last minute, in this process: how many there were, and how many were 503.

    A probe of the store says how it is for one who asks now and then; this says how it is for everybody else.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._seconds: deque[tuple[int, int, int]] = deque()  # second, calls, of them 503; the oldest first

    def count(self, status: int) -> None:
        """A call was answered with that status."""
        unavailable, second = int(status == 503), int(self._clock())
        with self._lock:
            if self._seconds and self._seconds[-1][0] == second:
                _, calls, refused = self._seconds.pop()
                self._seconds.append((second, calls + 1, refused + unavailable))
            else:
                self._seconds.append((second, 1, unavailable))
                self._forget(second)

    def counts(self) -> tuple[int, int]:
        """Calls, and how many of them were answered 503."""
        with self._lock:
            self._forget(int(self._clock()))
            return sum(calls for _, calls, _ in self._seconds), sum(refused for *_, refused in self._seconds)

    def _forget(self, now: int) -> None:
        while self._seconds and self._seconds[0][0] <= now - MINUTE:
            self._seconds.popleft()


def nobody_silent() -> Sequence[Pilot]:
    """No client is silent."""
    return ()


@dataclass(frozen=True, slots=True)
class Health:
    """The two addresses."""

    loaded: Loaded
    today: Callable[[], date]
    store: DecisionStore | None
    needs_store: bool = False  # are there clients whose tokens only the store knows to be new?
    pilots: Callable[[], Sequence[Pilot]] = nobody_silent
    calls: LastMinute = field(default_factory=LastMinute)

    def alive(self) -> Response:
        """GET /healthz: this process answers."""
        return answer(ALIVE)

    def ready(self) -> Response:
        """GET /readyz: what runs, and what is not as it should be."""
        return answer(msgspec.json.encode(self.readiness()))

    def readiness(self) -> dict[str, Any]:
        """The readiness. `degraded` as soon as something needs the operator."""
        store = None if self.store is None else self.store.state()
        late = overdue(self.loaded.review_by, self.today())
        why, pilots = [], self.pilots()
        if store is not None and not store.ok:
            why += [f"store: {store.why}", *([ONCE] if self.needs_store else [])]
        answered, unavailable = self.calls.counts()
        if unavailable > answered * TOLERATED:
            why.append(f"calls: of {answered} in the last minute {unavailable} were answered 503")
        why += [late] if late else []
        why += [each.remark for each in pilots if each.ended]
        return {
            "status": "degraded" if why else "ok",
            "why": why,
            "version": self.loaded.version,
            "content": {
                "version": self.loaded.content,
                "approved": self.loaded.approved,
                "review_by": self.loaded.review_by,
                "review_passed": bool(late),
            },
            "pathways": self.loaded.pathways,
            "calls": {"last_minute": answered, "answered_503": unavailable},
            "store": {"kept": False} if store is None else store_as_json(store),
            "silent": [silent(each) for each in pilots if not each.ended],
        }


def store_as_json(store: StoreState) -> dict[str, Any]:
    """The store as this process sees it."""
    counts = {"lost": store.lost, "waiting": store.waiting, "late": store.late}
    return {"kept": True, "ok": store.ok, "why": store.why, **counts}


def silent(pilot: Pilot) -> dict[str, Any]:
    """A client to which no card is sent, and the last day of that if there is one."""
    return {"client": pilot.client} | ({"until": pilot.until} if pilot.until else {})


def answer(body: bytes) -> Response:
    return Response(body, 200, {"Cache-Control": "no-store"}, content_type=JSON)


def add_health(app: Flask, health: Health) -> None:
    """Where they are found."""
    app.add_url_rule("/healthz", "healthz", health.alive, methods=["GET"])
    app.add_url_rule("/readyz", "readyz", health.ready, methods=["GET"])


# Everything that is added to an application


def add_observation(app: Flask, site: Site, measured: bool) -> Site:
    """The addresses that tell how it is, and the site that counts what it does. `measured`: does anybody ask?"""
    clients = clients_of(site)
    configurations = [site.client, *clients.values()]
    loaded = loaded_from(site.client, configurations)

    def today() -> date:
        return site.client.today(site.clock())

    def silent() -> tuple[Pilot, ...]:
        return pilots(site.callers.by_name.values() if site.callers else (), site.clock())

    def review_passed() -> bool:
        return bool(overdue(loaded.review_by, today()))

    metrics: Measures = NotMeasured()
    if measured:
        keys = {key for each in configurations for key in each.templates} | {DRAFT_ORDERS}
        names = names_of(clients, HOOKS, (each.pathway for each in configurations), keys)
        metrics = Metrics(names, About(loaded.version, loaded.content, frozenset(loaded.pathways), review_passed))
    for remark in filter(None, [overdue(loaded.review_by, today()), *(each.remark for each in silent())]):
        site.log.warning("start", remark=remark)
    add_error_handlers(app, site.log, metrics.refused)
    add_document(app, site)
    health = Health(loaded, today, site.store, needs_store(site), silent)
    app.after_request(partial(count_call, health.calls))
    add_health(app, health)
    app.extensions[BEGIN], app.extensions[END] = partial(begin, site, metrics), partial(end, site)
    return replace(site, metrics=metrics)


def count_call(calls: LastMinute, response: Response) -> Response:
    """Of the calls of services and of their feedback, what they heard."""
    if request.method == "POST" and request.path.startswith("/cds-services/"):
        calls.count(response.status_code)
    return response


def add_document(app: Flask, site: Site) -> None:
    """GET /openapi.json. It is made once: nothing of it changes while the service runs."""
    services = tuple(msgspec.json.decode(site.discovery)["services"])
    open_to_all = site.callers is None or site.callers.discovery_open
    document = msgspec.json.encode(openapi(Installation(__version__, services, site.demo, open_to_all)))
    app.add_url_rule("/openapi.json", "openapi", lambda: Response(document, content_type=JSON), methods=["GET"])


def clients_of(site: Site) -> Mapping[str, ClientConfig]:
    """Every client, by its name."""
    return {site.client.name: site.client} if site.callers is None else site.callers.by_name


def needs_store(site: Site) -> bool:
    """Are there clients who cannot be answered while the store is down?"""
    return site.callers is not None and site.callers.needs_store


def loaded_from(client: ClientConfig, clients: list[ClientConfig]) -> Loaded:
    """What was loaded at the start. Of several contents (a site's folder for a client) the first review is due."""
    return Loaded(
        version=__version__,
        content=client.content.version,
        pathways=tuple(sorted({each.pathway.id for each in clients})),
        review_by=min(each.content.review_by for each in clients),
        approved=all(each.content.is_approved for each in clients),
    )


def begin(site: Site, metrics: Measures) -> None:
    """A process begins to answer calls."""
    if site.store is not None:
        site.store.start()
    site.traces.begin()
    metrics.begin(None if site.store is None else site.store.state)


def end(site: Site) -> None:
    """A process has answered its last call."""
    site.traces.end()
    if site.store is not None:
        site.store.close()
