"""The tables of the store, and whether a database has those of this version.

One table per fact: what was decided, what was shown of it, what came back, which token was seen. An empty SQLite file
gets the tables here, at once. Changes of the tables are migrations (`store.migrations`, by `b12-cds store upgrade`),
which a worker never imports; a test proves that both lead to the same tables.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    insert,
    inspect,
    select,
)

from .database import UPGRADE, WRITES
from .records import StoreDown

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
ONE_OF = "decision.id"

decision = Table(
    "decision",
    METADATA,
    Column("id", String(32), primary_key=True),  # made by the process that decided, so that a batch is one statement
    Column("at", BigInteger, nullable=False),
    Column("client", String(64), nullable=False),
    Column("service", String(64), nullable=False),
    Column("hook", String(32), nullable=False),
    Column("hook_instance", String(64), nullable=False),
    Column("content", String(64), nullable=False),
    Column("pathway", String(64), nullable=False),
    Column("label", String(32), nullable=False),
    Column("status", Integer, nullable=False),
    Column("silent", Boolean, nullable=False),
    Column("rows", Text, nullable=False),  # JSON array
    Column("missing", Text, nullable=False),  # JSON array
    Column("ms", Float, nullable=False),
    Column("patient", String(64), nullable=False),  # pseudonym, under the key `key`
    Column("user", String(64), nullable=False),  # pseudonym, under the key `key`
    Column("evidence", String(64), nullable=False),  # keyed digest, under the key `key`
    Column("key", String(32), nullable=False),
    Index(None, "at"),
    Index(None, "hook_instance"),
    Index(None, "patient", "at"),
)

shown = Table(
    "shown",
    METADATA,
    Column("decision", ForeignKey(ONE_OF, ondelete="CASCADE"), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("card", String(36), nullable=False),
    Column("row", String(120), nullable=False),
    Column("indicator", String(16), nullable=False),
    Index(None, "card"),
)

offered = Table(
    "offered",
    METADATA,
    Column("decision", ForeignKey(ONE_OF, ondelete="CASCADE"), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("card", String(36), nullable=False),
    Column("suggestion", String(36), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("draft", String(120), nullable=False),
    Index(None, "suggestion"),
)

suppressed = Table(
    "suppressed",
    METADATA,
    Column("decision", ForeignKey(ONE_OF, ondelete="CASCADE"), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("what", String(140), nullable=False),
    Column("why", String(16), nullable=False),
    Column("on", String(10), nullable=False),  # ISO date
)

feedback = Table(
    "feedback",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("received", BigInteger, nullable=False),
    Column("client", String(64), nullable=False),
    Column("card", String(80), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("at", BigInteger),  # outcomeTimestamp, where it could be read
    Column("reason", String(80), nullable=False),
    Column("reason_system", String(200), nullable=False),
    Column("commented", Boolean, nullable=False),
    Column("digest", String(64), nullable=False),  # of all that it says: the same feedback twice is one row
    UniqueConstraint("digest", "client"),  # in this order: no look-up is to walk over all of a client's feedback
    Index(None, "card"),
    Index(None, "received"),
)

accepted = Table(
    "accepted",
    METADATA,
    Column("feedback", ForeignKey("feedback.id", ondelete="CASCADE"), primary_key=True),
    Column("suggestion", String(80), primary_key=True),
    Index(None, "suggestion"),
)

# What is known of a card id: who was sent it, and whether an answer to it can be about one decision only. Ids follow
# from the hookInstance, which is the client's; one that uses it twice may mean either decision.
card = Table(
    "card",
    METADATA,
    Column("client", String(64), primary_key=True),
    Column("card", String(36), primary_key=True),
    Column("decision", ForeignKey(ONE_OF, ondelete="CASCADE"), nullable=False),  # the newest that sent it
    Column("patient", String(64), nullable=False),
    Column("user", String(64), nullable=False),
    Column("evidence", String(64), nullable=False),
    Column("key", String(32), nullable=False),
    Column("critical", Boolean, nullable=False),  # it carried a critical row: it always comes back
    Column("other_patient", Boolean, nullable=False),  # sent for another patient too
    Column("other_call", Boolean, nullable=False),  # sent for another patient or user, or on other evidence too
    Index(None, "decision"),
)

# What users said, ready to be looked up: written with the feedback, from `card`, `shown` and `offered`.
history = Table(
    "history",
    METADATA,
    Column("client", String(64), primary_key=True),
    Column("card", String(36), primary_key=True),
    Column("kind", String(8), primary_key=True),  # row | order
    Column("name", String(140), primary_key=True),  # "interpret/deficient", "test:fbc"
    Column("patient", String(64), nullable=False),
    Column("user", String(64), nullable=False),
    Column("evidence", String(64), nullable=False),
    Column("key", String(32), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("reason", String(80), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("feedback", ForeignKey("feedback.id", ondelete="CASCADE"), nullable=False),  # the one that decided
    Column("decision", ForeignKey(ONE_OF, ondelete="CASCADE"), nullable=False),
    Index(None, "patient", "user", "kind", "at"),
    Index(None, "patient", "kind", "at"),
    Index(None, "feedback"),
    Index(None, "decision"),
)

seen_token = Table(
    "seen_token",
    METADATA,
    Column("issuer", String(64), primary_key=True),  # digest
    Column("jti", String(64), primary_key=True),  # digest
    Column("until", BigInteger, nullable=False),  # ms since 1970
    Index(None, "until"),
)


VERSION = "0002"  # the newest migration
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
