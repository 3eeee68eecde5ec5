"""How a transaction begins: on SQLite in turn with other processes, on PostgreSQL with a bound for its locks."""

from __future__ import annotations

import random
import sqlite3
import time
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

#: How long a SQLite writer waits for another before it gives up, in seconds.
SQLITE_BUSY_SECONDS = 20
#: A SQLite writer's pauses while another process writes, in seconds. SQLite's own grow to 100 ms, and a waiting writer
#: that long between two looks finds the next one writing.
_FIRST_LOOK, _LONGEST_LOOK = 0.0005, 0.001
#: libpq's words: a connection outside of a transaction; a command that is done.
_IDLE, _DONE = 0, 1


def begin(cursor: Any, dialect: str, lock_timeout_ms: int | None) -> None:
    """A transaction that may write."""
    if dialect == "postgresql":
        bound = "" if lock_timeout_ms is None else f"; SET LOCAL lock_timeout = {int(lock_timeout_ms)}"
        _say(cursor.connection, f"BEGIN{bound}".encode())
        return
    wait_ms = lock_timeout_ms or SQLITE_BUSY_SECONDS * 1000
    cursor.execute("PRAGMA busy_timeout = 0")
    try:
        if not execute_when_free(cursor, "BEGIN IMMEDIATE", time.monotonic() + wait_ms / 1000):
            cursor.execute("BEGIN IMMEDIATE")  # fails, with the error that callers expect
    finally:
        cursor.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_SECONDS * 1000}")


def commit(driver: Any) -> None:
    """Make durable what was written."""
    if isinstance(driver, sqlite3.Connection):
        driver.commit()
    else:
        _say(driver, b"COMMIT")


def end_reading(driver: Any) -> None:
    """Leave a transaction that wrote nothing."""
    if isinstance(driver, sqlite3.Connection):
        driver.rollback()
    else:
        # psycopg's own would forget all that it has prepared, for every page to plan its statements anew.
        _say(driver, b"ROLLBACK")


def _say(driver: Any, word: bytes) -> None:
    """A word without values, by libpq itself: psycopg's way to it costs four times as much. Raises its errors."""
    answer = driver.pgconn.exec_(word)
    if answer.status != _DONE:
        from psycopg import errors

        lost = driver.closed  # a server that hung up gives no reason that tells what kind of error it is
        raise errors.OperationalError(answer.get_error_message()) if lost else errors.error_from_result(answer)


def begin_core(connection: Connection) -> None:
    """A transaction of sqlalchemy's own, unless it joins one of ours."""
    driver: Any = connection.connection.driver_connection
    if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT" or not is_idle(driver):
        return
    with Translating(connection.dialect.loaded_dbapi.Error):
        if isinstance(driver, sqlite3.Connection):
            begin(driver.cursor(), "sqlite", None)
        else:
            _say(driver, b"BEGIN")


def is_idle(driver: Any) -> bool:
    """Whether a driver's connection is open and outside of any transaction."""
    if isinstance(driver, sqlite3.Connection):
        return not driver.in_transaction
    return bool(driver.pgconn.transaction_status == _IDLE)


class Translating(AbstractContextManager[None]):
    """A driver's errors become sqlalchemy's, as everywhere, without the values. One serves any number of times."""

    def __init__(self, driver_error: type[Exception]) -> None:
        self._driver_error = driver_error

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, self._driver_error):
            raise DBAPIError.instance(None, None, error, self._driver_error, hide_parameters=True) from error


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
