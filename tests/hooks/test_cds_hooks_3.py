"""A client that is known to speak CDS Hooks 3.0 hears more; what it is advised is the same."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cds_service.cdshooks.registry import BALLOT, HOOKS, Context, Hook
from cds_service.cdshooks.schemas import load_schema
from cds_service.conform.checklist import FAIL, PASS
from cds_service.fhir.tokens import check
from tests import golden
from tests.conform.trying import sending, tried, under_trial
from tests.hooks.invariants import faults
from tests.hooks.ordering import draft, drafts, select
from tests.hooks.tokens import PUBLIC, Gated, claims, signed

NEW = {"iss": "https://new.example.org", "cds_hooks": "3.0", "replacing": "delete-and-create"}
OLD = {"replacing": "delete-and-create"}


@pytest.fixture
def both(tmp_path: Path) -> Gated:
    """A client of 2.0, and one of 3.0, on the day of the golden pairs."""
    gated = Gated(tmp_path, main=OLD, new=NEW)
    gated.now = golden.NOW
    return gated


def token(iss: str, path: str) -> str:
    now = golden.NOW.timestamp()
    return signed(claims(iss=iss, aud=PUBLIC + path, iat=now, exp=now + 300))


def asked(gated: Gated, iss: str, request: Any, path: str) -> dict[str, Any]:
    answer = gated.post(request, token(iss, path), path)
    assert answer.status_code == 200, answer.text
    return answer.json


def listed(gated: Gated, iss: str) -> list[dict[str, Any]]:
    return gated.open("GET", "/cds-services", token(iss, "/cds-services")).json["services"]


def test_items_20_and_21_discovery_says_the_versions(both: Gated):
    old, new = listed(both, claims()["iss"]), listed(both, NEW["iss"])
    assert not any({"version", "hookVersion"} & each.keys() for each in old)
    said = {each["hook"]: (each.pop("version"), each.pop("hookVersion")) for each in new}
    assert said == {hook.id: (BALLOT, "1.0") for hook in HOOKS.values()}
    for entry in new:
        entry["prefetch"].pop("orderedMedications", None)
    assert new == old


def test_item_42_fhirpath_stands_in_templates_of_orders_for_clients_of_3_0_alone(both: Gated):
    old, new = listed(both, claims()["iss"]), listed(both, NEW["iss"])
    assert not any("orderedMedications" in each["prefetch"] for each in old)
    with_it = {each["hook"] for each in new if "orderedMedications" in each["prefetch"]}
    assert with_it == {hook.id for hook in HOOKS.values() if hook.carries_orders} == {"order-select", "order-sign"}
    fhirpath = [text for each in new for text in each["prefetch"].values() if "ofType" in text]
    assert len(fhirpath) == 2
    for text in fhirpath:
        check(text)


MEDICATION = {"resourceType": "Medication", "id": "m-7", "code": {"text": "Cyanocobalamin 50 microgram tablets"}}
REFERRING = {"medicationReference": {"reference": "Medication/m-7"}}


def by_reference(**sent: Any) -> Any:
    """An order that names its medicine by reference alone."""
    opening = golden.decoded("neuro-metformin")
    patient = {"reference": f"Patient/{opening['context']['patientId']}"}
    ordering = select(drafts({"resourceType": "MedicationRequest", "id": "o1", "status": "draft", "intent": "order",
                              "subject": patient, **REFERRING}))  # fmt: skip
    prefetch = {**opening["prefetch"], **sent}
    return {**ordering, "prefetch": prefetch, "context": ordering["context"] | opening["context"]}


@pytest.mark.parametrize(
    "sent",
    [
        {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": MEDICATION}]},
        {"resourceType": "Bundle", "type": "searchset",
         "entry": [{"resource": MEDICATION, "search": {"mode": "include"}}]},
        MEDICATION,
    ],
)  # fmt: skip
def test_a_medicine_that_came_along_is_read_and_not_missed(both: Gated, sent: Any):
    path = "/cds-services/b12-order-select"
    iss = NEW["iss"]
    without = both.post(by_reference(), token(iss, path), path)
    assert without.status_code == 412
    assert "an order could not be read, or its medicine is not named" in without.text
    for key in ("orderedMedications", "some-name-of-the-clients"):
        found = asked(both, iss, by_reference(**{key: sent}), path)
        assert found["cards"][0]["summary"].startswith("The B12 order and the regimen")


def test_a_hook_with_a_template_that_nobody_resolves_is_not_registered():
    with pytest.raises(ValueError, match=r"hook 'x' has a template 'k' with a token today\(\) - 1 year: .* allowed: "):
        Hook("x", Context, title="t", description="{pathway}", later_prefetch={"k": "A?b={{today() - 1 year}}"})


def test_both_answers_of_discovery_keep_the_published_schema(both: Gated):
    for iss in (claims()["iss"], NEW["iss"]):
        listing = both.open("GET", "/cds-services", token(iss, "/cds-services")).json
        assert not list(Draft202012Validator(load_schema("discovery")).iter_errors(listing))


def calls() -> list[tuple[Any, str]]:
    """A call with several actions in one suggestion as a follow-up, and one as a replacement."""
    opening = golden.decoded("neuro-metformin")
    tablets = {"text": "Cyanocobalamin 50 microgram tablets"}
    patient = {"reference": f"Patient/{opening['context']['patientId']}"}
    ordering = select(drafts(draft("o1", subject=patient, medicationCodeableConcept=tablets)))
    ordering = {**ordering, "prefetch": opening["prefetch"], "context": ordering["context"] | opening["context"]}
    return [(opening, "/cds-services/b12-patient-view"), (ordering, "/cds-services/b12-order-select")]


def suggestions(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for card in answer["cards"] for each in card.get("suggestions", ())]


def without_ids(answer: dict[str, Any]) -> Any:
    """Ids are of one client."""
    bare = deepcopy(answer)
    for card in bare["cards"]:
        card.pop("uuid")
        for suggestion in card.get("suggestions", ()):
            suggestion.pop("uuid")
            suggestion.pop("actionSelectionBehavior", None)
            for action in suggestion["actions"]:
                action.get("resource", {}).pop("id", None)
    return bare


@pytest.mark.parametrize("number", [0, 1])
def test_item_96_actions_that_belong_together_say_so_to_clients_of_3_0_alone(both: Gated, number: int):
    request, path = calls()[number]
    old, new = asked(both, claims()["iss"], request, path), asked(both, NEW["iss"], request, path)
    several = [each for each in suggestions(new) if len(each["actions"]) > 1]
    assert several
    assert [each["actionSelectionBehavior"] for each in several] == ["all"] * len(several)
    assert not any("actionSelectionBehavior" in each for each in suggestions(new) if len(each["actions"]) == 1)
    assert not any("actionSelectionBehavior" in each for each in suggestions(old))
    assert without_ids(old) == without_ids(new)
    assert not list(Draft202012Validator(load_schema("response")).iter_errors(new))
    assert faults(new) == []


def test_conform_finds_the_versions_of_a_service_for_3_0(tmp_path: Path):
    """Its only client speaks 3.0, so that discovery without a token is that client's."""
    gated = Gated(tmp_path, main={"cds_hooks": "3.0"})
    gated.now = datetime(2026, 11, 28, 12, tzinfo=UTC)
    found = tried(under_trial(sending(gated.app), origin=""))
    assert [found[number].outcome for number in ("20", "21")] == [PASS, PASS]
    assert found["42"].outcome == PASS
    assert "20" not in [number for number, each in found.items() if each.outcome == FAIL]
