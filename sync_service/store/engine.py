"""The database: one engine, transactions that mean what they say on SQLite and PostgreSQL, and its clock.

Every time that a decision hangs on is the database's (`now`), never a host's.
"""

from __future__ import annotations

import os
import random
import select
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    CursorResult,
    Engine,
    TextClause,
    create_engine,
    event,
    literal_column,
    text,
)
from sqlalchemy.exc import DatabaseError, DBAPIError, InvalidatePoolError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import Session as OrmSession

#: How long a SQLite writer waits for another before it gives up, in seconds.
SQLITE_BUSY_SECONDS = 20
#: A SQLite writer's pauses while another process writes, in seconds. SQLite's own grow to 100 ms, and a waiting writer
#: that long between two looks finds the next one writing.
_FIRST_LOOK, _LONGEST_LOOK = 0.0005, 0.001
#: How long a process leaves the file to others between two writes that waited for each other, in seconds: more than
#: their longest pause, so that a callout never waits for all that a worker has to write.
_GIVE_WAY = 0.0012
#: A PostgreSQL connection that rested longer is asked whether it still lives before it is used, in seconds.
_TRUSTED_SECONDS = 1.0

_NOW = {
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
    "postgresql": "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)",
}


Values = Mapping[str, object]


def clock(dialect: str) -> ColumnElement[int]:
    """The database's clock as a part of a statement: milliseconds since 1970 in UTC."""
    return literal_column(_NOW[dialect], BigInteger())


class Session(OrmSession):
    """What a transaction reads and writes with; knows the database that it belongs to."""

    def __init__(self, database: Database, connection: Connection) -> None:
        super().__init__(bind=connection, expire_on_commit=False)
        self.database = database

    def run(self, statement: str, values: Values | Sequence[Values] = ()) -> CursorResult[*tuple[Any, ...]]:
        """Execute a text as `Database.sql` completes it, once for each of several `values`."""
        return self.connection().execute(self.database.sql(statement), values or None)

    def now(self) -> int:
        """The database's clock: milliseconds since 1970 in UTC."""
        return int(self.connection().exec_driver_sql(self.database.driver_sql("SELECT {now}")).scalar_one())


class Database:
    """An engine with the two kinds of transaction that we use."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.dialect: str = engine.dialect.name
        # SQLite has one writer; waiting in line here keeps the tail short.
        self._writer = threading.Lock()
        # Kept, because making a statement takes longer than running it.
        self._statements: dict[str, TextClause] = {}
        self._driver_statements: dict[str, str] = {}
        self._driver_error: type[Exception] = engine.dialect.loaded_dbapi.Error

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
            session = Session(self, connection)
            yield session
            session.flush()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One read-only look; on SQLite it neither waits for writers nor makes them wait."""
        with self.engine.connect().execution_options(read_only=True) as connection, connection.begin():
            yield Session(self, connection)

    @contextmanager
    def driver(self, connection: Connection) -> Iterator[Any]:
        """The driver's own connection, for what callouts do by the thousand: `execute` at a third of the cost.

        Goes with `driver_sql`. Errors are sqlalchemy's, as everywhere.
        """
        driver: Any = connection.connection.driver_connection
        try:
            yield driver
        except self._driver_error as error:
            if self.dialect == "postgresql" and driver.closed:
                connection.invalidate(error)
            raise DBAPIError.instance(None, None, error, self._driver_error, hide_parameters=True) from error

    def run_alone(self, statement: str, values: Mapping[str, object]) -> Any:
        """Run one writing statement as a transaction of its own, in one round trip, and give its row.

        For PostgreSQL, where one statement may write several tables and bound its own wait for locks.
        """
        with self.engine.connect() as connection, self.driver(connection) as driver:
            driver.autocommit = True
            try:
                return driver.execute(self.driver_sql(statement), values).fetchone()
            finally:
                if not driver.closed:
                    driver.autocommit = False

    def sql(self, statement: str) -> TextClause:
        """`statement` with {now} (the database's clock in ms) and {lock} filled in for this database.

        For texts of a small number: each is kept.
        """
        made = self._statements.get(statement)
        if made is None:
            made = self._statements[statement] = text(self._fill(statement))
        return made

    def driver_sql(self, statement: str) -> str:
        """The same as the driver itself takes it, for `exec_driver_sql` and `driver`: for what runs by the thousand."""
        made = self._driver_statements.get(statement)
        if made is None:
            # SQLite's driver knows :names itself; the other's are made by the dialect.
            made = self._fill(statement)
            if self.dialect != "sqlite":
                made = str(text(made).compile(dialect=self.engine.dialect))
            self._driver_statements[statement] = made
        return made

    def _fill(self, statement: str) -> str:
        lock = "FOR UPDATE SKIP LOCKED" if self.dialect == "postgresql" else ""
        wait = "FOR UPDATE" if self.dialect == "postgresql" else ""
        return statement.replace("{now}", _NOW[self.dialect]).replace("{lock}", lock).replace("{for_update}", wait)

    def compact(self) -> bool:
        """Write SQLite's file anew, without what was deleted or overwritten, and empty its journal.

        Returns whether nothing is left: not where another process still reads the journal, and not on PostgreSQL, which
        frees dead rows in its own time. Writers wait meanwhile, about a second for each 100 MB.
        """
        if self.dialect != "sqlite":
            return False
        connection = self.engine.raw_connection()
        try:
            driver: Any = connection.driver_connection
            with self._turn(None):
                driver.execute("VACUUM")
                hindered = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.OperationalError:  # another process writes or reads for longer than we wait
            return False
        finally:
            connection.close()
        return not hindered

    @contextmanager
    def _turn(self, lock_timeout_ms: int | None) -> Iterator[None]:
        """One writer of this process at a time."""
        if self.dialect != "sqlite":
            yield
            return
        waited = not self._writer.acquire(blocking=False)
        if waited and not self._writer.acquire(timeout=-1 if lock_timeout_ms is None else lock_timeout_ms / 1000):
            raise TimeoutError("the database is busy")
        try:
            if waited:
                time.sleep(_GIVE_WAY)
            yield
        finally:
            self._writer.release()


