"""The files of cards/, read: TOML with exact decimals and value sets line by line, a site's folder laid over ours.

A site's folder holds files of the same names as ours with only what it changes, value sets whose lines are added to
ours, and site.toml for what only a site decides. Nothing is read that lies outside it. Reading says nothing about
meaning; what a file may hold is decided by `shapes`, `build` and `check`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from .faults import ContentError, Faults, listing, nearest
from .laid_over import ENTRIES, PATHWAY_FILE, Toml, checked_overlay, extend, extends_none, lay_over
from .language import ENGLISH, LANG, Language, check_parts, language, languages, translated

SHARED_FILES = (
    "content.toml", "sources.toml", "analytes.toml", "problems.toml", "medicines.toml", "messages.toml",
    "plain-words.toml", "exclusions.toml", "measures.toml", "tasks.toml",
)  # fmt: skip
PATHWAY_FILES = (PATHWAY_FILE, *ENTRIES)
MAY_BE_MISSING = (
    "course.toml", "follow-ups.toml", "orders.toml", "notes.toml", "plain-words.toml", "exclusions.toml",
    "measures.toml", "tasks.toml",
)  # fmt: skip
PATHWAYS = "pathways"
HEADER = ["system", "code", "display", "use", "source"]

SITE_FILE = "site.toml"
VALUE_SETS = "value-sets"
PLAIN_NAME = re.compile(r"[a-z0-9-]+(\.[a-z]+)?")
READ = (".toml", ".csv")
FOR_PEOPLE = (".md", ".txt")


class CodeLine(msgspec.Struct, frozen=True, gc=False):
    """One line of a value set, as written. `place` names file and line. There are many thousands: dataclasses take
    fifteen times as long to make."""

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

    tables: dict[str, Toml]  # ours, each pathway complete, with the site's laid over them; and site.toml
    ours: dict[str, Toml]  # the same without the site, in the language that is chosen
    english: dict[str, Toml]  # the same in English
    theirs: dict[str, Toml]  # what the site's files say by themselves
    inherited: dict[str, str]  # place of an entry that a pathway has from the one it extends -> its place there
    value_sets: dict[str, tuple[tuple[Path, bool], ...]]  # ours, then the site's (True)
    pathways: tuple[str, ...]
    language: Language  # ENGLISH where none is chosen
    digest: str  # sha256 over every TOML and CSV file, names included, in sorted order


def read_files(folder: Path, site: Path | None, faults: Faults, spoken: str = "") -> Files:
    """Read the content folder and, laid over it, a language and the site's folder. The site chooses the language,
    unless `spoken` names one. Missing and unreadable files are faults."""
    pathways = tuple(sorted(path.name for path in (folder / PATHWAYS).glob("*") if path.is_dir()))
    if not pathways:
        faults.add(PATHWAYS, "there is no pathway; each is a folder with " + listing(PATHWAY_FILES))
    names = {name: name for name in SHARED_FILES}  # short place -> name below the folder
    names |= {f"{pathway}/{name}": f"{PATHWAYS}/{pathway}/{name}" for pathway in pathways for name in PATHWAY_FILES}
    report_strangers(folder, pathways, faults)
    present = {place: folder / name for place, name in names.items() if (folder / name).is_file()}
    ours = {place: read_toml(path, place, faults) for place, path in present.items()}
    extended, inherited = extend(ours, pathways, faults)
    for place in (each for each in names if each not in extended):
        if place.rpartition("/")[2] not in MAY_BE_MISSING and not extends_none(place, ours):
            faults.add(place, "the file is missing")
    ours = {place: extended.get(place, {}) for place in names}
    theirs: dict[str, Toml] = {}
    if site is not None:
        present_too = (path.relative_to(folder).as_posix() for path in content_files(folder))
        check_site_names([*names.values(), *present_too], site, faults)
        theirs = read_theirs(site, {**names, SITE_FILE: SITE_FILE}, faults)
    english, chosen = ours, chosen_language(folder, spoken or theirs.get(SITE_FILE, {}).get("language", ""), faults)
    if chosen.id:
        check_parts(english, chosen, faults)
        ours = {place: translated(place, table, chosen) for place, table in english.items()}
    tables = {
        place: lay_over(table, checked_overlay(place, table, theirs[place], faults)) if place in theirs else table
        for place, table in ours.items()
    }
    roots = [folder, *([folder / LANG / chosen.id] if chosen.id else []), *([] if site is None else [site])]
    tables[SITE_FILE] = theirs.get(SITE_FILE, {})
    sets = value_set_files([folder] if site is None else [folder, site])
    return Files(tables, ours, english, theirs, inherited, sets, pathways, chosen, digest(roots))


def chosen_language(folder: Path, name: object, faults: Faults) -> Language:
    """The language of that name, read; English for none, and for one that we do not have."""
    known = languages(folder)
    if not name:
        return ENGLISH
    if name not in known:
        faults.unknown(f"{SITE_FILE} language", "language", str(name), known)
        return ENGLISH
    paths = sorted((folder / LANG / str(name)).glob("*.toml"))
    tables = {path.name: read_toml(path, f"{LANG}/{name}/{path.name}", faults) for path in paths}
    return language(str(name), tables, faults)


def value_set_files(roots: list[Path]) -> dict[str, tuple[tuple[Path, bool], ...]]:
    """The files of each value set by its name: ours, then the site's (True), which is the second of `roots`."""
    found: dict[str, tuple[tuple[Path, bool], ...]] = {}
    for local, root in enumerate(roots):
        linked = (root / VALUE_SETS).is_symlink()  # what is no link, in a folder that is none, is where it seems to be
        for path in sorted((root / VALUE_SETS).glob("*.csv")):
            if not (linked or path.is_symlink()) or inside(root, path):
                found[path.stem] = (*found.get(path.stem, ()), (path, bool(local)))
    return found


