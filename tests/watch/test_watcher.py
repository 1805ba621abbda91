"""A result arrives, and one Task is written: what happens then, step by step."""

from __future__ import annotations

import pytest

from cds_service.watch.fhir_server import FhirServer
from tests.watch.fhir_store import FhirStore, serving
from tests.watch.patients import b12, look, person, watcher


@pytest.fixture
def store():
    found = FhirStore()
    found.put(person("p1"))
    return found


def test_a_low_result_becomes_one_task_by_http(store, tmp_path):
    store.put(b12("p1", 95))
    with serving(store), watcher(store, tmp_path, by=FhirServer) as watching:
        look(watching)
        look(watching)
    (task,) = store.tasks
    assert task["status"] == "requested"
    assert task["for"] == {"reference": "Patient/p1"}
    assert task["focus"] == {"reference": "Observation/b12-p1"}
    assert task["owner"] == {"reference": "Organization/b12-clinic"}
    assert "95 ng/L" in task["description"]
