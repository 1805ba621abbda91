"""What is not mapped becomes lines that can be pasted as they stand, and that make the next examination clean."""

from __future__ import annotations

import csv
import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.content.content import load_content
from cds_service.content.files import HEADER, cards_folder
from cds_service.content.valuesets import snomed_check_digit
from cds_service.doctor.fhir_server import Privacy, is_formula
from cds_service.doctor.overlay import Lines, code_lines, in_files, quoted, unit_faults, unit_lines
from cds_service.doctor.survey import Code, CodeInUnit, LabTally, MedicineTally
from tests.doctor.examining import LOCAL, NOW, examined, paste, service
from tests.doctor.small_server import Record, coded, order, patient, result

ANALYTES = service().pathway.analytes
SNOMED = "http://snomed.info/sct"
TODAY = NOW.date()


def local_results() -> list[dict[str, Any]]:
    """A hospital that codes everything its own way, and writes its units in full."""
    tests = [
        ("VITB12", "Vitamin B12", "nanograms per litre", 150),
        ("HTC", "Active B12 (holotranscobalamin)", "pmol/L", 40),
        ("MMA-S", "Methylmalonic acid, serum", "umol/L", 0.3),
        ("HCY", "Homocysteine, total", "umol/L", 12),
        ("MCV", "MCV", "fL", 101),
        ("HGB", "Haemoglobin", "grams/litre", 118),
        ("NEUT", "Neutrophils", "10*9/L", 3.2),
        ("NEUTP", "Neutrophils %", "%", 60),
        ("PLT", "Platelets", "x10^9 / L", 200),
        ("FOL", "Serum folate", "microg/L", 6),
        ("RCF", "Red cell folate", "microg/L", 400),
        ("FER", 'Ferritin, "new assay"', "µg/L", 60),
        ("CREA", "Creatinine", "micromoles/litre", 80),
        ("EGFR", "eGFR (CKD-EPI)", "mL/min/1.73m2", 85),
        ("K", "Potassium", "mmol/L", 4.1),
        ("A1C", "Haemoglobin A1c", "mmol/mol", 40),
        ("UCREA", "Creatinine, urine", "mmol/L", 9),
    ]
    found = [patient("pat-0001"), patient("pat-0002")]
    for name in ("pat-0001", "pat-0002"):
        for code, display, unit, value in tests:
            found.append(result(f"{code}-{name}", name, coded(code, LOCAL, display), value, unit))
        found.append(order(f"m-{name}", name, coded("MF500", LOCAL, "Metformin 500 mg tablets")))
        found.append(order(f"v-{name}", name, coded("MULTI", LOCAL, "Multivitamin / cyanocobalamin / zinc / iron")))
        ordinal = {"valueQuantity": None, "valueString": "Positive"}
        antibody = coded("IFAB", LOCAL, "Intrinsic factor antibody")
        found.append(result(f"if-{name}", name, antibody, **ordinal))
    return found


def test_lines_that_are_pasted_make_the_next_examination_clean(tmp_path):
    record = Record(local_results())
    before = examined(record)
    assert not before["clean"]
    assert (before["works"], before["questions"]) == ("partly", [])
    assert any("B12 by their name are not mapped" in sentence for sentence in before["verdict"])
    assert {each["concept"] for each in before["unmapped"]} == set(CONCEPTS)
    assert set(before["overlay"]) == {f"value-sets/{name}.csv" for name in CONCEPTS} | {"analytes.toml"}

    paste(before["overlay"], tmp_path)
    load_content(cards_folder(), tmp_path)  # the content check agrees with every line

    after = examined(record, site=tmp_path)
    assert (after["works"], after["prefetch"]) == ("yes", "full")
    assert (after["clean"], after["overlay"], after["unmapped"], after["questions"]) == (True, {}, [], [])
    by_analyte = {each["id"]: each for each in after["analytes"]}
    assert all(by_analyte[name.removeprefix("lab-")]["results"] == 2 for name in CONCEPTS if name.startswith("lab-"))
    assert all(unit["accepted"] for each in after["analytes"] for unit in each["units"])
    assert [each["code"] for each in after["otherCodes"]] == ["A1C", "NEUTP", "UCREA"]


CONCEPTS = (
    "lab-b12", "lab-active-b12", "lab-mma", "lab-homocysteine", "lab-mcv", "lab-haemoglobin", "lab-neutrophils",
    "lab-platelets", "lab-folate", "lab-red-cell-folate", "lab-ferritin", "lab-creatinine", "lab-egfr",
    "lab-potassium", "lab-intrinsic-factor-antibody", "medicine-metformin", "medicine-cyanocobalamin",
)  # fmt: skip


def test_a_second_paste_into_the_same_file_needs_no_header(tmp_path):
    paste({"value-sets/lab-b12.csv": [",".join(HEADER), f"{LOCAL},OLD,Old B12,mass,site"]}, tmp_path)
    record = Record(local_results())
    told = examined(record, site=tmp_path)
    (line,) = told["overlay"]["value-sets/lab-b12.csv"]
    assert line == f"{LOCAL},VITB12,Vitamin B12,mass,seen by b12-cds doctor 2026-01-15"
    paste(told["overlay"], tmp_path)
    assert examined(record, site=tmp_path)["clean"]


def test_what_the_units_promise_stands_in_the_line():
    uses = {
        each["concept"]: next(csv.reader([each["line"]]))[3] for each in examined(Record(local_results()))["unmapped"]
    }
    assert uses["lab-active-b12"] == "molar"
    assert uses["lab-mcv"] == ""
    assert uses["lab-intrinsic-factor-antibody"] == "ordinal"
    assert (uses["medicine-metformin"], uses["medicine-cyanocobalamin"]) == ("", "multivitamin")


