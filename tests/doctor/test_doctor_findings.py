"""What the doctor finds out about servers that are well, that lack something, or that do not do what they are asked."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest

from cds_service.doctor.fhir_server import Limits, NoServer
from tests.doctor.examining import CALL_SECONDS, LOCAL, LOINC, examined, told_about
from tests.doctor.small_server import Record, coded, order, patient, result, small_server
from tests.fhir.loopback import body, status

PATIENTS = [f"pat-{number:04d}-x" for number in range(4)]
CONDITION = {"code": coded("91019004", "http://snomed.info/sct")}


def mapped() -> list[dict[str, Any]]:
    """Four patients with results that the content maps, on several days, and an order that it knows."""
    names = (f"r{number}" for number in count())
    found = [patient(name) for name in PATIENTS]
    for name in PATIENTS:
        for day in ("2025-12-01", "2026-01-10"):
            b12 = coded("2132-9", LOINC, "Vitamin B12")
            found.append(result(next(names), name, b12, 150, effectiveDateTime=day))
        found.append(result(next(names), name, coded("718-7", LOINC), 130, "g/L"))
        found.append(order(next(names), name, coded("860975", "http://www.nlm.nih.gov/research/umls/rxnorm")))
        problem = {"resourceType": "Condition", "id": next(names), "subject": {"reference": f"Patient/{name}"}}
        found.append({**problem, **CONDITION, "category": [{"coding": [{"code": "problem-list-item"}]}]})
    return found


def effect(told: dict[str, Any], kind: str, parameter: str) -> str:
    return next(each["effect"] for each in told["parameters"] if (each["type"], each["parameter"]) == (kind, parameter))


def test_a_server_that_does_everything_gets_the_full_set_and_is_clean():
    told = examined(Record(mapped()))
    assert (told["works"], told["prefetch"], told["clean"]) == ("yes", "full", True)
    assert told["server"] == {"software": "Small 1", "fhirVersion": "4.0.1"}
    assert told["patients"] == 4
    assert {each["key"] for each in told["templates"] if each["answered"]} == set(told["sets"]["full"]["keys"])
    assert told["overlay"] == {}
    assert told["questions"] == []
    assert {effect(told, "Observation", name) for name in ("patient", "code", "_sort", "_count")} == {"used"}


def test_codes_and_units_are_counted_for_each_analyte_and_each_medicine():
    told = examined(Record(mapped()))
    b12 = next(each for each in told["analytes"] if each["id"] == "b12")
    assert b12["results"] == 8
    assert b12["codes"] == [{"system": LOINC, "code": "2132-9", "display": "Vitamin B12", "count": 8}]
    assert b12["units"] == [{"unit": "ng/L", "count": 8, "accepted": True, "doubt": ""}]
    (metformin,) = told["medicines"]
    assert (metformin["id"], metformin["byCode"], metformin["byWords"]) == ("metformin", 4, 0)


def test_a_call_without_prefetch_is_timed_with_both_sets():
    told = examined(Record(mapped()))
    assert [(each["prefetch"], each["calls"], each["whole"]) for each in told["calls"]] == [
        ("full", 4, 4),
        ("minimal", 4, 4),
    ]
    assert all(
        0 < each["medianMs"] <= each["slowestMs"] < each["allowedMs"] == CALL_SECONDS * 1000 for each in told["calls"]
    )


def test_a_call_that_is_too_slow_says_what_was_not_had():
    told = examined(Record(mapped(), delay=0.3, delayed=("AllergyIntolerance",)), call_seconds=0.4)
    full, minimal = told["calls"]
    assert (full["whole"], full["notHad"]["allergies"]) == (0, 4)  # on a busy machine others come too late as well
    assert "allergies" not in minimal["notHad"]
    assert told["works"] == "yes"  # with time enough it is answered


def test_a_type_that_the_server_lacks_is_named_and_the_minimal_set_is_advised():
    told = examined(Record(mapped(), lacks=("MedicationStatement", "FamilyMemberHistory")))
    assert told["unsupportedTypes"] == ["MedicationStatement", "FamilyMemberHistory"]
    assert (told["works"], told["prefetch"]) == ("yes", "minimal")
    assert "not supported: medications (medication statements), family (family history)" in told["verdict"][1]


def test_without_observations_the_service_would_not_work():
    told = examined(Record(mapped(), lacks=("Observation",)))
    assert (told["works"], told["prefetch"]) == ("no", "")


@pytest.mark.parametrize("version", ["3.0.2", "5.0.0"])
def test_another_fhir_than_r4_would_not_work(version):
    told = examined(Record(mapped(), capability={"fhirVersion": version}))
    assert told["works"] == "no"
    assert version in told["verdict"][0]


@pytest.mark.parametrize("says_self", [True, False])
def test_a_parameter_that_is_ignored_is_found_out_by_what_comes(says_self):
    told = examined(Record(mapped(), ignores=("patient",), says_self=says_self))
    assert effect(told, "Observation", "patient") == "ignored"
    assert told["works"] == "partly"
    assert any("other patients' data" in sentence for sentence in told["verdict"])
    told = examined(Record(mapped(), ignores=("code", "_sort", "_count"), says_self=says_self))
    assert {effect(told, "Observation", name) for name in ("code", "_count", "_sort")} == {"ignored"}


def test_what_link_self_leaves_out_makes_the_key_incomplete():
    told = examined(Record(mapped(), ignores=("code",)))
    b12 = next(each for each in told["templates"] if each["key"] == "b12")
    assert b12["states"] == {"incomplete": 4}
    assert b12["reason"] == "the server did not use the whole query"


def test_a_category_that_is_given_only_when_named_is_found_out():
    told = examined(Record(mapped(), hidden=("problem-list-item",)))
    row = next(each for each in told["categories"] if each["category"] == "problem-list-item")
    assert row["found"] == 2
    assert "2 of them are missing without the category" in row["note"]
    assert told["works"] == "partly"
    assert any("Condition of category problem-list-item" in sentence for sentence in told["verdict"])


def test_a_category_to_which_no_access_is_granted_is_named():
    told = examined(Record(mapped(), denied=("encounter-diagnosis",)))
    row = next(each for each in told["categories"] if each["category"] == "encounter-diagnosis")
    assert "HTTP 403" in row["note"]
    assert any("encounter-diagnosis: access is not granted" in sentence for sentence in told["verdict"])


def test_a_server_that_searches_for_one_patient_only_needs_to_be_told_whom():
    record = Record(mapped(), needs_patient=True)
    told = examined(record)
    assert (told["works"], told["patients"], told["calls"][0]["calls"]) == ("unknown", 0, 0)
    assert any("--patients" in sentence for sentence in told["verdict"])
    assert "no patient was found to try it with: the FHIR server" in told["verdict"][0]
    told = examined(record, patients=PATIENTS[:2])
    assert (told["works"], told["patients"]) == ("yes", 2)
    over = {each["what"]: (each["over"], each["found"]) for each in told["asked"]}
    assert over["laboratory results"] == ("the patients tried", 6)


def test_an_empty_server_can_be_tried_over_all_patients_only():
    told = examined(Record([]))
    assert told["works"] == "unknown"
    assert all(each["withoutPatient"] for each in told["templates"] if each["key"] != "patient")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (status(500), "(HTTP 500)"),
        (status(307, Location="/login"), "(HTTP 307)"),
        (body(b"<html>Jane Doe</html>"), "not FHIR in JSON"),
    ],
)
def test_why_no_patient_was_found_is_said(answer, said):
    """A server that answers searches with a login page is not one that nobody is in."""
    with small_server(Record(mapped())) as server:
        alive = server.answers.answer
        server.answers.answer = lambda handler: (alive if handler.path.endswith("metadata") else answer)(handler)
        told = told_about(server)
    assert told["works"] == "unknown"
    assert said in told["verdict"][0] and "no patient was found to try it with: " in told["verdict"][0]
    assert "Jane" not in json.dumps(told)


def test_a_survey_is_bounded_and_says_so():
    record = Record(mapped(), page=2)
    told = examined(record, limits=Limits(answer_seconds=5, reading_seconds=5, pages=2, patients=1))
    row = next(each for each in told["asked"] if each["what"] == "laboratory results")
    assert (row["found"], row["cut"]) == (4, "only the first 2 pages were read")


def test_a_further_page_is_never_read_from_another_address():
    with small_server(Record([])) as other:
        told = examined(Record(mapped(), page=2, next_base=other.base))
        assert other.requests == []
    row = next(each for each in told["asked"] if each["what"] == "laboratory results")
    assert row["found"] == 2
    assert row["cut"] == "a further page was not read: an address of another origin than the FHIR base"


def test_a_medicine_that_is_only_referred_to_is_looked_up():
    medication = {"resourceType": "Medication", "id": "med-1", "code": coded("MF", LOCAL, "Metformin 500 mg")}
    orders = [order(f"ref-{name}", name, "Medication/med-1") for name in PATIENTS]
    told = examined(Record([*mapped(), *orders, medication]))
    (metformin,) = told["medicines"]
    assert (metformin["byCode"], metformin["byWords"]) == (4, 4)
    (unmapped,) = told["unmapped"]
    assert (unmapped["concept"], unmapped["code"], unmapped["count"]) == ("medicine-metformin", "MF", 4)


def test_no_id_of_a_patient_is_told():
    resources = mapped()
    for name in PATIENTS:
        text = f"Vitamin B12 for {name}"
        resources.append(result(f"odd-{name}", name, coded("9", f"http://lab/Patient/{name}", text), 150, name))
        resources.append(result(f"odd2-{name}", name, coded("8", LOCAL, f"Zinc {name}"), 150, name))
    told = json.dumps(examined(Record(resources)))
    assert [name for name in PATIENTS if name in told] == []
    assert "(withheld)" in told


def test_the_token_is_sent_and_not_told():
    record = Record(mapped(), token="secret-token-1")
    told = examined(record, token="secret-token-1")
    assert told["works"] == "yes"
    assert "secret-token-1" not in json.dumps(told)


@pytest.mark.parametrize(("token", "said"), [("", "asks for a token"), ("wrong", "does not accept the token")])
def test_a_server_that_gives_nothing_without_the_right_token_is_not_examined(token, said):
    with pytest.raises(NoServer, match=said):
        examined(Record(mapped(), token="right"), token=token)


def test_a_capability_statement_that_is_odd_does_not_end_the_examination():
    told = examined(Record(mapped(), capability={"rest": [{"resource": "Patient"}]}))
    assert told["works"] == "yes"
    assert any("CapabilityStatement cannot be read in full" in remark for remark in told["remarks"])


def test_a_server_that_breaks_in_the_middle_is_told_of_and_not_believed():
    with small_server(Record(mapped())) as server:
        alive, asked = server.answers.answer, count()
        server.answers.answer = lambda handler: (alive if next(asked) < 5 else status(500))(handler)
        told = told_about(server)
    assert told["works"] == "no"


def b12_of(count: int, **fields: Any) -> list[dict[str, Any]]:
    """B12 results of two patients under a code that is mapped."""
    found = [patient(name) for name in ("pat-0001", "pat-0002")]
    mapped = coded("2132-9", LOINC, "Cobalamin (Vitamin B12) [Mass/volume] in Serum or Plasma")
    return found + [result(f"b-{number}", f"pat-000{number % 2 + 1}", mapped, **fields) for number in range(count)]


def dropped(told: dict[str, Any]) -> dict[tuple[str, str], int]:
    return {(each["what"], each["reason"]): each["count"] for each in told["dropped"]}


def test_statuses_that_calls_ignore_are_counted_and_said():
    told = examined(Record(b12_of(4, status="unknown")))
    assert dropped(told)["Observation", "its status is missing or unknown"] == 4
    assert told["works"] == "no"
    assert told["verdict"][0] == (
        "Nothing here can be read: of 4 results of our tests and 0 entries about medicines a call would use none."
    )


def test_results_that_are_words_instead_of_numbers_are_counted_and_said():
    words = b12_of(3, valueQuantity=None, valueString="see comment")
    local = coded("HGB", "urn:example:laboratory", "Haemoglobin")
    words.append(result("h-1", "pat-0001", local, valueQuantity=None, valueString="pale"))
    told = examined(Record(words))
    assert dropped(told)["total B12", "the result holds no number that can be read"] == 3
    assert "haemoglobin: 1 results are words instead of a number; no call can judge them." in told["remarks"]
    assert not any(each["concept"] == "lab-haemoglobin" for each in told["unmapped"])
    assert told["verdict"][0].startswith("Nothing here can be read")


def test_medicine_codes_that_say_nothing_are_listed():
    unread = {"coding": [{"system": "urn:example:drugs", "code": "X77", "display": "Tablets, see chart"}]}
    told = examined(Record([*b12_of(2), order("o-1", "pat-0001", unread)]))
    assert told["otherMedicineCodes"] == [
        {"system": "urn:example:drugs", "code": "X77", "display": "Tablets, see chart", "count": 1}
    ]
    assert told["works"] == "yes"


def test_a_server_that_gives_other_peoples_results_only_is_not_said_to_work():
    foreign = [
        {**each, "subject": {"reference": "Patient/pat-0009"}} if each["resourceType"] == "Observation" else each
        for each in b12_of(3)
    ]
    told = examined(Record(foreign, ignores=("patient",)), patients=("pat-0001",))
    assert told["works"] != "yes"
    assert dropped(told).get(("Observation", "about another patient"), 0) or any("other" in s for s in told["verdict"])
