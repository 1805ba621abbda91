"""The exported guideline answers as this service does, in two engines that are not ours."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.api import Settings, client_config, exported_libraries
from tests.cql.asking import TABLES, Patient, applied, apply_job, cql_job, differences, given, patient_of
from tests.cql.conftest import ALTERED
from tests.cql.patients import generated
from tests.depth import chosen

pytestmark = pytest.mark.needs("java", "maven", "npm")
PATHWAYS = ("uk-ng239", "us-aafp")
PATIENTS = (15, 3000)  # of each pathway, on a change and thorough
BLOCK = 250  # of these in one test
APPLIED = (2, 60)  # of these, with the engine of `$apply`: it takes seconds for each
RECORDS = (1, 30)  # of these, with `$apply` and no more than must be given


@pytest.fixture(scope="session")
def patients(content) -> dict[str, list[Patient]]:
    """The generated patients of each pathway, as ours judges them."""
    return {name: made(content, name, chosen(*PATIENTS)) for name in PATHWAYS}


def made(content, name: str, count: int) -> list[Patient]:
    client = client_config(Settings(pathway=name), content)
    library = exported_libraries(content)[name]
    return [patient_of(each, client, library) for each in generated(content, name, count)]


@pytest.mark.parametrize("first", range(0, chosen(*PATIENTS), BLOCK))
@pytest.mark.parametrize("name", PATHWAYS)
def test_cql_execution_answers_as_ours(name, first, patients, content, cql):
    library = exported_libraries(content)[name]
    wrong = []
    for patient in patients[name][first : first + BLOCK]:
        said = cql.ask(cql_job(patient, library))
        assert said["left"] == []
        wrong += differences(patient, said)
    assert not wrong, f"{len(wrong)} differences:\n" + "\n".join(wrong[:20])


@pytest.mark.parametrize("name", PATHWAYS)
def test_apply_answers_as_ours(name, patients, apply):
    wrong = []
    for patient in patients[name][: chosen(*APPLIED)]:
        wrong += applied_otherwise(patient, name, apply)
    assert not wrong, f"{len(wrong)} differences:\n" + "\n".join(wrong[:20])


def test_apply_computes_from_the_record_what_is_not_given(patients, content, cql, apply):
    """As cql-execution: `$apply` gets what must be given, and what that engine could not compute either. One table: it
    computes everything anew for each condition."""
    library = exported_libraries(content)["uk-ng239"]
    for patient in patients["uk-ng239"][: chosen(*RECORDS)]:
        said = cql.ask(cql_job(patient, library))
        must, rest = given(patient, library)
        known = must | {each: rest[each] for each in said["missing"]}
        assert len(known) < len(patient.expected.parameters)
        plan = applied([apply.ask(apply_job(patient, "uk-ng239", "treat", known))], "uk-ng239")
        assert plan.faults == ()
        assert plan.rows == {each for each in patient.expected.answer.rows if each.startswith("treat/")}


def applied_otherwise(patient: Patient, name: str, apply) -> list[str]:
    """In what `$apply` differs from ours, a line each. Its OperationOutcome, which nobody reads, must be empty."""
    jobs = [apply_job(patient, name, table, patient.expected.parameters) for table in TABLES]
    said, ours = applied(list(apply.ask_all(jobs)), name), patient.expected.answer
    in_scope = ours.label != "out-of-scope"
    drafts = {f"test-{each}" for each in ours.tests} | {f"medicine-{each}" for each in ours.regimens}
    pairs = [("faults", said.faults, ()), ("rows", said.rows, frozenset(ours.rows))]
    pairs += [("drafts", said.drafts, drafts)]
    pairs += [("indicators", said.indicators, ours.indicators)] if in_scope else []
    return [f"{patient.vignette.name} {what}: {theirs}, ours {own}" for what, theirs, own in pairs if theirs != own]


def test_one_altered_row_is_seen_by_both(patients, with_altered, cql, apply):
    """A patient whom the row would have held is answered otherwise: the comparison is not blind."""
    library = exported_libraries(with_altered)[ALTERED]
    deficient = [each for each in patients["uk-ng239"] if "interpret/deficient" in each.expected.answer.rows]
    met = next(each for each in deficient if each.expected.parameters["symptoms"])  # whom the altered row passes over
    assert any(" rows: " in line for line in differences(met, cql.ask(cql_job(met, library))))
    assert any(" rows: " in line for line in applied_otherwise(met, ALTERED, apply))


def test_nothing_is_answered_before_every_finding_is_given(patients, content, cql, apply):
    """Missing is not absent: no label, no row, and the first action names what is missing."""
    library = exported_libraries(content)["uk-ng239"]
    patient = patients["uk-ng239"][0]
    must, _ = given(patient, library)
    left = {name: value for name, value in must.items() if name != "medicines_unknown"}
    job = cql_job(replace(patient, expected=replace(patient.expected, parameters=left)), library)
    said = cql.ask(job | {"rest": {"medicines_unknown": None}})
    assert "medicines_unknown" in said["left"]
    assert all(value is None for value in said["answer"].values())
    plan = apply.ask(apply_job(patient, "uk-ng239", "interpret", left))
    (group,) = [each for each in plan["contained"] if each["resourceType"] == "RequestGroup"]
    assert group["action"][0]["id"] == "not-judged" and "medicines_unknown" in group["action"][0]["description"]
    assert not any(action.get("action") for action in group["action"])
