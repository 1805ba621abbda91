"""What an editor gets wrong by accident is one fault with its place: never a trace, never a silent other meaning."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from cds_service.clinical.wording import PHRASE_VALUES
from cds_service.content.check import clinical_vocabulary
from cds_service.content.content import load_content
from cds_service.content.faults import ContentError
from cds_service.content.files import cards_folder
from cds_service.examples.vignette_fhir import hook_request
from cds_service.examples.vignettes import parse_vignette
from tests.cards.small_content import SmallContent

LIMITS, TESTS, REGIMENS, ROWS = (
    f"pathways/uk-small/{name}.toml" for name in ("thresholds", "orderables", "regimens", "interpret")
)
GREY = '[[threshold]]\nid = "b12-grey-mass"\nunit = "ng/L"\nsource = "guide"\nevidence = "design"\n'
GREY += "checked = 2026-11-28\nvalue = "

ODD = {  # of a site's folder: file, text, what is said
    "a number that is none": (LIMITS, f"{GREY}nan", "'nan' is no number that can be used; allowed: at most 30 digits"),
    "a number without an end": (LIMITS, f"{GREY}inf", "'inf' is no number that can be used"),
    "an exponent that nobody means": (LIMITS, f"{GREY}1e999", "'1e999' is no number that can be used"),
    "an exponent beyond any number": (LIMITS, f"{GREY}1e{'9' * 30}", "is no number that can be used"),
    "five thousand digits": (LIMITS, f"{GREY}{'9' * 5000}", "not readable as TOML: Exceeds the limit"),
    "lists in lists": (LIMITS, f"a = {'[' * 5000}{']' * 5000}", "stand in one another too deeply"),
    "one bracket for a limit": (LIMITS, '[threshold]\nid = "b12-grey-mass"\n', "must be written as [[threshold]]"),
    "one bracket for a test": (TESTS, '[orderable]\nid = "b12-total"\n', "must be written as [[orderable]]"),
    "one bracket for a row": (ROWS, '[row]\nid = "grey"\n', "must be written as [[row]]"),
    "a word for a regimen": (REGIMENS, "regimen = 5\n", "must be written as [[regimen]]"),
    "words for rows": (ROWS, 'row = ["grey"]\n', "must be written as [[row]]"),
    "one bracket for a code": (
        TESTS, '[[orderable]]\nid = "b12-total"\n[orderable.more_codings]\nsystem = "s"\n',
        "'more_codings' is {'system': 's'}; it must be array",
    ),
    "a word for a code": (
        TESTS, '[[orderable]]\nid = "b12-total"\nmore_codings = ["B12"]\n',
        "'more_codings' entry 1 is 'B12'; it must be table",
    ),
    "a list for a code's system": (
        TESTS, '[[orderable]]\nid = "b12-total"\nmore_codings = [{ system = ["s"], code = "c", display = "d" }]\n',
        "'more_codings' entry 1 'system' is ['s']; it must be string",
    ),
    "a number for negations": ("problems.toml", "negations = 5\n", "problems.toml negations: is 5; it must be array"),
    "another factor": (
        "analytes.toml", '[[b12.unit]]\nspelling = "ng/L"\nfactor = 2\n',
        "site analytes.toml \"b12\" unit 'ng/L': 'factor' is not a site's to change: it is 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("file", "text", "said"), ODD.values(), ids=ODD)
def test_a_file_of_a_site_that_is_written_oddly_is_one_fault(small: SmallContent, file: str, text: str, said: str):
    small.site(file, text)
    (fault,) = small.faults()
    assert said in fault
    assert "\n" not in fault


COUNTED = {
    "90.5": "a number of days is whole and at most 36525",
    "5000000": "a number of days is whole and at most 36525",
}


@pytest.mark.parametrize(("value", "said"), COUNTED.items(), ids=COUNTED)
def test_a_limit_in_days_is_whole_and_within_a_calendar(small: SmallContent, value: str, said: str):
    text = f'[[threshold]]\nid = "result-current"\nvalue = {value}\nunit = "days"\nstep = 1\nsource = "guide"\n'
    small.site(LIMITS, f'{text}evidence = "design"\nchecked = 2026-11-28\n')
    assert any(said in fault for fault in small.faults())


def faults_of_messages(site: Path, text: str) -> tuple[str, ...]:
    """What is wrong with our content under a site whose messages.toml says that."""
    (site / "messages.toml").write_text(text)
    with pytest.raises(ContentError) as refused:
        load_content(cards_folder(), site)
    return refused.value.faults


def test_a_phrase_shows_only_values_that_it_is_given(tmp_path):
    """Else every answer that says it would fail, and none before."""
    text = 'since = "since {dat}"\nand-more = "and {n"\n[evidence]\naged = "{n}"\n'
    assert faults_of_messages(tmp_path, text) == (
        "messages.toml \"since\" phrase: no placeholder 'dat'. Did you mean 'date'? Known: date",
        'messages.toml "and-more" phrase: a brace that belongs to no placeholder like {b12}',
        "messages.toml \"evidence.aged\" phrase: no placeholder 'n'. Known: age",
    )


def test_a_year_has_twelve_months_in_every_language(tmp_path):
    assert faults_of_messages(tmp_path, 'plural = "two"\n[date]\nmonths = "Jan | Feb"\n') == (
        "messages.toml \"date.months\": names 2 months, divided by ' | '; a year has 12",
        "messages.toml \"plural\": is 'two'; allowed: none, one-few-many, one-other",
    )


def test_what_a_phrase_may_show_is_what_ours_show():
    """The declaration and our phrases say the same, so that neither can be forgotten."""
    messages = load_content(cards_folder()).messages
    shown = {key: {*re.findall(r"\{(\w+)\}", text)} for key, text in messages.items() if "{" in text}
    may = {key: set(values) for key, values in PHRASE_VALUES.items() if key not in ("loading.one", "folate.unknown")}
    assert shown == may


def test_a_limit_of_the_program_has_a_unit_of_what_is_compared_with_it():
    """A finding that compares potassium with a limit in g/L would never be made, and nobody would know."""
    known = clinical_vocabulary()
    words = replace(known, compared=(*known.compared, ("hb-men", "potassium")))
    with pytest.raises(ContentError) as refused:
        load_content(cards_folder(), None, words)
    fault = "thresholds.toml threshold \"hb-men\": no unit of potassium 'g/L'"
    assert refused.value.faults[0].startswith(f"uk-ng239/{fault}")
    assert len(refused.value.faults) <= 2


def test_what_is_to_be_done_later_names_tests_and_findings_that_there_are(tmp_path):
    later = tmp_path / "pathways/uk-ng239/follow-ups.toml"
    later.parent.mkdir(parents=True)
    later.write_text('[[follow_up]]\nid = "fbc-day-8"\norderable = "fcb"\nwhen = ["anemia"]\n')
    with pytest.raises(ContentError) as refused:
        load_content(cards_folder(), tmp_path)
    test, finding, *inherited = refused.value.faults
    assert test.startswith("uk-ng239/follow-ups.toml follow_up \"fbc-day-8\": no orderable 'fcb'. Did you mean 'fbc'")
    assert "no finding 'anemia'. Did you mean 'anaemia'?" in finding
    assert not inherited


OWN = """
[{name}]
display = "serum {name}"
prefetch = "chemistry"
current = "result-background"
source = "project-design"
evidence = "design"
checked = 2026-11-28
[[{name}.unit]]
spelling = "umol/L"
family = "molar"
factor = 1
"""
LIMIT = """
[[threshold]]
id = "{name}-low"
value = 10
unit = "umol/L"
step = 1
analyte = "{name}"
below = "{name}_is_low"
source = "project-design"
evidence = "design"
checked = 2026-11-28
"""


def measured(folder, name: str, use: str = "either") -> tuple[str, ...]:
    """The faults of a site that adds an analyte of that name with a limit."""
    for file, text in (
        ("analytes.toml", OWN.format(name=name)),
        (f"value-sets/lab-{name}.csv", f"system,code,display,use,source\nhttp://loinc.org,5631-7,Copper,{use},site\n"),
        ("pathways/uk-ng239/thresholds.toml", LIMIT.format(name=name)),
    ):
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    try:
        load_content(cards_folder(), folder)
    except ContentError as error:
        return error.faults
    return ()


@pytest.mark.parametrize("name", ["symptoms", "hb", "today", "due", "regimens"])
def test_an_analyte_does_not_share_the_name_of_something_else_that_a_card_shows(tmp_path, name: str):
    """{hb} on a card is a haemoglobin; a result of another test must not hide behind it, nor it behind the result."""
    (fault,) = measured(tmp_path, name)
    assert fault.startswith(f'analytes.toml "{name}": the program has a placeholder {name!r} for something else')


def test_codes_of_an_analyte_fit_one_of_its_units(tmp_path):
    assert measured(tmp_path, "copper") == ()
    (fault,) = measured(tmp_path, "copper", use="mass")
    said = "its codes are for mass units, and copper has molar only: each result would be in doubt"
    assert fault == f"value-sets/lab-copper.csv: {said}"


BOTH = 'mass_per_molar = 63.5\nunit = [\n  { spelling = "umol/L", family = "molar", factor = 1 },\n'
BOTH += '  { spelling = "ug/L", family = "mass", factor = 1 },\n]\n'


def test_a_vignette_tells_a_result_in_either_unit_of_an_analyte_whose_code_is_for_both(tmp_path):
    """The recipe's next step: "write a vignette on either side of the limit"."""
    text = OWN.format(name="copper").partition("[[copper.unit]]")[0] + BOTH
    measured(tmp_path, "copper")
    (tmp_path / "analytes.toml").write_text(text)
    content = load_content(cards_folder(), tmp_path)
    for value, unit in (("9.5", "umol/L"), ("600", "ug/L")):
        lab = f'[[lab]]\nanalyte = "copper"\nvalue = {value}\nunit = "{unit}"\ndays_ago = 5\n'
        request = hook_request(parse_vignette(f'title = "Copper"\n{lab}', "copper.toml"), content)
        (sent,) = (each["resource"] for each in request["prefetch"]["chemistry"]["entry"] if unit in str(each))
        assert sent["code"]["coding"][0]["code"] == "5631-7"


