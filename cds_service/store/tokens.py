"""Which tokens were seen, for all processes together: noted and asked in one statement (item 123a)."""

from __future__ import annotations

import math

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from .rows import digest
from .tables import seen_token


def first_time(connection: Connection, issuer: str, jti: str, until: float, now: float) -> bool:
    """Note a token until `until`; False if it is noted already and still counts. Both in seconds since 1970."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    row = {"issuer": digest(issuer), "jti": digest(jti), "until": math.ceil(until * 1000)}
    insert = dialect.insert(seen_token).values(row)
    over = seen_token.c.until < math.floor(now * 1000)  # one that nobody has cleaned up yet
    noted = insert.on_conflict_do_update(
        index_elements=[seen_token.c.issuer, seen_token.c.jti],
        set_={"until": insert.excluded.until},
        where=over,
    ).returning(seen_token.c.until)
    return connection.execute(noted).first() is not None
