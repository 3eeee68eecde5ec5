"""What an operator who pressed Sync sees while a worker is at it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from sync_service.queue.fate import Ticket
from sync_service.queue.requests import Cause, Kind, Priority, enqueue
from sync_service.store.engine import Database
from sync_service.subscription.trigger import Trigger
from sync_service.web.admin.progress import STEPS, read_progress
from tests.sweep_world import World, open_world


@pytest.fixture
def world(database: Database) -> Iterator[World]:
    with open_world(database) as world:
        world.subscribe("A-S1")
        world.sync("A-S1")
        world.do("change_name", key="A-of-A-S1", which="bill_to", last_name="Hopper")
        yield world


def press_sync(world: World) -> int:
    cause = Cause(Trigger.ADMIN, "ada@example.com")
    with world.database.transaction() as session:
        return enqueue(session, Kind.SUBSCRIPTION, "A-S1", cause, priority=Priority.PERSON, full=True)


def step(world: World, seq: int) -> str:
    with world.database.reading() as session:
        found = read_progress(session, world.context.share, Ticket(Kind.SUBSCRIPTION, "A-S1", seq))
    assert found is not None
    return STEPS[found.step]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # on SQLite no row can keep one writer waiting
def test_an_operator_who_watches_sees_that_a_worker_has_read_and_compares(world: World) -> None:
    seq = press_sync(world)
    worker = threading.Thread(target=world.work)
    seen = [step(world, seq)]

    with world.database.transaction() as in_the_way:
        in_the_way.connection().exec_driver_sql("SELECT id FROM limio_customer FOR UPDATE").all()
        worker.start()
        deadline = time.monotonic() + 30
        while seen[-1] != "Comparing" and time.monotonic() < deadline:
            now = step(world, seq)
            seen += [now] if now != seen[-1] else []
            time.sleep(0.005)
    worker.join(30)

    assert [*seen, step(world, seq)] == list(STEPS)


def test_a_sync_begins_at_reading_again_whatever_the_last_one_had_noted(world: World) -> None:
    press_sync(world)
    world.work()
    assert [noted is not None for (noted,) in world.rows("SELECT read_at FROM sync_request")] == [True]

    world.sync("A-S1")

    assert world.rows("SELECT read_at FROM sync_request") == [(None,)]
