"""A check finds what is wrong, names what to do, and goes on where one part cannot be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sync_service.operations.check.callouts import judge
from sync_service.operations.check.everything import (
    check_database,
    check_everything,
    check_settings,
    check_story,
    keep_findings,
)
from sync_service.operations.check.tenant import compare_clocks
from sync_service.queue import jobs
from sync_service.queue.limit import Share, note_success
from sync_service.queue.status.findings import Finding, Severity, as_progress, from_progress, has_failed
from sync_service.queue.status.health import CHECK, examine
from sync_service.queue.status.heartbeats import Heartbeat, ProcessRole
from sync_service.settings import Settings
from sync_service.store.engine import Database, connect
from sync_service.store.tables import CalloutRow, JobRow, SubscriptionRow
from sync_service.subscription.hints import ReasonCode
from sync_service.zuora.client import ZuoraClient
from tests.queue_world import execute
from tests.sweep_world import World, open_world
from zuora_emulator.bulk import Bulk
from zuora_emulator.zuora_api import CLIENT_ID

DAY_MS = 86_400_000
ZUORA = {"zuora_base_url": "http://127.0.0.1:9", "zuora_client_id": CLIENT_ID, "zuora_client_secret": "secret"}
CONFIGURED = {"callout_username": "zuora", "callout_password": "secret", **ZUORA}


@pytest.fixture
def world(sqlite_database: Database) -> Iterator[World]:
    """A tenant in London with some subscriptions, and everything as it should be."""
    with open_world(sqlite_database, bulk=Bulk(count=5), **CONFIGURED) as world:
        note_callouts(world.database, "accepted")
        show_life(world.database)
        with world.database.transaction() as session:
            session.add(SubscriptionRow(id="sub-1", reference="A-S1", external=False, document={}))
        yield world


def show_life(database: Database) -> None:
    """A worker and a scheduler run, and Zuora has just answered."""
    for role in ProcessRole:
        Heartbeat(database, role).beat()
    note_success(database, Share(8))


def note_callouts(
    database: Database, verdict: str, *, key: str = "A-S1", code: ReasonCode | None = None, ago: int = 0
) -> None:
    with database.transaction() as session:
        at = session.now() - ago
        session.add(CalloutRow(received_at=at, key=key, verdict=verdict, reason_code=code))


def check(world: World, **settings: Any) -> dict[str, Finding]:
    return by_name(check_everything(world.database, replace(world.context.settings, **settings), world.context.zuora))


def by_name(findings: Any) -> dict[str, Finding]:
    found = list(findings)
    names = {each.name: each for each in found}
    assert len(names) == len(found), "each thing is told once"
    return names


def test_where_everything_is_right_nothing_fails_and_every_part_is_named(world: World) -> None:
    found = check(world)

    assert {name: each.says for name, each in found.items() if each.verdict is not Severity.OK} == {
        "callouts in zuora": "PUBLIC_URL is not set, so ours cannot be told from others."
    }
    assert set(found) >= {
        "database",
        "migrations",
        "clock",
        "zuora's clock",
        "credentials",
        "time zone",
        "permission: subscription",
        "permission: account",
        "permission: billing preview",
        "permission: object query",
        "permission: list of accounts",
        "permission: list of contacts",
        "callouts arriving",
        "broken keys",
        "queue",
        "worker",
        "scheduler",
        "zuora",
    }
    assert not has_failed(found.values())


def test_every_complaint_names_a_remedy(sqlite_database: Database) -> None:
    """An installation on which nothing was set up."""
    findings = list(check_everything(sqlite_database, Settings(), None))

    assert all(each.remedy for each in findings if each.verdict in (Severity.WARNING, Severity.FAILED))
    assert "ZUORA_CLIENT_ID" in (by_name(findings)["zuora"].remedy or "")
    assert has_failed(findings)


def test_the_wrong_time_zone_is_told_from_one_subscription_read_both_ways(world: World) -> None:
    finding = check(world, tenant_time_zone=ZoneInfo("Asia/Kolkata"))["time zone"]

    assert finding.verdict is Severity.FAILED
    assert "UTC+05:30" in finding.says
    assert "TENANT_TIME_ZONE" in (finding.remedy or "")


def test_a_zone_that_only_agrees_by_name_is_accepted(world: World) -> None:
    """Lisbon has London's clock all year."""
    assert check(world, tenant_time_zone=ZoneInfo("Europe/Lisbon"))["time zone"].verdict is Severity.OK


