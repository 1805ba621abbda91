"""Every prefetch template is a search that a real FHIR server accepts, and that finds exactly what it should."""

from __future__ import annotations

import pytest

from cds_service.examples.fixture_patients import patient_id
from cds_service.fhir.templates import fill, resource_type
from tests import golden
from tests.book import content
from tests.contract.hapi import Hapi

pytestmark = pytest.mark.needs("java", "maven")
TEMPLATES = [(name, key) for name, templates in content().prefetch.items() for key in templates]


def expected(patient: str, key: str) -> list[str]:
    """The ids of what the golden request, which was laid out without a FHIR server, holds under a key."""
    sent = golden.decoded(patient)["prefetch"][key]
    if sent["resourceType"] != "Bundle":
        return [sent["id"]]
    return sorted(each["resource"]["id"] for each in sent.get("entry", ()) if each["search"]["mode"] == "match")


@pytest.mark.parametrize(("prefetch", "key"), TEMPLATES)
def test_a_template_finds_what_each_patient_has_and_nothing_else(server: Hapi, prefetch, key):
    template = content().prefetch[prefetch][key]
    for patient in golden.patients():
        query = fill(template, {"patientId": patient_id(golden.record(patient))})
        if "?" in query:
            found = server.search(query).matches
        else:
            status, resource = server.call("GET", query)
            assert status == 200, resource
            found = [resource]
        assert {each["resourceType"] for each in found} <= {resource_type(template)}
        assert sorted(each["id"] for each in found) == expected(patient, key)


def test_the_patients_together_have_something_under_every_key():
    for key in content().prefetch["full"]:
        assert any(expected(patient, key) for patient in golden.patients()), key


def test_a_template_finds_the_same_with_its_commas_encoded_and_the_newest_first(server: Hapi):
    for key in ("b12", "bloodCount", "chemistry", "status"):
        query = fill(content().prefetch["full"][key], {"patientId": "neuro-metformin"})
        found = server.search(query)
        assert server.search(query.replace(",", "%2C")).ids == found.ids == expected("neuro-metformin", key)
        days = [each["effectiveDateTime"] for each in found.matches]
        assert days == sorted(days, reverse=True)


def test_a_patient_whom_the_server_does_not_know_is_found_nowhere(server: Hapi):
    for template in content().prefetch["full"].values():
        query = fill(template, {"patientId": "nobody-at-all"})
        if "?" in query:
            assert server.search(query).matches == []
        else:
            assert server.call("GET", query)[0] == 404
