"""The database's schema: bringing it up to date and refusing to work on one that is not.

Migrations are Alembic's. `upgrade` may run on several hosts at once: one works, the others wait and find it done.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from sync_service.errors import SchemaOutdated
from sync_service.store.engine import Database

if TYPE_CHECKING:  # large, and only an upgrade needs it
    from alembic.config import Config

#: One file for each step; its name begins with the step's.
_MIGRATIONS = Path(__file__).with_name("migrations")
#: Any number that is not used for another advisory lock in our database.
_UPGRADE_LOCK = 7_261_493


def upgrade(database: Database) -> str:
    """Bring the schema to this release's newest step and return its name. Idempotent; waits for another host's."""
    from alembic import command
    from alembic.script import ScriptDirectory

    from sync_service.store import tables  # noqa: F401 - the migrations import it

    # All is loaded before the lock is taken: on SQLite no callout can be written meanwhile.
    list(ScriptDirectory.from_config(alembic_config(None)).walk_revisions())
    with database.transaction() as session:  # SQLite: one writer; PostgreSQL: the advisory lock
        connection = session.connection()
        if database.dialect == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})"))
        command.upgrade(alembic_config(connection), "head")
        return _applied(connection) or ""


def check_schema(database: Database) -> None:
    """Raise SchemaOutdated where the database is older than this release needs.

    A newer one than we know is accepted: during a rolling release the new hosts migrate first, and migrations only add.
    """
    known = {path.name[:4] for path in (_MIGRATIONS / "versions").glob("[0-9]*.py")}
    with database.reading() as session:
        applied = _applied(session.connection())
    if applied == max(known) or (applied is not None and applied not in known):
        return
    raise SchemaOutdated


def is_described(name: str | None, *_: object) -> bool:
    """Whether the tables' classes describe what has this name; the index of the search stands in migrations alone."""
    return not (name or "").startswith("search_gram")


def _applied(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def alembic_config(connection: Connection | None) -> Config:
    """Alembic's view of our migrations, to run on `connection`."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
