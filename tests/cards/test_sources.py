"""Nothing in cards/ names a source that the clinical reference does not give, nor a better grade than it allows."""

from __future__ import annotations

import pytest

from cds_service.content.check import provenances
from tests.api import Pathway
from tests.book import FIXTURES, PATHWAYS, content

REFERENCE = FIXTURES.parent / "docs" / "clinical-reference.md"
GIVEN = {  # a source of sources.toml -> what it is called where the reference lists its sources
    "ng239-table-1": "NICE NG239",
    "ng239": "NICE NG239",
    "ng239-bmj": "2024;385:q1019",
    "smpc-hydroxocobalamin": "UK product characteristics of",
    "smpc-orobalin": "Orobalin",
    "bomss-gp-2023": "BOMSS 2020 and 2023",
    "bomss-2020": "BOMSS 2020 and 2023",
    "sps-pregnancy": "SPS",
    "bsh-2014": "BSH 2014",
    "lothian-2025": "NHS Lothian 2025",
    "ajcn-2024": "two trials of oral B12 in pernicious anaemia",
    "front-med-2016": "two trials of oral B12 in pernicious anaemia",
    "fda-nascobal": "the nasal spray",
    "fda-cyanocobalamin": "FDA labels of cyanocobalamin",
    "fda-hydroxocobalamin": "FDA labels of cyanocobalamin",
    "bnf-hydroxocobalamin": "BNF",
    "nice-cks": "NICE CKS",
    "mhra-metformin": "MHRA (June 2022",
    "mhra-cobalt": "December 2023 on cobalt",
    "aafp-2017": "AAFP 2017",
    "aafp-2025": "2025;",
    "stabler-2013": "Stabler",
    "laboratory-handbooks": "laboratory handbooks",
}
NO_PUBLICATION = {"secondary-digest", "to-be-verified", "project-design", "loinc"}
ONLY_IN_DIGESTS = {"bnf-hydroxocobalamin", "nice-cks", "bomss-2020", "sps-pregnancy", "secondary-digest", "bsh-2014"}
OURS = {"project-design", "to-be-verified"}


@pytest.fixture(params=PATHWAYS)
def pathway(request: pytest.FixtureRequest) -> Pathway:
    return content().pathways[request.param]


def sources_in_short() -> str:
    text = REFERENCE.read_text(encoding="utf-8")
    return " ".join(text.partition("**Sources in short.**")[2].partition("\n\n")[0].split())


def test_the_sources_are_those_of_the_reference(pathway: Pathway):
    assert pathway.sources.keys() == GIVEN.keys() | NO_PUBLICATION
    assert {key for key, words in GIVEN.items() if words not in sources_in_short()} == set()


def test_what_is_superseded_says_so(pathway: Pathway):
    assert "superseded" in pathway.sources["bsh-2014"].title


def test_no_grade_is_better_than_its_source_allows(pathway: Pathway):
    """What was read in digests alone is not primary, and our own decisions are called by that name."""
    wrong = [
        (place, origin.source, origin.evidence)
        for place, origin in provenances(pathway)
        if (origin.evidence == "primary" and origin.source in ONLY_IN_DIGESTS)
        or (origin.evidence != "design" and origin.source in OURS)
    ]
    assert wrong == []


def test_every_part_of_a_pathway_states_its_source(pathway: Pathway):
    every = dict(provenances(pathway))
    for follow_up in pathway.follow_ups:
        assert f'{pathway.id}/follow-ups.toml follow-up "{follow_up}"' in every
    assert {origin.source for origin in every.values()} <= pathway.sources.keys()
