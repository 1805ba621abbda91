"""The picture of the course follows the table: every state is in it, and no arrow names what does not exist."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from cds_service.content.course_picture import HAPPENS, LASTING, Edge, edges, picture
from cds_service.content.print import as_html, as_markdown
from tests.api import Pathway
from tests.book import PATHWAYS, content, with_row


@pytest.fixture(params=PATHWAYS)
def pathway(request: pytest.FixtureRequest) -> Pathway:
    return content().pathways[request.param]


def svg(pathway: Pathway) -> ElementTree.Element:
    found = re.search(r"<svg.*</svg>", picture(pathway), re.DOTALL)
    assert found
    return ElementTree.fromstring(found.group())


def test_every_state_is_drawn_and_all_but_one_have_an_arrow(pathway: Pathway):
    drawn = {text.text for text in svg(pathway).iter() if text.get("font-weight") == "700"}
    assert drawn == {row.id for row in pathway.course}
    joined = {name for each in edges(pathway) for name in (each.start, each.end)}
    assert {row.id for row in pathway.course} - joined == {"out-of-scope"}


def test_no_arrow_names_a_state_or_a_finding_that_does_not_exist(pathway: Pathway):
    assert {name for each in edges(pathway) for name in (each.start, each.end)} <= {row.id for row in pathway.course}
    used = {name for step in HAPPENS for name in (*step.before, *step.after)} | {n for _, each in LASTING for n in each}
    assert {name for name in used if f"findings.{name}" not in content().plain_words} == set()


def test_the_drawing_is_said_in_words_too(pathway: Pathway):
    drawing = svg(pathway)
    ids = {each.get("id") for each in drawing.iter()}
    assert drawing.get("role") == "img"
    assert set((drawing.get("aria-labelledby") or "").split()) <= ids
    assert picture(pathway).count("<li>") == len(edges(pathway))
    assert "style=" not in picture(pathway) and "href" not in picture(pathway)


def test_a_site_sees_its_own_numbers_and_rows(pathway: Pathway):
    gap = replace(pathway.thresholds["loading-gap"], value=23)
    longer = replace(pathway, thresholds={**pathway.thresholds, "loading-gap": gap})
    assert "no dose for more than 23 days" in picture(longer)
    without = tuple(row for row in pathway.course if row.id != "lapsed")
    assert "lapsed" not in {each.end for each in edges(with_row(pathway, "course", without))}


def test_the_usual_way_is_in_it():
    found = {(each.start, each.end) for each in edges(content().pathways["uk-ng239"])}
    way = ("none", "ordered", "loading", "on-time", "due-soon", "overdue", "lapsed", "loading")
    assert set(pairwise(way)) <= found
    assert Edge("loading", "loading-stopped", "time", "no dose for more than 7 days") in edges(
        content().pathways["uk-ng239"]
    )


def test_it_is_printed_with_the_table(pathway: Pathway):
    assert picture(pathway) in as_html(content(), pathway)
    assert "overdue to on-time: the injection is given" in as_markdown(content(), pathway)


def test_a_pathway_that_tells_of_no_course_has_none(pathway: Pathway):
    assert picture(replace(pathway, course=())) == ""
