"""A site's folder in memory: opened from a zip, changed value by value, and packed as a zip again.

A zip comes from anybody: its size, the number and names of its files, and what they unpack to are bounded, and nothing
of it is ever written to a place that it names. A changed file keeps its comments and its order.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Table

from .files import FOR_PEOPLE, HEADER, PATHWAYS, READ, VALUE_SETS, written_line

SiteFiles = dict[str, str]  # name below the folder -> text

LARGEST_ZIP, MOST_FILES, LARGEST_FILE, LARGEST_FOLDER = 500_000, 200, 300_000, 1_000_000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}(\.[A-Za-z0-9]{1,5})?")
DEEPEST = 3  # pathways/uk-ng239/interpret.toml
TOPS = (PATHWAYS, VALUE_SETS, "lang")
MACINTOSH = "__MACOSX"
THE_SAME = (1980, 1, 1, 0, 0, 0)  # the day of every file of a zip: the same folder, the same bytes
ENCRYPTED, LINK, KIND_OF_FILE = 0x1, 0o120000, 0o170000


class NoSiteFolder(ValueError):
    """What was sent is no folder of a site that can be taken. Its text is one line for the person who sent it."""


def opened(body: bytes) -> SiteFiles:
    """The files of a zip; NoSiteFolder says what is wrong with it."""
    if len(body) > LARGEST_ZIP:
        raise NoSiteFolder(f"the zip has {len(body)} bytes; allowed: at most {LARGEST_ZIP}")
    try:
        with ZipFile(io.BytesIO(body)) as archive:
            entries = [each for each in archive.infolist() if not each.is_dir() and not is_hidden(each.filename)]
            if len(entries) > MOST_FILES:
                raise NoSiteFolder(f"the zip holds {len(entries)} files; allowed: at most {MOST_FILES}")
            found: SiteFiles = {}
            for entry in entries:
                if entry.filename in found:
                    raise NoSiteFolder(f"{shown(entry.filename)} is in the zip twice")
                left = LARGEST_FOLDER - sum(map(len, found.values()))
                found[entry.filename] = text_of(archive, entry, min(left, LARGEST_FILE))
    except NoSiteFolder:
        raise
    except (BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError) as error:
        raise NoSiteFolder(f"this is no zip that can be read ({error})") from None
    return checked(without_top(found))


def text_of(archive: ZipFile, entry: ZipInfo, most: int) -> str:
    """One file of a zip as text, unpacked no further than `most` bytes, whatever the zip says of its size."""
    name = shown(entry.filename)
    if entry.flag_bits & ENCRYPTED or entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise NoSiteFolder(f"{name} is encrypted or packed in an unusual way; allowed: a plain zip")
    if (entry.external_attr >> 16) & KIND_OF_FILE == LINK:
        raise NoSiteFolder(f"{name} is a link; allowed: files")
    with archive.open(entry) as stream:
        body = stream.read(most + 1)
    if len(body) > most:
        raise NoSiteFolder(f"{name} is too large; allowed: {LARGEST_FILE} bytes a file, {LARGEST_FOLDER} in all")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NoSiteFolder(f"{name} is not text in UTF-8") from None


def is_hidden(name: str) -> bool:
    """A repository's own files, and those that a Macintosh adds."""
    return any(part == MACINTOSH or re.match(r"\.[^.]", part) for part in name.split("/"))


def without_top(files: SiteFiles) -> SiteFiles:
    """The files without the one folder that holds them all, where a folder was packed and not what is in it."""
    tops = {name.partition("/")[0] for name in files}
    packed_whole = len(tops) == 1 and not tops & set(TOPS) and all("/" in name for name in files)
    if packed_whole and all(map(NAME.fullmatch, tops)):
        return {name.partition("/")[2]: text for name, text in files.items()}
    return files


