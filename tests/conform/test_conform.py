"""`b12-cds conform`: our own service passes, and a broken one fails where it is broken and nowhere else."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask

from cds_service.app import create_app
from cds_service.conform.calls import SIGN, Service, Signer
from cds_service.conform.checklist import FAIL, NOT_TRIED, PASS, Unanswered, checklist
from cds_service.conform.messages import DISCOVERY, RESPONSE, numbered, schema
from cds_service.conform.trust import NOBODY
from cds_service.fetching import FetchFailed
from cds_service.http.client import Outgoing, Reply, Send
from cds_service.settings import Settings
from tests.conform.trying import (
    CHECKS,
    Change,
    Once,
    body,
    demo,
    each_action,
    each_card,
    each_order,
    each_service,
    each_suggestion,
    each_template,
    failed,
    holds,
    sending,
    status,
    storing,
    tried,
    under_trial,
)
from tests.hooks.tokens import ISS, NOW, PUBLIC, key, write
from tests.safety.conformance import NUMBERS

OURS = Once(demo)
BY_KEY = {"117", "121", "122", "123", "123a", "124", "125", "126", "113"}


@pytest.fixture(scope="module")
def keeping() -> Iterator[Flask]:
    """The demo with a store, so that it takes feedback."""
    with storing() as app:
        yield app


@pytest.fixture(scope="module")
def with_clients(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """Our service as its client `main` may call it."""
    settings = Settings(clients=write(tmp_path_factory.mktemp("clients")), store_url="none")
    return create_app(settings, clock=lambda: datetime.fromtimestamp(NOW, UTC))


def signed(app: Flask, change: Change | None = None) -> Service:
    """The service with clients, called by one of them."""
    return under_trial(sending(app, change), Signer(ISS, key(), "ES384", lambda: NOW), url=PUBLIC, origin="")


def test_our_own_service_passes_every_item_that_can_be_seen(keeping: Flask):
    found = tried(under_trial(sending(keeping)))
    assert {number: each.reasons for number, each in found.items() if each.outcome == FAIL} == {}
    passed = {number for number, each in found.items() if each.outcome == PASS}
    assert len(passed) > 65
    assert {"107", "111", "112", "114", "115", "130", "102", "99"} <= passed
    assert not BY_KEY & passed


def test_our_own_service_passes_with_clients_and_tokens(with_clients: Flask):
    found = tried(signed(with_clients))
    assert {number: each.reasons for number, each in found.items() if each.outcome == FAIL} == {}
    assert {number for number in BY_KEY if found[number].outcome != PASS} <= {"113"}  # without a store: no feedback


def test_every_item_of_the_checklist_that_is_no_clients_is_reported_once():
    found = list(tried(under_trial(OURS.broken())))
    listed = [each.number for each in checklist()]
    assert found == [each.number for each in checklist() if not each.of_client]
    assert set(listed) <= set(NUMBERS)
    of_3_0 = {str(number) for number in range(137, 150)}  # what it changes, which asks for nothing
    assert set(NUMBERS) - set(listed) == of_3_0


def test_every_check_and_every_rule_of_a_schema_names_an_item():
    known = {each.number for each in checklist()}
    assert {check.item for check in CHECKS} <= known
    for name in (DISCOVERY, RESPONSE):
        assert {item for item, _ in numbered(schema(name))} <= known
    for check in CHECKS:
        assert all(re.fullmatch(r"cds-hooks_2\.0@[1-9][0-9]{0,2}|cds-resp-[1-7]", each) for each in check.published)


def no_json(request: Outgoing, reply: Reply) -> Reply:
    return Reply(reply.status, reply.headers, reply.body + b",") if called(request) else reply


def as_text(request: Outgoing, reply: Reply) -> Reply:
    return Reply(reply.status, {**reply.headers, "content-type": "text/html"}, reply.body)


def repeats(request: Outgoing, reply: Reply) -> Reply:
    """The token that it was given comes back."""
    token = re.search(rb'"access_token":"([^"]+)"', request.body or b"")
    return Reply(reply.status, {**reply.headers, "x-seen": token[1].decode()}, reply.body) if token else reply


def silent_on_outcomes(request: Outgoing, reply: Reply) -> Reply:
    """What failed is taken for what is not there."""
    silent = called(request) and holds(request, '"code":"timeout"')
    return Reply(200, reply.headers, b'{"cards":[]}') if silent else reply


def in_utf_16(request: Outgoing, reply: Reply) -> Reply:
    cards = reply.body.startswith(b'{"cards"')
    return Reply(reply.status, reply.headers, reply.body.decode().encode("utf-16")) if cards else reply


def after_a_mark(request: Outgoing, reply: Reply) -> Reply:
    return Reply(reply.status, reply.headers, BOM_UTF8 + reply.body) if called(request) else reply


def cards_twice(request: Outgoing, reply: Reply) -> Reply:
    cards = reply.body.startswith(b'{"cards"')
    return Reply(reply.status, reply.headers, b'{"cards":[],' + reply.body[1:]) if cards else reply


def each_order_action(change: Any) -> Change:
    return each_action(lambda action: change(action) if action["type"] == "create" else None)


def without(name: str) -> Any:
    return lambda thing: thing.pop(name, None)


def given(**values: Any) -> Any:
    return lambda thing: thing.update(values)


def in_service(path: str) -> bool:
    return bool(re.fullmatch("cds-services/b12-[a-z-]+", path))


def called(request: Outgoing) -> bool:
    return request.method == "POST" and in_service(request.target)


BROKEN: dict[str, tuple[Change, set[str]]] = {
    "an answer that is no JSON": (no_json, {"6", "71", "72", "75"}),
    "HTML as content type": (as_text, {"1"}),
    "a card with null": (each_card(given(extra=None)), {"3"}),
    "a card with an empty list": (each_card(given(extension={"org.example": []})), {"4"}),
    "discovery that is not there": (
        status(404, lambda request: request.method == "GET" and request.target == "cds-services"),
        {"11", "12"},
    ),
    "a service without description": (each_service(without("description")), {"14"}),
    "a service without title": (each_service(without("title")), {"15"}),
    "two services of one id": (each_service(given(id="b12-patient-view")), {"19", "71", "76"}),
    "a template that is absolute": (each_template("b12", "https://ehr.example.org/Observation?code=1"), {"38"}),
    "a template with an open token": (each_template("b12", "Observation?patient={{context.patientId"), {"39"}),
    "a template with the orders as token": (
        each_template("orders", "ServiceRequest?id={{context.draftOrders}}"),
        {"40"},
    ),
    "a template with FHIRPath": (each_template("b12", "Observation?date=ge{{today() - 400 days}}"), {"40", "42"}),
    "a template with a token of no version": (each_template("b12", "Observation?patient={{patientId}}"), {"40", "42"}),
    "an answer in UTF-16": (in_utf_16, {"6", "71", "72"}),
    "an answer after a byte order mark": (after_a_mark, {"6"}),
    "cards twice in one answer": (cards_twice, {"6"}),
    "a template with _include": (each_template("b12", "Observation?patient={{context.patientId}}&_include=x"), {"43"}),
    "a template with two dates": (
        each_template("b12", "Observation?patient={{context.patientId}}&date=ge2020&date=le2021"),
        {"46"},
    ),
    "a template that sorts as in the example": (
        each_template("b12", "Observation?patient={{context.patientId}}&sort:desc=date"),
        {"43", "45"},
    ),
    "a key with a space before it": (each_service(lambda each: each["prefetch"].update({" b12": "Patient/1"})), {"47"}),
    "no version in three parts": (each_service(given(version="2.0")), {"20"}),
    "500 for an unknown element": (status(500, lambda request: holds(request, "unknownElement")), {"9"}),
    "another hook that is answered": (
        status(200, lambda request: holds(request, "conform-no-such-hook")),
        {"32"},
    ),
    "a UUID that must be one": (status(400, lambda request: holds(request, "not a UUID")), {"33"}),
    "500 without a hook": (
        status(500, lambda request: called(request) and holds(request, "hookI") and not holds(request, '"hook"')),
        {"77"},
    ),
    "500 for broken JSON": (status(500, lambda request: called(request) and request.body == b"{"), {"77"}),
    "500 for a deep body": (status(500, lambda request: holds(request, "[" * 1000)), {"36"}),
    "412 for nothing found": (
        status(412, lambda request: called(request) and holds(request, '"b12":null')),
        {"56", "61"},
    ),
    "400 for OperationOutcomes": (
        status(400, lambda request: called(request) and holds(request, '"code":"timeout"')),
        {"52"},
    ),
    "no card for OperationOutcomes": (silent_on_outcomes, {"52"}),
    "400 for Epic's empty answer": (status(400, lambda request: holds(request, '"4101"')), {"53"}),
    "500 without prefetch": (status(500, lambda request: called(request) and holds(request, '"prefetch":{}')), {"55"}),
    "400 for a collection": (
        status(400, lambda request: called(request) and request.body.count(b'"type":"collection"') > 5),
        {"60"},
    ),
    "400 for an order of crutches": (status(400, lambda request: holds(request, "Crutches")), {"76"}),
    "a token that is repeated": (repeats, {"66"}),
    "no list of cards": (body(lambda told: {"answers": ["x"]}), {"71", "72"}),
    "an answer of 500": (status(500, called), {"71", "76", "77"}),
    "a summary of 140": (each_card(given(summary="x" * 140)), {"80"}),
    "a summary of 139 that is 140 for most clients": (each_card(given(summary="x" * 138 + "𝄞")), {"80"}),
    "a card without a summary": (each_card(without("summary")), {"80"}),
    "HTML in a detail": (each_card(given(detail="<b>now</b>")), {"81"}),
    "an indicator that is none": (each_card(given(indicator="hard-stop")), {"82"}),
    "a card without a source": (each_card(without("source")), {"83"}),
    "a source whose address is relative": (each_card(lambda card: card["source"].update(url="/ng239")), {"84"}),
    "a topic without system": (each_card(lambda card: card["source"]["topic"].pop("system")), {"85"}),
    "no selectionBehavior": (each_card(without("selectionBehavior")), {"86"}),
    "a selectionBehavior that is none": (each_card(given(selectionBehavior="all")), {"87"}),
    "a reason without display": (each_card(lambda card: card["overrideReasons"][0].pop("display")), {"89"}),
    "a suggestion without a label": (each_suggestion(without("label")), {"92"}),
    "one uuid for all suggestions": (each_suggestion(given(uuid="x")), {"93"}),
    "all are recommended of which one may be taken": (
        each_card(lambda card: card.update(selectionBehavior="at-most-one")
                  or [each.update(isRecommended=True) for each in card.get("suggestions", ())]),
        {"94"},
    ),
    "actions that are chosen": (each_suggestion(given(actionSelectionBehavior="any")), {"96"}),
    "an action of no type": (each_action(without("type")), {"97"}),
    "an action without a description": (each_action(without("description")), {"98"}),
    "a create without a resource": (each_action(without("resource")), {"99"}),
    "a delete by the resource's id": (
        each_action(lambda action: action.update(type="delete", resource="MedicationRequest/1")),
        {"7", "100"},
    ),
    "a new order without id": (each_order(without("id")), {"101"}),
    "an update without an id": (
        each_order_action(lambda action: action.update(type="update") or action["resource"].pop("id")),
        {"99"},
    ),
    "a new order of a type that there is not": (each_order(given(resourceType="Nonsense")), {"102"}),
    "a new order of no type": (each_order(without("resourceType")), {"7", "102"}),
    "a summary with half a sign": (each_card(given(summary="\ud834" * 140)), {"80"}),
    "a system action without what it deletes": (body(given(systemActions=[{"type": "delete"}])), {"100"}),
    "a new order that is no FHIR": (each_order(given(status=["x"])), {"102"}),
    "a new order for somebody else": (
        each_order(given(subject={"reference": "Patient/other"})),
        {"102"},
    ),
    "a link that is a program": (
        each_card(lambda card: card["links"][0].update(url="JavaScript://x/%0aalert(1)")),
        {"103"},
    ),
    "a link without a type": (each_card(lambda card: card["links"][0].pop("type")), {"103"}),
    "appContext on a plain link": (each_card(lambda card: card["links"][0].update(appContext="x")), {"104"}),
    "a preflight that is refused": (status(405, lambda request: request.method == "OPTIONS"), {"25", "130"}),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_service_fails_where_it_is_broken(what: str):
    change, items = BROKEN[what]
    found = failed(under_trial(OURS.broken(change)))
    assert set(found) == items, found


def hanging_up(when: Callable[[Outgoing], bool], app: Once = OURS) -> Send:
    """A service that closes the connection of some calls."""
    answering = app.broken()

    def send(request: Outgoing, deadline: float) -> Reply:
        if when(request):
            raise FetchFailed("the service cannot be reached: the connection was reset")
        return answering(request, deadline)

    return send


def test_a_call_without_an_answer_breaks_what_it_asked_about():
    found = failed(under_trial(hanging_up(lambda request: called(request) and request.body == b"{")))
    assert set(found) == {"75", "77", "130"}
    assert "the connection was reset" in found["77"][0]
    assert set(failed(under_trial(hanging_up(lambda request: holds(request, "unknownElement"))))) == {"9"}
    assert set(failed(under_trial(hanging_up(lambda request: holds(request, "fhir.invalid"))))) == set()


def test_a_service_that_answers_no_call_fails_and_is_not_asked_the_same_again():
    asked: Counter[str] = Counter()

    def hangs_up(request: Outgoing) -> bool:
        if called(request):
            asked[repr((request.target, request.body, sorted(request.headers.items())))] += 1
        return called(request)

    found = tried(under_trial(hanging_up(hangs_up)))
    assert found["71"].breaks
    assert len(found["71"].reasons) == 3  # each of its services
    assert max(asked.values()) == 4  # a call, and the first of those for its times; each is tried once more


def test_a_connection_that_was_closed_meanwhile_is_no_fault():
    lost: set[str] = set()

    def was_closed(request: Outgoing) -> bool:
        first = called(request) and repr((request.target, request.body)) not in lost
        lost.add(repr((request.target, request.body)))
        return first

    assert failed(under_trial(hanging_up(was_closed))) == {}


def test_one_service_that_does_not_answer_hides_nothing_of_the_others():
    def hangs_up(request: Outgoing) -> bool:
        return request.target.endswith("order-sign") or holds(request, "not a UUID")

    found = failed(under_trial(hanging_up(hangs_up)))
    assert [each.partition(":")[0] for each in found["71"]] == ["b12-order-sign"]
    assert "b12-patient-view" in found["33"][0]
    assert tried(under_trial(hanging_up(lambda request: request.target.endswith("order-sign"))))["80"].outcome == PASS


@pytest.mark.parametrize("name", ["..", ".", "a b", "a/b", "ä", "\ud834"])
def test_an_id_that_is_no_path_segment_fails_and_hides_nothing_of_the_others(name: str):
    def renamed(entry: dict[str, Any]) -> None:
        if entry["id"] == "b12-order-sign":
            entry["id"] = name

    found = tried(under_trial(OURS.broken(each_service(renamed))))
    assert {number for number, each in found.items() if each.outcome == FAIL} == {"18"}
    assert (found["18"].breaks, found["80"].outcome, found["9"].outcome) == (True, PASS, PASS)


def test_a_service_that_asks_who_calls_is_not_broken_for_it(with_clients: Flask):
    found = tried(under_trial(sending(with_clients), url=PUBLIC, origin=""))
    assert {number: each.reasons for number, each in found.items() if each.outcome == FAIL} == {}
    assert found["71"].reasons[-1] == "a whole request is answered with 401; " + SIGN


def test_discovery_for_clients_only_is_said_at_once():
    service = under_trial(OURS.broken(status(401, lambda request: request.target == "cds-services")))
    with pytest.raises(Unanswered, match="GET /cds-services is answered with 401; it asks who calls"):
        service.reach()


def test_what_may_be_left_out_and_breaks_an_invariant_is_missing():
    no_behaviour = tried(under_trial(OURS.broken(each_card(without("selectionBehavior")))))["86"]
    assert (no_behaviour.item.level, no_behaviour.breaks) == ("Y", True)
    in_html = tried(under_trial(OURS.broken(each_card(given(detail="<b>now</b>")))))["81"]
    assert (in_html.outcome, in_html.breaks) == (FAIL, False)


def feedback(change: int, *parts: str) -> Change:
    return status(change, lambda request: request.target.endswith("/feedback") and holds(request, *parts))


@pytest.mark.parametrize(
    ("change", "items"),
    [
        (feedback(500, "accepted"), {"107", "111"}),
        (feedback(400, "patient-refuses"), {"115"}),
        (feedback(500, '"feedback": 7'), {"114"}),
        (feedback(400, f'[{{"card": "{NOBODY}", "outcome": "overridden"'), {"112", "115"}),
    ],
)  # fmt: skip
def test_feedback_that_is_not_taken_fails(keeping: Flask, change: Change, items: set[str]):
    assert set(failed(under_trial(sending(keeping, change)))) == items


def test_a_service_that_answers_without_a_token_fails(with_clients: Flask):
    def lets_in(request: Outgoing, reply: Reply) -> Reply:
        open_to_all = called(request) and "Authorization" not in request.headers
        return Reply(200, reply.headers, b'{"cards":[]}') if open_to_all else reply

    assert set(failed(signed(with_clients, lets_in))) == {"117", "124"}


def test_a_service_that_takes_any_token_fails_where_it_must_not(with_clients: Flask):
    def believes(request: Outgoing, reply: Reply) -> Reply:
        return Reply(200, reply.headers, b'{"cards":[]}') if called(request) and reply.status == 401 else reply

    assert set(failed(signed(with_clients, believes))) == {"117", "121", "122", "123", "123a", "125"}


def test_a_slow_service_fails_by_the_middle_of_its_times():
    ticks = iter(range(100_000))
    found = failed(under_trial(OURS.broken(), clock=lambda: float(next(ticks))))
    assert set(found) == {"133"}
    assert "1.0 s is the middle of 5 calls" in found["133"][0]


def test_what_was_not_tried_says_why():
    found = tried(under_trial(OURS.broken(), origin=""))
    reasons = {number: found[number].reasons[0] for number in ("2", "117", "130", "107", "54", "41")}
    assert reasons == {
        "2": "the service is on this machine",
        "117": "no key was given (--key, --iss): the service is called without a token",
        "130": "no origin was given (--origin): pages of other origins are not tried",
        "107": "the service takes no feedback",
        "54": "no FHIR server: --fhir-listen HOST:PORT starts one that the service under trial may call",
        "41": "allowed, not asked for",
    }
    assert {each.outcome for number, each in found.items() if number in reasons} == {NOT_TRIED}


def test_one_service_that_fails_hides_nothing_of_the_others():
    def broken(request: Outgoing, reply: Reply) -> Reply:
        if called(request) and request.target.endswith("order-sign"):
            return Reply(500, reply.headers, b"{}")
        return Reply(500, reply.headers, b"{}") if holds(request, "unknownElement") else reply

    found = failed(under_trial(OURS.broken(broken)))
    assert {"9", "71"} <= set(found)
    assert {each.partition(":")[0] for each in found["9"]} == {"b12-patient-view", "b12-order-select"}


def test_a_service_that_asks_for_nothing_and_takes_no_feedback_fails_in_neither(keeping: Flask):
    def other(request: Outgoing, reply: Reply) -> Reply:
        if request.target.endswith("order-sign/feedback"):
            return Reply(404, reply.headers, reply.body)
        return each_service(lambda entry: entry.pop("prefetch", None))(request, reply)

    found = tried(under_trial(sending(keeping, other)))
    assert (found["52"].outcome, found["52"].reasons) == (NOT_TRIED, ("no service asks for prefetch",))
    assert [found[number].outcome for number in ("107", "111", "112")] == [PASS] * 3


def test_a_service_for_another_hook_or_with_nothing_to_say_is_not_called_a_failure():
    other = each_service(given(hook="conform-own-hook"))
    found = tried(under_trial(OURS.broken(other)))
    assert (found["80"].outcome, found["133"].outcome) == (NOT_TRIED, NOT_TRIED)
    assert found["133"].reasons == ("no service is listed for a hook that we have a request for",)
    silent = tried(under_trial(OURS.broken(body(lambda told: {"cards": []}))))
    assert silent["71"].outcome == PASS
    assert silent["80"].reasons[0].startswith("nothing that was answered has it")
