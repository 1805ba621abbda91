"""Cards: what they hold, and how several pieces of advice share them (checklist 2.8 to 2.10; 6.3.5)."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from cds_service.cdshooks.cards import LONGEST_SUMMARY, OVERRIDE_SYSTEM, TOPIC_SYSTEM, shortened, utf16_units
from cds_service.cdshooks.schemas import load_schema
from cds_service.clinical.tables import Source
from tests.hooks.calling import CLOSING, GUIDELINE, a_medicine, a_test, advice, cards, request
from tests.hooks.invariants import faults

IFAB, FBC, MMA = a_test("intrinsic-factor-antibody"), a_test("fbc"), a_test("mma")
ORAL, IM = a_medicine("oral"), a_medicine("im")
SCHEMA = Draft202012Validator(load_schema("response"))
ROWS = ["safety/S1", "safety/S5", "interpret/deficient", "treat/neuro", "safety/S7", "fixed/incomplete"]


def test_no_advice_is_no_card():
    assert cards() == []


def test_item_79_a_card_and_a_suggestion_have_ids_that_are_stable_and_their_own():
    once = cards(advice("safety/S1", "critical", FBC, IM), advice("interpret/deficient", "warning", MMA))
    again = cards(advice("safety/S1", "critical", FBC, IM), advice("interpret/deficient", "warning", MMA))
    assert once == again
    ids = [card["uuid"] for card in once] + [each["uuid"] for card in once for each in card["suggestions"]]
    assert len(set(ids)) == len(ids) == 5
    assert all(str(UUID(each)) == each and UUID(each).version == 5 for each in ids)


@pytest.mark.parametrize(
    "changed",
    [{"hook_request": request(hookInstance="other")}, {"client": "other"}, {"service": "other"}],
    ids=["hookInstance", "client", "service"],
)
def test_item_79_another_call_client_or_service_gets_other_ids(changed):
    ours, other = cards(advice("treat/oral", "info", ORAL)), cards(advice("treat/oral", "info", ORAL), **changed)
    assert ours[0]["uuid"] != other[0]["uuid"]
    assert ours[0]["suggestions"][0]["uuid"] != other[0]["suggestions"][0]["uuid"]


def test_item_79_the_parts_of_an_id_cannot_be_shifted_into_each_other():
    one = cards(advice("a/b"), hook_request=request(hookInstance="x"), service='s", "x')
    two = cards(advice("a/b"), hook_request=request(hookInstance='x", "x'), service="s")
    assert one[0]["uuid"] != two[0]["uuid"]


def test_item_80_a_summary_of_139_is_kept_and_a_longer_one_is_cut_with_nothing_lost():
    (card,) = cards(advice("a/b", summary="x" * 139))
    assert card["summary"] == "x" * 139
    long = "The quick brown fox " * 8
    (card,) = cards(advice("a/b", summary=long))
    assert card["summary"].endswith(" …")
    assert utf16_units(card["summary"]) <= LONGEST_SUMMARY
    assert card["detail"].startswith(long)


@given(st.text(min_size=1, max_size=400).filter(str.strip))
def test_item_80_no_summary_is_longer_than_139_utf16_units(text):
    assert 0 < utf16_units(shortened(text)) <= LONGEST_SUMMARY


def test_item_81_the_detail_keeps_its_text_and_ends_with_who_has_approved_it():
    (card,) = cards(advice("a/b", detail="First.\n\nSecond."))
    assert card["detail"] == f"First.\n\nSecond.\n\n{CLOSING}"


def test_an_approved_content_says_nothing_about_approval():
    (card,) = cards(advice("a/b", detail="First."), closing="")
    assert card["detail"] == "First."


def test_item_4_a_card_without_any_detail_repeats_its_summary():
    (card,) = cards(advice("a/b", detail=""), closing="")
    assert card["detail"] == card["summary"]


def test_item_81_stars_of_a_unit_do_not_turn_into_emphasis():
    (card,) = cards(advice("a/b", summary="Platelets 90 10*9/L", detail="Neutrophils 0.9 10*9/L, platelets 90 10*9/L"))
    assert "*" not in card["summary"] + card["detail"]
    assert "0.9 ×10⁹/L" in card["detail"]


@pytest.mark.parametrize("indicator", ["info", "warning", "critical"])
def test_item_82_the_indicator_is_the_advices(indicator):
    assert cards(advice("a/b", indicator))[0]["indicator"] == indicator


def test_items_83_and_84_the_source_is_the_guideline():
    (card,) = cards(advice("a/b"))
    assert card["source"]["label"] == GUIDELINE.title
    assert card["source"]["url"] == GUIDELINE.url


def test_item_85_one_topic_per_row_under_one_system():
    topics = [card["source"]["topic"] for card in cards(advice("a/b"), advice("a/c"))]
    assert {topic["system"] for topic in topics} == {TOPIC_SYSTEM}
    assert [topic["code"] for topic in topics] == ["AB", "AC"]


def test_items_86_to_88_selection_behaviour_comes_with_suggestions_and_only_with_them():
    with_draft, without = cards(advice("a/b", "info", FBC), advice("a/c"))
    assert with_draft["selectionBehavior"] == "any"
    assert "suggestions" not in without
    assert "selectionBehavior" not in without


@pytest.mark.parametrize(
    ("client", "drafts", "expected"),
    [
        ("any", (IM, ORAL), "any"),
        ("alternatives", (IM, ORAL), "at-most-one"),
        ("alternatives", (IM,), "any"),
        ("alternatives", (FBC, MMA), "any"),
        ("alternatives", (FBC, IM, ORAL), "any"),
        ("at-most-one", (FBC, MMA), "at-most-one"),
    ],
)
def test_item_87_alternatives_exclude_each_other_where_the_client_takes_that(client, drafts, expected):
    (card,) = cards(advice("a/b", "info", *drafts), selection_behaviour=client)
    assert card["selectionBehavior"] == expected


def test_items_89_and_90_override_reasons_have_code_system_and_display():
    (card,) = cards(advice("a/b"))
    assert card["overrideReasons"] == [
        {"code": "patient-refuses", "system": OVERRIDE_SYSTEM, "display": "The patient declines"}
    ]
    assert "overrideReasons" not in cards(advice("a/b"), override_reasons=())[0]


def test_items_91_103_and_106_the_only_link_is_the_guideline():
    (card,) = cards(advice("a/b"))
    assert card["links"] == [{"label": GUIDELINE.title, "url": GUIDELINE.url, "type": "absolute"}]


def test_item_104_the_link_to_the_evidence_view_says_of_which_call_it_is():
    address = "https://cds.example.org/smart/launch"
    (card,) = cards(advice("a/b"), smart_launch=address, smart_label="Evidence")
    _, link = card["links"]
    assert link == {"label": "Evidence", "url": address, "type": "smart", "appContext": request().hook_instance}
    assert faults({"cards": [card]}) == []


def test_item_5_a_guideline_without_address_is_no_link():
    (card,) = cards(advice("a/b"), guideline=replace(GUIDELINE, url=""))
    assert "links" not in card
    assert "url" not in card["source"]


def test_items_92_to_102_a_suggestion_is_one_create_action_described_in_words():
    (card,) = cards(advice("treat/oral", "info", ORAL))
    (suggestion,) = card["suggestions"]
    (action,) = suggestion["actions"]
    assert suggestion["label"] == "Label of oral"
    assert action["type"] == "create"
    assert action["description"] == "Description of oral"
    resource = action["resource"]
    assert resource["resourceType"] == "MedicationRequest"
    assert (resource["status"], resource["intent"]) == ("draft", "proposal")
    assert resource["subject"] == {"reference": "Patient/pt-1"}
    assert str(UUID(resource["id"])) == resource["id"]


def test_item_94_a_suggestion_is_recommended_by_the_content_and_never_by_being_first():
    (card,) = cards(advice("treat/malabsorption", "info", IM, ORAL))
    assert not any("isRecommended" in each for each in card["suggestions"])
    (card,) = cards(advice("treat/malabsorption", "info", IM, replace(ORAL, recommended=True)))
    assert [each.get("isRecommended", False) for each in card["suggestions"]] == [False, True]


def test_the_source_of_a_card_is_that_of_its_row():
    own = Source("guide", "British National Formulary", "https://bnf.example.org/", "")
    (card,) = cards(advice("a/b"), sources={"guide": own})
    assert (card["source"]["label"], card["source"]["url"]) == (own.title, own.url)
    design = Source("guide", "Design decision of this content", "", "")
    (card,) = cards(advice("a/b"), sources={"guide": design})
    assert "url" not in card["source"]


def test_three_pieces_of_advice_are_three_cards():
    told = cards(advice("safety/S1", "critical"), advice("interpret/deficient", "warning"), advice("treat/neuro"))
    assert [card["source"]["topic"]["code"] for card in told] == ["SafetyS1", "InterpretDeficient", "TreatNeuro"]


def test_the_last_card_takes_what_no_longer_fits():
    told = cards(
        advice("safety/S1", "critical", FBC),
        advice("safety/S5", "warning", MMA),
        advice("interpret/deficient", "warning", FBC, IFAB),
        advice("treat/neuro", "info", IM),
    )
    assert len(told) == 3
    last = told[2]
    assert last["indicator"] == "warning"
    assert last["summary"] == "Summary of interpret deficient"
    assert (
        last["detail"]
        == f"Detail of interpret deficient.\n\n**Summary of treat neuro**\n\nDetail of treat neuro.\n\n{CLOSING}"
    )
    assert [each["label"] for each in last["suggestions"]] == ["Label of intrinsic-factor-antibody", "Label of im"]


def test_a_client_that_shows_one_card_gets_everything_on_it():
    (card,) = cards(advice("safety/S1", "critical", FBC), advice("treat/neuro", "info", IM), max_cards=1)
    assert card["indicator"] == "critical"
    assert "Detail of treat neuro." in card["detail"]
    assert len(card["suggestions"]) == 2


def test_an_equal_draft_is_offered_once_on_the_most_severe_card():
    first, second = cards(advice("safety/S1", "critical", FBC, IM), advice("interpret/deficient", "warning", FBC, IM))
    assert len(first["suggestions"]) == 2
    assert "suggestions" not in second


drafts = st.lists(st.sampled_from([IFAB, FBC, MMA, ORAL, IM]), max_size=4).map(tuple)
texts = st.text(st.characters(codec="utf-8", exclude_characters="<!"), min_size=1, max_size=200).filter(str.strip)


@st.composite
def many(draw):
    rows = draw(st.lists(st.sampled_from(ROWS), unique=True, max_size=6))
    found = [
        advice(
            row,
            draw(st.sampled_from(["info", "warning", "critical"])),
            *draw(drafts),
            summary=draw(texts),
            detail=draw(texts),
        )
        for row in rows
    ]
    return sorted(found, key=lambda each: ("critical", "warning", "info").index(each.indicator))


@given(many(), st.integers(1, 4), st.sampled_from(["any", "alternatives", "at-most-one"]))
def test_whatever_the_advice_the_answer_keeps_the_schema_the_invariants_and_every_word(told, most, behaviour):
    answer = {"cards": cards(*told, max_cards=most, selection_behaviour=behaviour)}
    assert not list(SCHEMA.iter_errors(answer))
    assert not faults(answer, "pt-1", most)
    said = json.dumps(answer, ensure_ascii=False)
    offered = [each["label"] for card in answer["cards"] for each in card.get("suggestions", [])]
    for each in told:
        assert json.dumps(each.detail.replace("10*9/L", ""), ensure_ascii=False)[1:-1] in said.replace("×10⁹/L", "")
        assert all(f"Label of {draft.id}" in offered for draft in each.drafts)
    assert len(offered) == len({draft for each in told for draft in each.drafts})
