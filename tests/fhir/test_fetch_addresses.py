"""A further page under another host is read from the server's own base, or not at all."""

from __future__ import annotations

import pytest

from cds_service.fhir.fetch import under_base

BASE = "https://ehr.example.org/fhir/r4"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"{BASE}/Observation?page=2", f"{BASE}/Observation?page=2"),
        (f"{BASE}?_getpages=1", f"{BASE}?_getpages=1"),
        ("Observation?page=2", "Observation?page=2"),
        ("http://internal:8080/fhir/r4?_getpages=1", "?_getpages=1"),
        ("http://ehr.example.org/fhir/r4/Observation?page=2", "Observation?page=2"),
        ("https://localhost/Observation?page=2", "Observation?page=2"),
        ("https://internal/other/Observation/_search?page=2", "Observation/_search?page=2"),
        ("https://internal/other?page=2", None),
        ("https://internal/fhir/r4/../admin?page=2", None),
        ("https://internal/fhir/r4/%2e%2e/Observation?page=2", None),
        ("https://internal/", None),
    ],
)
def test_where_a_further_page_is_read(url: str, expected: str | None) -> None:
    assert under_base(url, BASE) == expected


def test_without_a_base_an_address_stays_as_it_is() -> None:
    assert under_base("http://internal/fhir?page=2", "") == "http://internal/fhir?page=2"
