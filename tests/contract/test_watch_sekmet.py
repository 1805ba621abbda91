"""The watcher against a second server that is not ours: its Subscription, a token of Backend Services, one Task."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from cds_service.watch.tasks import WITHDRAWN, Standing
from tests.contract.sekmet import CLIENT, Sekmet, started
from tests.contract.test_watch import YESTERDAY, waited
from tests.hooks.tokens import key
from tests.watch.installed import Installed, address
from tests.watch.patients import b12, person

pytestmark = pytest.mark.needs("packages")
KEY = key("ES384", "watch")


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sekmet]:
    """The server, a Subscription, and a watcher that would look by itself in an hour only."""
    folder = tmp_path_factory.mktemp("watched")
    (folder / "watch.jwk.json").write_text(json.dumps(KEY.as_dict(private=True)))
    with started(tmp_path_factory.mktemp("sekmet"), KEY) as server:
        more = f'client_id = "{CLIENT}"\nkey = "watch.jwk.json"\ntoken_url = "{server.token_url}"'
        installed = Installed(folder, server.base, more)
        text = (folder / "clients.toml").read_text()
        (folder / "clients.toml").write_text(
            text.replace("every = 1\n", "every = 3600\n").replace(", anonymous = true", "")
        )
        with installed.watching("--client", "ward", "--port", "0") as process:
            channel = {"type": "rest-hook", "endpoint": address(process), "payload": "application/fhir+json"}
            server.call("POST", "Subscription", {
                "resourceType": "Subscription", "status": "requested", "reason": "B12 results",
                "criteria": "Observation?code=2132-9,14685-2", "channel": channel,
            })  # fmt: skip
            yield server


def test_nobody_is_let_in_without_a_token(watched: Sekmet):
    assert requests.get(f"{watched.base}/Task", timeout=30).status_code == 401


def test_a_result_of_a_subscription_becomes_one_task_which_follows_it_until_a_person_answers(watched: Sekmet):
    watched.put(person("watched"))
    watched.put(b12("watched", 95, YESTERDAY))
    waited(lambda: watched.tasks("watched"))
    (task,) = watched.tasks("watched")
    assert (task["status"], task["priority"]) == ("requested", "urgent") and "95 ng/L" in task["description"]
    watched.put(b12("watched", 60, YESTERDAY, status="corrected"))
    waited(lambda: "60 ng/L" in watched.tasks("watched")[-1]["description"])
    (corrected,) = watched.tasks("watched")
    assert (corrected["id"], corrected["status"]) == (task["id"], "requested")
    assert corrected["identifier"] != task["identifier"]
    watched.put(b12("watched", 60, YESTERDAY, status="entered-in-error"))
    waited(lambda: watched.tasks("watched")[-1]["status"] == "cancelled")
    (withdrawn,) = watched.tasks("watched")
    assert withdrawn["id"] == task["id"] and Standing(withdrawn).closed_by_us
    assert withdrawn["businessStatus"]["coding"][0]["code"] == WITHDRAWN
    watched.put(b12("watched", 58, YESTERDAY, status="corrected"))
    waited(lambda: opened(watched, "watched"))
    (again,) = opened(watched, "watched")
    watched.put({**again, "status": "accepted"})
    watched.put(b12("watched", 58, YESTERDAY, status="final"))
    watched.put(person("witness"))
    watched.put(b12("witness", 95, YESTERDAY))
    waited(lambda: opened(watched, "witness"))
    assert sorted(each["status"] for each in watched.tasks("watched")) == ["accepted", "cancelled"]


def opened(server: Sekmet, patient: str) -> list[dict[str, Any]]:
    return [each for each in server.tasks(patient) if Standing(each).is_open]
