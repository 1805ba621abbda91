"""The load campaign in small: what may never happen under load and faults, whatever the machine can do."""

from __future__ import annotations

import time

import pytest

from tests.load.crowd import Crowd, Seen
from tests.load.fhir_faults import FAULTS, tried
from tests.load.installation import ENDED_WITHIN, installed
from tests.load.phases import PHASES, ending, run
from tests.store.postgres import cluster

pytestmark = [pytest.mark.needs("postgresql"), pytest.mark.needs("linux")]


@pytest.fixture(scope="module")
def postgres():
    with cluster() as made:
        yield made


def test_while_workers_and_postgresql_are_killed_no_card_is_wrong_no_call_hangs_and_no_acknowledged_feedback_is_lost(
    postgres, tmp_path
):
    phases: list[tuple[str, Seen]] = []
    with installed(postgres, tmp_path) as made:
        with Crowd(made, 8) as crowd:
            phases += run(made, crowd, 3.0, print)
        began = time.monotonic()
        made.end()
        assert time.monotonic() - began < ENDED_WITHIN
        found = ending(made, crowd, 0)
        assert made.events("bug") == []
    assert len(phases) == len(PHASES) + 1
    for name, seen in phases:
        assert set(seen.statuses) <= {"200", "503", "broken"}, (name, seen.statuses)
        assert set(seen.feedback) <= {"200", "503", "broken"}, (name, seen.feedback)
        assert seen.statuses["200"], name
        assert not seen.wrong, name
    assert sum(seen.feedback["503"] for name, seen in phases if name == "PostgreSQL is killed")
    assert found.acknowledged
    assert found.lost_feedback == 0
    assert found.kept


def test_whatever_a_fhir_server_does_the_answer_is_cards_or_a_412_that_says_what_is_missing(postgres, tmp_path):
    outcomes = {each.name: each for each in tried(postgres, tmp_path)}
    assert list(outcomes) == list(FAULTS)
    answered = {name for name, each in outcomes.items() if each.status == "200"}
    assert answered == {"is well", "answers after 0.5 s"}, "a search that brings only another's results failed"
    assert {each.status for name, each in outcomes.items() if name not in answered} == {"412"}
    assert "120 ng/L" in outcomes["is well"].says
