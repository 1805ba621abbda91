"""The checklist of CDS Hooks, item by item: what shows that it is kept, or why it is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tests.safety.reading import FOLDER, made, missing_tests, read, shown_as
from tests.safety.reading import cell as in_cell

SOURCE, PAGE = FOLDER / "conformance.toml", FOLDER / "CONFORMANCE.md"
LETTERED = ("47a", "54a", "68a", "68b", "123a")
NUMBERS = sorted([*map(str, range(1, 150)), *LETTERED], key=lambda each: (int(each.rstrip("ab")), each))
STATUS = {
    "kept": "the service keeps it, and the tests show it",
    "partly": "a part is kept and shown; the rest and why is said",
    "client": "a duty of the CDS client; where tests are named they show how the service takes what comes",
    "deployment": "kept by what stands around the service, not by the service",
    "not offered": "optional, and deliberately not done",
    "not kept": "asked for, and not done",
}
LEVELS = {
    "M": "must", "S": "should", "Y": "may", "C": "conditional", "D": "needed in practice", "BP": "best practice",
    "-": "information",
}  # fmt: skip
HEAD = """# Conformance with CDS Hooks, item by item

Generated from [conformance.toml](conformance.toml) by `python -m tests.safety`: change that file, not this page. The
numbers are those of this project's checklist for CDS Hooks (1.0 to 2.0.1, and what 3.0 changes); tests name them too.
After a whole run of the tests, an item with a named test that did not run or did not pass fails the run.
"""


@dataclass(frozen=True)
class Item:
    """One item of the checklist. `tests` show it, `why` says what is not kept or not ours."""

    number: str
    level: str
    says: str
    status: str
    tests: tuple[str, ...] = ()
    why: str = ""


def load() -> tuple[Item, ...]:
    """Every item as it is written. SafetyCaseError for one of the wrong shape."""
    return tuple(made(Item, row, f"item {row.get('number')}") for row in read(SOURCE)["item"])


def faults(items: tuple[Item, ...]) -> Iterator[str]:
    """Every reason for which this list does not answer the checklist."""
    counted = Counter(item.number for item in items)
    yield from (f"item {number} stands there {counted[number]} times" for number in NUMBERS if counted[number] != 1)
    yield from (f"item {number} is no item of the checklist" for number in counted if number not in NUMBERS)
    if [item.number for item in items] != sorted((item.number for item in items), key=NUMBERS.index):
        yield "the items are not in their order"
    for item in items:
        yield from (f"item {item.number}: no test {test}" for test in missing_tests(item.tests))
        yield from (f"item {item.number}: {fault}" for fault in said_wrongly(item))


def said_wrongly(item: Item) -> Iterator[str]:
    if item.status not in STATUS:
        yield f"no status {item.status!r}; allowed: {', '.join(STATUS)}"
    if not set(item.level.split("/")) <= set(LEVELS):
        yield f"no level {item.level!r}; allowed: {', '.join(LEVELS)}"
    if item.status in ("kept", "partly") and not item.tests:
        yield "no test shows it"
    if item.status != "kept" and not item.why:
        yield "it is not said why"


def claims(items: tuple[Item, ...]) -> dict[str, tuple[str, ...]]:
    return {f"checklist item {item.number}": item.tests for item in items if item.tests}


def page(items: tuple[Item, ...]) -> str:
    """The list as Markdown."""
    counted = Counter(item.status for item in items)
    lines = [HEAD, *(f"- **{status}** ({counted[status]}): {meaning}" for status, meaning in STATUS.items()), ""]
    lines += ["Levels: " + ", ".join(f"{level} {meaning}" for level, meaning in LEVELS.items()) + ".", ""]
    lines += ["| item | level | in short | status | shown by, or why not |", "|---|---|---|---|---|"]
    for item in items:
        shown = [*([in_cell(item.why)] if item.why else []), *map(shown_as, item.tests)]
        lines.append(f"| {item.number} | {item.level} | {in_cell(item.says)} | {item.status} | {'<br>'.join(shown)} |")
    return "\n".join([*lines, ""])
