"""One call from a page, made as a client's is: the same bytes through the same pipeline, and noted in the same store.

Every visit of the playground counts as a patient's record system of its own, so that what one person dismisses or
accepts on an example patient is not remembered for the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from datetime import time as time_of_day
from typing import Any

from structlog.typing import FilteringBoundLogger

from cds_service.cdshooks.depth import surely_too_deep
from cds_service.cdshooks.messages import TOO_DEEP, BadRequest, HookRequest, named_hook, read_request
from cds_service.clinical.record import PatientRecord
from cds_service.evaluate import Answer, Service, read_orders, with_orders
from cds_service.fetching import Fetch
from cds_service.fhir.gather import gather
from cds_service.fhir.reader import read_record
from cds_service.http.concurrency import ConcurrencyLimits
from cds_service.remembering import kept, recall_for, who
from cds_service.store.records import DecisionStore, NoHistory
from cds_service.web.bodies import timing
from cds_service.web.errors import Refused

FetchFor = Callable[[str, str, float | None], tuple[Fetch | None, str]]


@dataclass(frozen=True, slots=True)
class PageCall:
    """What is asked: the body of the call, under which pathway, as of which day, and whose visit it is.

    `day` is None for a call as of now. `recall`: is what this visit dismissed or accepted remembered? `keep`: is the
    decision written to the store?
    """

    body: bytes
    pathway: str
    visit: str
    day: date | None = None
    recall: bool = True
    keep: bool = True


@dataclass(frozen=True, slots=True)
class AnsweredCall:
    """A call with its answer, and what a page says about both. `timing` is a Server-Timing header."""

    call: PageCall
    request: HookRequest
    service: Service
    found: Answer
    day: date
    timing: str
    milliseconds: dict[str, float]
    fetched: str  # "ready", or why nothing could be fetched


@dataclass(frozen=True, slots=True)
class PageClient:
    """Makes calls. `services` by pathway and hook; `fetch_for` gives a fetch for a FHIR server that may be called."""

    services: Mapping[tuple[str, str], Service]
    pathway: str  # the one that clients get
    evaluate: Callable[..., Answer]  # evaluate.answer
    fetch_for: FetchFor
    clock: Callable[[], datetime]
    log: FilteringBoundLogger
    seconds: float
    name: str  # under which its calls are noted
    store: DecisionStore | None
    fhir_limits: ConcurrencyLimits

    @property
    def pathways(self) -> list[str]:
        return list(dict.fromkeys(pathway for pathway, _ in self.services))

    @property
    def zone(self) -> tzinfo:
        return self.services[self.pathway, "patient-view"].zone

    def today(self) -> date:
        return self.clock().astimezone(self.zone).date()

    def service(self, pathway: str, hook: str = "patient-view") -> Service:
        """The service of a pathway; Refused for one that we do not have."""
        if (pathway, hook) not in self.services:
            raise Refused(400, f"there is no such pathway; known: {', '.join(self.pathways)}")
        return self.services[pathway, hook]

    def answer(self, call: PageCall) -> AnsweredCall:
        """The answer. Refused says what is wrong with the request."""
        begun = time.monotonic()
        hook = named_hook(call.body, otherwise="patient-view")
        service = self.service(call.pathway, hook)
        try:
            request = read_request(call.body, hook)
            read = time.monotonic()
            answered = self.answer_read(call, request, service, begun, read)
        except BadRequest as error:
            raise Refused(400, faults=error.faults) from None
        except RecursionError:
            if not surely_too_deep(call.body):
                raise
            raise Refused(400, faults=(TOO_DEEP,)) from None
        self.log.info("playground", hook=hook, status=answered.found.status, cards=len(answered.found.cards))
        return answered

    def answer_read(
        self, call: PageCall, request: HookRequest, service: Service, begun: float, read: float
    ) -> AnsweredCall:
        """The answer to a request that could be read, noted in the store."""
        now = self.moment(call.day)
        fetch, why = self.fetch_of(request)
        asked = who(request, self.name, f"visit-{call.visit}")
        recall = recall_for(self.store, asked, now, service.zone) if call.recall else NoHistory
        deadlines = begun + self.seconds, begun + self.seconds / 2
        base = request.fhir_access.base if request.fhir_access else ""
        with self.fhir_limits.admit(base, fetch) as fetch:
            found = self.evaluate(request, service, fetch, now, *deadlines, recall)
        done = time.monotonic()
        parts = {"read": read - begun, "decide": done - read, "total": done - begun}
        rounded = {name: round(seconds * 1000, 1) for name, seconds in parts.items()}
        day = now.astimezone(service.zone).date()
        answered = AnsweredCall(call, request, service, found, day, timing(**parts), rounded, why or "ready")
        if call.keep:
            self.note(answered)
        return answered

    def note(self, answered: AnsweredCall) -> None:
        """Write the decision of a call to the store that was answered without."""
        if self.store is not None:
            asked = who(answered.request, self.name, f"visit-{answered.call.visit}")
            call, seconds = (answered.found, answered.request, answered.service), answered.milliseconds["total"] / 1000
            self.store.save_decision(kept(*call, asked, self.clock(), seconds=seconds, silent=False))

    def record(self, body: bytes, service: Service, day: date) -> PatientRecord:
        """What the request itself says of the patient, whatever hook it is for, with nothing fetched."""
        request = read_request(body, named_hook(body, otherwise="patient-view"))
        latest = time.monotonic() + self.seconds
        gathered = gather(request.prefetch, service.templates, request.tokens, None, latest, latest)
        record = read_record(gathered, request.patient_id, service.content, service.pathway, day, service.zone)
        return with_orders(record, read_orders(request, service, day, None, latest))

    def moment(self, day: date | None) -> datetime:
        """Now; or noon of another day."""
        if day is None or day == self.today():
            return self.clock()
        return datetime.combine(day, time_of_day(12), self.zone)

    def fetch_of(self, request: HookRequest) -> tuple[Fetch | None, str]:
        """A fetch for the FHIR server that the request names, or why there is none."""
        access = request.fhir_access
        return (None, "none passed") if access is None else self.fetch_for(access.base, access.token, access.lifetime)

    def history(self, hook_instance: str) -> list[dict[str, Any]]:
        """What the store holds of a call; nothing where nothing is kept."""
        return [] if self.store is None else self.store.records_of_call(hook_instance)
