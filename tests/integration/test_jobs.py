"""Periodic work: one of many schedulers runs a job, and another goes on where it was killed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from sync_service.errors import LeaseLost
from sync_service.queue import jobs
from sync_service.queue.jobs import JobLease
from sync_service.store.engine import Database
from sync_service.store.tables import JobRow
from tests.queue_world import (
    A_MINUTE,
    at_once,
    execute,
    wait_for_a_waiting_statement,
)

NAME = "full sweep"


def due(database: Database) -> None:
    jobs.ensure_job(database, NAME)


def take(database: Database) -> JobLease:
    lease = jobs.take(database, NAME)
    assert lease is not None
    return lease


def job(database: Database) -> JobRow:
    with database.reading() as session:
        (only,) = jobs.list_jobs(session)
        return only


def die(database: Database) -> None:
    """The process that holds the job died long ago."""
    execute(database, "UPDATE job SET lease_until = {now} - 1")


def wait_until_due(database: Database) -> None:
    execute(database, "UPDATE job SET due_at = {now} - 1")


def pause(database: Database) -> bool:
    with database.transaction() as session:
        return jobs.pause(session, NAME)


def resume(database: Database) -> bool:
    with database.transaction() as session:
        return jobs.resume(session, NAME)


def run_soon(database: Database) -> bool:
    with database.transaction() as session:
        return jobs.run_soon(session, NAME)


def test_one_of_many_schedulers_runs_a_job(database: Database) -> None:
    due(database)

    leases = at_once([lambda: jobs.take(database, NAME)] * 8)

    assert len([lease for lease in leases if lease is not None]) == 1


def test_a_job_that_another_process_is_just_taking_is_not_taken_twice(postgres: Database) -> None:
    due(postgres)

    with ThreadPoolExecutor(1) as pool:
        with postgres.transaction() as other:
            taken = "UPDATE job SET token = token + 1, lease_until = {now} + 60000"
            other.run(taken)
            second = pool.submit(jobs.take, postgres, NAME)
            wait_for_a_waiting_statement(postgres)
        assert second.result(timeout=30) is None


def test_making_a_job_twice_leaves_it_as_it_is(database: Database) -> None:
    due(database)
    jobs.done(database, take(database), next_due_in_ms=A_MINUTE)
    before = job(database)
    due(database)

    assert job(database) == before


def test_a_job_is_not_run_before_its_time(database: Database) -> None:
    jobs.ensure_job(database, NAME, first_due_in_ms=A_MINUTE)

    assert jobs.take(database, NAME) is None


def test_a_job_that_was_never_made_is_not_run(database: Database) -> None:
    assert jobs.take(database, "no such job") is None
    assert not pause(database)
    assert not run_soon(database)


def test_a_job_that_is_done_is_due_again_later_and_begins_anew(database: Database) -> None:
    due(database)
    lease = take(database)
    jobs.save(database, lease, cursor={"after": "N-7"}, progress={"seen": 7})
    jobs.done(database, lease, next_due_in_ms=A_MINUTE)
    at_once_again = jobs.take(database, NAME)
    wait_until_due(database)

    again = take(database)

    assert at_once_again is None
    assert (again.cursor, again.progress) == ({}, {"seen": 7})
    assert job(database).last_ended is not None


def test_another_goes_on_from_the_cursor_of_one_that_was_killed(database: Database) -> None:
    due(database)
    jobs.save(database, take(database), cursor={"after": "N-7"}, progress={"seen": 7})
    meanwhile = jobs.take(database, NAME)
    die(database)

    heir = take(database)

    assert meanwhile is None
    assert (heir.cursor, heir.progress) == ({"after": "N-7"}, {"seen": 7})


def test_who_lost_the_job_saves_nothing(database: Database) -> None:
    due(database)
    late = take(database)
    die(database)
    heir = take(database)
    jobs.save(database, heir, cursor={"after": "N-9"}, progress={})

    with pytest.raises(LeaseLost):
        jobs.save(database, late, cursor={"after": "N-1"}, progress={})
    with pytest.raises(LeaseLost):
        jobs.done(database, late, next_due_in_ms=A_MINUTE)
    with pytest.raises(LeaseLost):
        jobs.put_back(database, late)

    assert job(database).cursor == {"after": "N-9"}
    assert jobs.save(database, heir, cursor={}, progress={})


def test_saving_renews_the_lease(database: Database) -> None:
    due(database)
    lease = take(database)
    die(database)

    assert jobs.save(database, lease, cursor={}, progress={})
    assert jobs.take(database, NAME) is None


def test_a_paused_job_does_not_start(database: Database) -> None:
    due(database)
    assert pause(database)
    paused = jobs.take(database, NAME)
    assert resume(database)

    assert paused is None
    assert take(database).token == 1


def test_a_job_paused_during_its_run_stops_at_the_next_save_and_goes_on_from_there(database: Database) -> None:
    due(database)
    lease = take(database)
    pause(database)

    go_on = jobs.save(database, lease, cursor={"after": "N-7"}, progress={})

    assert not go_on
    assert jobs.take(database, NAME) is None
    resume(database)
    assert take(database).cursor == {"after": "N-7"}


def test_a_job_put_back_goes_on_elsewhere_from_its_cursor(database: Database) -> None:
    due(database)
    lease = take(database)
    jobs.save(database, lease, cursor={"after": "N-7"}, progress={})
    jobs.put_back(database, lease)

    assert take(database).cursor == {"after": "N-7"}


def test_a_job_put_back_with_an_error_waits_and_says_so(database: Database) -> None:
    due(database)
    jobs.put_back(database, take(database), error="Zuora is away.", retry_in_ms=A_MINUTE)

    assert jobs.take(database, NAME) is None
    assert job(database).last_error == "Zuora is away."


def test_a_good_end_forgets_the_error_before(database: Database) -> None:
    due(database)
    jobs.done(database, take(database), next_due_in_ms=0, error="no luck")
    jobs.done(database, take(database), next_due_in_ms=0)

    assert job(database).last_error is None


def test_a_job_can_be_asked_for_at_once(database: Database) -> None:
    due(database)
    jobs.done(database, take(database), next_due_in_ms=A_MINUTE)

    assert run_soon(database)
    assert take(database).token == 2


def test_a_job_asked_for_during_its_run_runs_once_more(database: Database) -> None:
    due(database)
    lease = take(database)
    run_soon(database)
    jobs.done(database, lease, next_due_in_ms=A_MINUTE)

    assert take(database).token == 2
