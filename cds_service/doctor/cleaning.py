"""What a foreign server wrote, made safe to show and to paste.

Texts of a record reach a terminal, a spreadsheet and a configuration file here: no control signs, no formulas, no
patient's id.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

LONGEST = 120
FORMULA = "=+-@"  # a spreadsheet takes a cell that begins so for a formula
SHORTEST_ID = 4  # an id such as "7" stands in half of all texts
WITHHELD = "(withheld)"
PARTS = re.compile(r"[^A-Za-z0-9._-]+")


def shown(text: str) -> str:
    """A text of one line, printable, not endless."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text[: LONGEST * 4])
    plain = " ".join(plain.split())
    return plain if len(plain) <= LONGEST else plain[: LONGEST - 1].rstrip() + "…"


def no_formula(text: str) -> str:
    """A text for a spreadsheet's cell."""
    return text.lstrip(FORMULA + " ")


def is_formula(text: str) -> bool:
    return text.startswith(tuple(FORMULA))


class Privacy:
    """Knows the ids of the patients that were seen, so that no text with one of them is shown."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    def add(self, ids: Iterable[str]) -> None:
        """Ids that must not be shown."""
        self._ids.update(each for each in ids if len(each) >= SHORTEST_ID)

    def hides(self, text: str) -> bool:
        """Does an id stand in this text?"""
        parts = (text, *PARTS.split(text))
        return any(part in self._ids or part.strip("._-") in self._ids for part in parts)

    def show(self, text: str) -> str:
        """The text to show, or that it is withheld."""
        return WITHHELD if self.hides(text) else shown(text)