def read_theirs(site: Path, names: dict[str, str], faults: Faults) -> dict[str, Toml]:
    """The site's files, by place."""
    present = {place: site / name for place, name in names.items() if (site / name).is_file()}
    return {place: read_toml(path, f"site {place}", faults) for place, path in present.items() if inside(site, path)}


def read_toml(path: Path, place: str, faults: Faults) -> Toml:
    try:
        return parsed(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        faults.add(place, f"cannot be read: {error.strerror}")
    except ValueError as error:  # TOML, UTF-8, or a number that is none
        faults.add(place, f"not readable as TOML: {error}")
    return {}


def parsed(text: str) -> Toml:
    """What a TOML file says, its numbers as they are written. Nobody changes it. ValueError if it is no such file."""
    try:
        return tomllib.loads(text, parse_float=finite)
    except RecursionError:
        raise ValueError("lists or tables stand in one another too deeply") from None


MOST_DIGITS = 30  # before or after the point: far beyond any limit, dose or result


def finite(text: str) -> Decimal:
    """A number with a point or an exponent, exactly as it is written. ValueError for nan, inf and the absurd."""
    try:
        number = Decimal(text)
    except ArithmeticError:  # an exponent that no Decimal has
        number = Decimal("NaN")
    if not number.is_finite() or abs(number.adjusted()) > MOST_DIGITS:
        allowed = f"allowed: at most {MOST_DIGITS} digits on either side of the point"
        raise ValueError(f"{text[:40]!r} is no number that can be used; {allowed}")
    return number


def report_strangers(folder: Path, pathways: tuple[str, ...], faults: Faults) -> None:
    """A misspelt file name would silently leave its content out."""
    known = {*SHARED_FILES, *(f"{PATHWAYS}/{pathway}/{name}" for pathway in pathways for name in PATHWAY_FILES)}
    for path in content_files(folder):
        name = path.relative_to(folder).as_posix()
        if name not in known and not (path.suffix == ".csv" and path.parent.name == VALUE_SETS):
            faults.add(name, f"no content file has this name.{nearest(name, known)}")


def content_files(folder: Path) -> list[Path]:
    """Every TOML and CSV file of a folder. What is hidden (a repository's own files) does not belong to it."""
    named = [(path, path.relative_to(folder)) for path in folder.rglob("*") if path.suffix in READ]
    # A language is read where it is chosen. What is no link lies in the folder: rglob follows none.
    ours = [path for path, name in named if name.parts[0] != LANG and not hidden(name)]
    return sorted(path for path in ours if path.is_file() and (not path.is_symlink() or inside(folder, path)))


def digest(roots: list[Path]) -> str:
    """Names the content exactly: the same files give the same digest wherever they lie."""
    total = hashlib.sha256()
    for root in roots:
        for path in content_files(root):
            content = path.read_bytes()
            total.update(f"{path.relative_to(root).as_posix()}\n{len(content)}\n".encode())
            total.update(content)
    return total.hexdigest()


SAVED_AS = "Excel writes it as 'CSV UTF-8', with commas where the list separator of the system is a comma"


def code_lines(name: str, paths: tuple[tuple[Path, bool], ...], faults: Faults) -> Iterator[CodeLine]:
    """The lines of a value set, ours and then the site's. A bad header or a short line is a fault."""
    for path, local in paths:
        file = f"{'site ' if local else ''}{VALUE_SETS}/{name}.csv"
        try:
            with path.open(encoding="utf-8-sig", newline="") as stream:  # Excel begins a CSV with a byte order mark
                yield from lines_of(csv.reader(stream), file, local, faults)
        except OSError as error:
            faults.add(file, f"cannot be read: {error.strerror}")
        except (UnicodeDecodeError, csv.Error) as error:
            faults.add(file, f"not readable as CSV in UTF-8: {error}. {SAVED_AS}")


def written_line(*cells: str) -> str:
    """One line of a value set, ready to be pasted: quotes where CSV needs them, nothing unseen, no end of line."""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(" ".join(printable(cell).split()) for cell in cells)
    return out.getvalue()


def printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text)


