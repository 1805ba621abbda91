"""Every prefetch template, tried as it is: does the server answer it, wholly, and how long does it take?"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..fetching import Fetch
from ..fhir.gathering import templates
from ..fhir.gathering.gather import Gathered, gather
from ..fhir.gathering.key_states import DATA, EMPTY, FAILED, INCOMPLETE, NULL, judge
from ..fhir.gathering.templates import resource_type
from .access import Reply, Server
from .capability import Capability
from .patients import context_of, query_of, without_patient

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
        found = gathered[patient] = gather({}, published, context_of(patient), clock, latest, latest)
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
