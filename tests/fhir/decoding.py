"""Bundles of observations for the tests, and how they are decoded."""

from __future__ import annotations

import json
from typing import Any

from cds_service.fhir.bundles import Decoded, decode
from cds_service.fhir.resources import Resource

CODE = {"coding": [{"system": "http://loinc.org", "code": "2132-9"}], "text": "B12"}


def observation(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": f"o{number}", "status": "final", "code": CODE, **fields}


def bundle(*resources: Any, **fields: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "entry": [{"resource": resource} for resource in resources], **fields}


def read(value: Any) -> Decoded:
    return decode(value if isinstance(value, bytes) else json.dumps(value).encode())


def resources(decoded: Decoded) -> list[Resource]:
    return [entry.resource for entry in decoded.entries if entry.resource]


def only(decoded: Decoded) -> Resource:
    (resource,) = resources(decoded)
    return resource
