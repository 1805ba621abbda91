"""What a look-up needs lies ready: the cards that were sent, and what users said to them; made from what is there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Of decisions that sent the same card the newest is the one that is meant. Ids follow from the client's hookInstance.
CARDS = """
INSERT INTO card (client, card, decision, patient, "user", evidence, "key", critical, other_patient, other_call)
SELECT newest.client, newest.card, newest.id, newest.patient, newest."user", newest.evidence, newest."key",
  together.critical > 0, together.patients > 1, together.patients > 1 OR together.users > 1 OR together.evidences > 1
FROM (
  SELECT d.client, s.card, d.id, d.patient, d."user", d.evidence, d."key",
    row_number() OVER (PARTITION BY d.client, s.card ORDER BY d.at DESC, d.id DESC) AS nth
  FROM decision d JOIN shown s ON s.decision = d.id WHERE d.status = 200 AND NOT d.silent
) newest JOIN (
  SELECT d.client, s.card, sum(CASE WHEN s.indicator = 'critical' THEN 1 ELSE 0 END) AS critical,
    count(DISTINCT d.patient) AS patients, count(DISTINCT d."user") AS users, count(DISTINCT d.evidence) AS evidences
  FROM decision d JOIN shown s ON s.decision = d.id WHERE d.status = 200 AND NOT d.silent GROUP BY d.client, s.card
) together ON together.client = newest.client AND together.card = newest.card
WHERE newest.nth = 1
"""
ANSWERED_AT = "CASE WHEN f.at IS NOT NULL AND f.at < f.received THEN f.at ELSE f.received END"
COLUMNS = """INSERT INTO history
  (client, card, kind, name, patient, "user", evidence, "key", outcome, reason, at, feedback, decision)"""
# The latest answer to a card; what only closes one that was accepted, without a reason, is none.
ROWS = f"""
{COLUMNS}
SELECT DISTINCT c.client, c.card, 'row', s."row", c.patient, c."user", c.evidence, c."key",
  f.outcome, f.reason, f.answered, f.id, c.decision
FROM card c JOIN shown s ON s.decision = c.decision AND s.card = c.card
JOIN (
  SELECT f.id, f.client, f.card, f.outcome, f.reason, {ANSWERED_AT} AS answered,
    row_number() OVER (PARTITION BY f.client, f.card ORDER BY {ANSWERED_AT} DESC, f.id DESC) AS nth
  FROM feedback f
  WHERE f.outcome = 'accepted' OR f.reason <> '' OR NOT EXISTS (
    SELECT 1 FROM feedback a WHERE a.client = f.client AND a.card = f.card AND a.outcome = 'accepted')
) f ON f.client = c.client AND f.card = c.card AND f.nth = 1
WHERE NOT c.other_call AND NOT c.critical
"""  # noqa: S608 (texts of this file only)
ORDERS = f"""
{COLUMNS}
SELECT client, card, 'order', name, patient, "user", evidence, "key", outcome, reason, answered, id, decision
FROM (
  SELECT c.client, c.card, o.kind || ':' || o.draft AS name, c.patient, c."user", c.evidence, c."key",
    f.outcome, f.reason, {ANSWERED_AT} AS answered, f.id, c.decision,
    row_number() OVER (
      PARTITION BY c.client, c.card, o.kind, o.draft ORDER BY {ANSWERED_AT} DESC, f.id DESC) AS nth
  FROM feedback f JOIN accepted a ON a.feedback = f.id
  JOIN offered o ON o.suggestion = a.suggestion
  JOIN card c ON c.client = f.client AND c.card = o.card
  WHERE f.outcome = 'accepted' AND NOT c.other_patient
) found
WHERE nth = 1
"""  # noqa: S608 (texts of this file only)


def upgrade() -> None:
    make_card()
    make_history()
    for statement in (CARDS, ROWS, ORDERS):
        op.execute(sa.text(statement))


def make_card() -> None:
    op.create_table(
        "card",
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("card", sa.String(36), nullable=False),
        sa.Column("decision", sa.String(32), nullable=False),
        sa.Column("patient", sa.String(64), nullable=False),
        sa.Column("user", sa.String(64), nullable=False),
        sa.Column("evidence", sa.String(64), nullable=False),
        sa.Column("key", sa.String(32), nullable=False),
        sa.Column("critical", sa.Boolean, nullable=False),
        sa.Column("other_patient", sa.Boolean, nullable=False),
        sa.Column("other_call", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("client", "card", name="pk_card"),
        sa.ForeignKeyConstraint(["decision"], ["decision.id"], "fk_card_decision", ondelete="CASCADE"),
    )
    index("card", "decision")


def make_history() -> None:
    op.create_table(
        "history",
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("card", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("name", sa.String(140), nullable=False),
        sa.Column("patient", sa.String(64), nullable=False),
        sa.Column("user", sa.String(64), nullable=False),
        sa.Column("evidence", sa.String(64), nullable=False),
        sa.Column("key", sa.String(32), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(80), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("feedback", sa.Integer, nullable=False),
        sa.Column("decision", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("client", "card", "kind", "name", name="pk_history"),
        sa.ForeignKeyConstraint(["feedback"], ["feedback.id"], "fk_history_feedback", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["decision"], ["decision.id"], "fk_history_decision", ondelete="CASCADE"),
    )
    index("history", "patient", "user", "kind", "at")
    index("history", "patient", "kind", "at")
    index("history", "feedback")
    index("history", "decision")


def index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))
