"""HTTP: what arrives becomes a HookRequest, what is answered becomes bytes. Nothing is decided here."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from flask import Flask, Response, request
from structlog.typing import FilteringBoundLogger
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from .addresses import AddressRefused, parse_base
from .callers import Caller, Callers, Endpoint
from .cors import cors_headers
from .demo_guard import refusal
from .fetching import Fetch
from .hooks.depth import surely_too_deep
from .hooks.messages import TOO_DEEP, BadRequest, HookRequest, log_name, read_request
from .outgoing import Outgoing
from .web_errors import JSON, Refused, refused

if TYPE_CHECKING:
    from .pipeline import Answer

LARGEST_BODY = 5_000_000
READ_AT_MOST = LARGEST_BODY + 1  # for Flask, which cuts a body of unknown length at its limit without a word
MEDIA_TYPES = ("application/json", "application/fhir+json")
ENCODER = msgspec.json.Encoder(decimal_format="number")
WRONG_PATIENT = "patient: the Patient that was sent or read is not the one of context.patientId"


@dataclass(frozen=True, slots=True)
class Site:
    """What the routes need from outside: services by id, texts that never change, and the way to other machines."""

    endpoints: Mapping[str, Endpoint]
    discovery: bytes
    welcome: str
    answer: Callable[..., Answer]  # pipeline.answer
    outgoing: Outgoing
    clock: Callable[[], datetime]
    log: FilteringBoundLogger
    seconds: float  # for one call, from its arrival
    demo: bool
    origins: Collection[str]
    callers: Callers | None = None  # the clients, behind their gate; None in demo mode, where anybody here may call


def add_routes(app: Flask, site: Site) -> None:
    """The addresses of the service, and who may call them."""
    calls = Calls(site)
    app.before_request(calls.admit)
    app.after_request(calls.share)
    app.add_url_rule("/", "welcome", calls.welcome, methods=["GET"])
    app.add_url_rule("/cds-services", "discovery", calls.discovery, methods=["GET"], strict_slashes=False)
    app.add_url_rule("/cds-services/<service_id>", "call", calls.call, methods=["POST"])


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
        arrived = time.monotonic()
        if service_id not in self.site.endpoints:
            raise Refused(404, "there is no such service; GET /cds-services lists the services")
        caller = self.caller(f"/cds-services/{service_id}")
        endpoint = caller.endpoints[service_id]
        body = read_body()
        try:
            hook_request = read_request(body, endpoint.hook)
            read = time.monotonic()
            found, fetched = self.answered(hook_request, endpoint, caller, arrived)
        except BadRequest as error:
            if error.lacks_draft_orders:
                self.site.log.warning("no-draft-orders", service=service_id)  # to be counted: a scope is not granted
            raise Refused(400, faults=error.faults) from None
        except RecursionError:
            if not surely_too_deep(body):
                raise
            raise Refused(400, faults=(TOO_DEEP,)) from None
        response = silence() if caller.silent else told(found)
        done = time.monotonic()
        response.headers["Server-Timing"] = timing(read=read - arrived, decide=done - read, total=done - arrived)
        self.note(service_id, hook_request, found, fetched, done - arrived, caller)
        return response

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
    ) -> tuple[Answer, str]:
        """The answer, and how FHIR access stood: "ready", or why there was none."""
        fetch, why = self.fetch_for(hook_request, caller)
        seconds = caller.seconds(endpoint.hook)
        deadlines = arrived + seconds, arrived + seconds / 2
        found = self.site.answer(hook_request, endpoint.service, fetch, self.site.clock(), *deadlines)
        return found, why or "ready"

    def fetch_for(self, hook_request: HookRequest, caller: Caller) -> tuple[Fetch | None, str]:
        """The way to the FHIR server that the client names, if it may be called."""
        access = hook_request.fhir_access
        if access is None:
            return None, "none passed"
        if is_this_service(access.base, request.environ):
            return None, "the fhirServer is this service"
        return caller.fetch_for(access)

    def note(
        self, service_id: str, hook_request: HookRequest, found: Answer, fetched: str, seconds: float, caller: Caller
    ) -> None:
        """One line in the log: about the call, never about the patient."""
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


def read_body() -> bytes:
    """The body of a call, if it is what we read: JSON, not encoded, not too large (also if it does not say so)."""
    if request.mimetype not in MEDIA_TYPES:
        raise Refused(415, f"the body must be {' or '.join(MEDIA_TYPES)}")
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise Refused(415, "an encoded body (Content-Encoding) is not read")
    length = request.content_length
    if length is not None and length <= LARGEST_BODY:
        body = request.environ["wsgi.input"].read(length)  # in one piece: the server need not copy it in parts
        if len(body) < length:
            raise ClientDisconnected
        return body
    body = request.get_data(cache=False)
    if len(body) > LARGEST_BODY:
        raise RequestEntityTooLarge
    return body


def told(found: Answer) -> Response:
    """The answer as bytes: cards, or 412 with what is missing."""
    if found.status == 412:
        return refused(Refused(412, *missing(found)))
    body = ENCODER.encode({"cards": found.cards})
    return Response(body, 200, {"Cache-Control": "no-store"}, content_type=JSON)


def silence() -> Response:
    """The answer of silent mode, whatever was decided: the one exception from never being silent."""
    return Response(b'{"cards":[]}', 200, {"Cache-Control": "no-store"}, content_type=JSON)


def missing(found: Answer) -> list[str]:
    """What could not be had, key by key, and why."""
    if found.gathered.wrong_patient:
        return [WRONG_PATIENT]
    states = found.gathered.states
    return [f"{key}: {states[key].reason or 'was not sent'}" for key in found.missing]


def is_this_service(base: str, environ: Mapping[str, Any]) -> bool:
    """Would a call to this FHIR base come back to us? Only asked of loopback addresses."""
    try:
        parsed = parse_base(base)
    except AddressRefused:
        return False
    return parsed.loopback_name and str(parsed.port) == environ.get("SERVER_PORT")


def timing(**seconds: float) -> str:
    """A Server-Timing header: where the time went, in milliseconds."""
    return ", ".join(f"{name};dur={value * 1000:.2f}" for name, value in seconds.items())
