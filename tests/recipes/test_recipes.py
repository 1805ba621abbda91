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

DAY = "2026-01-15"


def python(copy: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run Python on the package of the copy, with no settings from outside."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CDS_", "PYTHON"))}
    environment |= {"PYTHONPATH": str(copy), **settings}
    return subprocess.run(
        [sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True, timeout=300
    )


def b12_cds(copy: Path, *arguments: str, **settings: str) -> str:
    """What the program of the copy prints."""
    done = python(copy, "-c", "from cds_service.cli import main; main()", *arguments, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def explained(copy: Path, request: str | Path, *arguments: str, **settings: str) -> Any:
    return json.loads(b12_cds(copy, "explain", str(request), "--json", *arguments, **settings))


def findings(answer: Any) -> set[str]:
    return {finding["name"] for finding in answer["findings"]}


def details(answer: Any) -> str:
    return "\n".join(f"{card['summary']}\n{card.get('detail', '')}" for card in answer["cards"])


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
    request = asked_about(tmp_path, {"system": "https://laboratory.example.org/codes", "code": "B12S"})
    site = {"CDS_SITE_DIR": str(copy / "my-site")}
    assert "b12_deficient" in findings(explained(copy, request, "--as-of", DAY, **site))
    assert "b12_deficient" not in findings(explained(copy, request, "--as-of", DAY))


def test_a_sentence_stands_on_the_card(tmp_path):
    copy = followed("Add a sentence to a card", tmp_path)
    assert "sound" in b12_cds(copy, "check")
    answer = explained(copy, "fixtures/vignettes/uk-ng239/21-leber.toml")
    assert "Ask which supplement is taken" in details(answer)


def test_a_vignette_is_answered_as_it_says(tmp_path):
    copy = followed("Add a vignette", tmp_path)
    (step,) = recipes()["Add a vignette"]
    answer = explained(copy, step.path)
    expected = tomllib.loads(step.text)["expect"]
    assert (answer["label"], answer["rows"]) == (expected["label"], expected["rows"])


def asked_about(folder: Path, coding: dict[str, str]) -> Path:
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
    return path


def test_a_test_that_is_measured_is_asked_for_read_and_shown(tmp_path):
    title = "Add a test that is measured"
    copy = followed(title, tmp_path)
    assert all(step.path.startswith("cards/") for step in recipes()[title])
    assert "sound" in b12_cds(copy, "check")
    assert "5763-8" in b12_cds(copy, "prefetch")
    low, enough = (explained(copy, vignette(tmp_path, "zinc", value, "umol/L")) for value in ("9.9", "10"))
    assert "zinc_low" in findings(low)
    assert "Zinc is low, 9.9 µmol/L on 10 Jan 2026." in details(low)
    assert "zinc_low" not in findings(enough)
    assert "Zinc" not in details(enough)


def test_a_finding_and_a_row_with_any(tmp_path):
    title = 'Add a finding and a row with "any"'
    copy = followed(title, tmp_path)
    assert len({step.path for step in recipes()[title]}) <= 3
    assert "sound" in b12_cds(copy, "check")
    high, enough, iron = (
        explained(copy, vignette(tmp_path, analyte, value, unit))
        for analyte, value, unit in (
            ("platelets", "451", "10*9/L"),
            ("platelets", "450", "10*9/L"),
            ("ferritin", "6", "ug/L"),
        )
    )
    assert "platelets_high" in findings(high)
    assert "platelets_high" not in findings(enough)
    assert "source of bleeding" in details(high)
    assert "source of bleeding" in details(iron)
    assert "source of bleeding" not in details(enough)


def test_a_hook_of_one_entry_is_listed_described_and_answered(tmp_path):
    copy = followed("Add a hook", tmp_path)
    done = python(copy, str(Path(__file__).with_name("call_new_hook.py")), str(tmp_path))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
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
    assert "uk-region" in b12_cds(copy, "check")
    request = asked_about(tmp_path, {"system": "http://loinc.org", "code": "2132-9"})
    assert "b12_deficient" in findings(explained(copy, request, "--as-of", DAY))
    assert "b12_grey" in findings(explained(copy, request, "--as-of", DAY, "--pathway", "uk-region"))


def vignette(folder: Path, analyte: str, value: str, unit: str) -> Path:
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
    return path
