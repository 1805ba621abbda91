"""Tokens that were seen, over all processes (items 123 and 123a): each counts once, whoever asks at the same moment."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.hooks.processes import SOON, environment
from tests.store.databases import count, everything, store_at, until

NOW = 1_800_000_000.0
ASK = """
import sys
from datetime import UTC, datetime
from cds_service.store.pseudonyms import Keys
from cds_service.store.store import Store
store = Store(sys.argv[1], Keys.random(), lambda: datetime.fromtimestamp(1_800_000_000, UTC))
store.state()
print("ready", flush=True)
sys.stdin.readline()
print(sum(store.first_time("issuer", f"jti-{number}", 1_800_000_060, 1_800_000_000) for number in range(200)))
store.close()
"""


def test_a_token_is_new_once(store, url):
    assert store.first_time("issuer", "jti", NOW + 60, NOW)
    assert not store.first_time("issuer", "jti", NOW + 60, NOW + 1)
    assert store.first_time("issuer", "jti-2", NOW + 60, NOW)
    assert store.first_time("issuer-2", "jti", NOW + 60, NOW)
    assert count(url, "seen_token") == 3


def test_a_token_is_remembered_by_a_store_that_is_opened_later(url):
    with store_at(url) as store:
        assert store.first_time("issuer", "jti", NOW + 60, NOW)
    with store_at(url) as store:
        assert not store.first_time("issuer", "jti", NOW + 60, NOW)


def test_a_token_that_can_no_longer_come_makes_room(store, url):
    assert store.first_time("issuer", "jti", NOW + 60, NOW)
    assert not store.first_time("issuer", "jti", NOW + 200, NOW + 60)
    assert store.first_time("issuer", "jti", NOW + 200, NOW + 61)
    assert not store.first_time("issuer", "jti", NOW + 200, NOW + 61)
    assert count(url, "seen_token") == 1


def test_what_a_token_holds_is_kept_as_a_digest_whatever_it_is(store, url):
    for jti in ("", "x" * 10_000, "\x00", "\ud800", "é"):
        assert store.first_time("issuer", jti, NOW + 60, NOW)
        assert not store.first_time("issuer", jti, NOW + 60, NOW)
    assert {len(row["jti"]) for row in everything(url)["seen_token"]} == {64}


def test_of_many_threads_with_one_token_one_is_first(store):
    with ThreadPoolExecutor(16) as threads:
        asked = [threads.submit(store.first_time, "issuer", "jti", NOW + 60, NOW) for _ in range(64)]
        assert sum(each.result() for each in asked) == 1


def test_of_two_processes_with_one_token_one_is_first(url):
    asked = [
        subprocess.Popen([sys.executable, "-c", ASK, url], env=environment(), stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]  # fmt: skip
    try:
        for each in asked:
            assert each.stdout.readline() == "ready\n", each.stderr.read()
        for each in asked:
            each.stdin.write("\n")
            each.stdin.flush()
        told = [each.communicate(timeout=SOON) for each in asked]
    finally:
        for each in asked:
            each.kill()
    first = [int(out) for out, _ in told]
    assert sum(first) == 200, told
    assert count(url, "seen_token") == 200


def test_tokens_that_can_no_longer_come_are_deleted_by_and_by(url):
    with store_at(url) as store:  # whose clock says 2026
        assert store.first_time("issuer", "long gone", 1_700_000_000, 1_699_999_990)
        assert store.first_time("issuer", "still good", NOW + 60, NOW)
    with store_at(url) as store:
        store.start()
        until(lambda: count(url, "seen_token") == 1)
        assert not store.first_time("issuer", "still good", NOW + 60, NOW)
