"""Build the documents as a site in build/site: `python docs/build.py` (needs the extra `docs`). Nothing is fetched.

The pages lie where their readers look for them (cards/, deploy/, docs/), so they are first copied to build/docs. What
the program can say itself (commands, settings, rows, schemas) is generated there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

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

BOUNDS = {"minimum": "or more", "maximum": "or less"}
KINDS = {"array": "comma list", "string": "text", "integer": "whole number", "boolean": "`1` or `0`"}
PATHWAYS = ("uk-ng239", "us-aafp")
COMMANDS = """# Commands, as the program describes them

Made from the program itself. [What each is for](../reference.md#commands) is said in one table.

"""
SETTINGS = """# Settings, as the program declares them

Made from the program itself. [What each means](../reference.md#settings) is said in one table. Each is a variable of
the environment, or a file of that name in `CDS_SECRETS_DIR`; a value that cannot be used stops the start with one line.

| setting | type | default | allowed |
| --- | --- | --- | --- |
"""
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


def program() -> click.Context:
    """Our program, as it is called."""
    from cds_service.cli import main

    return click.Context(main, info_name="b12-cds")


def command_pages(context: click.Context) -> Iterator[str]:
    """Every command with its options, as `--help` says it, one below the other."""
    group = context.command
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield from command_pages(click.Context(command, info_name=name, parent=context))
    if not isinstance(group, click.Group) or group.invoke_without_command:
        yield f"## {context.command_path}\n\n```text\n{group.get_help(context)}\n```\n"


def setting_rows() -> Iterator[str]:
    """A row for each setting: its type, its default, its bounds."""
    from cds_service.settings import PREFIX, Settings

    for name, shape in Settings.model_json_schema()["properties"].items():
        kinds = [each.get("type", "") for each in shape.get("anyOf", [shape]) if each.get("type") != "null"]
        default = "" if shape.get("default") in (None, "", []) else f"`{json.dumps(shape['default'])}`"
        bounds = [f"{shape[key]} {words}" for key, words in BOUNDS.items() if key in shape]
        allowed = [f"`{each}`" for each in shape.get("enum", [])] + bounds
        yield f"| `{PREFIX}{name.upper()}` | {KINDS[kinds[0]]} | {default} | {', '.join(allowed)} |"


def generate_pages(folder: Path) -> None:
    """The commands, the settings, the rows of each pathway, and the published schemas."""
    folder.mkdir(parents=True)
    for pathway in PATHWAYS:
        (folder / f"{pathway}.md").write_text(printed("table", "--pathway", pathway), encoding="utf-8")
    (folder / "commands.md").write_text(COMMANDS + "\n".join(command_pages(program())), encoding="utf-8")
    (folder / "settings.md").write_text(SETTINGS + "\n".join(setting_rows()) + "\n", encoding="utf-8")
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
