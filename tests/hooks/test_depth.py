"""How deep a body may be nested (checklist item 36): 64 levels, counted outside of texts, however it is attacked."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cds_service.cdshooks.requests import DEPTH, surely_too_deep, too_deep
from cds_service.cli import main
from tests.hooks.calling import LARGEST_BODY, Answers, Caller, body, one_issue


def nested(levels: int, opening: str = "[", closing: str = "]") -> bytes:
    """A request with so many levels: three of them are the request, the prefetch and the value."""
    value = opening * (levels - 2) + "0" + closing * (levels - 2)
    return json.dumps(body(prefetch={"b12": "HERE"})).replace('"HERE"', value).encode()


def test_item_36_64_levels_are_read_and_65_are_400():
    assert Caller().post(nested(DEPTH)).status_code == 200
    assert one_issue(Caller().post(nested(DEPTH + 1)), 400)["details"]["text"] == "the body is nested too deep"


@pytest.mark.parametrize("levels", [100, 1_000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_item_36_a_deep_body_is_400_however_deep(levels, opening, closing):
    body = nested(levels, opening, closing)[:LARGEST_BODY]
    assert "nested too deep" in one_issue(Caller().post(body), 400)["details"]["text"]


def test_item_36_depth_that_brackets_in_texts_hide_is_400_as_soon_as_it_does_harm():
    levels = 50_000
    hidden = ('["]",' * levels + "0" + ',"["]' * levels).encode()
    assert not too_deep(hidden)
    sent = json.dumps(body(prefetch={"b12": "HERE"})).encode().replace(b'"HERE"', hidden)
    assert "nested too deep" in one_issue(Caller().post(sent), 400)["details"]["text"]


def test_a_recursion_error_of_our_own_is_not_blamed_on_the_request():
    caller = Caller(Answers(bug=RecursionError()))
    assert one_issue(caller.post(body()), 500)["code"] == "exception"


def test_brackets_in_texts_do_not_count():
    assert not too_deep(json.dumps(["[" * 100, "{" * 100, '"[' * 100, "\\[" * 100]).encode())


@given(st.recursive(st.text('[]{}"\\x', max_size=6), lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
    st.text('[]{}"', max_size=3), inner, max_size=3), max_leaves=60))  # fmt: skip
def test_the_exact_count_is_exact(value):
    def levels(inner):
        parts = inner.values() if isinstance(inner, dict) else inner if isinstance(inner, list) else None
        return 0 if parts is None else 1 + max(map(levels, parts), default=0)

    depth = levels(value)
    wrapped = b"[" * (DEPTH - depth) + json.dumps(value).encode() + b"]" * (DEPTH - depth)
    assert not surely_too_deep(wrapped)
    assert not too_deep(wrapped)
    assert surely_too_deep(b"[" + wrapped + b"]")


@pytest.mark.parametrize("levels", [100, 100_000])
def test_a_saved_request_that_is_nested_too_deep_is_one_line_of_explain_and_no_bug(levels, tmp_path):
    path = tmp_path / "deep.json"
    path.write_bytes(nested(levels, '{"a":', "}"))
    found = CliRunner().invoke(main, ["explain", str(path)], env={"CDS_DEMO": "1"})
    assert found.exit_code == 2
    assert "nested too deep" in found.stderr
    assert found.stderr.count("\n") == 1
