"""The database goes away under a running sync: the number is taken up at once when it is back."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from sync_service.store.engine import Database
from sync_service.sync import worker
from tests.sweep_world import open_world


def test_a_sync_whose_database_went_away_needs_not_wait_for_the_end_of_its_lease(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_claim, away = worker.run_claim, [True, True]

    def run_while_away(*claimed: Any, **told: Any) -> int:
        if away:
            away.pop()
            raise OperationalError("COMMIT", None, ConnectionError("the server closed the connection"))
        return run_claim(*claimed, **told)

    monkeypatch.setattr(worker, "run_claim", run_while_away)
    with open_world(database) as world:
        world.subscribe("A-S1", "A-S2")

        world.sync("A-S1", "A-S2")

        assert world.rows("SELECT key, attempts FROM sync_request WHERE due_at IS NOT NULL") == []
        assert sorted(world.rows("SELECT number FROM zuora_link")) == [("A-S1",), ("A-S2",)]


def test_a_sync_that_broke_for_another_reason_waits_for_its_turn(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_: Any, **__: Any) -> int:
        raise KeyError("a mistake of ours")

    monkeypatch.setattr(worker, "run_claim", break_down)
    with open_world(sqlite_database) as world:
        world.subscribe("A-S1")

        world.sync("A-S1")

        assert world.rows("SELECT attempts, lease_until IS NOT NULL FROM sync_request") == [(1, 1)]
