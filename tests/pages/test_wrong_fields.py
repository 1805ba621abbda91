"""What was typed and cannot be used comes back as it was typed, with the fault at its field; nothing is guessed."""

from __future__ import annotations

import html
import json
import re
from functools import cache

import pytest
from werkzeug.test import TestResponse

from cds_service.content.content import Content, load_content
from cds_service.content.files import cards_folder
from tests.pages.visiting import AT_180, Visitor, fields, label, summaries


@cache
def content() -> Content:
    return load_content(cards_folder())


VALUE = "lab-0-value"  # of total B12


def shown(visitor: Visitor, **typed: str) -> TestResponse:
    """The answer to the form of the patient with 180 ng/L, in which these fields were typed anew."""
    named = {name.replace("_", "-"): value for name, value in typed.items()}
    return visitor.post("/", fields(visitor.get(AT_180)) | named)


def faults(page: TestResponse) -> dict[str, str]:
    """The fields that the page marks as wrong, each with the text that belongs to it."""
    wrong = r'<(?:input|select|textarea)[^>]*id="([^"]+)"[^>]*aria-invalid="true" aria-describedby="(\S+?)[ "]'
    marked = re.findall(wrong, page.text)
    texts = dict(re.findall(r'<span class="fault" id="([^"]+)">(.*?)</span>', page.text))
    return {name: html.unescape(texts[described]) for name, described in marked}


@pytest.mark.parametrize("typed", ["1,234", "<2,000", "180,000", "0,150"])
def test_a_comma_before_three_digits_is_never_guessed(visitor: Visitor, typed: str):
    page = shown(visitor, **{VALUE: typed})
    assert page.status_code == 400
    assert "can be read in two ways" in faults(page)[VALUE]
    assert not summaries(page), "no card is shown for a number that was not understood"


@pytest.mark.parametrize("typed, said", [("1234", "1234 ng/L"), ("179,5", "179.5 ng/L"), ("150,1234", "150.1234 ng/L")])
def test_a_comma_that_can_only_be_a_decimal_one_is_taken(visitor: Visitor, typed: str, said: str):
    page = shown(visitor, **{VALUE: typed})
    assert page.status_code == 200
    assert f"total B12 {said}" in page.text


@pytest.mark.parametrize(
    "field, typed, said",
    [
        (VALUE, "-5", "allowed is a number"),
        (VALUE, "abc", "allowed is a number"),
        (VALUE, "180 ng/L", "the unit is chosen beside it"),
        (VALUE, "", "tick “leave out”"),
        ("lab-0-day", "31 Feb", "allowed is a day"),
        ("age", "40,5", "whole years"),
        ("today", "1890-01-01", "the years 1950 to 2200"),
        ("new-lab-0-value", "12", None),
        ("new-medicine-1-day", "2026-01-01", None),
        ("order", "regimen:nothing", "what the list offers"),
        ("pathway", "fr", "there is no such pathway"),
    ],
)
def test_what_was_typed_stays_with_its_fault_beside_it(visitor: Visitor, field: str, typed: str, said: str | None):
    page = shown(visitor, **{field: typed})
    assert page.status_code == 400
    wrong = faults(page)
    if said is None:  # the fault is that something beside it was not chosen
        (name, text), *more = wrong.items()
        assert "choose the" in text and name.rpartition("-")[0] == field.rpartition("-")[0] and not more
    else:
        assert list(wrong) == [field] and said in wrong[field]
    if field not in ("order", "pathway"):  # a list cannot show what it does not offer
        assert fields(page)[field] == typed


def test_every_fault_is_told_at_once_and_leads_to_its_field(visitor: Visitor):
    page = shown(visitor, **{VALUE: "x", "age": "y", "new-lab-1-value": "7", "sex": "male"})
    summary = page.text.partition('id="faults"')[2].partition("</section>")[0]
    assert re.findall(r'href="#([^"]+)"', summary) == ["age", VALUE, "new-lab-1-analyte"]
    assert all(f'id="{name}"' in page.text for name in faults(page))
    assert fields(page)["sex"] == "male", "what was right is kept as well"
    assert '<details class="add" open><summary>Add a result' in page.text


