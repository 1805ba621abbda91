"""How feedback is read (items 107 to 116): every shape that clients send, and nothing that a person may have typed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from cds_service.hooks.feedback import MOST_FAULTS, Feedback, read_feedback
from cds_service.hooks.feedback_shapes import MOST_ITEMS
from cds_service.hooks.messages import BadRequest
from cds_service.hooks.schemas import load_schema
from tests.hooks.calling import SECRET

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
CARD, SUGGESTION = "5a4ee0ba-6b3c-5a3f-8d0f-0c5f3ad2e0a1", "0b9e5f62-1d5b-5b0e-9a6e-2f7f4d1c8b7a"
AT, AT_MS = "2026-01-15T11:59:00.250Z", 1768478340250
SCHEMA = Draft202012Validator(load_schema("feedback"))


def item(**changed: Any) -> dict[str, Any]:
    """An override without a reason; a field given as ... is left out."""
    told = {"card": CARD, "outcome": "overridden", "outcomeTimestamp": AT}
    return {name: value for name, value in {**told, **changed}.items() if value is not ...}


def taken(*items: Any) -> tuple[Feedback, ...]:
    return read_feedback(json.dumps({"feedback": items}).encode(), NOW)


def one(**changed: Any) -> Feedback:
    (found,) = taken(item(**changed))
    return found


def reason(**coding: Any) -> tuple[str, str]:
    found = one(overrideReason={"reason": coding})
    return found.reason, found.reason_system


def faults(told: Any) -> list[tuple[str, str]]:
    with pytest.raises(BadRequest) as caught:
        read_feedback(told if isinstance(told, bytes) else json.dumps(told).encode(), NOW)
    assert all(SECRET not in fault.text for fault in caught.value.faults)
    return [(fault.path, fault.keyword) for fault in caught.value.faults]


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


MISTAKES = {
    "a list": ([], [("", "type")]),
    "no feedback": ({SECRET: 1}, [("feedback", "required")]),
    "null": ({"feedback": None}, [("feedback", "type")]),
    "an item on its own": ({"feedback": item()}, [("feedback", "type")]),
    "a text": ({"feedback": [SECRET]}, [("feedback.0", "type")]),
    "an empty item": (
        {"feedback": [item(), {}]}, [("feedback.1.card", "required"), ("feedback.1.outcome", "required")]
    ),
    "another outcome": ({"feedback": [item(outcome=SECRET)]}, [("feedback.0.outcome", "enum")]),
    "an empty card": ({"feedback": [item(card="")]}, [("feedback.0.card", "minLength")]),
    "a long card": ({"feedback": [item(card=SECRET * 50)]}, [("feedback.0.card", "maxLength")]),
    "suggestions": (
        {"feedback": [item(acceptedSuggestions=[{}, SECRET])]},
        [("feedback.0.acceptedSuggestions.0.id", "required"), ("feedback.0.acceptedSuggestions.1", "type")],
    ),
    "many suggestions": (
        {"feedback": [item(acceptedSuggestions=[{"id": SECRET}] * 21)]},
        [("feedback.0.acceptedSuggestions", "maxItems")],
    ),
    "a reason": ({"feedback": [item(overrideReason=SECRET)]}, [("feedback.0.overrideReason", "type")]),
    "a reason in words": (
        {"feedback": [item(overrideReason={"reason": SECRET})]}, [("feedback.0.overrideReason.reason", "type")]
    ),
    "reasons": (
        {"feedback": [item(overrideReasons=[{"reason": SECRET}, None])]},
        [("feedback.0.overrideReasons.0.reason", "type"), ("feedback.0.overrideReasons.1", "type")],
    ),
    "many reasons": ({"feedback": [item(overrideReasons=[{}] * 11)]}, [("feedback.0.overrideReasons", "maxItems")]),
    "many items": ({"feedback": [item()] * (MOST_ITEMS + 1)}, [("feedback", "maxItems")]),
}  # fmt: skip


@pytest.mark.parametrize(("told", "expected"), MISTAKES.values(), ids=MISTAKES.keys())
def test_item_114_what_is_malformed_is_told_by_path_and_keyword(told, expected):
    assert faults(told) == expected


@pytest.mark.parametrize(
    "told",
    [b"", b"{", b'{"feedback": [NaN]}', b'{"feedback": ["\xe9"]}', b'{"feedback": [], "x": "\xe9"}', b"\xff\xfe"],
)
def test_item_114_what_is_not_json_says_so(told):
    assert faults(told) == [("", "json")]


def test_item_114_a_body_that_is_nested_too_deep_says_so():
    assert faults(b'{"feedback": [], "x": ' + b"[" * 70 + b"]" * 70 + b"}") == [("", "depth")]
    deep = b'{"feedback": [{"x": ' + b"[" * 5_000 + b"]" * 5_000 + b"}]}"
    assert faults(deep) == [("", "depth")]
    hidden = b'{"a":' * 50_000 + b"1" + b',"b":1}' * 50_000
    assert faults(b'{"feedback": 1, "x": ' + hidden + b"}") == [("", "depth")]
    assert faults(b'{"feedback": [{"card": 1, "x": ' + hidden + b"}]}") == [("", "depth")]
    assert faults(b'{"feedback": [{"x": ' + b"[" * 500_000) in ([("", "depth")], [("", "json")])


def test_a_body_full_of_faults_names_the_first_of_them():
    assert len(faults({"feedback": [{}] * MOST_ITEMS})) <= 2 * MOST_FAULTS


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)
REASONS = st.fixed_dictionaries(
    {}, optional={"reason": st.fixed_dictionaries({}, optional={"code": VALUES}) | VALUES, "userComment": VALUES}
)
ITEMS = st.fixed_dictionaries(
    {"card": st.just(CARD) | VALUES, "outcome": st.sampled_from(["accepted", "overridden"]) | VALUES},
    optional={
        "outcomeTimestamp": st.datetimes().map(lambda at: at.isoformat() + "Z") | VALUES,
        "acceptedSuggestions": st.lists(st.fixed_dictionaries({"id": VALUES}), max_size=3) | VALUES,
        "overrideReason": REASONS | VALUES,
        "overrideReasons": REASONS | st.lists(REASONS, max_size=3) | VALUES,
        "extension": VALUES,
    },
)
BODIES = st.fixed_dictionaries({"feedback": st.lists(ITEMS, max_size=3) | VALUES}) | VALUES


@given(BODIES)
def test_the_published_schema_and_the_reader_agree(told):
    """What the schema takes is read, and what it refuses is refused, with the schema's own keywords."""
    expected = {error.validator for error in SCHEMA.iter_errors(told)}
    try:
        read_feedback(json.dumps(told).encode(), NOW)
        found = set()
    except BadRequest as error:
        found = {fault.keyword for fault in error.faults}
    assert found == expected
