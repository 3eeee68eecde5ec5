"""Asking a worker and waiting for the answer, for a few seconds: the web side itself never reaches Zuora."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Response

from sync_service.errors import NotFoundInZuora
from sync_service.queue import questions as asks
from sync_service.store.engine import Database, Session
from sync_service.store.tables import AskRow
from sync_service.web.waiting import ResultWaiter

#: How long a page waits for an answer of Zuora's, in seconds.
PATIENCE_SECONDS = 8.0


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
        self._seconds = min(PATIENCE_SECONDS, most_seconds)
        self._waiter = waiter

    def ask(self, leave: Callable[[Session], int]) -> Answered:
        """The answer to what `leave` leaves. Raises TooManyAsked."""
        with self._database.transaction(lock_timeout_ms=5000) as session:
            ask_id = leave(session)
        return self.wait(ask_id)

    def wait(self, ask_id: int, seconds: float = PATIENCE_SECONDS) -> Answered:
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
