"""Workers and schedulers show that they run: a row for each process, written every half a minute.

An idle worker writes nothing else, so nothing else could tell it from one that is gone.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from contextlib import suppress
from enum import StrEnum

from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, func, select

from sync_service.store.engine import Database, Session
from sync_service.store.tables import HeartbeatRow

#: Between two beats of one process, in seconds.
BEAT_SECONDS = 30.0
#: A process that was not seen for longer is gone, in ms.
GONE_MS = 90_000
#: An older row no longer helps to find out when its process last ran, in ms.
KEEP_MS = 7 * 86_400_000
_LOCK_TIMEOUT_MS = 2_000
_BEAT = """
INSERT INTO heartbeat (id, role, started_at, seen_at) SELECT CAST(:id AS TEXT), CAST(:role AS TEXT), clock.at, clock.at
FROM (SELECT {now} AS at) AS clock WHERE 1 = 1
ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at
"""
_FORGET = "DELETE FROM heartbeat WHERE seen_at < {now} - :age"


class Role(StrEnum):
    """What a process does."""

    WORKER = "worker"
    SCHEDULER = "scheduler"


class Heartbeat:
    """One process' row."""

    def __init__(self, database: Database, role: Role) -> None:
        self._database = database
        self._values = {"id": f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}", "role": role.value}
        self._due_at = 0.0

    def beat(self) -> None:
        """Write the row when that is due. A database that is away is the caller's next trouble, not this one's."""
        if time.monotonic() < self._due_at:
            return
        self._due_at = time.monotonic() + BEAT_SECONDS
        with (
            suppress(SQLAlchemyError, TimeoutError),
            self._database.transaction(lock_timeout_ms=_LOCK_TIMEOUT_MS) as session,
        ):
            session.run(_BEAT, self._values)


def read_last_seen(session: Session, role: Role) -> int | None:
    """When a process with `role` last showed that it runs, in ms by the database's clock; None if none ever did."""
    return session.exec(select(func.max(col(HeartbeatRow.seen_at))).where(HeartbeatRow.role == role.value)).one()


def forget_heartbeats(session: Session) -> None:
    """Delete the rows of processes that are long gone."""
    session.run(_FORGET, {"age": KEEP_MS})
