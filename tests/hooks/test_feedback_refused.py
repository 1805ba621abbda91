"""What is refused as feedback: named by path and keyword, as the published schema does (items 107 to 116)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator, ValidationError

from cds_service.cdshooks.faults import BadRequest
from cds_service.cdshooks.feedback import MOST_FAULTS, MOST_ITEMS, FeedbackBody, read_feedback
from cds_service.cdshooks.schemas import schema_of
from tests.hooks.calling import SECRET
from tests.hooks.given_feedback import BODIES, CARD, NOW, SUGGESTION, faults, item, taken

SCHEMA = Draft202012Validator(schema_of(FeedbackBody))
MISTAKES = {
    "a list": ([], [("", "type")]),
    "no feedback": ({SECRET: 1}, [("feedback", "required")]),
    "null": ({"feedback": None}, [("feedback", "type")]),
    "an item on its own": ({"feedback": item()}, [("feedback", "type")]),
    "a text": ({"feedback": [SECRET]}, [("feedback.0", "type")]),
    "an empty item": (
        {"feedback": [{}]}, [("feedback.0.card", "required"), ("feedback.0.outcome", "required")]
    ),
    "another outcome": ({"feedback": [item(outcome=SECRET)]}, [("feedback.0.outcome", "enum")]),
    "an empty card": ({"feedback": [item(card="")]}, [("feedback.0.card", "minLength")]),
    "a long card": ({"feedback": [item(card=SECRET * 50)]}, [("feedback.0.card", "maxLength")]),
    "suggestions": (
        {"feedback": [item(acceptedSuggestions=[{}, 5])]},
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


def keywords(errors: Iterable[ValidationError]) -> Iterator[str]:
    """The keywords that are broken: of alternatives, those inside the one of the kind that was sent, else its type."""
    for error in errors:
        if error.validator != "anyOf":
            yield error.validator
            continue
        inside = [each for each in error.context if each.validator != "type" or len(each.relative_path) > 0]
        yield from keywords(inside) if inside else ["type"]


@given(BODIES)
def test_the_published_schema_and_the_reader_agree(told):
    """What the schema takes is read, and what it refuses is refused, with the schema's own keywords."""
    expected = set(keywords(SCHEMA.iter_errors(told)))
    try:
        found = {fault.keyword for fault in read_feedback(json.dumps(told).encode(), NOW).faults}
    except BadRequest as error:
        found = {fault.keyword for fault in error.faults}
    assert found == expected


def test_an_entry_that_cannot_be_read_costs_itself_and_not_the_batch():
    sent = json.dumps({"feedback": [item(), item(outcome=SECRET), SECRET, item(card="other")]}).encode()
    batch = read_feedback(sent, NOW)
    assert (len(batch.given), batch.refused) == (2, 2)
    assert [(fault.path, fault.keyword) for fault in batch.faults] == [
        ("feedback.1.outcome", "enum"), ("feedback.2", "type")
    ]  # fmt: skip
    assert all(SECRET not in fault.text for fault in batch.faults)


def test_suggestions_may_be_sent_as_plain_ids():
    (given_,) = taken(item(outcome="accepted", acceptedSuggestions=[SUGGESTION, {"id": CARD}, ""]))
    assert given_.accepted == (SUGGESTION, CARD)
