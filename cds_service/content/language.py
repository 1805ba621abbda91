"""A language as an overlay: lang/de/ says, text by text, what the cards say in it.

A translation stands beside the English text that it translates, paragraph by paragraph. Where the English changes, the
translation no longer counts and the card shows English there, until somebody has translated it anew: an old sentence
never stands for a new one. A translation is for a clinician to approve, like everything else that a card says.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from .faults import Faults
from .typed import Shape, read

Toml = dict[str, Any]
LANG, ABOUT = "lang", "language.toml"
ROWS = ("course.toml", "interpret.toml", "treat.toml", "safety.toml", "orders.toml", "notes.toml")
TEXTS = {  # file -> the keys whose texts a card may show
    **dict.fromkeys(ROWS, ("summary", "detail")),
    "pathway.toml": ("summary", "detail"),
    "regimens.toml": ("title", "words", "text"),
    "orderables.toml": ("title",),
    "follow-ups.toml": ("title",),
    **dict.fromkeys(("analytes.toml", "problems.toml", "medicines.toml"), ("display",)),
}
PHRASES = ("displays", "messages")  # sections of pathway.toml that hold phrases only
CODED = ("coding", "codings", "more_codings")  # a code system's own displays are not ours to translate
PLACEHOLDER = re.compile(r"\{([a-z0-9_]+)\}")
LETTERS = re.compile(r"[^\W\d_]")
PART = "part"  # the section of messages.toml with the words by which a paragraph is known


class LanguageFile(Shape, frozen=True, kw_only=True):
    """lang/de/language.toml. `approved_texts` is the digest of the texts that the approver has read."""

    name: str
    translator: str
    approver: str = ""
    approved: date | None = None
    approved_texts: str = ""
    part: dict[str, str] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Language:
    """A language: its texts by the English that they translate, and the words with which paragraphs begin in it."""

    id: str
    name: str = ""
    translator: str = ""
    approver: str = ""
    approved_texts: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Names the texts exactly."""
        lines = "\n".join(f"{english}\n{text}" for english, text in sorted(self.texts.items()))
        return hashlib.sha256(lines.encode()).hexdigest()[:12]

    @property
    def is_approved(self) -> bool:
        """Has a clinician approved these very texts?"""
        return bool(self.approver) and self.approved_texts == self.digest


