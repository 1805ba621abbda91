"""The shipped content is read once by each process of tests, however many services they make of it.

Reading and checking it takes longer than most tests. It is frozen, so that all may share it; it is read again as soon
as one of its files, or of the site's, has changed. Where a test changes one file, the others need not be parsed again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from cds_service.clinical.tables import Pathway
from cds_service.content import content as loading
from cds_service.content import files, valuesets
from cds_service.content.content import Content
from cds_service.content.faults import Faults
from cds_service.content.files import CodeLine, cards_folder
from cds_service.fhir import drafts
from cds_service.fhir.drafts import Drafts

PARSED: dict[str, tuple[Any, Any]] = {}  # text of a TOML file -> what it says, and the same as it was at first
SHARED: list[Content] = []  # what is read once
MANY, LARGEST = 500, 500_000  # value sets that are remembered, and bytes of the largest of them
SHORTEST, MOST = 500, 500  # characters of a text that is worth it, and texts of which that is remembered

State = tuple[tuple[str, int, int], ...]  # of each file: its path, size, and when it was changed


def state(folder: Path) -> State:
    """What changes when a file of the folder does."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple((str(path), found.st_size, found.st_mtime_ns) for path in files for found in [path.stat()])


def load_once() -> None:
    """From now on the shipped content is shared. Before this, no module of ours has taken `load_content` or
    `build_drafts` by name."""
    read = loading.load_content

    @cache
    def shared(site: Path | None, language: str, _states: tuple[State, State]) -> Content:
        SHARED.append(read(cards_folder(), site, language=language))
        return SHARED[-1]

    def load_content(folder: Path, site: Path | None = None, *others: object, language: str = "") -> Content:
        if others or folder != cards_folder():
            return read(folder, site, *others, language=language)
        return shared(site, language, (state(folder), state(site) if site else ()))

    loading.load_content = load_content
    parse_once()
    read_codes_once()
    build_drafts_once()
    without_grammars()


def read_codes_once() -> None:
    """From now on a value set is read once, wherever a copy of it lies, and each code is judged once."""
    read = valuesets.code_lines
    sound: dict[tuple[str, bool, bytes], list[CodeLine]] = {}

    def lines(name: str, path: Path, local: bool, faults: Faults) -> Iterable[CodeLine]:
        try:
            key = name, local, path.read_bytes()
        except OSError:
            return read(name, ((path, local),), faults)
        if key not in sound:
            met = Faults()
            whole = [*read(name, ((path, local),), met)]
            if met or len(key[2]) > LARGEST or len(sound) >= MANY:
                return read(name, ((path, local),), faults)
            sound[key] = whole
        return sound[key]

    def code_lines(name: str, paths: Iterable[tuple[Path, bool]], faults: Faults) -> Iterator[CodeLine]:
        for path, local in paths:
            yield from lines(name, path, local, faults)

    valuesets.code_lines = code_lines
    valuesets.code_fault = lru_cache(50_000)(valuesets.code_fault)


def build_drafts_once() -> None:
    """From now on the drafts of a content that is shared are built once for each of its pathways: half of what it
    costs to make a service of it."""
    build = drafts.build_drafts

    @cache
    def shared(place: int, name: str) -> Drafts:
        return build(SHARED[place], SHARED[place].pathways[name])

    def build_drafts(content: Content, pathway: Pathway) -> Drafts:
        place = next((at for at, each in enumerate(SHARED) if each is content), None)
        if place is None or pathway is not content.pathways.get(pathway.id):
            return build(content, pathway)
        return shared(place, pathway.id)

    drafts.build_drafts = build_drafts


def without_grammars() -> None:
    """From now on jsonschema finds no grammar of RFC 3987, as in the image: a test library brings it, it compiles for
    more than a second in every process, and no schema here is asked about formats."""
    sys.modules["rfc3987_syntax"] = None  # how Python is told that there is none


def parse_once() -> None:
    """From now on each text of a TOML file is parsed once, whatever is loaded beside it."""
    parse = files.parsed

    def parsed(text: str) -> Any:
        if len(text) < SHORTEST or (text not in PARSED and len(PARSED) >= MOST):
            return parse(text)
        if text not in PARSED:
            PARSED[text] = parse(text), parse(text)
        return PARSED[text][0]

    files.parsed = parsed


def changed_since_it_was_parsed() -> list[str]:
    """The texts whose contents somebody has changed, though all share them."""
    return [text for text, (shared, first) in PARSED.items() if shared != first]
