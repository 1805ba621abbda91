"""The protocol checklist, section 2.12: feedback (items 107 to 116), over HTTP. How each shape is read is tested in
test_feedback_reading.py, what is made of it in tests/store/test_feedback_report.py."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import Client

from cds_service.app import create_app
from cds_service.cdshooks.registry import BY_SERVICE_ID
from cds_service.settings import Settings
from cds_service.store.pseudonyms import new_line
from cds_service.store.records import FeedbackRecord, StoreDown
from tests.endings import ended
from tests.hooks import living
from tests.hooks.calling import ENVIRON, PATH, SECRET, Caller, body, one_issue, outcome
from tests.hooks.given_feedback import AT, AT_MS, BODIES, CARD, SUGGESTION, item
from tests.hooks.living import prefetch
from tests.hooks.tokens import PUBLIC, Gated, claims, signed

FEEDBACK = PATH + "/feedback"
REASON = {"code": "patient-refuses", "system": "http://terminology.hl7.org/CodeSystem/non-adherence-reason-codes"}
SANDBOX = {
    "a suggestion is taken": {
        "card": CARD, "outcome": "accepted", "acceptedSuggestions": [{"id": SUGGESTION}], "outcomeTimestamp": AT,
    },
    "a card is dismissed": {
        "card": CARD, "outcome": "overridden", "overrideReason": {"reason": REASON}, "outcomeTimestamp": AT,
    },
}  # fmt: skip
EPIC = """{"feedback": [{
    "card": "123456",
    "outcome": "overridden",
    "outcomeTimestamp": "2022-05-19T19:44:04Z",
    "overrideReasons": {
        "extension": {
            "com.epic.cdshooks.feedback.overrideReason.reasonCategory": "45",
            "com.epic.cdshooks.feedback.overrideReason.reasonDisplay": "Does not meet criteria",
            "com.epic.cdshooks.feedback.overrideReason.reasonTitle": "Does not meet criteria"
        },
        "userComment": "sEcReT-of-the-patient"}},
    {"acceptedSuggestions": [{"id": "replaceWithGUID"}],
    "card": "123456",
    "outcome": "accepted",
    "outcomeTimestamp": "2022-05-19T19:48:34Z"}]}"""


class SmallStore:
    """Stands for the store: keeps what it is given, or is down."""

    def __init__(self, down: bool = False) -> None:
        self.down, self.kept, self.clients = down, [], []

    def save_feedback(self, client: str, given: Sequence[FeedbackRecord], at: int) -> None:
        if self.down:
            raise StoreDown("no answer within 2 s")
        self.kept += given
        self.clients.append((client, at))


def caller(down: bool = False, **changed: Any) -> Caller:
    return Caller(store=SmallStore(down), **changed)


def send(to: Caller, *items: Any, path: str = FEEDBACK, **given: Any) -> Any:
    return to.post({"feedback": items}, path, **given)


def logged(to: Caller) -> list[dict[str, Any]]:
    return [json.loads(line) for line in to.log.getvalue().splitlines()]


@pytest.mark.parametrize("service", BY_SERVICE_ID)
def test_item_107_every_service_takes_feedback(service):
    to = caller()
    response = send(to, item(), path=f"/cds-services/{service}/feedback")
    assert (response.status_code, response.json, response.content_type) == (200, {}, "application/json")
    assert to.store.kept == [FeedbackRecord(CARD, "overridden", AT_MS, (), "", "", commented=False)]
    assert to.store.clients == [("demo", 1768478400000)]


def test_items_108_to_110_what_the_sandbox_sends_is_kept():
    to = caller()
    for told in SANDBOX.values():
        assert send(to, told).status_code == 200
    assert to.store.kept == [
        FeedbackRecord(CARD, "accepted", AT_MS, (SUGGESTION,), "", "", commented=False),
        FeedbackRecord(CARD, "overridden", AT_MS, (), *REASON.values(), commented=False),
    ]
    assert [line["odd"] for line in logged(to)] == [{}, {}]


def test_item_111_a_batch_is_one_deed_and_the_same_item_in_it_is_kept_once():
    to = caller()
    other = item(card="0b9e5f62-1d5b-5b0e-9a6e-2f7f4d1c8b7b")
    assert send(to, item(), other, item(), item(outcome="accepted")).status_code == 200
    assert len(to.store.clients) == 1
    assert [(each.card[-1], each.outcome) for each in to.store.kept] == [
        ("1", "overridden"), ("b", "overridden"), ("1", "accepted")
    ]  # fmt: skip
    assert send(to).status_code == 200, "a batch of nothing"


def test_item_112_an_override_without_reason_is_valid():
    to = caller()
    assert send(to, item(outcomeTimestamp=...)).status_code == 200
    assert to.store.kept[0].reason == ""


def test_item_113_the_client_signs_as_for_a_call_with_the_address_of_feedback_as_audience(tmp_path):
    gated = Gated(tmp_path, settings={"store_url": "none"})
    told = {"feedback": [item()]}
    assert one_issue(gated.post(told, None, FEEDBACK), 401)["code"] == "login"
    for audience in (PUBLIC + PATH, PUBLIC + "/cds-services", PUBLIC + "/cds-services/b12-order-sign/feedback"):
        assert gated.post(told, signed(claims(aud=audience)), FEEDBACK).status_code == 401
    believed = gated.post(told, signed(claims(aud=PUBLIC + FEEDBACK)), FEEDBACK)
    assert "not kept here" in one_issue(believed, 404)["details"]["text"]
    once = signed(claims(aud=PUBLIC + FEEDBACK))
    assert [gated.post(told, once, FEEDBACK).status_code for _ in range(2)] == [404, 401]
    assert gated.post(body(prefetch=prefetch()), signed(claims(aud=PUBLIC + FEEDBACK))).status_code == 401


def test_item_113_a_stranger_learns_nothing_and_its_body_is_not_read(tmp_path):
    gated = Gated(tmp_path, settings={"store_url": "none"})
    assert gated.open("POST", FEEDBACK, data=b"{", content_type="text/plain").status_code == 401


def test_item_114_an_unknown_card_is_200_and_logged():
    to = caller()
    assert send(to, item(card="00000000-0000-0000-0000-000000000000"), item(card="no uuid")).status_code == 200
    (line,) = logged(to)
    assert line["cards"] == ["00000000-0000-0000-0000-000000000000", to.store.kept[1].card]
    assert line["odd"] == {"card-no-uuid": 1}


def test_item_114_only_an_unknown_service_is_404():
    to = caller()
    assert "/cds-services" in one_issue(send(to, item(), path="/cds-services/other/feedback"), 404)["details"]["text"]
    assert to.get(FEEDBACK).status_code == 405
    assert not to.store.kept


@pytest.mark.parametrize(
    ("sent", "place"),
    [
        (b"{", None),
        (b"[]", None),
        (b"{}", "feedback"),
        (json.dumps({"feedback": [item(outcome=SECRET)]}).encode(), "feedback.0.outcome"),
        (json.dumps({"feedback": [item(card=[SECRET])]}).encode(), "feedback.0.card"),
    ],
)
def test_item_114_malformed_is_400_with_the_place_and_nothing_of_it_is_kept(sent, place):
    to = caller()
    issue = one_issue(to.post(sent, FEEDBACK), 400)
    assert issue.get("expression") == ([place] if place else None)
    assert not to.store.kept
    assert SECRET not in json.dumps(issue) + to.log.getvalue()


def test_item_114_the_media_type_is_that_of_a_call():
    assert send(caller(), item(), content_type="text/plain").status_code == 415


def test_item_115_what_epics_documentation_shows_is_taken():
    to = caller()
    assert to.post(EPIC.encode(), FEEDBACK).status_code == 200
    override, accepted = to.store.kept
    assert (override.outcome, override.reason, override.commented) == ("overridden", "other", True)
    assert (accepted.outcome, accepted.card) == ("accepted", override.card)
    assert accepted.accepted[0].startswith("sha256:")


def test_item_116_a_comment_is_neither_kept_nor_logged_only_its_presence():
    to = caller()
    told = {"reason": {**REASON, "display": SECRET}, "userComment": SECRET, SECRET: SECRET}
    assert send(to, item(overrideReason=told, card=SECRET, extension={"x": SECRET})).status_code == 200
    assert to.store.kept[0].commented
    assert SECRET not in repr(to.store.kept) + to.log.getvalue()
    (line,) = logged(to)
    assert (line["event"], line["commented"], line["overridden"], line["accepted"]) == ("feedback", 1, 1, 0)


def test_what_could_not_be_stored_is_503_and_may_be_sent_again():
    to = caller(down=True)
    response = send(to, item())
    assert one_issue(response, 503)["code"] == "transient"
    assert int(response.headers["Retry-After"]) > 0
    assert [line["event"] for line in logged(to)] == ["feedback not stored", "refused"]
    to.store.down = False
    assert send(to, item()).status_code == 200


def test_without_a_store_feedback_is_404_and_says_that_it_is_not_kept():
    assert "not kept here" in one_issue(send(Caller(), item()), 404)["details"]["text"]


def test_item_130_the_sandbox_may_ask_first_and_read_the_answer():
    origin = {"Origin": "https://sandbox.cds-hooks.org"}
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    to = caller(origins=frozenset(origin.values()))
    asked = to.open("OPTIONS", FEEDBACK, headers={**origin, **asking})
    assert asked.status_code == 200
    assert asked.headers["Access-Control-Allow-Headers"] == "authorization, content-type"
    for response in (send(to, item(), headers=origin), send(to, 1, headers=origin)):
        assert response.headers["Access-Control-Allow-Origin"] == origin["Origin"]


def test_in_demo_mode_feedback_is_kept_as_long_as_the_demo_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # the store of a demo is a temporary file
    with ended(create_app(Settings(demo=True), clock=lambda: living.TODAY)) as app:
        response = Client(app).post(FEEDBACK, json={"feedback": [item()]}, environ_overrides=ENVIRON)
    assert response.status_code == 200, response.text
    assert [*tmp_path.glob("b12-cds-store-*/store.sqlite")]


def test_a_database_that_cannot_be_opened_is_503(tmp_path):
    keys = tmp_path / "store.keys"
    keys.write_text(new_line("k1") + "\n")
    settings = {"store_url": f"sqlite:///{tmp_path}/no/such/folder/store.sqlite", "store_keys": keys}
    with closing(Gated(tmp_path, settings=settings, main={"jti": "until-exp"})) as gated:
        response = gated.post({"feedback": [item()]}, signed(claims(aud=PUBLIC + FEEDBACK)), FEEDBACK)
    assert one_issue(response, 503)["details"]["text"].startswith("the feedback could not be stored")
    (line,) = gated.heard.events("feedback not stored")
    assert str(tmp_path) not in line["why"]


def test_feedback_from_elsewhere_is_refused_in_demo_mode():
    assert send(caller(), item(), environ={"REMOTE_ADDR": "192.0.2.1"}).status_code == 403


@given(st.binary(max_size=100) | BODIES.map(lambda told: json.dumps(told).encode()))
def test_nothing_in_feedback_causes_a_5xx(sent):
    to = caller()
    response = to.post(sent, FEEDBACK)
    assert response.status_code in (200, 400)
    if response.status_code == 400:
        assert outcome(response)
        assert not to.store.kept


def test_a_reason_is_kept_only_if_it_was_offered_for_a_code_may_hold_anything():
    to = caller()
    own = {"code": "9991100148", "system": "urn:hospital"}
    foreign = {**REASON, "system": "urn:hospital"}
    sent = [
        item(card=f"{place}{CARD[1:]}", overrideReason={"reason": each})
        for place, each in enumerate((own, foreign, REASON))
    ]
    assert send(to, *sent).status_code == 200
    assert [(each.reason, each.reason_system) for each in to.store.kept] == [
        ("other", ""), ("patient-refuses", ""), ("patient-refuses", REASON["system"])
    ]  # fmt: skip


def test_item_114_an_entry_that_cannot_be_read_costs_itself_and_is_logged():
    to = caller()
    assert send(to, item(), item(outcome=SECRET)).status_code == 200
    assert len(to.store.kept) == 1
    (line,) = [each for each in logged(to) if each["event"] == "feedback in part"]
    assert (line["refused"], line["why"]) == (1, ["feedback.1.outcome: enum"])
    assert SECRET not in to.log.getvalue()
