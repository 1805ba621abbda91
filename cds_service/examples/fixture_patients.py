"""Fixture patients: made-up people with a FHIR record as a practice or a hospital holds one, and the call about each.

A file in `fixtures/patients` is a collection Bundle whose dates are given as days ago (`{days_ago:10}`), so that the
patient is as ill on any day. Its `meta.tag` holds a title and the story. The call carries what a client finds when it
runs our prefetch templates as searches, so that the answer can be compared with that of a real FHIR server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from ..content.files import shipped_folder
from ..fhir import templates

Json = dict[str, Any]

TAGS = "urn:uuid:5cb05109-362e-4829-9553-50c2bee1c73b"  # the system of the tags `title` and `story`
HOOK_INSTANCE = "5f0d2a0e-3a1b-4f0c-9a55-5d6b8f1f6b12"
DAYS_AGO = re.compile(r"\{days_ago:(-?\d+)\}")
ENCODER = msgspec.json.Encoder(decimal_format="number")


def patients_folder() -> Path:
    """Where the fixture patients lie, in a checkout and in the installed package."""
    return shipped_folder("fixtures", holding="patients") / "patients"


def read_patient(path: Path, today: date) -> Json:
    """The record of one patient as it is on that day. Numbers keep their trailing zeros."""
    text = DAYS_AGO.sub(lambda days: str(today - timedelta(days=int(days[1]))), path.read_text(encoding="utf-8"))
    record: Json = json.loads(text, parse_float=Decimal)
    return record


def tag_text(record: Json, code: str) -> str:
    """The `title` or the `story` of a record."""
    return next(str(tag["display"]) for tag in record["meta"]["tag"] if (tag["system"], tag["code"]) == (TAGS, code))


def resources(record: Json) -> Iterator[Json]:
    """Everything in a record."""
    return (entry["resource"] for entry in record["entry"])


def patient_id(record: Json) -> str:
    """The id of the one Patient whose record it is."""
    (found,) = (str(each["id"]) for each in resources(record) if each["resourceType"] == "Patient")
    return found


def transaction(record: Json) -> Json:
    """The record as a FHIR server takes it: each resource is written under its own id, whether it is there or not."""
    entries = [
        {"resource": each, "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"}}
        for each in resources(record)
    ]
    return {"resourceType": "Bundle", "meta": record["meta"], "type": "transaction", "entry": entries}


def hook_request(record: Json, prefetch: Mapping[str, str], hook_instance: str = HOOK_INSTANCE) -> Json:
    """The patient-view call of a client that found everything it was asked for. `prefetch`: key -> template."""
    return {
        "hook": "patient-view",
        "hookInstance": hook_instance,
        "context": {"userId": "Practitioner/example-gp", "patientId": patient_id(record)},
        "prefetch": {key: found(record, template) for key, template in prefetch.items()},
    }


def request_bytes(record: Json, prefetch: Mapping[str, str]) -> bytes:
    """The same as it goes over the wire."""
    return ENCODER.encode(hook_request(record, prefetch))


def found(record: Json, template: str) -> Json:
    """What a FHIR server answers to a template: the resource that is read (IndexError where there is none), or a
    searchset, the newest first."""
    kind, codes, ids = templates.resource_type(template), templates.codes(template), templates.ids(template)
    matches = [each for each in resources(record) if each["resourceType"] == kind and (not ids or each["id"] in ids)]
    if templates.is_read(template):
        return matches[0]
    matches = [each for each in matches if not codes or codes & codes_of(each)]
    if "_sort=-date" in template:
        matches.sort(key=taken, reverse=True)
    entries = [{"resource": each, "search": {"mode": "match"}} for each in matches]
    entries += [{"resource": each, "search": {"mode": "include"}} for each in medications_of(matches, record)]
    bundle = {"resourceType": "Bundle", "type": "searchset", "total": len(matches)}
    return bundle | {"entry": entries} if entries else bundle


def codes_of(resource: Json) -> set[str]:
    """The codes by which a search finds it: its own, not those of its components."""
    return {coding["code"] for coding in resource.get("code", {}).get("coding", ()) if "code" in coding}


def taken(resource: Json) -> str:
    """When an Observation was made, so that text order is time order within our own files."""
    return resource.get("effectiveDateTime") or resource.get("effectivePeriod", {}).get("start") or ""


def medications_of(matches: list[Json], record: Json) -> list[Json]:
    """The Medications to which the matches refer, each once."""
    wanted = {each.get("medicationReference", {}).get("reference") for each in matches}
    return [each for each in resources(record) if f"{each['resourceType']}/{each['id']}" in wanted]
