"""The fixture patients are valid FHIR, told in days ago, and hold nothing of ours that the prefetch templates miss."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from fhir.resources.R4B.bundle import Bundle

from cds_service.cdshooks.requests import read_request
from cds_service.evaluate import CallTime, Evaluation, evaluate
from cds_service.examples.fixture_patients import (
    TAGS,
    hook_request,
    patient_id,
    patients_folder,
    read_patient,
    request_bytes,
    resources,
    tag_text,
)
from tests import book, golden

PATIENTS = golden.patients()
SPEAKS_OF = {
    "dietary": ("confirmed", "treat/dietary"),
    "neuro-metformin": ("confirmed", "treat/neuro"),
    "grey-mma": ("indeterminate-mma-supports", "interpret/grey-mma-raised"),
    "renal": ("indeterminate", "interpret/grey-deteriorating"),
    "pregnant": ("indeterminate", "interpret/grey-pregnant"),
    "on-injections": ("on-treatment", "course/on-time"),
    "lapsed-pernicious": ("unlikely", "course/lifelong"),
    "nitrous-oxide": ("functional-suspected", "safety/S1"),
    "bariatric": ("not-tested", "course/bariatric"),
    "severe-anaemia": ("confirmed", "safety/S5"),
}


def played(request: dict[str, Any], day: date = golden.DAY) -> Evaluation:
    """The call, answered by the whole pipeline on that day."""
    body = msgspec.json.Encoder(decimal_format="number").encode(request)
    now = datetime.combine(day, time(12), UTC)
    return evaluate(read_request(body, "patient-view"), book.service("uk-ng239"), CallTime(now, seconds=book.NEVER))


def test_the_package_finds_its_patients():
    assert sorted(path.stem for path in patients_folder().glob("*.json")) == PATIENTS == sorted(SPEAKS_OF)


@pytest.mark.parametrize("patient", PATIENTS)
def test_a_record_is_valid_fhir(patient):
    record = golden.record(patient)
    Bundle.model_validate(record)
    assert record["type"] == "collection"
    assert patient_id(record) == patient


@pytest.mark.parametrize("patient", PATIENTS)
def test_a_record_says_first_that_it_is_made_up_and_what_it_is_about(patient):
    record = golden.record(patient)
    assert list(record)[:2] == ["resourceType", "meta"]
    assert [tag["code"] for tag in record["meta"]["security"]] == ["HTEST"]
    assert {tag["system"] for tag in record["meta"]["tag"]} == {TAGS}
    assert len(tag_text(record, "title")) < 80 < len(tag_text(record, "story"))


def test_ids_are_unique_among_all_patients_and_never_mere_numbers():
    named = [
        f"{each['resourceType']}/{each['id']}" for patient in PATIENTS for each in resources(golden.record(patient))
    ]
    assert [name for name, count in Counter(named).items() if count > 1] == []
    assert [name for name in named if name.rpartition("/")[2].isdigit()] == []


@pytest.mark.parametrize("patient", PATIENTS)
def test_every_date_is_told_as_days_ago_and_none_is_left_untold(patient):
    written = (golden.PATIENTS / f"{patient}.json").read_text(encoding="utf-8")
    assert re.findall(r'"(?:19|20)\d\d-\d\d[^"]*"', written) == []
    assert "days_ago" not in json.dumps(golden.record(patient), default=str)


def test_numbers_keep_their_trailing_zeros():
    record = golden.record("dietary")
    (b12,) = (each for each in resources(record) if each["id"] == "dietary-b12")
    assert b12["valueQuantity"]["value"].compare_total(Decimal("150.10")) == 0
    assert b'"value":150.10,' in request_bytes(record, book.content().prefetch["full"])


def test_days_ago_count_back_from_the_day_that_is_asked_for():
    (due,) = (
        each["valueDateTime"]
        for each in resources(read_patient(golden.PATIENTS / "pregnant.json", date(2026, 3, 1)))
        if each["id"] == "pregnant-due-date"
    )
    assert due == "2026-08-02"


@pytest.mark.parametrize("day", [golden.DAY, date(2027, 8, 2), date(2028, 2, 29)])
def test_a_patient_is_as_ill_on_any_day(day):
    found = {}
    for patient in PATIENTS:
        record = read_patient(golden.PATIENTS / f"{patient}.json", day)
        decision = played(hook_request(record, book.content().prefetch["full"]), day).decision
        found[patient] = (decision.label, SPEAKS_OF[patient][1] if SPEAKS_OF[patient][1] in decision.rows else "")
    assert found == SPEAKS_OF


@pytest.mark.parametrize("patient", PATIENTS)
def test_the_templates_find_all_of_a_record_that_the_reader_uses(patient):
    record = golden.record(patient)
    asked = hook_request(record, book.content().prefetch["full"])
    whole = {**asked, "prefetch": {"patient": asked["prefetch"]["patient"], "everything": record}}
    for part in ("labs", "problems", "medications", "allergies", "orders"):
        found, there = (sorted(map(repr, getattr(played(each).record, part))) for each in (asked, whole))
        assert found == there
