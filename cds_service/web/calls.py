"""HTTP: what arrives becomes a HookRequest, what is answered becomes bytes. Nothing is decided here."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, request
from structlog.contextvars import bind_contextvars, clear_contextvars
from structlog.typing import FilteringBoundLogger

from ..cdshooks.depth import surely_too_deep
from ..cdshooks.messages import TOO_DEEP, BadRequest, HookRequest, log_name, read_request
from ..fetching import Fetch
from ..http.addresses import leads_here
from ..http.client import HttpClient
from ..http.concurrency import ConcurrencyLimits
from ..metrics import Measures, NotMeasured
from ..remembering import kept, recall_for, who
from ..store.records import DecisionStore
from .bodies import instance_in, read_body, silence, timing, told
from .callers import Caller, Callers, Endpoint
from .cors import cors_headers
from .demo_guard import refusal
from .errors import JSON, Refused
from .feedback import FeedbackDesk
from .room import WAITED, Room

if TYPE_CHECKING:
    from ..evaluate import Answer

READY, NONE_PASSED = "ready", "none passed"
AS_IT_SHOULD_BE = (READY, NONE_PASSED)
UNUSED = {  # warning of a request whose FHIR access is not used -> why, in words for the client and the log
    "token-for-another-patient": "fhirAuthorization is for another patient",
    "token-unusable": "fhirAuthorization holds no token that can be used",
    "token-without-fhir-server": "fhirAuthorization came without it",
}


@dataclass(frozen=True, slots=True)
class Site:
    """What the routes need from outside: services by id, texts that never change, and the way to other machines."""

    endpoints: Mapping[str, Endpoint]
    discovery: bytes
    welcome: str  # "": a page is there instead
    answer: Callable[..., Answer]  # pipeline.answer
    outgoing: HttpClient
    clock: Callable[[], datetime]
    log: FilteringBoundLogger
    seconds: float  # for one call, from its arrival
    demo: bool
    origins: Collection[str]
    callers: Callers | None = None  # the clients, behind their gate; None in demo mode, where anybody here may call
    store: DecisionStore | None = None  # None: nothing is kept
    metrics: Measures = field(default_factory=NotMeasured)
    room: Room = field(default_factory=Room)  # how many calls are answered at once
    fhir_limits: ConcurrencyLimits = field(default_factory=ConcurrencyLimits)  # calls with one FHIR server


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
        self.anybody = Caller(
            name="demo",
            endpoints=site.endpoints,
            discovery=site.discovery,
            way=lambda base, token, lifetime, _: site.outgoing.fetch_for(base, token, lifetime),
            seconds=lambda _: site.seconds,
        )

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
        self.known(service_id)
        bind_contextvars(service=service_id)
        caller = self.caller(f"/cds-services/{service_id}")
        bind_contextvars(client=caller.name)
        endpoint = caller.endpoints[service_id]
        body = read_body()
        try:
            hook_request = read_request(body, endpoint.hook)
            read = time.monotonic()
            bind_contextvars(hookInstance=log_name(hook_request.hook_instance))
            found, fetched, now = self.answered(hook_request, endpoint, caller, arrived)
        except BadRequest as error:
            bind_contextvars(**instance_in(body))
            if error.lacks_draft_orders:
                self.site.log.warning("no-draft-orders", service=service_id)  # to be counted: a scope is not granted
            raise Refused(400, faults=error.faults) from None
        except RecursionError:
            if not surely_too_deep(body):
                raise
            raise Refused(400, faults=(TOO_DEEP,)) from None
        response = silence() if caller.silent else told(found, "" if fetched in AS_IT_SHOULD_BE else fetched)
        done = time.monotonic()
        response.headers["Server-Timing"] = timing(read=read - arrived, decide=done - read, total=done - arrived)
        self.note(service_id, hook_request, found, fetched, done - arrived, caller)
        self.site.metrics.parts(read=read - arrived, decide=done - read)
        self.keep(hook_request, endpoint, found, caller, now, done - arrived)
        return response

    def feedback(self, service_id: str) -> Response:
        """POST /cds-services/{id}/feedback"""
        with self.site.room.place(request.environ):
            self.known(service_id)
            caller = self.caller(f"/cds-services/{service_id}/feedback")
            desk = FeedbackDesk(self.site.store, self.site.clock, self.site.log, self.site.metrics.feedback)
            return desk.take(service_id, caller.name)

    def known(self, service_id: str) -> None:
        """404 for a service that we do not have."""
        if service_id not in self.site.endpoints:
            raise Refused(404, "there is no such service; GET /cds-services lists the services")

    def caller(self, path: str) -> Caller:
        """Who calls this address of ours. In demo mode it may be anybody on this machine."""
        if self.site.callers is None:
            return self.anybody
        return self.site.callers.caller(*self.credentials(path))

    def credentials(self, path: str) -> tuple[str | None, str, float]:
        """What tells who calls `path`, and when."""
        return request.headers.get("Authorization"), path, self.site.clock().timestamp()

    def answered(
        self, hook_request: HookRequest, endpoint: Endpoint, caller: Caller, arrived: float
    ) -> tuple[Answer, str, datetime]:
        """The answer, how FHIR access stood (`READY`, or why there was none), and as of when it was made."""
        fetch, why = self.fetch_for(hook_request, caller)
        seconds, now = caller.seconds(endpoint.hook), self.site.clock()
        deadlines = arrived + seconds, arrived + seconds / 2
        memory = None if caller.silent else self.site.store  # what was never shown cannot have been dismissed
        recall = recall_for(memory, who(hook_request, caller.name, caller.tenant), now, endpoint.service.zone)
        base = hook_request.fhir_access.base if hook_request.fhir_access else ""
        with self.site.fhir_limits.admit(base, fetch) as fetch:
            found = self.site.answer(hook_request, endpoint.service, fetch, now, *deadlines, recall)
        return found, why or READY, now

    def keep(
        self,
        hook_request: HookRequest,
        endpoint: Endpoint,
        found: Answer,
        caller: Caller,
        now: datetime,
        seconds: float,
    ) -> None:
        """Hand the decision to the store, which neither waits nor fails."""
        if self.site.store is not None:
            asked = who(hook_request, caller.name, caller.tenant)
            self.site.store.save_decision(
                kept(found, hook_request, endpoint.service, asked, now, seconds=seconds, silent=caller.silent)
            )

    def fetch_for(self, hook_request: HookRequest, caller: Caller) -> tuple[Fetch | None, str]:
        """The way to the FHIR server that the client names, if it may be called."""
        access = hook_request.fhir_access
        if access is None:
            return None, next(filter(None, map(UNUSED.get, hook_request.warnings)), NONE_PASSED)
        if is_this_service(access.base, request.environ):
            return None, "the fhirServer is this service"
        return caller.fetch_for(access)

    def note(
        self, service_id: str, hook_request: HookRequest, found: Answer, fetched: str, seconds: float, caller: Caller
    ) -> None:
        """One line in the log: about the call, never about the patient. And the metrics count it."""
        self.site.metrics.call(caller.name, hook_request.hook, caller.silent, found, fetched, seconds)
        self.site.log.info(
            "call",
            client=caller.name,
            silent=caller.silent,
            service=service_id,
            hookInstance=log_name(hook_request.hook_instance),
            status=found.status,
            cards=len(found.cards),
            ms=round(seconds * 1000, 1),
            unavailable=sorted(found.record.unavailable),
            incomplete=sorted(found.record.incomplete),
            ignored=len(found.record.ignored),
            fhirAccess=fetched,
            warnings=hook_request.warnings,
        )


def is_this_service(base: str, environ: Mapping[str, Any]) -> bool:
    """Would a call to this FHIR base come back to us? Only asked of loopback addresses."""
    return leads_here(base, environ.get("SERVER_PORT", ""))
