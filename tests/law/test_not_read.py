"""What was not read is not said to be missing: no value reads "not recorded" because its part of the record is away."""

from __future__ import annotations

import random
from datetime import date
from itertools import islice

import pytest

from cds_service.clinical.advice import Advice, Paragraph, said_of_access
from cds_service.clinical.wording import STANDS_IN
from cds_service.evaluate import Evaluation
from tests import depth
from tests.api import Patient, PatientRecord, assess
from tests.blocks import blocks, failures
from tests.book import content
from tests.law.damages import without
from tests.law.law import cases

CASES = cases()
EACH = depth.chosen(1, None)  # keys of each call; None: all of them
SAID_MISSING = ("not-recorded", "nothing", "no-symptoms")
SUFFICES = {"medications": "medicationRequests", "medicationRequests": "medications"}  # where the other came whole
ELSEWHERE = {  # what a value may lose with a key, though it does not stand there
    ("symptoms", "bloodCount"),  # a blood count is listed among the signs; that it was not read is said by its name
    ("risks", "dispenses"),  # of a medicine that is only known by its refills
    ("medicines", "dispenses"),
    ("risks", "chemistry"),  # an antibody
    ("since_dose", "administrations"),  # without a dose there is no time since it
    ("since_dose", "dispenses"),
    ("since_dose", "medicationRequests"),
}


def said_missing(found: Evaluation) -> set[str]:
    """The placeholders that would read as if there were nothing."""
    words = {found.assessment.case.pathway.messages[name] for name in SAID_MISSING}
    return {name for name in STANDS_IN if found.assessment.values[name] in words}


def nothing_is_said_to_be_missing(name: str) -> None:
    case = CASES[name]()
    before = case.answered(case.call)
    if before is None:
        return
    keys = [key for key in case.call["prefetch"] if key != "patient"]
    random.Random(name).shuffle(keys)
    calls = ((key, call) for key in keys if (call := without(case.call, key)) is not None)
    for key, call in islice(calls, EACH):
        after = case.answered(call)
        assert after is not None
        lost = said_missing(after) - said_missing(before)
        if SUFFICES.get(key) in after.gathered.published - after.gathered.unavailable - after.gathered.incomplete:
            lost -= {each for each in lost if key in STANDS_IN[each]}
        lost = {each for each in lost if (each.removeprefix("lasting_"), key) not in ELSEWHERE}
        assert not lost, f"without {key}"


@pytest.mark.parametrize("block", blocks(CASES))
def test_a_value_that_was_not_read_is_not_said_to_be_missing(block):
    assert not failures(block, nothing_is_said_to_be_missing)


def test_what_a_client_is_not_asked_for_is_said_to_be_that():
    minimal = frozenset(content().prefetch["minimal"])
    assert minimal.isdisjoint(STANDS_IN["injection_date"])
    record = PatientRecord(Patient("Patient/1"), published=minimal)
    values = assess(record, content().pathways["uk-ng239"], date(2026, 1, 15)).values
    assert (values["injection_date"], values["egfr"]) == ("not looked up", "not looked up")
    assert (values["hb"], values["symptoms"]) == ("not recorded", "none recorded in the last 12 months")


def test_a_part_of_the_record_that_is_spoken_of_otherwise_is_not_named_as_lost():
    pathway = content().pathways["uk-ng239"]
    course = Paragraph("next", "Full blood count yearly.", origin="course/bariatric")
    caveat = Paragraph("caveat", "Could not be read: blood count.", origin="notes/record-incomplete")
    provenance = pathway.notes[0].provenance
    one, both = (Advice("course/bariatric", "info", "", said, "", provenance) for said in ((course,), (course, caveat)))
    assert said_of_access([one], pathway) == ""
    assert said_of_access([both], pathway) == caveat.text
