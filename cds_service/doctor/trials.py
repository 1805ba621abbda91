"""The prefetch templates tried as they are, with a few patients: are they answered, wholly, and how fast is a call?

The ids of the patients stay in this process: nothing that is printed holds one.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median

from ..cdshooks.client_config import ClientConfig
from ..cdshooks.faults import BadRequest
from ..cdshooks.requests import read_request
from ..evaluate import CallTime, Evaluation, evaluate
from ..fetching import Fetch
from ..fhir import templates
from ..fhir.gather import Fetching, Gathered, gather
from ..fhir.index import plain_reference
from ..fhir.key_states import DATA, EMPTY, FAILED, INCOMPLETE, NULL, judge
from ..fhir.resources import Resource, listed
from ..fhir.templates import resource_type
from .fhir_server import Capability, Reply, Server

USABLE = re.compile(r"[^\s/?#\x00-\x1f]{1,1024}")
PATIENT = re.compile(r"patient=\{\{[^}]*\}\}&?")
NOBODY = "b12-cds-doctor-nobody"  # an id that no patient has


@dataclass(frozen=True, slots=True)
class Sample:
    """The patients of this examination. `failures` says why the server shows none by itself."""

    ids: tuple[str, ...] = field(default=(), repr=False)
    failures: tuple[str, ...] = ()
    refused: bool = False  # every question was answered with 401


def choose_patients(server: Server, published: Mapping[str, str], given: Iterable[str]) -> Sample:
    """Patients with a B12 result first, for these show most."""
    wanted = server.limits.patients
    named = tuple(dict.fromkeys(each for each in given if USABLE.fullmatch(each)))
    if named:
        return Sample(named[:wanted])
    by_result = server.ask(without_patient(published["b12"]))
    found = subjects(by_result.resources)
    by_type = Reply()
    if len(found) < wanted:
        by_type = server.ask(f"Patient?_count={wanted}")
        found += [each.id for each in by_type.resources if each.resource_type == "Patient" and each.id]
    usable = tuple(dict.fromkeys(each for each in found if USABLE.fullmatch(each)))
    failures = tuple(dict.fromkeys(each.failure for each in (by_result, by_type) if each.failure))
    return Sample(usable[:wanted], failures, by_result.status == 401 and by_type.status == 401)


def subjects(resources: Iterable[Resource]) -> list[str]:
    """The ids of the patients that these resources are about, each once, in their order."""
    names: dict[str, None] = {}
    for resource in resources:
        for reference in (*listed(resource.subject), *listed(resource.patient)):
            kind, _, name = plain_reference(reference.reference or "").rpartition("/")
            if kind == "Patient" and name:
                names[name] = None
    return list(names)


def without_patient(template: str) -> str:
    """The same search over all patients, which some servers answer and some refuse. To sort all would be a burden."""
    return PATIENT.sub("", template).replace("&_sort=-date", "").rstrip("?&")


def context_of(patient: str) -> dict[str, str]:
    """The context of a hook call about this patient."""
    return {"patientId": patient, "userId": "Practitioner/b12-cds-doctor"}


def query_of(template: str, patient: str) -> str:
    """A template as it is asked for this patient."""
    return templates.fill(template, context_of(patient)) or ""


ANSWERED = (DATA, EMPTY, NULL)


@dataclass(slots=True)
class Trial:
    """What came of one prefetch key over all the patients it was tried with."""

    key: str
    kind: str
    states: Counter[str] = field(default_factory=Counter)  # state -> for how many patients
    reasons: Counter[str] = field(default_factory=Counter)
    found: int = 0
    slowest: float = 0.0  # seconds until the first page
    unlisted: bool = False  # the CapabilityStatement does not have the type
    unnamed: frozenset[str] = frozenset()  # parameters that the CapabilityStatement does not name
    without_patient: bool = False  # there was no patient to try it with

    def add(self, state: str, reason: str, count: int) -> None:
        """The outcome for one more patient."""
        self.states[state] += 1
        self.found += count
        if reason and state not in ANSWERED:
            self.reasons[reason] += 1

    @property
    def answered(self) -> bool:
        """Was it answered each time, be it with nothing?"""
        return bool(self.states) and not set(self.states) - {*ANSWERED, INCOMPLETE}

    @property
    def whole(self) -> bool:
        """Was it answered wholly each time?"""
        return self.answered and INCOMPLETE not in self.states

    @property
    def unsupported(self) -> bool:
        """Does the server have no such type? It says so, and it gives nothing."""
        return not self.answered and (self.unlisted or any("offers no" in reason for reason in self.reasons))

    @property
    def reason(self) -> str:
        """Why it was not answered wholly; the most frequent reason."""
        return next((reason for reason, _ in self.reasons.most_common(1)), "")


@dataclass(frozen=True, slots=True)
class Gatherings:
    """The trials by key, and everything that came, by patient."""

    trials: dict[str, Trial]
    gathered: dict[str, Gathered] = field(default_factory=dict, repr=False)


def try_templates(
    server: Server, published: Mapping[str, str], capability: Capability, patients: tuple[str, ...]
) -> Gatherings:
    """Each template for each patient, with time enough; over all patients where there is none."""
    trials = {key: trial_of(key, template, capability) for key, template in published.items()}
    gathered = {}
    for patient in patients:
        clock = Clock(server.fetch(), {query_of(template, patient): key for key, template in published.items()})
        latest = server.until(server.limits.reading_seconds)
        found = gathered[patient] = gather({}, published, context_of(patient), Fetching(clock, latest, latest))
        for key, trial in trials.items():
            state = found.states[key]
            trial.add(state.state, state.reason, state.count)
            trial.slowest = max(trial.slowest, clock.seconds.get(key, 0.0))
    if not patients:
        for key, template in published.items():
            if not templates.is_read(template):
                try_without_patient(server, template, trials[key])
    return Gatherings(trials, gathered)


def trial_of(key: str, template: str, capability: Capability) -> Trial:
    kind = resource_type(template)
    unnamed = capability.unnamed(kind, templates.filters(template))
    return Trial(key, kind, unlisted=capability.lacks(kind), unnamed=unnamed)


def try_without_patient(server: Server, template: str, trial: Trial) -> None:
    """The first page of the same search over everybody."""
    query = without_patient(template)
    reply = server.ask(query)
    trial.without_patient, trial.slowest = True, reply.seconds
    state, reason = judged(reply, query)
    trial.add(state, reason, len(reply.resources))


def judged(reply: Reply, query: str) -> tuple[str, str]:
    """The state of a search by its first page; that there are more pages does not matter here."""
    if not reply.pages:
        return FAILED, f"the FHIR server offers no {resource_type(query)}" if reply.status == 404 else reply.failure
    return judge(reply.pages[:1], query, "")


class Clock:
    """A fetch that notes how long the first page of each key took."""

    def __init__(self, fetch: Fetch, keys: Mapping[str, str]):
        self._fetch, self._keys = fetch, keys
        self.seconds: dict[str, float] = {}

    def __call__(self, target: str, deadline: float) -> bytes:
        started = time.monotonic()
        try:
            return self._fetch(target, deadline)
        finally:
            if target in self._keys:
                self.seconds[self._keys[target]] = time.monotonic() - started


HOOK = "patient-view"
INSTANCE = "5f0d2a0e-3a1b-4f0c-9a55-5d6b8f1f6b13"


@dataclass(slots=True)
class Timing:
    """The calls with one prefetch set. Seconds."""

    prefetch: str  # "full" | "minimal"
    allowed: float  # for the whole call; optional keys are given up at half of it
    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    whole: int = 0  # calls in which every key was answered
    given_up: Counter[str] = field(default_factory=Counter)  # key -> calls in which it was not had in time

    @property
    def calls(self) -> int:
        return len(self.seconds)

    @property
    def median(self) -> float:
        return median(self.seconds) if self.seconds else 0.0

    @property
    def slowest(self) -> float:
        return max(self.seconds, default=0.0)

    def add(self, seconds: float, found: Evaluation) -> None:
        """One more call."""
        self.seconds.append(seconds)
        self.statuses[found.status] += 1
        missing = [key for key, state in found.gathered.states.items() if state.state not in ANSWERED]
        self.given_up.update(missing)
        self.whole += not missing


def time_calls(
    server: Server, name: str, service: ClientConfig, patients: Iterable[str], now: datetime, *, allowed: float
) -> Timing:
    """One call for each patient, with this prefetch set and connections that are made as in the service."""
    timing = Timing(name, allowed)
    for patient in patients:
        body = {"hook": HOOK, "hookInstance": INSTANCE, "context": context_of(patient)}
        try:
            request = read_request(json.dumps(body).encode(), HOOK)
        except BadRequest:  # an id that no client could send
            continue
        started = time.monotonic()
        found = evaluate(request, service, CallTime(now, started, seconds=allowed), server.fetch())
        timing.add(time.monotonic() - started, found)
    return timing
