"""How long a call takes that brings no prefetch: the real pipeline, with the real deadlines, from this machine."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median

from ..cdshooks.messages import BadRequest, read_request
from ..evaluate import Answer, Service, answer
from .access import Server
from .patients import context_of
from .trials import ANSWERED

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

    def add(self, seconds: float, found: Answer) -> None:
        """One more call."""
        self.seconds.append(seconds)
        self.statuses[found.status] += 1
        missing = [key for key, state in found.gathered.states.items() if state.state not in ANSWERED]
        self.given_up.update(missing)
        self.whole += not missing


def time_calls(
    server: Server, name: str, service: Service, patients: Iterable[str], now: datetime, allowed: float
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
        found = answer(request, service, server.fetch(), now, started + allowed, started + allowed / 2)
        timing.add(time.monotonic() - started, found)
    return timing
