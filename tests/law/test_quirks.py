"""Requests as real systems were seen to send them (fixtures/quirks): each is answered for what it says."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cds_service.cdshooks.requests import read_request
from cds_service.evaluate import CallTime, Evaluation, evaluate
from tests.book import FIXTURES, NEVER, service

CALLS = Path(__file__).parents[1] / "hooks" / "calls"  # recorded of real clients
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
ROWS = {  # the file -> rows that answer it
    "01-sentinel-abatement-sacd": {"safety/S1"},
    "01a-sentinel-effective-issued": {"interpret/deficient"},
    "01b-sentinel-statement-end": {"interpret/on-treatment"},
    "02-tpp-1900-symptom": {"interpret/deficient", "treat/neuro"},
    "02b-tpp-1900-b12": {"interpret/deficient"},
    "03-deceased-zero": {"interpret/deficient"},
    "03a-deceased-empty": {"interpret/deficient"},
    "04-deceased-future": {"interpret/deficient"},
    "04a-deceased-9999": {"interpret/deficient"},
    "05-year-minus-1900": {"interpret/deficient"},
    "06-encounter-diagnosis-same-day": {"interpret/deficient", "treat/neuro"},
    "06a-no-status-same-day": {"interpret/deficient", "treat/neuro"},
    "06b-abatementString-ongoing": {"safety/S1"},
    "07-r5-order-select": {"safety/S2"},
    "07a-r5-order-sign": {"safety/S2"},
    "07c-r5-leber": {"safety/S3"},
    "08-plan-reported-leber": {"safety/S3"},
    "08a-plan-reported-folic": {"safety/S2"},
    "08c-plan-reported-metformin": {"treat/medicine"},
    "13-tie-by-id": {"interpret/deficient"},
    "13a-tie-hb": {"safety/S5"},
    "14-mma-range-other-unit-low": {"interpret/grey-mma-raised"},
    "14a-mma-range-other-unit-high": {"interpret/grey-mma-normal"},
    "14c-mma-text-range-N": {"interpret/grey-mma-normal"},
    "15-comparator-equals": {"interpret/deficient"},
    "20-selection-bare-id": {"safety/S2"},
    "20b-selection-id-of-fullUrl": {"safety/S2"},
    "20d-selection-not-there": {"safety/S2"},
    "20e-leading-slash": {"safety/S2"},
    "28-class-display": {"interpret/on-treatment"},
    "29-double": {"interpret/deficient"},
}
SAID = {  # the file -> what a card names as not read
    "07f-no-medicine-named": "prescriptions",
    "12a-foreign-conditions": "problem list",
}
REFUSED = ("10-next-on-other-host", "10a-total-5-shown-1", "12-only-foreign-results")  # 412


def answered(name: str) -> Evaluation:
    body = (FIXTURES / "quirks" / f"{name}.json").read_bytes()
    request = read_request(body, json.loads(body)["hook"])
    return evaluate(request, service("uk-ng239"), CallTime(NOW, seconds=NEVER))


def test_every_file_has_its_answer():
    assert {path.stem for path in (FIXTURES / "quirks").glob("*.json")} == {*ROWS, *SAID, *REFUSED}


@pytest.mark.parametrize(("name", "rows"), ROWS.items())
def test_it_is_answered_for_what_it_says(name, rows):
    assert rows <= set(answered(name).decision.rows)


@pytest.mark.parametrize(("name", "part"), SAID.items())
def test_what_could_not_be_read_is_named(name, part):
    assert any(part in card["detail"] for card in answered(name).cards)


@pytest.mark.parametrize("name", REFUSED)
def test_without_what_is_required_there_is_no_answer(name):
    assert answered(name).status == 412


def test_a_double_is_shown_as_the_number_that_it_stands_for():
    assert "B12 150 ng/L" in answered("29-double").cards[0]["summary"]


def called(name: str, dosage: dict | None = None) -> Evaluation:
    """A call as a real client sent it, perhaps with another dosage."""
    call = json.loads((CALLS / f"{name}.json").read_bytes())
    if dosage is not None:
        call["context"]["draftOrders"]["entry"][0]["resource"]["dosageInstruction"] = [dosage]
    request = read_request(json.dumps(call).encode(), call["hook"])
    return evaluate(request, service("uk-ng239"), CallTime(NOW, seconds=NEVER))


def test_folic_acid_of_the_sandbox_is_critical():
    assert [card["indicator"] for card in called("sandbox-folic").cards] == ["critical"]


def daily(times: int, dose: dict) -> dict:
    repeat = {"frequency": times, "period": 1, "periodUnit": "d"}
    return {"timing": {"repeat": repeat}, "doseAndRate": [{"doseQuantity": dose}]}


@pytest.mark.parametrize(
    ("dosage", "said"),
    [
        (None, "Its dose cannot be compared"),
        (daily(1, {"value": 100, "unit": "mg"}), "many times what the regimen gives"),
        (daily(4, {"value": 1, "unit": "mg"}), "many times what the regimen gives"),
    ],
)
def test_a_dose_that_is_none_or_far_too_high_is_said(dosage, said):
    cards = called("sandbox-after-accept", dosage).cards
    assert said in " ".join(card["detail"] for card in cards)
    assert "critical" not in {card["indicator"] for card in cards}
