"""The patient-view call about a FHIR Bundle that holds one patient's record: what a program, a page or a file brings.

The Bundle stands for the searches that a CDS client would have made with our prefetch templates. Whether a kind of
resource that is not in it was looked for, and not found, only the caller knows: `complete` says so. Without it such a
key stays absent, for missing is not absent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from ..fhir import templates
from ..fhir.index import plain_reference
from .registry import DEFAULT_HOOK

Json = dict[str, Any]

ALLOWED = "allowed is a FHIR Bundle that holds one Patient with an id, and what belongs to that patient"
BUNDLE, OUTCOME = "Bundle", "OperationOutcome"
OBSERVATION = "Observation"


class BundleRefused(ValueError):
    """A Bundle that is no record of one patient. Its text is one line, without anything of the record."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of the record a Bundle is. `complete`: all that the templates ask for was looked for, so that what is
    not in the Bundle is not recorded. `absent` and `incomplete`: prefetch keys that could not be had, or not whole."""

    complete: bool = False
    absent: Collection[str] = ()
    incomplete: Collection[str] = ()


def call_of_bundle(bundle: object, prefetch: Mapping[str, str], extent: Extent) -> Json:
    """The call of a client that found in the Bundle (decoded JSON) what these templates ask for."""
    is_bundle = isinstance(bundle, dict) and bundle.get("resourceType") == BUNDLE
    bundles = bundles_in(bundle) if isinstance(bundle, dict) and is_bundle else []
    if any(each.get("type") == "history" for each in bundles):
        raise BundleRefused(f"The Bundle is a history, which holds what was replaced or deleted too; {ALLOWED}")
    entries = [entry for each in bundles for entry in listed(each.get("entry"))]
    resources = [each for each in map(resource_of, entries) if each and each.get("resourceType") != BUNDLE]
    patients = [each for each in resources if each.get("resourceType") == "Patient"]
    if len(patients) != 1 or not isinstance(patients[0].get("id"), str):
        raise BundleRefused(f"The Bundle holds {len(patients)} Patients that can be read; {ALLOWED}")
    if not isinstance(extent.complete, bool):  # a text such as "no" is true, and what was not looked for is absent then
        raise BundleRefused("complete: allowed are True and False")
    unknown = sorted({*extent.absent, *extent.incomplete} - set(prefetch))
    if unknown:
        raise BundleRefused(f"there is no prefetch key {unknown[0]!r}; known: {', '.join(prefetch)}")
    return {
        "hook": DEFAULT_HOOK,
        "hookInstance": str(uuid4()),
        "context": {"userId": "Practitioner/example", "patientId": patients[0]["id"]},
        "prefetch": found_for(resources, prefetch, extent, is_part=any(map(is_part, bundles))),
    }


def found_for(resources: list[Json], prefetch: Mapping[str, str], extent: Extent, *, is_part: bool) -> Json:
    """What was found, key by key. `is_part`: there is more than the Bundle holds."""
    kinds = {each.get("resourceType") for each in resources}
    failures = [each for each in resources if each.get("resourceType") == OUTCOME]
    keys: Json = {}
    for key, template in prefetch.items():
        kind = templates.resource_type(template)
        if key in extent.absent or not (extent.complete or kind in kinds or failures):
            continue
        keys[key] = found(resources, template)
        if not templates.is_read(template):
            keys[key].setdefault("entry", []).extend(entry_of(each, "outcome") for each in failures)
            if is_part or key in extent.incomplete:
                keys[key]["link"] = [{"relation": "next", "url": "https://example.invalid/next"}]
    asked = [key for key in keys if templates.resource_type(prefetch[key]) == OBSERVATION]
    if asked:
        add_others(keys[asked[-1]], resources, [templates.codes(prefetch[key]) for key in asked])
    return {key: with_entries(each) for key, each in keys.items()}


def add_others(bundle: Json, resources: list[Json], asked: list[frozenset[str]]) -> None:
    """Add the observations whose codes no template asks for: the reader names those that look like ours."""
    known = frozenset[str]().union(*asked)
    if all(asked):
        others = [each for each in resources if each.get("resourceType") == OBSERVATION]
        others = [each for each in others if known.isdisjoint(codes_of(each))]
        bundle["entry"] += [entry_of(each, "match") for each in others]
        bundle["total"] += len(others)


def with_entries(bundle: Json) -> Json:
    """A searchset without a match has no `entry`: an empty list is no FHIR."""
    return {name: value for name, value in bundle.items() if name != "entry" or value}


def found(resources: list[Json], template: str) -> Json:
    """What a server would find for a template: the resource that is read, or a searchset."""
    kind, codes = templates.resource_type(template), templates.codes(template)
    matches = [each for each in resources if each.get("resourceType") == kind]
    if templates.is_read(template):
        return matches[0]
    matches = [each for each in matches if not codes or codes.intersection(codes_of(each))]
    wanted = {plain_reference(reference) for each in matches for reference in medication_of(each)}
    included = [each for each in resources if reference_to(each) in wanted]
    entries = [*(entry_of(each, "match") for each in matches), *(entry_of(each, "include") for each in included)]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(matches), "entry": entries}


def entry_of(resource: Json, mode: str) -> Json:
    return {"resource": resource, "search": {"mode": mode}}


def bundles_in(bundle: Json) -> list[Json]:
    """The Bundle, and those within it: the answer to a batch of searches holds one for each."""
    found, waiting = [], [bundle]
    while waiting:
        found.append(each := waiting.pop())
        inner = map(resource_of, listed(each.get("entry")))
        waiting += [one for one in inner if one.get("resourceType") == BUNDLE]
    return found


def is_failed(entry: Any) -> bool:
    """Does the entry answer a request of a batch that failed?"""
    response = entry.get("response") if isinstance(entry, dict) else None
    status = response.get("status") if isinstance(response, dict) else None
    return isinstance(status, str) and status.startswith(("4", "5"))


def is_part(bundle: Json) -> bool:
    """Does the Bundle announce a further page, count more than it holds, or hold an entry that is none, or
    that answers a search that failed?"""
    if any(isinstance(each, dict) and each.get("relation") == "next" for each in listed(bundle.get("link"))):
        return True
    entries, total = listed(bundle.get("entry")), bundle.get("total")
    if (isinstance(total, int) and total > len(entries)) or any(map(is_failed, entries)):
        return True
    return not all(isinstance(each, dict) and isinstance(each.get("resource", {}), dict) for each in entries)


def listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def resource_of(entry: Any) -> Json:
    """The resource of an entry; {} for an entry that is none."""
    found = entry.get("resource") if isinstance(entry, dict) else None
    return found if isinstance(found, dict) else {}


def reference_to(resource: Json) -> str:
    """ "Observation/o1"."""
    return f"{resource.get('resourceType')}/{resource.get('id')}"


def codes_of(resource: Json) -> Iterator[str]:
    """Its codes, however odd the rest of it is."""
    code = resource.get("code")
    for each in listed(code.get("coding") if isinstance(code, dict) else None):
        if isinstance(each, dict) and isinstance(each.get("code"), str):
            yield each["code"]


def medication_of(resource: Json) -> Iterator[str]:
    """The reference to its Medication."""
    reference = resource.get("medicationReference")
    if isinstance(reference, dict) and isinstance(reference.get("reference"), str):
        yield reference["reference"]