def test_a_name_whose_unit_speaks_for_another_test_is_a_question():
    found = [patient("pat-0001"), result("a", "pat-0001", coded("X1", LOCAL, "Vitamin B12"), 5, "widgets")]
    told = examined(Record(found))
    assert told["overlay"] == {}
    (question,) = told["questions"]
    assert "no unit that comes with it is one of that test" in question
    assert f"value-sets/lab-b12.csv: {LOCAL},X1,Vitamin B12" in question
    assert not told["clean"]


def test_an_unknown_unit_of_a_mapped_test_is_a_question_and_no_factor_is_guessed():
    found = [patient("pat-0001"), result("a", "pat-0001", coded("2132-9", "http://loinc.org"), 5, "arb/L")]
    told = examined(Record(found))
    assert told["overlay"] == {}
    (question,) = told["questions"]
    assert "The unit 'arb/L' of total B12 (1 results) is none that we know" in question


def test_what_no_line_can_mend_is_a_remark():
    loinc = coded("2132-9", "http://loinc.org")
    found = [
        patient("pat-0001"),
        result("a", "pat-0001", loinc, 150, ""),
        result("b", "pat-0001", loinc, valueQuantity={"value": 1, "unit": "ng/L", "code": "pmol/L"}),
        result("c", "pat-0001", {"text": "Serum B12"}),
    ]
    told = examined(Record(found))
    assert told["clean"]
    assert told["remarks"] == [
        "total B12: 1 results without a unit; each of them is in doubt.",
        "total B12: 1 results whose unit and its code contradict each other (ng/L beside pmol/L).",
        "total B12: 1 results without any code; no line can map them.",
    ]


@pytest.mark.parametrize(
    ("system", "code", "why"),
    [
        ("", "B12", "without a code system"),
        (LOCAL, "=cmd|' /C calc'!A0", "formula"),
        ("@local", "B12", "formula"),
        (LOCAL, "B\u202e12", "cannot be pasted"),
        (LOCAL, "B12\nC", "cannot be pasted"),
        (LOCAL, "B" * 200, "cannot be pasted"),
        (LOCAL, "a,b", "a value set cannot hold"),
        ("http://a system", "B12", "a value set cannot hold"),
        (SNOMED, "271216008", "a value set cannot hold"),
        ("http://lab/Patient/pat-0001", "B12", "names a patient"),
    ],
)
def test_a_code_that_cannot_be_written_is_a_question_and_never_a_line(system, code, why):
    coding = {"code": code, "display": "Vitamin B12"} | ({"system": system} if system else {})
    told = examined(Record([patient("pat-0001"), result("a", "pat-0001", {"coding": [coding]})]))
    assert told["overlay"] == {}
    (unmapped,) = told["unmapped"]
    assert why in unmapped["whyNot"]
    assert unmapped["line"] == ""
    assert len(told["questions"]) == 1


def test_a_known_system_is_written_as_value_sets_write_it():
    code = next(f"99999100{digit}" for digit in range(10) if snomed_check_digit(f"99999100{digit}"))
    oid = coded(code, "urn:oid:2.16.840.1.113883.6.96", "Serum vitamin B12 level")
    told = examined(Record([patient("pat-0001"), result("a", "pat-0001", oid)]))
    (unmapped,) = told["unmapped"]
    assert unmapped["line"].startswith(f"{SNOMED},{code},Serum vitamin B12 level,mass,")


def test_a_code_that_bears_the_names_of_two_tests_is_a_question():
    found = [
        patient("pat-0001"),
        result("a", "pat-0001", coded("7", LOCAL, "Ferritin"), 30, "ug/L"),
        result("b", "pat-0001", coded("7", LOCAL, "Serum folate"), 30, "ug/L"),
    ]
    told = examined(Record(found))
    assert told["overlay"] == {}
    assert {each["whyNot"] for each in told["unmapped"]} == {"its name is that of two different tests"}


HOSTILE = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)


@given(system=HOSTILE, code=HOSTILE, display=HOSTILE, unit=HOSTILE)
def test_every_line_is_one_line_of_five_cells_and_none_is_a_formula(system, code, display, unit):
    labs = LabTally(suspected={"b12": {CodeInUnit(Code(system, code, display), unit, "", "", "no-number"): 2}})
    found = code_lines(labs, MedicineTally(), ANALYTES, Lines(Privacy(), TODAY))
    for lines in in_files(found, frozenset()).values():
        header, line = lines
        assert header == ",".join(HEADER)
        assert line.isprintable()
        (cells,) = csv.reader([line])
        assert len(cells) == 5
        assert (cells[0], cells[1]) == (system, code) or cells[0].startswith("http")
        assert not any(is_formula(cell) for cell in cells)
        assert cells[2]


@given(HOSTILE)
def test_every_unit_line_is_toml_that_says_what_was_sent(text):
    assert tomllib.loads(f"x = {quoted(text)}".replace("\x7f", "\\u007f"))["x"] == text
    labs = LabTally(mapped={"b12": {CodeInUnit(Code(LOCAL, "1", ""), f"{text} ng/L", "", "", "unit-unknown"): 1}})
    lines = unit_lines(unit_faults(labs, ()), ANALYTES, Privacy())
    assert all(line.isprintable() for line in lines)
    tomllib.loads("\n".join(lines))


def test_the_document_holds_the_lines_as_text():
    told = examined(Record(local_results()))
    assert json.loads(json.dumps(told))["overlay"] == told["overlay"]
