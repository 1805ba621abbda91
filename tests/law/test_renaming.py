"""Renaming every id changes nothing: no answer hangs on what a server calls its resources."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from tests.blocks import blocks, failures
from tests.depth import chosen
from tests.law.damages import copied, resources_in
from tests.law.law import Case, cases

CASES = dict([*cases().items()][:: chosen(3, 1)])  # of the golden requests and the vignettes


def renamed(case: Case, salt: str) -> dict[str, Any]:
    """The call with other ids for everything but the patient, and the references that go with them."""
    names: dict[str, str] = {}
    for _, resource in resources_in(case.call):
        for each in (resource, *resource.get("contained", ())):
            if each["resourceType"] != "Patient" and isinstance(each.get("id"), str):
                names[each["id"]] = hashlib.sha256(f"{salt}{each['id']}".encode()).hexdigest()[:12]

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            changed = {key: new(key, walk(part)) for key, part in value.items()}
            is_patient = value.get("resourceType") == "Patient" and "id" in value
            return changed | {"id": value["id"]} if is_patient else changed
        return [new("selections", walk(part)) for part in value] if isinstance(value, list) else value

    def new(key: str, value: Any) -> Any:
        if key == "id" and value in names:
            return names[value]
        if key in ("reference", "selections") and isinstance(value, str):
            head, slash, tail = value.rpartition("/")
            if head.endswith("Patient"):
                return value
            mark = "#" if tail.startswith("#") else ""
            tail = tail.removeprefix("#")
            return f"{head}{slash}{mark}{names.get(tail, tail)}"
        return value

    call = copied(case.call)
    call["prefetch"] = walk(call.get("prefetch", {}))
    call["context"] = walk(call["context"])
    return call


def said(case: Case, call: dict[str, Any]) -> tuple[Any, ...]:
    """What an answer says, without the ids that stand in it."""
    found = case.answered(call)
    assert found is not None
    cards = [(card["indicator"], card["summary"], card.get("detail")) for card in found.cards]
    return found.status, found.decision.rows, json.dumps(cards)


def stays_the_same(name: str) -> None:
    case = CASES[name]()
    before = said(case, case.call)
    for salt in "ab":
        assert said(case, renamed(case, salt)) == before


@pytest.mark.parametrize("block", blocks(CASES))
def test_renaming_every_id_changes_nothing(block):
    assert not failures(block, stays_the_same)
