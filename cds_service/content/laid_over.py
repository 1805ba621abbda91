"""One file over another of its name: a pathway over the one that it extends, a site's folder over ours.

Entries are found by their id and changed key by key. What cannot be laid over anything is a fault: it would silently
change nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from .faults import Faults

Toml = dict[str, Any]

PATHWAY_FILE = "pathway.toml"
ENTRIES = {  # the files of a pathway that hold [[entries]] of one kind
    "follow-ups.toml": "follow_up",
    "thresholds.toml": "threshold", "orderables.toml": "orderable", "regimens.toml": "regimen",
    "course.toml": "row",
    "interpret.toml": "row", "treat.toml": "row", "safety.toml": "row", "orders.toml": "row", "notes.toml": "row",
}  # fmt: skip
PHRASES = ("messages.toml", "plain-words.toml")
IDENTITIES = ("id", "spelling", "family")  # what tells the entries of a TOML array apart when a site changes one
ADDED = ("accepts", "words", "brands", "negations", "past")  # lists that recognise something: a site adds, never takes
SIGNED = ("source", "evidence", "checked")  # a site's number is not ours any more: it needs its own
STATES = {"threshold": ("value", ("unit", *SIGNED)), "regimen": ("phase", SIGNED)}
KEY_OF_NEW = {  # without this key an entry that we do not have is a misspelt one, and no new one
    "follow_up": "source", "measure": "source", "priority": "source",
    "threshold": "source", "orderable": "source", "regimen": "source", "row": "source", "sources.toml": "title",
    "analytes.toml": "display", "problems.toml": "display", "medicines.toml": "display",
}  # fmt: skip
OURS_ALONE = {"content.toml": ("version",), "pathway.toml": ("id", "version", "extends")}
CONVERSION = ("factor", "family")  # of a unit: arithmetic, and no site's to change
OF_ITS_OWN = ("title", "version")  # what a pathway does not have from the one it extends
EXTENDS, WITHOUT, PLACES = "extends", "without", ("before", "after")  # the words of a pathway that extends another


def extend(ours: Mapping[str, Toml], pathways: Iterable[str], faults: Faults) -> tuple[dict[str, Toml], dict[str, str]]:
    """The files with every pathway complete, and where the entries stand that one has from the pathway it extends."""
    found: dict[str, Toml] = dict(ours)
    inherited: dict[str, str] = {}
    for name in pathways:
        about = found.get(f"{name}/{PATHWAY_FILE}", {})
        base = about.get(EXTENDS)
        if base is None:
            continue
        complete = [each for each in pathways if EXTENDS not in ours.get(f"{each}/{PATHWAY_FILE}", {})]
        if base not in complete:
            place, kind = f"{name}/{PATHWAY_FILE} {EXTENDS}", "pathway that is complete by itself"
            faults.unknown(place, kind, str(base), complete)
            found[f"{name}/{PATHWAY_FILE}"] = {}  # what it lacks is not its fault
            continue
        own = {key: value for key, value in about.items() if key != EXTENDS}
        for key in (each for each in OF_ITS_OWN if each not in own):
            faults.add(f"{name}/{PATHWAY_FILE}", f"missing {key!r}: that of {base} names another pathway")
        found[f"{name}/{PATHWAY_FILE}"] = merged(ours.get(f"{base}/{PATHWAY_FILE}", {}), own)
        for file in ENTRIES:
            place, parent = f"{name}/{file}", f"{base}/{file}"
            table, same = extended(place, ours.get(parent, {}), ours.get(place, {}), faults)
            found[place] = table
            inherited |= {f"{place} {entry}": f"{parent} {entry}" for entry in same}
    return found, inherited


def extends_none(place: str, ours: Mapping[str, Toml]) -> bool:
    """Is it a file of a pathway that should have it from one that there is not? That is the fault, and is named."""
    return EXTENDS in ours.get(f"{place.partition('/')[0]}/{PATHWAY_FILE}", {})


def merged(parent: Any, own: Any) -> Any:
    """Tables key by key, as deep as both have them; everything else as the extending pathway says."""
    if not isinstance(parent, dict) or not isinstance(own, dict):
        return own
    return parent | {key: merged(parent[key], value) if key in parent else value for key, value in own.items()}


def extended(place: str, parent: Toml, own: Toml, faults: Faults) -> tuple[Toml, list[str]]:
    """A file of an extending pathway: the entries of both, and which of them ('row "grey"') are the parent's unchanged.

    An entry of the same id replaces the keys that it states, and drops those that it names in `without`; so does the
    file's own `without` drop entries. `before` or `after` says where an entry stands: a new one without it stands last.
    """
    kind = ENTRIES[place.rpartition("/")[2]]
    given = entries_of(place, kind, own.get(kind, []), faults)
    entries = {str(entry.get("id")): entry for entry in parent.get(kind, [])}
    for name in names_in(place, own, faults):
        if entries.pop(str(name), None) is None:
            faults.unknown(f"{place} {WITHOUT}", kind, str(name), [each["id"] for each in parent.get(kind, [])])
    order = list(entries)
    changed: dict[str, Toml] = {}
    again: list[Toml] = []
    for entry in given:
        name = str(entry.get("id"))
        here = f'{place} {kind} "{name}"'
        if name in changed:
            again.append(entry)  # twice in the file: reported with the other shapes
            continue
        if name not in entries and KEY_OF_NEW[kind] not in entry:
            faults.unknown(place, f"{kind} to change", name, entries)
            continue
        changed[name] = change_of(here, kind, entries.get(name, {}), entry, faults)
        put_in_order(here, name, entry, order, faults)
    table = {key: value for key, value in own.items() if key not in (WITHOUT, kind)}
    table[kind] = [changed.get(name) or entries[name] for name in order] + again
    return table, [f'{kind} "{name}"' for name in entries if name not in changed]


def change_of(place: str, kind: str, before: Toml, entry: Toml, faults: Faults) -> Toml:
    """An entry of an extending pathway, complete."""
    if before:
        check_stated(place, kind, entry, faults)
    dropped = names_in(place, entry, faults)
    for key in dropped:
        if key not in before:
            faults.unknown(f"{place} {WITHOUT}", "key", str(key), before)
    said = {key: value for key, value in entry.items() if key != WITHOUT and not is_a_place(key, value)}
    return {key: value for key, value in before.items() if key not in dropped} | said


def put_in_order(place: str, name: str, entry: Toml, order: list[str], faults: Faults) -> None:
    """A new entry, or one that says where it stands, put there."""
    places = [each for each in PLACES if is_a_place(each, entry.get(each))]
    if len(places) > 1:
        faults.add(place, f"stands {' and '.join(places)} another entry: one of the two says where")
    for where in places:
        neighbour = entry[where]
        if neighbour == name or neighbour not in order:
            faults.unknown(f"{place} {where}", "entry", neighbour, [each for each in order if each != name])
            continue
        if name in order:
            order.remove(name)
        order.insert(order.index(neighbour) + (where == "after"), name)
    if name not in order:
        order.append(name)


def is_a_place(key: str, value: Any) -> bool:
    """Does it say where an entry stands? The `after` of a follow-up, [8, "d"], says when it is due."""
    return key in PLACES and isinstance(value, str)


def names_in(place: str, table: Toml, faults: Faults) -> list[str]:
    """What `without` names."""
    names = table.get(WITHOUT, [])
    if isinstance(names, list) and all(isinstance(each, str) for each in names):
        return names
    faults.add(f"{place} {WITHOUT}", f'is {names!r}; it must be a list of names, ["grey", "severe"]')
    return []


def entries_of(place: str, kind: str, value: Any, faults: Faults) -> list[Toml]:
    """The entries of a file, or of a site's; none, with the fault, where they are not written as entries."""
    if value != [] and not is_entries(value):
        faults.add(place, f"{kind!r} must be written as [[{kind}]]")
    return entries_in(value)


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


