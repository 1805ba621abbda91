"""Build the documents as a site in build/site: `python docs/build.py` (needs the extra `docs`). Nothing is fetched.

The pages lie where their readers look for them (cards/, deploy/, docs/), so they are first copied to build/docs. What
the program can say itself (rows, schemas) is generated there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "*.md",
    "cards/*.md",
    "cards/value-sets/*.md",
    "deploy/*.md",
    "deploy/ehr/*.md",
    "deploy/safety/*.md",
    "docs/**/*.md",
    "fixtures/**/*.md",
)
LINK = re.compile(r"\]\(([^)#\s]+)")

PATHWAYS = ("uk-ng239", "us-aafp")
SCHEMAS = ("clients", "patient-view", "order-select", "order-sign", "response", "feedback", "discovery")


def copy_pages(folder: Path) -> None:
    """Every page, and the files that pages link to, with their paths in the repository."""
    shutil.rmtree(folder, ignore_errors=True)
    pages = [page for pattern in PAGES for page in sorted(ROOT.glob(pattern))]
    for file in dict.fromkeys((*pages, *linked(pages))):
        copy = folder / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def linked(pages: Iterable[Path]) -> Iterator[Path]:
    """The files of the repository that the pages link to."""
    for page in pages:
        for target in LINK.findall(page.read_text(encoding="utf-8")):
            file = (page.parent / target).resolve()
            if file.is_file() and file.is_relative_to(ROOT):
                yield file


def printed(*arguments: str) -> str:
    """What our program prints."""
    command = [sys.executable, "-c", "from cds_service.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def generate_pages(folder: Path) -> None:
    """The rows of each pathway, and the published schemas."""
    folder.mkdir(parents=True)
    for pathway in PATHWAYS:
        (folder / f"{pathway}.md").write_text(printed("table", "--pathway", pathway), encoding="utf-8")
    schemas = (f"## {name}\n\n```json\n{printed('schema', name).strip()}\n```\n" for name in SCHEMAS)
    (folder / "schemas.md").write_text("# JSON Schemas\n\n" + "\n".join(schemas), encoding="utf-8")


def main() -> int:
    """Copy and generate the pages and build them; MkDocs says which link leads nowhere, and its exit code is ours."""
    copy_pages(ROOT / "build" / "docs")
    generate_pages(ROOT / "build" / "docs" / "docs" / "generated")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", "docs/mkdocs.yml"]
    return subprocess.run(command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}).returncode


if __name__ == "__main__":
    sys.exit(main())
