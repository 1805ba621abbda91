"""The benchmark runs, and its body is what it says. No time is asserted."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime

import pytest

from cds_service.app import create_app
from cds_service.settings import Settings
from tests.bench.__main__ import table
from tests.bench.body import ORDERS, SIZE, request_body
from tests.bench.measure import compare
from tests.hooks.calling import ENVIRON

TODAY = datetime.now(UTC).date()
BODY = request_body(TODAY)


def test_the_body_is_what_the_benchmark_says_it_is():
    prefetch = json.loads(BODY)["prefetch"]
    entries = [entry for bundle in prefetch.values() for entry in bundle.get("entry", [])]
    resources = [prefetch["patient"]] + [entry["resource"] for entry in entries]
    assert len(BODY) == SIZE
    assert Counter(resource["resourceType"] for resource in resources) == {
        "Patient": 1,
        "Observation": 200,
        "MedicationStatement": 10,
    }


def test_the_bodies_of_the_orders_are_as_large_and_one_is_about_b12():
    for call, cards in (("order-select", 1), ("irrelevant-order", 0)):
        body = request_body(TODAY, call)
        assert len(body) == SIZE
        app = create_app(Settings(demo=True, store_url="none"))
        answer = app.test_client().post(
            "/cds-services/b12-order-select", data=body, content_type="application/json", environ_overrides=ENVIRON
        )
        assert len(answer.json["cards"]) == cards


@pytest.mark.needs("linux")
@pytest.mark.parametrize("call", ORDERS)
def test_the_benchmark_measures_both_sides(call):
    service, constant = compare(request_body(TODAY, call), seconds=0.5, rounds=2)
    assert service.requests == constant.requests > 0
    assert min(service.memory_mib, constant.memory_mib, service.p50_ms, constant.p50_ms) > 0
    assert table(service, constant).count("\n") == 6
