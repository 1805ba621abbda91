"""A site's folder laid over ours: which of its files are read, how they are merged, and what they must state.

The site's folder holds files of the same names as ours with only what it changes, value sets whose lines are added to
ours, and site.toml for what only a site decides. Nothing is read that lies outside it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .faults import Faults, listing, nearest

Toml = dict[str, Any]

SITE_FILE = "site.toml"
VALUE_SETS = "value-sets"
PLAIN_NAME = re.compile(r"[a-z0-9-]+(\.[a-z]+)?")
READ = (".toml", ".csv")
FOR_PEOPLE = (".md", ".txt")
PHRASES = ("messages.toml", "plain-words.toml")
IDENTITIES = ("id", "spelling", "family")  # what tells the entries of a TOML array apart when a site changes one
ADDED = ("accepts", "words", "brands", "negations", "past")  # lists that recognise something: a site adds, never takes
SIGNED = ("source", "evidence", "checked")  # a site's number is not ours any more: it needs its own
STATES = {"threshold": ("value", ("unit", *SIGNED)), "regimen": ("phase", SIGNED)}
KEY_OF_NEW = {  # without this key an entry that we do not have is a misspelt one, and no new one
    "threshold": "source", "orderable": "source", "regimen": "source", "row": "source", "sources.toml": "title",
    "analytes.toml": "display", "problems.toml": "display", "medicines.toml": "display",
}  # fmt: skip
OURS_ALONE = {"content.toml": ("version",), "pathway.toml": ("id", "version")}


def lay_over(ours: Any, theirs: Any, key: str = "") -> Any:
    """Tables are merged key by key, arrays of tables entry by entry; lists of words grow; all else is replaced."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours | {name: lay_over(ours[name], value, name) if name in ours else value
                       for name, value in theirs.items()}  # fmt: skip
    if is_entries(ours) and is_entries(theirs):
        entries = {identity(entry): entry for entry in ours}
        for entry in theirs:
            entries[identity(entry)] = lay_over(entries.get(identity(entry), {}), entry)
        return list(entries.values())
    if key in ADDED and isinstance(ours, list) and isinstance(theirs, list):
        return [*ours, *(each for each in theirs if each not in ours)]
    return theirs


def is_entries(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, dict) for entry in value)


def identity(entry: Toml) -> Any:
    """What names an entry of an array: its id, or system and code; an entry without a name is itself only."""
    if "system" in entry and "code" in entry:
        return str(entry["system"]), str(entry["code"])
    return next((str(entry[key]) for key in IDENTITIES if key in entry), id(entry))


def checked_overlay(place: str, ours: Toml, theirs: Toml, faults: Faults) -> Toml:
    """What of a site's file can be laid over ours; everything that cannot is a fault."""
    name = place.rpartition("/")[2]
    for key in OURS_ALONE.get(name, ()):
        if key in theirs:
            faults.add(f"site {place}", f"{key!r} is not a site's to change: it names our content")
    if name in KEY_OF_NEW:
        tables = {key: value for key, value in theirs.items() if isinstance(value, dict)}
        misspelt = unknown_entries(place, name.removesuffix(".toml"), tables, ours, KEY_OF_NEW[name], faults)
        return {key: value for key, value in theirs.items() if key not in misspelt}
    if name in PHRASES:
        check_phrases(place, theirs, ours, faults)
        return theirs
    checked = {key: checked_entries(place, key, ours.get(key, []), value, faults) for key, value in theirs.items()}
    return {key: value for key, value in checked.items() if value or not is_entries(theirs[key])}


def checked_entries(place: str, kind: str, ours: Any, theirs: Any, faults: Faults) -> Any:
    """The entries of [[kind]] that change one of ours or are complete new ones."""
    if kind not in KEY_OF_NEW or not is_entries(theirs) or not isinstance(ours, list):
        return theirs
    for name, times in Counter(identity(entry) for entry in theirs).items():
        if times > 1:
            faults.add(f'site {place} {kind} "{name}"', "the id is used twice")
    own = {identity(entry): entry for entry in ours}
    given = {identity(entry): entry for entry in theirs}
    misspelt = unknown_entries(place, kind, given, own, KEY_OF_NEW[kind], faults)
    for name, entry in given.items():
        if name in own:
            check_stated(f'site {place} {kind} "{name}"', kind, entry, faults)
    return [entry for name, entry in given.items() if name not in misspelt]


def unknown_entries(
    place: str, kind: str, given: Mapping[Any, Toml], own: Iterable[Any], needed: str, faults: Faults
) -> set[Any]:
    """Names that we do not have, of entries that are not complete enough to be new ones: reported."""
    known = [str(name) for name in own]
    misspelt = {name for name, entry in given.items() if name not in known and needed not in entry}
    for name in misspelt:
        if isinstance(name, str):
            faults.unknown(f"site {place}", f"{kind} to change", name, known)
        else:
            faults.add(f"site {place}", f"a [[{kind}]] without an id")
    return misspelt


def check_stated(place: str, kind: str, entry: Toml, faults: Faults) -> None:
    """Who changes a number says in which unit and whose it is, or ours would still be named as its source."""
    key, needed = STATES.get(kind, ("", ()))
    missing = [name for name in needed if key in entry and name not in entry]
    if missing:
        faults.add(place, f"a changed {key} must state its {', '.join(missing)}")


def check_phrases(place: str, theirs: Toml, ours: Toml, faults: Faults) -> None:
    """A phrase that nothing asks for would silently change nothing."""
    for key, value in theirs.items():
        if key not in ours:
            faults.unknown(f"site {place}", "phrase", key, ours)
        elif isinstance(value, dict) and isinstance(ours[key], dict):
            for name in value.keys() - ours[key].keys():
                faults.unknown(f"site {place} [{key}]", "phrase", name, ours[key])


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
