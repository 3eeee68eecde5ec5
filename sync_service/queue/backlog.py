"""What waits, runs and has failed in the queue, for people and metrics; and the end of unknown keys."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam
from sqlmodel import col, func, select

from sync_service.errors import GoneFromZuora, UnknownKey
from sync_service.queue.requests import Kind, Priority
from sync_service.queue.statements import for_many
from sync_service.store.engine import Database, Session
from sync_service.store.statement import BATCH
from sync_service.store.tables import SyncRequestRow

#: For rows that an earlier release gave up without a run.
UNKNOWN_CODE = "unknown"
#: What failed so is not asked for again by itself: the answer could only be the same.
HOPELESS = frozenset({GoneFromZuora.code, UnknownKey.code})
#: So many rows of each class are counted, and so many failed ones: more is "many", and no look reads a whole table.
MAX_COUNTED = 2_000
# Those that are due come first in each class. The clock as a value, so that both databases use the indexes.
_OF_CLASS = """
SELECT * FROM (
  SELECT kind, priority, due_at, attempts, lease_until, waiting_since FROM sync_request
  WHERE due_at IS NOT NULL AND priority = {class} ORDER BY due_at LIMIT :most) AS of_{class}
"""
_STANDING = f"""
SELECT kind, priority, count(*) AS counted,
  count(CASE WHEN lease_until IS NULL OR lease_until <= :now THEN 1 END) AS waiting,
  count(CASE WHEN due_at > :now AND attempts > 0 AND lease_until IS NULL THEN 1 END) AS backing_off,
  min(CASE WHEN due_at <= :now AND (lease_until IS NULL OR lease_until <= :now) THEN waiting_since END) AS oldest
FROM ({" UNION ALL ".join(_OF_CLASS.replace("{class}", str(int(each))) for each in Priority)}) AS open
GROUP BY kind, priority
"""  # noqa: S608 - constant SQL, no user input
_RUNNING = "SELECT count(*) FROM sync_request WHERE lease_until > :now AND due_at IS NOT NULL"
# By age: for where a class has more rows than are counted.
_OLDEST = """
SELECT min(waiting_since) FROM (
  SELECT waiting_since, due_at, lease_until FROM sync_request
  WHERE due_at IS NOT NULL ORDER BY waiting_since LIMIT :most) AS old
