"""Callouts that Zuora could not deliver, and what was given up: both are asked for once more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlmodel import select

from sync_service.cli.sweeping import callout_reader
from sync_service.jobs.recovery import recover_callouts
from sync_service.jobs.sweep.walk import PartWay
from sync_service.jobs.upkeep import ask_failed_again
from sync_service.queue.claims import claim
from sync_service.queue.jobs import JobLease, done, ensure_job, save, take
from sync_service.queue.limit import Share
from sync_service.queue.requests import Cause, Kind, Priority, enqueue, fail
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.store.tables import SyncRequestRow, SyncRunRow
from sync_service.subscription.trigger import Trigger
from sync_service.sync.attempt import SyncContext
from tests.sweep_world import World, open_world
from zuora_emulator.delivery import Destination

pytestmark = pytest.mark.either_database

#: No server listens there: every callout fails.
NOWHERE = "http://127.0.0.1:9"
OURS = f"{NOWHERE}/api/plugins/zuora/sync"


@pytest.fixture
def world(database: Database) -> Iterator[World]:
    with open_world(database, public_url=NOWHERE) as world:
        yield world


def fail_to_deliver(world: World, url: str, **context: str) -> None:
    """Zuora's history has a callout that was never taken."""
    emulator = world.zuora.emulator
    sender = Destination(url=NOWHERE, max_attempts=1)
    body = json.dumps(context).encode()
    emulator.callouts.send("OrderActionProcessed", "some id", url, body, emulator.tenant.now(), sender)
    assert emulator.callouts.wait_until_idle(10)


def recover(world: World) -> dict[str, Any]:
    """One look into the history; its report."""
    read_callout = callout_reader(world.context.settings)

    def recover(context: SyncContext, lease: JobLease) -> Any:
        return recover_callouts(context, lease, read_callout)

    return world.sweep(recover)


def requested(world: World) -> list[tuple[Any, ...]]:
    return world.rows("SELECT kind, key FROM sync_request WHERE due_at IS NOT NULL ORDER BY kind, key")


def test_the_number_of_a_lost_callout_is_asked_for(world: World) -> None:
    fail_to_deliver(world, f"{OURS}/subscription/A-S1")
    fail_to_deliver(world, f"{OURS}/account/A1")

    report = recover(world)

    assert requested(world) == [("account", "A1"), ("alias", "A-S1")]
    assert report["marked"] == 2
    assert world.rows("SELECT DISTINCT trigger, actor FROM sync_cause") == [("callout", "failed callouts")]


def test_a_key_that_the_store_knows_by_another_name_is_asked_for_by_its_number(world: World) -> None:
    world.subscribe("A-S1")
    world.sync("A-S1")
    fail_to_deliver(world, f"{OURS}/subscription/{world.zuora.emulator.tenant.subscriptions['A-S1'].latest.id}")

    recover(world)

    assert requested(world) == [("subscription", "A-S1")]


def test_a_new_subscription_whose_callout_was_lost_is_imported(world: World) -> None:
    world.subscribe("A-S1")
    fail_to_deliver(world, f"{OURS}/subscription/A-S1", SubscriptionNumber="A-S1")

    recover(world)
    world.work()

    assert world.rows("SELECT reference FROM limio_subscription") == [("A-S1",)]


def test_the_echo_of_an_order_of_our_own_is_left_out_as_it_would_have_been_at_the_door(world: World) -> None:
    fail_to_deliver(world, f"{OURS}/subscription/A-S1", OrderSource__c="shop")

    report = recover(world)

    assert requested(world) == []
    assert report["echo"] == 1


def test_a_sweep_takes_an_echo_of_the_history_for_one(world: World) -> None:
    world.subscribe("A-S1")
    world.sync("A-S1")
    world.do("auto_renew", key="A-S1", value="off", source="shop")
    for _ in range(2):  # two attempts of one callout
        fail_to_deliver(world, f"{OURS}/subscription/A-S1", OrderSource__c="shop", OrderNumber="O-1")
        world.pass_time(minutes=30)
    recover(world)

    report = world.sweep()

    assert (report["echo"], report.get("drift", 0)) == (1, 0)
    assert world.rows("SELECT count(DISTINCT notification_id) FROM callout WHERE key = 'A-S1'") == [(1,)]


def test_callouts_to_others_are_not_ours(world: World) -> None:
    fail_to_deliver(world, "http://127.0.0.1:10/api/plugins/zuora/sync/subscription/A-S1")
    fail_to_deliver(world, f"{NOWHERE}/somewhere/else")

    assert recover(world)["not_ours"] == 2
    assert requested(world) == []


def test_a_lost_callout_is_asked_for_once(world: World) -> None:
    fail_to_deliver(world, f"{OURS}/subscription/A-S1")
    recover(world)

    assert recover(world).get("marked", 0) == 0
    assert world.rows("SELECT count(*) FROM sync_cause") == [(1,)]


def test_a_callout_that_failed_again_is_asked_for_again(world: World) -> None:
    fail_to_deliver(world, f"{OURS}/subscription/A-S1")
    recover(world)
    world.pass_time(minutes=30)
    fail_to_deliver(world, f"{OURS}/subscription/A-S1")

    assert recover(world)["marked"] == 1


