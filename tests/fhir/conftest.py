"""A real FHIR server on this machine, and the ways to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cds_service.fetching import Fetch
from cds_service.http.addresses import Policy
from cds_service.http.client import HttpClient
from tests.fhir.going_out import DEMO
from tests.fhir.loopback import Server, serving
from tests.fhir.small_ehr import ANSWERS


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that knows nothing but what a test tells it."""
    with serving() as server:
        yield server


@pytest.fixture
def outgoing() -> Iterator[HttpClient]:
    outgoing = HttpClient(DEMO)
    yield outgoing
    outgoing.close()


@pytest.fixture
def fetch(server: Server) -> Iterator[Fetch]:
    """The way to the server, which has the patient, one B12 result, and nothing else."""
    server.answers |= ANSWERS
    outgoing = HttpClient(Policy(demo=True))
    fetch, why = outgoing.fetch_for(server.base, "opaque-token-for-test")
    assert fetch is not None, why
    yield fetch
    outgoing.close()
