"""Two subscriptions of one customer are synced at the same time: the older read never wins."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sync_service.queue.requests import Cause, Kind, Priority, claim_one, enqueue
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


def test_a_customer_keeps_what_was_read_later_and_is_looked_at_again(world: World) -> None:
    context = world.context
    with world.database.transaction() as session:
        cause = Cause(Trigger.CALLOUT)
        enqueue(session, Kind.SUBSCRIPTION, "A-S1", cause, priority=Priority.EVENT, full=True)
    world.do("change_name", key="A-1", which="bill_to", last_name="Lovelace")
    claim = claim_one(world.database, Kind.SUBSCRIPTION, "A-S1", context.share)
    assert claim is not None
    reading = context.zuora.reading()
    reading.when_ended(lambda: overtake(world))

    sync_subscription(Attempt(context=context, claim=claim, reading=reading, previews=SharedPreviews()))

    customers = "SELECT document FROM limio_customer"
    assert "Hopper" in str(world.rows(customers))
    assert "Lovelace" not in str(world.rows(customers))
    assert world.waiting() == {"A-S1"}
    world.work()
    assert "Hopper" in str(world.rows(customers))
