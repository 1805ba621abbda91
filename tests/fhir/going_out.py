"""How the tests use the one HTTP client: with a fetch, in time, and with the failure that they expect."""

from __future__ import annotations

import time

import pytest

from cds_service.fetching import Fetch, FetchFailed
from cds_service.http.addresses import Base, Policy, parse_base
from cds_service.http.client import HttpClient
from tests.endings import SOON

PATIENT = {"resourceType": "Patient", "id": "pt-1"}
TOKEN = "opaque-token-for-test"
DEMO = Policy(demo=True, own_ports=frozenset({8000}))


def bases(*texts: str) -> tuple[Base, ...]:
    """The bases that an operator allows."""
    return tuple(map(parse_base, texts))


def allowed(outgoing: HttpClient, base: str, token: str = "", lifetime: float | None = None) -> Fetch:
    fetch, why = outgoing.fetch_for(base, token, lifetime)
    assert fetch is not None, why
    return fetch


def soon(seconds: float = SOON) -> float:
    return time.monotonic() + seconds


def failure(fetch: Fetch, target: str = "Patient/pt-1", seconds: float = SOON) -> FetchFailed:
    with pytest.raises(FetchFailed) as failed:
        fetch(target, soon(seconds))
    return failed.value
