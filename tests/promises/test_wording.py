"""What no card may ever say: that a patient is well, that deficiency is excluded, that metformin is to be stopped.

Every text that the content can show is looked through, of every pathway that is shipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.book import PATHWAYS, content

REASSURING = re.compile(
    r"\b(?:patient is (?:well|healthy)|no (?:B12 )?deficiency\b(?! is)|(?:is|are) (?:healthy|all right)"
    r"|rule[sd]? out|nothing to worry|(?<!not )(?<!without )(?<!nor )exclud(?:es|ed|ing) (?:B12 )?deficiency"
    r"|deficiency is (?:excluded|ruled out)|B12 is normal|normal B12)",
    re.IGNORECASE,
)
STOPPING = re.compile(r"(?<!do not )(?<!never )(?<!Do not )\b(?:stop|discontinue|withdraw) metformin", re.IGNORECASE)


def texts(pathway: str) -> Iterator[tuple[str, str]]:
    """Where a text stands, and the text."""
    told = content().pathways[pathway]
    for row in [*told.interpret, *told.treat, *told.safety, *told.orders, *told.notes, *told.fixed.values()]:
        yield row.id, f"{row.summary}\n{row.detail}"
    yield from ((regimen.id, regimen.words) for regimen in told.regimens.values())
    yield from told.messages.items()


@pytest.mark.parametrize("pathway", PATHWAYS)
def test_no_card_says_that_the_patient_is_well_or_that_deficiency_is_excluded(pathway):
    assert [(place, found[0]) for place, text in texts(pathway) if (found := REASSURING.search(text))] == []


@pytest.mark.parametrize("pathway", PATHWAYS)
def test_no_card_tells_anyone_to_stop_metformin(pathway):
    assert [place for place, text in texts(pathway) if STOPPING.search(text)] == []


@pytest.mark.parametrize(
    "text",
    ["The patient is well", "This rules out deficiency", "Deficiency is excluded", "B12 is normal", "No deficiency."],
)
def test_such_words_would_be_found(text):
    assert REASSURING.search(text)
    assert not REASSURING.search("Deficiency is less likely, and not excluded; unlikely, without excluding it")


def test_an_advice_to_stop_would_be_found():
    assert STOPPING.search("Consider: stop metformin")
    assert not STOPPING.search("do not stop metformin")
