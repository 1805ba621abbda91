"""Many CDS clients at once, each asking about patients of its own and looking closely at every answer."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from typing import Any

from tests.hooks.calling import PATH
from tests.hooks.living import PATIENT, b12, bundle, prefetch
from tests.load.installation import Installation

VALUES = range(100, 180)  # ng/L, all deficient: each call is about one of them, so that a wrong card shows
TIMEOUT = 60.0  # seconds after which a request counts as hanging
FEEDBACK_EVERY = 4  # calls
USER = "Practitioner/1"

Request = Callable[[str, int], dict[str, Any]]  # patient, ng/L -> a hook request


@dataclass
class Seen:
    """What clients saw within one phase."""

    statuses: Counter[str] = field(default_factory=Counter)  # of calls; "broken" where the connection was
    feedback: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)  # of calls that were answered
    wrong: int = 0  # answers about another value than was asked about, or with no card

    def quantile(self, part: float) -> float:
        """In milliseconds."""
        ordered = sorted(self.seconds)
        return ordered[min(int(len(ordered) * part), len(ordered) - 1)] * 1000 if ordered else 0.0


class Crowd:
    """So many threads, each with its own connection and its own patients. `phase` is where counts go just now."""

    def __init__(self, made: Installation, clients: int, request: Request | None = None):
        self.made, self.phase = made, Seen()
        self.acknowledged: set[str] = set()  # cards whose feedback was answered with 200
        self._request = request or patient_view
        self._call, self._feedback = made.token(PATH), made.token(f"{PATH}/feedback")
        self._over, self._lock = threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._client, args=(number,)) for number in range(clients)]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def begin(self) -> Seen:
        """A new phase; the one that ends is left as it is."""
        with self._lock:
            self.phase = Seen()
        return self.phase

    def _client(self, number: int) -> None:
        connection = HTTPConnection("127.0.0.1", self.made.port, timeout=TIMEOUT)
        turn = number
        while not self._over.is_set():
            value = VALUES[turn % len(VALUES)]
            status, answer, seconds = post(connection, PATH, self._call, self._request(f"pt-{number}-{turn}", value))
            cards = answer.get("cards", [])
            with self._lock:
                self.phase.statuses[status] += 1
                if status != "broken":
                    self.phase.seconds.append(seconds)
                self.phase.wrong += status == "200" and not about(cards, value)
            if status == "503":
                time.sleep(0.05)
            if cards and turn % FEEDBACK_EVERY == 0:
                self._give_feedback(connection, cards[0]["uuid"])
            turn += 1
        connection.close()

    def _give_feedback(self, connection: HTTPConnection, card: str) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        item = {"card": card, "outcome": "overridden", "outcomeTimestamp": now}
        status, _, _ = post(connection, f"{PATH}/feedback", self._feedback, {"feedback": [item]})
        with self._lock:
            self.phase.feedback[status] += 1
            if status == "200":
                self.acknowledged.add(card)


def patient_view(patient: str, value: int) -> dict[str, Any]:
    """A call about a patient with this B12 (ng/L), everything sent along."""
    today = datetime.now(UTC).date().isoformat()
    subject = {"reference": f"Patient/{patient}"}
    result = b12(value, effectiveDateTime=today, subject=subject)
    sent = prefetch(patient={**PATIENT, "id": patient}, b12=bundle(result))
    context = {"userId": USER, "patientId": patient}
    return {"hook": "patient-view", "hookInstance": str(uuid.uuid4()), "context": context, "prefetch": sent}


def about(cards: Iterable[dict[str, Any]], value: int) -> bool:
    """Does the likelihood card speak of this value, and no card of another patient's?"""
    said = [card["summary"] for card in cards]
    others = [each for each in VALUES if each != value]
    return any(f"{value} ng/L" in each for each in said) and not any(
        f"B12 {other} ng/L" in each for each in said for other in others
    )


def post(connection: HTTPConnection, path: str, token: str, body: dict[str, Any]) -> tuple[str, dict[str, Any], float]:
    """Status, answer, seconds; "broken" where the connection was lost, which a client tries again."""
    began = time.monotonic()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    try:
        connection.request("POST", path, json.dumps(body).encode(), headers)
        response = connection.getresponse()
        told = response.read()
        return str(response.status), json.loads(told), time.monotonic() - began
    except TimeoutError:
        connection.close()
        return "hanging", {}, time.monotonic() - began
    except (OSError, HTTPException):
        with suppress(OSError):
            connection.close()
        return "broken", {}, time.monotonic() - began
