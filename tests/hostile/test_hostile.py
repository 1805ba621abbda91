"""Nothing that comes in breaks the service or holds it up: mutants of good calls, feedback, pages and FHIR answers.

A sample on a change; 200,000 with --thorough. A failure names its mutant: `pytest -k "calls and 4700"` tries it again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import cache
from random import Random

import pytest
from flask import Flask
from jsonschema import Draft202012Validator
from werkzeug.test import Client, TestResponse

from cds_service.cdshooks.requests import read_request
from cds_service.cdshooks.schemas import load_schema
from cds_service.evaluate import CallTime, evaluate
from cds_service.fetching import FetchFailed
from cds_service.fhir.templates import fill
from tests import golden
from tests.book import service
from tests.depth import chosen
from tests.endings import ended
from tests.hooks import living
from tests.hooks.calling import ENVIRON, PATH
from tests.hooks.given_feedback import CARD, item
from tests.hooks.invariants import faults
from tests.hostile.mutants import hostile_text, mutant
from tests.pages.visiting import AT_180, Visitor, demo, fields

AT_ONCE = 50  # mutants in one test
LONG = 600.0  # seconds for a call that fetches: nothing here is about deadlines
SECONDS = 2.0  # of CPU for one of them: many times what the largest good one takes
RESPONSE = Draft202012Validator(load_schema("response"))
OUTCOME = Draft202012Validator(load_schema("operation-outcome"))
GOOD_FEEDBACK = [
    json.dumps({"feedback": each}).encode()
    for each in (
        [item()],
        [item(overrideReason={"reason": {"code": "patient-refuses", "system": "x"}, "userComment": "no"})],
        [item(outcome="accepted", acceptedSuggestions=[{"id": CARD}]), item(), item(card=CARD.upper())],
    )
]
FORMS = ("/", "/evidence", "/feedback", "/tray", "/request.json", "/fhir", "/fhir/cards")
ADDRESSES = ("/", "/examples", "/fhir", "/content", "/content/value-sets", "/content/difference", "/content/changes",
             "/content/pathways/uk-ng239", "/static/", "/cds-services", "/openapi.json")  # fmt: skip


def numbers(usual: int, thorough: int) -> range:
    """The first mutant of each test."""
    return range(0, chosen(usual, thorough), AT_ONCE)


def is_sound(response: TestResponse) -> None:
    """An answer by the schema, or an error of the caller's in words; never one of ours."""
    assert response.status_code < 500, response.text
    if response.status_code == 200:
        assert not [fault.message for fault in RESPONSE.iter_errors(response.json)]
        assert not faults(response.json)
    else:
        OUTCOME.validate(response.json)


def tried(first: int, attempt: Callable[[int], None]) -> None:
    """So many mutants, each within its time."""
    for number in range(first, first + AT_ONCE):
        began = time.process_time()
        try:
            attempt(number)
        except Exception as error:
            raise AssertionError(f"mutant {number}: {type(error).__name__}: {error}") from error
        took = time.process_time() - began
        assert took < SECONDS, f"mutant {number} took {took:.1f} s"


@cache
def calls() -> list[tuple[str, bytes]]:
    """Every golden request, with its address."""
    pairs = [golden.Pair(name) for name in golden.names()]
    return [(pair.address, pair.request.read_bytes()) for pair in pairs]


@pytest.mark.parametrize("first", numbers(1_000, 110_000))
def test_no_call_breaks_the_service_or_holds_it_up(first):
    def attempt(number: int) -> None:
        path, good = calls()[number % len(calls())]
        is_sound(living.post(mutant(good, number), path=path))

    tried(first, attempt)


@pytest.fixture(scope="module")
def storing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """The service with a store."""
    with ended(demo(store_url=f"sqlite:///{tmp_path_factory.mktemp('hostile')}/store.sqlite")) as app:
        yield app


def give(app: Flask, body: bytes) -> TestResponse:
    return Client(app).post(f"{PATH}/feedback", data=body, content_type="application/json", environ_overrides=ENVIRON)


@pytest.mark.parametrize("first", numbers(300, 40_000))
def test_no_feedback_breaks_the_service_or_holds_it_up(first, storing):
    def attempt(number: int) -> None:
        response = give(storing, mutant(GOOD_FEEDBACK[number % len(GOOD_FEEDBACK)], number))
        assert response.status_code < 500, response.text
        if response.status_code != 200:
            OUTCOME.validate(response.json)

    tried(first, attempt)


@pytest.mark.parametrize("first", numbers(300, 30_000))
def test_no_answer_of_a_fhir_server_breaks_the_service_or_holds_it_up(first):
    def attempt(number: int) -> None:
        client, random = service("uk-ng239"), Random(number)
        patient = golden.patients()[number % len(golden.patients())]
        asked = json.loads(golden.request_of(patient))
        held = asked.pop("prefetch")
        answers = {fill(template, asked["context"]): held[key] for key, template in client.templates.items()}
        hostile = {*random.sample(sorted(answers), random.choice((1, 1, 2, len(answers))))}

        def fetch(target: str, _deadline: float) -> bytes:
            if target not in answers:
                raise FetchFailed("there is no such thing", 404)
            body = json.dumps(answers[target]).encode()
            return mutant(body, number) if target in hostile else body

        request = read_request(json.dumps(asked).encode(), asked["hook"])
        found = evaluate(request, client, CallTime(golden.NOW, seconds=LONG), fetch)
        assert found.status in (200, 412)
        assert not [fault.message for fault in RESPONSE.iter_errors({"cards": found.cards})]
        assert not faults({"cards": found.cards})

    tried(first, attempt)


@pytest.fixture(scope="module")
def visitor() -> Iterator[Visitor]:
    with ended(demo(store_url="none")) as app:
        yield Visitor(app)


@pytest.fixture(scope="module")
def form(visitor: Visitor) -> dict[str, str]:
    return fields(visitor.get(AT_180))


@pytest.mark.parametrize("first", numbers(200, 20_000))
def test_no_field_of_a_page_breaks_the_service_or_holds_it_up(first, visitor, form):
    def attempt(number: int) -> None:
        random = Random(number)
        if number % 4 == 0:
            names = random.sample(("patient", "pathway", "order", "today", "q", "site", "against", "page"), 3)
            query = {name: hostile_text(random)[:2_000].encode("utf-8", "surrogatepass") for name in names}
            response = visitor.client.get(
                random.choice(ADDRESSES) + random.choice(("", "x", "/", "%2e%2e/", "%00")), query_string=query
            )
        else:
            sent = dict(form)
            for name in random.sample(sorted(sent), random.randint(1, 4)):
                sent[name] = hostile_text(random).encode("utf-8", "replace").decode()
            if "request" in sent and random.random() < 0.5:
                sent["request"] = mutant(calls()[number % len(calls())][1], number).decode("utf-8", "replace")
            response = visitor.post(random.choice(FORMS), sent)
        assert response.status_code < 500, response.text
        if "<script>alert(1)" in response.text:  # the request as JSON: no browser may take it for a page
            assert response.mimetype == "application/json"
            assert response.headers.get("X-Content-Type-Options") == "nosniff"

    tried(first, attempt)


def test_a_number_makes_the_same_mutant_again():
    (_, good), *_ = calls()
    assert [mutant(good, number) for number in range(200)] == [mutant(good, number) for number in range(200)]
    assert len({mutant(good, number) for number in range(200)}) > 150


def test_the_good_ones_are_good(storing):
    assert {living.post(good, path=path).status_code for path, good in calls()} <= {200, 412}
    assert {give(storing, good).status_code for good in GOOD_FEEDBACK} == {200}
