"""From a card to the report: a call, feedback on its card, and `b12-cds feedback report` on what was stored."""

from __future__ import annotations

import csv
import io
import itertools
import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cds_service.cli import main
from cds_service.store.pseudonyms import new_line
from tests.book import FIXTURES
from tests.hooks.calling import PATH, SECRET, body
from tests.hooks.living import prefetch
from tests.hooks.tokens import PUBLIC, Gated, claims, signed
from tests.store.databases import connected, count, everything, sqlite_url, until
from tests.store.written import Written, at

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


@pytest.mark.parametrize(("option", "day"), [("--until", "9999-12-31"), ("--since", "0001-01-01")])
def test_a_day_at_the_ends_of_the_calendar_is_no_trace(option, day, stored):
    found = report(option, day)
    assert found.exit_code == 2
    assert f"'{day}' is no day; allowed: a date such as 2026-01-31, from 1900 to 2200" in found.output


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


def test_items_111_and_113_a_card_its_feedback_and_the_report(tmp_path, url, stored, request):
    gated = Gated(tmp_path, settings=stored, main={}, south={"iss": SOUTH})
    request.addfinalizer(gated.close)
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
    row = {row["row"]: row for row in found["rows"] if row["overridden"]}["interpret/deficient"]
    assert row["reasons"][0]["display"] == card["overrideReasons"][0]["display"]
    assert (row["no_answer"], row["commented"]) == (1, 1)
    assert [each["client"] for each in found["unknown_cards"]["named"]] == ["south"]
    assert SECRET not in repr(everything(url)), "a comment is never stored"


def test_the_day_on_a_dismissed_card_is_that_of_the_clients_time_zone(tmp_path, url, stored):
    gated = Gated(tmp_path, settings={**stored, "time_zone": "Pacific/Auckland"})  # noon in UTC is 1:00 of the next day
    numbers = (f"3e0a2c1c-0000-4000-8000-{number:012}" for number in itertools.count())
    (card, *_) = cards_of(gated, next(numbers))
    override = {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": "2026-01-15T12:00:00Z"}
    assert send(gated, override) == 200
    seen: list[str] = []
    until(lambda: seen.append(json.dumps(cards_of(gated, next(numbers)))) or "Dismissed on" in seen[-1])
    assert "Dismissed on 16 Jan 2026" in seen[-1]
    gated.close()


def test_silent_mode_is_told_as_what_would_have_been_shown(tmp_path, url, stored, request):
    gated = Gated(tmp_path, settings=stored, main={"mode": "silent"})
    request.addfinalizer(gated.close)
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
    assert "more" not in shown
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


@pytest.mark.usefixtures("stored")
def test_days_and_weeks_are_those_of_the_sites_folder_where_it_states_a_zone(url, monkeypatch):
    monkeypatch.setenv("CDS_SITE_DIR", str(FIXTURES / "sites" / "ruh-bath"))  # Europe/London
    assert told("--since", "2026-07-01")["since"] == "2026-07-01T00:00:00+01:00"
    with connected(url) as connection:
        late = at("2026-07-05", hour=23) + 30 * 60_000  # a Sunday in UTC; Monday, 00:30, in London
        Written(connection).call("2026-07-05", ("c9", "interpret/deficient", "warning"), at=late)
        connection.commit()
    (row,) = told("--since", "2026-07-06", "--until", "2026-07-06", "--by", "week")["rows"]
    assert row["week"] == "2026-W28"
    monkeypatch.setenv("CDS_TIME_ZONE", "Europe/Paris")
    assert report().output == (
        "b12-cds: CDS_TIME_ZONE is Europe/Paris, but site.toml states Europe/London; leave out one of the two\n"
    )


@pytest.mark.usefixtures("two_rows")
def test_a_client_of_whom_nothing_is_kept_is_told_with_those_that_are_known():
    for more in ([], ["--silent"]):
        result = report("--client", "nobody", *more)
        assert result.exit_code == 2
        assert result.output == 'b12-cds: --client: nothing is stored of a client "nobody"; allowed: north\n'
    assert "Cards sent: 2" in report("--client", "north").output


def test_unknown_cards_that_are_not_listed_are_counted(url, stored):
    with connected(url) as connection:
        written = Written(connection)
        for number in range(103):
            written.answer("2026-01-05", f"strange-{number:03}", "overridden")
        connection.commit()
    shown = report().output
    assert "answers 103, cards 103" in shown
    assert shown.count("strange-") == 100
    assert "and 3 more" in shown


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
    assert "nothing is stored" in report().output
    assert "--until is before --since" in report("--since", "2026-01-02", "--until", "2026-01-01").output
