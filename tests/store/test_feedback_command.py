"""From a card to the report: a call, feedback on its card, and `b12-cds feedback report` on what was stored."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cds_service.cli import main
from cds_service.store.pseudonyms import new_line
from tests.hooks.calling import PATH, SECRET, body
from tests.hooks.living import prefetch
from tests.hooks.tokens import PUBLIC, Gated, claims, signed
from tests.store.databases import connected, count, everything, sqlite_url, until
from tests.store.written import Written

FEEDBACK = PATH + "/feedback"
SOUTH = "https://south.example.org"


@pytest.fixture
def stored(url, tmp_path, monkeypatch):
    """The settings of a store, in the environment too."""
    keys = tmp_path / "store.keys"
    keys.write_text(new_line("k1") + "\n")
    monkeypatch.setenv("CDS_STORE_URL", url)
    monkeypatch.setenv("CDS_STORE_KEYS", str(keys))
    return {"store_url": url, "store_keys": keys}


def report(*options: str) -> Result:
    return CliRunner().invoke(main, ["feedback", "report", *options])


def told(*options: str) -> dict[str, Any]:
    result = report("--format", "json", *options)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def cards_of(gated: Gated, hook_instance: str, iss: str = ...) -> list[dict[str, Any]]:
    changed = {} if iss is ... else {"iss": iss}
    answer = gated.post(body(prefetch=prefetch(), hookInstance=hook_instance), signed(claims(**changed)))
    assert answer.status_code == 200, answer.text
    return answer.json["cards"]


def send(gated: Gated, *items: dict[str, Any], iss: str = ...) -> int:
    changed = {"aud": PUBLIC + FEEDBACK} if iss is ... else {"aud": PUBLIC + FEEDBACK, "iss": iss}
    return gated.post({"feedback": items}, signed(claims(**changed)), FEEDBACK).status_code


def test_items_111_and_113_a_card_its_feedback_and_the_report(tmp_path, url, stored):
    gated = Gated(tmp_path, settings=stored, main={}, south={"iss": SOUTH})
    card, *others = cards_of(gated, "3e0a2c1c-0000-4000-8000-000000000001")
    cards_of(gated, "3e0a2c1c-0000-4000-8000-000000000002")
    override = {
        "card": card["uuid"].upper(),
        "outcome": "overridden",
        "outcomeTimestamp": "2026-01-15T12:00:00Z",
        "overrideReason": {"reason": card["overrideReasons"][0], "userComment": SECRET},
    }
    for _ in range(2):
        assert send(gated, override, override) == 200, "the same again is the same"
    assert count(url, "feedback") == 1
    assert send(gated, {**override, "outcome": "accepted"}, iss=SOUTH) == 200
    until(lambda: count(url, "decision") == 2)
    found = told()
    assert [found["cards"][name] for name in ("shown", "overridden", "accepted")] == [2 + 2 * len(others), 1, 0]
    (row,) = [row for row in found["rows"] if row["overridden"]]
    assert row["reasons"][0]["display"] == card["overrideReasons"][0]["display"]
    assert (row["row"], row["no_answer"], row["commented"]) == ("interpret/deficient", 1, 1)
    assert [each["client"] for each in found["unknown_cards"]["named"]] == ["south"]
    assert SECRET not in repr(everything(url)), "a comment is never stored"


def test_silent_mode_is_told_as_what_would_have_been_shown(tmp_path, url, stored):
    gated = Gated(tmp_path, settings=stored, main={"mode": "silent"})
    assert cards_of(gated, "3e0a2c1c-0000-4000-8000-000000000001") == []
    refused = gated.post(body(prefetch={}, hookInstance="3e0a2c1c-0000-4000-8000-000000000002"), signed())
    assert refused.json == {"cards": []}
    until(lambda: count(url, "decision") == 2)
    assert told()["cards"]["shown"] == 0
    (pilot,) = told("--silent")["periods"]
    assert (pilot["charts"], pilot["charts_with_card"], pilot["refused"]) == (
        2, {"calls": 1, "per_1000_charts": 500.0}, {"calls": 1, "per_1000_charts": 500.0}
    )  # fmt: skip
    assert {"row": "interpret/deficient", "indicator": "warning", "calls": 1, "per_1000_charts": 500.0} in pilot["rows"]
    assert [each["key"] for each in pilot["missing"]] == ["b12", "patient"]


@pytest.fixture
def two_rows(url, stored):
    """Two cards, the first with two rows and dismissed; and an answer to a card that nobody was sent."""
    with connected(url) as connection:
        written = Written(connection)
        written.call("2026-01-05", ("c1", "interpret/deficient", "warning"), ("c1", "safety/S1", "critical"))
        written.call("2026-01-12", ("c2", "interpret/deficient", "warning"))
        written.answer("2026-01-05", "c1", "overridden", "patient-refuses")
        written.answer("2026-01-05", "zz", "overridden")
        connection.commit()


@pytest.mark.usefixtures("two_rows")
def test_the_table_is_for_a_reader():
    shown = report().output
    assert "Cards sent: 2. Accepted 0 (0 %), overridden 1 (50 %), no answer 1 (50 %)." in shown
    assert "The patient declines: 1" in shown
    assert "interpret/deficient" in shown
    assert "uk-ng239 1.0.0" in shown
    assert "the client was not sent the card: answers 1, cards 1" in shown
    assert "2026-W03" in report("--by", "week").output
    assert "No card was sent in this period." in report("--since", "2026-02-01").output
    assert "No call was answered in silent mode" in report("--silent").output


@pytest.mark.usefixtures("two_rows")
def test_days_are_whole_days_where_the_service_stands(monkeypatch):
    assert told("--since", "2026-01-05", "--until", "2026-01-05")["cards"]["shown"] == 1
    assert told("--until", "2026-01-12")["cards"]["shown"] == 2
    monkeypatch.setenv("CDS_TIME_ZONE", "Pacific/Kiritimati")  # 14 hours ahead
    assert told("--since", "2026-01-06", "--until", "2026-01-06")["cards"]["shown"] == 1
    assert told("--since", "2026-01-06")["since"] == "2026-01-06T00:00:00+14:00"


@pytest.mark.usefixtures("two_rows")
def test_csv_is_for_a_spreadsheet():
    lines = list(csv.DictReader(io.StringIO(report("--format", "csv", "--by", "week").output)))
    assert [(line["week"], line["row"], line["shown"]) for line in lines] == [
        ("2026-W02", "interpret/deficient", "1"),
        ("2026-W02", "safety/S1", "1"),
        ("2026-W03", "interpret/deficient", "1"),
    ]
    assert report("--format", "csv", "--silent").output.count("\n") == 1, "the heads alone"


def test_without_a_store_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("CDS_STORE_URL", sqlite_url(tmp_path))
    result = report()
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert not list(tmp_path.iterdir()), "asking makes no store"
    monkeypatch.setenv("CDS_STORE_URL", "none")
    assert "nothing is kept" in report().output
    assert "--until is before --since" in report("--since", "2026-01-02", "--until", "2026-01-01").output
