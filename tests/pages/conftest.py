"""One demo for all tests of this folder: making one takes a second."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from tests.endings import ended
from tests.pages.visiting import Visitor, demo


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """A demo with a store of its own."""
    keys = tmp_path_factory.mktemp("pages") / "keys"
    keys.write_text("k1 " + "A" * 43 + "\n", encoding="ascii")
    return demo(store_url=f"sqlite:///{keys.parent / 'store.sqlite'}", store_keys=keys)


@pytest.fixture(scope="module")
def visitor(shown: Flask) -> Iterator[Visitor]:
    """A visitor of the demo, whose store is closed when the module is done: the next one opens it again."""
    with ended(shown) as app:
        yield Visitor(app)
