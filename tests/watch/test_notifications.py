"""Notifications are hints: few, small, and of no weight beyond one look."""

from __future__ import annotations

import http.client
import json

import pytest

from cds_service.server.notifications import A_MINUTE, LARGEST, Hints, patients_in, receiving
from tests.watch.fhir_store import FhirStore
from tests.watch.patients import b12, person, watcher


def sent(port, path="/notify/ward", body=b"", method="POST", **headers):
    """The status of what is answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_an_empty_one_asks_for_a_look_and_one_with_a_result_names_its_patient():
    hints = Hints()
    result = json.dumps(b12("p1", 95)).encode()
    with receiving("127.0.0.1", 0, "ward", hints) as port:
        assert sent(port) == 200
        assert hints.take(30) == (True, ())
        assert sent(port, "/notify/ward/Observation/b12-p1", result, "PUT") == 200
        assert hints.take(30) == (True, ("p1",))
        assert hints.take(0) == (False, ())
        assert sent(port, "/notify/other") == 404
        assert sent(port, "/notify/ward", b"x", **{"Content-Length": str(LARGEST + 1)}) == 413
        assert sent(port, "/notify/ward", b"", **{"Content-Length": "many"}) == 411


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"subject": {"reference": "Patient/../x?y"}}', b"[" * 100_000])
def test_what_names_no_patient_is_an_empty_one(body):
    assert patients_in(body) == ()


def test_a_bundle_names_the_patients_of_its_entries():
    entries = [{"resource": b12("p1", 95)}, {"resource": b12("p2", 95)}, {"resource": None}, 7]
    assert patients_in(json.dumps({"resourceType": "Bundle", "entry": entries}).encode()) == ("p1", "p2")


def test_only_so_many_patients_are_taken_in_a_minute():
    moment = [0.0]
    hints = Hints(clock=lambda: moment[0])
    assert all(hints.add((f"p{number}",)) for number in range(A_MINUTE))
    assert not hints.add(("one-more",))
    assert len(hints.take(0)[1]) == A_MINUTE
    moment[0] = 61.0
    assert hints.add(("one-more",))


def test_a_forged_one_costs_one_read_of_a_record_and_writes_nothing(tmp_path):
    store = FhirStore()
    store.put(person("p1"))
    forged = json.dumps(b12("p1", 20)).encode()
    with watcher(store, tmp_path) as watching:
        watching.hint(patients_in(forged))
        watching.work()
        assert watching.waiting == 0
        keys = len(watching.of.client.templates)
    assert store.writes == []
    assert store.reads <= keys + 1  # and our Tasks of the patient
