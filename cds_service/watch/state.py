"""What the watcher knows between two looks, in a SQLite file of its own: how far it has read, and who is still to be
decided about.

No patient id stands there in clear. A patient is a pseudonym under the store's key; the id that is needed to read the
record again is sealed (AES-256-GCM) under a key that follows from the same file. What is found and how far was read
are written in one transaction, on the disk before it returns: whoever kills the process loses nothing. Which Tasks
there are stands on the FHIR server alone. One process at a time may go on watching with the file.
"""

from __future__ import annotations

import fcntl
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    delete,
    func,
    select,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import SQLAlchemyError

from ..store.database import DURABLY, command_engine, read_url, words
from ..store.pseudonyms import Key, Keys
from ..store.records import CallParties

METADATA = MetaData(naming_convention={"pk": "pk_%(table_name)s"})
VERSION = 2  # of the tables, in SQLite's user_version; 2: `counted` has `key` and `sealed`
SEAL = {"alg": "dir", "enc": "A256GCM"}
DAY_MS = 86_400_000
SEEN_DAYS = 8  # for which a version of a result is known again

progress = Table(
    "progress",
    METADATA,
    Column("client", String(64), primary_key=True),
    Column("read_to", BigInteger, nullable=False),  # ms since 1970, of the FHIR server's clock
)
pending = Table(
    "pending",
    METADATA,
    Column("client", String(64), primary_key=True),
    Column("patient", String(64), primary_key=True),  # pseudonym, under the key `key`
    Column("key", String(32), nullable=False),
    Column("sealed", Text, nullable=False),
    Column("noted", Integer, nullable=False),  # how often; one that is noted again meanwhile is decided again
    Column("tries", Integer, nullable=False),
    Column("next_at", BigInteger, nullable=False),
)
seen = Table(
    "seen",
    METADATA,
    Column("client", String(64), primary_key=True),
    Column("mark", String(64), primary_key=True),  # keyed digest of a version of a result
    Column("at", BigInteger, nullable=False),
)
counted = Table(  # of silent mode: the Tasks that would have been written
    "counted",
    METADATA,
    Column("client", String(64), primary_key=True),
    Column("mark", String(64), primary_key=True),  # keyed digest of patient and evidence
    Column("key", String(32), nullable=False),
    Column("sealed", Text, nullable=False),  # the patient's id, to decide again when Tasks begin to be written
    Column("day", String(10), nullable=False),
    Column("indicator", String(16), nullable=False),
    Column("rows", Text, nullable=False),  # JSON array
)


class StateUnusable(Exception):
    """The file cannot be used. Its text is one line for the operator."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A patient to be decided about. `id` is in clear, and is neither logged nor written."""

    id: str = field(repr=False)
    patient: str
    noted: int
    tries: int


@dataclass(frozen=True, slots=True)
class WouldBe:
    """A Task that silent mode does not write: the digest of patient and evidence, the day, its worst indicator and its
    rows."""

    digest: str
    day: date
    indicator: str
    rows: Sequence[str]


@dataclass(frozen=True, slots=True)
class Whose:
    """The client whose patients these are, and the base by which its ids are meant."""

    client: str
    base: str


