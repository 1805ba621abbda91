"""The rows of a value set as its files have them: examples take the first codes."""

from __future__ import annotations

import csv
from pathlib import Path

from ..content.content import Content
from .vignettes import VignetteError


def value_set(content: Content, name: str) -> list[dict[str, str]]:
    """The rows of a value set, in the order of its file, and then a site's own."""
    folders = [each for each in (content.folder, content.site.folder) if each is not None]
    paths = [path for folder in folders if (path := folder / "value-sets" / f"{name}.csv").is_file()]
    if not paths:
        raise VignetteError(f"no value set {name!r}")
    return [row for path in paths for row in rows_of(path)]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
