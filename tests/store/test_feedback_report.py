"""What the feedback report counts, with exact numbers, on a store that was written by hand."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta, timezone
from typing import Any

import pytest

from cds_service.store.report import (
    Asked,
    Of,
    as_csv,
    feedback_csv,
    feedback_document,
    feedback_report,
    silent_csv,
    silent_document,
    silent_report,
)
from tests.store.databases import connected
from tests.store.written import Written, at

WORDS = {"patient-refuses": "The patient declines", "action-completed": "Already done"}
SURE, CAUTION = ("interpret/deficient", "warning"), ("safety/S1", "critical")


@pytest.fixture
def written(url):
    with connected(url) as connection:
        yield Written(connection)


def told(written: Written, **asked: Any) -> dict[str, Any]:
    """The feedback report as JSON has it."""
    wanted = Asked(**asked)
    return json.loads(json.dumps(feedback_document(feedback_report(written.connection, wanted), wanted, WORDS)))


def counts(told: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Row by row: shown, accepted, overridden, without an answer."""
    names = ("shown", "accepted", "overridden", "no_answer")
    return [(row["week"] + row["row"], *(row[name] for name in names)) for row in told["rows"]]


@pytest.fixture
def week(written):
    """Four cards of two weeks; the first shows two rows."""
    written.call("2026-01-05", ("c1", *SURE), ("c1", *CAUTION))
    written.call("2026-01-06", ("c2", *SURE))
    written.call("2026-01-11", ("c3", *SURE))
    written.call("2026-01-12", ("c4", *SURE))
    written.answer("2026-01-05", "c1", "overridden", "patient-refuses", commented=True)
    written.answer("2026-01-06", "c2", "accepted")
    written.answer("2026-01-20", "c4", "overridden")
    return written


def test_each_card_is_counted_for_each_of_its_rows_and_once_in_the_whole(week):
    found = told(week)
    assert counts(found) == [("interpret/deficient", 4, 1, 2, 1), ("safety/S1", 1, 0, 1, 0)]
    assert [found["cards"][name] for name in ("shown", "accepted", "overridden", "no_answer")] == [4, 1, 2, 1]
    assert [row["commented"] for row in found["rows"]] == [1, 1]


def test_reasons_are_told_in_our_own_words_the_most_frequent_first(week):
    assert told(week)["rows"][0]["reasons"] == [
        {"code": "", "display": "no reason given", "count": 1},
        {"code": "patient-refuses", "display": "The patient declines", "count": 1},
    ]
    for card in ("d1", "d2"):
        week.call("2026-01-06", (card, *SURE))
        week.answer("2026-01-06", card, "overridden", "x-45")
    assert told(week)["rows"][0]["reasons"][0] == {"code": "x-45", "display": "x-45", "count": 2}


def test_weeks_are_iso_weeks_of_when_the_card_was_sent(week):
    assert counts(told(week, weekly=True)) == [
        ("2026-W02interpret/deficient", 3, 1, 1, 1),
        ("2026-W02safety/S1", 1, 0, 1, 0),
        ("2026-W03interpret/deficient", 1, 0, 1, 0),
    ]
    east = timezone(timedelta(hours=13))
    assert counts(told(week, weekly=True, zone=east))[-1] == ("2026-W03interpret/deficient", 2, 0, 1, 1)


def test_the_turn_of_the_year_belongs_to_the_week_it_is_in(written):
    written.call("2027-01-01", ("c", *SURE))
    assert told(written, weekly=True)["rows"][0]["week"] == "2026-W53"


def test_a_period_is_of_the_cards_and_their_answers_count_whenever_they_come(week):
    assert counts(told(week, since=at("2026-01-06"), until=at("2026-01-12"))) == [("interpret/deficient", 2, 1, 0, 1)]
    assert counts(told(week, since=at("2026-01-12"))) == [("interpret/deficient", 1, 0, 1, 0)]
    assert told(week, since=at("2027-01-01"))["rows"] == []


def test_the_latest_answer_to_a_card_counts_by_when_it_was_given(written):
    written.call("2026-01-05", ("c1", *SURE))
    written.answer("2026-01-07", "c1", "overridden", at=at("2026-01-05", 13))
    written.answer("2026-01-06", "c1", "accepted", at=at("2026-01-05", 14))
    assert counts(told(written)) == [("interpret/deficient", 1, 1, 0, 0)]
    written.answer("2026-01-05", "c1", "overridden", "x", at=None)
    assert counts(told(written)) == [("interpret/deficient", 1, 1, 0, 0)], "received before the other was given"
    written.answer("2026-01-08", "c1", "overridden", "x", at=None)
    assert counts(told(written)) == [("interpret/deficient", 1, 0, 1, 0)]
    written.answer("2026-01-07", "c1", "accepted", at=at("2026-02-01"))
    assert counts(told(written)) == [("interpret/deficient", 1, 0, 1, 0)], "no answer is given later than it comes"


