"""What people see of the queue, and the end of keys that neither system knew."""

from __future__ import annotations

from sync_service.queue.backlog import Backlog, forget_unknown, list_failed, read_backlog, read_request
from sync_service.queue.fate import resolve
from sync_service.queue.requests import Kind, finish
from sync_service.store.engine import Database
from tests.queue_world import (
    A_MINUTE,
    execute,
    expire_leases,
    fail,
    retry_later,
    row,
    rows,
    take_one,
    want,
)
from tests.queue_world import finish as finish_alone

DAY_MS = 86_400_000


def backlog(database: Database) -> Backlog:
    with database.reading() as session:
        return read_backlog(session)


def age(database: Database) -> None:
    """A month goes by."""
    execute(database, "UPDATE sync_request SET requested_at = requested_at - :month", month=31 * DAY_MS)


def test_an_empty_queue_has_nothing_to_show(database: Database) -> None:
    assert backlog(database) == Backlog(waiting=0, running=0, backing_off=0, failed=0, oldest_ms=None)


def test_what_waits_runs_backs_off_and_failed_is_counted(database: Database) -> None:
    for key in ("DONE", "FAILED", "RETRIED", "RUNNING", "DEAD"):
        want(database, key)
        claim = take_one(database)
        if key == "DONE":
            finish_alone(database, claim)
        elif key == "FAILED":
            fail(database, claim)
        elif key == "RETRIED":
            retry_later(database, claim)
        elif key == "DEAD":
            execute(database, "UPDATE sync_request SET lease_until = {now} - 1 WHERE key = 'DEAD'")
    want(database, "WAITING")
    execute(
        database, "UPDATE sync_request SET waiting_since = waiting_since - :past WHERE key = 'WAITING'", past=A_MINUTE
    )

    seen = backlog(database)

    assert (seen.waiting, seen.running, seen.backing_off, seen.failed) == (3, 1, 1, 1)
    assert seen.oldest_ms is not None
    assert A_MINUTE <= seen.oldest_ms < 2 * A_MINUTE


def test_failures_are_listed_in_pages_until_they_are_asked_for_again(database: Database) -> None:
    for key in ("A", "B", "C", "D"):
        want(database, key)
        fail(database, take_one(database))
    want(database, "B")

    with database.reading() as session:
        first = list_failed(session, limit=2)
        rest = list_failed(session, limit=2, after=(first[-1].kind, first[-1].key))

    assert [failed.key for failed in first + rest] == ["A", "C", "D"]


def test_a_key_that_was_never_asked_for_has_no_row(database: Database) -> None:
    with database.reading() as session:
        assert read_request(session, Kind.SUBSCRIPTION, "A") is None


def test_a_key_that_neither_system_knew_is_forgotten_with_all_that_was_noted_of_it(database: Database) -> None:
    for kind in Kind:
        want(database, "A", kind=kind)
        fail(database, take_one(database))
    age(database)

    forgotten = forget_unknown(database, older_than_ms=30 * DAY_MS)

    assert forgotten == 2
    kept = [("order",), ("subscription",)]
    assert rows(database, "SELECT kind FROM sync_request ORDER BY kind") == kept
    assert rows(database, "SELECT kind FROM sync_cause ORDER BY kind") == kept
    assert forget_unknown(database, older_than_ms=30 * DAY_MS) == 0


def test_keys_that_are_young_known_or_under_way_are_kept(database: Database) -> None:
    want(database, "RESOLVED", kind=Kind.ALIAS)
    resolved = take_one(database)
    with database.transaction() as session:
        finish(session, resolved)
        resolve(session, resolved, "N-1", 1)
    want(database, "WAITING", kind=Kind.ALIAS)
    age(database)
    want(database, "YOUNG", kind=Kind.ALIAS)
    expire_leases(database)

    assert forget_unknown(database, older_than_ms=30 * DAY_MS) == 0
    assert row(database, "RESOLVED", Kind.ALIAS).resolved_key == "N-1"


def test_more_unknown_keys_than_one_transaction_takes_are_forgotten_too(database: Database) -> None:
    execute(
        database,
        "INSERT INTO sync_request (kind, key, requested_seq, failed_seq, priority, requested_at)"
        " SELECT 'alias', 'K-' || a.n || '-' || b.n, 1, 1, 1, 0"
        " FROM (" + " UNION ALL ".join(f"SELECT {n} AS n" for n in range(30)) + ") AS a,"
        " (" + " UNION ALL ".join(f"SELECT {n} AS n" for n in range(40)) + ") AS b",
    )

    assert forget_unknown(database, older_than_ms=30 * DAY_MS) == 1200
