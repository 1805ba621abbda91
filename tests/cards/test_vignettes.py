"""Every vignette says what it should, through the whole service."""

from __future__ import annotations

import pytest

from tests.api import PATIENT, row_name
from tests.book import PATHWAYS, book, content, faults, play, suppression_faults
from tests.hooks import invariants

BOOKS = {pathway: book(pathway) for pathway in PATHWAYS}
VIGNETTES = [vignette for told in BOOKS.values() for vignette in told]


@pytest.mark.parametrize("vignette", VIGNETTES, ids=lambda vignette: f"{vignette.pathway}/{vignette.name}")
def test_the_vignette_is_answered_as_told(vignette):
    answer = play(vignette)
    if "missing" in vignette.expect:
        assert sorted(answer.missing) == sorted(vignette.expect["missing"])
        assert answer.status == vignette.expect.get("status", 200)
    assert faults(answer.decision, vignette) == []
    assert suppression_faults(answer, vignette) == []
    assert invariants.faults({"cards": answer.cards}, PATIENT) == []


def test_every_pathway_that_is_shipped_has_its_vignettes_and_each_says_which_it_is_of():
    assert set(content().pathways) == set(PATHWAYS)
    assert all(vignette.pathway == pathway for pathway, told in BOOKS.items() for vignette in told)


def rows_expected(vignette):
    """The rows that a vignette says it shows, its course among them."""
    expect = vignette.expect
    course = [f"course/{expect['course']}"] if "course" in expect else []
    return {*expect.get("rows", ()), *expect.get("rows_include", ()), *course}


@pytest.mark.parametrize("name", PATHWAYS)
def test_every_row_of_every_table_is_shown_by_a_vignette(name):
    pathway = content().pathways[name]
    shown = set().union(*map(rows_expected, BOOKS[name]))
    tables = ("course", "interpret", "treat", "safety")
    assert {f"{row.table}/{row.id}" for table in tables for row in getattr(pathway, table)} - shown == set()


@pytest.mark.parametrize("name", PATHWAYS)
def test_every_row_about_orders_is_shown_by_a_vignette_about_orders(name):
    shown = set().union(*(rows_expected(each) for each in BOOKS[name] if each.hook != "patient-view"))
    assert {row_name(row) for row in content().pathways[name].orders} - shown == set()
