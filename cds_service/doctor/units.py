"""Unit texts that the content does not hold: is one only another way to write a unit that it does hold?

Only the spelling is compared, more loosely than a result is ever read with. What is not alike is a question for the
laboratory: a factor is never guessed.
"""

from __future__ import annotations

import re
import unicodedata

from ..clinical.tables import Analyte, Unit
from ..clinical.units import MICRO

LONGEST = 40
REMARKS = re.compile(r"\{[^}]*\}|\([^)/]*\)|\bserum\b|\bplasma\b|\bblood\b")
WORDS = (  # as many write them -> as we do; longer ones first
    (r"micro-?gra?m(me)?s?|microg|mcg", "ug"),
    (r"nano-?gra?m(me)?s?|nanog", "ng"),
    (r"pico-?gra?m(me)?s?|picog", "pg"),
    (r"milli-?gra?m(me)?s?", "mg"),
    (r"gra?m(me)?s?|gms?(?![a-z])", "g"),
    (r"micro-?mole?s?|mcmole?s?|umoles?", "umol"),
    (r"nano-?mole?s?|nmoles?", "nmol"),
    (r"pico-?mole?s?|pmoles?", "pmol"),
    (r"milli-?mole?s?|mmoles?", "mmol"),
    (r"micro-?lit(er|re)s?|mcl", "ul"),
    (r"milli-?lit(er|re)s?", "ml"),
    (r"deci-?lit(er|re)s?", "dl"),
    (r"femto-?lit(er|re)s?", "fl"),
    (r"lit(er|re)s?|ltr", "l"),
)
SPELLINGS = tuple((re.compile(pattern), short) for pattern, short in WORDS)


def alike(text: str, analyte: Analyte) -> Unit | None:
    """The unit of the analyte that this text seems to be a spelling of, or None."""
    form = plain_form(text)
    units = {(unit.family, unit.factor): unit for known, unit in analyte.units.items() if plain_form(known) == form}
    return next(iter(units.values())) if form and len(units) == 1 else None


def plain_form(text: str) -> str:
    """A unit without what laboratories add, leave out, or write in full."""
    plain = unicodedata.normalize("NFKC", text[:LONGEST]).translate(MICRO).casefold()
    plain = REMARKS.sub(" ", plain).replace(" per ", "/")
    for pattern, short in SPELLINGS:
        plain = pattern.sub(short, plain)
    plain = re.sub(r"[\s^*·.,_]+", "", plain).replace("×", "x")
    return re.sub(r"^x(?=10)", "", plain)
