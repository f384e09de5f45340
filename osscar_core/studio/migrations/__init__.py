"""How the table of runs got from one released schema to the next, as Alembic's revisions.

The decision hidden here: which tool changes a table, and how a database says which
revision it has. Importing this takes Alembic's time, so it is done only where an older
database was found. Revisions are numbers, one file each in ``versions``; they run inside the
caller's transaction, and they are not to be changed once they were released.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

FOLDER = Path(__file__).resolve().parent

UNMARKED = 1
"""The last schema that did not tell Alembic its revision."""


def upgrade(connection: Connection, since: int, to: int) -> None:
    """Bring tables from one schema to a later one.

    Args:
        connection: A transaction. If this raises, it is to be rolled back.
        since: The schema that was found.
        to: The schema to reach.

    Raises:
        SQLAlchemyError: The database refused.
        CommandError: There is no way from the one to the other.
    """
    config = Config()
    # A percent sign in a folder's name would be taken for the name of an option.
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    if since == UNMARKED:
        command.stamp(config, str(since))
    command.upgrade(config, str(to))
