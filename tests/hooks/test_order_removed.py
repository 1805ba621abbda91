"""Folic acid before B12: the order itself can be taken back for now, where that harms nobody (6.3.6, S2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cds_service.examples.vignettes import read_vignette
from tests import book

FOLIC_ACID = """
title = "Folic acid 5 mg is being ordered, B12 150 ng/L"
source = "docs/clinical-reference.md 6.3.6"
hook = "order-select"
[patient]
age = 30
[[lab]]
analyte = "b12"
value = 150
unit = "ng/L"
days_ago = 5
[[selected]]
ingredient = "folic-acid"
route = "oral"
dose = "5 mg"
every = "1 day"
"""
PREGNANT = '[[problem]]\nconcept = "pregnancy"\ndays_ago = 100\n'
ON_METHOTREXATE = '[[medicine]]\ningredient = "methotrexate"\ndays_ago = 900\n'


def suggested_deletions(text: str, folder: Path) -> list[dict[str, Any]]:
    path = folder / "folic.toml"
    path.write_text(text, encoding="utf-8")
    cards = book.play(read_vignette(path)).cards
    assert cards
    actions = [action for card in cards for each in card.get("suggestions", ()) for action in each["actions"]]
    return [action for action in actions if action["type"] == "delete"]


def test_the_order_is_named_and_removed_as_it_was_sent(tmp_path):
    (action,) = suggested_deletions(FOLIC_ACID, tmp_path)
    assert action["resourceId"].startswith("MedicationRequest/")
    assert "folic acid" in action["description"]
    assert "resource" not in action


@pytest.mark.parametrize("more", [PREGNANT, ON_METHOTREXATE], ids=["pregnant", "methotrexate"])
def test_folic_acid_that_is_needed_is_never_removed(more, tmp_path):
    assert not suggested_deletions(FOLIC_ACID + more, tmp_path)
