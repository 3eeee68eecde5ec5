"""The database: one engine, transactions that mean what they say on SQLite and PostgreSQL, and its clock.

Every time that a decision hangs on is the database's (`now`), never a host's.
"""

from __future__ import annotations

import os
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
    Engine,
    Executable,
    Insert,
    NullPool,
    PoolProxiedConnection,
    Update,
    create_engine,
    event,
    literal_column,
)
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import Session as OrmSession
from sqlmodel import SQLModel

from sync_service.store.pool import DriverConnections
from sync_service.store.statement import Found, Statement, Values, by_key
from sync_service.store.transactions import (
    SQLITE_BUSY_SECONDS,
    Translating,
    begin,
    begin_core,
    commit,
    end_reading,
    execute_when_free,
    is_idle,
)

#: How long a process leaves the file to others while its own writes wait for each other, in seconds: more than their
#: longest pause, so that a callout never waits for all that a worker has to write. And how often: after each write, a
#: worker would spend a third of its time on it.
_GIVE_WAY, _GIVE_WAY_EVERY = 0.0012, 0.008

#: Statements that are kept: more than the service has, unless the filters of a page are put together in every way.
_MAX_KEPT = 2_000

#: Statements that are made for the columns that they are given values for.
_OF_COLUMNS = (Insert, Update)

_NOW = {
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
    "postgresql": "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)",
}


def clock(dialect: str) -> ColumnElement[int]:
    """The database's clock as a part of a statement: milliseconds since 1970 in UTC."""
    return literal_column(_NOW[dialect], BigInteger())


class Session(OrmSession):
    """What a transaction reads and writes with; knows the database that it belongs to.

    `run` goes to the driver itself; the ORM and `connection` join the same transaction where they are used.
    """

    def __init__(self, database: Database, pooled: PoolProxiedConnection) -> None:
        super().__init__(expire_on_commit=False)
        self.database = database
        #: The driver's own connection.
        self.driver: Any = pooled.driver_connection
        #: The same with its place in the pool.
        self.pooled = pooled
        self.cursor = database.open_cursor(self.driver)
        self._core: Connection | None = None

    def run(self, statement: str | Executable, values: Values | Sequence[Values] = ()) -> Found:
        """Execute a statement, once for each of several `values`.

        In texts {now} is the database's clock in ms, {lock} and {for_update} its words for locking rows. For texts of a
        small number and for statements that are kept: what is made of each is kept too. Raises sqlalchemy's errors.
        """
        several = [values] if isinstance(values, Mapping) else values or [{}]
        made = self.database.make(statement, several[0])
        with self.database.translating:
            if len(several) > 1:
                self.cursor.executemany(made.text, [made.arrange(each) for each in several])
                return Found([], self.cursor.rowcount)
            self.cursor.execute(made.text, made.arrange(several[0]))
            return Found(made.read(self.cursor), self.cursor.rowcount)

    def look_up(self, row_class: type[SQLModel], **key: object) -> Any:
        """The row of a primary key as it stands, for reading; None where there is none."""
        return self.run(by_key(row_class), key).one_or_none()

    def get_bind(self, *_: Any, **__: Any) -> Connection:
        """For the ORM: a connection of sqlalchemy's in this transaction."""
        if self._core is None:
            self._core = Connection(self.database.engine, self.pooled)
            self._core.begin()
        return self._core

    def commit(self) -> None:
        """Make all durable: the last thing that `Database.transaction` does."""
        self.flush()
        with self.database.translating:
            commit(self.driver)

    def now(self) -> int:
        """The database's clock: milliseconds since 1970 in UTC."""
        return int(self.run("SELECT {now}").scalar_one())


