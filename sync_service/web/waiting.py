"""Waiting for a worker, for a few seconds: API callers for the result of their sync, pages for an answer of Zuora.

Waiting is looking: a short read now and then, no connection held in between. Only a part of a process's threads may
wait, so that callouts always find one. The web side itself never reaches Zuora.
"""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import Response
from sqlalchemy.exc import SQLAlchemyError

from sync_service.errors import NotFoundInZuora, UnknownKey
from sync_service.queue import questions as asks
from sync_service.queue.fate import Ticket, fate
from sync_service.queue.runs.history import Outcome
from sync_service.store.engine import Database, Session
from sync_service.store.object_rows import find_subscription
from sync_service.store.tables import AskRow, SyncRunRow

#: How long a caller waits who does not say, in seconds.
PATIENCE_SECONDS = 8
#: Of so many threads of a process one may wait.
THREADS_PER_SEAT = 4
#: From the first pause between looks to the longest, in seconds.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.25

Found = TypeVar("Found")


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


class ResultWaiter:
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
            return fate(session, ticket) is not None

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
    """What an API caller is told of `ticket`; None before its first attempt has ended, and where it is not known."""
    found = fate(session, ticket)
    if found is None or found.outcome is None:
        return None
    run, notes = found.run, list((found.run.plan or {}).get("notes", ())) if found.run else []
    if found.error is not None:
        unknown = run is not None and run.error_code == UnknownKey.code
        again = {"willRetry": True} if found.outcome is Outcome.RETRIED else {}
        return Result(404 if unknown else 502, {"message": found.error, **again})
    if found.is_held:
        text = "The plan would cancel a subscription among many others: it is held for a person's decision."
        return Result(202, {"success": False, "status": "held", "message": text})
    match found.outcome:
        case Outcome.LISTED:
            count = run.listed if run is not None and run.listed is not None else 0
            return Result(202, {"success": False, "status": "accepted", "count": count, "notes": notes})
        case Outcome.LEFT_OUT:
            return Result(200, {"success": False, "status": "left out", "message": " ".join(notes)})
        case Outcome.NOT_IN_ZUORA:
            body = {"success": True, **_identity(session, found.ticket.key, run), "status": "not in Zuora"}
            return Result(200, body)
        case _:
            return _completed(session, found.ticket.key, run)


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


#: How long a page waits for an answer of Zuora's, in seconds.
QUESTION_SECONDS = 8.0


@dataclass(frozen=True)
class Answered:
    """What a worker found; `found` is None where it could not, or not yet."""

    found: Mapping[str, Any] | None
    #: Zuora says that there is no such thing.
    is_missing: bool = False


class Questions:
    """Leaves questions and waits. An answer is forgotten as soon as it was read: it may be personal."""

    def __init__(self, database: Database, waiter: ResultWaiter, *, most_seconds: float) -> None:
        """`most_seconds`: a request waits no longer in this process."""
        self._database = database
        self._seconds = min(QUESTION_SECONDS, most_seconds)
        self._waiter = waiter

    def ask(self, leave: Callable[[Session], int]) -> Answered:
        """The answer to what `leave` leaves. Raises TooManyAsked."""
        with self._database.transaction(lock_timeout_ms=5000) as session:
            ask_id = leave(session)
        return self.wait(ask_id)

    def wait(self, ask_id: int, seconds: float = QUESTION_SECONDS) -> Answered:
        """The answer to a question that was left, as soon as it is there."""
        row = self._waiter.wait_for(lambda session: asks.read_answer(session, ask_id), min(seconds, self._seconds))
        if row is None:
            return Answered(None)
        self._forget(ask_id)
        if row.error is not None:
            return Answered(None, is_missing=row.error_code == NotFoundInZuora.code)
        return Answered(row.answer or {})

    def _forget(self, ask_id: int) -> None:
        with self._database.transaction(lock_timeout_ms=2000) as session:
            row = session.get(AskRow, ask_id)
            if row is not None:
                session.delete(row)


def pdf_of(asked: Answered) -> Response | None:
    """The PDF that a worker found, to be looked at or kept; None where there is none."""
    if asked.found is None:
        return None
    response = Response(base64.b64decode(asked.found["pdf"]), content_type="application/pdf")
    response.headers["Content-Disposition"] = "inline; filename=invoice.pdf"
    response.headers["Cache-Control"] = "private, no-store"
    return response
