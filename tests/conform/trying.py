"""A service under trial in this process: ours, or ours with one thing broken in what it answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from flask import Flask
from werkzeug.test import Client

from cds_service.app import create_app
from cds_service.commands.conform import CHECKS
from cds_service.conform.calls import Service, Signer
from cds_service.conform.checklist import FAIL, Result, checklist, results
from cds_service.examples.fixture_patients import patients_folder, read_patient
from cds_service.http.client import Outgoing, Reply, Send
from cds_service.settings import Settings
from cds_service.web.health import END
from tests.hooks.calling import ENVIRON

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
CHECKLIST = checklist()
ORIGIN = "https://page.example.org"
Change = Callable[[Outgoing, Reply], Reply]


def demo(**settings: Any) -> Flask:
    given = {"demo": True, "store_url": "none", "origins": ORIGIN, **settings}
    return create_app(Settings(**given), clock=lambda: NOW)


@contextmanager
def storing() -> Iterator[Flask]:
    """The demo with a store, so that it takes feedback; its threads are ended."""
    app = demo(store_url="")
    try:
        yield app
    finally:
        app.extensions[END]()


def sending(app: Flask, change: Change | None = None) -> Send:
    """What makes calls to an application in this process; `change` breaks what it answers."""
    client = Client(app)

    def send(request: Outgoing, deadline: float) -> Reply:
        got = client.open(
            f"/{request.target}",
            method=request.method,
            data=request.body,
            headers=dict(request.headers),
            environ_overrides=ENVIRON,
        )
        reply = Reply(got.status_code, {name.lower(): value for name, value in got.headers.items()}, got.data)
        return change(request, reply) if change else reply

    return send


class Once:
    """An application that stores nothing answers the same to the same call: each is made once for all trials."""

    def __init__(self, make: Callable[[], Flask]) -> None:
        self.make, self.replies = make, {}

    @cached_property
    def send(self) -> Send:
        return sending(self.make())

    def broken(self, change: Change | None = None) -> Send:
        """As `sending`."""

        def send(request: Outgoing, deadline: float) -> Reply:
            key = repr((request.method, request.target, request.body, sorted(request.headers.items())))
            if key not in self.replies:
                self.replies[key] = self.send(request, deadline)
            return change(request, self.replies[key]) if change else self.replies[key]

        return send


def under_trial(send: Send, signer: Signer | None = None, url: str = "http://127.0.0.1:8000", **more: Any) -> Service:
    record = read_patient(patients_folder() / "neuro-metformin.json", NOW.date())
    given = {"origin": ORIGIN, "clock": lambda: 0.0, **more}
    return Service(url=url, send=send, record=record, today=NOW.date(), signer=signer, **given)


def tried(service: Service) -> dict[str, Result]:
    """What became of each item."""
    return {each.item.number: each for each in results(CHECKS, service)}


def failed(service: Service) -> dict[str, tuple[str, ...]]:
    return {number: each.reasons for number, each in tried(service).items() if each.outcome == FAIL}


# Ways in which a service is broken


def body(change: Callable[[Any], Any], *, of: str = "cards") -> Change:
    """The decoded body of each 200 that has this key, changed."""

    def changed(request: Outgoing, reply: Reply) -> Reply:
        if reply.status != 200 or f'"{of}"'.encode() not in reply.body[:20]:
            return reply
        told = json.loads(reply.body)
        return Reply(reply.status, reply.headers, json.dumps(change(told) or told).encode())

    return changed


def each_card(change: Callable[[dict[str, Any]], Any]) -> Change:
    def changed(told: Any) -> None:
        for card in told["cards"]:
            change(card)

    return body(changed)


def each_suggestion(change: Callable[[dict[str, Any]], Any]) -> Change:
    return each_card(lambda card: [change(each) for each in card.get("suggestions", ())])


def each_action(change: Callable[[dict[str, Any]], Any]) -> Change:
    return each_suggestion(lambda suggestion: [change(each) for each in suggestion["actions"]])


def each_order(change: Callable[[dict[str, Any]], Any]) -> Change:
    """Each resource that a suggestion would create."""
    return each_action(lambda action: change(action["resource"]) if action["type"] == "create" else None)


def each_service(change: Callable[[dict[str, Any]], Any]) -> Change:
    return body(lambda told: [change(each) for each in told["services"]] and None, of="services")


def each_template(key: str, text: str) -> Change:
    return each_service(lambda service: service["prefetch"].update({key: text}))


def status(number: int, when: Callable[[Outgoing], bool]) -> Change:
    """Another status for some calls."""
    return lambda request, reply: Reply(number, reply.headers, reply.body) if when(request) else reply


def holds(request: Outgoing, *parts: str) -> bool:
    return all(part.encode() in (request.body or b"") for part in parts)
