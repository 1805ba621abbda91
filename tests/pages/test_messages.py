"""What a person reads on the command line when something is wrong: the place, the fault, and what is allowed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from cds_service.cli import main
from cds_service.commands.parameters import Day
from cds_service.content.content import load_content
from cds_service.content.files import cards_folder
from tests.book import FIXTURES

SETTINGS = ("CDS_DEMO", "CDS_PATHWAY", "CDS_PREFETCH", "CDS_TIME_ZONE", "CDS_FHIR_BASES", "CDS_SITE_DIR")
VIGNETTES = FIXTURES / "vignettes"
PATIENT = {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1951-03-09"}
B12 = {
    "resourceType": "Observation",
    "id": "o1",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "2132-9"}]},
    "subject": {"reference": "Patient/p1"},
    "effectiveDateTime": "2026-01-05",
    "valueQuantity": {"value": 150, "unit": "ng/L"},
}


def run(*arguments: Any) -> Result:
    """The command, without any setting of this environment."""
    return CliRunner(env=dict.fromkeys(SETTINGS)).invoke(main, [*map(str, arguments)], catch_exceptions=False)


def refused(*arguments: Any) -> str:
    """The one line with which the command refuses."""
    found = run(*arguments)
    assert (found.exit_code, found.stdout) == (2, "")
    return found.stderr


def test_a_vignette_without_a_title_says_so(tmp_path: Path):
    file = tmp_path / "v.toml"
    file.write_text('[patient]\nsex = "female"\n')
    assert "v.toml: title: is missing; allowed: a line such as title =" in refused("explain", file)


LAB = "[[lab]]\nanalyte = 'b12'\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[lab", "is not TOML: "),
        (
            "[[lab]]\nanalyte = 'b13'",
            "[[lab]] number 1 analyte: there is no 'b13'. Did you mean 'b12'? Known: active-b12, ",
        ),
        ("[[lab]]\nvalue = 1", "[[lab]] number 1 analyte: is missing"),
        (f"{LAB}value = 'abc'", "[[lab]] number 1 value: 'abc' is no number"),
        (f"{LAB}days_ago = 1.5", "[[lab]] number 1 days_ago: "),
        (f"{LAB}days_ag = 1", "[[lab]]: unknown 'days_ag'. Did you mean 'days_ago'? Known: "),
        ("[patient]\nage = 'old'", "[patient] age: 'old' is no whole number"),
        ("[[problem]]\nconcept = 'vegn'", "there is no problem 'vegn'. Did you mean 'vegan'? Known: "),
        ("[[medicine]]\ningredient = 'metfromin'", "there is no medicine 'metfromin'. Did you mean 'metformin'?"),
        (
            "[[medicine]]\ningredient = 'metformin'\ndose = '1mg'",
            "dose: '1mg' is no dose; allowed: a number and a unit",
        ),
        (
            "[[medicine]]\ningredient = 'metformin'\nevery = '1 fortnight'",
            "every: '1 fortnight' is no period; allowed: ",
        ),
        ("[[order]]\norderable = 'mmma'", "[[order]] number 1 orderable: there is no 'mmma'. Did you mean 'mma'?"),
        ("pathway = 'uk'", "pathway: there is no 'uk'. Known: uk-ng239, us-aafp"),
    ],
)
def test_a_vignette_says_what_is_wrong_in_it_and_what_is_allowed(text: str, said: str, tmp_path: Path):
    file = tmp_path / "v.toml"
    file.write_text(f'title = "One"\n{text}\n')
    line = refused("explain", file)
    assert said in line
    assert line.count("v.toml") == 1


@pytest.mark.parametrize("command", [["feedback", "report", "--since"], ["explain", VIGNETTES, "--as-of"]])
def test_a_day_that_is_none_says_what_is_allowed(command: list[Any]):
    found = run(*command, "yesterday")
    assert found.exit_code == 2
    assert "'yesterday' is no day; allowed: a date such as 2026-01-31" in found.stderr


def options(command: click.Command, name: str = "b12-cds") -> Iterator[tuple[str, click.Parameter]]:
    """Every option of every command."""
    yield from ((f"{name} {each.name}", each) for each in command.params)
    context = click.Context(command)
    for own in command.list_commands(context) if isinstance(command, click.Group) else ():
        if inner := command.get_command(context, own):
            yield from options(inner, f"{name} {own}")


def test_every_option_that_takes_a_day_says_so_and_keeps_off_the_ends_of_the_calendar():
    days = {name: each.type for name, each in options(main) if isinstance(each.type, click.DateTime)}
    assert "b12-cds population run as_of" in days and "b12-cds examples export as_of" in days
    assert not [name for name, kind in days.items() if not isinstance(kind, Day)]


@pytest.mark.parametrize(("separator", "encoding"), [(";", "utf-8"), ("\t", "utf-8"), (",", "utf-16")])
def test_a_value_set_saved_otherwise_says_how_excel_saves_it(separator: str, encoding: str, tmp_path: Path):
    sets = tmp_path / "value-sets"
    sets.mkdir()
    (sets / "lab-b12.csv").write_bytes(separator.join(("system", "code", "display", "use", "source")).encode(encoding))
    found = run("check", "--site", tmp_path)
    assert found.exit_code == 1
    assert "Excel writes it as 'CSV UTF-8'" in found.stderr


@pytest.mark.parametrize("place", ["pathways/us-aafp"])
def test_a_misspelt_threshold_is_named_with_the_nearest(place: str, tmp_path: Path):
    site = tmp_path / "site"
    (site / place).mkdir(parents=True)
    (site / place / "thresholds.toml").write_text('[[threshold]]\nid = "b12-deficent-mass"\nvalue = 150\n')
    found = run("check", "--site", site)
    assert found.exit_code == 1
    assert "'b12-deficent-mass'. Did you mean 'b12-deficient-mass'?" in found.stderr
    assert "missing 'step'" not in found.stderr


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"hook": "patient-view",\n "context": {,}}', "not JSON: line 2, column 14: "),
        (b'{"hook": "patient-view"', "not JSON: line 1, column "),
        (b'\xef\xbb\xbf{"hook": "patient-view"}', "begins with a byte order mark; save it as UTF-8 without one"),
        (b'{"hook": "\xff"}', "not JSON: byte 11 is not UTF-8"),
    ],
)
def test_bad_json_is_told_with_line_and_column(body: bytes, said: str, tmp_path: Path):
    file = tmp_path / "request.json"
    file.write_bytes(body)
    assert said in refused("explain", file)


def test_a_value_set_saved_by_excel_is_read(tmp_path: Path):
    sets = tmp_path / "value-sets"
    sets.mkdir()
    lines = "system,code,display,use,source\nurn:oid:1.2.3,B12,Vitamin B12,mass,site\n"
    (sets / "lab-b12.csv").write_bytes(b"\xef\xbb\xbf" + lines.encode())
    codes = load_content(cards_folder(), tmp_path).codes
    assert {use.concept for use in codes.find("urn:oid:1.2.3", "B12")} == {"lab-b12"}


def test_a_bundle_is_explained(tmp_path: Path):
    file = tmp_path / "bundle.json"
    entries = [{"resource": PATIENT}, {"resource": B12}]
    file.write_text(json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}))
    found = run("explain", file, "--json", "--as-of", "2026-01-10")
    assert json.loads(found.stdout)["rows"].count("interpret/deficient") == 1


def test_a_bundle_without_a_patient_says_what_is_allowed(tmp_path: Path):
    file = tmp_path / "bundle.json"
    file.write_text(json.dumps({"resourceType": "Bundle", "entry": [{"resource": B12}]}))
    assert "holds 0 Patients that can be read" in refused("explain", file)


@pytest.mark.parametrize("command", [["explain", VIGNETTES / "uk-ng239/02-edge-180-is-grey.toml"], ["table"]])
def test_an_unknown_pathway_is_answered_with_the_option_that_named_it(command: list[Any]):
    line = refused(*command, "--pathway", "us")
    assert line == "b12-cds: --pathway: there is no pathway 'us'; known: uk-ng239, us-aafp\n"


@pytest.mark.parametrize("port", ["abc", "0", "65536", "8000.0", "-1"])
def test_a_port_that_is_none_says_what_is_allowed(port: str):
    found = run("serve", f"--port={port}")
    assert found.exit_code == 2
    assert f"{port!r} is no port; allowed: a number from 1 to 65535" in found.stderr


def test_a_fhir_base_that_is_not_allowed_comes_with_the_setting_to_copy(tmp_path: Path):
    file = tmp_path / "request.json"
    request = {
        "hook": "patient-view",
        "hookInstance": "5f0d2a0e-3a1b-4f0c-9a55-5d6b8f1f6b13",
        "fhirServer": "https://ehr.example.org/fhir",
        "context": {"userId": "Practitioner/1", "patientId": "p1"},
    }
    file.write_text(json.dumps(request))
    line = refused("explain", file, "--fetch")
    assert line.rstrip().endswith("to allow it, set CDS_FHIR_BASES=https://ehr.example.org/fhir")


def test_412_says_what_to_send(tmp_path: Path):
    file = tmp_path / "request.json"
    context = {"userId": "Practitioner/1", "patientId": "p1"}
    instance = "5f0d2a0e-3a1b-4f0c-9a55-5d6b8f1f6b13"
    file.write_text(json.dumps({"hook": "patient-view", "hookInstance": instance, "context": context}))
    found = run("explain", file)
    assert found.exit_code == 3
    assert "b12: Observation?patient={{context.patientId}}" in found.stderr
    assert "or name a fhirServer that may be read" in found.stderr


def test_replay_against_the_folder_of_a_site_names_the_option_for_it(tmp_path: Path):
    site = FIXTURES / "sites" / "ruh-bath"
    line = refused("replay", VIGNETTES / "us-aafp", "--against", site)
    assert line.rstrip().endswith("is no cards folder; a site's folder is given by --against-site")
    other = tmp_path / "cards"
    shutil.copytree(cards_folder(), other)
    (tmp_path / "requests").mkdir()
    shutil.copy(VIGNETTES / "uk-ng239/02-edge-180-is-grey.toml", tmp_path / "requests")
    assert run("replay", tmp_path / "requests", "--against", other).exit_code == 0


def test_a_unit_that_is_not_known_is_named(tmp_path: Path):
    file = tmp_path / "v.toml"
    file.write_text(
        'title = "x"\nas_of = 2026-01-10\n[patient]\nsex = "female"\n'
        '[[lab]]\nanalyte = "haemoglobin"\nvalue = "110"\nunit = "furlong"\ndays_ago = 5\n'
        '[[lab]]\nanalyte = "b12"\nvalue = "150"\nunit = "ng/L"\ndays_ago = 5\n'
    )
    ignored = [each["reason"] for each in json.loads(run("explain", file, "--json").stdout)["ignored"]]
    assert any("not one that this service knows ('furlong' was sent)" in reason for reason in ignored)
