"""The delta sweep: what no callout told us of is found once, what is equal costs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import select

from sync_service.jobs.sweep.walk import PartWay
from sync_service.queue.claims import claim
from sync_service.queue.requests import Cause, Kind, Priority, enqueue, fail
from sync_service.store.engine import Database
from sync_service.store.tables import AddressRow, ZuoraLinkRow
from sync_service.subscription.trigger import Trigger
from tests.sweep_world import World, open_world

pytestmark = pytest.mark.either_database


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


def test_a_bill_run_over_all_is_looked_at_once(world: World) -> None:
    world.pass_time(minutes=5)
    assert world.do("bill_run")["billed"] == 3
    first = world.sweep()

    later = [world.sweep()]
    assert len(claim(world.database, 3, world.context.share)) == 3
    later += [world.sweep() for _ in range(2)]  # while they are being synced
    world.execute("UPDATE sync_request SET lease_until = {now} - 1 WHERE lease_until IS NOT NULL")
    world.work()
    later += [world.sweep() for _ in range(8)]
    world.execute("DELETE FROM sweep_seen")  # not for being remembered alone: what was read is as the list says
    later.append(world.sweep())

    assert (first["marked"], first["touched"]) == (3, 3)
    assert first.get("drift", 0) == 0
    assert sum(report.get("marked", 0) for report in later) == 0


def test_a_version_that_the_run_did_not_see_is_asked_for_again(world: World) -> None:
    world.do("auto_renew", key="A-S1", value="off")
    world.do("fault", kind="stale")
    world.sweep()
    world.work()
    world.do("clear_faults")

    report = world.sweep()

    assert report["marked"] == 1
    assert world.waiting() == {"A-S1"}


def test_what_was_asked_for_and_failed_is_not_asked_for_by_every_overlap(world: World) -> None:
    world.do("auto_renew", key="A-S1", value="off")
    world.sweep()
    (claimed,) = claim(world.database, 1, world.context.share)
    with world.database.transaction() as session:
        fail(session, claimed, error="no luck")

    delta, full = world.sweep(), world.sweep_all()

    assert (delta.get("marked", 0), full["marked"]) == (0, 1)


def test_what_a_list_words_otherwise_than_a_read_is_asked_for_once(world: World) -> None:
    def differ() -> None:
        with world.database.transaction() as session:
            link = session.get(ZuoraLinkRow, "A-S1")
            assert link is not None
            link.fingerprint = {**link.fingerprint, "status": "Actif"}

    differ()
    first = world.sweep()
    world.work()
    differ()

    assert first["reasons"] == {"another status": 1}
    assert [world.sweep().get("marked", 0), world.sweep_all().get("marked", 0)] == [0, 0]


def test_what_waits_for_a_sync_anyway_is_not_asked_for(world: World) -> None:
    world.do("auto_renew", key="A-S1", value="off")
    with world.database.transaction() as session:
        enqueue(session, Kind.SUBSCRIPTION, "A-S1", Cause(Trigger.CALLOUT), priority=Priority.EVENT)

    report = world.sweep()

    assert report["waiting"] == 1
    assert report.get("marked", 0) == 0
    assert world.rows("SELECT trigger FROM sync_cause WHERE key = 'A-S1' AND trigger <> 'backfill'") == [("callout",)]


def test_what_is_being_synced_just_now_is_synced_once_more(world: World) -> None:
    world.do("auto_renew", key="A-S1", value="off")
    with world.database.transaction() as session:
        enqueue(session, Kind.SUBSCRIPTION, "A-S1", Cause(Trigger.CALLOUT), priority=Priority.EVENT)
    claim(world.database, 1, world.context.share)

    assert world.sweep()["marked"] == 1


def test_an_order_of_our_own_is_no_drift(world: World) -> None:
    world.do("auto_renew", key="A-S1", value="off", source="shop")
    world.do("auto_renew", key="A-S2", value="off")
    world.execute(
        "INSERT INTO callout (received_at, key, verdict, reason, reason_code)"
        " VALUES ({now}, 'A-S1', 'ignored', 'echo: the order''s source is shop', 'echo')"
    )

    report = world.sweep()

    assert (report["echo"], report["drift"]) == (1, 1)
    assert report["drift_numbers"] == ["A-S2"]
    assert world.waiting() == {"A-S1", "A-S2"}


def test_an_order_of_our_own_does_not_hide_a_foreign_one(world: World) -> None:
    world.do("auto_renew", key="A-S1", value="off", source="shop")
    world.do("auto_renew", key="A-S1", value="on")  # and its callout was lost
    for attempt in ("first", "again"):
        world.execute(
            "INSERT INTO callout (received_at, key, verdict, reason, reason_code, notification_id, request_id)"
            " VALUES ({now}, 'A-S1', 'ignored', 'echo: the order''s source is shop', 'echo', 'one', :attempt)",
            attempt=attempt,
        )

    report = world.sweep()

    assert (report.get("echo", 0), report["drift_numbers"]) == (0, ["A-S1"])


def test_an_echo_from_before_the_last_run_explains_nothing(world: World) -> None:
    world.execute(
        "INSERT INTO callout (received_at, key, verdict, reason, reason_code)"
        " VALUES ({now} - 3600000, 'A-S1', 'ignored', 'echo: the order''s source is shop', 'echo')"
    )
    world.do("auto_renew", key="A-S1", value="off")

    report = world.sweep()

    assert (report.get("echo", 0), report["drift"]) == (0, 1)


def test_an_echo_that_came_with_zuoras_new_id_counts(world: World) -> None:
    world.do("auto_renew", key="A-S1", value="off", source="shop")
    latest = world.zuora.emulator.tenant.subscriptions["A-S1"].latest.id
    world.execute(
        "INSERT INTO callout (received_at, key, verdict, reason, reason_code)"
        " VALUES ({now}, :id, 'ignored', 'echo: the order''s source is shop', 'echo')",
        id=latest,
    )

    assert world.sweep()["echo"] == 1


def test_an_edited_contact_asks_for_everything_of_all_the_accounts_subscriptions(world: World) -> None:
    world.subscribe("A-S4", account="A-of-A-S1")
    world.sync("A-S4")
    world.do("change_contact", key="A-S1", city="York")

    report = world.sweep()

    assert world.rows('SELECT key, "full" FROM sync_request WHERE due_at IS NOT NULL ORDER BY key') == [
        ("A-S1", 1),
        ("A-S4", 1),
    ]
    assert report["reasons"] == {"contact changed": 2}


def test_an_edited_contact_of_the_account_that_pays_asks_for_what_it_pays_for(world: World) -> None:
    world.do("transfer_owner", key="A-S2", account="A-of-A-S2", invoice_owner="A-of-A-S1")
    world.sync("A-S2")
    world.sweep()
    world.work()
    world.do("change_contact", key="A-S1", city="York")

    world.sweep()

    waiting = world.rows("SELECT key FROM sync_request WHERE due_at IS NOT NULL ORDER BY key")
    assert waiting == [("A-S1",), ("A-S2",)]
    world.work()
    newest = "SELECT document -> 'data' ->> 'city' FROM limio_address WHERE subscription_id = "
    newest += "(SELECT subscription_id FROM zuora_link WHERE number = 'A-S2') AND relationship_type = 'billing'"
    assert world.rows(f"{newest} ORDER BY start DESC LIMIT 1") == [("York",)]


def test_a_waiting_sync_that_would_take_the_short_way_is_made_a_full_one(world: World) -> None:
    world.do("change_contact", key="A-S1", city="York")
    with world.database.transaction() as session:
        enqueue(session, Kind.SUBSCRIPTION, "A-S1", Cause(Trigger.CALLOUT), priority=Priority.EVENT)

    world.sweep()

    assert world.rows("SELECT \"full\", priority FROM sync_request WHERE key = 'A-S1'") == [(1, int(Priority.EVENT))]


def test_an_edited_contact_is_asked_for_once(world: World) -> None:
    world.do("change_contact", key="A-S1", city="York")
    world.sweep()

    again = world.sweep()
    world.work()
    after = world.sweep()

    assert [again.get("marked", 0), after.get("marked", 0)] == [0, 0]
    with world.database.reading() as session:
        cities = {row.document["data"].get("city") for row in session.exec(select(AddressRow))}
    assert "York" in cities


def test_a_contact_that_comes_back_to_what_was_read_costs_nothing_more(world: World) -> None:
    world.do("change_contact", key="A-S1", city="York")
    world.sweep()
    world.work()
    world.do("change_contact", key="A-S1", city="Bath")
    world.do("change_contact", key="A-S1", city="York")

    assert world.sweep().get("marked", 0) == 0


def test_an_account_that_was_only_billed_asks_for_nothing(world: World) -> None:
    tenant = world.zuora.emulator.tenant
    account = tenant.accounts["A-of-A-S1"]
    tenant.put_account(replace(account, updated=tenant.now()))

    assert world.sweep().get("marked", 0) == 0


def test_another_bill_to_contact_of_the_account_asks_for_its_subscriptions(world: World) -> None:
    world.do("change_contact", key="A-S1", which="bill_to", how="new", city="Hull")

    report = world.sweep()

    assert world.waiting() == {"A-S1"}
    assert report["reasons"] == {"account changed": 1}


def test_another_bill_cycle_day_asks_for_the_accounts_subscriptions(world: World) -> None:
    world.sweep()
    tenant = world.zuora.emulator.tenant
    tenant.put_account(replace(tenant.accounts["A-of-A-S1"], bill_cycle_day=17, updated=tenant.now()))

    world.sweep()

    assert world.waiting() == {"A-S1"}


def test_unknown_numbers_are_counted_and_left_until_they_are_asked_for(world: World) -> None:
    world.subscribe("A-S9")

    report = world.sweep()

    assert world.waiting() == set()
    assert sum(report["left_out"].values()) == 1
    assert world.rows("SELECT 1 FROM sync_request WHERE key = 'A-S9'") == []


def test_personal_values_are_remembered_as_hashes_alone(world: World) -> None:
    world.do("change_contact", key="A-S1", city="Scunthorpe")
    world.sweep()

    remembered = world.rows("SELECT key, facts FROM sweep_seen")

    assert remembered
    assert "Scunthorpe" not in repr(remembered)


def test_a_sweep_goes_on_from_the_page_at_which_it_was_stopped(world: World) -> None:
    world.do("auto_renew", key="A-S2", value="off")
    world.do("change_contact", key="A-S3", city="York")
    world.do("fault", kind="server_error", path="object-query/contacts", count=1)

    stopped = world.stretch()
    world.reopen()
    world.do("auto_renew", key="A-S1", value="off")  # on a page that was done
    report = world.sweep()

    assert isinstance(stopped, PartWay)
    assert stopped.error is not None
    assert world.waiting() == {"A-S2", "A-S3"}
    assert report["looked_at"] == {"subscriptions": 3, "accounts": 3, "contacts": 3}
    assert world.sweep()["drift_numbers"] == ["A-S1"]


def test_trouble_of_zuoras_in_a_sweep_pauses_all_claims(world: World) -> None:
    world.do("fault", kind="rate_limit", path="object-query", retry_after=60)

    stopped = world.stretch()

    assert isinstance(stopped, PartWay)
    assert stopped.again_in_ms >= 60_000
    assert world.rows("SELECT trouble_code FROM zuora_limit") == [("rate limited",)]


def test_a_sweep_leaves_the_last_of_the_days_calls_to_people(database: Database) -> None:
    with open_world(database, zuora_daily_calls=10) as world:
        world.sweep()
        world.execute("UPDATE zuora_limit SET calls_today = 9, day = :day", day=datetime.now(UTC).date().isoformat())
        world.calls()

        stopped = world.stretch()

        assert isinstance(stopped, PartWay)
        assert world.calls() == 0


def test_a_sweep_of_another_tenant_marks_nothing(world: World) -> None:
    world.execute("INSERT INTO store_tenant (id, tenant, since) VALUES (1, 'tenant.7', {now})")
    world.do("auto_renew", key="A-S1", value="off")

    stopped = world.stretch()

    assert isinstance(stopped, PartWay)
    assert "tenant.7" in (stopped.error or "")
    assert world.waiting() == set()


def test_the_next_sweep_begins_two_hours_before_the_last_one_began(world: World) -> None:
    first = world.sweep()
    second = world.sweep()

    began = datetime.fromisoformat(first["watermark"]["zuora"])
    assert datetime.fromisoformat(second["since"]) == began - timedelta(hours=2)
    assert began <= world.zuora.emulator.tenant.now()


def test_the_window_moves_on_where_nothing_happens_and_ignores_how_our_clock_is_set(world: World) -> None:
    world.sweep()
    world.keep_watermark("2031-05-01T10:00:00+00:00", ago_ms=3_600_000)  # by Zuora's clock, an hour ago

    watermark = datetime.fromisoformat(world.sweep()["watermark"]["zuora"])

    assert timedelta(0) <= watermark - datetime(2031, 5, 1, 11, tzinfo=UTC) < timedelta(minutes=2)


def test_zoql_is_asked_where_object_query_is_not_to_be_had(world: World) -> None:
    world.do("fault", kind="error", path="object-query", code=50000010)
    world.do("auto_renew", key="A-S2", value="off")
    world.do("change_contact", key="A-S3", city="York")

    report = world.sweep()
    again = world.sweep()

    assert report["source"] == "zoql"
    assert world.waiting() == {"A-S2", "A-S3"}
    assert (report["marked"], again.get("marked", 0)) == (2, 0)
    assert world.rows("SELECT trouble FROM zuora_limit") == [(0,)]


def test_where_neither_way_of_asking_is_to_be_had_syncs_go_on(world: World) -> None:
    world.do("fault", kind="error", path="(object-query|action/query)", code=50000010)

    stopped = world.stretch()
    while isinstance(stopped, PartWay) and stopped.error is None:
        stopped = world.stretch()

    assert isinstance(stopped, PartWay)
    assert "Neither" in (stopped.error or "")
    assert world.rows("SELECT trouble FROM zuora_limit") == [(0,)]


def test_marks_of_a_sweep_wait_behind_callouts(world: World) -> None:
    world.do("auto_renew", key="A-S2", value="off")

    world.sweep()

    assert world.rows("SELECT priority FROM sync_request WHERE key = 'A-S2'") == [(int(Priority.JOB),)]
    assert world.rows("SELECT actor FROM sync_cause WHERE trigger = 'sweep'") == [("sweep delta: another version",)]