class State:
    """The file. Used by one thread. `alone`: for as long as it is open, no other process may open it so."""

    def __init__(self, file: Path, keys: Keys, *, alone: bool = True) -> None:
        self._keys = keys
        self._lock = lock(file) if alone else None
        self._engine = command_engine(read_url(f"sqlite:///{file.absolute()}"))
        try:
            self._settle()
        except StateUnusable:
            self.close()
            raise

    def _settle(self) -> None:
        """Make the tables of an empty file; StateUnusable where those that are there cannot be used."""
        with self._begun() as connection:
            found = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            if found > VERSION:
                raise StateUnusable("its tables were made by a newer version of the service; upgrade the service")
            upgrade(connection)
            METADATA.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA user_version = {VERSION:d}")
            used = {each for table in (pending, counted) for each in connection.scalars(select(table.c.key).distinct())}
        missing = sorted(key for key in used if self._keys.find(key) is None)
        if missing:
            raise StateUnusable(
                f"it holds patients under the key {', '.join(missing)}, which is not in the key file: put its "
                "line back until they are decided about"
            )

    @contextmanager
    def _begun(self) -> Iterator[Connection]:
        """A connection in a transaction that is on the disk when it ends; StateUnusable where there can be none."""
        try:
            with self._engine.connect() as connection, connection.execution_options(**DURABLY).begin():
                yield connection
        except SQLAlchemyError as error:
            raise StateUnusable(words(error)) from None

    def close(self) -> None:
        """Let the file go."""
        self._engine.dispose()
        if self._lock is not None:
            self._lock.close()

    def read_to(self, client: str) -> datetime | None:
        """Up to when results were read, by the FHIR server's clock; None: never."""
        with self._begun() as connection:
            found = connection.scalar(select(progress.c.read_to).where(progress.c.client == client))
        return None if found is None else datetime.fromtimestamp(found / 1000, UTC)

    def advance(self, client: str, moment: datetime) -> None:
        """Results were read up to this moment."""
        at = milliseconds(moment)
        with self._begun() as connection:
            write = insert(progress).values(client=client, read_to=at)
            newest = func.max(progress.c.read_to, write.excluded.read_to)
            connection.execute(write.on_conflict_do_update(index_elements=["client"], set_={"read_to": newest}))

    def note_results(self, whose: Whose, found: Iterable[tuple[str, str]], now: datetime) -> int:
        """Note patients whose results are new: pairs of a version of a result, in any text that is its own, and a
        patient's id. A version that is known already is no news. The number of patients."""
        key, at = self._keys.newest, milliseconds(now)
        with self._begun() as connection:
            new: dict[str, None] = {}
            for version, patient in found:
                marks = {each.mark(whose.client, version) for each in self._keys.all}
                known = select(seen.c.mark).where(seen.c.client == whose.client, seen.c.mark.in_(marks))
                if connection.scalar(known) is None:
                    new[patient] = None
                write = insert(seen).values(client=whose.client, mark=key.mark(whose.client, version), at=at)
                again = write.on_conflict_do_update(index_elements=["client", "mark"], set_={"at": at})
                connection.execute(again)
            for patient in new:
                self._note(connection, whose, patient, at)
            connection.execute(delete(seen).where(seen.c.at < at - SEEN_DAYS * DAY_MS))
        return len(new)

    def note(self, whose: Whose, patients: Iterable[str], now: datetime) -> None:
        """Note patients to be decided about."""
        with self._begun() as connection:
            for patient in patients:
                self._note(connection, whose, patient, milliseconds(now))

    def _note(self, connection: Connection, whose: Whose, patient: str, at: int) -> None:
        """One patient; who is noted already is decided about once, but after this moment."""
        key, parties = self._keys.newest, CallParties(whose.client, None, whose.base, patient, "")
        for old in self._keys.all[1:]:  # noted before the keys were changed
            connection.execute(delete(pending).where(of(whose.client, old.patient(parties))))
        write = insert(pending).values(
            client=whose.client, patient=key.patient(parties), key=key.id, sealed=sealed(patient, key), noted=1,
            tries=0, next_at=at,
        )  # fmt: skip
        earlier = func.min(pending.c.next_at, write.excluded.next_at)
        again = {"noted": pending.c.noted + 1, "next_at": earlier}
        connection.execute(write.on_conflict_do_update(index_elements=["client", "patient"], set_=again))

    def to_decide(self, client: str, now: datetime, most: int) -> list[Pending]:
        """Patients whose turn it is, who waited longest first."""
        ready = (pending.c.client == client) & (pending.c.next_at <= milliseconds(now))
        query = select(pending).where(ready).order_by(pending.c.next_at, pending.c.patient).limit(most)
        with self._begun() as connection:
            rows = connection.execute(query).all()
        return [Pending(opened(row.sealed, self._keys, row.key), row.patient, row.noted, row.tries) for row in rows]

    def next_try(self, client: str) -> datetime | None:
        """When the next patient's turn is; None where nobody waits."""
        with self._begun() as connection:
            found = connection.scalar(select(func.min(pending.c.next_at)).where(pending.c.client == client))
        return None if found is None else datetime.fromtimestamp(found / 1000, UTC)

    def waiting(self, client: str) -> int:
        """How many are to be decided about, now or later."""
        with self._begun() as connection:
            return connection.scalar(select(func.count()).where(pending.c.client == client)) or 0

    def done(self, client: str, each: Pending) -> None:
        """It was decided, unless something came meanwhile."""
        with self._begun() as connection:
            connection.execute(delete(pending).where(of(client, each.patient), pending.c.noted == each.noted))

    def postpone(self, client: str, each: Pending, until: datetime) -> None:
        """It could not be decided: try again then."""
        later = {"tries": each.tries + 1, "next_at": milliseconds(until)}
        with self._begun() as connection:
            connection.execute(pending.update().where(of(client, each.patient)).values(later))

    def count(self, client: str, patient: str, would_be: WouldBe) -> bool:
        """Count a Task that silent mode does not write; False if it was counted before."""
        marks = {each.mark(client, would_be.digest) for each in self._keys.all}
        row = {"day": str(would_be.day), "indicator": would_be.indicator, "rows": json.dumps(list(would_be.rows))}
        with self._begun() as connection:
            if connection.scalar(select(counted.c.mark).where(counted.c.client == client, counted.c.mark.in_(marks))):
                return False
            key = self._keys.newest
            row |= {"mark": key.mark(client, would_be.digest), "key": key.id, "sealed": sealed(patient, key)}
            connection.execute(insert(counted).values(client=client, **row).on_conflict_do_nothing())
        return True

    def note_counted(self, whose: Whose, now: datetime) -> int:
        """Note everybody whom silent mode only counted, and count them no more: now their Tasks are written. Their
        number."""
        with self._begun() as connection:
            found = connection.execute(select(counted.c.sealed, counted.c.key).where(counted.c.client == whose.client))
            patients = {opened(each.sealed, self._keys, each.key) for each in found}
            for patient in sorted(patients):
                self._note(connection, whose, patient, milliseconds(now))
            connection.execute(delete(counted).where(counted.c.client == whose.client))
        return len(patients)

    def counts(self, client: str) -> Mapping[str, int]:
        """How many Tasks silent mode would have written, in all and by row."""
        with self._begun() as connection:
            rows = list(connection.scalars(select(counted.c.rows).where(counted.c.client == client)))
        found = Counter(row for each in rows for row in json.loads(each))
        return {"all": len(rows), **dict(sorted(found.items()))}


