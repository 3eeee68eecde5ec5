"""An answer of Zuora's that cannot be believed changes not one byte of what the store holds; the next good one does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlmodel import SQLModel

from sync_service.queue.requests import Cause, Kind, Priority, enqueue
from sync_service.store.engine import Database
from sync_service.subscription.trigger import Trigger
from tests.sweep_world import World, open_world

#: What the store says of Zuora's subscriptions, and what it remembers of reading them.
KEPT = sorted(name for name in SQLModel.metadata.tables if name.startswith("limio_") or name == "zuora_link")
#: What is wrong, with which of the answers that one sync reads.
TROUBLES = {
    "the preview lacks every line": {"kind": "empty_preview"},
    "the subscription ends in the middle": {"kind": "garbage", "path": "/v1/subscriptions/"},
    "the account ends in the middle": {"kind": "garbage", "path": "/v1/accounts/"},
    "the preview ends in the middle": {"kind": "garbage", "path": "billing-preview"},
    "the account is a web page": {"kind": "html", "path": "/v1/accounts/"},
    "the preview is refused in a good answer": {"kind": "unsuccessful", "path": "billing-preview"},
}


@pytest.fixture
def world(database: Database) -> Iterator[World]:
    """A subscription in step; then an agent raises its price and moves the customer."""
    with open_world(database) as world:
        world.subscribe("A-S1")
        world.sync("A-S1")
        world.do("change_price", key="A-S1", price="29.90")
        world.do("change_contact", key="A-of-A-S1", which="bill_to", last_name="Lovelace", city="Bath")
        yield world


def look_at_everything(world: World) -> None:
    """An operator asks for the subscription with all that belongs to it, and a worker syncs what waits."""
    with world.database.transaction() as session:
        cause = Cause(Trigger.API)
        enqueue(session, Kind.SUBSCRIPTION, "A-S1", cause, priority=Priority.EVENT, full=True)
    world.work()


def held(world: World) -> dict[str, list[Any]]:
    return {table: sorted(map(repr, world.rows(f"SELECT * FROM {table}"))) for table in KEPT}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_an_answer_that_cannot_be_believed_changes_nothing_and_the_next_good_one_everything(
    world: World, trouble: str
) -> None:
    before = held(world)
    world.do("fault", **TROUBLES[trouble], count=20)

    look_at_everything(world)

    assert held(world) == before

    world.do("clear_faults")
    world.reopen()
    world.execute("UPDATE sync_request SET due_at = {now}")
    world.work()

    after = held(world)
    changed = {table for table in KEPT if after[table] != before[table]}
    assert {"limio_schedule", "limio_address", "limio_customer", "limio_event", "zuora_link"} <= changed
    assert any("29.90" in row for row in after["limio_schedule"])
    assert any("Lovelace" in row for row in after["limio_customer"])
