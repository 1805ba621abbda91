"""A number in a comment leads somewhere: every cited section and item stands in a document of this repository."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.safety.conformance import NUMBERS

ROOT = Path(__file__).resolve().parents[2]
CLINICAL, PROTOCOL = ROOT / "docs" / "clinical-reference.md", ROOT / "docs" / "protocol-checklist.md"
FOLDERS = ("cards", "cds_service", "deploy", "fixtures/vignettes", "tests")
SUFFIXES = {".py", ".toml", ".md", ".json"}
SELF = Path(__file__).resolve()

# "docs/clinical-reference.md 7.13, 6.4", "… 6.3 S5; 1.6": the numbers up to the end of the sentence or the string.
CITED_BY_NAME = re.compile(r"clinical-reference\.md([^\"\n]*)")
CITED_ALONE = re.compile(r"\(((?:[1-8]\.[0-9]+(?:\.[0-9]+)?)(?:[,;] [^()\n]*|\s\"[^()\n]*)?)\)")
SECTION = re.compile(r"(?:^|[ ,;(])([1-8](?:\.[0-9]+){0,2})(?=$|[ ,;:.)])")
ITEMS = re.compile(r"\b[iI]tems? ((?:[0-9]+[ab]?(?:, | and | to )?)+)")


@cache
def sections(page: Path) -> frozenset[str]:
    """The numbers of the headings of a page; of its last numbered list too, as "7.13"."""
    found, heading = set(), ""
    for line in page.read_text(encoding="utf-8").splitlines():
        if titled := re.match(r"#+ ([0-9]+(?:\.[0-9]+)*)\.? ", line):
            heading = titled[1]
            found.add(heading)
        elif listed := re.match(r"([0-9]+)\. ", line):
            found.add(f"{heading}.{listed[1]}")
    return frozenset(found)


@cache
def texts() -> tuple[tuple[str, str], ...]:
    """Every text file that may cite: its path and its content."""
    files = (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")) if path.suffix in SUFFIXES)
    mine = (path for path in files if path.is_file() and path != SELF and "target" not in path.parts)
    return tuple((path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) for path in mine)


def cited_sections(path: str, text: str) -> Iterator[str]:
    for cited in CITED_BY_NAME.findall(text):
        yield from SECTION.findall(cited)
    if path.startswith(("cds_service/clinical", "cds_service/fhir", "cds_service/content")):
        for cited in CITED_ALONE.findall(text):
            yield from SECTION.findall(cited)


def unknown_sections(path: str, text: str) -> list[str]:
    known = sections(CLINICAL)
    return [f"{path}: no section {number}" for number in cited_sections(path, text) if number not in known]


def unknown_items(path: str, text: str) -> list[str]:
    cited = [number for group in ITEMS.findall(text) for number in re.findall(r"[0-9]+[ab]?", group)]
    return [f"{path}: no item {number}" for number in cited if number not in NUMBERS]


def test_every_cited_section_of_the_clinical_reference_exists():
    found = [fault for path, text in texts() for fault in unknown_sections(path, text)]
    assert found == []


def test_every_vignette_cites_the_reference_or_says_what_else_it_shows():
    vignettes = [(path, text) for path, text in texts() if path.startswith("fixtures/vignettes/")]
    assert len(vignettes) > 800
    assert sum(bool([*cited_sections(path, text)]) for path, text in vignettes) > 800


def test_every_cited_item_of_the_checklist_exists():
    assert [fault for path, text in texts() if path.endswith(".py") for fault in unknown_items(path, text)] == []


def test_the_checklist_holds_the_items_of_the_conformance_list_once_and_in_order():
    assert re.findall(r"^- \*\*([0-9]+[ab]?)\*\* ", PROTOCOL.read_text(encoding="utf-8"), re.MULTILINE) == NUMBERS


def test_no_text_cites_a_document_that_is_not_in_the_repository():
    lost = re.compile(r"(?<![\w-])(?:clinical\.md|cds-hooks\.md|terminology\.md|hapi\.md(?! ?\)))(?=[ ,;)]+[0-9(])")
    assert [path for path, text in texts() if lost.search(text)] == []


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ('source = "docs/clinical-reference.md 7.13, 6.4"', ["7.13", "6.4"]),
        ('source = "docs/clinical-reference.md 1.4, 6.3 S5b"', ["1.4", "6.3"]),
        ('source = "docs/clinical-reference.md 6.3 nitrous-oxide-raised: here Hcy >15 suffices, 6.4"', ["6.3", "6.4"]),
        ("(docs/clinical-reference.md 1.1, 1.6, 6.1).", ["1.1", "1.6", "6.1"]),
        ("what holds (6.5, O7) here", ["6.5"]),
    ],
)
def test_numbers_are_found_in_a_citation(text, numbers):
    assert [*cited_sections("cds_service/clinical/x.py", text)] == numbers


def test_a_number_that_leads_nowhere_is_found():
    assert unknown_sections("x.toml", 'source = "docs/clinical-reference.md 6.9"') == ["x.toml: no section 6.9"]
    assert unknown_items("x.py", "(items 3 and 150)") == ["x.py: no item 150"]