@pytest.mark.parametrize(
    ("answers", "counted"),
    [
        ("accept close", (1, 1, 0)),
        ("accept close close", (1, 1, 0)),
        ("close accept", (1, 0, 0)),
        ("accept reason", (0, 0, 1)),
        ("accept reason close", (0, 0, 1)),
        ("accept close reason", (0, 0, 1)),
        ("reason accept close", (1, 1, 0)),
        ("close", (0, 0, 1)),
    ],
)
def test_what_is_accepted_stays_so_when_its_card_is_closed_and_is_counted_apart(written, answers, counted):
    written.call("2026-01-05", ("c1", *SURE))
    meant = {"accept": ("accepted",), "close": ("overridden",), "reason": ("overridden", "patient-refuses")}
    for hour, each in enumerate(answers.split()):
        written.answer("2026-01-06", "c1", *meant[each], at=at("2026-01-05", 12 + hour))
    found = told(written)
    for each in (found["cards"], *found["rows"]):
        assert (each["accepted"], each["accepted_then_closed"], each["overridden"]) == counted
        assert each["no_answer"] == 0


def test_a_card_that_was_sent_twice_is_one_card(written):
    written.call("2026-01-05", ("c1", *SURE), hook_instance="h")
    written.call("2026-01-06", ("c1", *SURE), hook_instance="h")
    assert counts(told(written)) == [("interpret/deficient", 1, 0, 0, 1)]


def test_pathways_and_content_versions_are_told_apart(written):
    written.call("2026-01-05", ("c1", *SURE))
    written.call("2026-01-05", ("c2", *SURE), content="1.1.0")
    written.call("2026-01-05", ("c3", *SURE), pathway="us-aafp")
    assert [(row["pathway"], row["content"], row["shown"]) for row in told(written)["rows"]] == [
        ("uk-ng239", "1.0.0", 1), ("uk-ng239", "1.1.0", 1), ("us-aafp", "1.0.0", 1)
    ]  # fmt: skip


def test_another_clients_feedback_is_not_counted_and_named(week):
    week.answer("2026-01-11", "c3", "accepted", client="south")
    found = told(week)
    assert counts(found)[0] == ("interpret/deficient", 4, 1, 2, 1)
    assert found["unknown_cards"] == {
        "cards": 1,
        "answers": 1,
        "named": [{"client": "south", "card": "c3", "why": "sent to another client", "answers": 1}],
    }


def test_unknown_cards_are_counted_apart_and_named(week):
    week.call("2026-01-06", ("s1", *SURE), silent=True)
    week.answer("2026-01-06", "s1", "accepted")
    week.answer("2026-01-06", "zz", "accepted")
    week.answer("2026-01-07", "zz", "overridden")
    found = told(week)
    assert [(each["card"], each["why"], each["answers"]) for each in found["unknown_cards"]["named"]] == [
        ("s1", "not sent: silent mode", 1), ("zz", "never sent", 2)
    ]  # fmt: skip
    assert (found["unknown_cards"]["cards"], found["unknown_cards"]["answers"]) == (2, 3)
    assert counts(found)[0] == ("interpret/deficient", 4, 1, 2, 1)
    assert told(week, since=at("2026-01-07"))["unknown_cards"]["answers"] == 1
    assert told(week, client="south")["unknown_cards"]["cards"] == 0


def test_an_answer_to_an_error_is_no_answer_to_a_card(written):
    written.call("2026-01-05", ("c1", *SURE), status=412)
    written.answer("2026-01-05", "c1", "accepted")
    assert told(written)["rows"] == []


def test_one_client_alone(week):
    week.call("2026-01-06", ("e1", *SURE), client="south")
    assert counts(told(week, client="south")) == [("interpret/deficient", 1, 0, 0, 1)]
    assert counts(told(week))[0][1] == 5


def test_the_json_is_the_same_every_time_and_says_what_was_asked(week):
    found = told(week, since=at("2026-01-05"), weekly=True, client="north")
    assert json.dumps(found) == json.dumps(told(week, since=at("2026-01-05"), weekly=True, client="north"))
    assert list(found) == ["report", "since", "until", "client", "by", "cards", "rows", "unknown_cards"]
    asked = (found["since"], found["until"], found["client"], found["by"])
    assert asked == ("2026-01-05T12:00:00+00:00", None, "north", "week")


