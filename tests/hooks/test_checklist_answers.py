"""The protocol checklist, section 2: templates (38 to 48), and the answers to every vignette (3 to 7, 71 to 106)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from operator import attrgetter
from urllib.parse import quote, urlsplit
from uuid import UUID

import pytest
from fhir.resources.R4B import get_fhir_model_class
from jsonschema import Draft202012Validator
from werkzeug.test import Client, TestResponse

from cds_service.app import create_app
from cds_service.cdshooks.schemas import load_schema
from cds_service.examples.vignette_fhir import request_bytes
from cds_service.settings import Settings
from tests import book
from tests.blocks import blocks, failures
from tests.endings import ended
from tests.hooks import living
from tests.hooks.calling import ENVIRON, PATH, Answers, Caller, body, request
from tests.hooks.invariants import empties, faults
from tests.hooks.living import bundle, get, post, prefetch, problem

TOKEN = "{{context.patientId}}"
called = attrgetter("name")
VIGNETTES = [each for each in book.book("uk-ng239") if not each.overlay]
RESPONSE = Draft202012Validator(load_schema("response"))


def templates(published: str = "full") -> dict[str, str]:
    return book.content().prefetch[published]


def not_approved() -> str:
    return book.content().messages["not-approved"]


@pytest.fixture(scope="module", params=blocks(VIGNETTES, called))
def answered(request):
    """Some vignettes, each with its answer over HTTP on the service's own day."""
    today = [replace(vignette, as_of=living.TODAY.date()) for vignette in request.param]
    return [(each.name, post(request_bytes(each, book.content()), path=f"/cds-services/b12-{each.hook}"))
            for each in today]  # fmt: skip


def of_each(answered: list[tuple[str, TestResponse]], check: Callable[[TestResponse], object]) -> list[str]:
    return failures(answered, lambda pair: check(pair[1]), lambda pair: pair[0])


def test_items_3_to_5_nothing_in_an_answer_is_null_or_empty(answered):
    assert not [name for name, answer in answered if list(empties(answer.json))]


def test_item_7_embedded_resources_are_fhir(answered):
    def are_fhir(answer: TestResponse) -> None:
        for card in answer.json.get("cards", []):
            for each in card.get("suggestions", []):
                for resource in (action["resource"] for action in each["actions"] if action["type"] != "delete"):
                    get_fhir_model_class(resource["resourceType"]).model_validate(resource)

    assert not of_each(answered, are_fhir)


# 2.4 Prefetch templates


@pytest.mark.parametrize("published", ["full", "minimal"])
def test_items_38_to_46_templates_keep_the_restricted_subset(published):
    for template in templates(published).values():
        parts = urlsplit(template)
        assert not parts.scheme
        assert not template.startswith("/")  # 38: relative
        assert set(re.findall(r"\{\{.*?\}\}", template)) == {TOKEN}  # 39 to 42
        if not parts.query:
            assert template == f"Patient/{TOKEN}"  # 43: instance read
            continue
        assert re.fullmatch(r"[A-Z][A-Za-z]+", parts.path)  # 43: type-level search
        pairs = [pair.split("=", 1) for pair in parts.query.split("&")]
        names = [name for name, _ in pairs]
        assert len(set(names)) == len(names)  # 46: never a parameter twice
        assert set(names) <= {"patient", "code", "_sort", "_count"}  # 43 to 45: no modifier, no status, no include
        told = dict(pairs)
        assert told["patient"] == TOKEN
        assert "code" not in told or parts.path == "Observation"  # 44
        assert "|" not in told.get("code", "")  # 44: bare codes
        assert told.get("_sort", "-date") == "-date"  # 45
        sent = quote(template.replace(TOKEN, "x" * 64), safe="?=&/,")
        assert len(sent.replace(",", "%2C")) <= 1500  # 44


def test_item_47_keys_are_plain_names():
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", key) for key in templates())
    assert get("/cds-services").json["services"][0]["prefetch"] == templates()


def test_items_47a_and_48_there_are_two_sets_and_the_minimal_one_asks_for_less():
    assert list(templates("minimal")) == ["patient", "b12", "bloodCount", "conditions", "medicationRequests"]
    assert templates("minimal").items() <= templates("full").items()
    minimal = {key: told for key, told in prefetch().items() if key in templates("minimal")}
    assert living.says_deficient(post(body(prefetch=minimal), prefetch="minimal"))