WHERE due_at <= :now AND (lease_until IS NULL OR lease_until <= :now)
"""
_FAILED = """
SELECT count(*) FROM (SELECT 1 FROM sync_request WHERE failed_seq = requested_seq LIMIT :most) AS failed
"""
# Never once done, and so in neither system.
_UNKNOWN = """
SELECT key FROM sync_request
WHERE kind = :kind AND done_seq = 0 AND due_at IS NULL AND lease_until IS NULL AND requested_at < {now} - :age
ORDER BY key LIMIT :batch {lock}
"""
# With all that was noted of them: the sequences of a new row begin at 1 again.
_FORGET = (
    "DELETE FROM sync_request WHERE kind = :kind AND key IN ({keys})",
    "DELETE FROM sync_cause WHERE kind = :kind AND key IN ({keys})",
    "DELETE FROM sync_run WHERE kind = :kind AND key IN ({keys})",
)


@dataclass(frozen=True)
class Waiting:
    """What waits of one kind and class."""

    kind: Kind
    priority: Priority
    count: int
    #: For how long the oldest that is due has waited, in ms; None where none is due.
    oldest_ms: int | None


@dataclass(frozen=True)
class Backlog:
    """The queue at a glance; of each class at most MAX_COUNTED rows are counted."""

    #: Rows to be run, now or after a backoff, that no worker runs.
    waiting: int
    running: int
    #: Those of `waiting` whose last attempt failed and whose time has not come.
    backing_off: int
    #: Rows that were given up and not asked for since.
    failed: int
    #: For how long the oldest row that is due has waited, in ms; None where none is due.
    oldest_ms: int | None
    #: There are more rows than were counted.
    is_cut: bool = False


def read_backlog(session: Session) -> Backlog:
    """Count what waits, runs and has failed."""
    return read_standing(session)[0]


def read_standing(session: Session) -> tuple[Backlog, tuple[Waiting, ...]]:
    """The backlog, and what waits by kind and class."""
    values = {"now": session.now(), "most": MAX_COUNTED}
    rows = session.run(_STANDING, values).all()
    running = int(session.run(_RUNNING, {"now": values["now"]}).scalar_one())
    failed = int(session.run(_FAILED, {"most": MAX_COUNTED}).scalar_one())
    is_cut = any(sum(row.counted for row in rows if row.priority == each) >= MAX_COUNTED for each in Priority)
    oldest = [row.oldest for row in rows if row.oldest is not None]
    if is_cut:
        oldest += [each for each in session.run(_OLDEST, values).scalars() if each is not None]

    def age(since: int | None) -> int | None:
        return None if since is None else max(0, values["now"] - since)

    backlog = Backlog(
        waiting=sum(row.waiting for row in rows),
        running=running,
        backing_off=sum(row.backing_off for row in rows),
        failed=failed,
        oldest_ms=age(min(oldest, default=None)),
        is_cut=is_cut or failed >= MAX_COUNTED,
    )
    return backlog, tuple(Waiting(Kind(row.kind), Priority(row.priority), row.waiting, age(row.oldest)) for row in rows)


def read_request(session: Session, kind: Kind, key: str) -> SyncRequestRow | None:
    """The row of `key`; None if it was never requested."""
    return session.get(SyncRequestRow, (kind.value, key))


_LATER = (col(SyncRequestRow.kind) > bindparam("kind")) | (
    (col(SyncRequestRow.kind) == bindparam("kind")) & (col(SyncRequestRow.key) > bindparam("key"))
)
_GIVEN_UP = (
    select(SyncRequestRow)
    .where(SyncRequestRow.failed_seq == SyncRequestRow.requested_seq, _LATER)
    .order_by(col(SyncRequestRow.kind), col(SyncRequestRow.key))
    .limit(bindparam("limit"))
)
_GIVEN_UP_FOR = _GIVEN_UP.where(func.coalesce(SyncRequestRow.error_code, UNKNOWN_CODE) == bindparam("code"))


def list_failed(
    session: Session, *, limit: int, after: tuple[str, str] = ("", ""), code: str | None = None
) -> list[SyncRequestRow]:
    """Rows that were given up and not asked for since, by kind and key after `after`; those with the error `code`."""
    values = {"kind": after[0], "key": after[1], "limit": limit}
    if code is None:
        return session.run(_GIVEN_UP, values).all()
    return session.run(_GIVEN_UP_FOR, {**values, "code": code}).all()


_FAILED_BY_CODE = """
SELECT coalesce(error_code, :unknown) AS code, count(*) AS requests,
  min(requested_at) AS since, max(requested_at) AS last
FROM sync_request WHERE failed_seq = requested_seq GROUP BY 1 ORDER BY 2 DESC, 1
"""


def count_failed_by_code(session: Session) -> Sequence[Any]:
    """Of the rows that were given up, each error `code` with its `requests`, and when the first and the last of them
    were asked for (`since`, `last`).
    """
    return session.run(_FAILED_BY_CODE, {"unknown": UNKNOWN_CODE}).all()


def forget_unknown(database: Database, *, older_than_ms: int) -> int:
    """Delete alias and account rows that no system knew and that were not requested since; their count. Repeatable."""
    return sum(_forget(database, kind, older_than_ms) for kind in (Kind.ALIAS, Kind.ACCOUNT))


def forget(session: Session, kind: Kind, keys: Sequence[str]) -> None:
    """Delete the rows of `keys` with their causes and runs."""
    for statement in _FORGET:
        session.run(for_many(statement, session.database), {"kind": kind.value, "keys": json.dumps(keys)})


def _forget(database: Database, kind: Kind, age: int) -> int:
    forgotten, last = 0, BATCH
    while last == BATCH:
        with database.transaction() as session:
            keys = list(session.run(_UNKNOWN, {"kind": kind.value, "age": age, "batch": BATCH}).scalars())
            forget(session, kind, keys)
        last = len(keys)
        forgotten += last
    return forgotten