def test_wrong_credentials_are_named_and_the_rest_is_still_looked_at(world: World) -> None:
    refused = ZuoraClient(world.zuora.url, CLIENT_ID, "wrong")

    found = by_name(check_everything(world.database, world.context.settings, refused))

    assert found["credentials"].verdict is Severity.FAILED
    assert "ZUORA_CLIENT_SECRET" in found["credentials"].says
    assert found["queue"].verdict is Severity.OK
    refused.close()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("GET /v1/subscriptions", "permission: subscription"),
        ("GET /v1/accounts", "permission: account"),
        ("GET /object-query/accounts", "permission: list of accounts"),
        ("GET /object-query/contacts", "permission: list of contacts"),
    ],
)
def test_each_permission_that_is_missing_is_named_alone(world: World, path: str, name: str) -> None:
    world.do("fault", kind="error", path=path, code=50000010)

    found = check(world)

    refused = {each.name for each in found.values() if each.verdict is Severity.FAILED}
    assert refused == {name}
    assert found["permission: object query"].verdict is Severity.OK


def test_without_the_billing_preview_it_still_works_with_less(world: World) -> None:
    world.do("fault", kind="preview_not_permitted")

    finding = check(world)["permission: billing preview"]

    assert finding.verdict is Severity.WARNING
    assert "computed" in finding.says


def test_without_object_query_it_still_works_with_less(world: World) -> None:
    world.do("fault", kind="error", path="/object-query/subscriptions", code=50000040)

    found = check(world)

    assert found["permission: object query"].verdict is Severity.WARNING
    assert found["permission: subscription"].verdict is Severity.OK
    assert found["time zone"].verdict is Severity.NOT_CHECKED


def test_an_empty_tenant_fails_in_nothing(sqlite_database: Database) -> None:
    with open_world(sqlite_database, **CONFIGURED) as world:
        found = check(world)

        assert found["permission: subscription"].verdict is Severity.OK
        assert found["permission: account"].verdict is Severity.NOT_CHECKED
        assert not has_failed(found.values())


def test_a_store_of_another_tenant_is_told(world: World) -> None:
    execute(world.database, "INSERT INTO store_tenant (id, tenant, since) VALUES (1, 'tenant.77', 0)")

    finding = check(world)["tenant"]

    assert finding.verdict is Severity.FAILED
    assert "tenant.77" in finding.says


def test_zuora_that_cannot_be_reached_is_one_finding(world: World) -> None:
    nowhere = ZuoraClient("http://127.0.0.1:9", CLIENT_ID, "secret")

    found = by_name(check_everything(world.database, world.context.settings, nowhere))

    assert found["calls to zuora"].verdict is Severity.FAILED
    assert found["queue"].verdict is Severity.OK
    nowhere.close()


def test_it_leaves_no_place_taken(world: World) -> None:
    check(world)

    assert world.rows("SELECT count(*) FROM zuora_lease") == [(0,)]
    assert world.rows("SELECT calls_today > 5 FROM zuora_limit") == [(1,)]


# --- the store ------------------------------------------------------------------------------------------------------


def test_a_database_without_migrations_is_all_that_is_told(tmp_path: Path) -> None:
    database = connect(f"sqlite:///{tmp_path / 'empty.db'}")

    found = by_name(check_everything(database, Settings(), None))
    database.engine.dispose()

    assert found["migrations"].verdict is Severity.FAILED
    assert "db upgrade" in (found["migrations"].remedy or "")
    assert set(found) == {"database", "migrations", "clock"}


