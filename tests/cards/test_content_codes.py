"""Codes and words lead to concepts, whatever way a record writes them; and a value set that is wrong is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.content.codes import CTV3, ICD_10, ICD_10_CM, LOINC, NDC, OPCS, READ_V2, SNOMED, Codes, CodeUse
from cds_service.content.valuesets import CodeRow, loinc_check_digit, snomed_check_digit
from cds_service.content.words import Words
from tests.cards.small_content import SmallContent

B12 = "value-sets/lab-b12.csv"
HEADER = "system,code,display,use,source\n"

CODES = Codes(
    CodeRow(concept, system, code, "", use)
    for concept, system, code, use in (
        ("lab-b12", LOINC, "2132-9", "mass"),
        ("lab-b12", SNOMED, "271216009", "either"),
        ("lab-b12", READ_V2, "42T..", "either"),
        ("problem-bariatric", OPCS, "G28.5", ""),
        ("problem-dyspepsia", ICD_10, "K30", ""),
        ("problem-neuropathy", ICD_10_CM, "G62", "prefix"),
        ("problem-neuropathy-other-cause", ICD_10_CM, "G62.1", ""),
        ("problem-coeliac", ICD_10, "K90.0", ""),
        ("medicine-metformin", NDC, "0093-1048-01", ""),
        ("medicine-ppi", "http://www.whocc.no/atc", "A02BC", "prefix"),
        ("medicine-hydroxocobalamin", "http://www.whocc.no/atc", "V03AB33", "antidote"),
        ("problem-b12-deficiency", "http://hl7.org/fhir/sid/icd-9-cm", "266.2", ""),
    )
)
SPELLINGS = {
    "the canonical system": ("http://loinc.org", "2132-9", "lab-b12"),
    "https": ("https://loinc.org", "2132-9", "lab-b12"),
    "a trailing slash": ("http://loinc.org/", "2132-9", "lab-b12"),
    "www": ("http://www.loinc.org", "2132-9", "lab-b12"),
    "an OID": ("urn:oid:2.16.840.1.113883.6.1", "2132-9", "lab-b12"),
    "an OID without urn": ("2.16.840.1.113883.6.96", "271216009", "lab-b12"),
    "spaces": (" http://loinc.org ", " 2132-9 ", "lab-b12"),
    "an edition of SNOMED CT": ("http://snomed.info/sct/83821000000107/version/20240101", "271216009", "lab-b12"),
    "a version after a bar": ("http://loinc.org|2.78", "2132-9", "lab-b12"),
    "dm+d, which is SNOMED CT": ("https://dmd.nhs.uk", "271216009", "lab-b12"),
    "Read without its dots": ("http://read.info/readv2", "42T", "lab-b12"),
    "Read with a term code": ("http://read.info/ctv3", "42T..00", "lab-b12"),
    "Read v2 where CTV3 is said": (CTV3, "42T..", "lab-b12"),
    "a third spelling of CTV3": ("http://read.info/readctv3", "42T..", "lab-b12"),
    "OPCS-4 without its dot": ("https://fhir.hl7.org.uk/CodeSystem/OPCS-4", "G285", "problem-bariatric"),
    "OPCS-4 with its dot": (OPCS, "g28.5", "problem-bariatric"),
    "ICD-10 filled up with X": (ICD_10, "K30X", "problem-dyspepsia"),
    "ICD with its dot": ("http://hl7.org/fhir/sid/icd-10", "K90.0", "problem-coeliac"),
    "ICD without dot in a local system": (
        "http://mimic.mit.edu/fhir/mimic/CodeSystem/mimic-diagnosis-icd10", "K900", "problem-coeliac",
    ),
    "ICD-9 without dot in a local system": (
        "http://mimic.mit.edu/fhir/mimic/CodeSystem/mimic-diagnosis-icd9", "2662", "problem-b12-deficiency",
    ),
    "ICD in lower case": ("http://hl7.org/fhir/sid/icd-10", "k90.0", "problem-coeliac"),
    "the US edition where only WHO's has the code": ("http://hl7.org/fhir/sid/icd-10-cm", "K90.0", "problem-coeliac"),
    "a subcode of a prefix": ("http://hl7.org/fhir/sid/icd-10-cm", "G62.9", "problem-neuropathy"),
    "a code that is more specific than the prefix": (ICD_10_CM, "G62.1", "problem-neuropathy-other-cause"),
    "a subcode in the other edition": (ICD_10, "G629", "problem-neuropathy"),
    "an ATC prefix": ("http://www.whocc.no/atc", "A02BC05", "medicine-ppi"),
    "an NDC of eleven digits": ("http://hl7.org/fhir/sid/ndc", "00093104801", "medicine-metformin"),
    "an NDC in a local system": ("http://mimic.mit.edu/x/mimic-medication-ndc", "00093104801", "medicine-metformin"),
    "an NDC in three parts": ("urn:oid:2.16.840.1.113883.6.69", "0093-1048-01", "medicine-metformin"),
}  # fmt: skip


@pytest.mark.parametrize(("system", "code", "concept"), SPELLINGS.values(), ids=SPELLINGS)
def test_a_code_is_found_however_its_system_is_spelled(system: str, code: str, concept: str):
    assert [use.concept for use in CODES.find(system, code)] == [concept]


@pytest.mark.parametrize(
    ("system", "code"),
    [
        ("http://hospital.example/lab", "2132-9"),
        ("http://snomed.info/sct", "2132-9"),
        ("http://hospital.example/lab", "K900"),
        ("http://matchmaker.example/codes", "A02BC05"),
        ("", "2132-9"),
        (None, "2132-9"),
        ("http://loinc.org", None),
        ("http://loinc.org", ""),
        ("http://hl7.org/fhir/sid/icd-10-cm", "G6"),
        ("urn:oid:1.2.3", "2132-9"),
    ],
)
def test_a_code_of_another_or_unknown_system_is_not_ours(system: str | None, code: str | None):
    assert CODES.find(system, code) == ()


def test_what_a_code_promises_comes_with_it():
    assert CODES.find(LOINC, "2132-9") == (CodeUse("lab-b12", "mass"),)
    assert CODES.find("http://www.whocc.no/atc", "V03AB33") == (CodeUse("medicine-hydroxocobalamin", "antidote"),)


@given(st.text(max_size=300), st.text(max_size=50))
def test_no_system_and_no_code_breaks_the_search(system: str, code: str):
    assert isinstance(CODES.find(system, code), tuple)


@pytest.mark.parametrize("code", ["2132-9", "14685-2", "72160-5", "13964-2", "787-2", "718-7", "98979-8"])
def test_the_check_digit_of_loinc_is_known(code: str):
    assert loinc_check_digit(code)
    assert not loinc_check_digit(code[:-1] + str((int(code[-1]) + 1) % 10))


@pytest.mark.parametrize("code", ["271216009", "84229001", "1022491000000106", "446081009", "100841000119109"])
def test_the_check_digit_of_snomed_ct_is_known(code: str):
    assert snomed_check_digit(code)
    assert not snomed_check_digit(code[:-1] + str((int(code[-1]) + 1) % 10))


@pytest.mark.parametrize("code", ["169466005", "446081005", "300914008"])
def test_identifiers_known_to_be_false_fail(code: str):
    assert not snomed_check_digit(code)


BAD_LINES = {
    "a false LOINC digit": ("http://loinc.org,2132-8,B12,mass,seen", "the LOINC code '2132-8' fails its check digit"),
    "no LOINC at all": ("http://loinc.org,B12,B12,mass,seen", "'B12' is no LOINC code"),
    "a false SNOMED digit": ("http://snomed.info/sct,271216008,B12,,seen", "'271216008' fails its check digit"),
    "a SNOMED id of a spreadsheet": ("http://snomed.info/sct,1.09E+15,B12,,seen", "'1.09E+15' is no SNOMED CT"),
    "an unknown system": ("http://loinc.com,2132-9,B12,,seen", "Did you mean 'http://loinc.org'?"),
    "an unknown use": ("http://loinc.org,72160-5,B12,molal,seen", "use is 'molal'; allowed: '', 'mass', 'molar'"),
    "a code twice": ("http://loinc.org,2132-9,B12 again,mass,seen", "the code '2132-9' stands in the file twice"),
    "no source": ("http://loinc.org,72160-5,B12,molar,", "code, display and source must be given"),
    "too few columns": ("http://loinc.org,72160-5,B12", "3 columns, not 5"),
}


@pytest.mark.parametrize(("line", "said"), BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_line_is_refused_by_its_number(small: SmallContent, line: str, said: str):
    text = (small.folder / B12).read_text(encoding="utf-8")
    small.write(B12, text + line + "\n")
    assert small.fault().startswith("value-sets/lab-b12.csv line 6: ")
    assert said in small.fault()


def test_a_bad_header_is_refused(small: SmallContent):
    small.change(B12, "system,code,display,use,source", "system,code,display")
    assert any("the header is 'system,code,display', not" in fault for fault in small.faults())


def test_icd_is_written_with_its_dot_and_loinc_has_no_prefixes(small: SmallContent):
    small.change("value-sets/problem-fatigue.csv", "R53,", "R539,")
    small.change("value-sets/problem-fatigue.csv", "84229001,Fatigue,,", "84229001,Fatigue,prefix,")
    assert [fault.partition(": ")[2] for fault in small.faults()] == [
        "use 'prefix' is for ICD and ATC, whose codes are built like that",
        "the ICD code 'R539' must be written with its dot",
    ]


def test_a_value_set_names_a_concept_that_exists(small: SmallContent):
    small.write("value-sets/problem-fatigeu.csv", HEADER)
    small.write("value-sets/lob-b12.csv", HEADER)
    assert [fault.partition(" Known")[0] for fault in small.faults()] == [
        "value-sets/lob-b12.csv: no kind of value set 'lob'.",
        "value-sets/problem-fatigeu.csv: no problem concept 'fatigeu'. Did you mean 'fatigue'?",
    ]


def test_a_laboratory_code_measures_one_thing(small: SmallContent):
    small.write("value-sets/other-b12.csv", HEADER + "http://loinc.org,2132-9,B12,,seen\n")
    assert small.fault() == "value-sets/other-b12.csv line 2: the code '2132-9' already stands for 'lab-b12'"


WORDS = Words(
    {
        "problem": {
            "paraesthesia": ["paraesthesia", "pins and needles"],
            "neuropathy": ["neuropathy", "peripheral neuropathy"],
            "optic-neuropathy": ["optic neuropathy"],
            "neuropathy-other-cause": ["diabetic neuropathy"],
            "pernicious-anaemia": ["pernicious anaemia"],
            "family-history": ["family history of pernicious anaemia"],
            "sjogren": ["sjogren", "crohn's disease"],
        },
        "medicine": {
            "omeprazole": ["omeprazole"],
            "esomeprazole": ["esomeprazole"],
            "lamotrigine": ["lamotrigine"],
            "phenobarbital": ["phenobarbital"],
            "famotidine": ["famotidine"],
            "cyanocobalamin": ["cyanocobalamin", "vitamin b12"],
            "metformin": ["metformin", "glucophage"],
        },
        "analyte": {"b12": ["vitamin b12", "b12"]},
    },
    negations=["no", "denies", "family history of", "at risk of"],
    past=["history of"],
    lifelong=frozenset(("pernicious-anaemia",)),
)
PROBLEMS = {
    "Paraesthesia of both feet": ("paraesthesia",),
    "PINS AND NEEDLES": ("paraesthesia",),
    "Bilateral pins & needles": ("paraesthesia",),
    "pins, needles": (),
    "No paraesthesia": (),
    "Denies pins and needles or peripheral neuropathy": (),
    "no fever; paraesthesia since May": ("paraesthesia",),
    "no weakness but paraesthesia": ("paraesthesia",),
    "Paraesthesia, no weakness": ("paraesthesia",),
    "Optic neuropathy": ("optic-neuropathy",),
    "Diabetic neuropathy": ("neuropathy-other-cause",),
    "polyneuropathy": (),
    "History of paraesthesia": (),
    "History of pernicious anaemia": ("pernicious-anaemia",),
    "Family history of pernicious anaemia": ("family-history",),
    "at risk of pernicious anaemia": (),
    "Sj\u00f6gren syndrome": ("sjogren",),
    "Crohn\u2019s disease": ("sjogren",),
    "Paraesthesia and peripheral neuropathy": ("paraesthesia", "neuropathy"),
    "": (),
}
MEDICINES = {
    "Omeprazole 20 MG": ("omeprazole",),
    "esomeprazole 20 mg": ("esomeprazole",),
    "24 HR metformin hydrochloride 500 MG Oral Tablet [Glucophage]": ("metformin",),
    "lamotrigine kit [Subvenite Green (for Patients Taking Phenobarbital)]": ("lamotrigine",),
    "famotidine 26.6 MG / ibuprofen 800 MG Oral Tablet": ("famotidine",),
    "Vitamin B 12 injection": ("cyanocobalamin",),
    "VITAMIN B-12 1000 mcg": ("cyanocobalamin",),
    "vitamin / b12": (),
    "Glucophage 500mg": ("metformin",),
    "metformin500": ("metformin",),
}


@pytest.mark.parametrize(("text", "concepts"), PROBLEMS.items())
def test_problems_are_found_by_whole_words_that_nobody_denies(text: str, concepts: tuple[str, ...]):
    assert WORDS.find(text, "problem") == concepts


@pytest.mark.parametrize(("text", "ingredients"), MEDICINES.items())
def test_medicines_are_found_by_the_words_of_their_ingredients(text: str, ingredients: tuple[str, ...]):
    assert WORDS.find(text, "medicine") == ingredients


def test_an_analyte_is_found_by_words():
    assert WORDS.find("Serum vitamin B12", "analyte") == ("b12",)


@given(st.text(max_size=1500))
def test_no_text_breaks_the_search(text: str):
    assert isinstance(WORDS.find(text, "problem"), tuple)


def test_what_is_remembered_of_texts_is_bounded():
    words = Words({"problem": {"fatigue": ["fatigue"]}})
    for number in range(5000):
        words.find(f"fatigue {number}", "problem")
    words.find("fatigue " + "x" * 500, "problem")
    assert words.remembered() <= 2048
