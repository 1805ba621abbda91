"""One call from a page, made as a client's is: the same bytes through the same pipeline, and noted in the same store.

Every visit of the playground counts as a patient's record system of its own, so that what one person dismisses or
accepts on an example patient is not remembered for the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, tzinfo
from datetime import time as time_of_day
from typing import Any

from structlog.typing import FilteringBoundLogger

from cds_service.cdshooks.client_config import Access, ClientConfig
from cds_service.cdshooks.faults import TOO_DEEP, BadRequest
from cds_service.cdshooks.registry import HOOKS
from cds_service.cdshooks.requests import HookRequest, named_hook, read_request, surely_too_deep
from cds_service.clinical.record import PatientRecord
from cds_service.evaluate import CallTime, Evaluation, evaluate, record_of, record_without_fetching, who
from cds_service.store.records import CallParties, DecisionRecord, DecisionStore, History, NoHistory
from cds_service.web.calls import THIS_SERVICE, fetch_for, is_this_service
from cds_service.web.messages import Refused, timing


@dataclass(frozen=True, slots=True)
class PageCall:
    """What is asked: the body of the call, under which pathway, as of which day, and whose visit it is.

    `day` is None for a call as of now. `remembers`: is what this visit dismissed or accepted remembered? `records`: is
    the decision written to the store?
    """

    body: bytes
    pathway: str
    visit: str
    day: date | None = None
    remembers: bool = True
    records: bool = True


@dataclass(frozen=True, slots=True)
class VisitMemory:
    """The store as one call of a page uses it. Without `remembers` nothing is remembered; without `records` nothing is
    stored."""

    store: DecisionStore
    remembers: bool
    records: bool

    def history(self, who: CallParties, now: int, zone: tzinfo) -> History:
        return self.store.history(who, now, zone) if self.remembers else NoHistory()

    def save_decision(self, decision: DecisionRecord) -> None:
        if self.records:
            self.store.save_decision(decision)


@dataclass(frozen=True, slots=True)
class AnsweredCall:
    """A call with its answer, and what a page says about both. `timing` is a Server-Timing header."""

    call: PageCall
    request: HookRequest
    config: ClientConfig
    found: Evaluation
    timing: str
    milliseconds: dict[str, float]
    fetched: str  # "ready", or why nothing could be fetched
    clock: CallTime

    @property
    def day(self) -> date:
        """The calendar day as of which it was answered."""
        return self.config.today(self.clock.now)

    @property
    def service_id(self) -> str:
        """The id of the service that was called."""
        return HOOKS[self.request.hook].service_id


@dataclass(frozen=True, slots=True)
class PageClient:
    """Makes calls, as the client of a pathway."""

    configs: Mapping[str, ClientConfig]  # by pathway
    pathway: str  # the one that clients get
    clock: Callable[[], datetime]
    log: FilteringBoundLogger
    store: DecisionStore | None

    @property
    def pathways(self) -> list[str]:
        return list(self.configs)

    @property
    def zone(self) -> tzinfo:
        return self.configs[self.pathway].zone

    def today(self) -> date:
        return self.configs[self.pathway].today(self.clock())

    def config(self, pathway: str) -> ClientConfig:
        """What the client of a pathway gets; Refused for one that we do not have."""
        if pathway not in self.configs:
            raise Refused(400, f"there is no such pathway; known: {', '.join(self.pathways)}")
        return self.configs[pathway]

    def answer(self, call: PageCall) -> AnsweredCall:
        """The answer. Refused says what is wrong with the request."""
        begun = time.monotonic()
        hook = named_hook(call.body)
        config = replace(self.config(call.pathway), tenant=f"visit-{call.visit}")
        try:
            answered = self.answer_read(call, read_request(call.body, hook), config, begun)
        except BadRequest as error:
            raise Refused(400, faults=error.faults) from None
        except RecursionError:
            if not surely_too_deep(call.body):
                raise
            raise Refused(400, faults=(TOO_DEEP,)) from None
        self.log.info("playground", hook=hook, status=answered.found.status, cards=len(answered.found.cards))
        return answered

    def answer_read(self, call: PageCall, request: HookRequest, config: ClientConfig, begun: float) -> AnsweredCall:
        """The answer to a request that could be read, recorded in the store."""
        read = time.monotonic()
        clock = CallTime(self.moment(call.day), begun, recorded=self.clock())
        fetch, access = fetch_for(request, config)
        memory = None if self.store is None else VisitMemory(self.store, call.remembers, call.records)
        found = evaluate(request, config, clock, fetch, memory)
        done = time.monotonic()
        parts = {"read": read - begun, "decide": done - read, "total": done - begun}
        rounded = {name: round(seconds * 1000, 1) for name, seconds in parts.items()}
        return AnsweredCall(call, request, config, found, timing(**parts), rounded, access, clock)

    def note(self, answered: AnsweredCall) -> None:
        """Record a call in the store that was answered without."""
        if self.store is not None:
            request, config = answered.request, answered.config
            self.store.save_decision(record_of(request, who(request, config), config, answered.clock, answered.found))

    def record(self, body: bytes, config: ClientConfig, day: date) -> PatientRecord:
        """What the request itself says of the patient, whatever hook it is for, with nothing fetched."""
        return record_without_fetching(read_request(body, named_hook(body)), config, day)

    def access(self, base: str) -> Access:
        """A fetch from a FHIR server that a person chose, without a token; or None, and why there is none."""
        if is_this_service(base):
            return None, THIS_SERVICE
        return self.config(self.pathway).access(base, "", None, None)

    def moment(self, day: date | None) -> datetime:
        """Now; or noon of another day."""
        if day is None or day == self.today():
            return self.clock()
        return datetime.combine(day, time_of_day(12), self.zone)

    def history(self, hook_instance: str) -> list[dict[str, Any]]:
        """What the store holds of a call; nothing where nothing is stored."""
        return [] if self.store is None else self.store.records_of_call(hook_instance)
