"""HTTP: what arrives becomes a HookRequest, what is answered becomes bytes. Nothing is decided here.

One process answers a number of calls at once. One more is refused at once with 503, instead of waiting past its time;
there are more threads (server.py) than that, so that one is always left that can say so, or that the service is alive.

Feedback (checklist items 107 to 116) is stored before it is acknowledged: what cannot be stored is 503, so that the
client sends it again. Whether a card is known is not asked: feedback may arrive before the decision is written, and an
unknown card is for the report.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask import Flask, Response, request
from structlog.contextvars import bind_contextvars, clear_contextvars
from structlog.typing import FilteringBoundLogger

from ..bounds import HeldMemory, MemoryLimit, OutOfTime, TooCostly, TooMuchHeld, memory_of
from ..cdshooks.client_config import NONE_PASSED, READY, ClientConfig
from ..cdshooks.faults import TOO_DEEP, BadRequest
from ..cdshooks.feedback import OTHER, Feedback, read_feedback
from ..cdshooks.registry import BY_SERVICE_ID, Hook
from ..cdshooks.requests import HookRequest, log_name, read_request, surely_too_deep
from ..evaluate import CallTime, Evaluation, evaluate, milliseconds
from ..fetching import Fetch, FetchFailed
from ..http.addresses import leads_here
from ..metrics import Measures, NotMeasured
from ..store.records import DecisionStore, FeedbackRecord, StoreBusy, StoreDown
from ..tracing import HEADER
from .access import Callers, cors_headers, host_name, is_loopback, refusal
from .messages import JSON, Refused, instance_in, read_body, response_to, silence, timing
from .traces import Ended, NotRecorded, Traces

AS_IT_SHOULD_BE = (READY, NONE_PASSED)
FOR_MACHINES = ("cds-services", "healthz", "readyz", "openapi.json")
OTHER_HOST = (
    "the pages are answered under a name of public_base_url or CDS_ORIGINS, or on this machine: Host is neither"
)
OUT_OF_TIME = "the record that was sent or read holds more than can be read in the time of a call"
THIS_SERVICE = "the fhirServer is this service"

AT_ONCE = 36
OF_ONE_CLIENT = 12  # feedbacks
WRITTEN_AT_ONCE = 2  # feedbacks of one client: SQLite has one writer, and it is everybody's
LONGEST_WAIT = 1.0  # seconds for a thread; a call that has waited longer would be answered too late
WAITED = "b12_cds.waited"  # in the WSGI environment: the seconds that the request waited for a thread
BUSY = "the service is busy; come again soon"
COME_AGAIN = "1"  # seconds

NOT_KEPT = "feedback is not kept here: this service runs without a store"
NOT_STORED = "the feedback could not be stored; send it again later"
STORE_DOWN_WAIT = "60"  # seconds
MOST_LOGGED = 10  # card ids of one batch


class CallLimit:
    """How many calls are answered at once. One per process; threads share it."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._free = threading.BoundedSemaphore(at_once)

    @contextmanager
    def admit(self, environ: Mapping[str, Any]) -> Iterator[None]:
        """Admit one call; Refused with 503 where there are too many, or where it has waited too long for a thread."""
        if environ.get(WAITED, 0.0) > LONGEST_WAIT or not self._free.acquire(blocking=False):
            raise Refused(503, BUSY, headers={"Retry-After": COME_AGAIN})
        try:
            yield
        finally:
            self._free.release()


