"""The recipes of CONTRIBUTING.md, as steps: which file changes, where, and what is written there."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests import depth

ROOT = Path(__file__).resolve().parents[2]
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
COPIED = ("cards", "cds_service")
LINKED = ("fixtures",)

# The program with which a page is followed: b12-cds, which checks a site's folder with every so manieth vignette
IMPORTED = f"import sys; sys.path.append({str(ROOT)!r}); from tests.recipes.program import run"
PROGRAM = f"{IMPORTED}; run({depth.chosen(10, 1)})"

# "In `path`, at the end:", "In `path`, after `line`:", "In `path`, instead of `line`:", "New file `path`:"
STEP = re.compile(
    r"^(?:In `(?P<old>[^`]+)`, (?:(?P<end>at the end)|(?P<where>after|before|instead of) `(?P<line>[^`]+)`)"
    r"|New file `(?P<new>[^`]+)`):\n\n```\w*\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


class RecipeError(Exception):
    """A recipe cannot be followed. The text names the recipe's file and what is missing in it."""


@dataclass(frozen=True)
class Step:
    """One change of one file."""

    path: str
    text: str
    where: str  # "new", "end", "after", "before" or "instead of"
    line: str = ""

    def apply(self, tree: Path) -> None:
        """Make the change in a copy of the tree."""
        file = tree / self.path
        if self.where == "new":
            if file.exists():
                raise RecipeError(f"{self.path} is there already")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self.text, encoding="utf-8")
            return
        if not file.is_file():
            raise RecipeError(f"there is no {self.path}")
        file.write_text(self.changed(file.read_text(encoding="utf-8")), encoding="utf-8")

    def changed(self, text: str) -> str:
        if self.where == "end":
            return text + self.text
        lines = text.splitlines(keepends=True)
        places = [number for number, line in enumerate(lines) if line.strip() == self.line.strip()]
        if len(places) != 1:
            raise RecipeError(f"{self.path}: {self.line!r} stands there {len(places)} times, once is needed")
        (place,) = places
        first, last = {"after": (place + 1, place + 1), "before": (place, place), "instead of": (place, place + 1)}[
            self.where
        ]
        return "".join([*lines[:first], self.text, *lines[last:]])


def recipes() -> dict[str, tuple[Step, ...]]:
    """The steps of each recipe, by its heading."""
    page = CONTRIBUTING.read_text(encoding="utf-8").split("\n## Recipes\n", 1)[1]
    parts = re.split(r"^### (.+)$", page, flags=re.MULTILINE)[1:]
    return {title: steps(text) for title, text in zip(parts[::2], parts[1::2], strict=True)}


def steps(text: str) -> tuple[Step, ...]:
    """Every change that a recipe asks for, in order."""
    return tuple(
        Step(
            path=found["old"] or found["new"],
            text=found["text"],
            where="new" if found["new"] else "end" if found["end"] else found["where"],
            line=found["line"] or "",
        )
        for found in STEP.finditer(text)
    )


def followed(title: str, folder: Path) -> Path:
    """A tree in which one recipe was followed: code and content are copied, what nobody changes is linked."""
    steps = recipes()[title]
    changed = {*COPIED, *(step.path.partition("/")[0] for step in steps)}
    for name in (*COPIED, *LINKED):
        if name in changed:
            shutil.copytree(ROOT / name, folder / name)
        else:
            (folder / name).symlink_to(ROOT / name)
    for step in steps:
        step.apply(folder)
    return folder