def test_a_database_that_is_away_is_told_without_its_address() -> None:
    away = connect("postgresql://user:secret@127.0.0.1:9/store")

    (finding,) = check_database(away)

    assert finding.verdict is Severity.FAILED
    assert "secret" not in finding.says
    away.engine.dispose()


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [(0.4, "ok"), (-4.9, "ok"), (7, "warning"), (-29, "warning"), (31, "failed"), (-900, "failed")],
)
def test_clocks_that_differ_are_told(seconds: float, verdict: str) -> None:
    finding = compare_clocks("clock", seconds, "this machine", "the database")

    assert finding.verdict == verdict
    if finding.verdict is not Severity.OK:
        assert f"is {abs(seconds)} s {'ahead of' if seconds > 0 else 'behind'} the database" in finding.says


def test_keys_that_a_template_sent_broken_fail_for_a_day(world: World) -> None:
    broken = {"key": "{{Subscription.Name}}", "code": ReasonCode.IMPOSSIBLE_KEY}
    note_callouts(world.database, "ignored", **broken, ago=DAY_MS + 60_000)
    assert check(world)["broken keys"].verdict is Severity.OK

    note_callouts(world.database, "ignored", **broken)

    finding = check(world)["broken keys"]
    assert finding.verdict is Severity.FAILED
    assert "1 of 2 callouts, such as '{{Subscription.Name}}'" in finding.says


def test_one_impossible_key_among_many_callouts_is_a_warning(world: World) -> None:
    for _ in range(10):
        note_callouts(world.database, "accepted")
    note_callouts(world.database, "ignored", key="a b", code=ReasonCode.IMPOSSIBLE_KEY)

    assert check(world)["broken keys"].verdict is Severity.WARNING


def test_a_strangers_wrong_password_does_not_fail_the_check(world: World) -> None:
    note_callouts(world.database, "rejected", code=ReasonCode.WRONG_CREDENTIALS)

    found = check(world)

    assert found["rejected callouts"].verdict is Severity.WARNING
    assert not has_failed(found.values())


def test_a_day_without_callouts_is_a_warning(world: World) -> None:
    execute(world.database, "UPDATE callout SET received_at = received_at - 90000000")

    assert check(world)["callouts arriving"].verdict is Severity.WARNING


def test_a_queue_that_no_worker_works_off_fails_after_half_an_hour(world: World) -> None:
    row = (
        "INSERT INTO sync_request (kind, key, requested_seq, priority, due_at, waiting_since, requested_at)"
        " SELECT 'subscription', :key, 1, 1, {now} - :age, {now} - :age, {now} - :age"
    )
    execute(world.database, row, key="A-S1", age=30_000)
    assert check(world)["queue"].verdict is Severity.OK
    execute(world.database, row, key="A-S2", age=70_000)
    assert check(world)["queue"].verdict is Severity.WARNING
    execute(world.database, row, key="A-S3", age=31 * 60_000)
    assert check(world)["queue"].verdict is Severity.FAILED


def test_a_scheduler_that_is_gone_and_jobs_that_failed_are_told(world: World) -> None:
    jobs.ensure_job(world.database, "calendar")
    execute(world.database, "UPDATE job SET last_error = 'no luck', paused = TRUE")
    execute(world.database, "UPDATE heartbeat SET seen_at = seen_at - 10800000")

    found = check(world)

    told = [(name, found[name].verdict) for name in ("worker", "scheduler", "job calendar")]
    assert told == [("worker", Severity.FAILED), ("scheduler", Severity.FAILED), ("job calendar", Severity.WARNING)]
    assert found["worker"].says == "No worker runs: the last one was seen 3 h ago."


def test_without_any_process_an_answer_or_a_load_nothing_is_called_well(sqlite_database: Database) -> None:
    with sqlite_database.reading() as session:
        found = {each.name: each for each in examine(session, Settings(**ZUORA))}

    told = {name: found[name].verdict for name in ("worker", "scheduler", "zuora", "store", "callouts arriving")}
    assert told == dict.fromkeys(told, Severity.WARNING) | {"zuora": Severity.NOT_CHECKED}


def test_zuora_that_has_not_answered_for_hours_is_told(world: World) -> None:
    execute(world.database, "UPDATE zuora_limit SET answered_at = answered_at - 10800000")

    with world.database.reading() as session:
        found = {each.name: each for each in examine(session, world.context.settings)}

    assert (found["zuora"].verdict, found["zuora"].says) == (Severity.WARNING, "Zuora last answered 3 h ago.")


