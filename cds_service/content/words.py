"""From words in a record to concepts: whole words only, never a denied one.

Used where a code says nothing. The text is cut into words (letters or digits, accents dropped), so that "omeprazole"
is not found in "esomeprazole" and "vitamin B12", "Vitamin B-12" and "vitamin b 12" are the same. What is found by
words is called so on the card; a laboratory result found by words is never classified.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

KINDS = ("problem", "medicine", "analyte")
CUT = 1000  # no text is searched beyond this length
CACHED = 120  # longer texts are someone's prose: they seldom recur and are not cached
BRACKETS = re.compile(r"\[[^\]]*\]")  # RxNorm's brand names, which may name other ingredients
TOKENS = re.compile(r"[^\W\d_]+|\d+|[.;\n]| / ")
CLAUSE_ENDS = frozenset((".", ";", "\n", "but", "however", "although"))  # a denial reaches no further

Phrase = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A phrase in a text: where it begins and ends, in words, and the concepts it stands for."""

    begin: int
    end: int
    concepts: tuple[str, ...]


class Words:
    """The phrases of all concepts by their first word. Read-only after it is made, apart from a bounded cache."""

    __slots__ = ("_cached", "_denials", "_lifelong", "_pasts", "_phrases")

    def __init__(
        self,
        phrases: Mapping[str, Mapping[str, Iterable[str]]],
        negations: Iterable[str] = (),
        past: Iterable[str] = (),
        lifelong: frozenset[str] = frozenset(),
    ):
        """`phrases`: kind -> concept -> its phrases. `past` ("history of") ends only what is not lifelong."""
        self._phrases = {kind: by_first_word(phrases.get(kind, {})) for kind in KINDS}
        self._denials = by_first_word({"denied": negations})
        self._pasts = by_first_word({"past": past})
        self._lifelong = lifelong
        self._cached = lru_cache(maxsize=2048)(self._search)

    def find(self, text: str | None, kind: str) -> tuple[str, ...]:
        """The concepts that a text names: "problem" concepts, "medicine" ingredients or "analyte" ids."""
        if not text:
            return ()
        return self._cached(text, kind) if len(text) <= CACHED else self._search(text, kind)

    def remembered(self) -> int:
        """How many texts are cached."""
        return self._cached.cache_info().currsize

    def _search(self, text: str, kind: str) -> tuple[str, ...]:
        plain = BRACKETS.sub(" ", text[:CUT]) if kind == "medicine" else text[:CUT]
        tokens = words_of(plain)
        found = longest(list(matches(tokens, self._phrases[kind])))
        if not found:
            return ()
        denials = list(matches(tokens, self._denials))
        pasts = list(matches(tokens, self._pasts)) if kind == "problem" else []
        return tuple(
            dict.fromkeys(
                concept
                for each in found
                if not reached(each, denials, tokens)
                for concept in each.concepts
                if concept in self._lifelong or not reached(each, pasts, tokens)
            )
        )


def words_of(text: str) -> list[str]:
    """Lower-case words and clause marks; "Crohn's" is "crohns", "Sjögren" is "sjogren", "&" is "and"."""
    text = text.replace("'", "").replace("\u2019", "").replace("&", " and ")
    plain = text if text.isascii() else unicodedata.normalize("NFKD", text)
    if not plain.isascii():
        plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return TOKENS.findall(plain.casefold())


def by_first_word(concepts: Mapping[str, Iterable[str]]) -> dict[str, tuple[tuple[Phrase, tuple[str, ...]], ...]]:
    """First word -> (phrase, concepts), the longest phrase first."""
    owners: dict[Phrase, tuple[str, ...]] = {}
    for concept, phrases in concepts.items():
        for text in phrases:
            phrase = tuple(words_of(text))
            owners[phrase] = tuple(dict.fromkeys((*owners.get(phrase, ()), concept)))
    index: dict[str, list[tuple[Phrase, tuple[str, ...]]]] = {}
    for phrase in sorted(owners, key=lambda words: (-len(words), words)):
        if phrase:
            index.setdefault(phrase[0], []).append((phrase, owners[phrase]))
    return {word: tuple(entries) for word, entries in index.items()}


def matches(tokens: list[str], index: Mapping[str, tuple[tuple[Phrase, tuple[str, ...]], ...]]) -> Iterable[Found]:
    """At each word, the longest phrase that begins there."""
    for begin, word in enumerate(tokens):
        for phrase, concepts in index.get(word, ()):
            end = begin + len(phrase)
            if tuple(tokens[begin:end]) == phrase:
                yield Found(begin, end, concepts)
                break


def longest(found: list[Found]) -> list[Found]:
    """Without what lies wholly inside a longer phrase: "optic neuropathy" names no peripheral neuropathy."""
    return [
        each
        for each in found
        if not any(
            other.begin <= each.begin and each.end <= other.end and other.end - other.begin > each.end - each.begin
            for other in found
        )
    ]


def reached(each: Found, marks: list[Found], tokens: list[str]) -> bool:
    """Does one of the marks ("no", "history of") stand before the phrase, in the same clause?"""
    return any(mark.end <= each.begin and not CLAUSE_ENDS.intersection(tokens[mark.end : each.begin]) for mark in marks)
