"""Which laboratory results count: of which test, status and specimen, alone and in a panel."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from cds_service.fhir.reasons import WORDS_ONLY
from tests.book import content
from tests.fhir.records import B12, LOINC, SNOMED, concept, lab_of, observation, quantity, read, reasons


@pytest.mark.parametrize("status", ["final", "amended", "corrected", "Final", "FINAL "])
def test_final_amended_and_corrected_results_count(status: str) -> None:
    assert not lab_of(observation(status=status)).preliminary


def test_a_preliminary_result_is_kept_and_called_so() -> None:
    assert lab_of(observation(status="preliminary")).preliminary


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled", "registered", "unknown", "surprise", None])
def test_a_result_of_any_other_status_is_as_if_never_reported_and_listed(status: str | None) -> None:
    given = observation(status=status) if status else observation() | {"status": None}
    record = read(given)
    assert not record.labs
    assert [each.reference for each in record.ignored] == ["Observation/o1"]
    assert "surprise" not in record.ignored[0].reason


@pytest.mark.parametrize("code", ["2171-7", "54378-5", "3030-4", "14733-0", "26916-7"])
def test_a_test_that_looks_like_b12_is_listed_as_another_test(code: str) -> None:
    record = read(observation(code))
    assert not record.labs
    assert "another test" in record.ignored[0].reason


def test_codes_of_two_different_tests_are_no_result() -> None:
    both = {"coding": [{"system": LOINC, "code": "2132-9"}, {"system": LOINC, "code": "787-2"}]}
    assert reasons(observation(both)) == {"Observation/o1": "its codes name two different tests"}


def test_one_coding_of_several_is_enough() -> None:
    code = {"coding": [{"system": "urn:local", "code": "51010"}, {"code": "x"}, {"system": LOINC, "code": B12}]}
    assert lab_of(observation(code)).code == f"{LOINC}|{B12}"


def test_a_coding_that_is_a_lone_object_and_a_code_list_are_read() -> None:
    assert lab_of(observation({"coding": {"system": LOINC, "code": B12}})).analyte == "b12"
    assert lab_of(observation(B12) | {"code": [concept(B12)]}).analyte == "b12"


def test_the_system_of_a_code_matters() -> None:
    assert not read(observation(concept(B12, "urn:local"))).labs
    assert lab_of(observation(concept(B12, "urn:oid:2.16.840.1.113883.6.1"))).analyte == "b12"


def test_uk_records_name_the_test_in_snomed_ct() -> None:
    assert lab_of(observation(concept("271216009", SNOMED))).analyte == "b12"


@pytest.mark.parametrize(
    "code",
    [
        concept(text="Vitamin B12"),
        concept("51010", "urn:local", text="Vitamine B12"),
        concept("51010", "urn:local", display="Serum vitamin B12 level"),
        concept("11-1", LOINC, text="Cobalamin"),
    ],
)
def test_a_b12_recognised_by_its_name_is_kept_in_doubt(code: dict) -> None:
    lab = lab_of(observation(code))
    assert (lab.analyte, lab.doubt, lab.value, lab.code) == ("b12", "words-only", 150, "")


@pytest.mark.parametrize("text", ["Active B12", "Serum holotranscobalamin", "Holo-TC"])
@pytest.mark.parametrize("coded", [{}, {"coding": [{"system": "urn:local", "code": "HTC"}]}])
def test_an_active_b12_recognised_by_its_name_is_kept_in_doubt_too(text: str, coded: dict) -> None:
    lab = lab_of(observation({"text": text} | coded) | {"valueQuantity": {"value": 15, "unit": "pmol/L"}})
    assert (lab.analyte, lab.doubt, lab.value, lab.code) == ("active-b12", "words-only", 15, "")


@pytest.mark.parametrize("text", ["Active B12 in urine", "Folate and vitamin B12", "MCV", "Methylmalonic acid"])
@pytest.mark.parametrize("coded", [{}, {"coding": [{"system": SNOMED, "code": "999000000"}]}])
def test_any_other_test_recognised_by_its_name_is_listed_and_not_used(text: str, coded: dict) -> None:
    record = read(observation({"text": text} | coded))
    assert not record.labs
    assert "words" in record.ignored[0].reason


def test_another_test_of_loinc_is_not_listed_for_its_name() -> None:
    assert not read(observation(concept("785-6", LOINC, text="MCH, not MCV"))).ignored


def test_what_is_none_of_our_business_is_skipped_without_a_word() -> None:
    record = read(observation("8302-2", quantity(176, "cm")), observation(concept(text="Urine dip"), name="o2"))
    assert not record.labs
    assert not record.ignored


@pytest.mark.parametrize(
    "specimen",
    [
        {"display": "Urine 24 h"},
        {"reference": "#s"},
        {"reference": "Specimen/s1"},
        [{"reference": "Specimen/s1"}],
        {"reference": "https://lab.example.org/fhir/Specimen/s1"},
    ],
)
def test_a_specimen_that_is_not_serum_is_ignored_with_a_note(specimen: Any) -> None:
    urine = {"resourceType": "Specimen", "id": "s1", "type": concept("122575003", SNOMED)}
    given = observation(specimen=specimen, contained=[urine | {"id": "s"}])
    record = read(given, urine)
    assert not record.labs
    assert record.ignored[0].reason == "specimen: urine"


@pytest.mark.parametrize("text", ["CSF", "Dried blood spot", "Umbilical cord blood", "Urine"])
def test_a_specimen_that_is_named_in_words_is_recognised(text: str) -> None:
    specimen = {"resourceType": "Specimen", "id": "s1", "type": {"text": text}}
    assert not read(observation(specimen={"reference": "Specimen/s1"}), specimen).labs


@pytest.mark.parametrize("text", ["Serum", "EDTA plasma", "Venous blood", "Serum (oker met gel)"])
def test_serum_plasma_and_blood_are_what_we_want(text: str) -> None:
    specimen = {"resourceType": "Specimen", "id": "s1", "type": {"text": text}}
    assert lab_of(observation(specimen={"reference": "Specimen/s1"}), specimen).doubt == ""
    assert lab_of(observation(specimen={"reference": "Specimen/nowhere"})).doubt == ""


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"valueCodeableConcept": concept("260385009", SNOMED)}, "negative"),
        ({"valueCodeableConcept": concept("LA6576-8", LOINC)}, "positive"),
        ({"valueCodeableConcept": {"text": "Detected"}}, "positive"),
        ({"valueString": "Not detected"}, "negative"),
        ({"valueString": "POSITIVE (1:40)"}, "positive"),
        ({"valueBoolean": True}, "positive"),
        ({"valueString": "see comment", "interpretation": [concept("POS", "x")]}, "positive"),
        ({"valueQuantity": quantity(12, "AU/mL"), "referenceRange": [{"high": quantity(1.5, "AU/mL")}]}, "positive"),
        ({"valueQuantity": quantity(1.5, "AU/mL"), "referenceRange": [{"high": quantity(1.5, "AU/mL")}]}, "negative"),
        (
            {"valueQuantity": quantity(1, "AU/mL", comparator="<"), "referenceRange": [{"high": {"value": 1.5}}]},
            "negative",
        ),
        (
            {"valueQuantity": quantity(3, "AU/mL", comparator=">"), "referenceRange": [{"high": {"value": 1.5}}]},
            "positive",
        ),
    ],
)
def test_an_antibody_is_positive_or_negative(fields: dict, outcome: str) -> None:
    lab = lab_of(observation("31443-5", None, **fields))
    assert (lab.analyte, lab.outcome, lab.doubt) == ("intrinsic-factor-antibody", outcome, "")


@pytest.mark.parametrize(
    "fields",
    [
        {"valueString": "equivocal"},
        {"valueString": "see comment"},
        {"valueQuantity": quantity(12, "AU/mL")},
        {"valueQuantity": quantity(1, "AU/mL", comparator=">"), "referenceRange": [{"high": {"value": 1.5}}]},
        {},
    ],
)
def test_an_antibody_that_says_neither_is_listed_and_not_used(fields: dict) -> None:
    record = read(observation("31443-5", None, **fields))
    assert not record.labs
    assert "positive" in record.ignored[0].reason


def test_results_inside_components_are_read_with_the_date_of_the_panel() -> None:
    panel = observation(
        "58410-2",
        None,
        component=[
            {"code": concept("718-7"), "valueQuantity": quantity(11.2, "g/dL")},
            {"code": concept("787-2"), "valueQuantity": quantity(104, "U3")},
            {"code": concept("8302-2"), "valueQuantity": quantity(1, "cm")},
        ],
    )
    labs = {lab.analyte: lab for lab in read(panel).labs}
    assert {name: (lab.number, lab.unit, lab.date) for name, lab in labs.items()} == {
        "haemoglobin": ("11.2", "g/dL", date(2026, 1, 10)),
        "mcv": ("104", labs["mcv"].unit, date(2026, 1, 10)),
    }
    assert {lab.reference for lab in labs.values()} == {"Observation/o1"}


def test_a_component_that_is_a_lone_object_is_read() -> None:
    part = {"code": concept(B12), "valueQuantity": quantity(150)}
    assert lab_of(observation("58410-2", None, component=part)).value == 150


def test_the_code_of_a_panel_that_has_no_value_itself_is_no_doubtful_result() -> None:
    part = {"code": concept(B12), "valueQuantity": quantity(150)}
    assert [lab.doubt for lab in read(observation(B12, None, component=[part])).labs] == [""]


def test_members_that_a_panel_contains_are_read_with_what_the_panel_says() -> None:
    member = {"resourceType": "Observation", "id": "m", "code": concept(B12), "valueQuantity": quantity(150)}
    lab = lab_of(observation("58410-2", None, contained=[member], hasMember=[{"reference": "#m"}]))
    assert (lab.reference, lab.value, lab.date) == ("Observation/o1", 150, date(2026, 1, 10))


def test_members_share_the_specimen_of_the_panel() -> None:
    member = {"resourceType": "Observation", "id": "m", "code": concept(B12), "valueQuantity": quantity(150)}
    urine = {"resourceType": "Specimen", "id": "s", "type": {"text": "Urine"}}
    panel = observation("58410-2", None, contained=[member, urine], specimen={"reference": "#s"})
    assert reasons(panel) == {"Observation/o1": "specimen: urine"}


def test_members_in_the_bundle_are_read_once_each() -> None:
    panel = observation("58410-2", None, name="panel", hasMember=[{"reference": "Observation/o1"}])
    assert len(read(panel, observation(), observation()).labs) == 1


def with_component(value: dict) -> dict:
    """A result that gives its test again, in a component."""
    given = observation()
    return {**given, "component": [{"code": given["code"], "valueQuantity": value}]}


def test_a_value_and_a_component_that_say_the_same_are_one_result() -> None:
    given = observation()
    assert len(read(with_component(given["valueQuantity"])).labs) == 1


def test_a_value_and_a_component_that_disagree_are_in_doubt() -> None:
    given = with_component({"value": 999, "unit": "ng/L"})
    assert {lab.doubt for lab in read(given).labs} == {"two-values"}


ANALYTES = sorted(content().pathways["uk-ng239"].analytes)
IN_WORDS = {  # as records write them beside the names of the tests
    "haemoglobin": ("Hgb", "Hb", "Hemoglobin"), "creatinine": ("Creatinine level", "S-Kreatinin"),
    "potassium": ("Serum potassium",), "egfr": ("GFR, glomerular filtration rate",), "platelets": ("Plt",),
    "red-cell-folate": ("RBC folate",), "neutrophils": ("Neutrophil count",), "reticulocytes": ("Retics",),
}  # fmt: skip
NAMED = [(each, "") for each in ANALYTES] + [(each, text) for each, texts in IN_WORDS.items() for text in texts]


@pytest.mark.parametrize(("analyte", "text"), NAMED)
@pytest.mark.parametrize("value", [{"valueString": "5.1"}, {"valueCodeableConcept": {"text": "5.1 g/L"}}, {}])
def test_a_result_with_a_known_name_and_no_code_is_reported_as_not_used(analyte: str, text: str, value: dict) -> None:
    text = text or content().pathways["uk-ng239"].analytes[analyte].display
    given = observation({"text": text}) | (value and {"valueQuantity": None, **value})
    record = read(given)
    if analyte in ("b12", "active-b12"):  # counts, in doubt
        assert record.labs[0].doubt
    else:
        assert not record.labs
        assert [(each.reference, each.reason) for each in record.ignored] == [("Observation/o1", WORDS_ONLY)]


@pytest.mark.parametrize(
    "text", ["Hgb Ur Ql Strip", "HbA1c", "Haemoglobin A1c", "Potassium hydroxide prep", "Urine creatinine", "MCHC"]
)
def test_what_only_has_the_name_of_a_test_in_its_own_is_none(text: str) -> None:
    assert not reasons(observation({"text": text}))
