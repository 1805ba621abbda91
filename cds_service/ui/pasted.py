"""What a person pastes: a hook request as it is, or a FHIR Bundle about one patient, of which a request is made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

from cds_service.fhir import templates
from cds_service.web.errors import Refused

from .request_tree import ENCODER, Json, named, no_number, number, resource_of

ALLOWED = "allowed is a CDS Hooks request, or a FHIR Bundle that holds one Patient and what belongs to it, as JSON"


def request_of(body: bytes, prefetch: Mapping[str, str]) -> bytes:
    """The hook request that was pasted, or that a pasted Bundle makes with these templates. Refused for other texts."""
    try:
        told = json.loads(body, parse_float=number, parse_int=number, parse_constant=no_number)
    except (ValueError, RecursionError):
        raise Refused(400, f"What was pasted is not JSON; {ALLOWED}") from None
    if not isinstance(told, dict) or not ("hook" in told or told.get("resourceType") == "Bundle"):
        raise Refused(400, f"What was pasted is neither; {ALLOWED}")
    if "hook" in told:
        return body
    try:
        return ENCODER.encode(from_bundle(told, prefetch))
    except (ValueError, RecursionError):
        raise Refused(400, f"What was pasted cannot be written down again; {ALLOWED}") from None


def from_bundle(bundle: Json, prefetch: Mapping[str, str]) -> Json:
    """The patient-view call of a client that found in the Bundle what our templates ask for."""
    entries = bundle.get("entry")
    resources = [each for each in map(resource_of, entries if isinstance(entries, list) else ()) if each]
    patients = [each for each in resources if each.get("resourceType") == "Patient"]
    if len(patients) != 1 or not isinstance(patients[0].get("id"), str):
        raise Refused(400, f"The Bundle holds {len(patients)} Patients that can be read; {ALLOWED}, with an id")
    return {
        "hook": "patient-view",
        "hookInstance": str(uuid4()),
        "context": {"userId": "Practitioner/example", "patientId": patients[0]["id"]},
        "prefetch": {key: found(resources, template) for key, template in prefetch.items()},
    }


def found(resources: list[Json], template: str) -> Json:
    """What a server would find for a template: the resource that is read, or a searchset."""
    kind, codes = templates.resource_type(template), templates.codes(template)
    matches = [each for each in resources if each.get("resourceType") == kind]
    if templates.is_read(template):
        return matches[0]
    matches = [each for each in matches if not codes or codes.intersection(codes_of(each))]
    entries = [{"resource": each, "search": {"mode": "match"}} for each in matches]
    wanted = {reference for each in matches for reference in medication_of(each)}
    entries += [{"resource": each, "search": {"mode": "include"}} for each in resources if named(each) in wanted]
    bundle: Json = {"resourceType": "Bundle", "type": "searchset", "total": len(matches)}
    return bundle | {"entry": entries} if entries else bundle


def codes_of(resource: Json) -> Iterator[str]:
    """Its codes, however odd the rest of it is."""
    code = resource.get("code")
    codings = code.get("coding") if isinstance(code, dict) else None
    for each in codings if isinstance(codings, list) else ():
        if isinstance(each, dict) and isinstance(each.get("code"), str):
            yield each["code"]


def medication_of(resource: Json) -> Iterator[Any]:
    """The reference to its Medication."""
    reference = resource.get("medicationReference")
    if isinstance(reference, dict) and isinstance(reference.get("reference"), str):
        yield reference["reference"]
