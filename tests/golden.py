"""The golden pairs as the tests use them: the request, the day on which it is answered, and the exact answer."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import msgspec

from tests.api import HOOKS, read_patient, request_bytes
from tests.book import FIXTURES, content

FOLDER = FIXTURES / "golden"
PATIENTS = FIXTURES / "patients"
DAY = date(2026, 1, 15)
NOW = datetime.combine(DAY, time(12), UTC)
DAYS = tomllib.loads((FOLDER / "days.toml").read_text())


@dataclass(frozen=True)
class Pair:
    """A request and its answer, as they lie in the folder."""

    name: str

    @property
    def request(self) -> Path:
        return FOLDER / f"{self.name}.request.json"

    @property
    def response(self) -> Path:
        return FOLDER / f"{self.name}.response.json"

    @property
    def address(self) -> str:
        """Where the request goes: to the service of its hook."""
        return f"/cds-services/{HOOKS[decoded(self.name)['hook']].service_id}"

    @property
    def now(self) -> datetime:
        return datetime.combine(DAYS.get(self.name, DAY), time(12), UTC)


def patients() -> list[str]:
    """The names of the fixture patients."""
    return sorted(path.stem for path in PATIENTS.glob("*.json"))


def names() -> list[str]:
    """Every pair, those of the fixture patients included."""
    return sorted({path.name.partition(".")[0] for path in FOLDER.glob("*.request.json")} | set(patients()))


def record(patient: str) -> dict[str, Any]:
    """The record of a fixture patient on the golden day."""
    return read_patient(PATIENTS / f"{patient}.json", DAY)


def request_of(patient: str) -> bytes:
    """The call about a fixture patient, as it is laid out in the folder."""
    return indented(request_bytes(record(patient), content().prefetch["full"]))


def decoded(name: str) -> dict[str, Any]:
    """The request of a pair."""
    return msgspec.json.decode(Pair(name).request.read_bytes())


def indented(body: bytes) -> bytes:
    """JSON as a person reads it; every digit stays."""
    return msgspec.json.format(body, indent=2) + b"\n"


def written(path: Path, body: bytes) -> bool:
    """Write what is missing; True if it was."""
    if path.exists():
        return False
    path.write_bytes(body)
    return True
