"""The measurement: two servers side by side, asked in turns by one client, so that what else runs disturbs both."""

from __future__ import annotations

import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from cds_service.app import GC_THRESHOLDS
from cds_service.cdshooks.registry import HOOKS
from tests.bench.worker import Server

WARM_UP = 30
HERE = Path(__file__).resolve().parent
PACKAGE = Path(find_spec("cds_service").origin).parent


@dataclass(slots=True)
class Side:
    """One of the two, and what it has taken so far."""

    server: Server
    path: str
    latencies: list[float] = field(default_factory=list)
    cpu: float = 0.0
    answer: bytes = b""

    def turn(self, body: bytes, count: int) -> None:
        before = self.server.cpu_seconds()
        for _ in range(count):
            self.latencies.append(self.ask(body))
        self.cpu += self.server.cpu_seconds() - before

    def ask(self, body: bytes) -> float:
        reply = self.server.call("POST", self.path, body)
        if reply.status != 200:
            raise RuntimeError(f"{self.server.app} answered {reply.status}: {reply.body[:300]!r}\n{self.server.log()}")
        self.answer = reply.body
        return reply.seconds


@dataclass(frozen=True, slots=True)
class Figures:
    """What is told of one side."""

    requests: int
    cpu_ms: float
    per_second: float
    p50_ms: float
    p99_ms: float
    memory_mib: float
    answer_bytes: int


def compare(
    body: bytes, seconds: float, rounds: int, turns: Callable[[int], Iterable[int]] = range
) -> tuple[Figures, Figures]:
    """The service and the constant card. `turns(rounds)` counts the rounds, and may show them."""
    path = f"/cds-services/{HOOKS[json.loads(body)['hook']].service_id}"
    with ExitStack() as stack:
        service = Side(stack.enter_context(started("cds_service.app:create_app()", PACKAGE.parent, stack)), path)
        constant = Side(stack.enter_context(started("constant:create_app()", HERE, stack)), path)
        sides = (service, constant)
        each = warm_up(sides, body, seconds / rounds)
        for number in turns(rounds):
            for side in sides if number % 2 else reversed(sides):
                side.turn(body, each)
        return figures(service), figures(constant)


def started(app: str, importable: Path, stack: ExitStack) -> Server:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="b12-bench-")))
    thresholds = " ".join(str(number) for number in GC_THRESHOLDS)
    # Without a store: a constant card keeps nothing either. What the store costs is told in deploy/README.md.
    settings = {"CDS_DEMO": "1", "CDS_STORE_URL": "none", "PYTHONPATH": str(importable)}
    settings["BENCH_GC_THRESHOLDS"] = thresholds
    return Server(app, folder, settings)


def warm_up(sides: tuple[Side, Side], body: bytes, seconds: float) -> int:
    """How many requests each side gets in a round of this length, the same for both."""
    start = time.perf_counter()
    for side in sides:
        for _ in range(WARM_UP):
            side.ask(body)
    per_pair = (time.perf_counter() - start) / WARM_UP
    cards = json.loads(sides[0].answer)["cards"]
    if cards and not any(card.get("suggestions") for card in cards):
        raise RuntimeError("the service suggested nothing: this body does not measure the whole decision")
    return max(1, round(seconds / per_pair))


def figures(side: Side) -> Figures:
    times = sorted(side.latencies)
    return Figures(
        requests=len(times),
        cpu_ms=1000 * side.cpu / len(times),
        per_second=len(times) / sum(times),
        p50_ms=1000 * statistics.median(times),
        p99_ms=1000 * times[int(0.99 * (len(times) - 1))],
        memory_mib=side.server.memory_mib(),
        answer_bytes=len(side.answer),
    )


def places() -> str:
    """What was measured, and with what."""
    return f"{PACKAGE}, Python {platform.python_version()}"
