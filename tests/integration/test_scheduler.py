"""Periodic work: who runs it, what it asks for, what it forgets."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from apscheduler.schedulers.background import BackgroundScheduler
from sqlmodel import col, select

from sync_service.commerce.order import Names, Order, OrderType
from sync_service.commerce.steps import Step
from sync_service.errors import RateLimited
from sync_service.jobs import scheduler
from sync_service.jobs.calendar import request_by_calendar
from sync_service.jobs.scheduler import Periodic, Scheduler
from sync_service.jobs.upkeep import prune
from sync_service.queue.claims import claim_one
from sync_service.queue.jobs import JobLease, take
from sync_service.queue.limit import Share, note_tenant_error
from sync_service.queue.orders.lanes import submit_order
from sync_service.queue.orders.steps import record_sent
from sync_service.queue.requests import Cause, Kind, Priority, enqueue
from sync_service.queue.status.figures import DAY_MS
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.store.tables import (
    AdminActionRow,
    CalloutRow,
    JobRow,
    OrderRequestRow,
    OrderStepRow,
    OrderWorkRow,
    SyncCauseRow,
    SyncRequestRow,
    SyncRunRow,
    WebhookDeliveryRow,
    WebhookEndpointRow,
    ZuoraLimitRow,
    ZuoraLinkRow,
)
from sync_service.subscription.trigger import Trigger

pytestmark = pytest.mark.either_database

SETTINGS = Settings(tenant_time_zone=ZoneInfo("Europe/London"))
TODAY = date(2026, 11, 21)


def at(hour: int, minute: int = 0) -> JobLease:
    moment = datetime(2026, 11, 21, hour, minute, tzinfo=UTC)
    return JobLease(name="calendar", token=1, cursor={}, progress={}, taken_at=int(moment.timestamp() * 1000))


def link(number: str, look_again_on: date | None) -> ZuoraLinkRow:
    return ZuoraLinkRow(
        number=number, zuora_id=number, version=1, read_began=0, read_ended=0, look_again_on=look_again_on
    )


def add(database: Database, *rows: object) -> None:
    with database.transaction() as session:
        session.add_all(rows)


def requested(database: Database) -> list[str]:
    with database.reading() as session:
        return sorted(row.key for row in session.exec(select(SyncRequestRow)))


def count(database: Database, table: str) -> int:
    with database.reading() as session:
        return int(session.run(f"SELECT count(*) FROM {table}").scalar_one())


def test_the_calendar_asks_for_numbers_whose_day_has_come(database: Database) -> None:
    add(database, link("past", date(2026, 11, 1)), link("today", TODAY), link("later", date(2026, 11, 22)))
    add(database, link("never", None))

    request_by_calendar(database, SETTINGS, at(8))

    assert requested(database) == ["past", "today"]


def test_the_calendar_waits_for_zuoras_own_nightly_work(database: Database) -> None:
    add(database, link("today", TODAY))

    request_by_calendar(database, SETTINGS, at(5, 59))

    assert requested(database) == []


def test_the_calendar_spreads_its_requests_over_an_hour(database: Database) -> None:
    add(database, *(link(f"A-S{number}", TODAY) for number in range(600)))

    request_by_calendar(database, SETTINGS, at(6, 29))

    assert 200 < len(requested(database)) < 400


def test_the_calendar_asks_once_a_day_for_what_does_not_move(database: Database) -> None:
    add(database, link("today", TODAY))

    request_by_calendar(database, SETTINGS, at(8))
    request_by_calendar(database, SETTINGS, at(9))

    assert count(database, "sync_cause") == 1


def test_the_calendars_requests_come_after_those_of_people_and_callouts(database: Database) -> None:
    add(database, link("today", TODAY))

    request_by_calendar(database, SETTINGS, at(8))

    with database.reading() as session:
        row = session.exec(select(SyncRequestRow)).one()
    assert row.priority == Priority.JOB


_HOUR_MS = 3_600_000


def jump_back(database: Database) -> None:
    """The database's clock is an hour earlier: all that was written is in the future."""
    with database.transaction() as session:
        for table, columns in {
            "job": ("due_at", "lease_until", "last_began", "last_ended"),
            "sync_request": ("due_at", "lease_until", "waiting_since", "requested_at"),
            "zuora_limit": ("open_until",),
        }.items():
            moved = ", ".join(f"{column} = {column} + {_HOUR_MS}" for column in columns)
            session.run(f"UPDATE {table} SET {moved}")


