"""HTTP: what arrives becomes a HookRequest, what is answered becomes bytes. Nothing is decided here."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime

from flask import Flask, Response, request
from structlog.contextvars import bind_contextvars, clear_contextvars
from structlog.typing import FilteringBoundLogger

from ..cdshooks.depth import surely_too_deep
from ..cdshooks.messages import TOO_DEEP, BadRequest, HookRequest, log_name, read_request
from ..cdshooks.registry import BY_SERVICE_ID, Hook
from ..evaluate import NONE_PASSED, READY, CallTime, ClientConfig, Evaluation, evaluate
from ..fetching import Fetch
from ..http.addresses import leads_here
from ..metrics import Measures, NotMeasured
from ..store.records import DecisionStore
from .bodies import instance_in, read_body, silence, timing, told
from .callers import Callers
from .cors import cors_headers
from .demo_guard import refusal
from .errors import JSON, Refused
from .feedback import FeedbackDesk
from .room import WAITED, Room

AS_IT_SHOULD_BE = (READY, NONE_PASSED)
THIS_SERVICE = "the fhirServer is this service"


@dataclass(frozen=True, slots=True)
class Site:
    """What the routes need from outside: who is answered and how, texts that never change, and effects."""

    client: ClientConfig  # of whoever calls in demo mode
    discovery: bytes
    welcome: str  # "": a page is there instead
    clock: Callable[[], datetime]
    log: FilteringBoundLogger
    demo: bool
    origins: Collection[str]
    callers: Callers | None = None  # the clients, by their tokens; None in demo mode, where anybody here may call
    store: DecisionStore | None = None  # None: nothing is kept
    metrics: Measures = field(default_factory=NotMeasured)
    room: Room = field(default_factory=Room)  # how many calls are answered at once
    evaluate: Callable[..., Evaluation] = evaluate


def add_routes(app: Flask, site: Site) -> None:
    """The addresses of the service, and who may call them."""
    calls = Calls(site)
    app.before_request(calls.admit)
    app.after_request(calls.share)
    if site.welcome:
        app.add_url_rule("/", "welcome", calls.welcome, methods=["GET"])
    app.add_url_rule("/cds-services", "discovery", calls.discovery, methods=["GET"], strict_slashes=False)
    app.add_url_rule("/cds-services/<service_id>", "call", calls.call, methods=["POST"])
    app.add_url_rule("/cds-services/<service_id>/feedback", "feedback", calls.feedback, methods=["POST"])


class Calls:
    """The routes."""

    def __init__(self, site: Site):
        self.site = site

    def admit(self) -> None:
        """In demo mode nobody from outside is answered, on any address."""
        clear_contextvars()  # what the log says of every call: nothing is known of this one yet
        if self.site.demo and (why := refusal(request.environ, self.site.origins)):
            raise Refused(403, why)

    def share(self, response: Response) -> Response:
        """CORS headers, on errors too."""
        response.headers.extend(cors_headers(request.environ, self.site.origins, self.site.demo))
        return response

    def welcome(self) -> Response:
        """What this is, for a person who opens the address."""
        return Response(self.site.welcome, content_type="text/plain; charset=utf-8")

    def discovery(self) -> Response:
        """GET /cds-services"""
        told = self.site.discovery
        if self.site.callers is not None:
            told = self.site.callers.discovery(*self.credentials("/cds-services"), otherwise=told)
        return Response(told, content_type=JSON)

    def call(self, service_id: str) -> Response:
        """POST /cds-services/{id}"""
        with self.site.room.place(request.environ):
            return self.taken(service_id, time.monotonic() - request.environ.get(WAITED, 0.0))

    def taken(self, service_id: str, arrived: float) -> Response:
        """A call for which there is room."""
        hook = known(service_id)
        bind_contextvars(service=service_id)
        client = self.caller(f"/cds-services/{service_id}")
        bind_contextvars(client=client.name)
        body = read_body()
        clock = CallTime(self.site.clock(), arrived)
        try:
            hook_request = read_request(body, hook.id)
            read = time.monotonic()
            bind_contextvars(hookInstance=log_name(hook_request.hook_instance))
            fetch, access = fetch_for(hook_request, client)
            found = self.site.evaluate(hook_request, client, clock, fetch, self.site.store)
        except BadRequest as error:
            bind_contextvars(**instance_in(body))
            if error.lacks_draft_orders:
                self.site.log.warning("no-draft-orders", service=service_id)  # to be counted: a scope is not granted
            raise Refused(400, faults=error.faults) from None
        except RecursionError:
            if not surely_too_deep(body):
                raise
            raise Refused(400, faults=(TOO_DEEP,)) from None
        silent = client.is_silent(clock.now)
        response = silence() if silent else told(found, "" if access in AS_IT_SHOULD_BE else access)
        done = time.monotonic()
        response.headers["Server-Timing"] = timing(read=read - arrived, decide=done - read, total=done - arrived)
        self.site.metrics.call(client.name, hook.id, silent, found, access, done - arrived)
        self.site.metrics.parts(read=read - arrived, decide=done - read)
        self.site.log.info(
            "call",
            client=client.name,
            silent=silent,
            service=service_id,
            **logged(hook_request, found),
            ms=round((done - arrived) * 1000, 1),
            fhirAccess=access,
        )
        return response

    def feedback(self, service_id: str) -> Response:
        """POST /cds-services/{id}/feedback"""
        with self.site.room.place(request.environ):
            known(service_id)
            client = self.caller(f"/cds-services/{service_id}/feedback")
            desk = FeedbackDesk(self.site.store, self.site.clock, self.site.log, self.site.metrics.feedback)
            return desk.take(service_id, client.name)

    def caller(self, path: str) -> ClientConfig:
        """Who calls this address of ours. In demo mode it may be anybody on this machine."""
        if self.site.callers is None:
            return self.site.client
        return self.site.callers.caller(*self.credentials(path))

    def credentials(self, path: str) -> tuple[str | None, str, float]:
        """What tells who calls `path`, and when."""
        return request.headers.get("Authorization"), path, self.site.clock().timestamp()


def known(service_id: str) -> Hook:
    """The hook of a service; 404 for a service that we do not have."""
    hook = BY_SERVICE_ID.get(service_id)
    if hook is None:
        raise Refused(404, "there is no such service; GET /cds-services lists the services")
    return hook


def fetch_for(hook_request: HookRequest, client: ClientConfig) -> tuple[Fetch | None, str]:
    """A fetch from the FHIR server that the client names, if it may be called and is not this service."""
    access = hook_request.fhir_access
    if access is not None and is_this_service(access.base):
        return None, THIS_SERVICE
    return client.fetch_for(hook_request)


def is_this_service(base: str) -> bool:
    """Would a call to this FHIR base come back to us? Only asked of loopback addresses."""
    return leads_here(base, request.environ.get("SERVER_PORT", ""))


def logged(hook_request: HookRequest, found: Evaluation) -> dict[str, object]:
    """What the log says of an answered call: about the call, never about the patient."""
    return {
        "hookInstance": log_name(hook_request.hook_instance),
        "status": found.status,
        "cards": len(found.cards),
        "unavailable": sorted(found.record.unavailable),
        "incomplete": sorted(found.record.incomplete),
        "ignored": len(found.record.ignored),
        "warnings": hook_request.warnings,
    }
