"""Run by Alembic: the migrations, on the connection and in the transaction that `store.upgrade` has begun."""

from __future__ import annotations

from alembic import context

from cds_service.store.tables import METADATA

connection = context.config.attributes["connection"]
# render_as_batch: SQLite cannot alter a table, Alembic then copies it.
context.configure(connection=connection, target_metadata=METADATA, render_as_batch=True, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
