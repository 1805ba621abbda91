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
    assert f'"{title}"' in Path(__file__).read_text(encoding="utf-8")
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


def test_a_finding_with_a_limit_is_made_and_shown(tmp_path):
    title = "Add a finding with a limit"
    copy = followed(title, tmp_path)
    assert len({step.path for step in recipes()[title]}) <= 3
    assert "sound" in b12_cds(copy, "check")
    low, enough = (explained(copy, vignette(tmp_path, "magnesium", value)) for value in ("0.6", "0.7"))
    assert "magnesium_low" in findings(low)
    assert "Magnesium is low" in details(low)
    assert "magnesium_low" not in findings(enough)
    assert "Magnesium is low" not in details(enough)


def test_a_pathway_holds_only_what_differs(tmp_path):
    copy = followed("Add a pathway", tmp_path)
    assert "uk-region" in b12_cds(copy, "check")
    request = asked_about(tmp_path, {"system": "http://loinc.org", "code": "2132-9"})
    assert "b12_deficient" in findings(explained(copy, request, "--as-of", DAY))
    assert "b12_grey" in findings(explained(copy, request, "--as-of", DAY, "--pathway", "uk-region"))


def vignette(folder: Path, analyte: str, value: str) -> Path:
    """A vegan with B12 150 ng/L and one more result, in mmol/L."""
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
code = "either"
value = {value}
unit = "mmol/L"
days_ago = 5
[[problem]]
concept = "vegan"
days_ago = 400
"""
    )
    return path
