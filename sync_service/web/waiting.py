"""API callers who wait for the result of their sync, and what they are told when it is there.

Waiting is looking: a short read now and then, no connection held in between. Only a part of a process's threads may
wait, so that callouts always find one.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, select

from sync_service.errors import UnknownKey
from sync_service.queue.history import first_attempt_covering
from sync_service.queue.requests import Kind
from sync_service.store.engine import Database, Session
from sync_service.store.object_rows import find_subscription
from sync_service.store.tables import SyncRequestRow, SyncRunRow
from sync_service.web.inbox import Ticket

#: How long a caller waits who does not say, in seconds.
PATIENCE_SECONDS = 8
#: Of so many threads of a process one may wait.
THREADS_PER_SEAT = 4
#: From the first pause between looks to the longest, in seconds.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.25

Found = TypeVar("Found")

_FAILED = frozenset({"failed", "retried"})
#: A held plan that a person let go, or that another plan replaced.
_LET_GO = ("released", "superseded")


@dataclass(frozen=True)
class Result:
    """A status and a body, as Limio's sync endpoint answers: `success` says that the sync has been completed."""

    status: int
    body: dict[str, Any]


def wanted_seconds(prefer: Iterable[str], limit: int, usual: int = PATIENCE_SECONDS) -> float:
    """How long to wait by the `Prefer` headers (RFC 7240): `wait=N` up to `limit`, `respond-async` not at all.

    `usual` is for callers who do not say.
    """
    words = [word.split(";")[0].strip().lower() for line in prefer for word in line.split(",")]
    for word in words:
        wait = re.fullmatch(r'wait\s*=\s*"?(\d{1,6})"?', word, re.ASCII)
        if wait:
            return min(int(wait[1]), limit)
    return 0 if "respond-async" in words else min(usual, limit)


class WaitingRoom:
    """The seats of one process. Who finds none is told at once where to look."""

    def __init__(self, database: Database, *, threads: int) -> None:
        self._database = database
        self._seats = threading.BoundedSemaphore(max(1, threads // THREADS_PER_SEAT))

    def wait(self, ticket: Ticket, seconds: float) -> Result | None:
        """The ticket's result as soon as it is there; None as `wait_for` says."""
        return self.wait_for(lambda session: read_result(session, ticket), seconds)

    def wait_for(self, look: Callable[[Session], Found | None], seconds: float) -> Found | None:
        """What `look` finds as soon as it is there; None when it is not within `seconds`, or no seat is free."""
        if seconds <= 0 or not self._seats.acquire(blocking=False):
            return None
        try:
            return self._look_until(look, time.monotonic() + seconds)
        finally:
            self._seats.release()

    def look(self, ticket: Ticket) -> Result | None:
        """The result if it is there."""
        with self._database.reading() as session:
            return read_result(session, ticket)

    def knows(self, ticket: Ticket) -> bool:
        """Whether there ever was such a request, and it was not pruned since."""
        with self._database.reading() as session:
            row = session.get(SyncRequestRow, (ticket.kind.value, ticket.key))
        return row is not None and 1 <= ticket.seq <= row.requested_seq

    def _look_until(self, look: Callable[[Session], Found | None], deadline: float) -> Found | None:
        pause = _FIRST_PAUSE
        while True:
            try:
                with self._database.reading() as session:
                    result = look(session)
            except (SQLAlchemyError, TimeoutError):  # the request is durable: not to see it now is no failure of it
                result = None
            left = deadline - time.monotonic()
            if result is not None or left <= 0:
                return result
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_PAUSE)


def read_result(session: Session, ticket: Ticket) -> Result | None:
    """The outcome of the first attempt that covers the ticket, even if the queue tries again; None before there is one.

    An alias is followed to the number that it proved to be.
    """
    row = session.get(SyncRequestRow, (ticket.kind.value, ticket.key))
    if row is None:
        return None
    if row.done_seq >= ticket.seq and row.resolved_key is not None and row.resolved_seq is not None:
        ticket = Ticket(Kind.SUBSCRIPTION, row.resolved_key, row.resolved_seq)
        row = session.get(SyncRequestRow, (ticket.kind.value, ticket.key))
    run = first_attempt_covering(session, ticket.kind.value, ticket.key, ticket.seq)
    if run is not None and run.outcome in _LET_GO:  # the plan was held, and a later run took its place
        run = _next_run(session, run)
        return _result_of(session, run) if run is not None else None
    if run is not None:
        return _result_of(session, run)
    if row is not None and row.failed_seq >= ticket.seq:
        return Result(502, {"message": row.last_error or "The sync failed."})
    if row is not None and row.done_seq >= ticket.seq:
        return _completed(session, ticket.key, None)
    return None


def _result_of(session: Session, run: SyncRunRow) -> Result:
    notes = list((run.plan or {}).get("notes", ()))
    if run.outcome in _FAILED:
        unknown = run.error_code == UnknownKey.code
        again = {} if run.outcome == "failed" else {"willRetry": True}
        return Result(404 if unknown else 502, {"message": run.error or "The sync failed.", **again})
    if run.outcome == "held" or _is_held_already(session, run):
        text = "The plan would cancel a subscription among many others: it is held for a person's decision."
        return Result(202, {"success": False, "status": "held", "message": text})
    if run.outcome == "listed":
        return Result(202, {"success": False, "status": "accepted", "count": _count(notes), "notes": notes})
    if run.outcome == "left out":
        return Result(200, {"success": False, "status": "left out", "message": " ".join(notes)})
    if run.outcome == "not in zuora":
        return Result(200, {"success": True, **_identity(session, run.key, run), "status": "not in Zuora"})
    return _completed(session, run.key, run)


def _next_run(session: Session, run: SyncRunRow) -> SyncRunRow | None:
    later = select(SyncRunRow).where(
        SyncRunRow.kind == run.kind,
        SyncRunRow.key == run.key,
        col(SyncRunRow.id) > run.id,
        col(SyncRunRow.outcome).not_in(_LET_GO),
    )
    return session.exec(later.order_by(col(SyncRunRow.id)).limit(1)).first()


def _is_held_already(session: Session, run: SyncRunRow) -> bool:
    """An unchanged run that knows a plan did not apply it: the same plan was held before."""
    if run.outcome != "unchanged" or run.plan_hash is None:
        return False
    held = select(SyncRunRow.id).where(
        SyncRunRow.kind == run.kind, SyncRunRow.key == run.key, SyncRunRow.outcome == "held"
    )
    return session.exec(held.limit(1)).first() is not None


def _completed(session: Session, number: str, run: SyncRunRow | None) -> Result:
    body: dict[str, Any] = {"success": True, **_identity(session, number, run), "status": "completed", "number": number}
    if run is not None:
        body |= {"outcome": run.outcome, "changes": run.change_count, "notes": (run.plan or {}).get("notes", [])}
    return Result(200, body)


def _identity(session: Session, number: str, run: SyncRunRow | None) -> dict[str, str | None]:
    if run is not None and run.subscription_id is not None and run.owner is not None:
        return {"id": run.subscription_id, "owner": run.owner}
    row = find_subscription(session, number)
    return {"id": row.id if row else None, "owner": row.owner if row else None}


def _count(notes: list[str]) -> int:
    """How many subscriptions an account's run queued: its note begins with the number."""
    found = re.match(r"\d+", notes[0]) if notes else None
    return int(found[0]) if found else 0