def lines_of(rows: Any, file: str, local: bool, faults: Faults) -> Iterator[CodeLine]:
    header: list[str] = next(rows, [])
    if header != HEADER:
        hint = f". {SAVED_AS}" if len(header) == 1 and re.search("[;\t]", header[0]) else ""
        faults.add(file, f"the header is {','.join(header)!r}, not {','.join(HEADER)!r}{hint}")
        return
    for row in rows:
        if not row:  # an empty line says nothing
            continue
        place = f"{file} line {rows.line_num}"
        if len(row) != len(HEADER):
            faults.add(place, f"{len(row)} columns, not {len(HEADER)}; a text with a comma needs quotes")
            continue
        system, code, display, use, source = map(str.strip, row)
        yield CodeLine(place, system, code, display, use, source, local)


def check_site_names(known: Iterable[str], site: Path, faults: Faults) -> None:
    """A site changes files that exist and adds value sets; no name and no link leaves its folder."""
    known = {*known, SITE_FILE}
    through_links = [site / name for name in known if (site / name).is_file()] + list((site / VALUE_SETS).glob("*.csv"))
    for path in sorted({*site.rglob("*"), *through_links}):
        name = path.relative_to(site).as_posix()
        parts = name.split("/")
        if path.is_dir() or path.suffix in FOR_PEOPLE or hidden(path.relative_to(site)):
            continue
        if not inside(site, path):
            faults.add(f"site {name}", "the link leaves the site's folder")
        elif path.suffix not in READ:
            kinds = f"{listing(READ)}, and for people {listing(FOR_PEOPLE)}"
            faults.add(f"site {name}", f"is not read; a site's folder holds {kinds}")
        elif any(not PLAIN_NAME.fullmatch(part) for part in parts):
            faults.add(f"site {name}", "a name may hold a-z, 0-9 and - only")
        elif name not in known and not (parts[0] == VALUE_SETS and len(parts) == 2 and path.suffix == ".csv"):
            faults.add(f"site {name}", f"there is no such file to change.{nearest(name, known)}")


def inside(folder: Path, path: Path) -> bool:
    """Does the file lie in the folder, links followed?"""
    return path.resolve().is_relative_to(folder.resolve())


def hidden(name: Path) -> bool:
    """A repository's own files, and those of an editor."""
    return any(part.startswith(".") for part in name.parts)


def cards_folder() -> Path:
    """The folder of the clinical content."""
    return shipped_folder("cards", holding="content.toml")


def shipped_folder(name: str, holding: str = "") -> Path:
    """The packaged copy of a top-level folder ("cards", "fixtures"), or else the sibling in the checkout.

    `holding` is a file that must be in it: an empty folder of that name is not the one.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / name, package.parent / name):
        if (folder / holding).exists():
            return folder
    wanted = f"folder {name!r}" + (f" with {holding} in it" if holding else "")
    raise ContentError([f"there is no {wanted}, neither inside the package {package.name} nor beside it"])
