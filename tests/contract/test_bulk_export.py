"""An extract from a server that is not ours: HAPI's $export, with our filters, and every row as at the chart."""

from __future__ import annotations

import time

import pytest

from cds_service.examples.fixture_patients import patient_id
from cds_service.population.bulk import Wanted, export, server_for
from cds_service.population.run import Plan, run_population
from tests import book, golden
from tests.api import CallTime, evaluate, read_request
from tests.contract.hapi import Hapi
from tests.population.patients import decisions

pytestmark = pytest.mark.needs("java", "maven")


def test_hapi_exports_what_our_templates_ask_for_and_each_row_is_that_of_a_call(server: Hapi, tmp_path):
    client = book.service("uk-ng239")
    wanted = Wanted(server.base, tmp_path / "in", client.templates)
    asked = server_for(wanted, str)  # no token
    asked.wait = lambda seconds: time.sleep(min(seconds, 1.0))  # HAPI says 120 seconds, whatever the job
    try:
        exported = export(wanted, asked, lambda *_: None)
    finally:
        asked.http.close()
    assert {"Patient", "Observation", "AllergyIntolerance"} <= set(exported.types)
    made = run_population(Plan(tmp_path / "in", tmp_path / "out", golden.DAY, "ndjson"), client, lambda *_: None)
    rows = {row["patient"]: row for row in decisions(tmp_path / "out" / made.decisions)}
    for name in golden.patients():
        request = read_request(golden.request_of(name), "patient-view")
        found = evaluate(request, client, CallTime(golden.NOW, seconds=book.NEVER)).decision
        row = rows[patient_id(golden.record(name))]
        assert (row["label"], tuple(row["rows"]), row["course"]) == (found.label, found.rows, found.course), name
