"""Databases for tests: migrated, without rows, and cheap to have many of.

The embedded one is copied from a file that is made once. A PostgreSQL database is cloned from a template, and one that
its test left without connections is emptied and handed out again.
"""

from __future__ import annotations

import os
import time
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import psycopg
from sqlalchemy import inspect
from sqlmodel import SQLModel, select

from sync_service.store import tables  # noqa: F401 - registers the tables
from sync_service.store.engine import Database, connect
from sync_service.store.schema import upgrade

#: The variable that names a server to use instead of starting one: the address of its maintenance database.
SERVER = "TEST_POSTGRESQL"
#: The variable that names a migrated embedded database without rows, to copy instead of making one.
SQLITE = "TEST_SQLITE"
#: The name of the migrated database without rows that others are made from; a server that has one keeps it.
_TEMPLATE = "migrated"
#: How long a server takes to notice that a client has hung up, in seconds.
HANG_UP_SECONDS = 0.2
#: A database with another version, more tables, indexes or sequences, or the room of many rows is not used again.
_SHAPE = """
SELECT version_num, (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace),
  pg_database_size(current_database()) > 20000000
FROM alembic_version
"""


def read_table(database: Database, row_class: type[SQLModel]) -> list[Any]:
    """All rows, in the order of their primary keys."""
    with database.reading() as session:
        return list(session.exec(select(row_class).order_by(*inspect(row_class).primary_key)))


def new_sqlite(path: Path) -> str:
    """Put a migrated embedded database without rows at `path`; its address."""
    path.touch(mode=0o600)
    path.write_bytes(_migrated_file())
    return f"sqlite:///{path}"


@cache
def _migrated_file() -> bytes:
    if SQLITE in os.environ:
        return Path(os.environ[SQLITE]).read_bytes()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        _migrate(f"sqlite:///{path}")
        return path.read_bytes()


def _migrate(url: str) -> None:
    database = connect(url)
    upgrade(database)
    database.engine.dispose()


class PostgresDatabases:
    """The databases of one server, by the address of its maintenance database; the server's files are to be deleted."""

    def __init__(self, server: str) -> None:
        self.server = server
        self._maintenance = psycopg.connect(server, autocommit=True)
        self._spare: list[str] = []
        for setting in ("fsync", "full_page_writes"):  # no test lets a whole machine lose its power
            self._maintenance.execute(f"ALTER SYSTEM SET {setting} = off")
        self._maintenance.execute("SELECT pg_reload_conf()")

    def take(self) -> str:
        """The name of a migrated database without rows."""
        return self._spare.pop() if self._spare else self.make(self._template)

    def make(self, template: str = "template1") -> str:
        """The name of a new database, empty by default."""
        name = f"t{uuid4().hex}"
        self._maintenance.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def give_back(self, name: str) -> None:
        """Keep a database for the next test, or drop it when something still uses it or its shape has changed."""
        if self._has_connections(name) or not self._empty(name):
            self.drop(name)
        else:
            self._spare.append(name)

    def drop(self, name: str) -> None:
        """Delete a database, whatever is connected to it."""
        self._maintenance.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def close(self) -> None:
        """Let go of the server."""
        self._maintenance.close()

    def address(self, name: str) -> str:
        """The address of the database of that name."""
        base, _, query = self.server.partition("?")
        return base.rsplit("/", 1)[0] + f"/{name}" + (f"?{query}" if query else "")

    @cached_property
    def _template(self) -> str:
        if not self._maintenance.execute(f"SELECT FROM pg_database WHERE datname = '{_TEMPLATE}'").fetchall():
            self._maintenance.execute(f"CREATE DATABASE {_TEMPLATE}")
            _migrate(self.address(_TEMPLATE))
        return _TEMPLATE

    @cached_property
    def _template_shape(self) -> list[tuple[object, ...]]:
        with psycopg.connect(self.address(self._template)) as connection:
            return connection.execute(_SHAPE).fetchall()

    def _has_connections(self, name: str) -> bool:
        deadline = time.monotonic() + HANG_UP_SECONDS
        connected = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'"
        while self._maintenance.execute(connected).fetchone() != (0,):
            if time.monotonic() > deadline:
                return True
            time.sleep(0.002)
        return False

    def _empty(self, name: str) -> bool:
        shape = self._template_shape
        with psycopg.connect(self.address(name), autocommit=True) as connection:
            if connection.execute(_SHAPE).fetchall() != shape:
                return False
            connection.execute(_emptying())
            return True


@cache
def _emptying() -> str:
    """Deletes all rows and lets all numbers begin at 1; for few rows ten times as fast as TRUNCATE."""
    deletes = [f"DELETE FROM {name};" for name in SQLModel.metadata.tables]
    restart = "SELECT setval(oid, 1, false) FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace"
    return " ".join(["SET session_replication_role = replica;", *deletes, restart])
