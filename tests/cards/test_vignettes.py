"""Every vignette says what it should, through the whole service."""

from __future__ import annotations

import pytest

from cds_service.hooks import invariants
from cds_service.vignette_fhir import PATIENT
from tests.book import book, faults, play

VIGNETTES = book("uk-ng239")


@pytest.mark.parametrize("vignette", VIGNETTES, ids=lambda vignette: vignette.name)
def test_the_vignette_is_answered_as_told(vignette):
    answer = play(vignette)
    if "missing" in vignette.expect:
        assert sorted(answer.missing) == sorted(vignette.expect["missing"])
        assert answer.status == vignette.expect.get("status", 200)
    assert faults(answer.decision, vignette) == []
    assert invariants.faults({"cards": answer.cards}, PATIENT) == []


def test_every_row_of_every_table_is_shown_by_a_vignette():
    from tests.book import content

    pathway = content().pathways["uk-ng239"]
    shown = {row for vignette in VIGNETTES for row in vignette.expect["rows"]}
    rows = {f"{row.table}/{row.id}" for table in ("interpret", "treat", "safety") for row in getattr(pathway, table)}
    assert rows - shown == set()