def tell_trouble(error: Exception) -> str | None:
    """What is wrong with the database itself, as its driver says; None where the statement is at fault.

    Only what a connection fails with is quoted: other errors of a driver may quote people's values.
    """
    cause = getattr(error, "orig", None) or error
    if isinstance(error, OperationalError | TimeoutError) or type(error) is DatabaseError:
        return (str(cause).strip().splitlines() or [type(cause).__name__])[0].rstrip(".")
    return None


def connect(url: str, *, pool_size: int = 10) -> Database:
    """A Database on `url` (sqlite:///path or postgresql://…). Connects only when first used."""
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        make_private_folder(path.parent)
        engine = create_engine(
            url,
            pool_size=pool_size,
            max_overflow=pool_size,
            hide_parameters=True,  # errors are logged, and parameters are people's data
            connect_args={"timeout": SQLITE_BUSY_SECONDS, "check_same_thread": False},
        )
        event.listen(engine, "do_connect", _make_private_file)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return Database(engine)
    engine = create_engine(
        url.replace("postgresql://", "postgresql+psycopg://", 1),
        pool_size=pool_size,
        max_overflow=2,
        pool_recycle=1800,
        hide_parameters=True,
        connect_args={"connect_timeout": 5},
    )
    event.listen(engine, "checkin", _note_rest)
    event.listen(engine, "checkout", _ask_before_use)
    return Database(engine)


def make_private_folder(folder: Path) -> None:
    """Make `folder`, and what is missing above it, for our own user alone; one that is there stays as it is."""
    for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)


def _make_private_file(_: Any, __: Any, arguments: list[Any], ___: Any) -> None:
    """SQLite would make it readable by every user of the machine; its journal files take their mode from it."""
    path = arguments[0]
    if path != ":memory:":
        with suppress(OSError):  # it is there, or SQLite will say in its own words why it cannot be
            os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))


def _note_rest(_: Any, entry: ConnectionPoolEntry) -> None:
    entry.info["rests_since"] = time.monotonic()


def _ask_before_use(connection: Any, entry: ConnectionPoolEntry, _: Any) -> None:
    """Let the pool replace connections that died while unused. Asking every time is one round trip more."""
    waking = select.poll()
    waking.register(connection.fileno(), select.POLLIN)
    # A connection at rest has nothing to read but that its server hung up.
    if not waking.poll(0) and time.monotonic() - entry.info.get("rests_since", 0.0) < _TRUSTED_SECONDS:
        return
    try:
        connection.execute("SELECT 1")
        connection.rollback()
    except Exception as error:
        raise InvalidatePoolError from error


def _prepare_sqlite(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions begin where we say
    # Of several that open a new file at once SQLite refuses all but one without waiting.
    if not _execute_when_free(connection, "PRAGMA journal_mode=WAL", time.monotonic() + SQLITE_BUSY_SECONDS):
        connection.execute("PRAGMA journal_mode=WAL")  # fails, with the error that callers expect
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    driver: Any = connection.connection.driver_connection
    if options.get("read_only", False):
        driver.execute("BEGIN")
        return
    wait_ms = options.get("lock_timeout_ms") or SQLITE_BUSY_SECONDS * 1000
    driver.execute("PRAGMA busy_timeout = 0")
    try:
        if not _execute_when_free(driver, "BEGIN IMMEDIATE", time.monotonic() + wait_ms / 1000):
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # fails, with the error that callers expect
    finally:
        driver.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_SECONDS * 1000}")


def _execute_when_free(driver: sqlite3.Connection, statement: str, deadline: float) -> bool:
    """Execute `statement` as soon as no other process is in its way; whether that was before `deadline` (monotonic)."""
    pause = _FIRST_LOOK
    while True:
        try:
            driver.execute(statement)
            return True
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                return False
        time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - keeps processes out of step
        pause = min(pause * 1.2, _LONGEST_LOOK)
