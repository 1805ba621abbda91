"""`b12-cds doctor` on a real FHIR server whose laboratory has codes and units of its own (issue 4, part 5)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cds_service.cli import main
from tests.contract.hapi import Hapi
from tests.doctor.examining import paste
from tests.doctor.small_server import coded, order, patient, result

pytestmark = pytest.mark.needs("java", "maven")
LOCAL = "urn:oid:1.2.36.1.2001.1003.0.999.1"
PATIENTS = ("doctor-local-1", "doctor-local-2", "doctor-local-3")
TESTS = (
    ("B12TOT", "Vitamin B12 (serum)", 149, "nanograms/L"),
    ("HB", "Haemoglobin", 118, "g/L"),
    ("MCV", "MCV", 104, "fL"),
    ("FERR", 'Ferritin, "new"', 40, "ug/L"),
    ("HBA1C", "Haemoglobin A1c", 39, "mmol/mol"),
)
UNSET = ("CDS_DEMO", "CDS_PATHWAY", "CDS_PREFETCH", "CDS_TIME_ZONE", "CDS_FHIR_BASES", "CDS_SITE_DIR", "CDS_FHIR_TOKEN")


@pytest.fixture
def local(server: Hapi) -> Iterator[Hapi]:
    """The server with three patients of a hospital that codes everything its own way; they are gone afterwards."""
    day = (datetime.now(UTC) - timedelta(days=5)).date().isoformat()
    found = [patient(name) for name in PATIENTS]
    for name in PATIENTS:
        found += [
            result(f"{name}-{code}", name, coded(code, LOCAL, display), value, unit, effectiveDateTime=day)
            for code, display, value, unit in TESTS
        ]
        found.append(order(f"{name}-met", name, coded("MF500", LOCAL, "Metformin 500 mg")))
    server.load([category_of_a_laboratory(each) for each in found])
    yield server
    for each in reversed(found):
        server.delete(f"{each['resourceType']}/{each['id']}")


def category_of_a_laboratory(resource: dict[str, Any]) -> dict[str, Any]:
    """The coding with its system, as a server wants it for a search."""
    if "category" not in resource:
        return resource
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    return {**resource, "category": [{"coding": [{"system": system, "code": "laboratory"}]}]}


def doctor(server: Hapi, *arguments: Any) -> dict[str, Any]:
    runner = CliRunner(env=dict.fromkeys(UNSET))
    found = runner.invoke(
        main, ["doctor", "--fhir", server.base, "--json", *map(str, arguments)], catch_exceptions=False
    )
    assert found.exit_code == 0, found.stderr
    assert not any(name in found.output for name in PATIENTS)
    return json.loads(found.stdout)


def test_the_lines_that_it_prints_make_its_next_run_clean(local: Hapi, tmp_path: Path):
    before = doctor(local)
    assert not before["clean"]
    mine = {each["code"]: each for each in before["unmapped"] if each["system"] == LOCAL}
    assert {code: (each["concept"], each["count"]) for code, each in mine.items()} == {
        "B12TOT": ("lab-b12", 3),
        "HB": ("lab-haemoglobin", 3),
        "MCV": ("lab-mcv", 3),
        "FERR": ("lab-ferritin", 3),
        "MF500": ("medicine-metformin", 3),
    }
    assert mine["B12TOT"]["units"] == {"nanograms/L": 3}
    assert [each["code"] for each in before["otherCodes"] if each["system"] == LOCAL] == ["HBA1C"]
    assert any("B12 by their name are not mapped" in sentence for sentence in before["verdict"])

    paste(before["overlay"], tmp_path)

    after = doctor(local, "--site", tmp_path)
    assert (after["overlay"], after["unmapped"], after["questions"], after["clean"]) == ({}, [], [], True)
    assert (after["works"], after["prefetch"]) == ("yes", "full")
    b12 = next(each for each in after["analytes"] if each["id"] == "b12")
    assert {"code": "B12TOT", "count": 3}.items() <= next(
        each for each in b12["codes"] if each["system"] == LOCAL
    ).items()


def test_it_finds_that_a_hapi_answers_every_template_and_uses_every_parameter(local: Hapi):
    told = doctor(local, "--prefetch", "full")
    assert told["server"]["fhirVersion"] == "4.0.1"
    assert told["unsupportedTypes"] == []
    assert all(each["answered"] and each["listed"] for each in told["templates"])
    effects = {(each["type"], each["parameter"]): each["effect"] for each in told["parameters"]}
    assert effects["Observation", "patient"] == effects["Observation", "code"] == "used"
    assert set(effects.values()) <= {"used", "cannot be told"}
    (call,) = told["calls"]
    assert call["calls"] >= call["whole"] > 0  # a call that came too late, on a busy machine, is not whole
