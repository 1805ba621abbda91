"""A pathway is a folder: what it may say in its own way, what it must state, and a third one beside the two shipped."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from cds_service.app import client_config
from cds_service.cdshooks.requests import read_request
from cds_service.cli import main
from cds_service.content.content import Content, load_content
from cds_service.content.faults import ContentError
from cds_service.content.files import cards_folder
from cds_service.evaluate import CallTime, Evaluation, evaluate
from cds_service.examples.vignette_fhir import request_bytes
from cds_service.settings import Settings, load_settings
from tests.book import FIXTURES, NEVER, read_vignette
from tests.cards.small_content import VOCABULARY, SmallContent
from tests.cards.small_files import ORIGIN

OPTIONAL = replace(
    VOCABULARY, optional={"b12-high-mass": "ng/L"}, rests_on={"symptoms": ("b12-high-mass",)}
)  # as if the finding `symptoms` rested on a number that a pathway may leave out
THIRD = "xx-third"
LIMIT = 'id = "b12-deficient-mass"\nvalue = 180'


@pytest.fixture(scope="module")
def with_third(tmp_path_factory: pytest.TempPathFactory) -> Content:
    """The content that is shipped, and a third pathway: the UK folder with another id, title and one other limit."""
    cards = tmp_path_factory.mktemp("third") / "cards"
    shutil.copytree(cards_folder(), cards)
    third = cards / "pathways" / THIRD
    shutil.copytree(cards / "pathways" / "uk-ng239", third)
    change(third / "pathway.toml", 'id = "uk-ng239"', f'id = "{THIRD}"')
    change(third / "pathway.toml", 'title = "', 'title = "A third pathway: ')
    change(third / "thresholds.toml", LIMIT, LIMIT.replace("180", "200"))
    return load_content(cards)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def answered(pathway: str, content: Content) -> Evaluation:
    """What the service with that pathway says of 180 ng/L with fatigue in a vegan."""
    vignette = read_vignette(FIXTURES / "vignettes" / "uk-ng239" / "02-edge-180-is-grey.toml")
    request = read_request(request_bytes(vignette, content), "patient-view")
    service = client_config(Settings(demo=True, pathway=pathway), content)
    return evaluate(request, service, CallTime(datetime(2026, 1, 15, 12, tzinfo=UTC), seconds=NEVER))


def test_a_third_pathway_is_added_as_a_folder_and_decides_by_its_own_limit(with_third: Content):
    assert set(with_third.pathways) == {"uk-ng239", "us-aafp", THIRD}
    assert answered("uk-ng239", with_third).decision.label == "indeterminate"
    third = answered(THIRD, with_third)
    assert third.decision.label == "confirmed"
    assert "(below 200 ng/L)" in third.cards[0]["summary"]


def test_the_pathway_is_chosen_by_the_environment(with_third: Content, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CDS_PATHWAY", THIRD)
    assert client_config(load_settings(demo=True), with_third).pathway.title.startswith("A third pathway")


def test_a_vignette_is_explained_by_its_own_pathway(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CDS_PATHWAY", "uk-ng239")
    vignette = FIXTURES / "vignettes" / "us-aafp" / "16-metformin-six-years.toml"
    done = CliRunner().invoke(main, ["explain", str(vignette), "--json"])
    assert (json.loads(done.stdout)["pathway"], json.loads(done.stdout)["label"]) == ("us-aafp", "confirmed")


def test_a_pathway_may_spell_a_display_and_word_a_phrase_in_its_own_way(small: SmallContent):
    small.change(
        "pathway.toml", "[fixed.incomplete]",
        '[displays]\nparaesthesia = "paresthesia"\n[messages.doubt]\nno-unit = "there is no unit"\n[fixed.incomplete]',
    )  # fmt: skip
    content = small.load()
    assert content.pathways["uk-small"].displays["paraesthesia"] == "paresthesia"
    assert content.pathways["uk-small"].messages["doubt.no-unit"] == "there is no unit"
    assert content.displays["paraesthesia"] == "paraesthesia"
    assert content.messages["doubt.no-unit"] == "the result has no unit"


@pytest.mark.parametrize(("kind", "key"), [("displays", "paraesthsia"), ("messages", "not-recoded")])
def test_a_display_or_phrase_that_nothing_asks_for_is_a_fault(small: SmallContent, kind: str, key: str):
    small.change("pathway.toml", "[fixed.incomplete]", f'[{kind}]\n{key} = "x"\n[fixed.incomplete]')
    assert small.fault().startswith(f"uk-small/pathway.toml {kind}: no {kind.removesuffix('s')} {key!r}. Did you mean")


def test_a_pathway_that_names_a_finding_states_the_optional_numbers_on_which_it_rests(small: SmallContent):
    with pytest.raises(ContentError) as error:
        load_content(small.folder, None, OPTIONAL)
    assert (
        "uk-small/notes.toml row \"undated\": the finding 'symptoms' rests on the threshold "
        "'b12-high-mass' (unit 'ng/L'), which the pathway does not state"
    ) in error.value.faults


def test_an_optional_number_is_accepted_in_its_unit_alone(small: SmallContent):
    stated = '[[threshold]]\nid = "b12-high-mass"\nvalue = 1000\nunit = "ng/L"\nstep = 1\n'
    small.change("thresholds.toml", "[[threshold]]", stated + ORIGIN + "[[threshold]]")
    load_content(small.folder, None, OPTIONAL)
    small.change("thresholds.toml", stated, stated.replace("ng/L", "pmol/L"))
    with pytest.raises(ContentError, match="unit is 'pmol/L'; it must be 'ng/L'"):
        load_content(small.folder, None, OPTIONAL)
