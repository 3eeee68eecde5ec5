"""A sync tells other systems what it changed, and nothing where it changed nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sync_service.store.engine import Database
from tests.sweep_world import World, open_world
from tests.webhook_world import add_endpoint, deliveries


@pytest.fixture
def world(sqlite_database: Database) -> Iterator[World]:
    with open_world(sqlite_database) as world:
        world.subscribe("A-S1")
        add_endpoint(sqlite_database, "http://127.0.0.1:1/hook")
        yield world


def told(world: World) -> list[dict[str, Any]]:
    return [json.loads(each.body) for each in deliveries(world.database)]


def test_an_import_a_change_and_nothing_else(world: World) -> None:
    world.sync("A-S1")
    world.sync("A-S1")
    world.do("auto_renew", key="A-S1", value="off")
    world.sync("A-S1")
    world.sync("A-S1")

    imported, changed = told(world)
    assert (imported["type"], changed["type"]) == ("subscription.imported", "subscription.changed")
    [(subscription_id, owner)] = world.rows("SELECT id, owner FROM limio_subscription")
    assert imported["data"] | {"event": None, "changes": None} == {
        "subscription": subscription_id,
        "number": "A-S1",
        "owner": owner,
        "event": None,
        "changes": None,
    }
    assert {"change": "create", "record_type": "customer"} in imported["data"]["changes"]
    assert changed["data"]["changes"] == [
        {
            "change": "update",
            "record_type": "subscription",
            "id": subscription_id,
            "fields": ["data.attributes.autoRenew"],
        }
    ]
    assert [each.object_id for each in deliveries(world.database)] == [subscription_id] * 2
    events = {row[0] for row in world.rows("SELECT id FROM limio_event")}
    assert events == {imported["data"]["event"], changed["data"]["event"]}


def test_no_personal_value_is_in_it(world: World) -> None:
    world.do("create_account", number="A-ADA", first_name="Ada", last_name="Byron", personal_email="ada@example.com")
    world.subscribe("A-S2", account="A-ADA")
    world.sync("A-S2")

    [row] = deliveries(world.database)
    assert "byron" not in row.body.lower()
    assert "ada@" not in row.body.lower()
