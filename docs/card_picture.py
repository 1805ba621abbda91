"""Draw docs/card.svg, the card that the README shows: `python docs/card_picture.py`.

It is the first card of a golden answer, whole: its words are those of the answer, which a test compares. Fonts differ
from machine to machine, so a line is broken early enough for a wide one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from textwrap import wrap
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ANSWER = ROOT / "fixtures" / "golden" / "neuro-metformin.response.json"
PICTURE = ROOT / "docs" / "card.svg"
WIDTH, MARGIN, SIZE, LINE = 760, 30, 15, 22  # in pixels; a line holds that much of a wide font
CHARACTERS = (WIDTH - 2 * MARGIN) / SIZE / 0.56
BAND = {"info": "#0b5a8f", "warning": "#d68a00", "critical": "#c9281f"}
WORD = {"info": "#0b5a8f", "warning": "#7a4b00", "critical": "#a11b14"}
TEXT, QUIET, ACCENT, BUTTON = "#18212c", "#4d5a69", "#0b5a8f", "#e3eff8"
FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans','DejaVu Sans',sans-serif"
BOLD = re.compile(r"\*\*(.+?)\*\*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text: Markdown's bold is kept. `before` is the space above it, `button` whether it is one."""

    text: str
    before: int = 0
    indent: int = 0
    size: int = SIZE
    colour: str = TEXT
    weight: int = 400
    button: bool = False


def lines(card: dict[str, Any]) -> Iterator[Line]:
    """What the card says, from top to bottom."""
    yield Line(card["indicator"].upper(), size=13, colour=WORD[card["indicator"]], weight=700)
    yield from broken(Line(card["summary"], before=4, size=18, weight=700))
    for paragraph in card["detail"].split("\n\n"):
        for number, item in enumerate(paragraph.split("\n")):
            bullet = item.startswith("- ")
            before = 0 if number else 8
            yield from broken(Line(item.removeprefix("- "), before=before, indent=18 * bullet), "• " * bullet)
    suggestions = card.get("suggestions", [])
    for number, each in enumerate(suggestions):
        recommended = bool(each.get("isRecommended"))
        before = 10 if number else 16
        yield Line(each["label"], before=before, indent=12, colour=ACCENT, weight=700 * recommended or 400, button=True)
    yield from broken(Line(f"Source: {card['source']['label']}", before=16, size=13, colour=QUIET))


def broken(line: Line, mark: str = "") -> Iterator[Line]:
    """A paragraph as lines that fit; bold type that is broken goes on in the next one."""
    room = int((CHARACTERS - line.indent / 8) * SIZE / line.size)
    bold = False
    for number, part in enumerate(wrap(line.text, room, break_long_words=False, break_on_hyphens=False)):
        opened, bold = "**" * bold, bold ^ (part.count("**") % 2 == 1)
        text = f"{opened}{part}{'**' * bold}"
        before = 0 if number else line.before
        yield Line((mark if number == 0 else "") + text, before, line.indent, line.size, line.colour, line.weight)


def drawn(line: Line, top: int) -> str:
    """One line as SVG, its upper edge at `top`."""
    x, y = MARGIN + line.indent, top + line.size + (LINE - line.size) // 2 - 2
    start = x - 13 if line.text.startswith("• ") else x
    words = BOLD.sub(r'<tspan font-weight="700">\1</tspan>', escape(line.text, quote=False))
    shape = ""
    if line.button:
        width = round(len(line.text) * SIZE * 0.6) + 24
        shape = (
            f'<rect x="{MARGIN}" y="{top - 3}" width="{width}" height="{LINE + 6}" rx="6" fill="{BUTTON}" '
            f'stroke="{ACCENT}"/>'
        )
    weight = f' font-weight="{line.weight}"' if line.weight != Line.weight else ""
    return f'{shape}<text x="{start}" y="{y}" font-size="{line.size}" fill="{line.colour}"{weight}>{words}</text>'


def picture(card: dict[str, Any]) -> str:
    """The card as an SVG of a fixed width, as high as its text."""
    top, parts = 18, []
    for line in lines(card):
        top += line.before
        parts.append(drawn(line, top))
        top += LINE if line.size <= SIZE else line.size + 7
    height = top + 16
    frame = (
        f'<rect x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="9" fill="#fff" stroke="#cfd8e1"/>'
        f'<rect width="7" height="{height}" rx="3" fill="{BAND[card["indicator"]]}"/>'
    )
    title = f"<title>{escape(card['summary'], quote=False)}</title>"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    return "\n".join([f'{head} role="img" font-family="{FONT}">', title, frame, *parts, "</svg>", ""])


def first_card() -> dict[str, Any]:
    """The card that is drawn."""
    card: dict[str, Any] = json.loads(ANSWER.read_text(encoding="utf-8"))["cards"][0]
    return card


if __name__ == "__main__":
    PICTURE.write_text(picture(first_card()), encoding="utf-8")