ENGLISH = Language("")


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a pathway a language says: of `total` texts all but those that are missing."""

    total: int
    missing: tuple[str, ...]

    @property
    def per_cent(self) -> int:
        """Rounded down: 100 is all of them."""
        return (self.total - len(self.missing)) * 100 // self.total if self.total else 100


def languages(folder: Path) -> tuple[str, ...]:
    """The languages that lie beside the content."""
    return tuple(sorted(path.parent.name for path in (folder / LANG).glob(f"*/{ABOUT}")))


def language(name: str, tables: Mapping[str, Toml], faults: Faults) -> Language:
    """The files of that language. `tables` holds lang/NAME/*.toml by file name."""
    place = f"{LANG}/{name}"
    about = read(LanguageFile, tables.get(ABOUT, {}), f"{place}/{ABOUT}", faults)
    if about is None:
        return Language(name)
    texts: dict[str, str] = {}
    for file, table in tables.items():
        if file != ABOUT:
            for english, text in table.items():
                check_pair(f"{place}/{file}", english, text, texts, faults)
                texts[english] = str(text)
    return Language(name, about.name, about.translator, about.approver.strip(), about.approved_texts, texts, about.part)


def check_pair(place: str, english: str, text: Any, known: Mapping[str, str], faults: Faults) -> None:
    """A translation is one paragraph as the English is, with the same values of the patient and as many bold words."""
    here = f'{place} "{english[:60]}"'
    if not isinstance(text, str) or not text.strip() or "\n\n" in text:
        faults.add(here, "must be one paragraph")
        return
    if english in known and known[english] != text:
        faults.add(here, "is translated twice, and not alike")
    theirs, ours = (sorted(set(PLACEHOLDER.findall(each))) for each in (text, english))
    if theirs != ours:
        faults.add(here, f"shows {theirs or 'no value'}, and the English {ours or 'none'}: keep every placeholder")
    if text.count("**") != english.count("**"):
        faults.add(here, "has other bold words than the English: keep every pair of **")


def translated(place: str, table: Toml, chosen: Language) -> Toml:
    """A file of the content with the texts of the language, English where it has none."""
    file = place.rpartition("/")[2]
    found = {key: of_key(file, key, value, chosen) for key, value in table.items()}
    if file == "messages.toml" and PART in table:
        extra = {key: f"{text} | {chosen.parts[key]}" for key, text in table[PART].items() if key in chosen.parts}
        found[PART] = table[PART] | extra
    return found


def of_key(file: str, key: str, value: Any, chosen: Language) -> Any:
    """One value of a file, wherever it stands in it."""
    if isinstance(value, dict):
        return {name: of_key(file_of(file, key), name, each, chosen) for name, each in value.items()}
    if isinstance(value, list) and key not in CODED:
        return [of_key(file, key, each, chosen) for each in value]
    return said(value, chosen) if isinstance(value, str) and is_text(file, key) else value


def file_of(file: str, key: str) -> str:
    """The phrases of pathway.toml are read as those of messages.toml."""
    return "messages.toml" if file == "pathway.toml" and key in PHRASES else file


def is_text(file: str, key: str) -> bool:
    return file == "messages.toml" or key in TEXTS.get(file, ())


def said(text: str, chosen: Language) -> str:
    """A text in the language, paragraph by paragraph."""
    return "\n\n".join(chosen.texts.get(each, each) for each in paragraphs(text)) or text


def paragraphs(text: str) -> list[str]:
    return [each.strip() for each in text.split("\n\n") if each.strip()]


def texts_of(place: str, table: Toml) -> Iterator[str]:
    """Every paragraph of a file that a card may show and that holds a word."""
    file = place.rpartition("/")[2]
    for key, value in table.items():
        if not (file == "messages.toml" and key == PART):
            yield from texts_below(file, key, value)


def texts_below(file: str, key: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from texts_below(file_of(file, key), name, each)
    elif isinstance(value, list) and key not in CODED:
        for each in value:
            yield from texts_below(file, key, each)
    elif isinstance(value, str) and is_text(file, key):
        yield from (each for each in paragraphs(value) if LETTERS.search(PLACEHOLDER.sub("", each)))


def coverage(pathway: str, tables: Mapping[str, Toml], chosen: Language) -> Coverage:
    """How much of what this pathway's cards may show is said in the language. `tables` are in English."""
    places = [place for place in tables if "/" not in place or place.startswith(f"{pathway}/")]
    every = dict.fromkeys(text for place in places for text in texts_of(place, tables[place]))
    return Coverage(len(every), tuple(text for text in every if text not in chosen.texts))


def check_parts(tables: Mapping[str, Toml], chosen: Language, faults: Faults) -> None:
    """A paragraph is the same part of its card in either language: what must not be done is known by how it begins."""
    openings = translated("messages.toml", tables.get("messages.toml", {}), chosen).get(PART, {})
    rows = {text for place, table in tables.items() if place.rpartition("/")[2] in (*ROWS, "pathway.toml")
            for text in texts_of(place, table)}  # fmt: skip
    for english in sorted(rows & chosen.texts.keys()):
        one, other = (part_of(each, openings) for each in (english, chosen.texts[english]))
        if one != other:
            words = openings.get(one, "none of the known words")
            faults.add(f'{LANG}/{chosen.id} "{english[:60]}"', f"is {one!r}, and its translation {other!r}: it must "
                                                               f"begin with one of: {words}")  # fmt: skip


def part_of(paragraph: str, openings: Mapping[str, str]) -> str:
    """Which part of a card a paragraph is, by the words with which it begins."""
    plain = paragraph.removeprefix("**")
    return next((part for part, words in openings.items() if plain.startswith(tuple(words.split(" | ")))), "next")
