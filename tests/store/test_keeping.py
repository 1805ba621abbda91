"""What is kept of decisions and feedback (issue 5, part 3), and what never is."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

from cds_service.store.pseudonyms import Key, Keys
from cds_service.store.records import CallParties, FeedbackRecord
from tests.store.databases import (
    AT,
    EVIDENCE,
    KEYS,
    ROW,
    WHO,
    accepted,
    count,
    decision,
    everything,
    keep,
    overridden,
    recalled,
    store_at,
)


def test_a_decision_is_kept_with_what_was_shown_offered_and_left_out(store, url):
    keep(store, decision())
    kept = everything(url)
    (row,) = kept["decision"]
    assert (row["at"], row["client"], row["hook_instance"], row["content"]) == (AT, "main", "hook-1", "1.0.0")
    assert (row["label"], row["status"], row["ms"], row["key"]) == ("confirmed", 200, 12.3, "first")
    assert not row["silent"]
    assert json.loads(row["rows"]) == [ROW, "treat/routine"]
    assert json.loads(row["missing"]) == []
    assert [(each["place"], each["card"], each["row"]) for each in kept["shown"]] == [
        (0, "card-1", ROW),
        (1, "card-1", "treat/routine"),
    ]
    assert [(each["suggestion"], each["kind"], each["draft"]) for each in kept["offered"]] == [
        ("card-1-fbc", "test", "fbc"),
        ("card-1-neuro", "medicine", "neuro"),
    ]
    assert [(each["what"], each["why"], each["on"]) for each in kept["suppressed"]] == [
        ("test:folate", "accepted", "2026-01-10")
    ]


def test_patient_user_and_evidence_are_in_no_column_in_clear(store, url):
    keep(store, decision())
    store.save_feedback("main", [overridden(), accepted("card-1", "card-1-fbc")], AT)
    store.first_time("https://issuer-in-clear", "jti-in-clear", AT / 1000 + 60, AT / 1000)
    kept = everything(url)
    assert all(kept[name] for name in kept), "every table holds something"
    for secret in ("in-clear", WHO.base, WHO.patient, "user-in", EVIDENCE):
        assert secret not in json.dumps(kept)
    (row,) = kept["decision"]
    key = KEYS.newest
    assert row["patient"] == key.patient(WHO)
    assert row["user"] == key.user(WHO)
    assert len({row["patient"], row["user"], row["evidence"]}) == 3


def test_a_pseudonym_says_nothing_without_its_key_and_differs_by_client_tenant_base_and_patient():
    others = [
        replace(WHO, client="other"),
        replace(WHO, tenant="t"),
        replace(WHO, base=""),
        replace(WHO, patient="2"),
        CallParties("main", None, WHO.base + "/", WHO.patient, WHO.user),
    ]
    key, another = KEYS.newest, Key("first", b"2" * 32)
    pseudonyms = [key.patient(each) for each in (WHO, *others)] + [another.patient(WHO), key.user(WHO)]
    assert len(set(pseudonyms)) == len(pseudonyms)
    assert key.evidence(WHO, EVIDENCE) != key.evidence(replace(WHO, patient="2"), EVIDENCE)


def test_neither_a_key_nor_who_was_meant_appears_when_printed():
    printed = repr((KEYS, WHO, decision()))
    assert "1111" not in printed
    assert "patient-in-clear" not in printed
    assert "user-in-clear" not in printed
    assert EVIDENCE not in printed


def test_the_same_feedback_is_one_row_however_often_it_is_sent(store, url):
    given = [overridden(), accepted("card-2", "s-1", "s-2")]
    store.save_feedback("main", given, AT)
    store.save_feedback("main", [*given, *given], AT + 5)
    store.save_feedback("main", [accepted("card-2", "s-2", "s-1")], AT + 9)
    kept = everything(url)
    assert [(each["card"], each["received"]) for each in sorted(kept["feedback"], key=lambda row: row["card"])] == [
        ("card-1", AT),
        ("card-2", AT),
    ]
    assert sorted(each["suggestion"] for each in kept["accepted"]) == ["s-1", "s-2"]


def test_another_answer_or_another_client_is_another_row(store, url):
    for client, given in [
        ("main", overridden()),
        ("other", overridden()),
        ("main", overridden(at=AT + 2)),
        ("main", overridden(at=None)),
        ("main", overridden(reason="")),
        ("main", replace(overridden(), commented=True)),
        ("main", accepted()),
        ("main", accepted("card-1", "s-1")),
    ]:
        store.save_feedback(client, [given], AT)
    assert count(url, "feedback") == 8


def test_an_empty_batch_keeps_nothing(store, url):
    store.save_feedback("main", [], AT)
    assert count(url, "feedback") == 0


ODD = "x\x00y\ud800" + "z" * 500


def test_text_of_any_length_and_kind_is_kept_cut_and_clean(store, url):
    odd = FeedbackRecord(ODD, "overridden", 10**30, (ODD, ODD), ODD, ODD, True)
    store.save_feedback("main", [odd], AT)
    keep(store, decision(hook_instance=ODD, label=ODD, suppressed=()))
    kept = everything(url)
    (row,) = kept["feedback"]
    assert row["card"].startswith("x\ufffdy\ufffdz")
    assert (len(row["card"]), len(row["reason"]), row["at"], row["commented"]) == (80, 80, None, True)
    assert len(kept["accepted"]) == len(kept["decision"]) == 1


def test_recall_knows_a_pseudonym_under_every_key_and_new_ones_are_made_with_the_first(url):
    second = Key("second", b"2" * 32)
    with store_at(url) as before:
        keep(before, decision())
        before.save_feedback("main", [overridden()], AT + 1)
    with store_at(url, Keys((second, *KEYS.all))) as rotated:
        found = recalled(rotated)
        assert found.dismissed(ROW, EVIDENCE).on == date(2026, 1, 15)
        keep(rotated, decision("card-2"))
    assert {row["key"] for row in everything(url)["decision"]} == {"first", "second"}
    with store_at(url, Keys((second,))) as forgotten:
        found = recalled(forgotten)
        assert found.dismissed(ROW, EVIDENCE) is None
