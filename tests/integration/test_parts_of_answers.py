"""An answer of Zuora's lacks one part: what depends on that part waits, everything else is synced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sync_service.cli.show import show_why
from sync_service.queue.requests import Cause, Kind, Priority, enqueue
from sync_service.queue.runs.history import why
from sync_service.store.engine import Database
from sync_service.store.object_rows import find_subscription
from sync_service.store.reads import read_link
from sync_service.subscription.trigger import Trigger
from tests.sweep_world import World, open_world


@pytest.fixture
def world(sqlite_database: Database) -> Iterator[World]:
    """One subscription in step; then its customer moves, and an agent cancels it at once."""
    with open_world(sqlite_database) as world:
        world.subscribe("A-S1")
        world.sync("A-S1")
        world.pass_time(minutes=5)
        world.do("change_contact", key="A-of-A-S1", first_name="Augusta", city="Bath")
        world.do("cancel", key="A-S1")
        yield world


def tell(world: World, *, full: bool = False) -> None:
    """A callout tells that something changed; an account's tells that everything is to be read."""
    with world.database.transaction() as session:
        cause = Cause(Trigger.CALLOUT)
        enqueue(session, Kind.SUBSCRIPTION, "A-S1", cause, priority=Priority.EVENT, full=full)
    world.work()


def document(world: World) -> Any:
    with world.database.reading() as session:
        found = find_subscription(session, "A-S1")
        assert found is not None
        return found.document


def coming(world: World) -> int:
    """Payments that are still to come."""
    return int(world.rows("SELECT count(*) FROM limio_schedule WHERE status = 'pending-external'")[0][0])


def cities(world: World) -> set[str]:
    return {row[0] for row in world.rows("SELECT document ->> '$.data.city' FROM limio_address")}


def names(world: World) -> set[str]:
    return {row[0] for row in world.rows("SELECT document ->> '$.data.name' FROM limio_customer")}


def failures(world: World) -> list[Any]:
    return world.rows("SELECT error FROM sync_run WHERE error IS NOT NULL")


def shown(world: World) -> str:
    with world.database.reading() as session:
        return show_why(why(session, "A-S1"), find_subscription(session, "A-S1"), read_link(session, "A-S1"))


def test_without_rate_plans_the_cancellation_and_the_address_arrive_and_no_payment_is_touched(world: World) -> None:
    before = coming(world)
    world.do("fault", kind="without", part="ratePlans", path="GET /v1/subscriptions/")

    tell(world, full=True)

    assert failures(world) == []
    assert document(world)["status"] == "cancelled"
    assert document(world)["data"]["attributes"]["autoRenew"] is False
    assert (cities(world), names(world)) == ({"Leeds", "Bath"}, {"Augusta A-S1"})
    assert coming(world) == before > 1
    assert "its schedule is not kept in step: Zuora's answer names no rate plans" in shown(world)


def test_the_payments_follow_once_the_rate_plans_are_told_again(world: World) -> None:
    world.do("fault", kind="without", part="ratePlans", path="GET /v1/subscriptions/")
    tell(world)
    world.do("clear_faults")

    tell(world)

    assert coming(world) == 0
    assert "not kept in step" not in shown(world)


def test_without_the_accounts_basics_its_contacts_and_all_else_arrive(world: World) -> None:
    world.do("fault", kind="without", part="basicInfo", path="GET /v1/accounts/")

    tell(world, full=True)

    assert failures(world) == []
    assert document(world)["status"] == "cancelled"
    assert (cities(world), names(world), coming(world)) == ({"Leeds", "Bath"}, {"Augusta A-S1"}, 0)


def test_without_the_accounts_contacts_term_and_payments_arrive_and_the_next_look_reads_them(world: World) -> None:
    for part in ("billToContact", "soldToContact"):
        world.do("fault", kind="without", part=part, path="GET /v1/(accounts|subscriptions)/")

    tell(world)

    assert failures(world) == []
    assert document(world)["status"] == "cancelled"
    assert (cities(world), names(world), coming(world)) == ({"Leeds"}, {"Ada A-S1"}, 0)

    world.do("clear_faults")
    tell(world)

    assert (cities(world), names(world)) == ({"Leeds", "Bath"}, {"Augusta A-S1"})
