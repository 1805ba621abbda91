"""What the server of forks imports and reads before the first fork (fork_server.py): what every `b12-cds serve` needs.

Not the metrics library, which decides at its import, by the environment, how it counts.
"""

from __future__ import annotations

import sys
from importlib import import_module

from tests import loading

loading.load_once()  # before any module of ours takes `load_content` by name
for name in (
    "gunicorn.app.base",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "cds_service.server.server",
    "cds_service.store.store",
    "cds_service.app",
):
    import_module(name)
# What is imported late, for the pages and the drafts; and the content.
sys.modules["cds_service.app"].create_app(sys.modules["cds_service.settings"].Settings(demo=True, store_url="none"))