HEAD = "system,code,display,use,source\n"
LINES = {  # of a site's value set: file, text, what is said
    "a code that fills the whole address": (
        "lab-b12", f"https://laboratory.example.org,{'B' * 500},B12,mass,site\n",
        "site value-sets/lab-b12.csv line 2: the code has 500 characters; allowed: 100, or others are not asked for",
    ),
    "a sign that nobody sees": (
        "lab-b12", "https://laboratory.example.org,B12\u200b,B12,mass,site\n",
        "site value-sets/lab-b12.csv line 2: the code 'B12\\u200b' holds a sign that no search can ask for",
    ),
    "a code of ours for another test": (
        "lab-b12", "http://loinc.org,718-7,B12,mass,site\n",
        "site value-sets/lab-b12.csv: the code '718-7' already stands for 'lab-haemoglobin'",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "line", "said"), LINES.values(), ids=LINES)
def test_a_line_of_a_site_that_would_do_harm_or_nothing_is_named_in_its_file(tmp_path, name: str, line: str, said: str):
    (tmp_path / "value-sets").mkdir()
    (tmp_path / f"value-sets/{name}.csv").write_text(HEAD + line, encoding="utf-8")
    with pytest.raises(ContentError) as refused:
        load_content(cards_folder(), tmp_path)
    (fault,) = refused.value.faults
    assert fault.startswith(said)


def test_empty_lines_of_a_value_set_say_nothing(tmp_path):
    (tmp_path / "value-sets").mkdir()
    line = "https://laboratory.example.org,B12S,B12,mass,site\n"
    (tmp_path / "value-sets/lab-b12.csv").write_text(f"{HEAD}\n{line}\n\n")
    assert load_content(cards_folder(), tmp_path).codes.find("https://laboratory.example.org", "B12S")