class FeedbackShare:
    """How much feedback of one client is taken at once, so that a client that sends a flood holds up itself only. One
    per process; threads share it."""

    def __init__(self, at_once: int = OF_ONE_CLIENT, written: int = WRITTEN_AT_ONCE) -> None:
        self._at_once, self._written = at_once, written
        self._clients: dict[str, tuple[threading.BoundedSemaphore, threading.BoundedSemaphore]] = {}

    @contextmanager
    def admit(self, client: str) -> Iterator[None]:
        """Admit one feedback of a client that is known, when it is its turn to be stored; Refused with 503 where too
        many of its own are before it."""
        limits = threading.BoundedSemaphore(self._at_once), threading.BoundedSemaphore(self._written)
        taken, written = self._clients.setdefault(client, limits)
        if not taken.acquire(blocking=False):
            raise Refused(503, BUSY, headers={"Retry-After": COME_AGAIN})
        try:
            if not written.acquire(timeout=LONGEST_WAIT):
                raise Refused(503, BUSY, headers={"Retry-After": COME_AGAIN})
            try:
                yield
            finally:
                written.release()
        finally:
            taken.release()


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
    page_hosts: Collection[str] | None = None  # under which names the pages are answered beside clients; None: any
    callers: Callers | None = None  # the clients, by their tokens; None in demo mode, where anybody here may call
    store: DecisionStore | None = None  # None: nothing is stored
    metrics: Measures = field(default_factory=NotMeasured)
    traces: Traces = field(default_factory=NotRecorded)
    limit: CallLimit = field(default_factory=CallLimit)  # how many calls are answered at once
    memory: MemoryLimit = field(default_factory=MemoryLimit)  # what they may hold together
    share: FeedbackShare = field(default_factory=FeedbackShare)  # how much of that the feedback of one client may take
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
        if self.site.page_hosts is not None and request.path.partition("/")[2].partition("/")[0] not in FOR_MACHINES:
            host = host_name(request.environ.get("HTTP_HOST") or "")
            if not (is_loopback(host) or host in self.site.page_hosts):
                raise Refused(403, OTHER_HOST)

    def share(self, response: Response) -> Response:
        """CORS headers, on errors too."""
        response.headers.extend(cors_headers(request.environ, self.site.origins, self.site.demo))
        return response

    def welcome(self) -> Response:
        """What this is, for a person who opens the address."""
        return Response(self.site.welcome, content_type="text/plain; charset=utf-8")

    def discovery(self) -> Response:
        """GET /cds-services"""
        listed = self.site.discovery
        if self.site.callers is not None:
            listed = self.site.callers.discovery(*self.credentials("/cds-services"), otherwise=listed)
        return Response(listed, content_type=JSON)

    def call(self, service_id: str) -> Response:
        """POST /cds-services/{id}"""
        with self.in_work() as ended, self.site.memory.call() as held:
            response = self.answered(service_id, time.monotonic() - request.environ.get(WAITED, 0.0), held)
            ended(response.status_code)
            return response

    @contextmanager
    def in_work(self) -> Iterator[Ended]:
        """While a call or feedback is in work: admitted, counted, traced. Gives what is to hear how it was answered."""
        site, parent = self.site, request.headers.get(HEADER, "")
        with site.limit.admit(request.environ), site.metrics.in_work(), site.traces.call(parent) as ended:
            yield ended

    def answered(self, service_id: str, arrived: float, held: HeldMemory) -> Response:
        """The answer to a call that is admitted; `arrived` is when, in seconds of the monotonic clock."""
        hook = known(service_id)
        bind_contextvars(service=service_id)
        client = self.caller(f"/cds-services/{service_id}")
        bind_contextvars(client=client.name)
        body = read_body(held)
        clock = CallTime(self.site.clock(), arrived)
        with self.refusing(body, service_id):
            hook_request = read_request(body, hook.id)
            read = time.monotonic()
            bind_contextvars(hookInstance=log_name(hook_request.hook_instance))
            fetch, access = fetch_for(hook_request, client)
            found = self.site.evaluate(hook_request, client, clock, holding(fetch, held), self.site.store)
        silent = client.is_silent(clock.now)
        why = "" if access in AS_IT_SHOULD_BE else access
        response = silence() if silent else response_to(found, client.templates, why)
        done = time.monotonic()
        response.headers["Server-Timing"] = timing(read=read - arrived, decide=done - read, total=done - arrived)
        self.site.metrics.call(client.name, hook.id, silent, found, fhir=access, seconds=done - arrived)
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
        if of_others := found.gathered.of_others_only:  # a query not used, or a broken record
            self.site.log.warning("only other patients' resources", client=client.name, keys=sorted(of_others))
        return response

    @contextmanager
    def refusing(self, body: bytes, service_id: str) -> Iterator[None]:
        """Refuse a body that is no call, is nested too deep, or holds more than can be read in the time of a call."""
        try:
            yield
        except BadRequest as error:
            bind_contextvars(**instance_in(body))
            if error.lacks_draft_orders:
                self.site.log.warning("no-draft-orders", service=service_id)  # to be counted: a scope is not granted
            raise Refused(400, faults=error.faults) from None
        except OutOfTime:
            raise Refused(503, OUT_OF_TIME, headers={"Retry-After": COME_AGAIN}) from None
        except RecursionError:
            if not surely_too_deep(body):
                raise
            raise Refused(400, faults=(TOO_DEEP,)) from None

    def feedback(self, service_id: str) -> Response:
        """POST /cds-services/{id}/feedback"""
        with self.in_work() as ended:
            known(service_id)
            bind_contextvars(service=service_id)
            client = self.caller(f"/cds-services/{service_id}/feedback")
            feedback = FeedbackStore(self.site.store, self.site.clock, self.site.log, self.site.metrics)
            if self.site.store is None:
                raise Refused(404, NOT_KEPT)
            with self.site.memory.call() as held:
                body = read_body(held)
                with self.site.share.admit(client.name):
                    response = feedback.take(body, service_id, client)
            ended(response.status_code)
            return response

    def caller(self, path: str) -> ClientConfig:
        """Who calls this address of ours. In demo mode it may be anybody on this machine."""
        if self.site.callers is None:
            return self.site.client
        return self.site.callers.caller(*self.credentials(path))

    def credentials(self, path: str) -> tuple[str | None, str, float]:
        """What identifies the caller of `path`."""
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