class Database:
    """An engine with the two kinds of transaction that we use."""

    def __init__(self, engine: Engine, most_connections: int) -> None:
        self.engine = engine
        self.connections = DriverConnections(engine, most_connections)
        self.dialect: str = engine.dialect.name
        #: What the driver raises.
        self.driver_error: type[Exception] = engine.dialect.loaded_dbapi.Error
        self.translating = Translating(self.driver_error)
        # SQLite has one writer; waiting in line here keeps the tail short.
        self._writer = threading.Lock()
        self._gave_way_at = 0.0
        self._statements: dict[Any, Statement] = {}

    @contextmanager
    def transaction(self, *, lock_timeout_ms: int | None = None) -> Iterator[Session]:
        """One writing transaction: commits at the end, rolls back on any exception.

        SQLite: BEGIN IMMEDIATE. PostgreSQL: READ COMMITTED. Waiting for a lock longer than `lock_timeout_ms` raises
        sqlalchemy's OperationalError; on SQLite TimeoutError where the other writer is in this process.
        """
        with self._turn(lock_timeout_ms), self._session() as session:
            with self.translating:
                begin(session.cursor, self.dialect, lock_timeout_ms)
            try:
                yield session
                session.commit()
            except BaseException:
                with suppress(self.driver_error):  # it is gone, and the transaction with it
                    session.driver.rollback()
                raise

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One read-only look; on SQLite it neither waits for writers nor makes them wait.

        On PostgreSQL each statement sees what is committed when it begins, with no transaction around them.
        """
        with self._session() as session:
            if self.dialect == "sqlite":
                session.cursor.execute("BEGIN")
            try:
                yield session
            finally:
                if not is_idle(session.driver):
                    with suppress(self.driver_error):  # it is gone, and the transaction with it
                        end_reading(session.driver)

    def run_alone(self, statement: str, values: Values) -> Found:
        """Run one writing statement as a transaction of its own; on PostgreSQL that is one round trip."""
        with self.transaction() if self.dialect == "sqlite" else self._session() as session:
            return session.run(statement, values)

    def make(self, statement: str | Executable, values: Values) -> Statement:
        """What the driver is handed for it; made at the first use."""
        key: Any = (statement, *values) if isinstance(statement, _OF_COLUMNS) else statement
        made = self._statements.get(key)
        if made is None:
            if len(self._statements) >= _MAX_KEPT:
                self._statements.clear()
            filled = self._fill(statement) if isinstance(statement, str) else statement
            made = self._statements[key] = Statement(filled, self.engine.dialect, list(values))
        return made

    def open_cursor(self, driver: Any) -> Any:
        """One that takes statements as they are."""
        if self.dialect == "sqlite":
            return driver.cursor()
        import psycopg

        return psycopg.RawCursor(driver)

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with self.translating:
            pooled = self.connections.take()
        try:
            session = Session(self, pooled)
            yield session
            session.cursor.close()
        finally:
            self.connections.give_back(pooled)

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
        pooled = self.connections.take()
        try:
            driver: Any = pooled.driver_connection
            with self._turn(None):
                driver.execute("VACUUM")
                hindered = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.OperationalError:  # another process writes or reads for longer than we wait
            return False
        finally:
            self.connections.give_back(pooled)
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
            if waited and time.monotonic() - self._gave_way_at > _GIVE_WAY_EVERY:
                time.sleep(_GIVE_WAY)
                self._gave_way_at = time.monotonic()
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


#: A cut network tells neither side. We give a silent server up after ten seconds, less than Zuora waits for an answer;
#: the server does the same with us and lets go of our locks. TCP alone would wait a quarter of an hour for what was
#: sent and two hours for what is to come.
_POSTGRESQL = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}


_SERVER_GIVES_UP = """
SET tcp_user_timeout = 10000; SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3
"""
#: Each statement is planned once for a connection, and planning took longer than running it. Such a plan must do for a
#: store that has just been filled and has no statistics: only by indexes, row by row. A bitmap would read what finished
#: leases left in an index again for each claim; an index scan marks it dead for the next. JIT would compile short
#: statements, whose cost looks high where a way is switched off.
_BY_INDEX = """
SET plan_cache_mode = force_generic_plan; SET jit = off; SET enable_seqscan = off; SET enable_bitmapscan = off;
SET enable_hashjoin = off; SET enable_mergejoin = off
"""


def connect(url: str, *, pool_size: int = 10, by_index: bool = False) -> Database:
    """A Database on `url` (sqlite:///path or postgresql://…). Connects only when first used.

    `by_index` is for a process whose statements are always the same and read a few rows each: PostgreSQL plans each
    once, to go by indexes whatever it knows of the tables.
    """
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        make_private_folder(path.parent)
        engine = create_engine(
            url,
            poolclass=NullPool,
            hide_parameters=True,  # errors are logged, and parameters are people's data
            connect_args={"timeout": SQLITE_BUSY_SECONDS, "check_same_thread": False},
        )
        event.listen(engine, "do_connect", _make_private_file)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", begin_core)
        return Database(engine, 2 * pool_size)
    engine = create_engine(
        url.replace("postgresql://", "postgresql+psycopg://", 1),
        poolclass=NullPool,
        hide_parameters=True,
        connect_args=_POSTGRESQL,
    )
    event.listen(engine, "connect", _prepare_postgresql)
    if by_index:
        event.listen(engine, "connect", lambda connection, _: connection.execute(_BY_INDEX))
    event.listen(engine, "begin", begin_core)
    return Database(engine, pool_size + 2)


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


def _prepare_sqlite(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions begin where we say
    # Of several that open a new file at once SQLite refuses all but one without waiting.
    if not execute_when_free(connection, "PRAGMA journal_mode=WAL", time.monotonic() + SQLITE_BUSY_SECONDS):
        connection.execute("PRAGMA journal_mode=WAL")  # fails, with the error that callers expect
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _prepare_postgresql(connection: Any, _: ConnectionPoolEntry) -> None:
    connection.autocommit = True  # transactions begin where we say
    connection.execute(_SERVER_GIVES_UP)
