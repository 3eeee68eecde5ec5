"""How tests look at the queue and move its time: rows as they stand, leases that end now, backoffs that are over."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from time import monotonic, sleep
from typing import Any

from sync_service.queue import requests as queue
from sync_service.queue.backlog import read_request
from sync_service.queue.claims import claim
from sync_service.queue.limit import Share
from sync_service.queue.requests import Cause, Claim, Kind, Priority
from sync_service.store.engine import Database
from sync_service.store.tables import SyncRequestRow
from sync_service.subscription.trigger import Trigger

SHARE = Share(max_concurrency=100)
CALLOUT = Cause(Trigger.CALLOUT)
A_MINUTE = 60_000
#: What these tests fill.
TABLES = (
    *("sync_request", "sync_cause", "sync_run", "zuora_limit", "zuora_lease", "job", "store_tenant", "throttle"),
    *("admin_action", "heartbeat"),
)


def empty(database: Database) -> None:
    """Delete all rows of the tables that these tests fill."""
    with database.transaction() as session:
        for name in TABLES:
            session.run(f"DELETE FROM {name}")


def want(
    database: Database,
    key: str,
    priority: Priority = Priority.EVENT,
    *,
    full: bool = False,
    kind: Kind = Kind.SUBSCRIPTION,
    cause: Cause = CALLOUT,
) -> int:
    """Request one key in a transaction of its own."""
    with database.transaction() as session:
        return queue.enqueue(session, kind, key, cause, priority=priority, full=full)


def take(database: Database, free_threads: int = 1, share: Share = SHARE, **options: Any) -> list[Claim]:
    """Claim with a share that is no bound unless one is given."""
    return claim(database, free_threads, share, **options)


def take_one(database: Database, share: Share = SHARE) -> Claim:
    """Claim what must be exactly one row."""
    (only,) = take(database, 1, share)
    return only


def finish(database: Database, claim: Claim) -> None:
    """End a claim well, writing nothing else."""
    with database.transaction() as session:
        queue.finish(session, claim)


def retry_later(database: Database, claim: Claim, *, delay_ms: int = A_MINUTE, counts: bool = True) -> None:
    """Put a claim back with a backoff."""
    with database.transaction() as session:
        queue.retry_later(session, claim, error="no luck", delay_ms=delay_ms, counts=counts)


def fail(database: Database, claim: Claim) -> None:
    """End a claim as a final failure."""
    with database.transaction() as session:
        queue.fail(session, claim, error="no hope")


def release(database: Database, claim: Claim) -> None:
    """Put a claim back as a graceful stop does."""
    with database.transaction() as session:
        queue.release(session, claim)


def row(database: Database, key: str, kind: Kind = Kind.SUBSCRIPTION) -> SyncRequestRow:
    """The request's row as it stands."""
    with database.reading() as session:
        found = read_request(session, kind, key)
        assert found is not None
        return found


def execute(database: Database, statement: str, **values: Any) -> None:
    """Change the world behind the product's back; {now} is the database's clock."""
    with database.transaction() as session:
        session.run(statement, values)


def rows(database: Database, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    """What a SELECT says."""
    with database.reading() as session:
        return [tuple(each) for each in session.run(statement, values)]


def expire_leases(database: Database) -> None:
    """All leases end now, as if their workers had died long ago."""
    execute(database, "UPDATE sync_request SET lease_until = {now} - 1 WHERE lease_until IS NOT NULL")
    execute(database, "UPDATE zuora_lease SET lease_until = {now} - 1")


def end_backoffs(database: Database) -> None:
    """All that waits for its time is due now."""
    execute(database, "UPDATE sync_request SET due_at = {now} - 1 WHERE due_at > {now}")


def at_once(tasks: list[Callable[[], Any]]) -> list[Any]:
    """Run all tasks at the same moment, each in a thread; their results, or the first exception."""
    barrier = Barrier(len(tasks))

    def run(task: Callable[[], Any]) -> Any:
        barrier.wait(timeout=30)
        return task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return [future.result(timeout=60) for future in [pool.submit(run, task) for task in tasks]]


def wait_for_a_waiting_statement(database: Database) -> None:
    """Return once some statement waits for a lock (PostgreSQL)."""
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    deadline = monotonic() + 60
    while not rows(database, waiting):
        assert monotonic() < deadline, "no session waits"
        sleep(0.01)
