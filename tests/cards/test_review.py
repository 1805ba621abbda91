"""What a reviewer reads: every name in the tables has plain words, and every row its facts, wording and source."""

from __future__ import annotations

import pytest

from cds_service.clinical.findings import REGISTRY
from cds_service.content.content import load_content
from cds_service.content.files import cards_folder
from cds_service.content.review import Entry, Sheet, sheets
from cds_service.content.valuesets import KINDS, unchanged, value_set, value_sets
from tests.cards.small_content import SmallContent

WORDS = "plain-words.toml"


def entry(small: SmallContent, sheet: str, name: str) -> Entry:
    content = small.load()
    found = {each.id: each for each in sheets(content, content.pathways["uk-small"])}
    return next(each for each in found[sheet].entries if each.id == name)


def test_a_misspelt_finding_is_a_fault(small: SmallContent):
    small.change(WORDS, "[thresholds]", 'nuero = "-"\n[thresholds]')
    assert small.fault().startswith("plain-words.toml [findings]: no finding 'nuero'. Did you mean 'neuro'?")


def test_every_threshold_that_a_pathway_may_state_has_plain_words():
    words = load_content(cards_folder()).plain_words
    assert all(words[f"thresholds.{name}"] for name in REGISTRY.limits)


def test_a_row_is_told_in_plain_words_beside_its_names(small: SmallContent):
    row = entry(small, "interpret", "deficient")
    assert [(said.text, said.name) for said in row.fact("When").said] == [("B12 is below the limit", "b12_deficient")]
    assert [said.text for said in row.fact("Card").said] == ["warning", "critical"]
    assert row.fact("Card").said[1].when[0].text == "neurological signs are recorded"
    assert [said.text for said in row.fact("Treatment").said] == ["consider treatment", "treat now"]
    assert row.fact("Tests").said[1].unless[0].name == "neuro"
    assert row.fact("Review").said[0].text == "after 3 months"
    assert dict(row.texts)["Summary"] == "B12 {b12} on {b12_date} meets the threshold"
    assert row.provenance.evidence == "secondary"


def test_a_regimen_is_told_phase_by_phase(small: SmallContent):
    assert [said.text for said in entry(small, "regimens", "im").fact("Phases").said] == [
        "loading: 1 mg into a muscle, 3 × per week, for 6 doses in 2 weeks",
        "maintenance: 1 mg into a muscle, 1 × per 2 to 3 months",
    ]


@pytest.fixture(scope="module", params=["uk-ng239", "us-aafp"])
def shipped(request: pytest.FixtureRequest) -> tuple[Sheet, ...]:
    content = load_content(cards_folder())
    return sheets(content, content.pathways[request.param])


def test_no_row_of_a_shipped_pathway_is_told_by_names_alone(shipped: tuple[Sheet, ...]):
    for sheet in shipped:
        for each in sheet.entries if sheet.is_decision else ():
            for fact in (each.fact("When"), each.fact("Unless"), each.fact("Label")):
                assert all(said.text != said.name for said in (fact.said if fact else ()))


def test_value_sets_are_read_line_by_line_with_their_kind_and_groups():
    content = load_content(cards_folder())
    every = value_sets(content)
    assert {each.kind for each in every.values()} <= KINDS.keys()
    found = value_set(content, "problem-fatigue")
    assert (found.display, "symptom" in found.groups, found.count) == ("fatigue", True, len(found.lines))
    assert all(line.code and line.source and not line.local for line in found.lines)
    assert value_set(content, "problem-none") is None


def test_files_that_changed_since_they_were_loaded_are_noticed(small: SmallContent):
    content = small.load()
    assert unchanged(content)
    small.change("thresholds.toml", "value = 180", "value = 181")
    assert not unchanged(content)
