"""Is it alive (GET /healthz), and how is it (GET /readyz)? Asked without a token, answered without a secret.

A store that is down does not take a replica out of service: /readyz stays 200 and says "degraded". Calls are answered
all the same, but for those of clients whose tokens are good once: nobody can say whether such a token is new, so they
hear 503, and /readyz says that too. Content that cannot be loaded needs no answer: then no process starts at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec
from flask import Flask, Response

from ..content.content import overdue
from ..store.records import DecisionStore, StoreState
from .errors import JSON
from .pilots import Pilot

ALIVE = b'{"status":"ok"}'
ONCE = 'store: while it is down, clients with jti = "once" are answered 503'


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was loaded at the start."""

    version: str  # of the service
    content: str
    pathways: tuple[str, ...]
    review_by: date
    approved: bool


def nobody_silent() -> Sequence[Pilot]:
    """No client is silent."""
    return ()


@dataclass(frozen=True, slots=True)
class Health:
    """The two addresses."""

    loaded: Loaded
    today: Callable[[], date]
    store: DecisionStore | None
    needs_store: bool = False  # are there clients whose tokens only the store can tell to be new?
    pilots: Callable[[], Sequence[Pilot]] = nobody_silent

    def alive(self) -> Response:
        """GET /healthz: this process answers."""
        return answer(ALIVE)

    def ready(self) -> Response:
        """GET /readyz: what runs, and what is not as it should be."""
        return answer(msgspec.json.encode(self.told()))

    def told(self) -> dict[str, Any]:
        """The readiness. `degraded` as soon as something needs the operator."""
        store = None if self.store is None else self.store.state()
        late = overdue(self.loaded.review_by, self.today())
        down, pilots = store is not None and not store.ok, self.pilots()
        told = (
            down and f"store: {store.why}",
            down and self.needs_store and ONCE,
            late,
            *(each.ended and each.remark for each in pilots),
        )
        why = [each for each in told if each]
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
            "store": {"kept": False} if store is None else kept(store),
            "silent": [silent(each) for each in pilots if not each.ended],
        }


def kept(store: StoreState) -> dict[str, Any]:
    """The store as this process sees it."""
    return {"kept": True, "ok": store.ok, "why": store.why, "lost": store.lost, "waiting": store.waiting}


def silent(pilot: Pilot) -> dict[str, Any]:
    """A client to which no card is sent, and the last day of that if there is one."""
    return {"client": pilot.client} | ({"until": pilot.until} if pilot.until else {})


def answer(body: bytes) -> Response:
    return Response(body, 200, {"Cache-Control": "no-store"}, content_type=JSON)


def add_health(app: Flask, health: Health) -> None:
    """Where they are found."""
    app.add_url_rule("/healthz", "healthz", health.alive, methods=["GET"])
    app.add_url_rule("/readyz", "readyz", health.ready, methods=["GET"])
