"""What waits, runs and has failed in the queue, for people and metrics; and the end of unknown keys."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row
from sqlmodel import col, func, select

from sync_service.queue.requests import BATCH, Kind
from sync_service.queue.statements import for_many
from sync_service.store.engine import Database, Session
from sync_service.store.tables import SyncRequestRow

#: For rows that an earlier release gave up without a run.
UNKNOWN_CODE = "unknown"
_STANDING = """
SELECT {now} AS now,
  count(CASE WHEN due_at IS NOT NULL AND (lease_until IS NULL OR lease_until <= {now}) THEN 1 END) AS waiting,
  count(CASE WHEN lease_until > {now} THEN 1 END) AS running,
  count(CASE WHEN due_at > {now} AND attempts > 0 AND lease_until IS NULL THEN 1 END) AS backing_off,
  min(CASE WHEN due_at <= {now} AND (lease_until IS NULL OR lease_until <= {now}) THEN waiting_since END) AS oldest
FROM sync_request WHERE due_at IS NOT NULL
"""
_FAILED = "SELECT count(*) FROM sync_request WHERE failed_seq = requested_seq"
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
class Backlog:
    """The queue at a glance."""

    #: Rows to be run, now or after a backoff, that no worker runs.
    waiting: int
    running: int
    #: Those of `waiting` whose last attempt failed and whose time has not come.
    backing_off: int
    #: Rows that were given up and not asked for since.
    failed: int
    #: For how long the oldest row that is due has waited, in ms; None where none is due.
    oldest_ms: int | None


def read_backlog(session: Session) -> Backlog:
    """Count what waits, runs and has failed."""
    standing = session.run(_STANDING).one()
    oldest = None if standing.oldest is None else max(0, standing.now - standing.oldest)
    return Backlog(
        waiting=standing.waiting,
        running=standing.running,
        backing_off=standing.backing_off,
        failed=int(session.run(_FAILED).scalar_one()),
        oldest_ms=oldest,
    )


def read_request(session: Session, kind: Kind, key: str) -> SyncRequestRow | None:
    """The row of `key`; None if it was never requested."""
    return session.get(SyncRequestRow, (kind.value, key))


def list_failed(
    session: Session, *, limit: int, after: tuple[str, str] = ("", ""), code: str | None = None
) -> list[SyncRequestRow]:
    """Rows that were given up and not asked for since, by kind and key after `after`; those with the error `code`."""
    row = SyncRequestRow
    later = (col(row.kind) > after[0]) | ((col(row.kind) == after[0]) & (col(row.key) > after[1]))
    statement = select(row).where(row.failed_seq == row.requested_seq, later)
    if code is not None:
        statement = statement.where(func.coalesce(row.error_code, UNKNOWN_CODE) == code)
    return list(session.exec(statement.order_by(col(row.kind), col(row.key)).limit(limit)))


def count_failed_by_code(session: Session) -> Sequence[Row[*tuple[Any, ...]]]:
    """Of the rows that were given up, each error `code` with its `requests` and the oldest request's time (`since`)."""
    row = SyncRequestRow
    code, requests = func.coalesce(row.error_code, UNKNOWN_CODE).label("code"), func.count().label("requests")
    counted = select(code, requests, func.min(row.requested_at).label("since"))
    given_up = counted.where(row.failed_seq == row.requested_seq).group_by(code)
    return session.execute(given_up.order_by(requests.desc(), code)).all()


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
