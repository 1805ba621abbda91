"""A site's folder in the service: what its clinicians see, which codes are found, and whose setting holds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cds_service.app import client_config
from cds_service.cli import main
from cds_service.content.content import Content, load_content
from cds_service.content.files import cards_folder
from cds_service.examples.vignette_fhir import request_bytes
from cds_service.examples.vignettes import DEFAULT_DAY, Vignette
from cds_service.settings import Settings, SettingsError
from cds_service.site_trial import played
from tests.book import FIXTURES, content, overlaid, play, service

BATH = FIXTURES / "sites" / "ruh-bath"
HOSPITAL = "http://hospital.example.org/lab"
LIST = "urn:com.epic.cdshooks.action.code.system.preference-list-item"
NOT_APPROVED = "Not yet approved locally."


@pytest.fixture
def site(tmp_path: Path) -> Any:
    """Writes the files of a site's folder, and loads our content with it."""

    def load(**files: str) -> Content:
        for name, text in files.items():
            path = tmp_path / "site" / name.replace("__", "/").replace("_", "-").replace("-toml", ".toml")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return load_content(cards_folder(), tmp_path / "site")

    return load


def run(*arguments: Any, **environment: str) -> Result:
    unset = dict.fromkeys(("CDS_DEMO", "CDS_PATHWAY", "CDS_PREFETCH", "CDS_TIME_ZONE", "CDS_SITE_DIR"))
    return CliRunner(env={**unset, **environment}).invoke(main, [str(each) for each in arguments])


def patient(overlay: str = "ruh-bath", **told: Any) -> Vignette:
    return Vignette("made-up", "A made-up patient", DEFAULT_DAY, "uk-ng239", told, {}, overlay)


def deficient(overlay: str = "ruh-bath") -> Vignette:
    return patient(overlay, lab=[{"analyte": "b12", "value": 140, "unit": "ng/L", "days_ago": 5}])


def test_an_approved_card_no_longer_says_that_nobody_has_approved_it():
    assert all(NOT_APPROVED in card["detail"] for card in play(deficient("")).cards)
    assert overlaid(BATH).is_approved
    assert not any(NOT_APPROVED in card["detail"] for card in play(deficient()).cards)


def test_what_does_not_fit_as_a_suggestion_stands_in_the_text_in_the_order_of_the_table(site: Any):
    plain = play(deficient("")).cards[0]
    offered = [each["label"] for each in plain["suggestions"]]
    local = client_config(Settings(demo=True), site(site_toml="[cards]\nmost_suggestions = 2\n"))
    assert local.cards.max_suggestions == 2
    card = played(deficient(""), local).cards[0]
    assert [each["label"] for each in card["suggestions"]] == offered[:2]
    words = card["detail"].partition("**Further suggestions**, to be ordered by hand: ")[2].partition(".")[0]
    further = words.split("; ")
    assert [each for each in offered[2:] if each in further] == further, "a regimen in the text is not repeated"
    assert further[0] == offered[2]


def test_a_site_may_want_no_suggestions_at_all(site: Any):
    local = client_config(Settings(demo=True), site(site_toml="[cards]\nmost = 1\nmost_suggestions = 0\n"))
    (card,) = played(deficient(""), local).cards
    assert not {"suggestions", "selectionBehavior"} & card.keys()
    regimen = local.pathway.regimens["cyanocobalamin-1-2mg"].words.rstrip(".")
    assert regimen in card["detail"]


def test_what_the_folder_states_and_the_environment_contradicts_stops_the_start(site: Any):
    london = site(site_toml='time_zone = "Europe/London"\n')
    assert str(client_config(Settings(demo=True), london).zone) == "Europe/London"
    assert str(client_config(Settings(demo=True, time_zone="Europe/London"), london).zone) == "Europe/London"
    with pytest.raises(SettingsError, match=r"CDS_TIME_ZONE is UTC, but site\.toml states Europe/London"):
        client_config(Settings(demo=True, time_zone="UTC"), london)


def test_a_draft_carries_the_key_of_the_preference_list():
    vignette = patient(
        lab=[{"analyte": "b12", "value": 160, "unit": "ng/L", "days_ago": 5}],
        problem=[{"concept": "fatigue", "days_ago": 30}],
    )
    orders = [each["actions"][0]["resource"] for card in play(vignette).cards for each in card["suggestions"]]
    (mma,) = [order for order in orders if order["code"]["text"].startswith("Methylmalonic")]
    assert [each["system"] for each in mma["code"]["coding"]] == ["http://loinc.org", LIST]
    assert mma["code"]["coding"][1]["code"] == "LAB-4711"


def test_a_test_that_is_ordered_by_its_local_key_is_not_suggested_again():
    told = {
        "lab": [{"analyte": "b12", "value": 160, "unit": "ng/L", "days_ago": 5}],
        "problem": [{"concept": "fatigue", "days_ago": 30}],
    }
    ordered = {"resourceType": "ServiceRequest", "id": "s1", "status": "active", "intent": "order",
               "subject": {"reference": "Patient/pt-1"}, "code": {"coding": [{"system": LIST, "code": "LAB-4711"}]},
               "authoredOn": "2026-01-10"}  # fmt: skip
    found = answered_json(request_of(patient(**told), orders=ordered), BATH)
    labels = [each["label"] for card in found["cards"] for each in card.get("suggestions", ())]
    assert labels
    assert not any("MMA" in label for label in labels)


