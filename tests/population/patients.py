"""Extracts for the tests: patients of the vignettes, each under an id of its own, as FHIR Bulk Data writes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cds_service.examples.vignettes import DEFAULT_DAY
from tests.api import ENCODER, PATIENT, Content, Vignette, hook_request
from tests.book import book

Json = dict[str, Any]
TYPES = {
    "conditions": "Condition", "medications": "MedicationStatement", "medicationRequests": "MedicationRequest",
    "administrations": "MedicationAdministration", "dispenses": "MedicationDispense", "orders": "ServiceRequest",
    "procedures": "Procedure", "allergies": "AllergyIntolerance", "family": "FamilyMemberHistory", "patient": "Patient",
    "b12": "Observation", "bloodCount": "Observation", "chemistry": "Observation", "status": "Observation",
}  # fmt: skip


def vignettes_of_an_extract(pathway: str) -> list[Vignette]:
    """The vignettes of a pathway that can stand in one extract, with every type exported, on one day."""
    return [
        each
        for each in book(pathway)
        if each.hook == "patient-view" and not each.overlay and each.as_of == DEFAULT_DAY
        if not {"unavailable", "incomplete"} & each.fields.keys()
    ]


def resources_of(vignette: Vignette, content: Content) -> list[Json]:
    """The resources that the vignette's call would carry."""
    prefetch = hook_request(vignette, content)["prefetch"]
    found = [prefetch["patient"]] if "patient" in prefetch else []
    for key, bundle in prefetch.items():
        if key != "patient":
            found += [each["resource"] for each in bundle.get("entry", ())]
    return found


def lines_of(resources: Iterable[Json]) -> dict[str, list[bytes]]:
    """The lines by type, numbers with their trailing zeros."""
    found: dict[str, list[bytes]] = {}
    for each in resources:
        found.setdefault(each["resourceType"], []).append(ENCODER.encode(each))
    return found


def as_patient(lines: Mapping[str, list[bytes]], patient: str) -> dict[str, list[bytes]]:
    """The same lines about a patient of that id."""
    renamed = ((f'"Patient/{PATIENT}"', f'"Patient/{patient}"'), (f'"id":"{PATIENT}"', f'"id":"{patient}"'))
    found = {}
    for kind, own in lines.items():
        changed = []
        for line in own:
            for old, new in renamed:
                line = line.replace(old.encode(), new.encode())
            changed.append(line)
        found[kind] = changed
    return found


def cut_off(template: str, kind: str) -> bytes:
    """A line that was cut off, of a resource of that type that this template asks for."""
    code = template.partition("code=")[2].split(",")[0]
    return (
        f'{{"resourceType":"{kind}","subject":{{"reference":"Patient/{PATIENT}"}},'
        f'"code":{{"coding":[{{"code":"{code}"}}]}},"valueQu'
    ).encode()


class ExtractWriter:
    """Writes an extract, patient by patient. A type of `types` is exported, be it empty."""

    def __init__(self, folder: Path, types: Iterable[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.files = {kind: (folder / f"{kind}.000.ndjson").open("wb") for kind in sorted(set(types))}

    def add(self, lines: Mapping[str, list[bytes]]) -> None:
        for kind, own in lines.items():
            self.files[kind].writelines(line + b"\n" for line in own)

    def close(self) -> None:
        for file in self.files.values():
            file.close()

    def __enter__(self) -> ExtractWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write_extract(folder: Path, patients: Mapping[str, Mapping[str, list[bytes]]], types: Iterable[str]) -> Path:
    """An extract of these patients, in the order in which they are given."""
    with ExtractWriter(folder, types) as writer:
        for patient, lines in patients.items():
            writer.add(as_patient(lines, patient))
    return folder


def decisions(path: Path) -> list[Json]:
    """The rows of a decisions.ndjson."""
    return [json.loads(line) for line in path.read_text().splitlines()]
