"""Whether a database has the tables that this version writes to. An empty SQLite file gets them here, at once.

Changes of the tables are migrations (`store.migrations`, by `b12-cds store upgrade`), which a worker never imports. A
new file needs none: it is made as the tables are now; a test proves that both ways lead to the same tables.
"""

from __future__ import annotations

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, inspect, select

from .engine import WRITES
from .faults import UPGRADE
from .kept import StoreDown
from .tables import METADATA

VERSION = "0001"  # the newest migration
# Alembic's own table, as it makes it.
ALEMBIC = MetaData()
VERSIONS = Table("alembic_version", ALEMBIC, Column("version_num", String(32), nullable=False, primary_key=True))


def ensure(connection: Connection) -> None:
    """Make the tables of an empty SQLite file; StoreDown if those that are there are not ours."""
    with connection.begin():
        found = version_of(connection)
    if found is None and connection.dialect.name == "sqlite":
        make(connection)
        return
    check(found)


def check(found: str | None) -> None:
    """StoreDown, which says what to do, if the tables are of another version than ours."""
    if found == VERSION:
        return
    if found is not None and found > VERSION:
        raise StoreDown("its tables were made by a newer version of the service; upgrade the service")
    raise StoreDown(UPGRADE if found else "it has no tables yet: run `b12-cds store upgrade`")


def version_of(connection: Connection) -> str | None:
    """The version of the tables; None where there are none."""
    if not inspect(connection).has_table(VERSIONS.name):
        return None
    return connection.scalar(select(VERSIONS.c.version_num))


def make(connection: Connection) -> None:
    """All tables as they are now, unless another process was quicker."""
    with connection.execution_options(**WRITES).begin():
        found = version_of(connection)
        if found is not None:
            check(found)
            return
        METADATA.create_all(connection, checkfirst=False)
        ALEMBIC.create_all(connection, checkfirst=False)
        connection.execute(insert(VERSIONS).values(version_num=VERSION))
