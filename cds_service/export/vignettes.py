"""The vignettes as test Bundles: a patient's record, what must be given, and what an engine must answer.

A Bundle holds the record, a Parameters "given" for the Library, and a Parameters "expected": the answer, and every
finding that this service made. A computed finding that an engine leaves null is to be given as it stands there.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from ..cdshooks.client_config import ClientConfig
from ..cdshooks.requests import read_request
from ..clinical.findings import assess
from ..evaluate import record_without_fetching
from ..examples.vignette_fhir import ENCODER, hook_request
from ..examples.vignettes import Vignette, shipped_vignettes
from .expected import Expected, expected
from .library import PathwayLibrary

Json = dict[str, Any]
LONGEST_ID = 64


def bundles(client: ClientConfig, library: PathwayLibrary) -> Iterator[Json]:
    """One for each shipped vignette of the pathway without a site's folder: about an open chart, or about orders."""
    for name, vignette in shipped_vignettes(client.pathway.id).items():
        if not vignette.overlay:
            yield bundle(name, vignette, client, library)


def bundle(name: str, vignette: Vignette, client: ClientConfig, library: PathwayLibrary) -> Json:
    """The test Bundle of one vignette."""
    call = hook_request(vignette, client.content)
    found = judged_call(call, vignette, client, library)
    said: list[tuple[str, str]] = [("title", vignette.title)]
    for definition, value in found.answers().items():
        if isinstance(value, (tuple, frozenset)):
            said += [(definition, each) for each in (value if isinstance(value, tuple) else sorted(value))]
        else:
            said.append((definition, value if isinstance(value, str) else str(value).lower()))
    said += [("found", each) for each, holds in found.parameters.items() if holds]
    given = [
        {"name": each, "valueBoolean": value}
        for each, value in found.parameters.items()
        if not library.is_computed(each)
    ]
    parameters = [
        {"resourceType": "Parameters", "id": "given", "parameter": [day(vignette), *given]},
        {
            "resourceType": "Parameters",
            "id": "expected",
            "parameter": [{"name": each, "valueString": value} for each, value in said],
        },
    ]
    entries = [{"resource": each} for each in (*resources_of(call), *parameters)]
    return {"resourceType": "Bundle", "id": bundle_id(name), "type": "collection", "entry": entries}


def judged(vignette: Vignette, client: ClientConfig, library: PathwayLibrary) -> Expected:
    """What this service finds and decides about the vignette's patient."""
    return judged_call(hook_request(vignette, client.content), vignette, client, library)


def judged_call(call: Json, vignette: Vignette, client: ClientConfig, library: PathwayLibrary) -> Expected:
    """What this service finds and decides about the patient of that call."""
    request = read_request(ENCODER.encode(call), vignette.hook)
    record = record_without_fetching(request, client, vignette.as_of)
    return expected(assess(record, client.pathway, vignette.as_of), client.pathway, library.findings())


def day(vignette: Vignette) -> Json:
    return {"name": "Day", "valueDate": vignette.as_of.isoformat()}


def record_of(vignette: Vignette, client: ClientConfig) -> list[Json]:
    """Every resource of the vignette's request."""
    return resources_of(hook_request(vignette, client.content))


def resources_of(call: Json) -> list[Json]:
    """Every resource of a call: the Patient first, the draft orders last."""
    prefetch, drafts = call["prefetch"], call["context"].get("draftOrders", {})
    bundles = [value for key, value in prefetch.items() if key != "patient"]
    return [prefetch["patient"], *(each["resource"] for value in (*bundles, drafts) for each in value.get("entry", ()))]


def bundle_id(name: str) -> str:
    """An id of FHIR: no slash, at most 64 signs; of a longer name the end is a digest, so that none is another's."""
    plain = name.replace("/", "-")
    return plain if len(plain) <= LONGEST_ID else f"{plain[: LONGEST_ID - 9]}-{sha256(name.encode()).hexdigest()[:8]}"