def checked(files: object) -> SiteFiles:
    """The files, each under a name that a site's folder may hold, and not too many."""
    if not isinstance(files, dict) or len(files) > MOST_FILES:
        raise NoSiteFolder(f"this is no folder of a site; allowed: at most {MOST_FILES} files")
    for name, text in files.items():
        if not isinstance(name, str) or not isinstance(text, str) or not is_safe(name):
            kinds = ", ".join((*READ, *FOR_PEOPLE))
            raise NoSiteFolder(
                f"{shown(str(name))} is no file of a site's folder; allowed: plain names ending in {kinds}"
            )
    if within := next((name for name in files if any(name.startswith(f"{each}/") for each in files)), ""):
        raise NoSiteFolder(f"{shown(within)} lies in what is itself a file of the folder")
    if sum(len(text) for text in files.values()) > LARGEST_FOLDER:
        raise NoSiteFolder(f"the folder is too large; allowed: {LARGEST_FOLDER} characters in all")
    return dict(files)


def is_safe(name: str) -> bool:
    """Is it a relative path of plain names, no deeper than a site's folder is, to a file of a kind that it holds?"""
    parts = name.split("/")
    return len(parts) <= DEEPEST and name.endswith((*READ, *FOR_PEOPLE)) and all(map(NAME.fullmatch, parts))


def shown(name: str) -> str:
    """A name of somebody's zip, short and without unseen signs."""
    return "".join(sign if sign.isprintable() else "?" for sign in name[:80])


def packed(files: Mapping[str, str]) -> bytes:
    """The folder as a zip: the same files, the same bytes."""
    out = io.BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = ZipInfo(name, THE_SAME)
            entry.compress_type, entry.external_attr = ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, files[name])
    return out.getvalue()


@contextmanager
def temporary_folder(files: Mapping[str, str]) -> Iterator[Path]:
    """The folder as files, for as long as they are read: they are gone at the end."""
    with TemporaryDirectory(prefix="site-") as folder:
        for name, text in checked(dict(files)).items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")
        yield Path(folder)


def with_entry(files: SiteFiles, place: str, kind: str, name: str, values: Mapping[str, Any]) -> SiteFiles:
    """The files with some values of one [[entry]] set, or taken away where they are None. An entry that says nothing
    any more goes."""
    document = parsed(files.get(place, ""), place)
    entries = document.get(kind)
    entries = entries if isinstance(entries, AoT) else None
    entry = next((each for each in entries or () if str(each.get("id")) == name), None)
    if entry is None:
        entry = tomlkit.table()
        entry["id"] = name
        if entries is None:
            entries = tomlkit.aot()
            document[kind] = entries
        entries.append(entry)
        entry = entries[-1]
    put(entry, values)
    if set(entry) == {"id"} and entries is not None:
        left = [each for each in entries if each is not entry]
        document.remove(kind)
        if left:
            document[kind] = tomlkit.aot()
            for each in left:
                document[kind].append(each)
    return {**files, place: tomlkit.dumps(document)}


def with_values(files: SiteFiles, place: str, table: str, values: Mapping[str, Any]) -> SiteFiles:
    """The files with some values of one [table] set, or of the file itself (""), or taken away where they are None."""
    document = parsed(files.get(place, ""), place)
    if table and table not in document:
        document[table] = tomlkit.table()
    put(document[table] if table else document, values)
    return {**files, place: tomlkit.dumps(document)}


def with_code(files: SiteFiles, name: str, *cells: str) -> SiteFiles:
    """The files with one more line in a value set: system, code, display, use and source."""
    place = f"{VALUE_SETS}/{name}.csv"
    before = files.get(place, ",".join(HEADER) + "\n")
    return {**files, place: f"{before.rstrip()}\n{written_line(*cells)}\n"}


def parsed(text: str, place: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text)
    except TOMLKitError as error:
        raise NoSiteFolder(f"{place}: not readable as TOML: {error}") from None


def put(table: Any, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if value is None:
            table.pop(key, None)
        else:
            table[key] = written(value)


def written(value: Any) -> Any:
    """A value as TOML writes it; a text of several lines stands as one."""
    if isinstance(value, str) and "\n" in value:
        return tomlkit.string(f"{value}\n", multiline=True)
    return value if isinstance(value, Table) else tomlkit.item(value)
