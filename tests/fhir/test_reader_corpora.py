"""Real and synthetic records (CORPUS_DIR): every resource is read, none breaks the reader, the unused are counted."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from cds_service.clinical.record import PatientRecord
from cds_service.fhir import reasons
from cds_service.fhir.gather import gather
from cds_service.fhir.reader import read_record
from cds_service.fhir.reading import ReadFor
from tests.fhir.records import content

pytestmark = pytest.mark.needs("corpora")
TODAY, ZONE = date(2025, 11, 21), ZoneInfo("Europe/Brussels")


def records(folder: str) -> Iterator[tuple[str, PatientRecord]]:
    """Each file of a corpus, read for its own patient."""
    files = sorted((Path(os.environ["CORPUS_DIR"]) / folder).glob("*.json"))
    assert files
    for path in files:
        raw = path.read_bytes()
        entries = [entry["resource"] for entry in json.loads(raw)["entry"]]
        patient = next(each["id"] for each in entries if each["resourceType"] == "Patient")
        gathered = gather({"all": msgspec.Raw(raw)}, {}, {"patientId": patient})
        assert len(gathered.resources) == len(entries)
        assert gathered.ignored == ()
        yield path.name, read_record(gathered, ReadFor(patient, content(), content().pathways["uk-ng239"], TODAY, ZONE))


@pytest.mark.parametrize("folder", ["be-lab", "synthea"])
def test_every_resource_is_read_and_the_unused_ones_are_counted_by_reason(folder: str) -> None:
    unused = Counter(each.reason for _, record in records(folder) for each in record.ignored)
    known = {value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)}
    assert set(unused) <= known | set(reasons.STATUS.values())
    assert unused[reasons.UNREADABLE] == 0
    assert unused[reasons.ANOTHER_PATIENT] == 0
    print(folder, dict(unused))


def test_what_a_belgian_laboratory_sends_is_read() -> None:
    labs = {name: record.labs for name, record in records("be-lab")}
    counts = Counter(lab.analyte for found in labs.values() for lab in found)
    assert counts["haemoglobin"] >= 3
    assert counts["mcv"] >= 3
    assert all(lab.unit and not lab.doubt for found in labs.values() for lab in found)
    assert {name for name, found in labs.items() for lab in found if lab.date is None} == {"examples__molis_1A.json"}


def test_announced_results_are_listed_and_not_read() -> None:
    listed = [each for _, record in records("be-lab") for each in record.ignored]
    assert reasons.STATUS["registered"] in {each.reason for each in listed}


def test_synthetic_patients_have_their_medicines_pregnancies_and_numbers_of_seventeen_digits() -> None:
    found = [record for _, record in records("synthea")]
    medicines = Counter(each.ingredient for record in found for each in record.medications)
    assert medicines["cyanocobalamin"] == 14
    assert medicines["metformin"] == 7
    assert medicines["colchicine"] == 1
    assert {each.route for record in found for each in record.medications if each.ingredient == "cyanocobalamin"} == {
        "injection"
    }
    assert any(each.concept == "pregnancy" for record in found for each in record.problems)
    assert not any(lab.doubt == "number-unreadable" for record in found for lab in record.labs)
    assert any(lab.analyte == "mcv" and not lab.doubt for record in found for lab in record.labs)
