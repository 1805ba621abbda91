"""Nothing falls silent: the law, tried on golden requests and vignettes, in the process and over HTTP."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import datetime
from functools import cache
from itertools import islice

import pytest
from flask import Flask
from werkzeug.test import Client

from cds_service.app import create_app
from cds_service.cdshooks.registry import HOOKS
from cds_service.settings import Settings
from tests import depth
from tests.blocks import blocks, failures
from tests.hooks.calling import ENVIRON
from tests.law.damages import CALLS, DAMAGES, SEARCHES, damages
from tests.law.law import NAMED, SERIOUS, Case, cases, kept, serious

EACH, OVER_HTTP = depth.chosen((2, 3), (None, None))  # damages of each call; None: all of them
CASES = cases()


def some(case: Case, count: int | None) -> list[tuple[str, dict]]:
    """So many damages of a call, always the same."""
    every = list(damages(case.call))
    random.Random(case.name).shuffle(every)
    made = ((what, call) for what, make in every if (call := make()) is not None)
    return list(made if count is None else islice(made, count))


def test_the_catalogue_is_large_enough():
    assert len(DAMAGES) + len(SEARCHES) + len(CALLS) >= 25


def nothing_falls_silent(name: str) -> None:
    case = CASES[name]()
    before = case.answered(case.call)
    if before is None or not serious(before):
        return
    silent = [what for what, call in some(case, EACH) if not kept(before, case.answered(call))]
    assert not silent


@pytest.mark.parametrize("block", blocks(CASES))
def test_what_a_damage_takes_from_an_answer_is_named(block):
    assert not failures(block, nothing_falls_silent)


@cache
def app(now: datetime) -> Flask:
    return create_app(Settings(demo=True, store_url="none"), clock=lambda: now)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("golden ")])
def test_the_same_over_http(name):
    case = CASES[name]()
    client, address = Client(app(case.now)), f"/cds-services/{HOOKS[case.call['hook']].service_id}"

    def cards(call: dict) -> list[dict] | None:
        body = json.dumps(call)
        answer = client.post(address, data=body, content_type="application/json", environ_overrides=ENVIRON)
        assert answer.status_code in (200, 400, 412)
        return answer.json["cards"] if answer.status_code == 200 else None

    before = {each["source"]["topic"]["code"] for each in cards(case.call) or () if each["indicator"] in SERIOUS}
    for what, call in some(case, OVER_HTTP) if before else ():
        after = cards(call)
        topics = {each["source"]["topic"]["code"] for each in after or ()}
        texts = " ".join(f"{each['summary']} {each.get('detail', '')}" for each in after or ())
        assert after is None or before <= topics or NAMED.search(texts), what


def test_silence_would_be_found():
    for case in (made() for made in CASES.values()):
        before = case.answered(case.call)
        if before is not None and serious(before):
            assert kept(before, before)
            assert not kept(before, replace(before, shown=(), cards=[]))
            return
    raise AssertionError("no call has a serious card")
