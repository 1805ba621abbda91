"""What a fetch is, for those who use one and for the one module that makes them (`cds_service.http.client`).

A fetch reads one address under one FHIR base and gives the bytes of the answer. It never waits beyond the moment it
is given, and everything that goes wrong is a `FetchFailed` in our own words: no address, no token, no patient.
"""

from __future__ import annotations

from collections.abc import Callable

# (address relative to the base or absolute, latest moment on the monotonic clock) -> the body of a 200
Fetch = Callable[[str, float], bytes]


class FetchFailed(Exception):
    """Nothing could be read. `status` is the HTTP status where there was an answer."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
