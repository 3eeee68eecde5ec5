"""Two subscriptions of one customer are synced at the same time: the older read never wins."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from sync_service.queue.claims import claim_one
from sync_service.queue.requests import Cause, Kind, Priority, enqueue
from sync_service.queue.runs.history import Outcome
from sync_service.store.engine import Database
from sync_service.subscription.trigger import Trigger
from sync_service.sync.attempt import Attempt, sync_subscription
from sync_service.zuora.preview import SharedPreviews
from tests.sweep_world import World, open_world


@pytest.fixture
def world(database: Database) -> Iterator[World]:
    with open_world(database) as world:
        world.subscribe("A-S1", "A-S2", account="A-1")
        world.sync("A-S1", "A-S2")
        yield world


def overtake(world: World) -> None:
    """Once everything is read for the first subscription, the customer changes and the other one is synced."""
    world.do("change_name", key="A-1", which="bill_to", last_name="Hopper")
    world.sync("A-S2")


def sync_all_of(world: World, number: str, *, when_read: Callable[[], object]) -> Outcome:
    """One run that reads everything of a number; `when_read` is called before it writes."""
    context = world.context
    with world.database.transaction() as session:
        cause = Cause(Trigger.CALLOUT)
        enqueue(session, Kind.SUBSCRIPTION, number, cause, priority=Priority.EVENT, full=True)
    claim = claim_one(world.database, Kind.SUBSCRIPTION, number, context.share)
    assert claim is not None
    reading = context.zuora.reading()
    reading.when_ended(when_read)
    return sync_subscription(Attempt(context=context, claim=claim, reading=reading, previews=SharedPreviews()))


def customers(world: World) -> str:
    return str(world.rows("SELECT document FROM limio_customer"))


def test_a_customer_keeps_what_was_read_later_and_is_looked_at_again(world: World) -> None:
    world.do("change_name", key="A-1", which="bill_to", last_name="Lovelace")

    sync_all_of(world, "A-S1", when_read=lambda: overtake(world))

    assert "Hopper" in customers(world)
    assert "Lovelace" not in customers(world)
    assert world.waiting() == {"A-S1"}
    world.work()
    assert "Hopper" in customers(world)


def test_a_run_that_found_the_customer_equal_notices_an_older_read_that_is_written_meanwhile(world: World) -> None:
    """Both read while Zuora changes the name and changes it back: only the second one has the name that stays."""
    has_read, may_write = threading.Event(), threading.Event()

    def read_and_wait() -> None:
        has_read.set()
        may_write.wait(30)

    older = threading.Thread(target=sync_all_of, args=(world, "A-S2"), kwargs={"when_read": read_and_wait})

    def let_older_write() -> None:
        may_write.set()
        older.join(30)
        assert "Lovelace" in customers(world)

    world.do("change_name", key="A-1", which="bill_to", last_name="Lovelace")
    older.start()
    has_read.wait(30)
    world.do("change_name", key="A-1", which="bill_to", last_name="A-S1")

    sync_all_of(world, "A-S1", when_read=let_older_write)
    world.work()

    assert "Ada A-S1" in customers(world)
    assert "Lovelace" not in customers(world)
