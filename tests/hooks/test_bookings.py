"""An injection that is arranged by an Appointment or a Task needs no card that it is due (6.3.1)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.api import (
    ENCODER,
    CallTime,
    Settings,
    cards_folder,
    client_config,
    evaluate,
    hook_request,
    load_content,
    read_request,
)
from tests.book import FIXTURES, NEVER, content, read_vignette, service
from tests.hooks.living import bundle

VIGNETTE = read_vignette(FIXTURES / "vignettes" / "uk-ng239" / "due-soon-old-request-left-open.toml")
NOON = datetime.combine(VIGNETTE.as_of, time(12), UTC)
DUE = VIGNETTE.as_of + timedelta(days=5)
INJECTION = {"coding": [{"system": "http://snomed.info/sct", "code": "308752009"}]}


def call(*resources: dict[str, Any]) -> list[str]:
    """The rows that speak when these came along under a key of the client's own."""
    request = json.loads(ENCODER.encode(hook_request(VIGNETTE, content())))
    request["prefetch"]["arranged"] = bundle(*resources)
    moment = CallTime(NOON, seconds=NEVER)
    found = evaluate(read_request(json.dumps(request).encode(), "patient-view"), service("uk-ng239"), moment)
    assert found.status == 200
    return [each.row for each in found.shown]


def patient() -> str:
    request = json.loads(ENCODER.encode(hook_request(VIGNETTE, content())))
    return f"Patient/{request['context']['patientId'].removeprefix('Patient/')}"


def appointment(**changed: Any) -> dict[str, Any]:
    found = {
        "resourceType": "Appointment",
        "id": "ap-1",
        "status": "booked",
        "serviceType": [INJECTION],
        "start": f"{DUE.isoformat()}T09:00:00Z",
        "participant": [
            {"actor": {"reference": "Practitioner/1"}, "status": "accepted"},
            {"actor": {"reference": patient()}, "status": "accepted"},
        ],
    }
    return {name: value for name, value in {**found, **changed}.items() if value is not ...}


def task(**changed: Any) -> dict[str, Any]:
    found = {
        "resourceType": "Task",
        "id": "task-1",
        "status": "requested",
        "intent": "order",
        "code": INJECTION,
        "for": {"reference": patient()},
        "restriction": {"period": {"start": DUE.isoformat()}},
    }
    return {name: value for name, value in {**found, **changed}.items() if value is not ...}


def test_without_any_the_injection_is_said_to_be_due():
    assert call() == ["course/due-soon"]


ARRANGED = {
    "an appointment by its service": appointment(),
    "by its reason": appointment(serviceType=..., reasonCode=[INJECTION]),
    "by its words": appointment(serviceType=..., description="Hydroxocobalamin injection with the nurse"),
    "with one service that is no list": appointment(serviceType=INJECTION),
    "without its patient": appointment(participant=...),
    "without a day": appointment(start=...),
    "a task": task(),
    "a task by its words": task(code={"text": "Give hydroxocobalamin"}),
    "a task that is accepted": task(status="accepted"),
    "a task without a day": task(restriction=...),
}


@pytest.mark.parametrize("resource", ARRANGED.values(), ids=ARRANGED)
def test_what_is_arranged_needs_no_card(resource: dict[str, Any]):
    assert call(resource) == []


OTHERWISE = {
    "a cancelled appointment": appointment(status="cancelled"),
    "one that took place": appointment(status="fulfilled"),
    "of another patient": appointment(participant=[{"actor": {"reference": "Patient/other"}}]),
    "for a blood test": appointment(serviceType=..., description="Blood test: vitamin B12"),
    "for something else": appointment(serviceType=[{"text": "Flu vaccination"}]),
    "three months away": appointment(start=f"{(DUE + timedelta(days=90)).isoformat()}T09:00:00Z"),
    "with a service of another shape": appointment(serviceType="B12"),
    "a finished task": task(status="completed"),
    "a task of another patient": task(**{"for": {"reference": "Patient/other"}}),
    "a task for a blood test": task(code={"text": "Vitamin B12 level"}),
}


@pytest.mark.parametrize("resource", OTHERWISE.values(), ids=OTHERWISE)
def test_what_arranges_no_injection_of_this_patient_silences_nothing(resource: dict[str, Any]):
    assert call(resource) == ["course/due-soon"]


def test_a_site_that_says_so_is_asked_for_them(tmp_path: Path):
    (tmp_path / "site.toml").write_text('bookings = ["Appointment", "Task"]\n', encoding="utf-8")
    templates = client_config(Settings(demo=True), load_content(cards_folder(), tmp_path)).templates
    assert templates["appointments"] == "Appointment?patient={{context.patientId}}"
    assert templates["tasks"] == "Task?patient={{context.patientId}}"
    assert not {"appointments", "tasks"} & service("uk-ng239").templates.keys()
