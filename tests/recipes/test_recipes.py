"""Each recipe of CONTRIBUTING.md is followed in a copy of the tree, and does what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.recipes.reading import CONTRIBUTING, RecipeError, Step, followed, recipes

HERE = Path(__file__).resolve().parent
LOINC_B12 = {"system": "http://loinc.org", "code": "2132-9"}


def python(copy: Path, program: str, argument: str) -> Any:
    """What a program of this folder prints last, run on the package of the copy with no settings from outside."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CDS_", "PYTHON"))}
    done = subprocess.run(
        [sys.executable, str(HERE / program), argument],
        cwd=copy, env=environment | {"PYTHONPATH": str(copy)}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def asked(copy: Path, *patients: dict[str, str]) -> list[dict[str, Any]]:
    """What the package of the copy finds and says of each patient."""
    return python(copy, "ask.py", json.dumps(patients))["answers"]


@pytest.mark.parametrize("title", recipes())
def test_every_recipe_is_tried_here(title):
    assert title in Path(__file__).read_text(encoding="utf-8")
    assert recipes()[title], "a recipe without a step that can be followed"


def test_every_block_of_a_recipe_is_a_step():
    page = CONTRIBUTING.read_text(encoding="utf-8").split("\n## Recipes\n", 1)[1]
    blocks = len(re.findall(r"^```(?!console)\w+$", page, re.MULTILINE))
    assert blocks == sum(len(steps) for steps in recipes().values())


def test_a_step_that_does_not_fit_says_why(tmp_path):
    (tmp_path / "x.toml").write_text("a = 1\n")
    with pytest.raises(RecipeError, match="'b = 2' stands there 0 times"):
        Step("x.toml", "c = 3\n", "after", "b = 2").apply(tmp_path)
    Step("x.toml", "b = 2\n", "after", "a = 1").apply(tmp_path)
    assert (tmp_path / "x.toml").read_text() == "a = 1\nb = 2\n"


def test_a_code_in_a_value_set_is_recognised(tmp_path):
    copy = followed("Add a code to a value set", tmp_path)
    request = request_about(tmp_path, {"system": "https://laboratory.example.org/codes", "code": "B12S"})
    at_the_site, elsewhere = asked(copy, {"file": request, "site": str(copy / "my-site")}, {"file": request})
    assert "b12_deficient" in at_the_site["findings"]
    assert "b12_deficient" not in elsewhere["findings"]


def test_a_sentence_stands_on_the_card(tmp_path):
    copy = followed("Add a sentence to a card", tmp_path)
    vegan, other = asked(
        copy, {"file": vignette(tmp_path, "ferritin", "60", "ug/L")}, {"file": request_about(tmp_path, LOINC_B12)}
    )
    assert "Ask which supplement is taken" in vegan["text"]
    assert "Ask which supplement is taken" not in other["text"]


def test_a_vignette_is_answered_as_it_says(tmp_path):
    copy = followed("Add a vignette", tmp_path)
    (step,) = recipes()["Add a vignette"]
    (answer,) = asked(copy, {"file": str(copy / step.path)})
    expected = tomllib.loads(step.text)["expect"]
    assert answer["label"] == expected["label"]
    assert answer["rows"] == sorted([f"course/{expected['course']}", *expected["rows"]])


def test_a_test_that_is_measured_is_asked_for_read_and_shown(tmp_path):
    title = "Add a test that is measured"
    copy = followed(title, tmp_path)
    assert all(step.path.startswith("cards/") for step in recipes()[title])
    patients = [{"file": vignette(tmp_path, "zinc", value, "umol/L")} for value in ("9.9", "10")]
    answer = python(copy, "ask.py", json.dumps(patients))
    low, enough = answer["answers"]
    assert "5763-8" in answer["prefetch"]["chemistry"]
    assert "zinc_low" in low["findings"]
    assert "Zinc is low, 9.9 µmol/L on 10 Jan 2026." in low["text"]
    assert "zinc_low" not in enough["findings"]
    assert "Zinc" not in enough["text"]


def test_a_finding_and_a_row_with_any(tmp_path):
    title = 'Add a finding and a row with "any"'
    copy = followed(title, tmp_path)
    assert len({step.path for step in recipes()[title]}) <= 3
    results = (("platelets", "451", "10*9/L"), ("platelets", "450", "10*9/L"), ("ferritin", "6", "ug/L"))
    high, enough, iron = asked(copy, *({"file": vignette(tmp_path, *result)} for result in results))
    assert "platelets_high" in high["findings"]
    assert "platelets_high" not in enough["findings"]
    assert "source of bleeding" in high["text"]
    assert "source of bleeding" in iron["text"]
    assert "source of bleeding" not in enough["text"]


def test_a_hook_of_one_entry_is_listed_described_and_answered(tmp_path):
    copy = followed("Add a hook", tmp_path)
    told = python(copy, "call_new_hook.py", str(tmp_path))
    assert told["discovery"]["id"] == "b12-encounter-start"
    assert told["discovery"]["prefetch"]["patient"] == "Patient/{{context.patientId}}"
    assert "/cds-services/b12-encounter-start" in told["openapi"]
    assert told["demo"]["status"] == 200
    assert "B12 120 ng/L" in told["demo"]["cards"][0]["summary"]
    assert told["client"] == told["demo"], "a client with a token for this address is answered the same"
    assert told["wrong audience"] == 401
    assert told["without a patient"] == 400


def test_a_pathway_holds_only_what_differs(tmp_path):
    copy = followed("Add a pathway", tmp_path)
    request = request_about(tmp_path, LOINC_B12)
    ours, theirs = asked(copy, {"file": request}, {"file": request, "pathway": "uk-region"})
    assert "b12_deficient" in ours["findings"]
    assert "b12_grey" in theirs["findings"]


def vignette(folder: Path, analyte: str, value: str, unit: str) -> str:
    """A vegan with B12 150 ng/L and one more result."""
    path = folder / f"{analyte}-{value}.toml"
    path.write_text(
        f"""title = "{analyte} {value}"
[[lab]]
analyte = "b12"
value = 150
unit = "ng/L"
days_ago = 5
[[lab]]
analyte = "{analyte}"
value = {value}
unit = "{unit}"
days_ago = 5
[[problem]]
concept = "vegan"
days_ago = 400
"""
    )
    return str(path)


def request_about(folder: Path, coding: dict[str, str]) -> str:
    """A saved request about a B12 of 150 ng/L under this code."""
    result = {
        "resourceType": "Observation", "id": "b12", "status": "final", "subject": {"reference": "Patient/1"},
        "code": {"coding": [coding]}, "effectiveDateTime": "2026-01-10",
        "valueQuantity": {"value": 150, "unit": "ng/L"},
    }  # fmt: skip
    request = {
        "hook": "patient-view", "hookInstance": "6f1d2c1e-4f0b-4f6e-9d0c-6a8c1a1b0b12",
        "context": {"userId": "Practitioner/1", "patientId": "1"},
        "prefetch": {
            "patient": {"resourceType": "Patient", "id": "1", "gender": "female", "birthDate": "1961-04-12"},
            "b12": {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": result}]},
        },
    }  # fmt: skip
    path = folder / "request.json"
    path.write_text(json.dumps(request))
    return str(path)
