"""HAPI's validator finds no error in any order that a card can suggest: of the content, and of the golden answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cds_service.fhir.drafts import as_care_plan, as_task, build_drafts, problem
from tests import golden
from tests.book import PATHWAYS, content
from tests.contract.hapi import Hapi
from tests.contract.test_hapis_cds_hooks import actions, answers

pytestmark = pytest.mark.needs("java", "maven")
PATIENT = "Patient/dietary"


def of_content(name: str) -> Iterator[dict[str, Any]]:
    """Every test, regimen and follow-up of a pathway as a draft; follow-ups in each form that a site may choose."""
    pathway = content().pathways[name]
    drafts = build_drafts(content(), pathway)
    yield from (drafts.test(each, PATIENT, each, golden.DAY) for each in pathway.orderables)
    yield from (drafts.medicine(each, PATIENT, each, golden.DAY) for each in pathway.regimens)
    later = [drafts.follow_up(each, PATIENT, each.id, golden.DAY) for each in pathway.follow_ups.values()]
    yield from later
    yield from (as_task(each) | {"id": f"task-{each['id']}"} for each in later)
    if later:
        yield as_care_plan(later) | {"id": "plan"}
    yield problem(PATIENT, "metformin", golden.DAY) | {"id": "problem"}


@pytest.mark.parametrize("pathway", PATHWAYS)
def test_every_draft_of_the_content_is_valid(server: Hapi, pathway: str):
    drafts = [*of_content(pathway)]
    faults = {each["id"]: server.faults(each) for each in drafts}
    assert {name: found for name, found in faults.items() if found} == {}
    print(f"{pathway}: {len(drafts)} drafts are valid")


def test_every_draft_of_the_golden_answers_is_valid(server: Hapi):
    """But for what a client sent in a shape that is no FHIR and gets back with another medicine: `update`."""
    made = [
        each["resource"]
        for body in answers().values()
        for each in actions(json.loads(body))
        if each["type"] == "create"
    ]
    distinct = {json.dumps(each | {"id": "x"}, sort_keys=True): each for each in made}
    faults = {each["id"]: server.faults(each) for each in distinct.values()}
    assert len(faults) > 20
    assert {name: found for name, found in faults.items() if found} == {}
