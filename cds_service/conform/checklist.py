"""The numbered checklist, read from docs/protocol-checklist.md, and what became of each item.

A check names its item, and next to it the numbers of published requirements that ask for the same: `cds-hooks_2.0@83`
is number 83 of the list for CDS Hooks 2.0 in Inferno's test kit for Da Vinci CRD, `cds-resp-6` an invariant of the
logical models in the specification's 3.0 build.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from ..content.files import shipped_folder

if TYPE_CHECKING:
    from .calls import Service

PAGE = "protocol-checklist.md"
ITEM = re.compile(
    r"- \*\*(?P<number>[0-9]+[ab]?)\*\* (?P<level>(?:M|S|Y|C|D|BP)(?:, D)?)(?P<client> \*\(client\)\*)?\. (?P<text>.+)"
)
PASS, FAIL, NOT_TRIED = "pass", "fail", "not tried"
MUST = ("M", "C")
INVARIANT = "cds-resp-"  # of the specification's logical models
UNSEEN = "cannot be seen from outside"
ALLOWED = "allowed, not asked for"


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the checklist that asks for something. `level` is M, S, Y, C, D, BP or two of them."""

    number: str
    level: str
    text: str
    of_client: bool


class NotTried(Exception):
    """The check had nothing to look at. Its text says why."""


class Unanswered(Exception):
    """A call had no answer that could be read. Its text says which call, and what came of it."""


@dataclass(frozen=True, slots=True)
class Check:
    """How an item is tried: `run` gives what is wrong, one line each with its place; nothing where all is well. `seen`
    says what of the item that shows, where it asks for more than can be seen from outside. A call without an answer
    breaks the item, unless `of_answers` alone is judged: then nothing was seen."""

    item: str
    published: tuple[str, ...]
    run: Callable[[Service], Iterator[str]]
    seen: str = ""
    of_answers: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one item."""

    item: Item
    outcome: str  # PASS | FAIL | NOT_TRIED
    published: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()  # what is wrong, why it was not tried, or what of it was seen where not all can be

    @property
    def breaks(self) -> bool:
        """Is something missing that must be there? What may be left out must have its form where it is there, if an
        invariant of the specification says so."""
        invariant = any(number.startswith(INVARIANT) for number in self.published)
        return self.outcome == FAIL and (invariant or self.item.level.startswith(MUST))


def published(*numbers: int | str) -> tuple[str, ...]:
    """The names of published requirements: a number is one of Inferno's list for CDS Hooks 2.0."""
    return tuple(each if isinstance(each, str) else f"cds-hooks_2.0@{each}" for each in numbers)


@cache
def checklist() -> tuple[Item, ...]:
    """Every item, in order. A paragraph is joined to one line."""
    page = (shipped_folder("docs", holding=PAGE) / PAGE).read_text(encoding="utf-8")
    joined = re.sub(r"\n {2,}", " ", page)
    found = (ITEM.match(line) for line in joined.splitlines())
    return tuple(
        Item(each["number"], each["level"], without_markup(each["text"]), bool(each["client"]))
        for each in found
        if each is not None
    )


def without_markup(text: str) -> str:
    """Markdown without its signs."""
    return re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text).replace("`", "").replace("*", "")


def results(checks: tuple[Check, ...], service: Service) -> list[Result]:
    """Every item that is no duty of the client, tried where there is a check for it."""
    by_item: dict[str, list[Check]] = {}
    for check in checks:
        by_item.setdefault(check.item, []).append(check)
    return [tried(item, by_item.get(item.number, []), service) for item in checklist() if not item.of_client]


def tried(item: Item, checks: list[Check], service: Service) -> Result:
    """One item: it fails where one of its checks does, and passes where one of them could be tried."""
    wrong: list[str] = []
    untried: list[str] = []
    seen: list[str] = []
    for check in checks:
        try:
            wrong += check.run(service)
            seen += [check.seen] if check.seen else []
        except Unanswered as why:
            (untried if check.of_answers else wrong).append(str(why))
        except NotTried as why:
            untried.append(str(why))
    numbers = tuple(dict.fromkeys(number for check in checks for number in check.published))
    if wrong:
        return Result(item, FAIL, numbers, tuple(dict.fromkeys(wrong)))
    if len(untried) < len(checks):
        return Result(item, PASS, numbers, tuple(seen))
    reasons = untried or [ALLOWED if item.level.startswith("Y") else UNSEEN]
    return Result(item, NOT_TRIED, numbers, tuple(dict.fromkeys(reasons)))
