"""Zuora does not permit the billing preview and the schedule cannot be computed: people see it, and once is enough."""

from __future__ import annotations

import json
from collections.abc import Iterator

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
def world(database: Database) -> Iterator[World]:
    """One subscription in step, with a charge whose amounts only Zuora knows; then the permission is withdrawn."""
    with open_world(database) as world:
        world.subscribe("A-S1")
        world.do("suspend", key="A-S1")
        world.sync("A-S1")
        world.do("fault", kind="preview_not_permitted")
        yield world


def tell(world: World) -> None:
    """A callout tells that something may have changed, and a worker reads everything."""
    with world.database.transaction() as session:
        cause = Cause(Trigger.CALLOUT)
        enqueue(session, Kind.SUBSCRIPTION, "A-S1", cause, priority=Priority.EVENT, full=True)
    world.work()


def notes(world: World) -> list[list[str]]:
    """What the runs of the history say, but for the first one's import."""
    plans = [row[0] for row in world.rows("SELECT plan FROM sync_run WHERE outcome = 'unchanged' ORDER BY id")]
    return [(json.loads(plan) if isinstance(plan, str) else plan)["notes"] for plan in plans]


def shown(world: World) -> str:
    with world.database.reading() as session:
        return show_why(why(session, "A-S1"), find_subscription(session, "A-S1"), read_link(session, "A-S1"))


def test_the_first_run_that_finds_it_is_kept_and_its_repetition_is_not(world: World) -> None:
    tell(world)
    tell(world)

    (said,) = notes(world)
    assert len(said) == 1
    assert said[0].startswith("The schedule was left alone: Zuora does not permit the billing preview, and")


def test_an_operator_who_asks_why_sees_that_the_schedule_is_not_kept_in_step(world: World) -> None:
    before = shown(world)
    tell(world)

    assert "not kept in step" not in before
    assert "its schedule is not kept in step: Zuora does not permit the billing preview, and" in shown(world)


def test_it_is_looked_at_again_within_a_month(world: World) -> None:
    tell(world)

    soon = "SELECT count(*) FROM zuora_link WHERE look_again_on <= :day"
    day = world.zuora.emulator.tenant.now().date()
    month = day.replace(year=day.year + day.month // 12, month=day.month % 12 + 1, day=min(day.day, 28))
    assert world.rows(soon, day=month.isoformat()) == [(1,)]


def test_nothing_is_said_any_more_once_zuora_permits_it_again(world: World) -> None:
    tell(world)
    world.do("clear_faults")

    tell(world)

    assert "not kept in step" not in shown(world)
    assert len(notes(world)) == 1
