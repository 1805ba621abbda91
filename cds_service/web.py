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
from .cors import cors_headers
from .demo_guard import refusal
from .fetching import Fetch
from .hooks.depth import surely_too_deep
from .hooks.messages import TOO_DEEP, BadRequest, HookRequest, log_name, read_request
from .outgoing import Outgoing
from .web_errors import JSON, Refused, refused

if TYPE_CHECKING:
    from .pipeline import Answer, Service

LARGEST_BODY = 5_000_000
READ_AT_MOST = LARGEST_BODY + 1  # for Flask, which cuts a body of unknown length at its limit without a word
MEDIA_TYPES = ("application/json", "application/fhir+json")
ENCODER = msgspec.json.Encoder(decimal_format="number")
WRONG_PATIENT = "patient: the Patient that was sent or read is not the one of context.patientId"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One CDS service that can be called: its hook, and all that it answers with."""

    hook: str
    service: Service


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
        return Response(self.site.discovery, content_type=JSON)

    def call(self, service_id: str) -> Response:
        """POST /cds-services/{id}"""
        arrived = time.monotonic()
        endpoint = self.site.endpoints.get(service_id)
        if endpoint is None:
            raise Refused(404, "there is no such service; GET /cds-services lists the services")
        body = read_body()
        try:
            hook_request = read_request(body, endpoint.hook)
            read = time.monotonic()
            found, fetched = self.answered(hook_request, endpoint.service, arrived)
        except BadRequest as error:
            raise Refused(400, faults=error.faults) from None
        except RecursionError:
            if not surely_too_deep(body):
                raise
            raise Refused(400, faults=(TOO_DEEP,)) from None
        response = told(found)
        done = time.monotonic()
        response.headers["Server-Timing"] = timing(read=read - arrived, decide=done - read, total=done - arrived)
        self.note(service_id, hook_request, found, fetched, done - arrived)
        return response

    def answered(self, hook_request: HookRequest, service: Service, arrived: float) -> tuple[Answer, str]:
        """The answer, and how FHIR access stood: "ready", or why there was none."""
        fetch, why = self.fetch_for(hook_request)
        seconds = self.site.seconds
        deadlines = arrived + seconds, arrived + seconds / 2
        found = self.site.answer(hook_request, service, fetch, self.site.clock(), *deadlines)
        return found, why or "ready"

    def fetch_for(self, hook_request: HookRequest) -> tuple[Fetch | None, str]:
        """The way to the FHIR server that the client names, if it may be called."""
        access = hook_request.fhir_access
        if access is None:
            return None, "none passed"
        if is_this_service(access.base, request.environ):
            return None, "the fhirServer is this service"
        return self.site.outgoing.fetch_for(access.base, access.token, access.lifetime)

    def note(self, service_id: str, hook_request: HookRequest, found: Answer, fetched: str, seconds: float) -> None:
        """One line in the log: about the call, never about the patient."""
        self.site.log.info(
            "call",
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
