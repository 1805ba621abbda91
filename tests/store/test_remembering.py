"""What is remembered of a user and a patient (issue 5, part 5): which override counts, and until when."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, date, timedelta
from zoneinfo import ZoneInfo

import pytest

from cds_service.store.records import Shown
from cds_service.store.writer import BATCH
from tests.store.databases import (
    AT,
    DAY,
    EVIDENCE,
    ROW,
    WHO,
    accepted,
    count,
    decision,
    keep,
    overridden,
    recalled,
    store_at,
    until,
)

LATER = AT + 10_000
TODAY = date(2026, 1, 15)


def dismissed(store, row=ROW, evidence=EVIDENCE, who=WHO, now=LATER):
    return recalled(store, who, now).dismissed(row, evidence)


def test_a_card_that_the_user_overrode_is_dismissed_with_day_and_reason(store):
    keep(store, decision())
    assert dismissed(store) is None
    store.save_feedback("main", [overridden()], AT + 1)
    found = dismissed(store)
    assert (found.on, found.reason) == (TODAY, "patient-refused")
    assert dismissed(store, "treat/routine").on == TODAY, "a card of two rows dismisses both"
    assert dismissed(store, "interpret/other") is None


@pytest.mark.parametrize(
    "who",
    [
        replace(WHO, user="Practitioner/2"),
        replace(WHO, patient="2"),
        replace(WHO, tenant="other"),
        replace(WHO, base="https://other.example.org"),
        replace(WHO, client="other"),
    ],
    ids=["user", "patient", "tenant", "base", "client"],
)
def test_it_is_not_dismissed_for_anybody_else(store, who):
    keep(store, decision())
    store.save_feedback("main", [overridden()], AT + 1)
    assert dismissed(store, who=who) is None


def test_new_evidence_ends_it_at_once(store):
    keep(store, decision())
    store.save_feedback("main", [overridden()], AT + 1)
    assert dismissed(store, evidence=EVIDENCE + ", a new result") is None


def test_it_ends_after_the_configured_days(url):
    with store_at(url, override_days=90) as store:
        keep(store, decision())
        store.save_feedback("main", [overridden(at=AT)], AT)
        assert dismissed(store, now=AT + 90 * DAY)
        assert dismissed(store, now=AT + 90 * DAY + 1) is None
    with store_at(url, override_days=0) as store:
        assert dismissed(store) is None


def test_feedback_of_another_client_counts_for_nothing(store):
    keep(store, decision())
    store.save_feedback("other", [overridden(), accepted("card-1", "card-1-fbc")], AT + 1)
    assert dismissed(store) is None
    assert recalled(store).accepted("test", "fbc") is None


def test_feedback_that_came_before_its_decision_was_written_counts(store):
    store.save_feedback("main", [overridden()], AT + 1)
    keep(store, decision())
    assert dismissed(store)


def test_the_latest_answer_to_a_card_decides(store):
    keep(store, decision())
    store.save_feedback("main", [overridden(at=AT + 5), accepted(at=AT + 6)], AT + 10)
    assert dismissed(store) is None
    store.save_feedback("main", [overridden(at=AT + 7, reason="other")], AT + 11)
    assert dismissed(store).reason == "other"


def test_answers_that_arrive_in_another_order_count_in_the_order_in_which_they_were_given(store):
    keep(store, decision())
    store.save_feedback("main", [accepted(at=AT + 6)], AT + 10)
    store.save_feedback("main", [overridden(at=AT + 5)], AT + 11)
    assert dismissed(store) is None


def test_an_answer_without_a_time_or_with_one_that_is_still_to_come_counts_as_of_its_arrival(store):
    keep(store, decision(), decision("card-2"))
    store.save_feedback("main", [overridden(at=None)], AT + 1)
    store.save_feedback("main", [overridden("card-2", at=AT + 900 * DAY, reason="later")], AT + 2)
    assert dismissed(store).reason == "later"
    assert dismissed(store).on == TODAY
    assert dismissed(store, now=AT + 90 * DAY + 2)
    assert dismissed(store, now=AT + 90 * DAY + 3) is None


def test_of_several_cards_with_a_row_the_latest_answer_decides(store):
    keep(store, decision(), decision("card-2"))
    store.save_feedback("main", [overridden(at=AT + 1)], AT + 9)
    store.save_feedback("main", [overridden("card-2", at=AT + 2, reason="other")], AT + 9)
    assert dismissed(store).reason == "other"
    store.save_feedback("main", [accepted("card-2", at=AT + 3)], AT + 9)
    assert dismissed(store) is None, "the row was accepted after it was overridden on another card"


def test_a_card_that_was_never_sent_cannot_be_dismissed(store):
    keep(store, decision(silent=True))
    store.save_feedback("main", [overridden(), accepted("card-1", "card-1-fbc", at=AT + 2)], AT + 1)
    assert dismissed(store) is None
    assert recalled(store).accepted("test", "fbc") is None


def test_an_accepted_suggestion_is_remembered_for_the_patient_whoever_accepted_it(store):
    keep(store, decision(who=replace(WHO, user="Practitioner/2")))
    store.save_feedback("main", [accepted("card-1", "card-1-fbc")], AT + 1)
    found = recalled(store)
    assert found.accepted("test", "fbc") == TODAY
    assert found.accepted("medicine", "neuro") is None
    assert found.accepted("medicine", "fbc") is None
    assert recalled(store, replace(WHO, patient="2")).accepted("test", "fbc") is None


def test_an_accepted_suggestion_counts_for_the_configured_days(url):
    with store_at(url, accepted_days=14) as store:
        keep(store, decision())
        store.save_feedback("main", [accepted("card-1", "card-1-fbc", at=AT)], AT)
        assert recalled(store, WHO, AT + 14 * DAY).accepted("test", "fbc")
        assert recalled(store, WHO, AT + 14 * DAY + 1).accepted("test", "fbc") is None
    with store_at(url, accepted_days=0) as store:
        assert recalled(store).accepted("test", "fbc") is None


def test_an_order_that_was_accepted_stays_accepted_when_its_card_is_closed_afterwards(store):
    keep(store, decision())
    store.save_feedback("main", [accepted("card-1", "card-1-fbc", at=AT + 1)], AT + 5)
    store.save_feedback("main", [overridden(at=AT + 2, reason="")], AT + 6)
    assert recalled(store).accepted("test", "fbc") == TODAY
    assert dismissed(store) is None, "closing what was accepted, without a reason, overrides nothing"
    store.save_feedback("main", [overridden(at=AT + 3, reason="other")], AT + 7)
    assert recalled(store).accepted("test", "fbc") == TODAY
    assert dismissed(store).reason == "other"


def test_the_day_is_that_of_whoever_asks(store):
    evening = AT + 8 * 3_600_000  # 20:00 in UTC, 9:00 of the next day in Auckland
    keep(store, decision(at=evening), decision("card-2", at=evening))
    store.save_feedback("main", [overridden(at=evening + 2)], evening + 5)
    store.save_feedback("main", [accepted("card-2", "card-2-fbc", at=evening + 1)], evening + 5)
    for zone, on in ((UTC, TODAY), (ZoneInfo("Pacific/Auckland"), TODAY + timedelta(days=1))):
        found = recalled(store, now=evening + 10, zone=zone)
        assert found.dismissed(ROW, EVIDENCE).on == found.accepted("test", "fbc") == on


def test_with_nothing_to_remember_the_database_is_not_asked(tmp_path):
    with store_at(f"sqlite:///{tmp_path}/none/store.sqlite", override_days=0, accepted_days=0) as store:
        assert store.history(WHO, LATER).known


def test_a_row_shown_twice_in_a_decision_is_one(store):
    keep(store, decision(shown=(Shown("card-1", ROW, "info"), Shown("card-1", ROW, "info"))))
    store.save_feedback("main", [overridden()], AT + 1)
    assert dismissed(store)


@pytest.mark.parametrize(
    "changed",
    [{"who": replace(WHO, patient="2")}, {"who": replace(WHO, user="Practitioner/2")}, {"evidence": "another result"}],
    ids=["patient", "user", "evidence"],
)
def test_an_override_of_a_card_id_that_stands_for_two_decisions_hides_neither(store, changed):
    """Clients should make a new hookInstance for each call; of one that does not, nobody knows which card was meant."""
    keep(store, decision(), decision(at=AT + 1, **changed))
    store.save_feedback("main", [overridden()], AT + 2)
    both = [(WHO, EVIDENCE), (changed.get("who", WHO), changed.get("evidence", EVIDENCE))]
    assert [dismissed(store, who=who, evidence=evidence) for who, evidence in both] == [None, None]


def test_an_order_accepted_from_a_card_id_that_stands_for_two_patients_is_offered_to_both(store):
    other = replace(WHO, patient="2")
    keep(store, decision(), decision(at=AT + 1, who=other))
    store.save_feedback("main", [accepted("card-1", "card-1-fbc")], AT + 2)
    assert [recalled(store, who).accepted("test", "fbc") for who in (WHO, other)] == [None, None]


def test_the_same_call_made_twice_is_remembered_as_one(store):
    keep(store, decision(), decision(at=AT + 1))
    store.save_feedback("main", [overridden(), accepted("card-2", "card-1-fbc")], AT + 2)
    assert dismissed(store)
    assert recalled(store).accepted("test", "fbc") == TODAY


def test_an_override_of_a_card_with_a_critical_row_hides_nothing_that_shares_the_card(store):
    """Where a client shows one card only, its override may be meant for the critical row that it opens with."""
    keep(store, decision(shown=(Shown("card-1", "safety/S5", "critical"), Shown("card-1", ROW, "warning"))))
    store.save_feedback("main", [overridden()], AT + 1)
    assert dismissed(store) is None
    keep(store, decision("card-2", shown=(Shown("card-3", "safety/S5", "critical"), Shown("card-2", ROW, "warning"))))
    store.save_feedback("main", [overridden("card-2")], AT + 2)
    assert dismissed(store), "on a card of its own it is dismissed"


def test_feedback_counts_for_the_very_next_call_of_every_process(url):
    """Each of two processes answers a call, the other takes the feedback to it at once."""
    with store_at(url) as one, store_at(url) as other:
        for number in range(5):
            for answering, hearing in ((one, other), (other, one)):
                who = replace(WHO, patient=f"{number} {answering is one}")
                card = f"card-{number}-{answering is one}"
                answering.save_decision(decision(card, who=who))
                hearing.save_feedback("main", [overridden(card)], AT + 1)
                until(lambda answering=answering: not answering.state().waiting)  # the one thing that it may wait for
                assert dismissed(one, who=who) is not None
                assert dismissed(other, who=who) is not None


def test_a_decision_is_written_soon_however_steadily_others_come(url):
    """Feedback to one that is not written yet counts only from then on."""
    with store_at(url) as store:
        store.start()
        for number in range(BATCH):
            store.save_decision(decision(f"card-{number}"))
            time.sleep(0.03)  # shorter than a batch may grow: each comes while the one before it waits
            if count(url, "decision"):
                return
    raise AssertionError("a batch grew until it was full")
