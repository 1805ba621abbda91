"""The shipped content is read once by each process of tests, however many services they make of it.

Reading and checking it takes longer than most tests. It is frozen, so that all may share it; it is read again as soon
as one of its files, or of the site's, has changed.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from cds_service.content import content as loading
from cds_service.content.content import Content
from cds_service.content.files import cards_folder

State = tuple[tuple[str, int, int], ...]  # of each file: its path, size, and when it was changed


def state(folder: Path) -> State:
    """What changes when a file of the folder does."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple((str(path), found.st_size, found.st_mtime_ns) for path in files for found in [path.stat()])


def load_once() -> None:
    """From now on the shipped content is shared. Before this, no module of ours has taken `load_content` by name."""
    read = loading.load_content

    @cache
    def shared(site: Path | None, language: str, _states: tuple[State, State]) -> Content:
        return read(cards_folder(), site, language=language)

    def load_content(folder: Path, site: Path | None = None, *others: object, language: str = "") -> Content:
        if others or folder != cards_folder():
            return read(folder, site, *others, language=language)
        return shared(site, language, (state(folder), state(site) if site else ()))

    loading.load_content = load_content