def holding(fetch: Fetch | None, held: HeldMemory) -> Fetch | None:
    """The fetch, whose answers count with what the call holds; one that costs too much is data that was not read."""
    if fetch is None:
        return None

    def fetch_and_hold(target: str, deadline: float) -> bytes:
        answer = fetch(target, deadline)
        try:
            held.hold(memory_of(answer))
        except (TooCostly, TooMuchHeld):
            raise FetchFailed("the answer holds more than can be read just now") from None
        return answer

    return fetch_and_hold


def logged(hook_request: HookRequest, found: Evaluation) -> dict[str, object]:
    """What the log says of an answered call: about the call, never about the patient."""
    return {
        "hookInstance": log_name(hook_request.hook_instance),
        "status": found.status,
        "cards": len(found.cards),
        "unavailable": sorted(found.record.unavailable),
        "incomplete": sorted(found.record.incomplete),
        "ignored": len(found.record.ignored),
        "warnings": (*hook_request.warnings, *found.warnings),
    }


# Feedback


@dataclass(frozen=True, slots=True)
class FeedbackStore:
    """Takes feedback. `store` is None where nothing is kept."""

    store: DecisionStore | None
    clock: Callable[[], datetime]
    log: FilteringBoundLogger
    metrics: Measures = field(default_factory=NotMeasured)

    def take(self, body: bytes, service: str, client: ClientConfig) -> Response:
        """The answer to feedback of a client that is known, about cards of that service."""
        self.save(body, service, client)
        return Response(b"{}", 200, {"Cache-Control": "no-store"}, content_type=JSON)

    def save(self, body: bytes, service: str, config: ClientConfig) -> None:
        """Store the feedback in that body; Refused says why it cannot be."""
        client = config.name
        if self.store is None:
            raise Refused(404, NOT_KEPT)
        now = self.clock()
        try:
            batch = read_feedback(body, now)
        except BadRequest as error:
            raise Refused(400, faults=error.faults) from None
        given, offered = batch.given, {each["code"]: each["system"] for each in config.cards.override_reasons}
        records = dict.fromkeys(record_of_feedback(each, offered) for each in given)
        try:
            self.store.save_feedback(client, list(records), milliseconds(now))
        except StoreDown as error:
            self.metrics.feedback_not_kept(len(given))
            self.log.error("feedback not stored", client=client, service=service, items=len(given), why=error.why)
            wait = COME_AGAIN if isinstance(error, StoreBusy) else STORE_DOWN_WAIT
            raise Refused(503, NOT_STORED, headers={"Retry-After": wait}) from None
        self.metrics.feedback(client, [each.outcome for each in given])
        self.note(service, client, given)
        if batch.refused:
            why = [f"{fault.path}: {fault.keyword}" for fault in batch.faults]
            self.log.warning("feedback in part", client=client, service=service, refused=batch.refused, why=why)

    def note(self, service: str, client: str, given: Sequence[Feedback]) -> None:
        """One line in the log. A card's id says nothing of a patient, and what was no id of ours is hashed."""
        outcomes = Counter(each.outcome for each in given)
        self.log.info(
            "feedback",
            client=client,
            service=service,
            accepted=outcomes["accepted"],
            overridden=outcomes["overridden"],
            commented=sum(each.commented for each in given),
            cards=list(dict.fromkeys(each.card for each in given))[:MOST_LOGGED],
            odd=dict(sorted(Counter(name for each in given for name in each.odd).items())),
        )


def record_of_feedback(given: Feedback, offered: Mapping[str, str]) -> FeedbackRecord:
    """Feedback in the words of the store. A reason is kept if it was offered (code -> system): any other code may hold
    anything, and counts as a reason of the client's own."""
    known = given.reason in offered
    return FeedbackRecord(
        card=given.card,
        outcome=given.outcome,
        at=given.at,
        accepted=given.accepted,
        reason=given.reason if known or not given.reason else OTHER,
        reason_system=given.reason_system if known and given.reason_system == offered[given.reason] else "",
        commented=given.commented,
    )
