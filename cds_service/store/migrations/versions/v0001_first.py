"""The first tables: decisions, what was shown, feedback, seen tokens."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    make_decision()
    make_what_hangs_on_it()
    make_feedback()
    make_seen_token()


def make_decision() -> None:
    op.create_table(
        "decision",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("service", sa.String(64), nullable=False),
        sa.Column("hook", sa.String(32), nullable=False),
        sa.Column("hook_instance", sa.String(64), nullable=False),
        sa.Column("content", sa.String(64), nullable=False),
        sa.Column("pathway", sa.String(64), nullable=False),
        sa.Column("label", sa.String(32), nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("silent", sa.Boolean, nullable=False),
        sa.Column("rows", sa.Text, nullable=False),
        sa.Column("missing", sa.Text, nullable=False),
        sa.Column("ms", sa.Float, nullable=False),
        sa.Column("patient", sa.String(64), nullable=False),
        sa.Column("user", sa.String(64), nullable=False),
        sa.Column("evidence", sa.String(64), nullable=False),
        sa.Column("key", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_decision"),
    )
    index("decision", "at")
    index("decision", "hook_instance")
    index("decision", "patient", "at")


def make_what_hangs_on_it() -> None:
    part_of_decision(
        "shown",
        sa.Column("card", sa.String(36), nullable=False),
        sa.Column("row", sa.String(120), nullable=False),
        sa.Column("indicator", sa.String(16), nullable=False),
    )
    index("shown", "card")
    part_of_decision(
        "offered",
        sa.Column("card", sa.String(36), nullable=False),
        sa.Column("suggestion", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("draft", sa.String(120), nullable=False),
    )
    index("offered", "suggestion")
    part_of_decision(
        "suppressed",
        sa.Column("what", sa.String(140), nullable=False),
        sa.Column("why", sa.String(16), nullable=False),
        sa.Column("on", sa.String(10), nullable=False),
    )


def make_feedback() -> None:
    op.create_table(
        "feedback",
        sa.Column("id", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("card", sa.String(80), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=True),
        sa.Column("reason", sa.String(80), nullable=False),
        sa.Column("reason_system", sa.String(200), nullable=False),
        sa.Column("commented", sa.Boolean, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_feedback"),
        sa.UniqueConstraint("digest", "client", name="uq_feedback_digest_client"),
    )
    index("feedback", "card")
    index("feedback", "received")
    op.create_table(
        "accepted",
        sa.Column("feedback", sa.Integer, nullable=False),
        sa.Column("suggestion", sa.String(80), nullable=False),
        sa.PrimaryKeyConstraint("feedback", "suggestion", name="pk_accepted"),
        sa.ForeignKeyConstraint(["feedback"], ["feedback.id"], "fk_accepted_feedback", ondelete="CASCADE"),
    )
    index("accepted", "suggestion")


def make_seen_token() -> None:
    op.create_table(
        "seen_token",
        sa.Column("issuer", sa.String(64), nullable=False),
        sa.Column("jti", sa.String(64), nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("issuer", "jti", name="pk_seen_token"),
    )
    index("seen_token", "until")


def part_of_decision(name: str, *columns: sa.Column[Any]) -> None:
    """A table whose rows belong to a decision, in their order."""
    op.create_table(
        name,
        sa.Column("decision", sa.String(32), nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("decision", "place", name=f"pk_{name}"),
        sa.ForeignKeyConstraint(["decision"], ["decision.id"], f"fk_{name}_decision", ondelete="CASCADE"),
    )


def index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))
