"""What the worker's threads do at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from sync_service.cli.contexts import open_ordering
from sync_service.queue.questions import PLAN, leave, read_answer
from sync_service.queue.requests import Cause, Kind, Priority, enqueue_many
from sync_service.store.engine import Database
from sync_service.subscription.trigger import Trigger
from sync_service.sync.worker import Worker
from tests.sweep_world import World, open_world


@contextmanager
def working(world: World, threads: int) -> Iterator[None]:
    worker = Worker(world.context, threads, open_ordering(world.context))
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(60)


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline, "it never happens"
        time.sleep(0.01)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # on SQLite no row can keep one writer waiting
def test_while_one_sync_writes_another_may_call_zuora_in_its_place(database: Database) -> None:
    with open_world(database, zuora_max_concurrency=1) as world:
        world.subscribe("A-S1", "A-S2")
        world.sync("A-S1")
        cause = Cause(Trigger.CALLOUT)
        enqueue_many(database, Kind.SUBSCRIPTION, ["A-S1"], cause, priority=Priority.EVENT, full=True)
        with working(world, threads=2):
            with database.transaction() as in_the_way:
                in_the_way.connection().exec_driver_sql("SELECT id FROM limio_customer FOR UPDATE").all()
                enqueue_many(database, Kind.SUBSCRIPTION, ["A-S2"], cause, priority=Priority.JOB)

                wait_until(lambda: "A-S2" not in world.waiting())

                assert world.waiting() == {"A-S1"}
            wait_until(lambda: "A-S1" not in world.waiting())


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # on SQLite it stops all writers
def test_the_next_run_begins_in_the_place_of_one_that_has_read_though_none_can_be_claimed(database: Database) -> None:
    with open_world(database, zuora_max_concurrency=2) as world:
        numbers = [f"A-S{n}" for n in range(1, 6)]
        world.subscribe(*numbers)
        world.sync(*numbers)
        world.do("fault", kind="latency", seconds=0.5, path="GET /v1/subscriptions/")
        traffic = world.zuora.emulator.traffic
        traffic.reset()
        cause = Cause(Trigger.CALLOUT)
        enqueue_many(database, Kind.SUBSCRIPTION, numbers, cause, priority=Priority.EVENT, full=True)
        with working(world, threads=4):
            wait_until(lambda: world.rows("SELECT count(*) FROM sync_request WHERE lease_until > 0") == [(3,)])
            with database.transaction() as in_the_way:
                in_the_way.run("SELECT * FROM zuora_limit FOR UPDATE").all()  # no claims
                in_the_way.run("SELECT id FROM limio_customer FOR UPDATE").all()  # no ends

                wait_until(lambda: traffic.listed()["calls"].get("GET /v1/subscriptions/{key}") == 3)

                assert world.waiting() == set(numbers)
            wait_until(lambda: not world.waiting())


@pytest.mark.timeout(60)
def test_a_question_is_answered_while_a_backlog_keeps_every_place_and_thread(database: Database) -> None:
    with open_world(database, zuora_max_concurrency=2) as world:
        numbers = [f"A-S{n}" for n in range(1, 41)]
        world.subscribe(*numbers)
        world.do("fault", kind="latency", seconds=0.2, path="GET /v1/subscriptions/")
        cause = Cause(Trigger.CALLOUT)
        enqueue_many(database, Kind.SUBSCRIPTION, numbers, cause, priority=Priority.EVENT, full=True)
        with working(world, threads=2):
            wait_until(lambda: world.rows("SELECT sum(calls) FROM zuora_lease") == [(2,)])
            with database.transaction() as session:
                ask = leave(session, PLAN, "A-S1", "a person")

            wait_until(lambda: world.rows("SELECT count(*) FROM ask WHERE answered_at IS NOT NULL") == [(1,)])

            assert len(world.waiting()) > 10
            with database.reading() as session:
                answer = read_answer(session, ask)
            assert answer is not None
            assert answer.error is None


def test_after_its_last_call_a_run_makes_no_other(sqlite_database: Database) -> None:
    with open_world(sqlite_database) as world:
        world.subscribe("A-S1")
        reading = world.context.zuora.reading()
        reading.fetch_subscription("A-S1")

        reading.end()

        with pytest.raises(RuntimeError, match="after the last one"):
            reading.fetch_subscription("A-S1")


def test_a_worker_that_is_stopped_while_zuora_does_not_answer_gives_back_what_it_had(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync_service.sync.worker.GRACE_SECONDS", 1.0)
    with open_world(sqlite_database) as world:
        numbers = [f"A-S{n}" for n in range(1, 6)]
        world.subscribe(*numbers)
        world.do("fault", kind="latency", seconds=5, path="GET /v1/subscriptions/")
        cause = Cause(Trigger.CALLOUT)
        enqueue_many(sqlite_database, Kind.SUBSCRIPTION, numbers, cause, priority=Priority.EVENT)
        worker = Worker(world.context, 2, open_ordering(world.context))
        ended: list[bool] = []
        thread = threading.Thread(target=lambda: ended.append(worker.run()))
        thread.start()
        leased = "SELECT count(*) FROM sync_request WHERE lease_until IS NOT NULL"
        wait_until(lambda: world.rows(leased) == [(3,)])  # two call, and one was claimed ahead

        worker.stop()
        wait_until(lambda: world.rows(leased) == [(2,)])  # what has not begun is for others at once
        thread.join(30)

        assert ended == [False]  # a thread still waits for Zuora
        assert world.rows(leased) == [(0,)]
        assert world.rows("SELECT attempts FROM sync_request WHERE due_at IS NOT NULL") == [(0,)] * 5
        assert world.rows("SELECT count(*) FROM zuora_lease") == [(0,)]
