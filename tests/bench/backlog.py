"""A backlog of requests and its end, as seen in the database."""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlalchemy import text

from sync_service.queue.requests import Cause, Kind, Priority, enqueue_many
from sync_service.store.engine import Database
from sync_service.subscription.trigger import Trigger
from tests.bench.processes import Child

#: In the order of an index, or PostgreSQL would read all that are done: its time is measured.
_SOME_WAIT = text("SELECT 1 FROM sync_request WHERE due_at IS NOT NULL ORDER BY waiting_since LIMIT 1")
_DIFFERENT = text(
    "SELECT count(*) FROM sync_request AS request LEFT JOIN zuora_link AS link ON link.number = request.key"
    " WHERE link.number IS NULL OR link.version <> :version"
)
_LOOK_SECONDS = 0.01
_PATIENCE_SECONDS = 600.0


def ask(database: Database, numbers: Sequence[str]) -> None:
    """Request them all, as a job does."""
    enqueue_many(database, Kind.SUBSCRIPTION, numbers, Cause(Trigger.CALLOUT), priority=Priority.EVENT)


def count_waiting(database: Database) -> int:
    """How many requests are not served yet."""
    with database.reading() as session:
        return int(session.run("SELECT count(*) FROM sync_request WHERE due_at IS NOT NULL").scalar_one())


def wait_until_served(database: Database, workers: Sequence[Child]) -> None:
    """Return when nothing waits. Raises RuntimeError where a worker ended or it takes too long."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        with database.reading() as session:
            if session.connection().execute(_SOME_WAIT).first() is None:
                return
        if time.monotonic() > deadline or any(worker.process.poll() is not None for worker in workers):
            raise RuntimeError("the backlog was not served")
        time.sleep(_LOOK_SECONDS)


def count_different(database: Database, version: int) -> int:
    """Requested numbers that the store does not have in this version."""
    with database.reading() as session:
        return int(session.connection().execute(_DIFFERENT, {"version": version}).scalar_one())