def entries_in(value: Any) -> list[Toml]:
    """The entries of a list of tables; none of anything else, which is reported with the shapes."""
    return list(value) if is_entries(value) else []


def is_entries(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, dict) for entry in value)


def identity(entry: Mapping[str, Any]) -> Any:
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
        misspelt = unknown_entries(place, name.removesuffix(".toml"), tables, ours, faults, needed=KEY_OF_NEW[name])
        if name == "analytes.toml":
            check_units(place, tables, ours, faults)
        return {key: value for key, value in theirs.items() if key not in misspelt}
    if name in PHRASES:
        check_phrases(place, theirs, ours, faults)
        return theirs
    checked = {key: checked_entries(place, key, ours.get(key, []), value, faults) for key, value in theirs.items()}
    return {key: value for key, value in checked.items() if value or key not in KEY_OF_NEW}


def checked_entries(place: str, kind: str, ours: Any, theirs: Any, faults: Faults) -> Any:
    """The entries of [[kind]] that change one of ours or are complete new ones."""
    if kind not in KEY_OF_NEW or not isinstance(ours, list):
        return theirs
    theirs = entries_of(f"site {place}", kind, theirs, faults)
    for name, times in Counter(identity(entry) for entry in theirs).items():
        if times > 1:
            faults.add(f'site {place} {kind} "{name}"', "the id is used twice")
    own = {identity(entry): entry for entry in ours}
    given = {identity(entry): entry for entry in theirs}
    misspelt = unknown_entries(place, kind, given, own, faults, needed=KEY_OF_NEW[kind])
    for name, entry in given.items():
        if name in own:
            check_stated(f'site {place} {kind} "{name}"', kind, entry, faults)
    return [entry for name, entry in given.items() if name not in misspelt]


def unknown_entries(
    place: str, kind: str, given: Mapping[Any, Toml], own: Iterable[Any], faults: Faults, *, needed: str
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


def check_units(place: str, theirs: Mapping[str, Toml], ours: Toml, faults: Faults) -> None:
    """A site says which texts stand for a unit. What a unit is stays: each result would be another number."""
    for name, table in theirs.items():
        factors = {identity(entry): entry for entry in entries_in(ours.get(name, {}).get("unit"))}
        for entry in entries_in(table.get("unit")):
            unit = factors.get(identity(entry), {})
            for key in (each for each in CONVERSION if each in entry and each in unit and entry[each] != unit[each]):
                here = f'site {place} "{name}" unit {entry["spelling"]!r}'
                faults.add(here, f"{key!r} is not a site's to change: it is {unit[key]}")
        if "mass_per_molar" in table and name in ours:
            faults.add(f'site {place} "{name}"', "'mass_per_molar' is not a site's to change: it is arithmetic")


def check_phrases(place: str, theirs: Toml, ours: Toml, faults: Faults) -> None:
    """A phrase that nothing asks for would silently change nothing."""
    for key, value in theirs.items():
        if key not in ours:
            faults.unknown(f"site {place}", "phrase", key, ours)
        elif isinstance(value, dict) and isinstance(ours[key], dict):
            for name in value.keys() - ours[key].keys():
                faults.unknown(f"site {place} [{key}]", "phrase", name, ours[key])