def test_a_form_that_was_corrected_is_answered(visitor: Visitor):
    wrong = shown(visitor, **{VALUE: "1,234", "new-problem-0-concept": "pregnancy", "sex": "female"})
    right = visitor.post("/", fields(wrong) | {VALUE: "179"})
    assert right.status_code == 200
    assert "179 ng/L" in summaries(right)[0]
    assert "<code>pregnant</code>" in right.text
    assert not faults(right)


def test_a_tick_and_a_choice_survive_the_fault_of_another_field(visitor: Visitor):
    page = shown(visitor, **{"age": "x", "lab-0-drop": "1", "order": "medicine:folic-acid", "lab-0-unit": "pmol/L"})
    assert re.search(r'name="lab-0-drop" value="1" checked', page.text)
    assert fields(page)["order"] == "medicine:folic-acid"
    assert fields(page)["lab-0-unit"] == "pmol/L"


def test_a_result_that_is_left_out_may_be_empty(visitor: Visitor):
    page = shown(visitor, **{VALUE: "", "lab-0-drop": "1"})
    assert label(page) == "not-tested"


@pytest.mark.parametrize("analyte", ["intrinsic-factor-antibody", "parietal-cell-antibody", "coeliac-antibody"])
@pytest.mark.parametrize("said", ["positive", "Negative"])
def test_an_antibody_is_entered_as_positive_or_negative(visitor: Visitor, analyte: str, said: str):
    page = shown(visitor, **{"new-lab-0-analyte": analyte, "new-lab-0-value": said})
    assert page.status_code == 200
    display = re.escape(content().analytes[analyte].display)
    assert re.search(rf'<legend>{display}</legend>\s*<p class="fixed">{said.casefold()}\b', page.text), "as it was read"


def test_a_positive_intrinsic_factor_antibody_counts(visitor: Visitor):
    page = shown(visitor, **{"new-lab-0-analyte": "intrinsic-factor-antibody", "new-lab-0-value": "positive"})
    assert "<code>ifab_positive</code>" in page.text


@pytest.mark.parametrize("typed", [{"value": "500"}, {"value": "positive", "unit": "U/mL"}, {"value": ""}])
def test_an_antibody_in_numbers_is_refused_at_its_field(visitor: Visitor, typed: dict[str, str]):
    sent = {f"new-lab-1-{name}": value for name, value in typed.items()}
    page = shown(visitor, **{"new-lab-1-analyte": "intrinsic-factor-antibody"}, **sent)
    assert faults(page) == {
        "new-lab-1-value": "New result 2, intrinsic factor antibody: allowed is positive or negative, without a unit"
    }


@pytest.mark.parametrize(
    "pasted, said",
    [("{", "not JSON"), ('{"resourceType": "Bundle"}', "holds 0 Patients"), ('{"hook": "patient-view"}', "is missing")],
)
def test_what_was_pasted_stays_with_its_fault(visitor: Visitor, pasted: str, said: str):
    page = visitor.post("/", {"pasted": pasted, "pathway": "us-aafp", "today": "2026-01-31"})
    assert page.status_code == 400
    assert said in faults(page)["pasted"]
    assert html.unescape(re.search(r'id="pasted"[^>]*>\n(.*?)</textarea>', page.text, re.DOTALL)[1]) == pasted
    assert '<details class="paste" open>' in page.text
    assert 'value="2026-01-31"' in page.text and '<option value="us-aafp" selected>' in page.text
    assert not summaries(page)


def test_a_wrong_day_beside_what_was_pasted_is_told_at_that_field(visitor: Visitor):
    request = json.loads(fields(visitor.get("/"), "state")["request"])
    page = visitor.post("/", {"pasted": json.dumps(request), "today": "31 Feb"})
    assert list(faults(page)) == ["pasted-today"]
