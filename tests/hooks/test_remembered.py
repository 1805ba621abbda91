"""What is remembered of a reader, on its way through one call: asked for once at most, and only where it matters."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import pytest

from cds_service.cdshooks.requests import read_request
from cds_service.commands.display import console, show_explanation
from cds_service.evaluate import CallTime, Evaluation, evaluate
from cds_service.explanation import explanation
from cds_service.store.records import Offered, Override, Suppressed
from tests.book import NEVER, service
from tests.hooks.calling import a_medicine, a_test, advice, body, built, cards
from tests.hooks.living import FAULT, b12, bundle, prefetch, problem
from tests.hooks.ordering import draft, drafts, select

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
ON = date(2026, 1, 12)
FATIGUE = "84229001"
DEFICIENT = {"b12": bundle(b12(150))}
UNTESTED = {"b12": bundle()}


@dataclass
class Reader:
    """Somebody who has dismissed some rows, on one evidence, and accepted some orders; counts how often one asks."""

    rows: tuple[str, ...] = ()
    orders: tuple[tuple[str, str], ...] = ()
    reason: str = ""
    evidence: str | None = None
    known: bool = True
    asked: int = field(default=0)

    def history(self, *_: object) -> Reader:
        self.asked += 1
        return self

    def save_decision(self, decision: object) -> None:
        """Nothing is recorded."""

    def dismissed(self, row: str, evidence: str) -> Override | None:
        return Override(ON, self.reason) if row in self.rows and self.evidence in (None, evidence) else None

    def accepted(self, kind: str, name: str) -> date | None:
        return ON if (kind, name) in self.orders else None


def told(
    history: Any = None, hook: str = "patient-view", sent: dict[str, Any] | None = None, **keys: Any
) -> Evaluation:
    """The answer about a patient of whom every key was sent, these with data."""
    sent = sent or body(prefetch=prefetch(**keys))
    clock = CallTime(NOW, seconds=NEVER)
    return evaluate(read_request(json.dumps(sent).encode(), hook), service("uk-ng239"), clock, history=history)


def rows(found: Evaluation) -> list[str]:
    return [each.row for each in found.shown]


def test_without_a_memory_or_with_an_empty_one_the_cards_are_the_same():
    assert told(Reader(), **DEFICIENT).cards == told(**DEFICIENT).cards != []


def test_a_dismissed_warning_is_one_line_without_suggestions_and_the_answer_says_so():
    reader = Reader(("interpret/deficient",))
    found = told(reader, **DEFICIENT)
    assert rows(found) == ["dismissed/interpret/deficient"], "the treatment stood on the card that was dismissed"
    assert found.suppressed == (Suppressed("interpret/deficient", "dismissed", ON),)
    line = found.cards[-1]
    assert line["indicator"] == "info" and "suggestions" not in line
    assert line["source"]["topic"]["code"] == "B12DismissedUntreatedB12Deficient"
    (decided,) = found.decision.advice
    assert (decided.row, decided.joined) == ("interpret/deficient", ("treat/unknown",)), "what was decided"
    assert reader.asked == 1


def test_the_evidence_of_the_first_answer_is_what_the_override_holds_for():
    first = told(Reader(), **DEFICIENT)
    reader = Reader(rows(first), reason="patient-refuses", evidence=first.evidence)
    assert told(reader, **DEFICIENT).cards == []
    worse = told(reader, b12=bundle(b12(150), b12(140, id="obs-new", effectiveDateTime="2026-01-14")))
    assert rows(worse) == rows(first) and worse.suppressed == ()
    assert "140" in worse.cards[0]["summary"]


def test_a_store_that_did_not_answer_means_that_everything_is_shown():
    reader = Reader(("interpret/deficient",), known=False)
    found = told(reader, **DEFICIENT)
    assert rows(found) == ["interpret/deficient", "treat/unknown"]
    assert (found.remembered, found.suppressed, reader.asked) == (False, (), 1)


@pytest.mark.parametrize(
    "keys",
    [
        UNTESTED,  # no advice
        {**DEFICIENT, "conditions": bundle(problem())},  # paraesthesia
        {**DEFICIENT, "conditions": FAULT},
        {"b12": FAULT},  # 412
        {"b12": FAULT, "conditions": bundle(problem("60576007"))},  # a safety card alone
        {**UNTESTED, "bloodCount": FAULT},  # only that something could not be read
    ],
    ids=["nothing to say", "neurological signs", "problems unread", "412", "required data missing", "part unread"],
)
def test_the_store_is_not_asked_where_nothing_may_be_left_out(keys):
    reader = Reader(("interpret/deficient", "treat/neuro", "safety/S1"), reason="cds-not-applicable")
    assert told(reader, **keys).cards == told(**keys).cards
    assert reader.asked == 0
    assert told(reader, **keys).evidence == "", "and an override of such an answer holds for nothing"


def test_promise_1_what_could_not_be_judged_is_said_whatever_was_dismissed():
    reader = Reader(("fixed/incomplete", "fixed/unavailable"), reason="cds-not-applicable")
    assert rows(told(reader, **UNTESTED, bloodCount=FAULT)) == ["fixed/incomplete"]
    assert told(reader, b12=FAULT).status == 412


def test_an_order_that_was_dismissed_is_silent_when_it_is_signed_and_a_new_one_is_not():
    tired = prefetch(**UNTESTED, conditions=bundle(problem(FATIGUE)))
    metformin = {"medicationCodeableConcept": {"text": "Metformin 500 mg tablets"}}

    def asked(name: str, recall: Any) -> Evaluation:
        return told(recall, "order-select", select(drafts(draft(name, **metformin)), prefetch=tired))

    first = asked("draft-1", Reader())
    assert rows(first) == ["orders/O1"]
    reader = Reader(("orders/O1",), evidence=first.evidence)
    assert rows(asked("draft-1", reader)) == []
    assert rows(asked("draft-2", reader)) == ["orders/O1"]


def test_what_was_accepted_is_said_in_words_and_not_offered():
    found = told(Reader(orders=(("test", "fbc"),)), **DEFICIENT)
    labels = [each["label"] for card in found.cards for each in card.get("suggestions", [])]
    assert not [label for label in labels if "blood count" in label.lower()] and labels
    assert "accepted on 12 Jan 2026" in found.cards[0]["detail"]
    assert found.suppressed == (Suppressed("test:fbc", "accepted", ON),)


def test_what_is_shown_and_offered_goes_by_the_ids_that_feedback_will_name():
    found = told(**DEFICIENT)
    by_card = {card["uuid"]: [each["uuid"] for each in card.get("suggestions", [])] for card in found.cards}
    assert list(dict.fromkeys(each.card for each in found.shown)) == list(by_card)
    assert {each.suggestion for each in found.offered} == {one for ids in by_card.values() for one in ids}
    assert all(each.suggestion in by_card[each.card] for each in found.offered)
    first = found.cards[0]
    assert Offered(first["uuid"], first["suggestions"][0]["uuid"], "test", "fbc") in found.offered
    indicators = {card["uuid"]: card["indicator"] for card in found.cards}
    assert all(each.indicator == indicators[each.card] for each in found.shown)


def test_a_card_that_absorbs_others_carries_all_their_rows_under_its_id():
    made = built(
        advice("safety/S5", "critical"), advice("interpret/deficient", "warning", a_test("fbc")),
        advice("treat/unknown", "warning", a_medicine("loading")), max_cards=2,
    )  # fmt: skip
    first, last = (card["uuid"] for card in made.cards)
    assert [(each.card, each.row) for each in made.shown] == [
        (first, "safety/S5"), (last, "interpret/deficient"), (last, "treat/unknown"),
    ]  # fmt: skip
    assert [each.card for each in made.offered] == [last, last]


def test_all_that_was_dismissed_shares_one_card_that_takes_the_place_of_no_other():
    given = [
        advice("interpret/deficient", "warning"),
        advice("notes/x"),
        advice("dismissed/a/b"),
        advice("dismissed/c/d"),
    ]
    assert len(cards(*given, max_cards=3)) == 3
    assert [each.row for each in built(*given, max_cards=3).shown] == [each.row for each in given]
    (only,) = cards(*given, max_cards=1)
    assert only["indicator"] == "warning"


def test_explain_names_what_is_not_shown_again_and_why():
    found = told(Reader(("interpret/deficient",), (("medicine", "cyanocobalamin-1-2mg"),)), **DEFICIENT)
    document = explanation(found, service("uk-ng239"), NOW.date())
    assert document["suppressed"][0] == {"what": "interpret/deficient", "why": "dismissed", "on": "2026-01-12"}
    out = io.StringIO()
    show_explanation(console(out), document)
    assert "Left out" in out.getvalue()
    assert "interpret/deficient" in out.getvalue() and "dismissed on 2026-01-12" in out.getvalue()