def test_postgresql_without_a_secret_key_is_told() -> None:
    (finding,) = check_settings(Settings(database_url="postgresql://sync@db/sync"))

    assert (finding.name, finding.verdict) == ("secret key", Severity.FAILED)
    assert list(check_settings(Settings(database_url="postgresql://sync@db/sync", secret_key="k" * 40))) == []


def test_a_short_secret_of_before_is_told() -> None:
    settings = Settings(database_url="postgresql://d/s", secret_key="k" * 40, callout_password_previous="short")

    assert [(each.name, each.verdict) for each in check_settings(settings)] == [("callout secrets", Severity.WARNING)]


def test_a_store_that_other_users_may_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    settings = Settings(database_url=f"sqlite:///{path}")
    for name, mode in (("store.db", 0o600), ("store.db-wal", 0o640)):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(mode)

    (told,) = check_settings(settings)
    (tmp_path / "store.db-wal").chmod(0o600)
    (mended,) = check_settings(settings)

    assert (told.verdict, mended.verdict) == (Severity.FAILED, Severity.OK)
    assert "store.db-wal" in told.says


# --- provisioned callouts -------------------------------------------------------------------------------------------

OURS = {
    "id": "t1",
    "name": "Limio",
    "calloutBaseurl": "https://sync.example.com/api/plugins/zuora/sync",
    "active": True,
}
THEIRS = {"id": "t2", "calloutBaseurl": "https://sync.example.com.evil.example/", "active": True}
SENDING = {"name": "Orders", "eventTypeName": "OrderProcessed", "calloutTemplateIds": ["t1"], "calloutActive": True}


@pytest.mark.parametrize(
    ("templates", "definitions", "verdict"),
    [
        ([OURS, THEIRS], [SENDING], "ok"),
        ([THEIRS], [SENDING], "warning"),
        ([OURS], [], "warning"),
        ([OURS], [{**SENDING, "calloutActive": False}], "failed"),
        ([OURS], [{**SENDING, "active": False}], "failed"),
        ([{**OURS, "active": False}], [SENDING], "failed"),
        ([], [{"name": "inline", "calloutActive": True, "callout": OURS}], "ok"),
    ],
)
def test_a_callout_is_there_when_something_active_sends_to_us(
    templates: list[dict[str, Any]], definitions: list[dict[str, Any]], verdict: str
) -> None:
    assert judge("callouts", "https://sync.example.com", templates, definitions).verdict == verdict


def test_zuora_is_asked_for_its_notifications(world: World) -> None:
    assert check(world, public_url="https://sync.example.com")["callouts in zuora"].verdict is Severity.WARNING


# --- the job --------------------------------------------------------------------------------------------------------


def test_the_last_check_is_kept_for_those_who_show_it(world: World) -> None:
    findings = list(check_everything(world.database, world.context.settings, world.context.zuora))

    keep_findings(world.database, findings)

    with world.database.reading() as session:
        row = session.get(JobRow, CHECK)
        assert row is not None
        assert from_progress(row.progress) == findings
        assert row.progress["verdict"] == "ok"
        assert row.lease_until is None


def test_as_a_job_it_gives_the_same(world: World) -> None:
    jobs.ensure_job(world.database, CHECK)
    lease = jobs.take(world.database, CHECK)
    assert lease is not None

    progress = check_story(world.context, lease)

    assert progress["at"] == lease.taken_at
    assert {each.name for each in from_progress(progress)} >= {"database", "time zone", "queue"}


def test_the_worst_finding_names_the_whole() -> None:
    fine, odd = Finding("a", Severity.OK, ""), Finding("b", Severity.WARNING, "", "look")
    bad = Finding("c", Severity.FAILED, "", "act")

    assert as_progress([fine], 0)["verdict"] == "ok"
    assert as_progress([fine, odd], 0)["verdict"] == "warning"
    assert as_progress([bad, odd], 0)["verdict"] == "failed"
