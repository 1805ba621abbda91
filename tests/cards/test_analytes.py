"""An analyte added in cards/ alone is asked for, read, compared and shown; one registered by half is refused."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from cds_service.app import client_config
from cds_service.content.content import Content, load_content
from cds_service.content.faults import ContentError
from cds_service.content.files import cards_folder
from cds_service.evaluate import Evaluation
from cds_service.examples.vignettes import Vignette
from cds_service.settings import Settings
from tests.book import play

ORIGIN = 'source = "project-design"\nevidence = "design"\nchecked = 2026-11-28\n'
ANALYTE = f"""
[zinc]
display = "serum zinc"
prefetch = "chemistry"
current = "zinc-current"
{ORIGIN}
[[zinc.unit]]
spelling = "umol/L"
family = "molar"
factor = 1
"""
CODES = "system,code,display,use,source\nhttp://loinc.org,5763-8,Zinc [Mass/volume] in Serum or Plasma,,a test\n"
LIMITS = f"""
[[threshold]]
id = "zinc-current"
value = 90
unit = "days"
step = 1
{ORIGIN}
[[threshold]]
id = "zinc-low"
value = 10
unit = "umol/L"
step = 0.1
analyte = "zinc"
below = "zinc_low"
{ORIGIN}"""
NOTE = f"""
[[row]]
id = "zinc"
on = ["interpret/deficient"]
when = ["zinc_low"]
part = "next"
detail = "Zinc is low, {{zinc}} on {{zinc_date}}."
{ORIGIN}"""
TODAY = date(2026, 1, 15)


@pytest.fixture
def cards(tmp_path: Path) -> Path:
    """A copy of cards/."""
    return Path(shutil.copytree(cards_folder(), tmp_path / "cards"))


def add(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def with_zinc(cards: Path) -> Content:
    """The recipe of the README, followed."""
    add(cards / "analytes.toml", ANALYTE)
    (cards / "value-sets/lab-zinc.csv").write_text(CODES, encoding="utf-8")
    add(cards / "pathways/uk-ng239/thresholds.toml", LIMITS)
    add(cards / "pathways/uk-ng239/notes.toml", NOTE)
    return load_content(cards)


def answered(vignette: Vignette, content: Content) -> Evaluation:
    return play(vignette, client_config(Settings(demo=True, pathway=vignette.pathway), content))


def told(zinc: str) -> Vignette:
    labs = [
        {"analyte": "b12", "value": "150", "unit": "ng/L", "days_ago": 3},
        {"analyte": "zinc", "value": zinc, "unit": "umol/L", "days_ago": 3},
    ]
    patient = {"sex": "male", "born": date(1970, 1, 1)}
    return Vignette("zinc", "Zinc", TODAY, "uk-ng239", {"patient": patient, "lab": labs}, {})


def test_it_is_asked_for_read_and_shown_on_a_card_with_its_evidence(cards: Path):
    content = with_zinc(cards)
    assert "5763-8" in content.prefetch["full"]["chemistry"]
    answer = answered(told("8.1"), content)
    details = " ".join(card["detail"] for card in answer.cards)
    assert "Zinc is low, 8.1 µmol/L on 12 Jan 2026." in details
    assert any("8.1" in because.text for because in answer.assessment.findings["zinc_low"].because)


def test_a_result_that_is_not_low_is_not_spoken_of(cards: Path):
    answer = answered(told("10"), with_zinc(cards))
    assert "zinc_low" not in answer.assessment.findings
    assert "Zinc" not in " ".join(card["detail"] for card in answer.cards)


def test_the_extending_pathway_has_it_too_and_reviewers_read_it_in_words(cards: Path):
    content = with_zinc(cards)
    assert "zinc-low" in content.pathways["us-aafp"].thresholds
    assert content.plain_words["findings.zinc_low"] == "serum zinc is below its limit"


HALF = {
    "without a prefetch key": ('prefetch = "chemistry"\n', "", "analytes.toml \"zinc\": missing 'prefetch'"),
    "without an age": ('current = "zinc-current"\n', "", "analytes.toml \"zinc\": missing 'current'"),
    "under a key that is not published": (
        '"chemistry"', '"chemistri"', "analytes.toml \"zinc\": 'prefetch' is 'chemistri'. Did you mean 'chemistry'?",
    ),
    "for days that no pathway states": (
        '"zinc-current"', '"zink-current"', "uk-ng239/thresholds.toml: the threshold 'zink-current' is missing",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "said"), HALF.values(), ids=HALF)
def test_a_half_registered_analyte_is_refused(cards: Path, old: str, new: str, said: str):
    with_zinc(cards)
    path = cards / "analytes.toml"
    path.write_text(path.read_text(encoding="utf-8").replace(f"[zinc]{ANALYTE.split('[zinc]')[1]}",
                    f"[zinc]{ANALYTE.split('[zinc]')[1].replace(old, new)}"), encoding="utf-8")  # fmt: skip
    with pytest.raises(ContentError) as raised:
        load_content(cards)
    assert any(fault.startswith(said) for fault in raised.value.faults), raised.value.faults


def test_an_analyte_without_codes_is_refused(cards: Path):
    add(cards / "analytes.toml", ANALYTE)
    add(cards / "pathways/uk-ng239/thresholds.toml", LIMITS)
    with pytest.raises(ContentError, match=r"value-sets/lab-zinc\.csv is missing or empty"):
        load_content(cards)


def test_codes_without_an_analyte_are_refused(cards: Path):
    (cards / "value-sets/lab-zinc.csv").write_text(CODES, encoding="utf-8")
    with pytest.raises(ContentError, match=r"no lab concept 'zinc'"):
        load_content(cards)


def test_a_limit_that_says_no_analyte_is_answered_with_what_it_lacks(cards: Path):
    add(cards / "pathways/uk-ng239/thresholds.toml", LIMITS.replace('analyte = "zinc"\nbelow = "zinc_low"\n', ""))
    with pytest.raises(ContentError) as raised:
        load_content(cards)
    fault = next(fault for fault in raised.value.faults if "zinc-low" in fault)
    assert "uk-ng239/thresholds.toml: nothing reads the threshold 'zinc-low'. A limit of your own says" in fault


def test_an_age_that_the_findings_do_not_read_is_refused(cards: Path):
    path = cards / "analytes.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('current = "egfr-current"', 'current = "folate-current"'), encoding="utf-8")
    with pytest.raises(ContentError, match="\"egfr\": current is 'folate-current'; the findings read 'egfr-current'"):
        load_content(cards)
