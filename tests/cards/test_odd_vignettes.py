"""A vignette with a mistake is refused by one line: a misspelt expectation would make a test that cannot fail."""

from __future__ import annotations

import pytest

from cds_service.content.content import load_content
from cds_service.content.files import cards_folder
from cds_service.examples.vignette_fhir import hook_request
from cds_service.examples.vignettes import VignetteError, parse_vignette

LAB = '[[lab]]\nanalyte = "b12"\nvalue = 100\nunit = "ng/L"\n'
ODD = {
    "a misspelt table": ('[[labs]]\nanalyte = "b12"\n', "unknown key 'labs'. Did you mean 'lab'?"),
    "a misspelt expectation": ('[expect]\nlable = "confirmed"\n', "[expect]: unknown 'lable'. Did you mean 'label'?"),
    "one bracket": ('[lab]\nanalyte = "b12"\n', "'lab' is {'analyte': 'b12'}; it must be array"),
    "a number for a table": ("lab = 5\n", "'lab' is 5; it must be array"),
    "a number for the patient": ("patient = 5\n", "'patient' is 5; it must be table"),
    "a sex that FHIR does not have": ('[patient]\nsex = "femal"\n', "'sex' is 'femal'. Did you mean 'female'?"),
    "a text for a day": ('as_of = "2026-01-01"\n', "'as_of' is '2026-01-01', not a date like 2026-01-31"),
    "a list for a hook": ('hook = ["patient-view"]\n', "'hook' is ['patient-view']; it must be string"),
    "a word for a list": ('unavailable = "b12"\n', "'unavailable' is 'b12'; it must be array"),
    "a day that no calendar has": (f'{LAB}date = "2026-13-45"\n', "[[lab]] date: '2026-13-45' is no day; allowed:"),
    "a day before all calendars": (f"{LAB}days_ago = 99999999\n", "days_ago: 99999999 is no whole number of at most"),
    "a number that is none": (LAB.replace("100", "nan"), "is not TOML: 'nan' is no number that can be used"),
    "a kind that there is not": (
        '[[medicine]]\ningredient = "metformin"\nas = "order-line"\n',
        "[[medicine]] number 1 as: there is no 'order-line'. Did you mean 'order'?",
    ),
    "what was dismissed on no day": ('[[remembered]]\nrow = "interpret/deficient"\n', "says no day; allowed: days_ago"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "said"), ODD.values(), ids=ODD)
def test_a_mistake_is_named_with_what_is_allowed(text: str, said: str):
    with pytest.raises(VignetteError) as refused:
        hook_request(parse_vignette(f'title = "X"\n{text}', "x.toml"), load_content(cards_folder()))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("day", ["2025-09-15", '"2025-09-15"', '"2025-09"', '"2025"'])
def test_a_day_may_be_a_month_or_a_year_as_records_have_it(day: str):
    vignette = parse_vignette(f'title = "X"\n{LAB}date = {day}\n', "x.toml")
    assert day.strip('"') in str(hook_request(vignette, load_content(cards_folder()))["prefetch"]["b12"])
