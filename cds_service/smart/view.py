"""What the view shows: the record read anew with the clinician's own access, decided as a chart that is opened is.

`evaluate` decides, as everywhere; the cards of an earlier call leave nothing out here, because whoever asks for the
evidence is to see all of it. The decision is recorded under a name of its own, so that nobody counts it as a chart.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from uuid import uuid4

import msgspec
import msgspec.structs

from cds_service.cdshooks.client_config import ClientConfig
from cds_service.cdshooks.requests import FhirAccess, HookRequest, log_name
from cds_service.evaluate import CallTime, Evaluation, evaluate
from cds_service.fetching import Fetch
from cds_service.store.records import (
    CallParties,
    DecisionRecord,
    DecisionStore,
    EarlierCall,
    History,
    NoHistory,
    StoreDown,
)
from cds_service.ui.answer_view import AnswerView
from cds_service.ui.client import AnsweredCall, PageCall
from cds_service.ui.fhir_page import Person, person_of
from cds_service.ui.frame import written
from cds_service.web.messages import timing

from .faults import LaunchFault
from .launch import Access
from .servers import RecordSystem

HOOK = "patient-view"
NAME = "smart-launch"  # in the store, where a hook call has the names of its hook and its service
SECONDS = 8.0  # for reading the record: nothing was prefetched, and a person waits, not a chart
Reader = Callable[[HookRequest, ClientConfig], tuple[Fetch | None, str]]


@dataclass(frozen=True, slots=True)
class Recorded:
    """The store as a launch uses it: nothing is left out for what was dismissed before, and the decision is kept."""

    store: DecisionStore

    def history(self, who: CallParties, now: int, zone: tzinfo) -> History:
        return NoHistory()

    def save_decision(self, decision: DecisionRecord) -> None:
        self.store.save_decision(replace(decision, hook=NAME, service=NAME))


@dataclass(frozen=True, slots=True)
class PatientSeen:
    """A fetch that keeps the Patient that it reads, for the banner."""

    fetch: Fetch
    patient: str
    bodies: list[bytes] = field(default_factory=list)

    def __call__(self, target: str, deadline: float) -> bytes:
        body = self.fetch(target, deadline)
        if target == f"Patient/{self.patient}":
            self.bodies.append(body)
        return body

    def person(self) -> Person | None:
        """Who it is; None where the Patient was not read, or is another one."""
        for body in self.bodies:
            try:
                found = msgspec.json.decode(body)
            except (msgspec.DecodeError, RecursionError):
                continue
            if isinstance(found, dict) and found.get("id") == self.patient:
                return person_of(found)
        return None


@dataclass(frozen=True, slots=True)
class CardFollowed:
    """The call whose card was followed, as the store has it. `checked` is False where it could not be found out whether
    it was about this patient."""

    checked: bool
    at: datetime | None = None
    changed: bool = False  # is something else decided now?


@dataclass(frozen=True, slots=True)
class Launched:
    """One launch, answered: everything that its page shows."""

    view: AnswerView
    system: RecordSystem
    access: Access
    person: Person | None
    followed: CardFollowed | None  # None: no card was followed

    @property
    def answered(self) -> AnsweredCall:
        return self.view.answered

    @property
    def zone(self) -> str:
        """In whose time the page speaks."""
        return str(self.answered.config.zone)

    @property
    def read_at(self) -> str:
        """When the record was read."""
        return self.local(self.answered.clock.now)

    @property
    def card_at(self) -> str:
        """When the card was made."""
        at = self.followed.at if self.followed else None
        return "" if at is None else f"{self.local(at)} on {written(at.astimezone(self.answered.config.zone).date())}"

    def local(self, moment: datetime) -> str:
        return moment.astimezone(self.answered.config.zone).strftime("%H:%M")


def request_of(system: RecordSystem, access: Access) -> HookRequest:
    """The call that the view makes: the chart of that patient is opened, and everything is read."""
    tokens = {"userId": access.user, "patientId": access.patient}
    allowed = FhirAccess(system.base.url, access.token, access.lifetime)
    return HookRequest(HOOK, str(uuid4()), access.patient, tokens, {}, system.base.url, allowed)


def decided(
    system: RecordSystem, access: Access, now: datetime, fetch_for: Reader, store: DecisionStore | None = None
) -> tuple[AnsweredCall, Person | None]:
    """The decision about the patient of a launch, and who that is. What could not be read is on the cards, or 412."""
    begun, request, config = time.monotonic(), request_of(system, access), system.config
    fetch, why = fetch_for(request, config)
    seen = None if fetch is None else PatientSeen(fetch, access.patient)
    clock = CallTime(now, begun, seconds=SECONDS)
    found = evaluate(request, config, clock, seen, None if store is None else Recorded(store))
    total = time.monotonic() - begun
    plain = msgspec.structs.replace(request, fhir_access=None)  # what is shown holds no token
    call = PageCall(b"{}", config.pathway.id, NAME)
    parts = {"total": round(total * 1000, 1)}
    answered = AnsweredCall(call, plain, config, found, timing(total=total), parts, why, clock)
    return answered, seen.person() if seen else None


def check_patient(system: RecordSystem, access: Access, store: DecisionStore | None) -> EarlierCall | None:
    """The call whose card was followed, if the store has it; LaunchFault where it was about another patient."""
    if not access.hook_instance or store is None:
        return None
    name = log_name(access.hook_instance)
    bases = (system.base.url, "")  # a call that sent all its data may have named no server
    parties = [
        CallParties(system.client.name, tenant, base, access.patient, "") for base in bases for tenant in system.tenants
    ]
    try:
        earlier = store.earlier_call(name, parties)
    except StoreDown:
        return None
    if earlier is not None and not earlier.same_patient:
        raise LaunchFault("other-patient")
    return earlier


def followed(access: Access, earlier: EarlierCall | None, found: Evaluation) -> CardFollowed | None:
    """What is said of the card that was followed."""
    if not access.hook_instance:
        return None
    if earlier is None:
        return CardFollowed(checked=False)
    changed = (earlier.label, earlier.rows) != (found.decision.label, found.decision.rows)
    return CardFollowed(True, datetime.fromisoformat(earlier.at), changed and earlier.hook == HOOK)
