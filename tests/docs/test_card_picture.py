"""The README's picture of a card says what the service answers, word for word, and is the one that its script draws."""

from __future__ import annotations

import json
import re
import runpy
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from tests import golden

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "card.svg"
SVG = "{http://www.w3.org/2000/svg}"


DRAWING = SimpleNamespace(**runpy.run_path(str(ROOT / "docs" / "card_picture.py")))


def texts(svg: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter(f"{SVG}text"))


def said(svg: str) -> str:
    return " ".join(" ".join("".join(each.itertext()) for each in texts(svg)).replace("• ", "").split())


def expected(card: dict) -> str:
    labels = [each["label"] for each in card.get("suggestions", [])]
    source = f"Source: {card['source']['label']}"
    whole = "\n".join([card["indicator"].upper(), card["summary"], card["detail"], *labels, source])
    return " ".join(re.sub(r"\*\*|^- ", "", whole, flags=re.MULTILINE).split())


def test_the_readme_shows_the_picture_and_no_other():
    assert re.findall(r"!\[[^\]]+\]\(([^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8")) == ["docs/card.svg"]


def test_the_picture_says_what_the_golden_answer_says():
    (card,) = json.loads(golden.Pair("neuro-metformin").response.read_text())["cards"]
    assert said(PICTURE.read_text(encoding="utf-8")) == expected(card)


def test_the_picture_is_the_one_that_its_script_draws():
    drawn = DRAWING.picture(DRAWING.first_card())
    assert PICTURE.read_text(encoding="utf-8") == drawn, "draw it anew: python docs/card_picture.py"


@pytest.mark.parametrize("name", golden.names())
def test_any_card_can_be_drawn_whole(name: str):
    """Every word of it, no line above the one before it, and none longer than the picture is wide."""
    for card in json.loads(golden.Pair(name).response.read_text()).get("cards", []):
        svg = DRAWING.picture(card)
        assert said(svg) == expected(card)
        places = [int(each.attrib["y"]) for each in texts(svg)]
        assert all(above < below for above, below in pairwise(places))
        for each in texts(svg):
            size = int(each.attrib["font-size"])
            assert int(each.attrib["x"]) + len("".join(each.itertext())) * size * 0.56 <= DRAWING.WIDTH