@pytest.mark.parametrize(
    ("told", "kind", "key", "row"),
    [
        ({"orderable": "b12-total"}, "code", "LAB-4710", "orders/O3"),
        ({"ingredient": "hydroxocobalamin"}, "medicationCodeableConcept", "MED-0815", "orders/O8"),
    ],
)
def test_a_selected_order_is_recognised_by_the_sites_own_key_alone(told: Any, kind: str, key: str, row: str):
    asked = patient(problem=[{"concept": "pregnancy", "days_ago": 30}], selected=[told])
    request = request_of(replace(asked, hook="order-select"))
    (drafted,) = request["context"]["draftOrders"]["entry"]
    drafted["resource"][kind] = {"coding": [{"system": LIST, "code": key}]}
    assert row in answered_json(request, BATH)["rows"]
    unread = kind == "medicationCodeableConcept"  # a medicine that nobody can read is never silence
    assert row not in answered_json(request, None, answered=not unread)["rows"]


def request_of(vignette: Vignette, **more: Any) -> dict[str, Any]:
    """The call about a vignette's patient, with one more resource under some keys."""
    request = json.loads(request_bytes(vignette, content()))
    for key, resource in more.items():
        request["prefetch"][key].setdefault("entry", []).append({"resource": resource})
    return request


def answered_json(request: dict[str, Any], site_dir: Path | None, answered: bool = True) -> dict[str, Any]:
    """What `b12-cds explain --json` says of a saved call, which the service answers or refuses."""
    with TemporaryDirectory() as folder:
        saved = Path(folder, "request.json")
        saved.write_text(json.dumps(request), encoding="utf-8")
        where = {"CDS_SITE_DIR": str(site_dir)} if site_dir else {}
        result = run("explain", "--json", "--as-of", "2026-01-15", saved, **where)
    assert (result.exit_code == 0) == answered, result.output
    return json.loads(result.stdout)


def local_result(name: str = "Vitamin B12", code: str = "B12", unit: str = "ng/L", **changed: Any) -> dict[str, Any]:
    coding = {"system": HOSPITAL, "code": code, "display": name}
    return {
        "resourceType": "Observation", "id": "local", "status": "final", "subject": {"reference": "Patient/pt-1"},
        "code": {"coding": [coding]}, "effectiveDateTime": "2026-01-10", "valueQuantity": {"value": 140, "unit": unit},
        **changed,
    }  # fmt: skip


def test_a_result_coded_only_locally_is_listed_with_the_line_that_maps_it_and_then_it_is_read(tmp_path: Path):
    request = request_of(patient(""), b12=local_result())
    before = answered_json(request, None)
    assert before["label"] == "not-assessable"
    (ignored,) = before["ignored"]
    line = f"{HOSPITAL},B12,Vitamin B12,mass,site"
    assert ignored == {
        "reference": "Observation/local",
        "reason": f'not mapped: add "{line}" to value-sets/lab-b12.csv if it is total B12 in serum or plasma',
    }
    folder = tmp_path / "value-sets"
    folder.mkdir()
    (folder / "lab-b12.csv").write_text(f"system,code,display,use,source\n{line}\n", encoding="utf-8")
    after = answered_json(request, tmp_path)
    assert (after["label"], after["ignored"]) == ("confirmed", [])
    prefetch = run("prefetch", CDS_SITE_DIR=str(tmp_path)).stdout
    assert "code=B12," in prefetch


@pytest.mark.parametrize(
    ("name", "unit", "line"),
    [
        ("Active B12 (holoTC)", "pmol/L", f"{HOSPITAL},X1,Active B12 (holoTC),,site"),
        ("Methylmalonic acid", "nmol/L", f"{HOSPITAL},X1,Methylmalonic acid,molar,site"),
        ("Homocysteine", "furlongs", f"{HOSPITAL},X1,Homocysteine,either,site"),
        ("B12, serum", "pmol/L", f'{HOSPITAL},X1,"B12, serum",molar,site'),
        ("B12\x1b[2J\n", "ng/L", f"{HOSPITAL},X1,B12 [2J,mass,site"),
    ],
)
def test_the_line_tells_use_from_the_unit_and_can_be_pasted(name: str, unit: str, line: str):
    found = answered_json(request_of(patient(""), b12=local_result(name, "X1", unit)), None)
    assert f'add "{line}" to' in found["ignored"][0]["reason"]


@pytest.mark.parametrize("name", ["Ferritin", "Vitamin B12 and folate", "MMA, urine", "Homocysteine/creatinine ratio"])
def test_ordinary_results_and_other_fluids_are_not_listed_as_unmapped(name: str):
    found = answered_json(request_of(patient(""), chemistry=local_result(name, "X1")), None)
    assert not any("not mapped" in each["reason"] for each in found["ignored"])


def test_a_code_without_a_system_cannot_be_mapped_and_is_said_to_be():
    given = local_result() | {"code": {"coding": [{"code": "B12", "display": "Vitamin B12"}]}}
    (ignored,) = answered_json(request_of(patient(""), b12=given), None)["ignored"]
    assert "its code has no system" in ignored["reason"]


def test_a_vignette_brings_its_example_site_and_an_unknown_one_is_told(tmp_path: Path):
    found = run("explain", "--json", FIXTURES / "vignettes/uk-ng239/site-144-is-deficient.toml")
    assert json.loads(found.stdout)["label"] == "confirmed"
    for name, said in (("nowhere", "there is no folder"), ("../cards", "it may hold a-z, 0-9 and - only")):
        path = tmp_path / "lost.toml"
        path.write_text(f'title = "Lost"\noverlay = "{name}"\n', encoding="utf-8")
        result = run("explain", path)
        assert result.exit_code == 2
        assert said in result.stderr


def test_a_client_may_take_fewer_than_the_site_allows():
    at_bath = service("uk-ng239", BATH)
    assert at_bath.cards.max_suggestions == 4
    fewer = replace(at_bath, cards=replace(at_bath.cards, max_suggestions=1))
    assert all(len(card.get("suggestions", ())) <= 1 for card in played(deficient(), fewer).cards)
