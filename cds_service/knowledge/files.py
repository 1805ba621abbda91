"""The files of cards/, read: TOML with exact decimals and value sets line by line, a site's folder laid over ours.

Reading says nothing about meaning; what a file may hold is decided by `shapes`, `build` and `check`.
"""

from __future__ import annotations

import csv
import hashlib
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from .faults import Faults, listing, nearest

SHARED_FILES = ("content.toml", "sources.toml", "analytes.toml", "problems.toml", "medicines.toml", "messages.toml")
PATHWAY_FILES = (
    "pathway.toml", "thresholds.toml", "orderables.toml", "regimens.toml",
    "interpret.toml", "treat.toml", "safety.toml", "orders.toml", "notes.toml",
)  # fmt: skip
MAY_BE_MISSING = ("orders.toml", "notes.toml")  # a pathway may have neither
VALUE_SETS = "value-sets"
PATHWAYS = "pathways"
HEADER = ["system", "code", "display", "use", "source"]
PLAIN_NAME = re.compile(r"[a-z0-9-]+(\.[a-z]+)?")  # a site's folder names nothing outside itself
IDENTITIES = ("id", "spelling", "family")  # what tells the entries of a TOML array apart when a site changes one

Toml = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CodeLine:
    """One line of a value set, as written. `place` names file and line."""

    place: str
    system: str
    code: str
    display: str
    use: str
    source: str
    local: bool  # from the site's folder


@dataclass(frozen=True, slots=True)
class Files:
    """Everything that was read: TOML by its short place ("uk-ng239/interpret.toml"), value sets by their name."""

    tables: dict[str, Toml]
    value_sets: dict[str, tuple[tuple[Path, bool], ...]]  # ours, then the site's (True)
    pathways: tuple[str, ...]
    digest: str  # sha256 over every TOML and CSV file, names included, in sorted order


def read_files(folder: Path, site: Path | None, faults: Faults) -> Files:
    """Read the content folder and, laid over it, the site's. Missing and unreadable files are faults."""
    roots = [folder] if site is None else [folder, site]
    if site is not None:
        check_site_names(folder, site, faults)
    pathways = tuple(sorted(path.name for path in (folder / PATHWAYS).glob("*") if path.is_dir()))
    if not pathways:
        faults.add(PATHWAYS, "there is no pathway; each is a folder with " + listing(PATHWAY_FILES))
    tables = {name: read_over(roots, Path(name), name, faults) for name in SHARED_FILES}
    for pathway in pathways:
        for name in PATHWAY_FILES:
            tables[f"{pathway}/{name}"] = read_over(roots, Path(PATHWAYS, pathway, name), f"{pathway}/{name}", faults)
    report_strangers(folder, pathways, faults)
    value_sets: dict[str, tuple[tuple[Path, bool], ...]] = {}
    for root in roots:
        for path in sorted((root / VALUE_SETS).glob("*.csv")):
            value_sets[path.stem] = (*value_sets.get(path.stem, ()), (path, root is site))
    return Files(tables, value_sets, pathways, digest(roots))


def read_over(roots: list[Path], name: Path, place: str, faults: Faults) -> Toml:
    """One TOML file of ours with the site's laid over it; empty where it could not be read."""
    merged: Toml = {}
    for number, root in enumerate(roots):
        path = root / name
        if not path.is_file():
            if number == 0 and name.name not in MAY_BE_MISSING:
                faults.add(place, "the file is missing")
            continue
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            faults.add(place if number == 0 else f"site {place}", f"not readable as TOML: {error}")
            continue
        if number:
            require_units(table, place, faults)
        merged = lay_over(merged, table)
    return merged


def lay_over(ours: Any, theirs: Any) -> Any:
    """Tables are merged key by key, arrays of tables entry by entry (by id); anything else is replaced."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours | {key: lay_over(ours[key], value) if key in ours else value for key, value in theirs.items()}
    if is_entries(ours) and is_entries(theirs):
        entries = {identity(entry): entry for entry in ours}
        for entry in theirs:
            entries[identity(entry)] = lay_over(entries.get(identity(entry), {}), entry)
        return list(entries.values())
    return theirs


def is_entries(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, dict) for entry in value)


def identity(entry: Toml) -> Any:
    """What names an entry of an array; an entry without a name is itself only."""
    return next((entry[key] for key in IDENTITIES if key in entry), id(entry))


def require_units(table: Toml, place: str, faults: Faults) -> None:
    """A site that changes a threshold states its unit, or a limit in the other unit could slip in unseen."""
    entries = table.get("threshold", [])
    for entry in entries if is_entries(entries) else []:
        if "value" in entry and "unit" not in entry:
            faults.add(f'site {place} threshold "{entry.get("id")}"', "a changed value must state its unit")


def check_site_names(folder: Path, site: Path, faults: Faults) -> None:
    """A site changes files that exist and adds value sets; no name and no link leaves its folder."""
    known = {path.relative_to(folder).as_posix() for path in content_files(folder)}
    through_links = [site / name for name in known if (site / name).is_file()] + list((site / VALUE_SETS).glob("*.csv"))
    for path in sorted({*content_files(site), *through_links}):
        name = path.relative_to(site).as_posix()
        if any(not PLAIN_NAME.fullmatch(part) for part in name.split("/")):
            faults.add(f"site {name}", "a name may hold a-z, 0-9 and - only")
        elif not path.resolve().is_relative_to(site.resolve()):
            faults.add(f"site {name}", "the link leaves the site's folder")
        elif name not in known and not name.startswith(VALUE_SETS + "/"):
            faults.add(f"site {name}", f"there is no such file to change.{nearest(name, known)}")


def report_strangers(folder: Path, pathways: tuple[str, ...], faults: Faults) -> None:
    """A misspelt file name would silently leave its content out."""
    known = {*SHARED_FILES, *(f"{PATHWAYS}/{pathway}/{name}" for pathway in pathways for name in PATHWAY_FILES)}
    for path in content_files(folder):
        name = path.relative_to(folder).as_posix()
        if name not in known and not (path.suffix == ".csv" and path.parent.name == VALUE_SETS):
            faults.add(name, f"no content file has this name.{nearest(name, known)}")


def content_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in (".toml", ".csv") and path.is_file())


def digest(roots: list[Path]) -> str:
    """Names the content exactly: the same files give the same digest wherever they lie."""
    total = hashlib.sha256()
    for root in roots:
        for path in content_files(root):
            content = path.read_bytes()
            total.update(f"{path.relative_to(root).as_posix()}\n{len(content)}\n".encode())
            total.update(content)
    return total.hexdigest()


def code_lines(name: str, paths: tuple[tuple[Path, bool], ...], faults: Faults) -> Iterator[CodeLine]:
    """The lines of a value set, ours and then the site's. A bad header or a short line is a fault."""
    for path, local in paths:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = csv.reader(stream)
            header = next(rows, [])
            if header != HEADER:
                faults.add(f"{VALUE_SETS}/{name}.csv", f"the header is {','.join(header)!r}, not {','.join(HEADER)!r}")
                continue
            for row in rows:
                place = f"{'site ' if local else ''}{VALUE_SETS}/{name}.csv line {rows.line_num}"
                if len(row) != len(HEADER):
                    faults.add(place, f"{len(row)} columns, not {len(HEADER)}; a text with a comma needs quotes")
                    continue
                yield CodeLine(place, *(cell.strip() for cell in row), local)
