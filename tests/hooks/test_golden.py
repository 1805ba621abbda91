"""Golden pairs: what a client sends, and byte by byte what it is answered. fixtures/golden/README.md: how to renew."""

from __future__ import annotations

from datetime import datetime
from functools import cache

import pytest
from flask import Flask
from jsonschema import Draft202012Validator
from werkzeug.test import Client, TestResponse

from tests import golden
from tests.api import HOOKS, Settings, create_app, load_schema, schema_of
from tests.hooks.calling import ENVIRON

RESPONSE = Draft202012Validator(load_schema("response"))
REQUESTS = {hook.id: Draft202012Validator(schema_of(hook.envelope)) for hook in HOOKS.values()}
RENEWED = "it was missing and has been written: read it, then run this again"


@cache
def app(now: datetime) -> Flask:
    return create_app(Settings(demo=True, store_url="none"), clock=lambda: now)


def answer(pair: golden.Pair) -> TestResponse:
    """What the service answers to the request on its day."""
    body = pair.request.read_bytes()
    client = Client(app(pair.now))
    return client.post(pair.address, data=body, content_type="application/json", environ_overrides=ENVIRON)


@pytest.mark.parametrize("patient", golden.patients())
def test_the_request_about_a_fixture_patient_is_what_its_record_gives(patient):
    pair, expected = golden.Pair(patient), golden.request_of(patient)
    assert not golden.written(pair.request, expected), f"{pair.request.name}: {RENEWED}"
    assert pair.request.read_bytes() == expected


@pytest.mark.parametrize("name", golden.names())
def test_each_request_gets_exactly_its_answer(name):
    pair = golden.Pair(name)
    assert pair.request.exists(), f"{pair.request.name} is missing: the test of the fixture patients writes it"
    response = answer(pair)
    body = golden.indented(response.data)
    assert not golden.written(pair.response, body), f"{pair.response.name}: {RENEWED}"
    assert body.decode() == pair.response.read_text(encoding="utf-8")
    assert response.status_code == (200 if "cards" in response.json else 412)


@pytest.mark.parametrize("name", golden.names())
def test_requests_and_answers_keep_our_schemas(name):
    pair = golden.Pair(name)
    response = answer(pair)
    if response.status_code == 200:
        assert not list(RESPONSE.iter_errors(response.json))
    assert not list(REQUESTS[golden.decoded(name)["hook"]].iter_errors(golden.decoded(name)))


def test_no_answer_is_left_without_its_request():
    answers = {path.name.partition(".")[0] for path in golden.FOLDER.glob("*.response.json")}
    assert answers <= set(golden.names())
