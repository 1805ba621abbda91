"""A client that is known to speak CDS Hooks 3.0 hears more; what it is advised is the same."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cds_service.cdshooks.registry import BALLOT, HOOKS
from cds_service.cdshooks.schemas import load_schema
from cds_service.conform.checklist import FAIL, PASS
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
    assert new == old


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
    assert "20" not in [number for number, each in found.items() if each.outcome == FAIL]
