"""What one call may cost is estimated before anything is decoded, and what all calls hold together is bounded."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cds_service import evaluate as evaluating
from cds_service.app import create_app
from cds_service.bounds import FACTOR, MEGABYTE, MemoryLimit, OutOfTime, TooCostly, TooMuchHeld, memory_of
from cds_service.cdshooks.requests import read_request
from cds_service.evaluate import CallTime, evaluate
from cds_service.fetching import FetchFailed
from cds_service.settings import Settings
from cds_service.web.calls import holding
from tests import book, golden
from tests.hooks.calling import Answers, Caller, body, one_issue
from tests.hooks.living import TODAY, b12, bundle, prefetch


def packed(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def test_a_short_body_with_very_many_objects_is_413_before_it_is_decoded():
    odd = {"resourceType": "Observation", "contained": []}
    sent = packed(body(prefetch={"b12": odd})).replace(
        b'"contained":[]', b'"contained":[' + b"{}," * 1_000_000 + b"{}]"
    )
    caller = Caller()
    issue = one_issue(caller.post(sent), 413)
    assert (issue["code"], issue["details"]["text"]) == ("too-long", "the body holds more objects than one call may")
    assert not caller.answers.calls


def test_a_real_record_of_the_largest_size_may_be_decoded():
    recorded = [*(Path(__file__).parent / "calls").glob("*.json"), *golden.FOLDER.glob("sandbox*.request.json")]
    assert len(recorded) > 5
    for path in recorded:
        real = packed(json.loads(path.read_text()))
        assert memory_of(real) / len(real) < FACTOR, path


def test_calls_together_hold_no_more_than_the_process_may():
    limit = MemoryLimit(MEGABYTE)
    with limit.call() as first, limit.call() as second:
        first.hold(10 * MEGABYTE)
        second.hold(6 * MEGABYTE)
        with pytest.raises(TooMuchHeld):
            second.hold(3 * MEGABYTE)
        with pytest.raises(TooCostly):
            first.hold(9 * MEGABYTE)
    with limit.call() as third:
        third.hold(FACTOR * MEGABYTE)
        assert third.amount == FACTOR * MEGABYTE


def test_what_calls_hold_is_counted_over_all_threads():
    limit, refused = MemoryLimit(MEGABYTE), []
    everybody, done = threading.Barrier(8), threading.Barrier(8)

    def call() -> None:
        with limit.call() as held:
            everybody.wait()
            try:
                held.hold(3 * MEGABYTE)
            except TooMuchHeld:
                refused.append(1)
            done.wait()

    threads = [threading.Thread(target=call) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(refused) == 2
    with limit.call() as held:
        held.hold(FACTOR * MEGABYTE)


def test_a_call_that_cannot_be_held_just_now_is_503_and_answered_afterwards():
    caller = Caller()
    with caller.memory.call() as other:
        other.hold(caller.memory.most)
        response = caller.post(body())
        assert one_issue(response, 503)["code"] == "transient"
        assert response.headers["Retry-After"] == "1"
    assert caller.post(body()).status_code == 200


def test_an_answer_of_a_fhir_server_that_costs_too_much_is_data_that_was_not_read():
    limit = MemoryLimit(MEGABYTE)
    with limit.call() as held:
        fetch = holding(lambda target, deadline: b"{}," * 100_000, held)
        assert fetch is not None
        with pytest.raises(FetchFailed, match="holds more than can be read"):
            fetch("Patient/1", 0.0)
    assert holding(None, held) is None


def test_the_largest_body_is_a_setting():
    app = create_app(Settings(demo=True, store_url="none", max_body_mb=7))
    assert app.config["MAX_CONTENT_LENGTH"] == 7 * MEGABYTE + 1


def test_a_record_that_cannot_be_read_in_its_time_is_503_and_never_late():
    sent = body(prefetch=prefetch(b12=bundle(*(b12(150, id=f"b{place}") for place in range(300)))))
    request = read_request(packed(sent), "patient-view")
    client = replace(book.service("uk-ng239"), default_seconds=-1.0)
    with pytest.raises(OutOfTime):
        evaluate(request, client, CallTime(TODAY))
    assert evaluate(request, client, CallTime(TODAY, seconds=book.NEVER)).status == 200


def test_a_record_that_cannot_be_judged_in_its_time_is_given_up_after_each_step(monkeypatch):
    """The clock jumps after each look at it in turn: read, assessed, decided."""
    request = read_request(packed(body(prefetch=prefetch(b12=bundle(b12(150))))), "patient-view")
    client = book.service("uk-ng239")
    for step in range(3):
        looks = iter([0.0] * step)
        monkeypatch.setattr(evaluating, "time", SimpleNamespace(monotonic=lambda looks=looks: next(looks, 1_000.0)))
        with pytest.raises(OutOfTime):
            evaluate(request, client, CallTime(TODAY, arrived=0.0))
        assert not [*looks]
    monkeypatch.setattr(evaluating, "time", SimpleNamespace(monotonic=lambda: 0.0))
    assert evaluate(request, client, CallTime(TODAY, arrived=0.0)).status == 200


def test_what_is_given_up_is_503_and_the_client_comes_again():
    sent = body(prefetch=prefetch(b12=bundle(b12(150))))
    caller = Caller(Answers(bug=OutOfTime()))
    assert one_issue(caller.post(sent), 503)["code"] == "transient"
