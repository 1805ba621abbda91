"""The benchmark runs, and its body is what it says. No time is asserted."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime

import pytest

from tests.bench.__main__ import table
from tests.bench.body import SIZE, request_body
from tests.bench.measure import compare

BODY = request_body(datetime.now(UTC).date())


def test_the_body_is_what_the_benchmark_says_it_is():
    prefetch = json.loads(BODY)["prefetch"]
    entries = [entry for bundle in prefetch.values() for entry in bundle.get("entry", [])]
    resources = [prefetch["patient"]] + [entry["resource"] for entry in entries]
    assert len(BODY) == SIZE
    assert Counter(resource["resourceType"] for resource in resources) == {
        "Patient": 1, "Observation": 200, "MedicationStatement": 10,
    }


@pytest.mark.needs("linux")
def test_the_benchmark_measures_both_sides():
    service, constant = compare(BODY, seconds=0.5, rounds=2)
    assert service.requests == constant.requests > 0
    assert min(service.memory_mib, constant.memory_mib, service.p50_ms, constant.p50_ms) > 0
    assert table(service, constant).count("\n") == 6
