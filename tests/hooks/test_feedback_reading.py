"""How feedback is read (items 107 to 116): every shape that clients send, and nothing that a person may have typed."""

from __future__ import annotations

import pytest

from cds_service.cdshooks.feedback import Feedback
from tests.hooks.calling import SECRET
from tests.hooks.given_feedback import AT_MS, CARD, SUGGESTION, item, one, reason, taken


def test_item_108_what_is_needed_is_read():
    assert one() == Feedback(CARD, "overridden", AT_MS, (), "", "", commented=False)


def test_item_109_accepted_names_its_suggestions_each_once():
    found = one(outcome="accepted", acceptedSuggestions=[{"id": SUGGESTION, "x": 1}, {"id": SUGGESTION}])
    assert (found.accepted, found.odd) == ((SUGGESTION,), ())


@pytest.mark.parametrize("told", [..., None, []])
def test_item_109_accepted_without_suggestions_is_taken_and_noted(told):
    found = one(outcome="accepted", acceptedSuggestions=told)
    assert (found.outcome, found.accepted, found.odd) == ("accepted", (), ("accepted-without-suggestions",))


def test_an_override_accepts_nothing():
    found = one(acceptedSuggestions=[{"id": SUGGESTION}])
    assert (found.accepted, found.odd) == ((), ("overridden-with-suggestions",))


@pytest.mark.parametrize("told", [..., None, {}, {"reason": None}, {"reason": {}}, {"userComment": None}])
def test_item_112_no_reason_is_no_fault(told):
    found = one(overrideReason=told)
    assert (found.reason, found.reason_system, found.commented, found.odd) == ("", "", False, ())


def test_item_110_a_reason_and_a_comment_are_either_or_both():
    coded = {"code": "patient-refuses", "system": "http://terminology.hl7.org/CodeSystem/x"}
    both = one(overrideReason={"reason": coded, "userComment": SECRET})
    assert (both.reason, both.reason_system, both.commented) == (*coded.values(), True)
    alone = one(overrideReason={"userComment": SECRET})
    assert (alone.reason, alone.commented, alone.odd) == ("", True, ())
    assert SECRET not in repr(both) + repr(alone)


def test_item_115_epic_sends_the_plural_as_an_object_with_a_space_in_the_system():
    found = one(
        card="123456",
        overrideReasons={
            "reason": {
                "code": "contraindicated",
                "display": "bad",
                "system": "http: //example.org/cds-services/fhir/CodeSystem/override-reasons",
            },
            "userComment": SECRET,
        },
    )
    assert found.reason == "contraindicated"
    assert found.reason_system == "http://example.org/cds-services/fhir/CodeSystem/override-reasons"
    assert found.commented


def test_item_115_epics_own_reasons_come_in_an_extension():
    prefix = "com.epic.cdshooks.feedback.overrideReason."
    own = {
        prefix + "reasonCategory": "45",
        prefix + "aaa": "1",
        prefix + "reasonDisplay": f"Does not meet criteria {SECRET}",
        prefix + "reasonTitle": "Inapplicable",
    }
    told = {"extension": own, "userComment": SECRET}
    for found in (
        one(overrideReasons=told),
        one(overrideReasons=[told]),
        one(overrideReason=told),
        one(extension=own),
        one(overrideReasons=[{"userComment": SECRET}, told]),
    ):
        assert (found.reason, found.reason_system) == ("45", prefix + "reasonCategory")
        assert SECRET not in repr(found)
    del own[prefix + "reasonCategory"], own[prefix + "aaa"]
    assert one(overrideReasons=told).reason == "Inapplicable"
    own[prefix + "reasonTitle"] = "Does not meet criteria"
    assert one(overrideReasons=told).reason == "other"
    assert one(overrideReasons={"extension": {"org.example": "45"}}).reason == ""


@pytest.mark.parametrize("told", [f"urn:uuid:{CARD}", CARD.upper(), f" {CARD} "])
def test_item_115_one_of_our_ids_is_known_however_it_is_written(told):
    assert (one(card=told).card, one(card=told).odd) == (CARD, ())
    assert one(outcome="accepted", acceptedSuggestions=[{"id": told}]).accepted == (CARD,)


@pytest.mark.parametrize("told", ["123456", SECRET, "ü\n", " ", "x" * 1024, "{" + CARD + "}"])
def test_item_115_an_id_that_is_no_uuid_is_taken_and_kept_as_a_hash(told):
    found = one(card=told, outcome="accepted", acceptedSuggestions=[{"id": told}])
    assert found.odd == ("card-no-uuid", "suggestion-no-uuid")
    assert found.card.startswith("sha256:")
    assert found.accepted == (found.card,)
    assert len(found.card) == 23


@pytest.mark.parametrize(
    "told",
    ["patient refuses", f"Mrs {SECRET}", "x" * 65, "", "=1+1", "-1", "@x", "ü", 1.5, True, ["x"], {"x": 1}],
)
def test_item_116_a_reason_that_is_no_code_is_other(told):
    found = one(overrideReason={"reason": {"code": told, "system": "http://example.org"}})
    assert (found.reason, found.reason_system, found.odd) == ("other", "", ("reason-no-code",))


def test_a_code_may_be_a_number_and_its_display_is_not_read():
    assert reason(code=45) == ("45", "")
    assert reason(code=" patient-refuses ", display=SECRET) == ("patient-refuses", "")
    assert reason(display=SECRET) == ("", "")


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("urn:oid:1.2.840.114350.1.13", "urn:oid:1.2.840.114350.1.13"),
        ("http: //example.org/a", "http://example.org/a"),
        ("http://example.org about Mrs X of Y", ""),
        ("http://example.org/?patient=1", ""),
        ("Mrs X", ""),
        ("http://example.org/" + "x" * 200, ""),
        (7, ""),
        (None, ""),
    ],
)
def test_a_system_is_an_address_or_it_is_not_kept(told, kept):
    assert reason(code="x", system=told) == ("x", kept)


@pytest.mark.parametrize(
    ("told", "at", "odd"),
    [
        ("2026-01-15T11:59:00Z", AT_MS - 250, ()),
        ("2026-01-15T12:59:00.25+01:00", AT_MS, ()),
        ("2026-01-15T12:05:00Z", AT_MS + 359_750, ()),
        ("2026-01-15T12:05:01Z", None, ("time-in-the-future",)),
        ("9999-12-31T23:59:59Z", None, ("time-in-the-future",)),
        ("0001-01-01T00:00:00+14:00", None, ("time-unreadable",)),
        ("1969-12-31T23:59:59Z", None, ("time-unreadable",)),
        ("2026-01-15T11:59:00", None, ("time-unreadable",)),
        ("yesterday", None, ("time-unreadable",)),
        (AT_MS, None, ("time-unreadable",)),
        ({}, None, ("time-unreadable",)),
        (None, None, ("time-missing",)),
        (..., None, ("time-missing",)),
    ],
)
def test_item_108_a_time_that_cannot_be_believed_is_none_and_noted(told, at, odd):
    found = one(outcomeTimestamp=told)
    assert (found.at, found.odd) == (at, odd)


def test_item_111_several_items_and_the_same_card_more_than_once():
    found = taken(item(), item(outcome="accepted", acceptedSuggestions=[{"id": SUGGESTION}]), item(), item(card="x"))
    assert [each.outcome for each in found] == ["overridden", "accepted", "overridden", "overridden"]
    assert taken() == ()
