"""For all tests of what is decided: one run for each pathway."""

from __future__ import annotations

import pytest

from tests.api import Pathway
from tests.book import PATHWAYS, content


@pytest.fixture(scope="module", params=PATHWAYS)
def pathway(request: pytest.FixtureRequest) -> Pathway:
    return content().pathways[request.param]


@pytest.fixture(scope="module")
def uk() -> Pathway:
    """The UK pathway, for tests of its own numbers."""
    return content().pathways["uk-ng239"]
