"""What a database's own error means, in our words: its text may hold an address, a value or a statement."""

from __future__ import annotations

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from .kept import StoreDown

UPGRADE = "its tables do not fit this version of the service: run `b12-cds store upgrade`"
NOT_REACHED = "the database cannot be reached"
NOT_LET_IN = "the database does not let us in: user or password"
NO_ROOM = "the database has no room left (connections, memory or disk)"
FAILED = "the database reports a fault"
# Where there is no code, only words: SQLite's, and PostgreSQL's to a connection that it refuses.
WORDS = {
    "password authentication failed": NOT_LET_IN,
    "no pg_hba.conf entry": NOT_LET_IN,
    "does not exist": "the database or its user does not exist",
    "too many clients": NO_ROOM,
    "connection slots": NO_ROOM,
    "unable to open database file": "the database file cannot be opened",
    "readonly database": "the database file cannot be written",
    "database or disk is full": "the disk is full",
    "database is locked": "the database file is locked by another process",
    "file is not a database": "the file is no SQLite database",
    "malformed": "the database file is damaged",
    "no such table": UPGRADE,
    "no such column": UPGRADE,
}
# PostgreSQL's codes: the first characters of the SQLSTATE.
POSTGRES = {
    "08": NOT_REACHED,
    "42P01": UPGRADE,
    "42703": UPGRADE,
    "42501": "the database user lacks a right on a table",
    "25006": "the database is read-only",
    "53": NO_ROOM,
    "57014": "the database did not answer in time",
    "57": NOT_REACHED,
}


class Refused(StoreDown):
    """The database is well and refuses what it was given: doing the same again does not help."""


def store_down(error: SQLAlchemyError) -> StoreDown:
    """What is raised instead of the error of a library."""
    if isinstance(error, (DataError, IntegrityError)):
        return Refused("the database refuses what it was given")
    return StoreDown(words(error))


def words(error: SQLAlchemyError) -> str:
    """One line for the operator."""
    if not isinstance(error, DBAPIError):
        return "all connections to the database are taken"
    state = getattr(error.orig, "sqlstate", None)
    if state:
        return next((said for start, said in POSTGRES.items() if state.startswith(start)), f"{FAILED} ({state})")
    text = str(error.orig)
    found = next((said for part, said in WORDS.items() if part in text), None)
    return found or (FAILED if "sqlite" in type(error.orig).__module__ else NOT_REACHED)
