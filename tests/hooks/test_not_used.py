"""What was read and could not be judged stands among what was not used, with the reason; what drives does not."""

from __future__ import annotations

from typing import Any

from cds_service.explanation import explanation
from tests.book import service
from tests.hooks.living import b12, bundle, observation
from tests.hooks.test_remembered import NOW, told

HAEMOGLOBIN = "718-7"


def not_used(**keys: Any) -> list[dict[str, str]]:
    return explanation(told(**keys), service("uk-ng239"), NOW.date())["ignored"]


def test_a_result_that_could_not_be_judged_is_named_with_the_reason():
    count = bundle(observation(HAEMOGLOBIN, 6.2, "g/L"))
    assert not_used(b12=bundle(b12(120)), bloodCount=count) == [
        {
            "reference": f"Observation/obs-{HAEMOGLOBIN}",
            "reason": "haemoglobin 6.2 g/L: the number is implausibly low for its unit",
        }
    ]


def test_a_preliminary_result_that_drives_was_used():
    assert not_used(b12=bundle(b12(120, status="preliminary"))) == []


def test_a_result_that_could_be_judged_was_used():
    assert not_used(b12=bundle(b12(120)), bloodCount=bundle(observation(HAEMOGLOBIN, 131, "g/L"))) == []


def unjudged(**keys: Any) -> list[str]:
    """What the card says was not judged."""
    found = told(b12=bundle(b12(240)), **keys).decision.findings.get("results_unjudged")
    return [each.text for each in found.because] if found else []


def test_a_result_that_is_only_announced_is_not_called_unjudged():
    mma = observation("13964-2", 0, "", valueQuantity=..., valueString="pending")
    assert unjudged(chemistry=bundle(mma)) == []


def test_a_result_without_a_date_is_not_judged():
    undated = observation(HAEMOGLOBIN, 131, "g/L", effectiveDateTime=...)
    assert unjudged(bloodCount=bundle(undated)) == ["haemoglobin 131 g/L (the result has no date)"]
