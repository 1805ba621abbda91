"""Feedback is kept before it is acknowledged, and once: a client may send the same again, alone or in another batch."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from .kept import KeptFeedback
from .rows import accepted_ids, feedback_row, insert_new
from .tables import accepted, feedback


def write_feedback(connection: Connection, client: str, given: Sequence[KeptFeedback], received: int) -> None:
    """What is not there yet, in one transaction."""
    said = {}
    for each in given:
        row = feedback_row(client, each, received)
        said[row["digest"]] = (row, accepted_ids(each))
    if not said:
        return
    # In the order of their digests: two writers that bring the same in another order must not wait for each other.
    rows = [said[digest][0] for digest in sorted(said)]
    new = insert_new(connection, feedback).returning(feedback.c.id, feedback.c.digest)
    suggestions = [
        {"feedback": made, "suggestion": suggestion}
        for made, digest in connection.execute(new, rows).all()
        for suggestion in said[digest][1]
    ]
    if suggestions:
        connection.execute(insert_new(connection, accepted), suggestions)
