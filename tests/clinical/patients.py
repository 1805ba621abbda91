"""Abstract patients: records made without FHIR, for the tests that need thousands of them."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from hypothesis import strategies as st

from tests.api import Allergy, LabResult, Medication, Patient, PatientRecord, Problem

TODAY = date(2026, 1, 15)
KEYS = frozenset(
    "patient b12 bloodCount chemistry status conditions medications medicationRequests administrations dispenses "
    "orders procedures allergies family".split()
)


def ago(days: int, today: date = TODAY) -> date:
    """So many days before."""
    return today - timedelta(days=days)


def lab(analyte: str, value: object, unit: str, days: int = 5, **fields: object) -> LabResult:
    """A final result."""
    number = Decimal(str(value))
    fields = {"reference": f"Observation/{analyte}-{value}-{days}", **fields}
    return LabResult(analyte=analyte, date=ago(days), value=number, number=str(value), unit=unit, **fields)


def antibody(outcome: str, days: int = 5) -> LabResult:
    """A result of the intrinsic factor antibody: "positive" or "negative"."""
    reference = f"Observation/antibody-{outcome}-{days}"
    return LabResult(reference, "intrinsic-factor-antibody", ago(days), outcome=outcome)


def problem(concept: str, days: int | None = 30, **fields: object) -> Problem:
    """An active problem recorded so many days ago; None: undated."""
    return Problem(f"Condition/{concept}", concept, recorded=None if days is None else ago(days), **fields)


def injection(days: int) -> Medication:
    """A dose of hydroxocobalamin given so many days ago."""
    return Medication(
        f"MedicationAdministration/{days}", "hydroxocobalamin", "administration", "im", ago(days), ago(days)
    )


def oral(days: int) -> Medication:
    """1 mg of cyanocobalamin a day since so many days."""
    start = ago(days)
    return Medication(
        "MedicationStatement/oral",
        "cyanocobalamin",
        "statement",
        "oral",
        start,
        start,
        active=True,
        per_day=Decimal(1000),
    )


def medicine(ingredient: str, days: int | None = 500) -> Medication:
    """An order in force."""
    start = None if days is None else ago(days)
    return Medication(f"MedicationRequest/{ingredient}", ingredient, "order", "oral", start, start, active=True)


def record(*parts: object, sex: str = "female", **fields: object) -> PatientRecord:
    """A record of these results, problems, medicines and allergies, with everything else seen and empty."""
    return PatientRecord(
        fields.pop("patient", Patient("Patient/p", sex, date(1970, 1, 1))),
        tuple(part for part in parts if isinstance(part, LabResult)),
        tuple(part for part in parts if isinstance(part, Problem)),
        tuple(part for part in parts if isinstance(part, Medication)),
        tuple(part for part in parts if isinstance(part, Allergy)),
        published=KEYS,
        **fields,
    )


CONCEPTS = (
    "fatigue paraesthesia neuropathy ataxia sacd optic-neuropathy myelopathy vegan coeliac pernicious-anaemia "
    "bariatric gastrectomy-total nitrous-oxide pregnancy breastfeeding leber dialysis numbness gait-problem "
    "atrophic-gastritis neuropathy-other-cause alcohol b12-deficiency"
).split()
INGREDIENTS = ("metformin", "omeprazole", "oestrogen-contraceptive", "folic-acid", "anticoagulant", "methotrexate")

days = st.integers(0, 800)
b12_results = st.one_of(
    st.builds(lambda value, when: lab("b12", value, "ng/L", when), st.integers(20, 1200), days),
    st.builds(lambda value, when: lab("b12", value, "pmol/L", when), st.integers(20, 900), days),
    st.builds(lambda value, when: lab("active-b12", value, "pmol/L", when), st.integers(1, 200), days),
    st.builds(lambda value, when: lab("b12", value, "ng/L", when, comparator="<"), st.integers(100, 500), days),
)
other_results = st.one_of(
    st.builds(lambda value, when: lab("mma", value, "nmol/L", when), st.integers(50, 1200), days),
    st.builds(lambda value, when: lab("homocysteine", value, "umol/L", when), st.integers(5, 40), days),
    st.builds(lambda value, when: lab("mcv", value, "fL", when), st.integers(70, 125), days),
    st.builds(lambda value, when: lab("haemoglobin", value, "g/L", when), st.integers(50, 160), days),
    st.builds(lambda value, when: lab("platelets", value, "10*9/L", when), st.integers(20, 400), days),
    st.builds(lambda value, when: lab("ferritin", value, "ug/L", when), st.integers(5, 90), days),
    st.builds(lambda value, when: lab("folate", value, "ug/L", when), st.integers(1, 12), days),
    st.builds(lambda outcome, when: antibody(outcome, when), st.sampled_from(("positive", "negative")), days),
    st.builds(lambda value, when: lab("egfr", value, "mL/min/1.73 m2", when), st.integers(5, 110), days),
)
problems = st.builds(problem, st.sampled_from(CONCEPTS), st.one_of(st.none(), days))
medicines = st.one_of(
    st.builds(medicine, st.sampled_from(INGREDIENTS), st.one_of(st.none(), days)),
    st.builds(injection, days),
    st.builds(oral, days),
)
allergies = st.builds(
    lambda substance: Allergy(f"AllergyIntolerance/{substance}", substance), st.sampled_from(("cobalamin", "cobalt"))
)


@st.composite
def records(draw: st.DrawFn, medicine: st.SearchStrategy = medicines) -> PatientRecord:
    """Any patient."""
    parts = draw(st.lists(b12_results, max_size=3)) + draw(st.lists(other_results, max_size=4))
    parts += (
        draw(st.lists(problems, max_size=4))
        + draw(st.lists(medicine, max_size=3))
        + draw(st.lists(allergies, max_size=1))
    )
    unavailable = frozenset(draw(st.sets(st.sampled_from(sorted(KEYS - {"patient", "b12"})), max_size=2)))
    return record(*parts, sex=draw(st.sampled_from(("male", "female", ""))), unavailable=unavailable)
