"""Groups the lines of an extract by patient, on disk, in buckets that each fit into memory (DuckDB).

The buckets are Parquet: patient, type, line. An order that only refers to its Medication brings that line along. What
belongs to nobody is counted. A line that is no JSON and does not name its patient ends the run, as does one that is not
one resource: it could be anybody's.
"""

from __future__ import annotations

import glob
import gzip
import shutil
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from .extract import (
    ANY_PATIENT,
    ANY_TYPE,
    BUNDLE,
    ID_OF_REFERENCE,
    JOINED,
    LONGEST_LINE,
    MEDICINES,
    PATHS,
    PATIENT_ITSELF,
    PATIENT_OF_REFERENCE,
    RESOURCE_TYPE,
    SUBJECTS,
    Extract,
    ExtractUnusable,
    first_fault,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from .decisions import Line

BUCKET_BYTES = 32_000_000  # of the extract, in one bucket
MOST_BUCKETS = 512
GZIP = 10  # how much larger a compressed extract is taken to be
NOBODY, SHARED = -1, -2  # buckets of lines without a patient, and of Medications
FLUSH_ROWS = 16_384  # that DuckDB holds for all buckets together, for each thread
SECONDS_BETWEEN = 0.2  # looks at how far DuckDB is
FETCHED = 2_000  # lines at a time
READ_BYTES = 4_000_000  # of a compressed file, at a time
DONE = "grouped.json"

MEND = (
    "Was the export cut off? Mend the file or fetch it again, then make the same call: nothing was decided yet, and "
    "all lines are read anew"
)

Told = Callable[[float], None]  # the share of the extract that was read, 0 to 1


class Grouped(msgspec.Struct, frozen=True):
    """What the grouping found. `lines` counts what was read by type; `nobody` lines of our types without a patient."""

    buckets: int
    patients: int
    lines: dict[str, int]
    broken: dict[str, int]
    nobody: dict[str, int]

    @classmethod
    def of(cls, buckets: int, patients: int, rows: Iterable[tuple[str, bool, bool, int]]) -> Grouped:
        """From counts by type, "is it JSON?" and "does it name nobody?"."""
        lines: dict[str, int] = {}
        broken: dict[str, int] = {}
        nobody: dict[str, int] = {}
        for kind, valid, of_nobody, count in rows:
            into = lines if valid and not of_nobody else nobody if valid else broken
            into[kind] = into.get(kind, 0) + count
            if not valid and of_nobody:
                nobody[""] = nobody.get("", 0) + count
        return cls(buckets, patients, *(dict(sorted(each.items())) for each in (lines, broken, nobody)))


@dataclass(frozen=True, slots=True)
class Means:
    """What the grouping may use."""

    memory: int  # bytes
    threads: int
    folder: Path  # for what does not fit into memory


@contextmanager
def database(means: Means) -> Iterator[DuckDBPyConnection]:
    """DuckDB with these means. It calls nobody and installs nothing."""
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{max(means.memory // 1_000_000, 64)}MB",
        "threads": means.threads,
        "temp_directory": str(means.folder / "spilled"),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "partitioned_write_flush_threshold": FLUSH_ROWS,
        "preserve_insertion_order": False,  # where an order matters, it is asked for
    }
    with duckdb.connect(config=settings) as connection:
        try:
            yield connection
        except duckdb.OutOfMemoryException:
            raise ExtractUnusable(
                f"{means.memory // 1_000_000} MB for DuckDB are not enough for this extract; allowed: the same call "
                "with more --memory or fewer --workers, which goes on"
            ) from None


def text(value: str) -> str:
    """A text as SQL."""
    return "'" + value.replace("'", "''") + "'"


def fields() -> dict[str, str]:
    """The names under which the query finds what stands at each path."""
    return {path: f"found[{place}]" for place, path in enumerate(PATHS, start=1)}


def lines_query(extract: Extract) -> str:
    """type, id, patient, medication, line and "is it JSON?" of every line that is not blank. What could be anybody's
    has neither type nor patient."""
    at = fields()
    files = "[" + ", ".join(text(glob.escape(str(path))) for path in extract.files) + "]"  # it takes patterns
    subject = f"coalesce({', '.join(at[path] for path in SUBJECTS)})"
    medicine = f"coalesce({', '.join(at[path] for path in MEDICINES)})"
    paths = "[" + ", ".join(map(text, PATHS)) + "]"
    return f"""
        with read as (
            select line, json_valid(line) as valid from read_csv({files}, columns = {{'line': 'VARCHAR'}},
                delim = '\x01', quote = '', escape = '', comment = '', header = false, auto_detect = false,
                max_line_size = {LONGEST_LINE}, buffer_size = {2 * LONGEST_LINE}, strict_mode = false)
            where starts_with(line, '{{') or trim(line) <> ''
        ), parsed as (
            select line, valid, case when valid then json_extract_string(line, {paths}) end as found from read
        ), named as (
            select line, valid,
                case when valid then not coalesce(
                        regexp_full_match({at[PATHS[0]]}, {text(RESOURCE_TYPE)}) and {at[PATHS[0]]} <> {text(BUNDLE)},
                        false)
                     else regexp_matches(line, {text(JOINED)}) end as anybodys,
                case when valid then {at[PATHS[0]]} else regexp_extract(line, {text(ANY_TYPE)}, 1) end as type,
                {at[PATHS[1]]} as id,
                regexp_extract({subject}, {text(PATIENT_OF_REFERENCE)}, 1) as subject,
                regexp_extract({medicine}, {text(ID_OF_REFERENCE)}, 1) as medication
            from parsed
        )
        select case when anybodys then '' else coalesce(type, '') end as type,
            coalesce(id, '') as id, line, valid, coalesce(medication, '') as medication,
            case when anybodys then ''
                 when type = 'Patient' and valid then coalesce(id, '')
                 when type = 'Patient' then regexp_extract(line, {text(PATIENT_ITSELF)}, 1)
                 when coalesce(subject, '') <> '' then subject
                 when type = 'Appointment' or not valid then regexp_extract(line, {text(ANY_PATIENT)}, 1)
                 else '' end as patient
        from named"""  # noqa: S608 (every value is quoted, or a number of ours)


def group(extract: Extract, types: frozenset[str], into: Path, means: Means, tell: Told) -> Grouped:
    """Write the buckets of an extract into a folder, unless they are there already."""
    if (into / DONE).is_file():
        return msgspec.json.decode((into / DONE).read_bytes(), type=Grouped)
    begun = into.with_suffix(".begun")
    for left in (into, begun):
        shutil.rmtree(left, ignore_errors=True)
    begun.mkdir(parents=True)
    refuse_cut_off(extract)
    with database(means) as connection:
        write_buckets(connection, extract, types, begun, tell)
        found = counted(connection, begun, buckets_for(extract, means))
        refuse_unknown(found, extract, types)
        add_medications(connection, begun, found)
    shutil.rmtree(means.folder / "spilled", ignore_errors=True)
    (begun / DONE).write_bytes(msgspec.json.encode(found))
    begun.rename(into)
    return found


def buckets_for(extract: Extract, means: Means) -> int:
    """How many buckets there are: each fits into memory, and every thread has some."""
    size = sum(path.stat().st_size * (GZIP if path.name.endswith(".gz") else 1) for path in extract.files)
    return min(max(size // BUCKET_BYTES + 1, means.threads * 4), MOST_BUCKETS)


def write_buckets(
    connection: DuckDBPyConnection, extract: Extract, types: frozenset[str], into: Path, tell: Told
) -> None:
    """All lines of our types, and all that are of none, each in its bucket."""
    threads = connection.execute("select current_setting('threads')").fetchone()
    number = buckets_for(extract, Means(0, int(threads[0]) if threads else 1, into))
    ours = ", ".join(map(text, sorted(types)))
    query = f"""
        copy (
            select type, id, patient, medication, valid, line,
                case when type = 'Medication' then {SHARED} when patient = '' then {NOBODY}
                     else (hash(patient) % {number})::integer end as bucket
            from ({lines_query(extract)}) where type in ({ours}) or type = ''
        ) to {text(str(into))} (format parquet, partition_by (bucket), compression snappy)"""  # noqa: S608
    with watched(connection, tell):
        run(connection, query, extract, types)


def run(connection: DuckDBPyConnection, query: str, extract: Extract, types: frozenset[str]) -> None:
    """Run a query that reads the extract; ExtractUnusable where a file cannot be read."""
    import duckdb

    try:
        connection.execute(query)
    except (duckdb.IOException, duckdb.InvalidInputException, duckdb.ConversionException) as error:
        # The rest of the message may repeat the line.
        first = next(iter(str(error).splitlines()), "").partition(" Line")[0]
        place = first_fault(extract, types)
        raise ExtractUnusable(f"{place}: cannot be read as NDJSON in UTF-8: {first[:200]}. {MEND}") from None


@contextmanager
def watched(connection: DuckDBPyConnection, tell: Told) -> Iterator[None]:
    """Tell how far a query is while it runs."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(SECONDS_BETWEEN):
            tell(max(connection.query_progress(), 0.0) / 100)

    watcher = threading.Thread(target=look, name="grouping-progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
    tell(1.0)


def counted(connection: DuckDBPyConnection, folder: Path, buckets: int) -> Grouped:
    """How many lines there are of each type, and of how many patients."""
    if not any(folder.glob("bucket=*")):
        return Grouped(buckets, 0, {}, {}, {})
    everything = f"read_parquet({text(f'{folder}/*/*.parquet')}, hive_partitioning = true)"
    rows = connection.execute(
        f"select type, valid, bucket = {NOBODY}, count(*) from {everything} group by all order by all"  # noqa: S608
    ).fetchall()
    patients = connection.execute(
        f"select count(distinct patient) from {everything} where bucket >= 0"  # noqa: S608
    ).fetchone()
    return Grouped.of(buckets, int(patients[0]) if patients else 0, rows)


def refuse_unknown(found: Grouped, extract: Extract, types: frozenset[str]) -> None:
    """A line that is not one resource and does not say whose it is could be anybody's, and would be missing to him."""
    if count := found.nobody.get("", 0):
        raise ExtractUnusable(
            f"{first_fault(extract, types)}: is not one FHIR resource, and does not say of which patient it is "
            f"({count} such lines in all), so that nobody's record is known to be whole; allowed: NDJSON, one whole "
            f"resource a line. {MEND}"
        )


def refuse_cut_off(extract: Extract) -> None:
    """A compressed file that ends early is read as far as it goes by DuckDB, and what is behind would be missing."""
    for path in extract.files:
        if not path.name.endswith(".gz"):
            continue
        try:
            if not path.stat().st_size:
                raise EOFError
            with gzip.open(path) as file:
                while file.read(READ_BYTES):
                    pass
        except (OSError, EOFError, zlib.error):
            raise ExtractUnusable(f"{path}: is no whole gzip file. {MEND}") from None


def add_medications(connection: DuckDBPyConnection, folder: Path, found: Grouped) -> None:
    """Beside each patient's orders the Medications to which they refer."""
    if not (folder / f"bucket={SHARED}").is_dir() or not any(folder.glob("bucket=[0-9]*")):
        return
    own, shared = (text(f"{folder}/bucket={name}/*.parquet") for name in ("[0-9]*", str(SHARED)))
    query = f"""
        copy (
            select 'Medication' as type, id, patient, '' as medication, valid, line,
                (hash(patient) % {found.buckets})::integer as bucket
            from (select distinct patient, medication from read_parquet({own}) where medication <> '') as orders
            join (select id, valid, min(line) as line from read_parquet({shared}) where valid group by all) as known
            on orders.medication = known.id
        ) to {text(str(folder))} (format parquet, partition_by (bucket), compression snappy, overwrite_or_ignore,
            filename_pattern 'medications_{{i}}')"""  # noqa: S608
    connection.execute(query)


def lines_of(folder: Path, bucket: int, means: Means) -> Iterator[Line]:
    """The lines of a bucket, those of a patient together, always in the same order."""
    files = folder / f"bucket={bucket}"
    if not files.is_dir():
        return
    with database(means) as connection:
        connection.execute(
            f"select patient, type, line from read_parquet({text(f'{files}/*.parquet')}) "  # noqa: S608
            "order by patient, type, line"
        )
        while some := connection.fetchmany(FETCHED):
            yield from some
