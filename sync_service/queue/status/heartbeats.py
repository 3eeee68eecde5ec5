"""Each process shows that it runs, and what it has counted: a row for each, written every five seconds.

An idle worker writes nothing else, so nothing else could tell it from one that is gone. What a process counted stays in
its row when it is gone, until the rows of the gone are added up in one.
"""

from __future__ import annotations

import atexit
import os
import secrets
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Any

from sqlalchemy import bindparam
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, func, select

from sync_service.store.engine import Database, Session
from sync_service.store.tables import HeartbeatRow
from sync_service.telemetry.measures import CONNECTIONS, MAX_CONNECTIONS, Sample, add_up, take_samples, without_gauges

#: Between two beats of one process, in seconds.
BEAT_SECONDS = 5.0
#: A process that was not seen for longer is gone, in ms.
GONE_MS = 25_000
#: An older row no longer helps to find out when its process last ran, in ms.
KEEP_MS = 7 * 86_400_000
_LOCK_TIMEOUT_MS = 2_000
#: The row that has the numbers of the gone.
_GONE = "gone"


class ProcessRole(StrEnum):
    """What a process does."""

    WEB = "web"
    WORKER = "worker"
    SCHEDULER = "scheduler"
    #: No process: the sum of those that are gone.
    GONE = "gone"


class Heartbeat:
    """One process' row."""

    def __init__(self, database: Database, role: ProcessRole) -> None:
        self._database = database
        self._role = role
        self._id = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._due_at = 0.0
        #: What is in the row now, and what of this process is in the row of the gone.
        self._kept: list[Sample] | None = None
        self._given_up: list[Sample] = []
        self._beating = threading.Lock()

    def beat(self, *, at_once: bool = False) -> None:
        """Write the row when that is due. A database that is away is the caller's next trouble, not this one's."""
        if not at_once and time.monotonic() < self._due_at:
            return
        self._due_at = time.monotonic() + BEAT_SECONDS
        with (
            self._beating,
            suppress(SQLAlchemyError, TimeoutError),
            self._database.transaction(lock_timeout_ms=_LOCK_TIMEOUT_MS) as session,
        ):
            self._write(session)

    def beat_beside(self) -> None:
        """Beat from a thread of its own for as long as the process lives, and once more when it ends."""

        def beat_on() -> None:
            while True:
                self.beat()
                time.sleep(BEAT_SECONDS)

        threading.Thread(target=beat_on, name="heartbeat", daemon=True).start()
        atexit.register(self.beat, at_once=True)

    def _write(self, session: Session) -> None:
        now, row = session.now(), session.get(HeartbeatRow, self._id, with_for_update=True)
        if self._kept is not None and (row is None or row.measured is None):
            # Taken for gone while it was only silent: what was in the row is counted already.
            self._given_up = add_up([*self._given_up, *without_gauges(self._kept)])
        if row is None:
            row = HeartbeatRow(id=self._id, role=self._role, started_at=now, seen_at=now)
            session.add(row)
        self._note_connections()
        kept = add_up([*take_samples(), *((name, labels, -value) for name, labels, value in self._given_up)])
        row.seen_at, row.measured = now, _as_json(kept)
        session.flush()
        self._kept = kept

    def _note_connections(self) -> None:
        connections = self._database.connections
        CONNECTIONS.labels(self._role).set(connections.in_use)
        MAX_CONNECTIONS.labels(self._role).set(connections.most)


_LAST_SEEN = select(func.max(col(HeartbeatRow.seen_at))).where(HeartbeatRow.role == bindparam("role"))


def read_last_seen(session: Session, role: ProcessRole) -> int | None:
    """When a process with `role` last showed that it runs, in ms by the database's clock; None if none ever did."""
    seen: int | None = session.run(_LAST_SEEN, {"role": role.value}).scalar_one()
    return seen


def read_samples(session: Session) -> list[Sample]:
    """What all processes have counted, those that are gone too."""
    now = session.now()
    rows = select(HeartbeatRow.seen_at, HeartbeatRow.measured).where(col(HeartbeatRow.measured).is_not(None))
    samples: list[Sample] = []
    for seen_at, measured in session.exec(rows):
        own = _from_json(measured)
        samples += own if now - seen_at <= GONE_MS else without_gauges(own)
    return add_up(samples)


def forget_heartbeats(session: Session) -> None:
    """Add the numbers of the processes that are gone up in one row, and delete rows that are long gone."""
    now = session.now()
    rows = select(HeartbeatRow).order_by(col(HeartbeatRow.id)).with_for_update()
    gone = session.exec(rows.where(HeartbeatRow.seen_at < now - GONE_MS, HeartbeatRow.role != ProcessRole.GONE)).all()
    total = session.get(HeartbeatRow, _GONE, with_for_update=True)
    if total is None:
        total = HeartbeatRow(id=_GONE, role=ProcessRole.GONE, started_at=now, seen_at=now)
        session.add(total)
    sums = _from_json(total.measured)
    for row in gone:
        sums += without_gauges(_from_json(row.measured))
        row.measured = None
        if row.seen_at < now - KEEP_MS:
            session.delete(row)
    total.seen_at, total.measured = now, _as_json(add_up(sums))
    session.flush()


def _as_json(samples: list[Sample]) -> list[Any]:
    return [[name, [list(label) for label in labels], value] for name, labels, value in samples]


def _from_json(stored: Sequence[Any] | None) -> list[Sample]:
    return [(name, tuple((key, text) for key, text in labels), value) for name, labels, value in stored or ()]
