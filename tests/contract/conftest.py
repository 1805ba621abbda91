"""One HAPI server for all contract tests, with every fixture patient in it, and the service that reads from it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cds_service.examples.fixture_patients import patient_id, resources
from cds_service.fhir.templates import fill
from tests import golden
from tests.book import content
from tests.contract import calling, hapi


@pytest.fixture(scope="session")
def server() -> Iterator[hapi.Hapi]:
    """Loaded, and each kind of search run once: the first of its kind takes HAPI seconds."""
    with hapi.started() as running:
        for patient in golden.patients():
            running.load(list(resources(golden.record(patient))))
        context = {"patientId": patient_id(golden.record(golden.patients()[0]))}
        for template in content().prefetch["full"].values():
            running.call("GET", fill(template, context))
        yield running


@pytest.fixture(scope="session")
def service(server: hapi.Hapi) -> Iterator[calling.Service]:
    with calling.serving(server.base) as running:
        yield running
