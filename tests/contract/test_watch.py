"""The watcher against servers that are not ours: HAPI with its Subscriptions, and one with Backend Services tokens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cds_service.watch.tasks import WITHDRAWN, Standing
from tests.contract.hapi import Hapi
from tests.watch.installed import Installed, address
from tests.watch.patients import b12, dose, person

pytestmark = pytest.mark.needs("java", "maven")
Json = dict[str, Any]
PATIENCE = 180.0  # seconds; HAPI on a busy machine takes ten
YESTERDAY = str((datetime.now(UTC) - timedelta(days=1)).date())


@pytest.fixture(scope="module")
def subscribed(server: Hapi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hapi]:
    """The server, with a watcher of it that looks by itself, and two Subscriptions to its address."""
    folder = tmp_path_factory.mktemp("watched")
    installed = Installed(folder, server.base, 'name = "contract"')
    try:
        with installed.watching("--client", "ward", "--port", "0") as process:
            for payload in ({}, {"payload": "application/fhir+json"}):
                subscribe(server, address(process), payload)
            waited(lambda: all(each["status"] == "active" for each in server.search("Subscription").matches))
            yield server
    finally:
        for each in server.search("Subscription").matches:
            server.delete(f"Subscription/{each['id']}")


def subscribe(server: Hapi, address: str, payload: Json) -> None:
    channel = {"type": "rest-hook", "endpoint": address, **payload}
    subscription = {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "B12 results",
        "criteria": "Observation?code=2132-9,14685-2",
        "channel": channel,
    }
    status, told = server.call("POST", "Subscription", subscription)
    assert status == 201, told


def waited(condition: Callable[[], object]) -> None:
    """Wait until it holds."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.2)


def tasks(server: Hapi, patient: str) -> list[Standing]:
    return [Standing(each) for each in server.search(f"Task?patient={patient}").matches]


def opened(server: Hapi, patient: str) -> list[Standing]:
    return [each for each in tasks(server, patient) if each.is_open]


def test_a_result_on_hapi_becomes_one_task_which_follows_it_until_a_person_answers(subscribed):
    server = subscribed
    server.put(person("watched"))
    server.put(b12("watched", 95, YESTERDAY))
    waited(lambda: opened(server, "watched"))
    (task,) = tasks(server, "watched")
    status, told = server.call("POST", "Task/$validate", {"resourceType": "Parameters", "parameter": [
        {"name": "resource", "resource": task.task}]})  # fmt: skip
    assert [each for each in told["issue"] if each["severity"] in ("error", "fatal")] == [], (status, told)
    server.put(b12("watched", 60, YESTERDAY, status="corrected"))
    waited(lambda: "60 ng/L" in tasks(server, "watched")[0].task["description"])
    (task,) = tasks(server, "watched")
    server.put({**task.task, "status": "accepted"})
    server.put(b12("watched", 60, YESTERDAY, status="final"))
    server.put(b12("watched", 61, YESTERDAY, name="again", status="entered-in-error"))
    server.put(person("witness"))
    server.put(b12("witness", 95, YESTERDAY))
    waited(lambda: opened(server, "witness"))  # whatever came before it was looked at by now, or is with this look
    (task,) = tasks(server, "watched")
    assert task.task["status"] == "accepted"


def test_what_is_recorded_without_a_result_is_found_by_the_daily_run(subscribed, tmp_path):
    server = subscribed
    server.put(person("treated"))
    server.put(b12("treated", 95, YESTERDAY))
    waited(lambda: opened(server, "treated"))
    server.put(dose("treated", YESTERDAY))
    done = Installed(tmp_path, server.base, 'name = "contract"').run("due", "--client", "ward")
    assert done.returncode in (0, 1), done.stderr
    (task,) = tasks(server, "treated")
    assert (task.task["status"], task.closed_by_us) == ("completed", True)


def test_a_result_that_is_withdrawn_takes_its_task_with_it(subscribed):
    server = subscribed
    server.put(person("withdrawn"))
    server.put(b12("withdrawn", 90, YESTERDAY))
    waited(lambda: opened(server, "withdrawn"))
    server.put(b12("withdrawn", 90, YESTERDAY, status="entered-in-error"))
    waited(lambda: not opened(server, "withdrawn"))
    (task,) = tasks(server, "withdrawn")
    assert task.task["status"] == "cancelled"
    assert task.task["businessStatus"]["coding"][0]["code"] == WITHDRAWN
