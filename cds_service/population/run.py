"""`b12-cds population run`: an extract becomes decisions.parquet, one row a patient, in bounded memory.

Lines are grouped into buckets on disk, buckets are decided side by side, and each is written as a part when it is done.
A run that was killed goes on with the parts that are missing, and ends with the same file. The manifest says by which
content, on which day and from which files: a folder that was begun otherwise is refused.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from multiprocessing import connection, get_context, parent_process
from pathlib import Path

import msgspec

from .. import __version__
from ..cdshooks.client_config import ClientConfig
from .decisions import Asked, decide_lines, types_read
from .extract import Extract, read_extract
from .grouping import Grouped, Means, database, group, lines_of, text

FORMATS = {"parquet": "format parquet, compression zstd", "csv": "format csv, header", "ndjson": "format json"}
MANIFEST, WORK, GROUPED, PARTS, LOCK = "manifest.json", "work", "grouped", "parts", ".lock"
BASE_MEMORY = 130_000_000  # bytes of one process with the content, before it reads any patient
LEAST_MEMORY = 64_000_000  # bytes for DuckDB
COLUMNS = {
    "patient": "VARCHAR", "label": "VARCHAR", "label_text": "VARCHAR", "rows": "VARCHAR[]", "indicator": "VARCHAR",
    "drafts": "VARCHAR[]", "course": "VARCHAR", "due": "DATE", "not_judged": "VARCHAR[]", "unavailable": "VARCHAR[]",
    "cards": "INTEGER", "measures": "VARCHAR[]",
}  # fmt: skip
SEPARATOR = "|"  # between the members of a list, in CSV
OTHERWISE = ("version", "content", "digest", "pathway", "prefetch", "zone", "as_of", "format", "extract")

Progress = Callable[[str, float, float], None]  # what is counted, how much of it is done, of how much


class RunRefused(Exception):
    """The run cannot be made in that folder. Its text is one line for the operator."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run, and with which means. `memory` is in bytes, for all processes together."""

    extract: Path
    out: Path
    as_of: date
    format: str = "parquet"
    workers: int = 1
    memory: int = 1_000_000_000


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """manifest.json: what the decisions rest on, and what was read. `done` when decisions.FORMAT is whole."""

    version: str
    content: str
    digest: str
    pathway: str
    prefetch: tuple[str, ...]
    zone: str
    as_of: date
    format: str
    extract: dict[str, list[int]]
    extract_of: str = ""  # the moment for which the server exported it; "": not known
    types: tuple[str, ...] = ()  # that are read
    exported: tuple[str, ...] = ()
    patients: int = 0
    lines: dict[str, int] = {}
    broken: dict[str, int] = {}
    nobody: dict[str, int] = {}
    done: bool = False

    @property
    def decisions(self) -> str:
        """The name of the file of decisions."""
        return f"decisions.{self.format}"


