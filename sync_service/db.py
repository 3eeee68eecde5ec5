"""The database: one engine, transactions that mean what they say on SQLite and PostgreSQL, and its clock.

Every time that a decision hangs on is the database's (`now`), never a host's.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, TextClause, create_engine, event, text
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import Session

#: How long a SQLite writer waits for another before it gives up, in seconds.
SQLITE_BUSY_SECONDS = 20

_NOW = {
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
    "postgresql": "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)",
}


class Database:
    """An engine with the two kinds of transaction that we use."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.dialect: str = engine.dialect.name
        # SQLite has one writer; waiting in line here keeps the tail short (its busy handler sleeps and retries).
        self._writer: Any = threading.Lock() if self.dialect == "sqlite" else nullcontext()

    @contextmanager
    def transaction(self, *, lock_timeout_ms: int | None = None) -> Iterator[Session]:
        """One writing transaction: commits at the end, rolls back on any exception.

        SQLite: BEGIN IMMEDIATE. PostgreSQL: READ COMMITTED. Waiting for a lock longer than `lock_timeout_ms` raises
        sqlalchemy's OperationalError; on SQLite TimeoutError where the other writer is in this process.
        """
        wait = {"lock_timeout_ms": lock_timeout_ms}
        with (
            self._turn(lock_timeout_ms),
            self.engine.connect().execution_options(**wait) as connection,
            connection.begin(),
        ):
            if lock_timeout_ms is not None and self.dialect == "postgresql":
                connection.execute(text(f"SET LOCAL lock_timeout = {int(lock_timeout_ms)}"))
            session = Session(bind=connection, expire_on_commit=False)
            yield session
            session.flush()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One read-only look; on SQLite it neither waits for writers nor makes them wait."""
        with self.engine.connect().execution_options(read_only=True) as connection, connection.begin():
            yield Session(bind=connection, expire_on_commit=False)

    def sql(self, statement: str) -> TextClause:
        """`statement` with {now} (the database's clock in ms) and {lock} filled in for this database."""
        lock = "FOR UPDATE SKIP LOCKED" if self.dialect == "postgresql" else ""
        wait = "FOR UPDATE" if self.dialect == "postgresql" else ""
        filled = statement.replace("{now}", _NOW[self.dialect]).replace("{lock}", lock).replace("{for_update}", wait)
        return text(filled)

    def now(self, session: Session) -> int:
        """The database's clock: milliseconds since 1970 in UTC."""
        return int(session.connection().execute(self.sql("SELECT {now}")).scalar_one())

    @contextmanager
    def _turn(self, lock_timeout_ms: int | None) -> Iterator[None]:
        if self.dialect != "sqlite" or lock_timeout_ms is None:
            with self._writer:
                yield
            return
        if not self._writer.acquire(timeout=lock_timeout_ms / 1000):
            raise TimeoutError("the database is busy")
        try:
            yield
        finally:
            self._writer.release()


def connect(url: str, *, pool_size: int = 10) -> Database:
    """A Database on `url` (sqlite:///path or postgresql://…). Connects only when first used."""
    if url.startswith("sqlite"):
        path = url.removeprefix("sqlite:///")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(
            url,
            pool_size=pool_size,
            max_overflow=pool_size,
            connect_args={"timeout": SQLITE_BUSY_SECONDS, "check_same_thread": False},
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return Database(engine)
    return Database(
        create_engine(
            url.replace("postgresql://", "postgresql+psycopg://", 1),
            pool_size=pool_size,
            max_overflow=2,
            pool_pre_ping=True,
            pool_recycle=1800,
            connect_args={"connect_timeout": 5},
        )
    )


def _prepare_sqlite(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions begin where we say
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("read_only", False):
        connection.exec_driver_sql("BEGIN")
        return
    # How long this one waits for a writer of another process; the connection may have been another's before.
    wait_ms = options.get("lock_timeout_ms") or SQLITE_BUSY_SECONDS * 1000
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(wait_ms)}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")
