"""A real client's reading of what we send: HAPI's own CDS Hooks classes parse every answer and give it back unchanged.

HAPI 8.8.0 does not know two things of CDS Hooks 2.0, `resourceId` of an action and `usageRequirements` of a service.
The tests say so exactly: when a later HAPI knows them, they fail and these exceptions go.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tests import golden
from tests.book import service
from tests.contract.hapi import echo

pytestmark = pytest.mark.needs("java", "maven")


def read(message: bytes) -> Any:
    """JSON with every digit of its numbers."""
    return json.loads(message, parse_float=Decimal)


def written(message: Any) -> bytes:
    return json.dumps(message).encode()


def answers() -> dict[str, bytes]:
    """Every golden answer that has cards; the others are OperationOutcomes."""
    bodies = {name: golden.Pair(name).response.read_bytes() for name in golden.names()}
    return {name: body for name, body in bodies.items() if "cards" in read(body)}


def actions(answer: Any) -> list[dict[str, Any]]:
    return [
        action
        for card in answer["cards"]
        for suggestion in card.get("suggestions", ())
        for action in suggestion["actions"]
    ]


def test_every_golden_answer_is_parsed_and_given_back_unchanged():
    sent = answers()
    assert len(sent) > 15
    back = dict(zip(sent, echo("response", [*sent.values()]), strict=True))
    refused = {name for name, body in back.items() if body.startswith(b"fault: ")}
    deleting = {name for name, body in sent.items() if any("resourceId" in each for each in actions(read(body)))}
    assert refused == deleting, {name: back[name] for name in refused}
    assert {back[name][7:].partition(b" (")[0] for name in refused} == {b'Unrecognized field "resourceId"'}
    assert [name for name in sent if name not in refused and read(back[name]) != read(sent[name])] == []


def test_what_removes_an_order_is_given_back_too_but_for_the_name_of_the_order():
    for body in answers().values():
        if any("resourceId" in each for each in actions(read(body))):
            without = json.loads(body)
            for each in actions(without):
                each.pop("resourceId", None)
            (back,) = echo("response", [written(without)])
            assert read(back) == read(written(without))
            return
    raise AssertionError("no golden answer removes an order")


@pytest.mark.parametrize("pathway", ["uk-ng239", "us-aafp"])
def test_discovery_is_parsed_and_given_back_unchanged(pathway: str):
    catalogue = service(pathway).discovery()
    known = [{k: v for k, v in each.items() if k != "usageRequirements"} for each in catalogue["services"]]
    whole, without = echo("discovery", [written(catalogue), written({"services": known})])
    assert whole.startswith(b'fault: Unrecognized field "usageRequirements"')
    assert read(without) == {"services": known}
