"""The look-up table: it agrees with what stands in the other tables, is migrated into, and does not grow slow."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from alembic import command
from sqlalchemy import Connection, text

from cds_service.store.database import WRITES, read_url
from cds_service.store.records import FeedbackRecord, Shown
from cds_service.store.tables import METADATA
from cds_service.store.upgrade import configuration, upgrade
from tests.store.databases import (
    AT,
    EVIDENCE,
    ROW,
    WHO,
    accepted,
    connected,
    count,
    decision,
    everything,
    keep,
    overridden,
    recalled,
    store_at,
)

OTHERS = [WHO, replace(WHO, patient="2"), replace(WHO, user="Practitioner/2")]


def back_to_the_first_version(connection: Connection) -> None:
    """The database as the service left it before there was a look-up table."""
    for name in ("history", "card"):
        connection.execute(text(f"DROP TABLE {name}"))
    connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))


def answers(random_: random.Random) -> list[FeedbackRecord]:
    """Many kinds of answers to few cards, each at a moment of its own."""
    return [
        replace(
            random_.choice(
                [
                    overridden(f"card-{number}", reason=random_.choice(["", "other"])),
                    accepted(f"card-{number}"),
                    accepted(f"card-{number}", f"card-{number}-fbc"),
                ]
            ),
            at=AT + place,
        )
        for place, number in enumerate(random_.choices(range(6), k=20))
    ]


@pytest.mark.parametrize("seed", range(3))
def test_a_migration_finds_what_would_have_been_written_at_the_time(url, seed):
    """Cards sent once and twice, to one and to several, critical and silent ones; answers before and after them."""
    chance = random.Random(seed)
    given = answers(chance)
    with store_at(url) as store:
        store.save_feedback("main", given[:5], AT + 100)
        for number in range(6):
            for who in chance.choices(OTHERS, k=chance.choice([1, 1, 2])):
                critical = (Shown(f"card-{number}", "safety/S5", "critical"),) if chance.random() < 0.2 else ()
                shown = (Shown(f"card-{number}", ROW, "info"), *critical)
                keep(store, decision(f"card-{number}", who=who, shown=shown, silent=chance.random() < 0.1))
        store.save_feedback("main", given[5:], AT + 200)
    before = told(url)
    with connected(url) as connection, connection.execution_options(**WRITES).begin():
        back_to_the_first_version(connection)
    assert upgrade(read_url(url)) == ("0001", "0002")
    assert told(url) == before


def told(url: str) -> set[tuple[object, ...]]:
    """The history, without the user where it is not asked for: an order counts whoever accepted it."""
    columns = ("client", "card", "kind", "name", "patient", "outcome", "reason", "at", "feedback")
    lines = everything(url)["history"]
    return {(*(row[name] for name in columns), row["kind"] == "row" and row["user"]) for row in lines}


def test_the_two_ways_to_the_tables_are_known_to_alembic(empty):
    upgrade(read_url(empty))
    with connected(empty) as connection:
        command.check(configuration(connection))
    assert {"card", "history"} <= {table.name for table in METADATA.sorted_tables}


def test_an_answer_that_comes_in_the_same_moment_as_its_decision_counts_for_the_next_look_up(url):
    with store_at(url) as store:
        keep(store, decision("first"))
        store.save_decision(decision())  # it waits to be written
        store.save_feedback("main", [overridden()], AT + 1)
        assert recalled(store).dismissed(ROW, EVIDENCE)


def test_one_request_sent_again_and_again_leaves_one_line(url):
    """A monitor that resends a saved request makes the same card ids each time."""
    with store_at(url) as store:
        keep(store, decision())
        store.save_feedback("main", [overridden()], AT + 1)
        for _ in range(4):
            keep(store, *[decision(at=AT + number) for number in range(500)])
        assert count(url, "history") == 2, "what is looked through does not grow with how often it was sent"
        assert recalled(store).dismissed(ROW, EVIDENCE)


def test_a_card_that_turns_out_to_be_of_two_patients_loses_what_was_said_of_it(url):
    with store_at(url) as store:
        keep(store, decision())
        store.save_feedback("main", [accepted("card-1", "card-1-fbc"), overridden(at=AT + 3)], AT + 5)
        assert count(url, "history") == 3
        keep(store, decision(who=OTHERS[2]))
        assert recalled(store).dismissed(ROW, EVIDENCE) is None
        assert recalled(store).accepted("test", "fbc"), "whoever of the two users was meant, it is the same patient"
        keep(store, decision(who=OTHERS[1]))
        assert count(url, "history") == 0
