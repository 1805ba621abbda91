"""Feedback as clients give it, and how it is read or refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import strategies as st

from cds_service.cdshooks.faults import BadRequest
from cds_service.cdshooks.feedback import Feedback, read_feedback
from tests.hooks.calling import SECRET

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
CARD, SUGGESTION = "5a4ee0ba-6b3c-5a3f-8d0f-0c5f3ad2e0a1", "0b9e5f62-1d5b-5b0e-9a6e-2f7f4d1c8b7a"
AT, AT_MS = "2026-01-15T11:59:00.250Z", 1768478340250


def item(**changed: Any) -> dict[str, Any]:
    """An override without a reason; a field given as ... is left out."""
    told = {"card": CARD, "outcome": "overridden", "outcomeTimestamp": AT}
    return {name: value for name, value in {**told, **changed}.items() if value is not ...}


def taken(*items: Any) -> tuple[Feedback, ...]:
    return read_feedback(json.dumps({"feedback": items}).encode(), NOW).given


def one(**changed: Any) -> Feedback:
    (found,) = taken(item(**changed))
    return found


def reason(**coding: Any) -> tuple[str, str]:
    found = one(overrideReason={"reason": coding})
    return found.reason, found.reason_system


def faults(told: Any) -> list[tuple[str, str]]:
    with pytest.raises(BadRequest) as caught:
        read_feedback(told if isinstance(told, bytes) else json.dumps(told).encode(), NOW)
    assert all(SECRET not in fault.text for fault in caught.value.faults)
    return [(fault.path, fault.keyword) for fault in caught.value.faults]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)
REASONS = st.fixed_dictionaries(
    {}, optional={"reason": st.fixed_dictionaries({}, optional={"code": VALUES}) | VALUES, "userComment": VALUES}
)
ITEMS = st.fixed_dictionaries(
    {"card": st.just(CARD) | VALUES, "outcome": st.sampled_from(["accepted", "overridden"]) | VALUES},
    optional={
        "outcomeTimestamp": st.datetimes().map(lambda at: at.isoformat() + "Z") | VALUES,
        "acceptedSuggestions": st.lists(st.fixed_dictionaries({"id": VALUES}), max_size=3) | VALUES,
        "overrideReason": REASONS | VALUES,
        "overrideReasons": REASONS | st.lists(REASONS, max_size=3) | VALUES,
        "extension": VALUES,
    },
)
BODIES = st.fixed_dictionaries({"feedback": st.lists(ITEMS, max_size=3) | VALUES}) | VALUES
