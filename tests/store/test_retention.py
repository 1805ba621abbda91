"""What is too old is deleted: by the service itself, and by an operator's purge, which gives back the room."""

from __future__ import annotations

from dataclasses import replace

from cds_service.store.maintenance import count_before, held, keys_used, purge
from tests.store.databases import (
    AT,
    DAY,
    a_uuid,
    accepted,
    connected,
    count,
    decision,
    everything,
    keep,
    overridden,
    sqlite_url,
    store_at,
    until,
)


def fill(store, *days: int) -> None:
    """A decision and a feedback to it so many days ago."""
    for ago in days:
        at = AT - ago * DAY
        keep(store, decision(f"card-{ago}", at=at))
        store.save_feedback("main", [accepted(f"card-{ago}", f"card-{ago}-fbc", at=at)], at)


def cards(url: str) -> list[str]:
    return sorted({row["card"] for row in everything(url)["feedback"]})


def test_the_service_deletes_what_is_older_than_the_days_it_is_to_keep(url):
    with store_at(url, days=0) as store:
        fill(store, 401, 399, 0)
    with store_at(url, days=400) as store:
        store.start()
        until(lambda: count(url, "decision") == 2)
        until(lambda: cards(url) == ["card-0", "card-399"])
    kept = everything(url)
    assert (len(kept["shown"]), len(kept["offered"]), len(kept["suppressed"]), len(kept["accepted"])) == (4, 4, 2, 2)


def test_zero_days_is_for_ever(url):
    with store_at(url, days=0) as store:
        fill(store, 36_000)
        assert store.first_time("issuer", "gone", 1.6e9, 1.5e9)
    with store_at(url, days=0) as store:
        store.start()
        until(lambda: count(url, "seen_token") == 0)
        assert count(url, "decision") == 1


def test_a_purge_deletes_what_is_from_before_a_moment_with_all_that_hangs_on_it(store, url):
    fill(store, 3, 2, 1)
    with connected(url) as connection:
        with connection.begin():
            assert count_before(connection, AT - DAY) == {"decisions": 2, "feedback": 2}
        assert purge(connection, AT - DAY) == {"decisions": 2, "feedback": 2}
        with connection.begin():
            assert [(each.count, each.oldest) for each in held(connection).values()] == [(1, AT - DAY)] * 2
            assert keys_used(connection) == {"first": 1}
    kept = everything(url)
    assert (len(kept["shown"]), len(kept["offered"]), len(kept["suppressed"]), len(kept["accepted"])) == (2, 2, 1, 1)
    keep(store, decision())
    assert count(url, "decision") == 2, "the service goes on"


def test_a_purge_of_more_than_one_step_deletes_all(store, url):
    keep(store, *[replace(decision(a_uuid()), at=AT + number) for number in range(1_201)])
    with connected(url) as connection:
        assert purge(connection, AT + 1_200)["decisions"] == 1_200
    assert count(url, "decision") == 1


def test_a_purge_makes_a_sqlite_file_smaller(tmp_path):
    url, file = sqlite_url(tmp_path), tmp_path / "store.sqlite"
    with store_at(url) as store:
        keep(store, *[decision(a_uuid()) for _ in range(500)])
        store.save_feedback("main", [overridden(a_uuid()) for _ in range(500)], AT)
    before = file.stat().st_size
    with connected(url) as connection:
        purge(connection, AT + 1)
        assert file.stat().st_size < before / 4
