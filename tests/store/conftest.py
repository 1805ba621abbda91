"""The same tests on both databases: SQLite in a file, and a real PostgreSQL that is started for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cds_service.store.store import Store
from tests.store.databases import made, sqlite_url, store_at
from tests.store.postgres import Cluster, cluster

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    with cluster() as started:
        yield started


@pytest.fixture(params=BOTH)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables."""
    return sqlite_url(tmp_path) if request.param == "sqlite" else request.getfixturevalue("postgres").database()


@pytest.fixture(scope="session")
def template(postgres: Cluster) -> str:
    """The name of a database with our tables, which is only copied."""
    return made(postgres.database()).rpartition("/")[2]


@pytest.fixture(params=BOTH)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with our tables."""
    if request.param == "sqlite":
        return made(sqlite_url(tmp_path))
    return request.getfixturevalue("postgres").database(request.getfixturevalue("template"))


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with store_at(url) as opened:
        yield opened
