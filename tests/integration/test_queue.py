"""The queue on both databases: what is asked for is run, once at a time, and nothing that was asked for is lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from sync_service.errors import LeaseLost
from sync_service.queue import requests as queue
from sync_service.queue.fate import queue_number, serve_itself
from sync_service.queue.limit import Share
from sync_service.queue.requests import Cause, Claim, Kind, Priority
from sync_service.store.engine import Database
from sync_service.subscription.trigger import Trigger
from tests.queue_world import (
    A_MINUTE,
    CALLOUT,
    at_once,
    end_backoffs,
    execute,
    expire_leases,
    fail,
    finish,
    release,
    retry_later,
    row,
    rows,
    take,
    take_one,
    wait_for_a_waiting_statement,
    want,
)


def queue_many(database: Database, keys: list[str], priority: Priority = Priority.JOB) -> int:
    cause = Cause(Trigger.SWEEP)
    return queue.enqueue_many(database, Kind.SUBSCRIPTION, keys, cause, priority=priority)


# What is asked for


def test_a_first_request_makes_its_number_due(database: Database) -> None:
    assert want(database, "A") == 1
    assert [claim.key for claim in take(database, 5)] == ["A"]


def test_requests_before_a_run_are_one_run_that_covers_them_all(database: Database) -> None:
    for _ in range(7):
        want(database, "A")

    claim = take_one(database)
    finish(database, claim)

    assert (claim.done_before, claim.seen) == (0, 7)
    assert take(database, 5) == []


def test_requests_during_a_run_leave_exactly_one_follow_up(database: Database) -> None:
    want(database, "A")
    first = take_one(database)
    for _ in range(7):
        want(database, "A")
    during = take(database, 5)
    finish(database, first)

    follow_up = take_one(database)
    finish(database, follow_up)

    assert during == []
    assert (follow_up.done_before, follow_up.seen) == (1, 8)
    assert take(database, 5) == []


def test_parallel_requests_get_each_sequence_once(database: Database) -> None:
    keys = ["A", "B", "C", "D"]

    def send() -> list[tuple[str, int]]:
        return [(key, want(database, key)) for key in keys for _ in range(5)]

    got = [pair for result in at_once([send] * 10) for pair in result]

    assert sorted(got) == [(key, seq) for key in keys for seq in range(1, 51)]
    assert rows(database, "SELECT count(*), count(DISTINCT seq) FROM sync_cause WHERE key = 'A'") == [(50, 50)]


def test_a_request_that_rolls_back_was_never_made(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction() as session:
        queue.enqueue(session, Kind.SUBSCRIPTION, "A", CALLOUT, priority=Priority.EVENT)
        raise ZeroDivisionError

    assert rows(database, "SELECT count(*) FROM sync_request") == [(0,)]
    assert rows(database, "SELECT count(*) FROM sync_cause") == [(0,)]


def test_every_request_keeps_who_asked(database: Database) -> None:
    want(database, "A", cause=Cause(Trigger.CALLOUT, callout_id=7))
    want(database, "A", cause=Cause(Trigger.ADMIN, actor="olga@example.com"), priority=Priority.PERSON)

    causes = rows(database, "SELECT kind, key, seq, trigger, actor, callout_id FROM sync_cause ORDER BY id")

    assert causes == [
        ("subscription", "A", 1, "callout", None, 7),
        ("subscription", "A", 2, "admin", "olga@example.com", None),
    ]
    assert rows(database, "SELECT at FROM sync_cause WHERE seq = 2") == [(row(database, "A").requested_at,)]


def test_the_same_text_as_a_number_an_alias_an_account_and_a_lane_are_four_rows(database: Database) -> None:
    for kind in Kind:
        want(database, "A", kind=kind)

    assert sorted(claim.kind for claim in take(database, 5)) == ["account", "alias", "order", "subscription"]


def test_many_keys_are_queued_once_each_with_their_causes(database: Database) -> None:
    want(database, "N-0007")
    keys = [f"N-{n:04}" for n in range(1100)]

    queued = queue_many(database, [*reversed(keys), "N-0000"])

    assert queued == 1100
    assert rows(database, "SELECT count(*), max(requested_seq) FROM sync_request") == [(1100, 2)]
    assert rows(database, "SELECT key, seq, trigger FROM sync_cause WHERE key = 'N-0007' ORDER BY id") == [
        ("N-0007", 1, "callout"),
        ("N-0007", 2, "sweep"),
    ]
    assert rows(database, "SELECT count(*) FROM sync_cause") == [(1101,)]


def test_bulk_requests_in_any_order_do_not_deadlock(database: Database) -> None:
    keys = [f"N-{n:03}" for n in range(400)]
    orders = [keys, keys[::-1], keys[200:] + keys[:200], keys[::2] + keys[1::2]]

    at_once([lambda order=order: [queue_many(database, order) for _ in range(3)] for order in orders])

    assert rows(database, "SELECT DISTINCT requested_seq FROM sync_request") == [(12,)]


# Who runs it


def test_parallel_claimers_get_each_row_once(database: Database) -> None:
    keys = [f"N-{n}" for n in range(12)]
    queue_many(database, keys)

    claims = [claim for result in at_once([lambda: take(database, 2)] * 8) for claim in result]

    assert sorted(claim.key for claim in claims) == sorted(keys)


def test_no_more_rows_are_claimed_than_threads_are_free(database: Database) -> None:
    queue_many(database, [f"N-{n}" for n in range(10)])

    assert len(take(database, 3)) == 3
    assert take(database, 0) == []


def test_parallel_claimers_stay_within_what_the_tenant_permits(database: Database) -> None:
    queue_many(database, [f"N-{n:02}" for n in range(40)])
    share = Share(max_concurrency=6)

    claims = [claim for result in at_once([lambda: take(database, 4, share)] * 10) for claim in result]

    assert len(claims) == 6
    assert rows(database, "SELECT count(*) FROM sync_request WHERE lease_until IS NOT NULL") == [(6,)]


def test_a_claim_counts_the_leases_of_one_that_is_being_made(postgres: Database) -> None:
    """Two claims at the same time: the second counts after the first has committed, or both take the last place."""
    database = postgres
    want(database, "A")
    finish(database, take_one(database))
    want(database, "A")
    want(database, "B")

    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as other:
            other.run("SELECT 1 FROM zuora_limit FOR UPDATE")
            lease = "UPDATE sync_request SET lease_until = {now} + 60000 WHERE key = 'A'"
            other.run(lease)
            second = pool.submit(take, database, 1, Share(max_concurrency=1))
            wait_for_a_waiting_statement(database)
        assert second.result(timeout=30) == []


def test_a_person_is_served_before_two_thousand_older_rows(database: Database) -> None:
    queue_many(database, [f"N-{n:04}" for n in range(2000)])
    execute(database, "UPDATE sync_request SET due_at = due_at - 3600000, waiting_since = waiting_since - 3600000")
    want(database, "A", Priority.PERSON)
    want(database, "B", Priority.EVENT)

    assert [claim.key for claim in take(database, 3)][:2] == ["A", "B"]


def test_one_claim_in_eight_takes_the_longest_waiting_row(database: Database) -> None:
    want(database, "OLD", Priority.JOB)
    execute(database, "UPDATE sync_request SET waiting_since = waiting_since - 1000")
    queue_many(database, [f"N-{n:03}" for n in range(50)], Priority.EVENT)

    order = [take_one(database).key for _ in range(16)]

    assert order.index("OLD") == 7


def test_a_claim_of_eight_holds_one_place_for_the_longest_waiting(database: Database) -> None:
    queue_many(database, ["OLD-1", "OLD-2"], Priority.JOB)
    execute(database, "UPDATE sync_request SET waiting_since = waiting_since - 1000")
    queue_many(database, [f"N-{n:03}" for n in range(50)], Priority.EVENT)

    claims = take(database, 8)

    assert len(claims) == 8
    assert len([claim for claim in claims if claim.key.startswith("OLD")]) == 1


def test_a_repeated_wish_of_a_person_does_not_lose_its_place(database: Database) -> None:
    want(database, "A", Priority.PERSON)
    execute(database, "UPDATE sync_request SET due_at = due_at - 500")
    want(database, "B", Priority.PERSON)
    want(database, "A", Priority.PERSON)

    assert take_one(database).key == "A"


def test_an_idle_claim_writes_nothing(database: Database) -> None:
    want(database, "A")
    finish(database, take_one(database))
    before = rows(database, "SELECT * FROM zuora_limit")

    for _ in range(10):
        assert take(database, 5) == []

    assert rows(database, "SELECT * FROM zuora_limit") == before


# Whose run it is


def act(name: str, database: Database, claim: Claim) -> None:
    acts: dict[str, Any] = {"finish": finish, "retry_later": retry_later, "fail": fail, "release": release}
    acts[name](database, claim)


@pytest.mark.parametrize("late_act", ["finish", "retry_later", "fail", "release"])
def test_who_lost_the_lease_changes_nothing(database: Database, late_act: str) -> None:
    want(database, "A")
    first = take_one(database)
    expire_leases(database)
    second = take_one(database)
    before = row(database, "A")

    with pytest.raises(LeaseLost):
        act(late_act, database, first)

    assert row(database, "A") == before
    finish(database, second)


def test_what_a_run_that_lost_its_lease_wrote_is_rolled_back(database: Database) -> None:
    want(database, "A")
    first = take_one(database)
    expire_leases(database)
    take_one(database)

    with pytest.raises(LeaseLost), database.transaction() as session:
        session.run("INSERT INTO throttle (name, window_began, failures) VALUES ('x', 0, 0)")
        queue.finish(session, first)

    assert rows(database, "SELECT count(*) FROM throttle") == [(0,)]


def test_an_expired_lease_that_no_worker_took_over_is_still_its_owners(database: Database) -> None:
    want(database, "A")
    claim = take_one(database)
    expire_leases(database)

    finish(database, claim)

    assert row(database, "A").done_seq == 1


@pytest.mark.parametrize("second_act", ["finish", "retry_later", "fail", "release"])
def test_a_run_ends_once(database: Database, second_act: str) -> None:
    want(database, "A")
    claim = take_one(database)
    finish(database, claim)

    with pytest.raises(LeaseLost):
        act(second_act, database, claim)

    assert (row(database, "A").done_seq, row(database, "A").failed_seq) == (1, 0)


def test_a_row_that_a_writer_is_finishing_is_not_claimed(postgres: Database) -> None:
    """Checking the lease and then writing would let a second writer start between the two."""
    database = postgres
    want(database, "A")
    claim = take_one(database)
    expire_leases(database)

    with database.transaction() as session:
        queue.finish(session, claim)
        others = take(database, 5)

    assert others == []
    assert row(database, "A").done_seq == 1


def test_a_crash_after_finish_and_before_the_commit_runs_again(database: Database) -> None:
    want(database, "A")
    claim = take_one(database)
    with pytest.raises(ZeroDivisionError), database.transaction() as session:
        queue.finish(session, claim)
        raise ZeroDivisionError
    expire_leases(database)

    again = take_one(database)

    assert (again.done_before, again.seen, again.attempts) == (0, 1, 2)


def test_a_callout_behind_a_stalled_writer_gives_up_in_time(database: Database) -> None:
    want(database, "A")
    claim = take_one(database)

    with database.transaction() as session:
        queue.finish(session, claim)

        def call() -> None:
            with database.transaction(lock_timeout_ms=100) as acknowledgement:
                queue.enqueue(acknowledgement, Kind.SUBSCRIPTION, "A", CALLOUT, priority=Priority.EVENT)

        with pytest.raises((OperationalError, TimeoutError)):
            at_once([call])

    assert row(database, "A").requested_seq == 1


# What becomes of it


def test_a_finished_row_is_marked_checked(database: Database) -> None:
    want(database, "A")
    claim = take_one(database)
    finish(database, claim)

    after = row(database, "A")

    assert after.checked_at is not None
    assert after.checked_at >= claim.claimed_at
    assert (after.due_at, after.waiting_since, after.lease_until, after.attempts) == (None, None, None, 0)


def test_a_final_failure_rests_until_the_next_request_starts_afresh(database: Database) -> None:
    want(database, "A")
    first = take_one(database)
    fail(database, first)
    resting = take(database, 5)
    failed = row(database, "A")
    want(database, "A")

    revived = take_one(database)

    assert resting == []
    assert (failed.failed_seq, failed.last_error, failed.due_at) == (1, "no hope", None)
    assert (revived.seen, revived.done_before, revived.attempts) == (2, 0, 1)


def test_a_request_during_a_failing_run_survives_it(database: Database) -> None:
    want(database, "A")
    first = take_one(database)
    want(database, "A")
    fail(database, first)

    survivor = take_one(database)

    assert (survivor.seen, survivor.attempts) == (2, 1)


def test_a_callout_leaves_a_backoff_alone(database: Database) -> None:
    want(database, "A")
    retry_later(database, take_one(database))
    want(database, "A")

    assert take(database, 5) == []
    end_backoffs(database)
    assert take_one(database).attempts == 2


def test_a_person_lifts_a_backoff(database: Database) -> None:
    want(database, "A")
    retry_later(database, take_one(database))
    want(database, "A", Priority.PERSON)

    lifted = take_one(database)

    assert (lifted.attempts, lifted.priority) == (1, Priority.PERSON)


def test_a_person_who_asks_during_a_run_that_is_retried_is_served_at_once(database: Database) -> None:
    want(database, "A")
    first = take_one(database)
    want(database, "A", Priority.PERSON)
    retry_later(database, first)

    assert take_one(database).seen == 2


def test_a_retry_comes_after_its_delay_with_the_error_kept(database: Database) -> None:
    want(database, "A")
    claim = take_one(database)
    retry_later(database, claim)

    after = row(database, "A")

    assert after.due_at is not None
    assert A_MINUTE <= after.due_at - claim.claimed_at < 2 * A_MINUTE
    assert (after.last_error, after.attempts, after.lease_until) == ("no luck", 1, None)


def test_errors_of_the_tenant_use_up_no_attempt(database: Database) -> None:
    want(database, "A")
    for _ in range(12):
        retry_later(database, take_one(database), delay_ms=0, counts=False)

    assert row(database, "A").attempts == 0
    assert take_one(database).attempts == 1


def test_an_attempt_given_back_after_a_person_reset_the_count_leaves_none_below_zero(database: Database) -> None:
    want(database, "A")
    claim = take_one(database)
    want(database, "A", Priority.PERSON)
    retry_later(database, claim, counts=False)

    assert row(database, "A").attempts == 0


def test_a_graceful_stop_puts_the_row_back_untouched(database: Database) -> None:
    want(database, "A")
    retry_later(database, take_one(database), delay_ms=0)
    release(database, take_one(database))

    after = row(database, "A")

    assert (after.attempts, after.last_error, after.lease_until) == (1, "no luck", None)
    assert take_one(database).attempts == 2


def test_deaths_of_workers_are_counted_and_the_eleventh_claim_gives_up(database: Database) -> None:
    want(database, "A", Priority.EVENT)
    want(database, "A", Priority.EVENT, cause=Cause(Trigger.API, actor="shop"))
    deaths = []
    for _ in range(10):
        deaths.append(take_one(database).attempts)
        expire_leases(database)

    last = take(database, 5)

    after = row(database, "A")
    assert deaths == list(range(1, 11))
    assert last == []
    assert (after.failed_seq, after.due_at, after.lease_until) == (2, None, None)
    assert after.last_error == "10 attempts ended without a result: the worker died or was stopped in each."
    assert rows(
        database, "SELECT kind, key, seq_from, seq_to, outcome, trigger, actor, error_code, error FROM sync_run"
    ) == [("subscription", "A", 0, 2, "failed", "api", "shop", "attempts exhausted", after.last_error)]


def test_a_row_given_up_for_its_deaths_starts_afresh_when_asked_for(database: Database) -> None:
    want(database, "A")
    execute(database, "UPDATE sync_request SET attempts = 10")
    assert take(database, 5) == []
    want(database, "A")

    assert take_one(database).attempts == 1


# Reading everything


def test_the_wish_to_read_everything_survives_coalescing(database: Database) -> None:
    want(database, "A", full=True)
    want(database, "A")

    assert take_one(database).full


def test_a_run_that_read_everything_ends_the_wish(database: Database) -> None:
    want(database, "A", full=True)
    finish(database, take_one(database))
    want(database, "A")

    assert not take_one(database).full


def test_the_wish_to_read_everything_during_a_run_is_for_the_follow_up(database: Database) -> None:
    want(database, "A")
    first = take_one(database)
    want(database, "A", full=True)
    finish(database, first)

    assert not first.full
    assert take_one(database).full


def test_a_run_that_did_not_end_well_keeps_the_wish_to_read_everything(database: Database) -> None:
    want(database, "A", full=True)
    retry_later(database, take_one(database), delay_ms=0)
    retried = take_one(database)
    fail(database, retried)
    want(database, "A")

    assert retried.full
    assert take_one(database).full


def test_a_number_queued_again_by_its_own_run_reads_everything_for_the_same_reason(database: Database) -> None:
    want(database, "A", Priority.JOB, cause=Cause(Trigger.SWEEP))
    want(database, "A", Priority.EVENT, cause=Cause(Trigger.CALLOUT, callout_id=3))
    claim = take_one(database)
    with database.transaction() as session:
        queue.finish(session, claim)
        queue.enqueue_again(session, claim)

    again = take_one(database)

    assert (again.seen, again.full, again.priority) == (3, True, Priority.EVENT)
    assert rows(database, "SELECT trigger, callout_id FROM sync_cause WHERE seq = 3") == [("callout", 3)]


# Aliases


def test_an_alias_hands_its_number_on_in_the_transaction_that_finishes_it(database: Database) -> None:
    want(database, "0" * 32, kind=Kind.ALIAS)
    alias = take_one(database)
    with database.transaction() as session:
        queue.finish(session, alias)
        queue_number(session, alias, "A")

    after = row(database, "0" * 32, Kind.ALIAS)

    assert (after.resolved_key, after.resolved_seq, after.due_at) == ("A", 1, None)
    assert take_one(database).key == "A"


def test_two_aliases_of_one_number_lead_to_one_run_of_it(database: Database) -> None:
    want(database, "1" * 32, kind=Kind.ALIAS)
    want(database, "2" * 32, kind=Kind.ALIAS)

    def hand_on(alias: Claim) -> None:
        with database.transaction() as session:
            queue.finish(session, alias)
            queue_number(session, alias, "A")

    at_once([lambda alias=alias: hand_on(alias) for alias in take(database, 5)])

    claims = take(database, 5)

    assert [(claim.key, claim.seen) for claim in claims] == [("A", 2)]


def test_an_alias_that_is_the_number_itself_opens_its_row_as_served(database: Database) -> None:
    want(database, "A", kind=Kind.ALIAS, full=True)
    alias = take_one(database)
    with database.transaction() as session:
        queue.finish(session, alias)
        own = serve_itself(session, alias)

    assert own is not None
    assert (own.kind, own.key, own.done_before, own.seen, own.full) == (Kind.SUBSCRIPTION, "A", 0, 1, True)
    assert (row(database, "A").requested_seq, row(database, "A").done_seq) == (1, 1)
    assert take(database, 5) == []


def test_a_callout_while_the_row_is_being_opened_is_run_afterwards(database: Database) -> None:
    want(database, "A", kind=Kind.ALIAS)
    alias = take_one(database)
    with database.transaction() as session:
        queue.finish(session, alias)
        serve_itself(session, alias)

    assert want(database, "A") == 2
    claim = take_one(database)
    assert (claim.kind, claim.done_before, claim.seen) == (Kind.SUBSCRIPTION, 1, 2)


def test_a_number_that_was_requested_meanwhile_is_not_opened_but_read_again(database: Database) -> None:
    want(database, "A", kind=Kind.ALIAS)
    alias = take_one(database)
    want(database, "A")
    with database.transaction() as session:
        queue.finish(session, alias)
        own = serve_itself(session, alias)

    assert own is None
    assert take_one(database).done_before == 0