# 2.7 Response: envelope


def test_items_71_72_and_76_nothing_to_say_is_200_and_an_empty_list():
    response = post(
        body(prefetch=prefetch(b12=bundle(living.b12(value=..., valueQuantity={"value": 600, "unit": "ng/L"}))))
    )
    assert response.status_code == 200
    assert response.json == {"cards": []}


def test_items_71_73_and_79_to_106_every_answer_keeps_the_schema_and_the_invariants(answered):
    def keeps(answer: TestResponse) -> None:
        assert not list(RESPONSE.iter_errors(answer.json))
        assert not faults(answer.json, "pt-1")
        assert all(card["detail"].endswith(not_approved()) for card in answer.json["cards"])

    assert not of_each([pair for pair in answered if pair[1].status_code != 412], keeps)


def test_items_74_and_75_errors_carry_an_operation_outcome():
    response = post(body(prefetch={}))
    assert response.status_code == 412
    assert response.json["resourceType"] == "OperationOutcome"
    assert {issue["code"] for issue in response.json["issue"]} == {"incomplete"}


def test_item_79_the_same_call_gets_the_same_answer_and_another_one_other_ids():
    sent = body(prefetch=prefetch(conditions=bundle(problem())))
    first, second, other = post(sent), post(sent), post({**sent, "hookInstance": "other"})
    assert first.json == second.json
    ids = re.findall(r'"uuid":"([^"]+)"', first.text)
    assert ids
    assert all(UUID(each).version == 5 for each in ids)
    assert not set(ids) & set(re.findall(r'"uuid":"([^"]+)"', other.text))


def test_item_85_topics_differ_by_row():
    pathway = book.content().pathways["uk-ng239"]
    rows = (*pathway.interpret, *pathway.treat, *pathway.safety)
    topics = [row.topic for row in rows if row.topic] + [card.topic for card in pathway.fixed.values()]
    assert len(set(topics)) == len(topics)


def test_every_answer_with_patient_data_is_not_stored():
    for response in (post(body(prefetch=prefetch())), post(body(prefetch={})), post({})):
        assert response.headers["Cache-Control"] == "no-store"


def test_item_133_server_timing_says_where_the_time_went():
    header = post(body(prefetch=prefetch())).headers["Server-Timing"]
    assert [part.partition(";dur=")[0] for part in header.split(", ")] == ["read", "decide", "total"]


def test_the_evaluation_gets_the_clock_and_when_the_call_arrived():
    caller = Caller(Answers())
    caller.post(body())
    (call,) = caller.answers.calls
    assert call["clock"].now.isoformat() == "2026-01-15T12:00:00+00:00"
    assert 0 <= time.monotonic() - call["clock"].arrived < 60


def test_a_person_who_opens_the_address_reads_what_this_is():
    response = get("/")
    assert response.status_code == 200
    assert response.content_type == "text/html; charset=utf-8"
    assert "Not for real patients." in response.text
    assert PATH in response.text


def test_the_request_is_frozen():
    with pytest.raises(AttributeError):
        request().hook = "other"


def test_item_132_the_log_of_a_call_tells_nothing_of_the_patient(capfd, tmp_path):
    """Ids, names of keys and values may all identify somebody; what is logged is counted, not quoted."""
    secret = "sEcReT"
    person = {**living.PATIENT, "id": secret, "name": [{"family": secret}]}
    odd = living.b12(id=secret, subject={"reference": f"Patient/{secret}"}, valueString=secret, status=secret)
    sent = prefetch(**{"patient": person, "b12": bundle(odd), secret: {"resourceType": secret}, "family": secret})
    told = body(hookInstance=secret, context={"userId": secret, "patientId": secret}, prefetch=sent)
    store = {"store_url": f"sqlite:///{tmp_path}/store.sqlite"}
    with ended(create_app(Settings(demo=True, **store), clock=lambda: living.TODAY)) as service:
        answer = Client(service).post(PATH, json=told, environ_overrides=ENVIRON)
    assert answer.status_code in (200, 412)
    log = capfd.readouterr().err
    assert '"event":"call"' in log
    assert secret not in log
