"""Tables are made and changed here, by Alembic. A worker never imports this."""

from __future__ import annotations

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import URL, Connection
from sqlalchemy.exc import SQLAlchemyError

from .database import WRITES, command_engine, read_url, words

FOLDER = Path(__file__).parent / "migrations"


class CannotUpgrade(Exception):
    """The tables stay as they are. Its text is one line, in our own words."""


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's configuration, without a file. The connection is what the migrations run on."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    return config


def upgrade(url: URL) -> tuple[str | None, str | None]:
    """Make the tables those of this version, in one transaction; the version before and after."""
    engine = command_engine(url)
    try:
        with engine.connect() as connection, connection.execution_options(**WRITES).begin():
            before = MigrationContext.configure(connection).get_current_revision()
            command.upgrade(configuration(connection), "head")
            connection.exec_driver_sql("ANALYZE")  # the database plans its look-ups by how many rows there are
            return before, MigrationContext.configure(connection).get_current_revision()
    except SQLAlchemyError as error:
        raise CannotUpgrade(words(error)) from None
    except CommandError:
        raise CannotUpgrade("its tables were made by a newer version of the service") from None
    finally:
        engine.dispose()


def main() -> None:
    """For `bring_up_to_date`: the URL comes on the standard input, where nobody else sees it."""
    try:
        upgrade(read_url(sys.stdin.read().strip()))
    except CannotUpgrade as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
