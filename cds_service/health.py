"""Is it alive (GET /healthz), and how is it (GET /readyz)? Asked without a token, answered without a secret.

A store that is down does not take a replica out of service: calls are answered all the same, so /readyz stays 200 and
says "degraded". Content that cannot be loaded needs no answer: then no process starts at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec
from flask import Flask, Response

from .store.kept import Keeper, StoreState
from .web_errors import JSON

ALIVE = b'{"status":"ok"}'


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was loaded at the start."""

    version: str  # of the service
    content: str
    pathways: tuple[str, ...]
    review_by: date
    approved: bool

    def review_passed(self, today: date) -> bool:
        """Has the day passed by which the content must be looked at again?"""
        return today > self.review_by


@dataclass(frozen=True, slots=True)
class Health:
    """The two addresses."""

    loaded: Loaded
    today: Callable[[], date]
    store: Keeper | None

    def alive(self) -> Response:
        """GET /healthz: this process answers."""
        return answer(ALIVE)

    def ready(self) -> Response:
        """GET /readyz: what runs, and what is not as it should be."""
        return answer(msgspec.json.encode(self.told()))

    def told(self) -> dict[str, Any]:
        """The readiness. `degraded` as soon as something needs the operator."""
        store = None if self.store is None else self.store.state()
        passed = self.loaded.review_passed(self.today())
        why = list(reasons(store, passed, self.loaded.review_by))
        return {
            "status": "degraded" if why else "ok",
            "why": why,
            "version": self.loaded.version,
            "content": {
                "version": self.loaded.content,
                "approved": self.loaded.approved,
                "review_by": self.loaded.review_by,
                "review_passed": passed,
            },
            "pathways": self.loaded.pathways,
            "store": {"kept": False} if store is None else kept(store),
        }


def reasons(store: StoreState | None, passed: bool, review_by: date) -> Iterable[str]:
    """What needs the operator, in words."""
    if store is not None and not store.ok:
        yield f"store: {store.why}"
    if passed:
        yield review_text(review_by)


def review_text(review_by: date) -> str:
    """What to say of content that is past its day."""
    return f"the content was to be reviewed by {review_by:%Y-%m-%d}, and that day has passed"


def kept(store: StoreState) -> dict[str, Any]:
    """The store as this process sees it."""
    return {"kept": True, "ok": store.ok, "why": store.why, "lost": store.lost, "waiting": store.waiting}


def answer(body: bytes) -> Response:
    return Response(body, 200, {"Cache-Control": "no-store"}, content_type=JSON)


def add_health(app: Flask, health: Health) -> None:
    """Where they are found."""
    app.add_url_rule("/healthz", "healthz", health.alive, methods=["GET"])
    app.add_url_rule("/readyz", "readyz", health.ready, methods=["GET"])
