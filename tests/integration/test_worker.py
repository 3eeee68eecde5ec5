"""What the worker's threads do at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sync_service.cli.contexts import open_ordering
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


def wait_until_served(world: World, key: str) -> None:
    deadline = time.monotonic() + 30
    while key in world.waiting():
        assert time.monotonic() < deadline, f"{key} still waits"
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

                wait_until_served(world, "A-S2")

                assert world.waiting() == {"A-S1"}
            wait_until_served(world, "A-S1")


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
    monkeypatch.setattr("sync_service.sync.worker.GRACE_SECONDS", 0.2)
    with open_world(sqlite_database) as world:
        world.subscribe("A-S1")
        world.do("fault", kind="latency", seconds=5, path="GET /v1/subscriptions/")
        cause = Cause(Trigger.CALLOUT)
        enqueue_many(sqlite_database, Kind.SUBSCRIPTION, ["A-S1"], cause, priority=Priority.EVENT)
        worker = Worker(world.context, 2, open_ordering(world.context))
        ended: list[bool] = []
        thread = threading.Thread(target=lambda: ended.append(worker.run()))
        thread.start()
        leased = "SELECT count(*) FROM sync_request WHERE lease_until IS NOT NULL"
        deadline = time.monotonic() + 30
        while world.rows(leased) != [(1,)]:
            assert time.monotonic() < deadline, "nothing was claimed"
            time.sleep(0.01)

        worker.stop()
        thread.join(30)

        assert ended == [False]  # a thread still waits for Zuora
        assert world.rows(leased) == [(0,)]
        assert world.rows("SELECT attempts FROM sync_request WHERE due_at IS NOT NULL") == [(0,)]
