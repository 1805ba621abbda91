"""One demo for all tests of this folder: making one takes a second."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pages.visiting import Visitor, demo


@pytest.fixture(scope="session")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """A visitor of a demo with a store of its own."""
    keys = tmp_path_factory.mktemp("pages") / "keys"
    keys.write_text("k1 " + "A" * 43 + "\n", encoding="ascii")
    return Visitor(demo(store_url=f"sqlite:///{keys.parent / 'store.sqlite'}", store_keys=keys))
