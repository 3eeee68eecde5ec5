"""Copies of the embedded store: a backup while the service goes on, and the move into PostgreSQL.

The move takes every row, compared by counts and hashes before it is committed. PostgreSQL has backup tools of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Boolean, Column, Date, Select, Table, Text, cast, select
from sqlmodel import SQLModel

from sync_service.errors import SyncServiceError
from sync_service.store import tables  # noqa: F401 - registers the tables
from sync_service.store.engine import Database, Session, connect
from sync_service.store.schema import check_schema, upgrade


class BackupRefused(SyncServiceError):
    """The copy cannot be made."""

    code = "backup refused"


def back_up(store: Path, copy: Path) -> int:
    """Write the store as it is at one moment to the new file `copy`, readable by our user only; its size in bytes.

    Raises BackupRefused if `copy` exists or the copy is damaged.
    """
    draft = copy.with_name(f"{copy.name}.part")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    try:
        with closing(sqlite3.connect(store, isolation_level=None)) as source:
            source.execute("VACUUM INTO ?", [str(draft)])  # one look at the store: no writer waits for it
        with closing(sqlite3.connect(draft)) as made:
            if (found := made.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
                raise BackupRefused(f"The copy is damaged: {found}")
        os.link(draft, copy)  # never over another backup
    except FileExistsError as error:
        raise BackupRefused(f"{copy} is there already: name a new file.") from error
    finally:
        draft.unlink(missing_ok=True)
    return copy.stat().st_size


#: PostgreSQL fills it by triggers, with numbers of its own.
_DERIVED = "search_entry"
#: Rows that are read at a time.
_BATCH = 1000


class MoveRefused(SyncServiceError):
    """The store cannot be moved."""

    code = "move refused"


@dataclass(frozen=True)
class Moved:
    """The rows of one table, and one hash over all of them that does not depend on their order."""

    table: str
    rows: int
    sha256: str


def move_store(path: Path, target: Database) -> list[Moved]:
    """Copy the embedded store at `path` into the PostgreSQL database `target`, whose schema is brought up to date.

    One transaction: committed only if each table holds as many rows with the same values as the file, which is locked
    meanwhile and stays as it is. Raises MoveRefused if something uses the file, `target` holds rows already or is no
    PostgreSQL, or a table differs; SchemaOutdated if the file lacks migrations.
    """
    if target.dialect != "postgresql":
        raise MoveRefused("DATABASE_URL must name the PostgreSQL database that the store moves to.")
    if not path.is_file():
        raise MoveRefused(f"There is no store at {path.resolve()}.")
    upgrade(target)
    source = connect(f"sqlite:///{path}", pool_size=1)
    try:
        with _alone(path), source.reading() as old, target.transaction() as new:
            check_schema(source)
            _refuse_rows(new)
            return [_move_table(old, new, table) for table in _tables()]
    finally:
        source.engine.dispose()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Nothing else has the file open, and nothing writes to it until the end."""
    guard = sqlite3.connect(path, isolation_level=None, timeout=0)
    try:
        guard.execute("PRAGMA locking_mode = EXCLUSIVE")
        guard.execute("BEGIN IMMEDIATE")
        guard.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        raise MoveRefused(f"{path} is in use: stop web, worker and scheduler first.") from error
    finally:
        guard.close()
    # A process that opens it from here on reads; a writer is kept away by a transaction that writes nothing.
    keeper = sqlite3.connect(path, isolation_level=None, timeout=0)
    try:
        keeper.execute("BEGIN IMMEDIATE")
        yield
    finally:
        keeper.close()


def _tables() -> list[Table]:
    """In the order in which rows may be written; what is derived comes last."""
    return sorted(SQLModel.metadata.sorted_tables, key=lambda table: table.name == _DERIVED)


def _refuse_rows(new: Session) -> None:
    """A fresh schema holds the row of the limit and nothing else."""
    new.run("DELETE FROM zuora_limit")
    for table in _tables():
        if new.run(f"SELECT 1 FROM {table.name} LIMIT 1").first():  # noqa: S608 - our own names
            raise MoveRefused(f"The database holds rows already ({table.name}): a store moves into an empty one.")


def _move_table(old: Session, new: Session, table: Table) -> Moved:
    columns = [each for each in table.columns if not (table.name == _DERIVED and each.name == "id")]
    if table.name != _DERIVED:
        _copy(old, new, table, columns)
    before, after = _measure(old, table, columns), _measure(new, table, columns)
    if before != after:
        raise MoveRefused(
            f"{table.name}: {before.rows} rows with hash {before.sha256[:12]} became {after.rows} rows with hash"
            f" {after.sha256[:12]}. Nothing was moved."
        )
    return after


def _copy(old: Session, new: Session, table: Table, columns: list[Column[Any]]) -> None:
    names = ", ".join(f'"{each.name}"' for each in columns)
    with (
        new.database.translating,
        new.driver.cursor() as cursor,
        cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy,
    ):
        for row in _rows(old, columns):
            copy.write_row(row)
    for column in columns:
        counter = {"table": table.name, "column": column.name}
        if sequence := new.run("SELECT pg_get_serial_sequence(:table, :column)", counter).scalar_one():
            new.run(f"SELECT setval('{sequence}', max({column.name})) FROM {table.name} HAVING count(*) > 0")  # noqa: S608


def _measure(session: Session, table: Table, columns: list[Column[Any]]) -> Moved:
    count, total = 0, 0
    for row in _rows(session, columns):
        values = [_plain(column, value) for column, value in zip(columns, row, strict=True)]
        count += 1
        total += int.from_bytes(hashlib.sha256(json.dumps(values, sort_keys=True).encode()).digest())
    return Moved(table.name, count, f"{total % 2**256:064x}")


def _rows(session: Session, columns: list[Column[Any]]) -> Iterator[tuple[Any, ...]]:
    """JSON as its text, so that nothing and JSON's null stay two things."""
    shown: Select[Any] = select(*(cast(each, Text) if isinstance(each.type, JSON) else each for each in columns))
    with session.connection().execute(shown, execution_options={"yield_per": _BATCH}) as found:
        for row in found:
            yield tuple(row)


def _plain(column: Column[Any], value: Any) -> Any:
    """The same for the same value of either database."""
    if value is None:
        return None
    if isinstance(column.type, JSON):
        return json.loads(value)
    if isinstance(column.type, Date):
        return value.isoformat()
    return bool(value) if isinstance(column.type, Boolean) else value
