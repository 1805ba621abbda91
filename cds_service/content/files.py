"""The files of cards/, read: TOML with exact decimals and value sets line by line, a site's folder laid over ours.

Reading says nothing about meaning; what a file may hold is decided by `shapes`, `build` and `check`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from .faults import Faults, listing, nearest
from .overlay import READ, SITE_FILE, VALUE_SETS, Toml, check_site_names, checked_overlay, hidden, inside, lay_over

SHARED_FILES = (
    "content.toml", "sources.toml", "analytes.toml", "problems.toml", "medicines.toml", "messages.toml",
    "plain-words.toml",
)  # fmt: skip
PATHWAY_FILES = (
    "pathway.toml", "thresholds.toml", "orderables.toml", "regimens.toml",
    "interpret.toml", "treat.toml", "safety.toml", "orders.toml", "notes.toml",
)  # fmt: skip
MAY_BE_MISSING = ("orders.toml", "notes.toml")  # a pathway may have neither
PATHWAYS = "pathways"
HEADER = ["system", "code", "display", "use", "source"]


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

    tables: dict[str, Toml]  # ours with the site's laid over them, and site.toml
    ours: dict[str, Toml]  # the same without the site
    theirs: dict[str, Toml]  # what the site's files say by themselves
    value_sets: dict[str, tuple[tuple[Path, bool], ...]]  # ours, then the site's (True)
    pathways: tuple[str, ...]
    digest: str  # sha256 over every TOML and CSV file, names included, in sorted order


def read_files(folder: Path, site: Path | None, faults: Faults) -> Files:
    """Read the content folder and, laid over it, the site's. Missing and unreadable files are faults."""
    pathways = tuple(sorted(path.name for path in (folder / PATHWAYS).glob("*") if path.is_dir()))
    if not pathways:
        faults.add(PATHWAYS, "there is no pathway; each is a folder with " + listing(PATHWAY_FILES))
    names = {name: name for name in SHARED_FILES}  # short place -> name below the folder
    names |= {f"{pathway}/{name}": f"{PATHWAYS}/{pathway}/{name}" for pathway in pathways for name in PATHWAY_FILES}
    report_strangers(folder, pathways, faults)
    ours = {place: read_ours(folder / name, place, faults) for place, name in names.items()}
    theirs: dict[str, Toml] = {}
    if site is not None:
        check_site_names([path.relative_to(folder).as_posix() for path in content_files(folder)], site, faults)
        theirs = read_theirs(site, {**names, SITE_FILE: SITE_FILE}, faults)
    tables = {
        place: lay_over(table, checked_overlay(place, table, theirs[place], faults)) if place in theirs else table
        for place, table in ours.items()
    }
    roots = [folder] if site is None else [folder, site]
    value_sets = value_set_files(roots)
    return Files(tables | {SITE_FILE: theirs.get(SITE_FILE, {})}, ours, theirs, value_sets, pathways, digest(roots))


def value_set_files(roots: list[Path]) -> dict[str, tuple[tuple[Path, bool], ...]]:
    """The files of each value set by its name: ours, then the site's (True), which is the second of `roots`."""
    found: dict[str, tuple[tuple[Path, bool], ...]] = {}
    for local, root in enumerate(roots):
        for path in sorted((root / VALUE_SETS).glob("*.csv")):
            if inside(root, path):
                found[path.stem] = (*found.get(path.stem, ()), (path, bool(local)))
    return found


def read_ours(path: Path, place: str, faults: Faults) -> Toml:
    """One of our files; empty where it could not be read."""
    if path.is_file():
        return read_toml(path, place, faults)
    if path.name not in MAY_BE_MISSING:
        faults.add(place, "the file is missing")
    return {}


def read_theirs(site: Path, names: dict[str, str], faults: Faults) -> dict[str, Toml]:
    """The site's files, by place."""
    present = {place: site / name for place, name in names.items() if (site / name).is_file()}
    return {place: read_toml(path, f"site {place}", faults) for place, path in present.items() if inside(site, path)}


def read_toml(path: Path, place: str, faults: Faults) -> Toml:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        faults.add(place, f"cannot be read: {error.strerror}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        faults.add(place, f"not readable as TOML: {error}")
    return {}


def report_strangers(folder: Path, pathways: tuple[str, ...], faults: Faults) -> None:
    """A misspelt file name would silently leave its content out."""
    known = {*SHARED_FILES, *(f"{PATHWAYS}/{pathway}/{name}" for pathway in pathways for name in PATHWAY_FILES)}
    for path in content_files(folder):
        name = path.relative_to(folder).as_posix()
        if name not in known and not (path.suffix == ".csv" and path.parent.name == VALUE_SETS):
            faults.add(name, f"no content file has this name.{nearest(name, known)}")


def content_files(folder: Path) -> list[Path]:
    """Every TOML and CSV file of a folder. What is hidden (a repository's own files) does not belong to it."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix in READ and path.is_file() and inside(folder, path) and not hidden(path.relative_to(folder))
    )


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
        file = f"{'site ' if local else ''}{VALUE_SETS}/{name}.csv"
        try:
            with path.open(encoding="utf-8", newline="") as stream:
                yield from lines_of(csv.reader(stream), file, local, faults)
        except OSError as error:
            faults.add(file, f"cannot be read: {error.strerror}")
        except (UnicodeDecodeError, csv.Error) as error:
            faults.add(file, f"not readable as CSV in UTF-8: {error}")


def written_line(*cells: str) -> str:
    """One line of a value set, ready to be pasted: quotes where CSV needs them, nothing unseen, no end of line."""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(" ".join(plain(cell).split()) for cell in cells)
    return out.getvalue()


def plain(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text)


def lines_of(rows: Any, file: str, local: bool, faults: Faults) -> Iterator[CodeLine]:
    header = next(rows, [])
    if header != HEADER:
        faults.add(file, f"the header is {','.join(header)!r}, not {','.join(HEADER)!r}")
        return
    for row in rows:
        place = f"{file} line {rows.line_num}"
        if len(row) != len(HEADER):
            faults.add(place, f"{len(row)} columns, not {len(HEADER)}; a text with a comma needs quotes")
            continue
        yield CodeLine(place, *(cell.strip() for cell in row), local)