def run_population(plan: Plan, client: ClientConfig, progress: Progress) -> Manifest:
    """Make the decisions, or go on making them; RunRefused or ExtractUnusable where that cannot be."""
    types = types_read(client.templates)
    extract = read_extract(plan.extract, types)
    plan.out.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(plan.out):
        manifest = begun(plan, client, extract)
        if manifest.done:
            delete_work(plan.out)  # still there if the last run was killed just before this
            return manifest
        work = plan.out / WORK
        (work / PARTS).mkdir(parents=True, exist_ok=True)
        with Deciders(plan.workers, client, plan.as_of, means_of_workers(plan)) as deciders:

            def tell(share: float) -> None:
                progress("the extract is read", share * extract.bytes, extract.bytes)

            means = Means(max(plan.memory - BASE_MEMORY, LEAST_MEMORY), plan.workers, work)
            found = group(extract, types, work / GROUPED, means, tell)
            exported = frozenset({*extract.asked_for, *found.lines, *found.broken, *found.nobody}) & types
            decide_buckets(deciders, found, exported, work, progress)
        write_decisions(work / PARTS, plan.out / manifest.decisions, plan)
        return ended(plan.out, msgspec.structs.replace(manifest, types=tuple(sorted(types))), found, exported)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this run alone; the lock ends with the process."""
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunRefused(f"{folder}: another run is at work in this folder") from None
        yield


def manifest_of(plan: Plan, client: ClientConfig, extract: Extract) -> Manifest:
    """What the decisions of this call rest on."""
    return Manifest(
        version=__version__,
        content=client.content.version,
        digest=client.content.digest,
        pathway=client.pathway.id,
        prefetch=tuple(client.templates),
        zone=str(client.zone),
        as_of=plan.as_of,
        format=plan.format,
        extract=extract.stamp(),
        extract_of=extract.moment,
    )


def begun(plan: Plan, client: ClientConfig, extract: Extract) -> Manifest:
    """The manifest of this run: a new one, or the one of the run that is continued."""
    wanted = manifest_of(plan, client, extract)
    path = plan.out / MANIFEST
    if not path.is_file():
        write_whole(path, msgspec.json.format(msgspec.json.encode(wanted), indent=2))
        return wanted
    known = read_manifest(plan.out)
    differs = [name for name in OTHERWISE if getattr(known, name) != getattr(wanted, name)]
    if differs == ["extract"] and not known.done and not (plan.out / WORK / GROUPED).exists():
        write_whole(path, msgspec.json.format(msgspec.json.encode(wanted), indent=2))
        return wanted  # of what was read before nothing is left, and nothing was decided: a mended file is taken
    if differs:
        raise RunRefused(
            f"{plan.out}: was begun otherwise ({', '.join(differs)} differ), and its rows would not be of one kind; "
            "allowed: the same call, or another --out"
        )
    return known


def read_manifest(out: Path) -> Manifest:
    """The manifest of a folder that a run has made."""
    path = out / MANIFEST
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError:
        raise RunRefused(f"{out}: no run was made here; allowed: the --out of `b12-cds population run`") from None
    except msgspec.DecodeError as error:
        raise RunRefused(f"{path}: is not what a run writes: {error}") from None


def ended(out: Path, manifest: Manifest, found: Grouped, exported: frozenset[str]) -> Manifest:
    """Say that the decisions are whole, and delete what they were made from."""
    done = msgspec.structs.replace(
        manifest,
        exported=tuple(sorted(exported)),
        patients=found.patients,
        lines=found.lines,
        broken=found.broken,
        nobody=found.nobody,
        done=True,
    )
    write_whole(out / MANIFEST, msgspec.json.format(msgspec.json.encode(done), indent=2))
    delete_work(out)
    return done


def delete_work(out: Path) -> None:
    """Delete what the decisions were made from: patients' records are not left behind unnoticed."""
    try:
        if (out / WORK).exists():
            shutil.rmtree(out / WORK)
    except OSError as error:
        raise RunRefused(
            f"{out / WORK}: the decisions are whole, but the patients' lines that they were made from could not be "
            f"deleted ({error}); allowed: the same call again, or to delete that folder"
        ) from None


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all, whenever the process ends."""
    new = path.with_name(f".{path.name}.new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


# Deciding side by side


def means_of_workers(plan: Plan) -> Means:
    """What each process may use to read a bucket."""
    left = (plan.memory - BASE_MEMORY * (plan.workers + 1)) // plan.workers
    return Means(max(left, LEAST_MEMORY), 1, plan.out / WORK)


@dataclass(frozen=True, slots=True)
class Decider:
    """Decides buckets, in this process or in one of its own."""

    client: ClientConfig
    as_of: date
    means: Means

    def decide(self, bucket: int, exported: frozenset[str]) -> int:
        """Write the part of a bucket, and say of how many patients it is."""
        asked = Asked(self.client, self.as_of, exported)
        encode, rows = msgspec.json.Encoder().encode, 0
        path = part(self.means.folder, bucket)
        new = path.with_name(f".{path.name}.{os.getpid()}")
        with new.open("wb") as file:
            for row in decide_lines(lines_of(self.means.folder / GROUPED, bucket, self.means), asked):
                file.write(encode(row) + b"\n")
                rows += 1
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        return rows


def part(work: Path, bucket: int) -> Path:
    return work / PARTS / f"{bucket:04}.ndjson"


class Deciders:
    """As many deciders as there are workers: one is this process itself, more are processes that share its content.

    They are forked before DuckDB has any thread, and end when this process does.
    """

    def __init__(self, workers: int, client: ClientConfig, as_of: date, means: Means) -> None:
        self.own = Decider(client, as_of, means)
        self.pool = None
        if workers > 1:
            self.pool = ProcessPoolExecutor(workers, get_context("fork"), become_decider, (self.own,))
            with whole_pool():
                self.pool.submit(os.getpid).result()  # all of them start with the first task

    def __enter__(self) -> Deciders:
        return self

    def __exit__(self, *_: object) -> None:
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)

    def decided(self, buckets: list[int], exported: frozenset[str]) -> Iterator[int]:
        """Decide the buckets; how many patients each has, as they are done."""
        if self.pool is None:
            yield from (self.own.decide(bucket, exported) for bucket in buckets)
            return
        with whole_pool():
            tasks: list[Future[int]] = [self.pool.submit(decide_here, bucket, exported) for bucket in buckets]
            for task in as_completed(tasks):
                yield task.result()


@contextmanager
def whole_pool() -> Iterator[None]:
    """While processes decide: RunRefused where one of them is ended from outside."""
    try:
        yield
    except BrokenProcessPool:
        raise RunRefused(
            "a process of this run was ended from outside, for its memory perhaps; allowed: the same call again, "
            "which goes on, with fewer --workers or more --memory"
        ) from None


HERE: list[Decider] = []  # in a process of its own: what it decides with


def become_decider(decider: Decider) -> None:
    """Prepare a process that decides: it ends with its parent, however that ends, and leaves signals to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, name="parent", daemon=True).start()
    HERE.append(decider)


