"""What must hold for long: one request that is resent without end, and more clients than there are connections."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from cds_service.store.database import WAL_LIMIT, WRITES, command_engine, read_url
from cds_service.store.tables import decision, offered, shown
from tests.depth import chosen
from tests.hooks.calling import PATH
from tests.load.crowd import Crowd, Seen, patient_view
from tests.load.installation import Installation, installed
from tests.store.postgres import Cluster, cluster

pytestmark = [pytest.mark.needs("postgresql"), pytest.mark.needs("linux")]
CALLERS = 8
SECONDS = chosen(2.0, 60.0)
BEFORE = chosen(3_000, 12_000)  # decisions with the same cards that are there already
AT_ONCE = chosen(60, 200)  # clients whose tokens are good once
RESENT = {**patient_view("pt-1", 120), "hookInstance": str(uuid.uuid4())}


@pytest.fixture(scope="module")
def postgres() -> Iterator[Cluster]:
    with cluster() as made:
        yield made


def call_for(made: Installation, seconds: float) -> Seen:
    """What callers saw who send the one request again and again, and override its first card now and then."""
    with Crowd(made, CALLERS, lambda _patient, _value: RESENT) as crowd:
        seen = crowd.begin()
        time.sleep(seconds)
        crowd.begin()
    return seen


def lay_before(url: str, many: int) -> None:
    """As if the one decision that is there had been made so many times."""
    engine = command_engine(read_url(url))
    try:
        with engine.connect().execution_options(**WRITES) as connection, connection.begin():  # SQLite: one sync in all
            (made,) = [dict(row) for row in connection.execute(select(decision).limit(1)).mappings()]
            ids = [uuid.uuid4().hex for _ in range(many)]
            connection.execute(insert(decision), [{**made, "id": each} for each in ids])
            for table in (shown, offered):
                parts = connection.execute(select(table).where(table.c.decision == made["id"])).mappings().all()
                rows = [{**part, "decision": each} for each in ids for part in parts]
                if rows:
                    connection.execute(insert(table), rows)
    finally:
        engine.dispose()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_one_request_that_is_resent_without_end_stalls_nobody(kind, postgres, tmp_path: Path):
    with installed(postgres if kind == "postgresql" else None, tmp_path) as made:
        quiet = call_for(made, min(SECONDS, 10.0))
        lay_before(made.url, BEFORE)
        seen = call_for(made, SECONDS)
        made.end()
        assert made.events("bug") == []
    assert set(seen.statuses) == {"200"}, seen.statuses
    assert set(seen.feedback) <= {"200"}, seen.feedback
    print(kind, "ms: quiet", quiet.quantile(0.5), quiet.quantile(0.99), "then", seen.quantile(0.5), seen.quantile(0.99))
    # In a few seconds of a busy machine the last hundredth is chance, and others come and go.
    part, factor = chosen((0.5, 5), (0.99, 2))
    assert seen.quantile(part) < factor * quiet.quantile(part) + 20
    if kind == "sqlite":
        log = tmp_path / "store.sqlite-wal"
        assert not log.exists() or log.stat().st_size < 2 * WAL_LIMIT


class Once:
    """Clients whose every call has a token of its own, as many as can be made at the same time."""

    def __init__(self, made: Installation, many: int) -> None:
        self.made, self.heard = made, Counter[tuple[str, str]]()  # status and Retry-After
        self._over, self._lock = threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._call) for _ in range(many)]

    def run(self, seconds: float) -> Counter[tuple[str, str]]:
        for each in self._threads:
            each.start()
        self._over.wait(seconds)
        self._over.set()
        for each in self._threads:
            each.join()
        return self.heard

    def _call(self) -> None:
        body: Any = json.dumps(patient_view("pt-1", 120)).encode()
        connection = HTTPConnection("127.0.0.1", self.made.port, timeout=30)
        while not self._over.is_set():
            token = self.made.token(PATH, jti=str(uuid.uuid4()))
            try:
                connection.request(
                    "POST", PATH, body, {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
                )
                answer = connection.getresponse()
                answer.read()
                heard = str(answer.status), answer.headers.get("Retry-After", "")
            except (OSError, HTTPException):
                connection.close()
                heard = "broken", ""
            with self._lock:
                self.heard[heard] += 1
            if heard[0] == "503":
                self._over.wait(0.2)
        connection.close()


def test_mere_load_opens_no_breaker_of_the_token_store(postgres, tmp_path: Path):
    """Too much is told to come again in a second; a minute is for a database that does not answer."""
    with installed(postgres, tmp_path, jti="once") as made:
        heard = Once(made, AT_ONCE).run(SECONDS)
        made.end()
        assert made.events("bug") == []
    print(dict(heard))
    assert {wait for (_, wait) in heard} <= {"", "1"}, heard
    assert heard["200", ""] > 0
