"""A pilot in silent mode has a last day: who is silent is said, and after that day the cards are sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cds_service.auth.clients import load_clients
from cds_service.cdshooks.schemas import load_schema
from cds_service.settings import SettingsError
from tests.hooks.calling import body
from tests.hooks.living import TODAY, prefetch
from tests.hooks.tokens import Gated, claims, signed, write

CALL = body(prefetch=prefetch())
PILOT = {"mode": "silent", "silent_until": "2026-01-15"}
READINESS = Draft202012Validator(load_schema("readiness"))


def cards(gated: Gated) -> list[Any]:
    """The cards of a call that is made now."""
    now = gated.now.timestamp()
    answer = gated.post(CALL, signed(claims(iat=now, exp=now + 300)))
    assert answer.status_code == 200, answer.text
    return answer.json["cards"]


def ready(gated: Gated) -> dict[str, Any]:
    found = gated.open("GET", "/readyz").json
    READINESS.validate(found)
    return found


def remarks(gated: Gated) -> str:
    return " ".join(each["remark"] for each in gated.heard.events("start"))


def test_the_last_day_of_a_pilot_is_silent_and_then_cards_are_sent(tmp_path):
    gated = Gated(tmp_path, main=PILOT)
    assert cards(gated) == []
    assert ready(gated)["silent"] == [{"client": "main", "until": "2026-01-15"}]
    assert "client main: silent mode, no card is sent until 2026-01-15" in remarks(gated)
    assert ready(gated)["status"] == "ok"
    gated.now = TODAY + timedelta(hours=11, minutes=59)
    assert cards(gated) == []
    gated.now = TODAY + timedelta(hours=12)
    assert cards(gated)
    assert [each["silent"] for each in gated.heard.events("call")] == [True, True, False]


@pytest.mark.parametrize(("zone", "sent"), [("Europe/London", False), ("Pacific/Auckland", True)])
def test_the_day_is_that_of_the_place(tmp_path, zone, sent):
    gated = Gated(tmp_path, main=PILOT, settings={"time_zone": zone})  # at noon in UTC it is the 16th in Auckland
    assert bool(cards(gated)) is sent


def test_a_pilot_that_has_ended_is_told_at_the_start_and_by_readyz(tmp_path):
    gated = Gated(tmp_path, main={**PILOT, "silent_until": "2026-01-14"})
    assert cards(gated)
    found = ready(gated)
    assert found["silent"] == []
    assert found["status"] == "degraded"
    assert "client main: silent mode ended with 2026-01-14, its cards are sent" in found["why"][0]
    assert "silent mode ended with 2026-01-14" in remarks(gated)
    assert gated.heard.events("call")[0]["silent"] is False


def test_a_pilot_that_ends_while_the_service_runs_is_told_by_readyz(tmp_path):
    gated = Gated(tmp_path, main=PILOT)
    assert ready(gated)["why"] == []
    gated.now = datetime(2026, 1, 17, tzinfo=UTC)
    assert "silent mode ended with 2026-01-15" in ready(gated)["why"][0]


def test_silent_mode_without_an_end_is_named_and_one_is_asked_for(tmp_path):
    gated = Gated(tmp_path, main={"mode": "silent"}, other={"iss": "https://other.example.org"})
    assert ready(gated)["silent"] == [{"client": "main"}]
    assert ready(gated)["status"] == "ok"
    assert "client main: silent mode, no card is sent; a pilot has an end: silent_until" in remarks(gated)
    assert "other" not in gated.open("GET", "/readyz").text
    assert cards(gated) == []


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"silent_until": "2026-02-30"}, "silent_until: is no day of the calendar; allowed: a day such as 2027-01-31"),
        ({"silent_until": "soon"}, "'silent_until' is 'soon'; it must match"),
        ({"mode": "active"}, 'silent_until: is for mode = "silent" only'),
        ({"mode": ...}, 'silent_until: is for mode = "silent" only'),
    ],
)
def test_an_end_that_cannot_be_is_named_with_what_is_allowed(tmp_path, changed, says):
    with pytest.raises(SettingsError) as raised:
        load_clients(write(tmp_path, main={**PILOT, **changed}))
    assert says in str(raised.value)


def test_the_day_needs_no_quotation_marks(tmp_path: Path):
    path = write(tmp_path, main={"mode": "silent"})
    path.write_text(path.read_text() + "silent_until = 2026-01-31\n")
    (client,) = load_clients(path).all
    assert str(client.silent_until) == "2026-01-31"
