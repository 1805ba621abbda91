"""An extract: a folder of NDJSON as FHIR Bulk Data writes it, and how the patient of a line is found.

The paths and patterns are said once, for every engine that reads lines: DuckDB on one machine, Spark on several. A line
that is no JSON still belongs to the patient whom it names first; one that names nobody is nobody's.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import msgspec

NDJSON = (".ndjson", ".ndjson.gz")
LINES = re.compile(r"ndjson|jsonl", re.IGNORECASE)  # in the name of a file of lines, whatever its ending
NO_LINES = re.compile(r"\.(md5|sha\d+|crc|asc|sig)$", re.IGNORECASE)  # what may lie beside one
PATIENT, MEDICATION = "Patient", "Medication"
EXPORT_FILE = "export.json"  # what our own export writes beside the files: which types were asked for
JOB = "job.json"  # what it writes first: without the other file the export has not ended
LONGEST_LINE = 8_000_000  # bytes
NAMED_BY_FILE = re.compile(r"(?:^|[^A-Za-z])([A-Z][A-Za-z]+)(?:[^A-Za-z]|$)")

# JSON paths; the first that is there counts.
TYPE, ID = "$.resourceType", "$.id"
SUBJECTS = (
    "$.subject.reference", "$.patient.reference", "$.for.reference",
    "$.subject[0].reference", "$.patient[0].reference", "$.for[0].reference",
)  # fmt: skip
MEDICINES = ("$.medicationReference.reference", "$.medication.reference.reference")
PATHS = (TYPE, ID, *SUBJECTS, *MEDICINES)
# Patterns that RE2 and Java read alike.
PATIENT_OF_REFERENCE = r"(?:^|/)Patient/([^/?#]+)(?:/_history/[^/]*)?$"
ID_OF_REFERENCE = r"(?:^|/)Medication/([^/?#]+)(?:/_history/[^/]*)?$"
ANY_PATIENT = r'"reference"\s*:\s*"(?:[^"]*/)?Patient/([^"/?#]+)'  # of an Appointment's participants, or a broken line
ANY_TYPE = r'"resourceType"\s*:\s*"([A-Za-z]+)"'
RESOURCE_TYPE = r"[A-Z][A-Za-z]*"  # whole
BUNDLE = "Bundle"  # no line of an extract: it may hold anybody's
JOINED = r'"resourceType".*"resourceType"'  # of a broken line: perhaps two that were joined, of two patients
PATIENT_ITSELF = r'"resourceType"\s*:\s*"Patient".*"id"\s*:\s*"([^"]+)"'  # of a broken line


class ExtractUnusable(Exception):
    """The extract cannot be decided on. Its text is one line for the operator, and names no patient."""


class Exported(msgspec.Struct, frozen=True, rename="camel"):
    """export.json: the types that were asked for and not refused, and the moment for which the server answered."""

    types: tuple[str, ...]
    transaction_time: str = ""


@dataclass(frozen=True, slots=True)
class Extract:
    """The files of one folder, and the types that are known to have been exported though no file may hold any. `moment`
    is that for which the server answered, "" where nobody wrote it down."""

    folder: Path
    files: tuple[Path, ...]
    asked_for: frozenset[str]
    moment: str = ""

    @property
    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.files)

    def stamp(self) -> dict[str, list[int]]:
        """Size and time of last change by the name of each file: another stamp is another extract."""
        named = {path.relative_to(self.folder).as_posix(): path.stat() for path in self.files}
        return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in named.items()}


def read_extract(folder: Path, types: Collection[str] = ()) -> Extract:
    """The extract in a folder; ExtractUnusable where there is none, or where a file that holds some of these types
    would not be read: what is in it would be missing, and nobody would know."""
    there = sorted(path for path in folder.rglob("*") if path.is_file())
    files = tuple(path for path in there if path.name.endswith(NDJSON))
    if (folder / JOB).is_file() and not (folder / EXPORT_FILE).is_file():
        raise ExtractUnusable(
            f"{folder}: its export has not ended, and who is not in it yet would be taken for a patient without "
            "results; allowed: the same call of `population export` first, which goes on"
        )
    if left_out := next((path for path in there if path not in files and holds_lines(path, types)), None):
        raise ExtractUnusable(
            f"{left_out}: would not be read; allowed: files that end in {' or '.join(NDJSON)}, in lower case: rename "
            "or unpack it, or move it elsewhere"
        )
    if not files:
        raise ExtractUnusable(f"{folder}: holds no file that ends in {' or '.join(NDJSON)}")
    exported = read_exported(folder)
    return Extract(folder, files, frozenset({*exported.types, *types_of_names(files)}), exported.transaction_time)


def holds_lines(path: Path, types: Collection[str]) -> bool:
    """Does a file that has not the ending of an extract seem to hold lines, or resources of these types?"""
    if NO_LINES.search(path.name):
        return False
    return LINES.search(path.name) is not None or not types_of_names((path,)).isdisjoint(types)


def read_exported(folder: Path) -> Exported:
    """What export.json says; without that file nothing is known."""
    path = folder / EXPORT_FILE
    if not path.is_file():
        return Exported(())
    try:
        return msgspec.json.decode(path.read_bytes(), type=Exported)
    except msgspec.DecodeError as error:
        raise ExtractUnusable(f"{path}: is not what an export writes: {error}") from None


def first_fault(extract: Extract, types: Collection[str]) -> str:
    """The place of the first line that is in no way NDJSON: longer than lines may be, not UTF-8, not one resource, or
    no JSON and without a patient though it is of one of these types, or of none. What such a line holds is not said."""
    for path in extract.files:
        with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE + 1), b""), start=1):
                if len(line) > LONGEST_LINE or could_be_anybodys(line, types):
                    return f"{path}, line {number}"
    return str(extract.folder)


def could_be_anybodys(line: bytes, types: Collection[str]) -> bool:
    """Is it not UTF-8; JSON, but not one resource; or no JSON, of a type that has a patient, and without one?"""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return True
    try:
        whole = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        kind = found[1] if (found := re.search(ANY_TYPE, text)) else ""
        has_patient = kind == "" or (kind in types and kind != MEDICATION)
        named = re.search(PATIENT_ITSELF if kind == PATIENT else ANY_PATIENT, text)
        return bool(text.strip()) and (re.search(JOINED, text) is not None or (has_patient and not named))
    kind = str(whole.get("resourceType", "")) if isinstance(whole, dict) else ""
    return kind == BUNDLE or re.fullmatch(RESOURCE_TYPE, kind) is None


def types_of_names(files: tuple[Path, ...]) -> set[str]:
    """The types that the files are named after: an empty Condition.ndjson says that there is no Condition."""
    return {found[1] for path in files if (found := NAMED_BY_FILE.search(path.name))}