def test_after_the_databases_clock_jumped_back_nothing_waits_for_the_old_time(database: Database) -> None:
    clock = Scheduler(database, SETTINGS, (Periodic("figures", 60_000, lambda *_: {}),))
    with database.transaction() as session:
        enqueue(session, Kind.SUBSCRIPTION, "waits", Cause(Trigger.CALLOUT), priority=Priority.EVENT)
        enqueue(session, Kind.SUBSCRIPTION, "of a dead worker", Cause(Trigger.CALLOUT), priority=Priority.EVENT)
    assert claim_one(database, Kind.SUBSCRIPTION, "of a dead worker", Share(8))
    assert clock.tick(clock.jobs[0])
    note_tenant_error(database, RateLimited(retry_after=300), Share(8))
    jump_back(database)
    assert clock.tick(clock.jobs[0]) is False

    clock.follow_clock()

    with database.reading() as session:
        now, rows = session.now(), {row.key: row for row in session.exec(select(SyncRequestRow))}
        (job,), (limit,) = session.exec(select(JobRow)).all(), session.exec(select(ZuoraLimitRow)).all()
    assert (rows["waits"].due_at or 0) <= now
    assert (rows["waits"].waiting_since or 0) <= now
    assert (rows["of a dead worker"].lease_until or 0) <= now + 120_000
    assert (limit.open_until or 0) <= now
    assert now < job.due_at < now + 120_000


def test_after_the_hosts_clock_jumped_back_the_next_tick_comes_within_two_pauses() -> None:
    clock = BackgroundScheduler(timezone="UTC")
    clock.start(paused=True)
    ticking = clock.add_job(print, "interval", seconds=scheduler.TICK_SECONDS)
    due = ticking.next_run_time
    scheduler.bring_forward(clock)
    assert ticking.next_run_time == due
    ticking.modify(next_run_time=datetime.now(UTC) + timedelta(hours=1))

    scheduler.bring_forward(clock)

    assert ticking.next_run_time <= datetime.now(UTC) + timedelta(seconds=2 * scheduler.TICK_SECONDS)
    clock.shutdown()


def test_turns_come_one_after_another_and_all_within_a_tick() -> None:
    clock = BackgroundScheduler(timezone="UTC")
    clock.start(paused=True)
    begun = datetime.now(UTC)

    scheduler.add_turns(clock, [lambda: None] * 4)

    waits = [(each.next_run_time - begun).total_seconds() for each in clock.get_jobs()]
    gaps = [later - sooner for sooner, later in pairwise(waits)]
    assert all(gap == pytest.approx(scheduler.TICK_SECONDS / 4) for gap in gaps)
    assert 0 < waits[0] < waits[-1] <= scheduler.TICK_SECONDS + 1
    clock.shutdown()


def test_without_a_jump_of_the_clock_backoffs_stay(database: Database) -> None:
    clock = Scheduler(database, SETTINGS, (Periodic("figures", 60_000, lambda *_: {}),))
    assert clock.tick(clock.jobs[0])
    note_tenant_error(database, RateLimited(retry_after=300), Share(8))

    clock.follow_clock()

    with database.reading() as session:
        now, limit = session.now(), session.exec(select(ZuoraLimitRow)).one()
    assert (limit.open_until or 0) > now


def test_of_several_schedulers_one_runs_a_job(database: Database) -> None:
    ran: list[str] = []

    def story(_: Database, __: Settings, lease: JobLease) -> Mapping[str, Any]:
        ran.append(lease.name)
        return {"count": 1}

    job = Periodic("work", 60_000, story)
    schedulers = [Scheduler(database, SETTINGS, (job,)) for _ in range(3)]

    assert [scheduler.tick(job) for scheduler in schedulers] == [True, False, False]
    assert ran == ["work"]