def test_a_long_history_is_read_page_by_page(world: World) -> None:
    for place in range(45):
        fail_to_deliver(world, f"{OURS}/subscription/A-S{place}")

    report = recover(world)

    assert (report["pages"], report["marked"]) == (2, 45)


def test_stopped_in_the_middle_it_goes_on_from_the_page_that_it_was_at(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in range(90):
        fail_to_deliver(world, f"{OURS}/subscription/A-S{place}")
    read_callout = callout_reader(world.context.settings)

    def recover_some(context: SyncContext, lease: JobLease) -> Any:
        return recover_callouts(context, lease, read_callout)

    monkeypatch.setattr("sync_service.jobs.sweep.walk.STRETCH", 1)
    first = world.stretch(recover_some)
    asked = len(requested(world))
    recover_some(world.context, world.begin(recover_some))  # and killed: its lease runs out
    world.execute("UPDATE job SET lease_until = {now} - 1")
    world.calls()
    monkeypatch.undo()

    report = world.sweep(recover_some)

    assert isinstance(first, PartWay)
    assert asked == 40
    assert world.calls() == 1  # the third page alone
    assert (report["pages"], report["marked"]) == (3, 90)
    assert world.rows("SELECT count(*), count(DISTINCT key) FROM sync_cause") == [(90, 90)]


def test_an_impossible_key_of_the_history_is_counted(world: World) -> None:
    fail_to_deliver(world, f"{OURS}/subscription/%7B%7BSubscription.Id%7D%7D")

    assert recover(world)["impossible"] == 1
    assert requested(world) == []


def test_a_history_that_our_user_may_not_read_is_said_and_stops_nothing(world: World) -> None:
    world.do("fault", kind="error", path="notification-history", code=50000010)

    report = recover(world)

    assert "50000010" in report["not_permitted"]
    assert world.rows("SELECT trouble FROM zuora_limit") == [(0,)]


def give_up(database: Database, kind: Kind, key: str, code: str) -> None:
    """The key's last run failed for good with this error."""
    with database.transaction() as session:
        enqueue(session, kind, key, Cause(Trigger.CALLOUT), priority=Priority.EVENT)
    (claimed,) = claim(database, 1, Share(max_concurrency=8))
    with database.transaction() as session:
        fail(session, claimed, error=code)
        session.add(
            SyncRunRow(
                kind=kind, key=key, seq_from=0, seq_to=1, outcome="failed", began_at=0, ended_at=0, error_code=code
            )
        )


def ask_again(database: Database) -> Any:
    """The daily job runs."""
    ensure_job(database, "failed again")
    lease = take(database, "failed again")
    assert lease is not None
    result = ask_failed_again(database, Settings(), lease)
    assert not isinstance(result, PartWay)
    done(database, lease, next_due_in_ms=0, progress=result)
    return result


def test_what_was_given_up_is_asked_for_once_more(database: Database) -> None:
    give_up(database, Kind.SUBSCRIPTION, "A-S1", "payload invalid")
    give_up(database, Kind.ACCOUNT, "A1", "zuora failed")

    report = ask_again(database)

    with database.reading() as session:
        due = [(row.kind, row.key) for row in session.exec(select(SyncRequestRow)) if row.due_at is not None]
    assert sorted(due) == [("account", "A1"), ("subscription", "A-S1")]
    assert report == {"marked": 2, "looked_at": 2}


@pytest.mark.parametrize("code", ["gone from Zuora", "unknown key"])
def test_what_no_answer_can_change_is_not_asked_for_again(database: Database, code: str) -> None:
    give_up(database, Kind.SUBSCRIPTION, "A-S1", code)

    assert ask_again(database)["marked"] == 0


def test_of_several_failures_the_last_one_counts(database: Database) -> None:
    give_up(database, Kind.SUBSCRIPTION, "A-S1", "gone from Zuora")
    give_up(database, Kind.SUBSCRIPTION, "A-S1", "preview incomplete")

    assert ask_again(database)["marked"] == 1


def test_killed_after_a_page_it_goes_on_behind_it(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync_service.jobs.upkeep.FAILED_AT_ONCE", 2)
    for place in range(5):
        give_up(database, Kind.SUBSCRIPTION, f"A-S{place}", "payload invalid")
    ensure_job(database, "failed again")
    killed = take(database, "failed again")
    assert killed is not None
    save(database, killed, cursor={"after": ["subscription", "A-S1"]}, progress={"looked_at": 2, "marked": 2})
    with database.transaction() as session:
        session.run("UPDATE job SET lease_until = {now} - 1")

    report = ask_again(database)

    with database.reading() as session:
        due = sorted(row.key for row in session.exec(select(SyncRequestRow)) if row.due_at is not None)
    assert due == ["A-S2", "A-S3", "A-S4"]
    assert report == {"marked": 5, "looked_at": 5}


def test_what_has_been_asked_for_since_is_left_alone(database: Database) -> None:
    give_up(database, Kind.SUBSCRIPTION, "A-S1", "payload invalid")
    ask_again(database)

    assert ask_again(database) == {}
