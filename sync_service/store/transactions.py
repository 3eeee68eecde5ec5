"""How a transaction begins: on SQLite in turn with other processes, on PostgreSQL with a bound for its locks."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

#: How long a SQLite writer waits for another before it gives up, in seconds.
SQLITE_BUSY_SECONDS = 20
#: A SQLite writer's pauses while another process writes, in seconds. SQLite's own grow to 100 ms, and a waiting writer
#: that long between two looks finds the next one writing.
_FIRST_LOOK, _LONGEST_LOOK = 0.0005, 0.001
#: libpq's word for a connection outside of a transaction.
_IDLE = 0


def begin(cursor: Any, dialect: str, lock_timeout_ms: int | None) -> None:
    """A transaction that may write."""
    if dialect == "postgresql":
        bound = "" if lock_timeout_ms is None else f"; SET LOCAL lock_timeout = {int(lock_timeout_ms)}"
        cursor.execute(f"BEGIN{bound}", prepare=False)
        return
    wait_ms = lock_timeout_ms or SQLITE_BUSY_SECONDS * 1000
    cursor.execute("PRAGMA busy_timeout = 0")
    try:
        if not execute_when_free(cursor, "BEGIN IMMEDIATE", time.monotonic() + wait_ms / 1000):
            cursor.execute("BEGIN IMMEDIATE")  # fails, with the error that callers expect
    finally:
        cursor.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_SECONDS * 1000}")


def begin_core(connection: Connection) -> None:
    """A transaction of sqlalchemy's own, unless it joins one of ours."""
    driver: Any = connection.connection.driver_connection
    if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT" or not is_idle(driver):
        return
    with translating(connection.dialect.loaded_dbapi.Error):
        if isinstance(driver, sqlite3.Connection):
            begin(driver.cursor(), "sqlite", None)
        else:
            driver.execute("BEGIN", prepare=False)


def is_idle(driver: Any) -> bool:
    """Whether a driver's connection is open and outside of any transaction."""
    if isinstance(driver, sqlite3.Connection):
        return not driver.in_transaction
    return bool(driver.pgconn.transaction_status == _IDLE)


@contextmanager
def translating(driver_error: type[Exception]) -> Iterator[None]:
    """A driver's errors become sqlalchemy's, as everywhere, without the values."""
    try:
        yield
    except driver_error as error:
        raise DBAPIError.instance(None, None, error, driver_error, hide_parameters=True) from error


def execute_when_free(driver: sqlite3.Connection | sqlite3.Cursor, statement: str, deadline: float) -> bool:
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