def test_a_job_that_fails_is_tried_again_later_and_says_why(database: Database) -> None:
    def story(_: Database, __: Settings, ___: JobLease) -> Mapping[str, Any]:
        raise RuntimeError("no luck")

    job = Periodic("work", 60_000, story)
    scheduler = Scheduler(database, SETTINGS, (job,))

    scheduler.tick(job)

    with database.reading() as session:
        error, lease_until = session.run("SELECT last_error, lease_until FROM job").one()
    assert (error, lease_until) == ("no luck", None)


def test_a_job_that_does_not_end_after_a_stop_is_put_back_for_another_scheduler(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def endless(_: Database, __: Settings, ___: JobLease) -> Mapping[str, Any]:
        threads.append(threading.current_thread())
        begun.set()
        may_end.wait(60)
        return {}

    monkeypatch.setattr(scheduler, "TICK_SECONDS", 0.05)
    monkeypatch.setattr(scheduler, "GRACE_SECONDS", 0.2)
    loop = Scheduler(database, SETTINGS, (Periodic("endless", 60_000, endless),))
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(loop.run)
        begun.wait(60)

        loop.stop()

        all_ended = ended.result(timeout=60)
        again = take(database, "endless")
        may_end.set()
    threads[0].join(60)  # it looks at the database once more, which is gone after this
    assert not all_ended
    assert again is not None, "no process could go on before the lease ran out"


def run(key: str, ended_at: int, *, change_count: int, outcome: str = "changed") -> SyncRunRow:
    return SyncRunRow(
        kind="subscription",
        key=key,
        seq_from=0,
        seq_to=1,
        outcome=outcome,
        began_at=ended_at,
        ended_at=ended_at,
        change_count=change_count,
    )


def cause(key: str, at: int) -> SyncCauseRow:
    return SyncCauseRow(kind="subscription", key=key, seq=1, trigger="callout", at=at)


def test_what_changed_something_is_kept_seven_years_and_the_rest_ninety_days(database: Database) -> None:
    with database.reading() as session:
        now = session.now()
    old, ancient = now - 91 * DAY_MS, now - 8 * 365 * DAY_MS
    add(database, run("kept", old, change_count=1), cause("kept", old))
    add(database, run("unchanged", old, change_count=0, outcome="unchanged"), cause("unchanged", old))
    add(database, run("held", old, change_count=3, outcome="held"))
    add(database, run("ancient", ancient, change_count=1), cause("ancient", ancient))
    add(database, run("fresh", now, change_count=0, outcome="failed"), cause("fresh", now))
    add(database, CalloutRow(received_at=old, key="x", verdict="ignored"))
    add(database, CalloutRow(received_at=now, key="y", verdict="ignored"))

    prune(database, SETTINGS, at(8))

    with database.reading() as session:
        runs = sorted(row.key for row in session.exec(select(SyncRunRow)))
        causes = sorted(row.key for row in session.exec(select(SyncCauseRow)))
        callouts = [row.key for row in session.exec(select(CalloutRow))]
    assert runs == ["fresh", "held", "kept"]
    assert causes == ["fresh", "kept"]
    assert callouts == ["y"]


def test_settings_say_for_how_long_history_callouts_and_activity_are_kept(sqlite_database: Database) -> None:
    database = sqlite_database
    with database.reading() as session:
        now = session.now()
    for days in (20, 50):
        at_time = now - days * DAY_MS
        add(database, run(f"changed {days}", at_time, change_count=1))
        add(database, run(f"unchanged {days}", at_time, change_count=0, outcome="unchanged"))
        add(database, CalloutRow(received_at=at_time, key=f"callout {days}", verdict="ignored"))
        add(database, AdminActionRow(at=at_time, actor="olga", action=f"sync {days}"))

    prune(database, replace(SETTINGS, keep_history_days=40, keep_callouts_days=14, keep_activity_days=30), at(8))

    with database.reading() as session:
        assert [row.key for row in session.exec(select(SyncRunRow))] == ["changed 20"]
        assert [row.key for row in session.exec(select(CalloutRow))] == []
        assert [row.action for row in session.exec(select(AdminActionRow))] == ["sync 20"]


def test_what_people_did_is_kept_for_good_unless_a_setting_says_otherwise(sqlite_database: Database) -> None:
    add(sqlite_database, AdminActionRow(at=1, actor="olga", action="sync"))

    prune(sqlite_database, SETTINGS, at(8))

    assert count(sqlite_database, "admin_action") == 1


def test_delivered_webhooks_are_kept_thirty_days_and_dead_ones_ninety(database: Database) -> None:
    with database.reading() as session:
        now = session.now()
    add(database, WebhookEndpointRow(id="ep_1", url="https://example.com", created_at=0))
    for state, days in [("delivered", 29), ("delivered", 31), ("dead", 31), ("dead", 91), ("pending", 200)]:
        ended_at = None if state == "pending" else now - days * DAY_MS
        add(database, webhook(f"{state} {days}", state=state, ended_at=ended_at, due_at=None if ended_at else 0))
    add(database, webhook("endpoint gone", endpoint_id="ep_2", state="pending", due_at=0))

    prune(database, SETTINGS, at(8))

    with database.reading() as session:
        kept = [row.object_id for row in session.exec(select(WebhookDeliveryRow).order_by(col(WebhookDeliveryRow.id)))]
    assert kept == ["delivered 29", "dead 31", "pending 200"]


def webhook(object_id: str, *, endpoint_id: str = "ep_1", **values: Any) -> WebhookDeliveryRow:
    message = {"message_id": "msg_1", "type": "Error", "body": "{}", "made_at": 0}
    return WebhookDeliveryRow(object_id=object_id, endpoint_id=endpoint_id, **message, **values)


def test_an_order_that_a_person_has_to_decide_is_kept_however_old_it_is(database: Database) -> None:
    ancient = 1
    for number, state in (("HELD", "held"), ("DONE", "complete")):
        names = Names(order_id=f"order-{number}", reference=number)
        with database.transaction() as session:
            work = submit_order(session, Order(type=OrderType.NEW, document={}, names=names), f"order-{number}")
            work.ended_at, work.state = ancient, state
            record_sent(session, work, Step(name="create", method="POST", path="/v1/orders"), at=ancient)

    prune(database, SETTINGS, at(8))

    with database.reading() as session:
        assert [row.number for row in session.exec(select(OrderWorkRow))] == ["HELD"]
        assert [row.order_id for row in session.exec(select(OrderStepRow))] == ["order-HELD"]


def test_orders_are_kept_seven_years_their_keys_a_day_and_a_lane_of_one_order_ninety_days(database: Database) -> None:
    with database.reading() as session:
        now = session.now()
    for number, ended_at in (("OLD", now - 8 * 365 * DAY_MS), ("NEW", now - 91 * DAY_MS), ("OPEN", None)):
        names = Names(order_id=f"order-{number}", reference=number)
        order = Order(type=OrderType.NEW, document={}, names=names)
        with database.transaction() as session:
            work = submit_order(session, order, f"order-{number}")
            work.ended_at, work.state = ended_at, "complete" if ended_at else "submitted"
            step = Step(name="create", method="POST", path="/v1/orders")
            record_sent(session, work, step, at=ended_at or now)
    for key, age in (("day", 2 * DAY_MS), ("now", 0)):
        add(database, OrderRequestRow(client="shop", key=key, body_sha256="", order_id="order-NEW", at=now - age))
    with database.transaction() as session:
        session.run(
            "UPDATE sync_request SET done_seq = 1, due_at = NULL, waiting_since = NULL, requested_at = 1"
            " WHERE key <> 'order-OPEN'"
        )

    prune(database, SETTINGS, at(8))

    with database.reading() as session:
        kept = {row.number for row in session.exec(select(OrderWorkRow))}
        steps = {row.order_id for row in session.exec(select(OrderStepRow))}
        keys = [row.key for row in session.exec(select(OrderRequestRow))]
        lanes = [row.key for row in session.exec(select(SyncRequestRow))]
    assert kept == {"NEW", "OPEN"}
    assert steps == {"order-NEW", "order-OPEN"}
    assert keys == ["now"]
    assert lanes == ["order-OPEN"]


def test_the_cause_of_a_request_that_still_waits_is_kept(database: Database) -> None:
    with database.transaction() as session:
        enqueue(session, Kind.SUBSCRIPTION, "A-S1", Cause(Trigger.CALLOUT), priority=Priority.EVENT)
        session.run("UPDATE sync_cause SET at = 0")

    prune(database, SETTINGS, at(8))

    assert count(database, "sync_cause") == 1
