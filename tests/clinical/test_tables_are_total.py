"""Abstract patients, enumerated: every table is total and every row is within somebody's reach."""

from __future__ import annotations

from itertools import islice, product

import pytest

from tests.api import Allergy, Pathway, assess, decide
from tests.clinical.patients import KEYS, TODAY, injection, lab, medicine, oral, problem, record
from tests.depth import chosen

B12 = {
    "untested": [],
    "deficient": [lab("b12", 150, "ng/L")],
    "grey": [lab("b12", 240, "ng/L")],
    "above": [lab("b12", 500, "ng/L")],
    "high twice": [lab("b12", 1500, "ng/L"), lab("b12", 1400, "ng/L", 60)],
    "straddling": [lab("b12", 200, "ng/L", comparator="<")],
    "very low": [lab("b12", 60, "ng/L")],
    "low, active high": [lab("b12", 150, "ng/L"), lab("active-b12", 90, "pmol/L")],
    "active-deficient": [lab("active-b12", 20, "pmol/L")],
    "active-grey": [lab("active-b12", 40, "pmol/L")],
    "stale-deficient": [lab("b12", 150, "ng/L", 200)],
    "stale-grey": [lab("b12", 240, "ng/L", 200)],
    "old-deficient": [lab("b12", 150, "ng/L", 500)],
    "in-doubt": [lab("b12", 150, "", doubt="no-unit")],
    "preliminary": [lab("b12", 150, "ng/L", preliminary=True)],
}
MARKER = {
    "none": [],
    "raised": [lab("mma", 500, "nmol/L")],
    "raised, good kidneys": [lab("mma", 500, "nmol/L"), lab("egfr", 90, "mL/min/1.73 m2")],
    "normal": [lab("mma", 200, "nmol/L")],
    "unclear": [lab("mma", 500, "nmol/L"), lab("egfr", 25, "mL/min/1.73 m2")],
}
SIGNS = {
    "none": [],
    "fatigue": [problem("fatigue")],
    "neuro": [problem("paraesthesia")],
    "gait": [problem("ataxia")],
    "sacd": [problem("sacd")],
    "optic nerve": [problem("optic-neuropathy")],
    "diabetic": [problem("neuropathy-other-cause")],
    "macrocytosis": [lab("mcv", 118, "fL")],
    "severe": [lab("haemoglobin", 60, "g/L"), lab("mcv", 118, "fL")],
    "anaemia": [lab("haemoglobin", 100, "g/L")],
}
CAUSE = {
    "none": [],
    "vegan": [problem("vegan")],
    "coeliac": [problem("coeliac")],
    "pernicious": [problem("pernicious-anaemia")],
    "antibody": [lab("intrinsic-factor-antibody", 0, "", 50, outcome="positive")],
    "bariatric": [problem("bariatric")],
    "nitrous": [problem("nitrous-oxide")],
    "metformin": [medicine("metformin")],
    "pill": [medicine("oestrogen-contraceptive")],
    "leber": [problem("leber")],
}
STATE = {
    "plain": [],
    "pregnant": [problem("pregnancy", 60)],
    "breastfeeding": [problem("breastfeeding", 60)],
    "injections": [injection(30)],
    "lapsed": [injection(400)],
    "oral": [oral(300)],
    "allergic": [Allergy("AllergyIntolerance/a", "cobalamin")],
    "folic acid": [medicine("folic-acid")],
}
EACH = chosen(11, 1)  # every eleventh patient, for time, or all; 11 divides the length of no list: no part is skipped
UNSEEN = {"all seen": frozenset(), "no medicines": frozenset({"medications", "medicationRequests"})}


def reached(pathway: Pathway) -> tuple[set[str], int]:
    """The rows that the enumerated patients match, and how many patients there were."""
    rows, patients = set(), 0
    every = product(B12.values(), MARKER.values(), SIGNS.values(), CAUSE.values(), STATE.values())
    for parts in islice(every, 0, None, EACH):
        patients += 1
        unseen = UNSEEN["no medicines"] if patients % 7 == 0 else UNSEEN["all seen"]
        found = record(*(each for part in parts for each in part), unavailable=unseen & KEYS)
        decision = decide(assess(found, pathway, TODAY), pathway)
        interpretations = [row for row in decision.rows if row.startswith("interpret/")]
        assert len(interpretations) == 1 and decision.label
        rows.update(decision.rows)
    return rows, patients


@pytest.fixture(scope="module")
def enumerated(pathway):
    return reached(pathway)


def test_every_interpretation_row_in_scope_is_reached_by_an_enumerated_patient(pathway, enumerated):
    rows, patients = enumerated
    wanted = {f"interpret/{row.id}" for row in pathway.interpret} - {"interpret/out-of-scope"}
    assert patients > 5_000
    assert wanted - rows == set()


def test_every_treatment_row_is_reached_by_an_enumerated_patient(pathway, enumerated):
    rows, _ = enumerated
    assert {f"treat/{row.id}" for row in pathway.treat} - rows == set()


def test_the_last_row_of_each_first_match_table_has_no_condition(pathway):
    for table in (pathway.interpret, pathway.treat):
        assert not table[-1].when and not table[-1].unless and not table[-1].any
        assert all(row.when or row.unless or row.any for row in table[:-1])
