"""The delta sweep: what nobody told us of is found once, what is equal costs nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sync_service.db import Database
from tests.sweep_world import World, open_world


@pytest.fixture
def world(database: Database) -> Iterator[World]:
    with open_world(database) as world:
        world.subscribe("A-S1", "A-S2", "A-S3")
        world.sync("A-S1", "A-S2", "A-S3")
        yield world


def test_nothing_is_asked_for_where_nothing_changed(world: World) -> None:
    report = world.sweep()

    assert world.waiting() == set()
    assert report["looked_at"] == {"subscriptions": 3, "accounts": 3, "contacts": 3}
    assert report.get("marked", 0) == 0


def test_a_change_whose_callout_was_lost_is_found(world: World) -> None:
    world.do("auto_renew", key="A-S2", value="off")

    report = world.sweep()

    assert world.waiting() == {"A-S2"}
    assert report["drift"] == 1
    assert report["drift_numbers"] == ["A-S2"]
    assert report["reasons"] == {"another version": 1}


def test_the_overlap_asks_for_nothing_twice(world: World) -> None:
    world.do("auto_renew", key="A-S2", value="off")
    world.sweep()

    reports = [world.sweep() for _ in range(3)]
    world.work()
    reports.append(world.sweep())

    assert [report.get("marked", 0) for report in reports] == [0, 0, 0, 0]
    assert len(world.rows("SELECT 1 FROM sync_cause WHERE key = 'A-S2' AND trigger = 'sweep'")) == 1
