"""A dry run says what syncs would change, calls Zuora within the limits, and writes nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import text

from sync_service.jobs.backfill.dry_run import Summary, count_changes, forecast_backfill
from sync_service.jobs.backfill.sources import FileKeys, TenantKeys
from sync_service.store.engine import Database
from sync_service.sync.forecast import Forecast
from tests.integration.test_backfill import file_of
from tests.sweep_world import World, open_world
from zuora_emulator.bulk import Bulk

#: What a dry run may write: its place among those who call Zuora, and the calls it made.
ITS_OWN = {"zuora_limit", "zuora_lease"}


@pytest.fixture
def world(sqlite_database: Database) -> Iterator[World]:
    with open_world(sqlite_database, bulk=Bulk(count=8)) as world:
        yield world


def forecast(world: World, source: Any, **options: Any) -> tuple[Summary, list[Forecast]]:
    kept: list[Forecast] = []
    values: dict[str, Any] = {"threads": 3, "limit": None, "stop": threading.Event(), "tell": lambda *_: None}
    try:
        return forecast_backfill(world.context, source, keep=kept.append, **(values | options)), kept
    finally:
        source.close()


def contents(world: World) -> dict[str, list[Any]]:
    with world.database.reading() as session:
        run = session.connection().execute
        names = run(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars().all()
        return {name: run(text(f"SELECT * FROM {name}")).all() for name in names if name not in ITS_OWN}


def test_it_counts_what_would_change_and_writes_nothing(world: World) -> None:
    numbers = [f"A-S9{place:07d}" for place in range(4)]
    world.sync(*numbers)
    world.do("renew", key=numbers[0])
    world.do("cancel", key=numbers[1], on="term_end")
    world.do("change_contact", key="A90000002", last_name="Newname", personal_email="newname@example.com")
    before = contents(world)

    summary, kept = forecast(world, TenantKeys(world.context, None))

    assert contents(world) == before
    assert (summary.looked, summary.complete, summary.failed) == (8, True, 0)
    assert (summary.imported, summary.changed, summary.up_to_date) == (4, 3, 1)
    assert summary.changes["subscriptions imported"] == 4
    assert summary.changes["term end dates changed"] == 1
    assert summary.changes["customer names changed"] == 1
    assert summary.changes["customer email addresses changed"] == 1
    assert summary.changes["auto-renew flags changed"] == 1
    assert {each.key for each in kept} == {f"A-S9{place:07d}" for place in range(8)}


def test_what_it_foretells_is_what_a_sync_then_does(world: World) -> None:
    _, kept = forecast(world, file_of("A-S90000001"))
    (foretold,) = kept
    assert foretold.plan is not None

    world.sync("A-S90000001")

    ((count,),) = world.rows("SELECT change_count FROM sync_run")
    assert count == len(foretold.plan.changes) == sum(count_changes(foretold.plan).values())


def test_it_looks_at_no_more_than_it_is_told_to(world: World) -> None:
    summary, _ = forecast(world, TenantKeys(world.context, None), limit=3)

    assert (summary.looked, summary.complete) == (3, False)
    assert summary.calls >= 9


def test_what_cannot_be_told_is_named_with_the_reason(world: World) -> None:
    world.do("fault", kind="error", path="A-S90000001", code=50000020, message="No such field.")

    summary, kept = forecast(world, file_of("A-S90000001", "UNKNOWN", "A-S90000002"))

    assert (summary.looked, summary.failed, summary.imported) == (3, 2, 1)
    reasons = {each.key: each.error or "" for each in kept if each.error}
    assert "Neither Limio nor Zuora knows this key" in reasons["UNKNOWN"]
    assert "No such field." in reasons["A-S90000001"]


def test_a_number_that_zuora_always_breaks_off_at_does_not_hold_up_the_others(world: World) -> None:
    world.do("fault", kind="cut", path="A-S90000001")

    summary, kept = forecast(world, file_of("A-S90000001", "A-S90000002"), tell=lambda *_: world.reopen(), threads=1)

    assert (summary.imported, summary.failed) == (1, 1)
    assert any((each.error or "").startswith("zuora unavailable: ") for each in kept)


def test_it_takes_no_more_places_than_the_settings_allow(sqlite_database: Database) -> None:
    with open_world(sqlite_database, bulk=Bulk(count=6), zuora_max_concurrency=1) as world:
        world.do("fault", kind="latency", seconds=0.05)

        summary, _ = forecast(world, TenantKeys(world.context, None))

        assert summary.looked == 6
        most = world.zuora.emulator.traffic.listed()["most_at_once"]
        assert most["Default"] == 1
        assert world.rows("SELECT count(*) FROM zuora_lease") == [(0,)]


def test_while_zuora_is_in_trouble_it_waits(world: World) -> None:
    world.do("fault", kind="rate_limit", path="/v1/subscriptions", count=1, retry_after=1000)

    def tell(_: Summary, __: int | None) -> None:
        world.reopen()

    summary, _ = forecast(world, file_of("A-S90000001"), tell=tell)

    assert (summary.looked, summary.failed) == (1, 0)


def test_it_stops_when_told_to(world: World) -> None:
    stop = threading.Event()

    def tell(summary: Summary, _: int | None) -> None:
        if summary.looked:
            stop.set()

    summary, _ = forecast(world, TenantKeys(world.context, None), threads=1, tell=tell, stop=stop)

    assert 1 <= summary.looked < 8
    assert not summary.complete


@pytest.mark.parametrize("empty", [lambda world: file_of(), lambda world: file_of("A/B")])
def test_nothing_to_look_at_is_no_trouble(world: World, empty: Callable[[World], FileKeys]) -> None:
    summary, _ = forecast(world, empty(world))

    assert (summary.looked, summary.complete) == (0, True)