def decide_here(bucket: int, exported: frozenset[str]) -> int:
    return HERE[0].decide(bucket, exported)


def decide_buckets(
    deciders: Deciders, found: Grouped, exported: frozenset[str], work: Path, progress: Progress
) -> None:
    """Decide every bucket whose part is not there yet."""
    missing = [bucket for bucket in range(found.buckets) if not part(work, bucket).is_file()]
    parts = [part(work, bucket) for bucket in range(found.buckets)]
    done = sum(path.read_bytes().count(b"\n") for path in parts if path.is_file())
    progress("patients are decided about", done, found.patients)
    for patients in deciders.decided(missing, exported):
        done += patients
        progress("patients are decided about", done, found.patients)


# The file of decisions


def write_decisions(parts: Path, path: Path, plan: Plan) -> None:
    """All parts as one file, in the order of the patients' ids: the same parts always give the same bytes."""
    chosen = ", ".join(written_column(name, kind, plan.format) for name, kind in COLUMNS.items())
    new = path.with_name(f".{path.name}.new")
    means = Means(max(plan.memory - BASE_MEMORY * 2, LEAST_MEMORY), 1, parts.parent)
    with database(means) as opened:
        opened.execute(
            f"copy (select {chosen} from read_json({text(f'{parts}/*.ndjson')}, columns = {as_struct(COLUMNS)}, "  # noqa: S608
            f"format = 'newline_delimited') order by patient) to {text(str(new))} ({FORMATS[plan.format]})"
        )
    new.replace(path)


def written_column(name: str, kind: str, form: str) -> str:
    """A column as the format can hold it: CSV has no lists."""
    if form == "csv" and kind.endswith("[]"):
        return f"array_to_string({name}, {text(SEPARATOR)}) as {name}"
    return name


def decisions_query(out: Path, manifest: Manifest) -> str:
    """What reads the decisions of a run, whatever their format, with lists as lists."""
    decisions = out / manifest.decisions
    path = text(str(decisions / "*.parquet" if decisions.is_dir() else decisions))  # Spark writes a folder
    if manifest.format == "parquet":
        return f"select * from read_parquet({path})"  # noqa: S608
    if manifest.format == "ndjson":
        return f"select * from read_json({path}, columns = {as_struct(COLUMNS)}, format = 'newline_delimited')"  # noqa: S608
    chosen = ", ".join(read_column(name, kind) for name, kind in COLUMNS.items())
    texts = as_struct(dict.fromkeys(COLUMNS, "VARCHAR"))
    return f"select {chosen} from read_csv({path}, columns = {texts}, header = true)"  # noqa: S608


def as_struct(columns: Mapping[str, str]) -> str:
    """Names and types of columns, as DuckDB's readers take them."""
    return "{" + ", ".join(f"{text(name)}: {text(kind)}" for name, kind in columns.items()) + "}"


def read_column(name: str, kind: str) -> str:
    """A column of a CSV file, as it was before it was written."""
    if kind == "VARCHAR":
        return f"coalesce({name}, '') as {name}"
    if not kind.endswith("[]"):
        return f"try_cast({name} as {kind}) as {name}"
    members = f"string_split({name}, {text(SEPARATOR)})"
    return f"case when coalesce({name}, '') = '' then []::{kind} else {members} end as {name}"
