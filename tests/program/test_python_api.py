"""The Python API: what a program gets for a record, what it is refused, and that nothing missing counts as absent."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import fields, replace
from datetime import date
from pathlib import Path

import pytest

from cds_service.api import DataMissing, Extent, RecordAnswer, RecordRefused, evaluate_record
from tests.golden import DAY, patients, record
from tests.hooks.living import PATIENT, b12, problem

WHOLE = Extent(complete=True)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "from-a-program.md"


def bundle(*resources: dict, **more: object) -> dict:
    entries = [{"resource": each} for each in resources]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries, **more}


DEFICIENT = bundle(PATIENT, b12(120), problem())
HALF_A_PAIR = {**PATIENT, "name": [{"text": "\ud800 Jane Doe"}]}  # as Python decodes "\\ud800" in JSON


def test_a_record_is_answered_in_types():
    found = evaluate_record(DEFICIENT, DAY, "uk-ng239", extent=WHOLE)
    assert (found.pathway, found.as_of, found.label, found.course) == ("uk-ng239", DAY, "confirmed", "none")
    row = next(each for each in found.rows if each.name == "interpret/deficient")
    assert "NG239" in row.source.title
    assert row.evidence in ("primary", "secondary", "design")
    assert row.checked <= date(2026, 12, 31)
    assert "interpret/deficient" in found.cards[0].rows
    evidence = next(each for each in found.findings if each.name == "b12_deficient").because
    assert [each.reference for each in evidence] == ["Observation/obs-2132-9"]
    assert {each.kind for each in found.drafts} >= {"test", "medicine"}
    assert not found.approved
    assert found.label_words


@pytest.mark.parametrize("sent", [None, [DEFICIENT], 5, "\ud800 Jane Doe", bundle(HALF_A_PAIR)])
def test_what_is_no_bundle_at_all_is_refused_in_words(sent):
    with pytest.raises(RecordRefused) as refused:
        evaluate_record(sent, DAY)
    assert "Bundle" in str(refused.value) and "Jane" not in str(refused.value)


def test_a_record_is_complete_only_where_that_is_said_as_a_truth_value():
    """A text such as "no" is true in Python: what was not looked for would count as absent."""
    with pytest.raises(RecordRefused, match="complete: allowed are True and False"):
        evaluate_record(DEFICIENT, DAY, extent=Extent(complete="no"))


@pytest.mark.parametrize("form", [json.dumps, lambda told: json.dumps(told).encode(), dict])
def test_a_bundle_may_be_text_bytes_or_decoded(form):
    assert evaluate_record(form(DEFICIENT), DAY, extent=WHOLE).label == "confirmed"


def test_digits_are_those_that_were_reported():
    text = json.dumps(bundle(PATIENT, b12(120))).replace('"value": 120', '"value": 120.10')
    found = evaluate_record(text, DAY, extent=WHOLE)
    assert "120.10 ng/L" in found.cards[0].summary + found.cards[0].detail


def test_a_kind_that_is_not_in_the_bundle_is_unknown_unless_the_record_is_complete():
    part, whole = (evaluate_record(bundle(PATIENT, b12(120)), DAY, extent=each) for each in (Extent(), WHOLE))
    assert "conditions" in part.unavailable
    assert "medicationRequests" in part.unavailable
    assert whole.unavailable == ()
    assert "medicines_unknown" in {each.name for each in part.findings} - {each.name for each in whole.findings}


def test_without_b12_results_nothing_is_said_unless_they_were_looked_for():
    with pytest.raises(DataMissing) as refused:
        evaluate_record(bundle(PATIENT, problem()), DAY)
    assert refused.value.missing == ("b12",)
    assert evaluate_record(bundle(PATIENT, problem()), DAY, extent=WHOLE).label


def test_a_safety_row_speaks_although_required_data_is_missing():
    found = evaluate_record(bundle(PATIENT, problem("60576007")), DAY, extent=Extent(True, absent=["b12"]))
    assert found.missing == ("b12",)
    assert found.cards[0].indicator == "critical"


@pytest.mark.parametrize(
    "more", [{"link": [{"relation": "next", "url": "https://fhir.example.org/next"}]}, {"entry_of_none": True}]
)
def test_a_part_is_no_whole(more):
    told = bundle(PATIENT, b12(900), **more)
    if more.pop("entry_of_none", None):
        told["entry"].append({"resource": "damaged"})
    found = evaluate_record(told, DAY, extent=WHOLE)
    assert "b12" in found.incomplete
    assert found.cards != ()


def test_an_error_in_the_bundle_is_no_empty_record():
    fault = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]}
    with pytest.raises(DataMissing):
        evaluate_record(bundle(PATIENT, fault), DAY, extent=WHOLE)


def test_the_answer_to_a_batch_of_searches_is_a_record():
    """Each search is a Bundle of its own, and none of them may be lost."""
    inner = bundle(bundle(PATIENT), bundle(bundle(b12(120)), problem()), type="batch-response")
    found, plain = (replace(evaluate_record(each, DAY, extent=WHOLE), cards=()) for each in (inner, DEFICIENT))
    assert found == plain and found.label == "confirmed"


FAILED_SEARCH = {"response": {"status": "500 Internal Server Error"}}
LOST = {
    "a search that failed": {"entry": [*DEFICIENT["entry"], FAILED_SEARCH]},
    "fewer than were found": {"total": 40, "entry": DEFICIENT["entry"]},
    "fewer than were found, within": {"entry": [*DEFICIENT["entry"], {"resource": bundle(total=40)}]},
}


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
def test_what_a_bundle_says_it_lacks_leaves_it_a_part(lost):
    found = evaluate_record({"resourceType": "Bundle", **lost}, DAY, extent=WHOLE)
    assert "medicationRequests" in found.incomplete and "b12" in found.incomplete


@pytest.mark.parametrize(
    "way", ["Medication/m", "Medication/m/_history/2", "https://ehr.example.org/fhir/Medication/m"]
)
def test_a_medicine_is_found_however_the_order_refers_to_it(way):
    subject = {"reference": f"Patient/{PATIENT['id']}"}
    order = {
        "resourceType": "MedicationRequest", "id": "r", "status": "active", "intent": "order", "subject": subject,
        "authoredOn": "2026-01-10", "medicationReference": {"reference": way},
    }  # fmt: skip
    medicine = {"resourceType": "Medication", "id": "m", "code": {"text": "Hydroxocobalamin 1 mg/ml injection"}}
    found = evaluate_record(bundle(PATIENT, b12(120), order, medicine), DAY, extent=WHOLE)
    assert found.course == "ordered" and not found.incomplete


def test_what_is_not_used_is_named_and_what_looks_like_ours_too():
    others = b12(id="other", subject={"reference": "Patient/somebody"})
    unmapped = {
        **b12(id="own-code"),
        "code": {"coding": [{"system": "urn:lab", "code": "Q1", "display": "Vitamin B12"}]},
    }
    found = evaluate_record(bundle(PATIENT, b12(120), others, unmapped), DAY, extent=WHOLE)
    reasons = {each.reference: each.reason for each in found.unused}
    assert reasons["Observation/other"] == "about another patient"
    assert reasons["Observation/own-code"].startswith("not mapped: add")


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ("{", "the Bundle is not JSON"),
        (b"\xff", "the Bundle is not JSON"),
        (bundle(PATIENT, b12(120), type="history"), "The Bundle is a history"),
        (bundle(bundle(PATIENT, b12(120), type="history")), "The Bundle is a history"),
        ({}, "The Bundle holds 0 Patients that can be read; allowed is a FHIR Bundle that holds one Patient"),
        (bundle(b12()), "holds 0 Patients"),
        (bundle(PATIENT, {**PATIENT, "id": "pt-2"}), "holds 2 Patients"),
    ],
)
def test_what_is_no_record_is_refused_in_one_line(told, line):
    with pytest.raises(RecordRefused) as refused:
        evaluate_record(told, DAY)
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unknown_pathway_and_an_unknown_key_are_named_with_what_is_known():
    with pytest.raises(RecordRefused, match="known: uk-ng239, us-aafp"):
        evaluate_record(DEFICIENT, DAY, "us")
    with pytest.raises(RecordRefused, match="no prefetch key 'labs'; known: patient, b12"):
        evaluate_record(DEFICIENT, DAY, extent=Extent(absent=["labs"]))


def test_a_record_that_is_too_large_or_too_deep_is_refused(monkeypatch):
    monkeypatch.setenv("CDS_MAX_BODY_MB", "1")
    with pytest.raises(RecordRefused, match="larger than 1000000 bytes"):
        evaluate_record(bundle(PATIENT, b12(note=[{"text": "x" * 1_000_000}])), DAY)
    with pytest.raises(RecordRefused, match="larger than 1000000 bytes"):
        evaluate_record(" " * 1_000_001, DAY)
    with pytest.raises(RecordRefused, match="deep"):
        evaluate_record('{"resourceType":"Bundle","entry":' + "[" * 90_000 + "]" * 90_000 + "}", DAY)


def test_the_settings_of_the_service_count(monkeypatch):
    monkeypatch.setenv("CDS_PATHWAY", "us-aafp")
    assert evaluate_record(DEFICIENT, DAY, extent=WHOLE).pathway == "us-aafp"


def examples() -> list[str]:
    """The Python of the document: first this API, then a client of the MCP server."""
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_example_of_the_document_runs_and_prints_what_it_says(capsys):
    exec(compile(examples()[0], PAGE.name, "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "confirmed"
    assert any(line.startswith("interpret/deficient | NICE guideline NG239") for line in lines)
    assert lines[-1] == "('b12',)"


def test_every_part_of_the_answer_is_in_the_document():
    text = PAGE.read_text(encoding="utf-8")
    assert [each.name for each in fields(RecordAnswer) if f"`{each.name}`" not in text] == []


@pytest.mark.parametrize("patient", patients())
def test_nothing_is_called_for_a_fixture_patient(patient, monkeypatch):
    def called(*_: object) -> None:
        raise AssertionError("an address was called")

    monkeypatch.setattr(socket.socket, "connect", called)
    monkeypatch.setattr(socket, "getaddrinfo", called)
    assert evaluate_record(record(patient), DAY, extent=WHOLE).label
