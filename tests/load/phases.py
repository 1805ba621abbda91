"""What is done to the service while clients call it, phase by phase, and what they saw of it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import select

from cds_service.store.database import command_engine, read_url
from cds_service.store.tables import decision, feedback
from tests.hooks.calling import PATH
from tests.load.crowd import Crowd, Seen
from tests.load.installation import Installation

SLOW_CLIENTS = 12
Do = Callable[[Installation], None]


@dataclass(frozen=True)
class Phase:
    """A name for the table, what is done at its start and at its end."""

    name: str
    at_start: Do = lambda _: None
    at_end: Do = lambda _: None


@dataclass(frozen=True)
class Ending:
    """What the store held at the end."""

    acknowledged: int
    lost_feedback: int
    answered: int  # calls
    kept: int  # decisions


PHASES = (
    Phase("nothing is wrong"),
    Phase("a worker is killed (kill -9)", Installation.kill_a_worker),
    Phase(
        "PostgreSQL holds still (SIGSTOP)",
        lambda made: made.postgres.hold(),
        lambda made: made.postgres.go_on(),
    ),
    Phase("PostgreSQL is killed", lambda made: made.postgres.end()),
    Phase("PostgreSQL is back", lambda made: made.postgres.start()),
    Phase("another worker is killed", Installation.kill_a_worker),
)


def run(made: Installation, crowd: Crowd, seconds: float, told: Callable[[str], None]) -> Iterator[tuple[str, Seen]]:
    """Each phase lasts as long as the others; yields what was seen in it."""
    for phase in PHASES:
        told(phase.name)
        seen = crowd.begin()
        phase.at_start(made)
        time.sleep(seconds)
        phase.at_end(made)
        yield phase.name, seen
    with slow_clients(made):
        told("slow clients")
        seen = crowd.begin()
        time.sleep(seconds)
        yield f"{SLOW_CLIENTS} clients send a byte a second", seen


@contextmanager
def slow_clients(made: Installation) -> Iterator[None]:
    """Clients that send the head of a call and then its body a byte at a time."""
    over = threading.Event()

    def drip() -> None:
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {made.token(PATH)}\r\n"
            "Content-Type: application/json\r\nContent-Length: 5000\r\n\r\n"
        )
        while not over.is_set():
            with socket.create_connection(("127.0.0.1", made.port)) as slow:
                try:
                    slow.sendall(head.encode())
                    while not over.wait(1.0):
                        slow.sendall(b" ")
                except OSError:
                    continue

    threads = [threading.Thread(target=drip) for _ in range(SLOW_CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def ending(made: Installation, crowd: Crowd, answered: int) -> Ending:
    """What is in the store once the service has ended: every feedback that was acknowledged must be."""
    engine = command_engine(read_url(made.url))
    try:
        with engine.connect() as connection:
            stored = set(connection.execute(select(feedback.c.card)).scalars())
            kept = len(connection.execute(select(decision.c.id)).all())
    finally:
        engine.dispose()
    return Ending(len(crowd.acknowledged), len(crowd.acknowledged - stored), answered, kept)