def of(client: str, patient: str) -> ColumnElement[bool]:
    """The row of a patient, by the pseudonym."""
    return (pending.c.client == client) & (pending.c.patient == patient)


def upgrade(connection: Connection) -> None:
    """Bring the tables of an earlier version up to date. StateUnusable where they do not hold what would be needed."""
    for table in METADATA.sorted_tables:
        described = connection.exec_driver_sql(f"PRAGMA table_info({table.name})")
        there = {row.name for row in described}
        lacking = set(table.columns.keys()) - there if there else set()
        if table is counted and lacking == {"key", "sealed"}:
            replace_counted(connection)
        elif lacking:
            raise StateUnusable(
                f"its table {table.name} has no column {', '.join(sorted(lacking))}: the service never made it; "
                "name another file, or move this one away"
            )


def replace_counted(connection: Connection) -> None:
    """Replace the table of the first version, which did not note whose the Tasks are that silent mode counted: who
    stands in it could not be decided about again, and would get no Task when Tasks begin to be written."""
    number, since = connection.execute(select(func.count(), func.min(counted.c.day)).select_from(counted)).one()
    if number:
        raise StateUnusable(
            f"an earlier version of the service made it, and silent mode counted {number} Tasks in it since {since} "
            "without noting whose they are. Move it away, and set `look_back` for the next look to the days "
            f"since a month before {since}: all are then decided about again, and no Task is lost or doubled"
        )
    counted.drop(connection)


def lock(file: Path) -> IO[str]:
    """The file beside it that this process alone holds. It is free again when the process ends, however it ends."""
    try:
        held = Path(f"{file}.lock").open("a")  # noqa: SIM115 (held as long as the state is)
    except OSError as error:
        raise StateUnusable(f"it cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.close()
        raise StateUnusable("another `b12-cds watch` uses it already; one at a time may") from None
    return held


def milliseconds(moment: datetime) -> int:
    """Since 1970, UTC."""
    return round(moment.timestamp() * 1000)


def sealed(patient: str, key: Key) -> str:
    return jwe.encrypt_compact(SEAL, patient.encode(), OctKey.import_key(key.sealing()))


def opened(text: str, keys: Keys, key_id: str) -> str:
    """The id that was sealed. StateUnusable where the key of that name is another one than it was."""
    key = keys.find(key_id)
    with suppress(JoseError):
        if key is not None:
            return (jwe.decrypt_compact(text, OctKey.import_key(key.sealing())).plaintext or b"").decode()
    raise StateUnusable(f"what it holds was sealed under another key of the name {key_id}")
