"""Every order of events around the queue, in small worlds: nothing is lost and nothing goes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import SQLModel

from sync_service.store.engine import Database, connect
from tests.queue_model import World, explore, the_connection
from tests.queue_world import TABLES

ONE_KEY: dict[str, str | None] = {"A": None}
TWO_KEYS: dict[str, str | None] = {"A": None, "B": None}
TWO_KEYS_OF_ONE_CUSTOMER: dict[str, str | None] = {"A": "C", "B": "C"}

#: Far more than one random walk uses up.
PLENTY = dict.fromkeys(("change", "full", "claim", "expire", "crash", "retry", "release", "fail"), 100)


@pytest.fixture
def copyable(tmp_path: Path) -> Iterator[Database]:
    """SQLite with one connection, whose whole content can be copied and put back."""
    database = connect(f"sqlite:///{tmp_path / 'store.db'}", pool_size=1)
    SQLModel.metadata.create_all(database.engine, tables=[SQLModel.metadata.tables[name] for name in TABLES])
    with the_connection(database) as driver:
        driver.execute("PRAGMA journal_mode=DELETE")
    yield database
    database.engine.dispose()


@pytest.mark.parametrize(
    ("customers", "budget", "fewest_states"),
    [
        pytest.param(ONE_KEY, {"change": 2, "claim": 2, "expire": 1}, 100, id="one number"),
        pytest.param(
            ONE_KEY, {"change": 2, "claim": 3, "expire": 2}, 550, id="one number, far", marks=pytest.mark.long
        ),
        pytest.param(ONE_KEY, {"change": 1, "full": 1, "claim": 2, "expire": 1}, 200, id="reading everything"),
        pytest.param(
            ONE_KEY,
            {"change": 2, "claim": 2, "expire": 1, "retry": 1, "fail": 1, "release": 1},
            250,
            id="runs that do not end well",
        ),
        pytest.param(TWO_KEYS, {"change": 2, "claim": 2, "expire": 1}, 300, id="two numbers"),
        pytest.param(
            TWO_KEYS_OF_ONE_CUSTOMER, {"change": 2, "claim": 2, "expire": 0}, 500, id="two numbers of one customer"
        ),
        pytest.param(
            TWO_KEYS_OF_ONE_CUSTOMER, {"change": 1, "claim": 2, "expire": 1}, 130, id="of one customer, with a death"
        ),
    ],
)
def test_whatever_the_order_the_store_ends_at_zuoras_newest_state(
    copyable: Database, customers: dict[str, str | None], budget: dict[str, int], fewest_states: int
) -> None:
    """A worker that is never stepped again is one that was killed there; its lease may end at any point."""
    assert explore(World(copyable, customers, budget)) > fewest_states


def test_without_the_read_guard_an_older_read_of_the_customer_wins(copyable: Database) -> None:
    """The model can fail: two numbers of one customer, read at overlapping times."""
    world = World(copyable, TWO_KEYS_OF_ONE_CUSTOMER, {"change": 2, "claim": 2, "expire": 0}, read_guard=False)

    with pytest.raises(AssertionError, match="C went back"):
        explore(world)


@pytest.mark.hypothesis  # `given` inside of a test does not say so itself
@pytest.mark.parametrize("customers", [ONE_KEY, TWO_KEYS_OF_ONE_CUSTOMER], ids=["one number", "one customer"])
def test_long_walks_end_at_zuoras_newest_state(database: Database, customers: dict[str, str | None]) -> None:
    @settings(suppress_health_check=list(HealthCheck))
    @given(st.lists(st.integers(0, 2**16), min_size=5, max_size=45))
    def walk(choices: list[int]) -> None:
        world = World(database, customers, PLENTY)
        for choice in choices:
            actions = world.actions()
            world.do(actions[choice % len(actions)])
        world.settle()

    walk()
