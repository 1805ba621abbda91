"""/healthz and /readyz: is it alive, and how is it (issue 5, part 6)."""

from __future__ import annotations

import json
import logging
import socket
import time
from contextlib import closing
from datetime import UTC, date, datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from werkzeug.test import Client, TestResponse

from cds_service.app import create_app
from cds_service.cdshooks.schemas import load_schema
from cds_service.commands.site_check import check_ours
from cds_service.settings import Settings
from cds_service.store.pseudonyms import Keys, new_line
from cds_service.store.records import StoreState
from cds_service.store.store import Store
from cds_service.web.health import ONCE, Health, LastMinute, Loaded
from tests.hooks.calling import ENVIRON, body
from tests.hooks.living import TODAY, get, prefetch
from tests.hooks.tokens import Gated, signed, write

DUE = date(2027, 5, 21)
READINESS = Draft202012Validator(load_schema("readiness"))


class InState:
    """A store that is in this state."""

    def __init__(self, *state: Any) -> None:
        self.state = lambda: StoreState(*state)


def told(store: Any = None, today: date = DUE) -> dict[str, Any]:
    """What /readyz says; it is by its schema."""
    loaded = Loaded("1.2.3", "0.9.0", ("uk-ng239",), DUE, approved=False)
    found = json.loads(Health(loaded, lambda: today, store).ready().get_data())
    READINESS.validate(found)
    return found


def test_a_process_that_answers_is_alive():
    response = get("/healthz")
    assert (response.status_code, response.json) == (200, {"status": "ok"})
    assert response.headers["Cache-Control"] == "no-store"


def test_ready_says_what_runs():
    response = get("/readyz")
    READINESS.validate(response.json)
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    assert response.json["status"] == "ok"
    assert response.json["pathways"] == ["uk-ng239"]
    assert response.json["content"]["review_by"]


def test_a_store_that_is_down_is_told_and_takes_nobody_out_of_service():
    found = told(InState(False, "the database does not answer", 7, 3))
    assert found["status"] == "degraded"
    assert found["why"] == ["store: the database does not answer"]
    counts = {"lost": 7, "waiting": 3, "late": 0}
    assert found["store"] == {"kept": True, "ok": False, "why": "the database does not answer", **counts}
    assert told(InState(True))["status"] == "ok"
    assert told(None)["store"] == {"kept": False}


@pytest.mark.parametrize(
    ("top", "client", "says"),
    [
        ((), {}, True),
        ((), {"jti": "until-exp"}, False),
        (('jti_memory = "per-process"',), {}, False),
    ],
)
def test_with_its_store_down_it_says_whether_clients_are_turned_away_and_so_they_are(tmp_path, top, client, says):
    (tmp_path / "store.keys").write_text(new_line("k1"))
    kept = {"store_url": "postgresql://u:secret@127.0.0.1:1/d", "store_keys": tmp_path / "store.keys"}
    gated = Gated(tmp_path, *top, settings=kept, main=client)
    try:
        ready = gated.open("GET", "/readyz").json
        called = gated.post(body(prefetch=prefetch()), signed())
    finally:
        gated.close()
    READINESS.validate(ready)
    assert ready["status"] == "degraded"
    assert (ONCE in ready["why"]) is says
    assert called.status_code == (503 if says else 200)


def test_content_past_its_day_is_told():
    assert told(today=date(2027, 5, 22))["why"] == [
        "the content was to be reviewed by 2027-05-21, and that day has passed"
    ]
    assert told(today=date(2027, 5, 22))["status"] == "degraded"
    assert [told(today=date(2027, 5, day))["content"]["review_passed"] for day in (21, 22)] == [False, True]
    assert told(today=date(2027, 5, 21))["status"] == "ok"


def test_content_past_its_day_is_told_at_the_start_too(capfdbinary: pytest.CaptureFixture[bytes]):
    settings = Settings(demo=True, store_url="none")
    create_app(settings, clock=lambda: TODAY)
    assert b"reviewed" not in capfdbinary.readouterr().err
    create_app(settings, clock=lambda: datetime(2031, 1, 1, tzinfo=UTC))
    assert b"that day has passed" in capfdbinary.readouterr().err


def with_clients(folder: Any) -> Client:
    settings = Settings(clients=write(folder), store_url="none")
    return Client(create_app(settings, clock=lambda: TODAY))


def test_what_calls_really_heard_is_told_whatever_a_probe_hears():
    moment = [1_000.0]
    calls = LastMinute(lambda: moment[0])
    loaded = Loaded("1.2.3", "0.9.0", ("uk-ng239",), DUE, approved=False)
    health = Health(loaded, lambda: DUE, InState(True), calls=calls)
    for number in range(500):
        calls.count(503 if number < 5 else 200)
        moment[0] += 0.01
    assert health.readiness()["status"] == "ok", "one in a hundred is told, and nobody is called"
    assert health.readiness()["calls"] == {"last_minute": 500, "answered_503": 5}
    calls.count(503)
    assert health.readiness()["why"] == ["calls: of 501 in the last minute 6 were answered 503"]
    moment[0] += 61
    assert health.readiness()["calls"] == {"last_minute": 0, "answered_503": 0}


def test_calls_and_feedback_are_counted_and_nothing_else(tmp_path):
    with closing(Gated(tmp_path)) as gated:
        gated.post(body(prefetch=prefetch()), signed())
        gated.post(body(prefetch=prefetch()), signed(), "/cds-services/b12-patient-view/feedback")
        gated.open("GET", "/cds-services")
        found = gated.open("GET", "/readyz").json
    assert found["calls"] == {"last_minute": 2, "answered_503": 0}


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json"])
def test_nobody_needs_a_token_for_it_and_nothing_secret_is_in_it(path, tmp_path):
    response: TestResponse = with_clients(tmp_path).get(path, environ_overrides=ENVIRON)
    assert response.status_code == 200
    for secret in ("ehr.example.org", "keys.json", str(tmp_path), "main"):
        assert secret not in response.text


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json"])
def test_demo_mode_tells_nobody_outside_of_this_machine(path):
    client = Client(create_app(Settings(demo=True, store_url="none"), clock=lambda: TODAY))
    outside = {**ENVIRON, "REMOTE_ADDR": "192.0.2.1"}
    assert client.get(path, environ_overrides=outside).status_code == 403


def test_a_database_that_hangs_keeps_nobody_waiting():
    logging.getLogger("sqlalchemy").setLevel(logging.CRITICAL)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never says a word
        url = f"postgresql://u:secret@127.0.0.1:{silent.getsockname()[1]}/d"
        store = Store(url, Keys.random(), lambda: TODAY)
        try:
            took = []
            for _ in range(5):
                asked = time.monotonic()
                found = told(store)
                took.append(time.monotonic() - asked)
                assert found["status"] == "degraded"
                assert "secret" not in str(found)
            assert min(took) < 1  # its own limit is 200 ms; connecting would take seconds, every time
        finally:
            store.close()


def test_the_addresses_take_no_other_method():
    for path in ("/healthz", "/readyz", "/openapi.json"):
        response = Client(create_app(Settings(demo=True, store_url="none"))).post(path, environ_overrides=ENVIRON)
        assert response.status_code == 405
        assert "GET" in response.headers["Allow"]


def test_the_check_tells_it_too():
    told: list[str] = []
    assert check_ours(told.append, date(2031, 1, 1)) == 0
    assert "note: the content was to be reviewed by 2027-05-21, and that day has passed" in told
    told.clear()
    assert check_ours(told.append, date(2027, 5, 21)) == 0
    assert not [line for line in told if "reviewed" in line]