def test_csv_has_one_line_for_each_row(week):
    found = list(csv.DictReader(io.StringIO(feedback_csv(told(week)))))
    assert [line["row"] for line in found] == ["interpret/deficient", "safety/S1"]
    assert found[1]["reasons"] == "The patient declines: 1"
    assert found[0]["no_answer"] == "1"


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_a_cell_that_starts_a_formula_is_text(cell):
    (_, (only, number)) = csv.reader(io.StringIO(as_csv(("a", "b"), [(cell, -1)]), newline=""))
    assert (only, number) == ("'" + cell, "-1")


def test_a_reason_that_a_client_made_up_starts_no_formula_in_csv(written):
    written.call("2026-01-05", ("c1", *SURE), content="=HYPERLINK(1)")
    written.answer("2026-01-05", "c1", "overridden", "=1+1")
    (line,) = csv.DictReader(io.StringIO(feedback_csv(told(written))))
    assert (line["content"], line["reasons"]) == ("'=HYPERLINK(1)", "'=1+1: 1")


# Silent mode


@pytest.fixture
def pilot(written):
    """Four charts in two weeks, of which one was opened twice and one could not be judged; and one order."""
    silent = {"silent": True}
    written.call("2026-01-05", ("c1", *SURE), ("c1", *CAUTION), **silent, hook_instance="h1")
    written.call("2026-01-06", ("c1", *SURE), ("c1", *CAUTION), **silent, hook_instance="h1")
    written.call("2026-01-07", **silent)
    written.call("2026-01-08", ("c9", *CAUTION), status=412, missing=("b12", "patient"), **silent)
    written.call("2026-01-12", ("c2", *SURE), **silent)
    written.call("2026-01-12", ("c3", "orders/folate-first", "critical"), **silent, hook="order-select")
    written.call("2026-01-13", ("c4", *SURE))
    return written


def silent(written: Written, **asked: Any) -> dict[str, Any]:
    wanted = Asked(**asked)
    return silent_document(silent_report(written.connection, wanted), wanted)


def test_silent_mode_is_reported_per_thousand_charts(pilot):
    (only,) = silent(pilot)["periods"]
    assert only == {
        "week": "",
        "first": "2026-01-05T12:00:00+00:00",
        "last": "2026-01-12T12:00:00+00:00",
        "calls": {"order-select": 1, "patient-view": 4},
        "charts": 4,
        "charts_with_card": {"calls": 2, "per_1000_charts": 500.0},
        "refused": {"calls": 1, "per_1000_charts": 250.0},
        "rows": [
            {"row": "interpret/deficient", "indicator": "warning", "calls": 2, "per_1000_charts": 500.0},
            {"row": "orders/folate-first", "indicator": "critical", "calls": 1, "per_1000_charts": 250.0},
            {"row": "safety/S1", "indicator": "critical", "calls": 1, "per_1000_charts": 250.0},
        ],
        "missing": [
            {"key": "b12", "calls": 1, "per_1000_charts": 250.0},
            {"key": "patient", "calls": 1, "per_1000_charts": 250.0},
        ],
    }


def test_silent_mode_by_week_and_by_client(pilot):
    weeks = silent(pilot, weekly=True)["periods"]
    assert [(each["week"], each["charts"], each["charts_with_card"]["calls"]) for each in weeks] == [
        ("2026-W02", 3, 1), ("2026-W03", 1, 1)
    ]  # fmt: skip
    assert silent(pilot, client="south")["periods"] == []
    assert silent(pilot, since=at("2026-01-12"))["periods"][0]["charts"] == 1


def test_without_a_chart_there_is_no_rate(written):
    written.call("2026-01-12", ("c3", "orders/folate-first", "critical"), silent=True, hook="order-sign")
    (only,) = silent(written)["periods"]
    assert only["rows"][0]["per_1000_charts"] is None


def test_cards_that_were_sent_are_no_part_of_the_silent_report_nor_the_other_way_round(pilot):
    assert counts(told(pilot)) == [("interpret/deficient", 1, 0, 0, 1)]
    assert Of("", "safety/S1", "uk-ng239", "1.0.0") not in feedback_report(pilot.connection, Asked()).rows


def test_silent_csv_has_a_line_for_every_count(pilot):
    lines = list(csv.DictReader(io.StringIO(silent_csv(silent(pilot)))))
    assert [(line["what"], line["name"], line["calls"]) for line in lines] == [
        ("calls", "order-select", "1"), ("calls", "patient-view", "4"), ("charts with a card", "", "2"),
        ("row", "interpret/deficient", "2"), ("row", "orders/folate-first", "1"), ("row", "safety/S1", "1"),
        ("answered 412", "", "1"), ("412 for want of", "b12", "1"), ("412 for want of", "patient", "1"),
    ]  # fmt: skip
