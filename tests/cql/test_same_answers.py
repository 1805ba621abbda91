"""The exported guideline answers as this service does, in two engines that are not ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import pytest

from tests.api import Settings, client_config, exported_libraries
from tests.cql.asking import Patient, applied, apply_job, cql_job, differences, given, patient_of, plans_in
from tests.cql.conftest import ALTERED
from tests.cql.patients import CHART, ORDERS, generated
from tests.depth import chosen

pytestmark = pytest.mark.needs("java", "maven", "npm")
PATHWAYS = ("uk-ng239", "us-aafp")
PATIENTS = (15, 3000)  # of each pathway about an open chart, on a change and thorough
ORDERED = (8, 500)  # of each pathway about orders
BLOCK = 250  # of these in one test
ANEW = (1, 20)  # of these, with `$apply` as it comes: it takes seconds for each
RECORDS = (3, 250)  # of these, with `$apply` and no more than must be given; and one with two unlike B12 results
BLOCKS = [
    pytest.param(name, hooks, first, id=f"{name}-{hooks[0]}-{first}")
    for hooks, count in ((CHART, chosen(*PATIENTS)), (ORDERS, chosen(*ORDERED)))
    for name in PATHWAYS
    for first in range(0, count, BLOCK)
]


class Made:
    """The generated patients of each pathway and kind of call, as ours judges them, each made once."""

    def __init__(self, content):
        self.content = content
        self.libraries = exported_libraries(content)
        self.made: dict[tuple[str, tuple[str, ...]], list[Patient]] = {}
        self.makers: dict[tuple[str, tuple[str, ...]], Iterator[Patient]] = {}

    def patients(self, name: str, hooks: tuple[str, ...] = CHART, first: int = 0, count: int = BLOCK) -> list[Patient]:
        key, last = (name, hooks), min(first + count, chosen(*(PATIENTS if hooks == CHART else ORDERED)))
        maker = self.makers.setdefault(key, self.maker(name, hooks))
        made = self.made.setdefault(key, [])
        made.extend(islice(maker, max(0, last - len(made))))
        return made[first:last]

    def maker(self, name: str, hooks: tuple[str, ...]) -> Iterator[Patient]:
        client = client_config(Settings(pathway=name), self.content)
        for vignette in generated(name, PATIENTS[1], hooks):
            yield patient_of(vignette, client, self.libraries[name])


@pytest.fixture(scope="session")
def made(content) -> Made:
    return Made(content)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("name", "hooks", "first"), BLOCKS)
def test_cql_execution_answers_as_ours(name, hooks, first, made, cql):
    wrong = []
    for patient in made.patients(name, hooks, first):
        said = cql.ask(cql_job(patient, made.libraries[name]))
        assert said["left"] == []
        wrong += differences(patient, said)
    assert not wrong, f"{len(wrong)} differences:\n" + "\n".join(wrong[:20])


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("name", "hooks", "first"), BLOCKS)
def test_apply_answers_as_ours(name, hooks, first, made, apply):
    wrong = []
    for patient in made.patients(name, hooks, first):
        wrong += applied_otherwise(patient, name, apply)
    assert not wrong, f"{len(wrong)} differences:\n" + "\n".join(wrong[:20])


@pytest.mark.parametrize("name", PATHWAYS)
def test_apply_says_the_same_as_it_comes_and_in_one_pass(name, made, apply):
    """One evaluation of the Library for each patient instead of one for each condition changes no answer."""
    for patient in made.patients(name, count=chosen(*ANEW)):
        jobs = [apply_job(patient, name, patient.plans, patient.expected.parameters, anew=anew) for anew in (0, 1)]
        once, anew = (applied(plans_in(apply.ask(job)), name) for job in jobs)
        assert once == anew


@pytest.mark.parametrize("name", PATHWAYS)
def test_apply_computes_from_the_record_what_is_not_given(name, made, cql, apply):
    """As cql-execution: `$apply` gets what must be given, and what that engine could not compute either."""
    library = made.libraries[name]
    unlike = (each for each in made.maker(name, CHART) if each.expected.parameters["b12_earlier_differs"])
    for patient in (*made.patients(name, count=chosen(*RECORDS)), next(unlike)):
        said = cql.ask(cql_job(patient, library))
        must, rest = given(patient, library)
        known = must | {each: rest[each] for each in said["missing"]}
        assert len(known) < len(patient.expected.parameters)
        assert applied_otherwise(patient, name, apply, known) == []


def applied_otherwise(patient: Patient, name: str, apply, parameters=None) -> list[str]:
    """In what `$apply` differs from ours, a line each. Its OperationOutcome, which nobody reads, must be empty."""
    job = apply_job(patient, name, patient.plans, parameters or patient.expected.parameters)
    said, ours = applied(plans_in(apply.ask(job)), name), patient.expected.answer
    drafts = {f"test-{each}" for each in ours.tests} | {f"medicine-{each}" for each in ours.regimens}
    drafts |= {f"follow-up-{each} {patient.days[each]}" for each in ours.follow_ups}
    drafts |= {"problem-b12-deficiency"} if ours.problem_list else set()
    pairs = [("faults", said.faults, ()), ("rows", said.rows, frozenset(ours.rows)), ("drafts", said.drafts, drafts)]
    pairs += [("notes", said.notes, ours.notes), ("removals", said.removals, ours.removals)]
    pairs += [("indicators", said.indicators, ours.indicators)] if ours.label != "out-of-scope" else []
    return [f"{patient.vignette.name} {what}: {theirs}, ours {own}" for what, theirs, own in pairs if theirs != own]


def test_one_altered_row_is_seen_by_both(made, with_altered, cql, apply):
    """A patient whom the row would have held is answered otherwise: the comparison is not blind."""
    library = exported_libraries(with_altered)[ALTERED]
    every = made.maker("uk-ng239", CHART)
    deficient = (each for each in every if "interpret/deficient" in each.expected.answer.rows)
    met = next(each for each in deficient if each.expected.parameters["symptoms"])  # whom the altered row passes over
    assert any(" Rows: " in line for line in differences(met, cql.ask(cql_job(met, library))))
    assert any(" rows: " in line for line in applied_otherwise(met, ALTERED, apply))


def test_nothing_is_answered_before_every_finding_is_given(made, cql, apply):
    """Missing is not absent: no label, no row, and the first action names what is missing."""
    library = made.libraries["uk-ng239"]
    patient = made.patients("uk-ng239")[0]
    must, _ = given(patient, library)
    left = {name: value for name, value in must.items() if name != "medicines_unknown"}
    job = cql_job(replace(patient, expected=replace(patient.expected, parameters=left)), library)
    said = cql.ask(job | {"rest": {"medicines_unknown": None}})
    assert "medicines_unknown" in said["left"]
    assert all(value is None for value in said["answer"].values())
    (plan,) = plans_in(apply.ask(apply_job(patient, "uk-ng239", ["interpret"], left)))
    (group,) = [each for each in plan["contained"] if each["resourceType"] == "RequestGroup"]
    assert group["action"][0]["id"] == "not-judged" and "medicines_unknown" in group["action"][0]["description"]
    assert not any(action.get("action") for action in group["action"])
