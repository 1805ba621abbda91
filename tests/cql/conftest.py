"""The exported package of this content, with one pathway altered beside it, and the engines that read it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.api import Content, cards_folder, export_content, load_content
from tests.cql import engines

ALTERED = "uk-altered"
ROW = "deficient"  # of the interpretation: in the altered pathway it asks for nothing any more


@pytest.fixture(scope="session")
def content() -> Content:
    """The shipped content."""
    return load_content(cards_folder())


@pytest.fixture(scope="session")
def with_altered(content: Content) -> Content:
    """The content, and the UK pathway once more, with one row of it altered."""
    pathway = content.pathways["uk-ng239"]
    rows = tuple(replace(row, unless=("symptoms",)) if row.id == ROW else row for row in pathway.interpret)
    altered = replace(pathway, id=ALTERED, interpret=rows)
    return replace(content, pathways={**content.pathways, ALTERED: altered})


@pytest.fixture(scope="session")
def package(with_altered: Content, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    export_content(with_altered, folder, {})
    return folder


@pytest.fixture(scope="session")
def both(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[engines.Engine, engines.Engine]]:
    with engines.both_engines(package, tmp_path_factory.mktemp("elm")) as both:
        yield both


@pytest.fixture(scope="session")
def apply(both: tuple[engines.Engine, engines.Engine]) -> engines.Engine:
    """`$apply`."""
    return both[0]


@pytest.fixture(scope="session")
def cql(both: tuple[engines.Engine, engines.Engine]) -> engines.Engine:
    """cql-execution."""
    return both[1]
