"""A vignette's patient on the tests' FHIR server, and the patient-view answer about him or her."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time
from typing import Any

from cds_service.watch.watcher import call_about
from tests.api import ENCODER, PATIENT, CallTime, Evaluation, evaluate, hook_request, overlay_folder, read_request
from tests.book import NEVER, service
from tests.watch.fhir_store import FhirStore

Json = dict[str, Any]


def asked(vignette: Any, base: str) -> tuple[Json, Evaluation]:
    """The vignette's request, and the answer of a patient-view to it, of the id that the watcher's call has."""
    config = replace(service(vignette.pathway, overlay_folder(vignette)), name="ward")
    body = hook_request(vignette, config.content) | {"hookInstance": call_about(PATIENT, base).hook_instance}
    now = datetime.combine(vignette.as_of, time(12), UTC)
    return body, evaluate(read_request(ENCODER.encode(body), "patient-view"), config, CallTime(now, seconds=NEVER))


def stored(body: Json, vignette: Any) -> FhirStore:
    """A FHIR server with everything that the vignette tells."""
    now = datetime.combine(vignette.as_of, time(12), UTC)
    store = FhirStore(now=now, page=20)
    for answer in body["prefetch"].values():
        for each in [entry["resource"] for entry in answer.get("entry", ())] or [answer]:
            if each["resourceType"] != "Bundle":
                store.put(each)
    store.now = now
    return store
