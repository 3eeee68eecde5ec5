"""Backfills that people want at the admin pages: kept in the database, run by a scheduler, never twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sync_service.jobs.backfill.wished import _look, serve_wishes
from sync_service.jobs.scheduler import Scheduler
from sync_service.queue import jobs
from sync_service.queue.backfills import From, WishInvalid, leave_wish, name_of, read_wishes
from sync_service.store.engine import Database
from sync_service.store.tables import BackfillWishRow, JobRow
from tests.integration.test_backfill import working
from tests.sweep_world import World, open_world

ADA = "ada@example.com"


@pytest.fixture
def world(sqlite_database: Database) -> Iterator[World]:
    with open_world(sqlite_database) as world:
        world.subscribe("A-S1", "A-S2", account="A1")
        world.subscribe("A-S3")
        yield world


def job(database: Database, name: str) -> JobRow:
    with database.reading() as session:
        row = session.get(JobRow, name)
    assert row is not None
    return row


def wishes(database: Database) -> list[tuple[str, str, str]]:
    with database.reading() as session:
        return [(row.name, row.value, row.actor) for row in read_wishes(session)]


def serve(world: World) -> None:
    with working(world):
        serve_wishes(world.context, threading.Event())


def test_a_scheduler_runs_what_is_wanted_to_its_end_and_names_what_failed(world: World) -> None:
    name = leave_wish(world.database, From.LIST, "A-S1\n\n UNKNOWN \r\nA-S1\n", ADA)
    assert wishes(world.database) == [(name, "A-S1\nUNKNOWN", ADA)]

    serve(world)

    row = job(world.database, name)
    assert (row.progress["asked"], row.progress["done"], row.progress["failed"]) == (2, 1, 1)
    assert row.progress["outcomes"] == {"imported": 1}
    ((failure),) = row.progress["failures"]
    assert failure["key"] == "UNKNOWN"
    assert "knows this key" in failure["reason"]
    assert row.lease_until is None
    assert row.due_at > (row.last_ended or 0) + 10**11
    assert wishes(world.database) == []
    assert world.rows("SELECT number FROM zuora_link") == [("A-S1",)]
    ((actor),) = {actor for (actor,) in world.rows("SELECT actor FROM sync_cause WHERE kind = 'subscription'")}
    assert actor.startswith(f"{ADA} (backfill list ")


def test_an_account_and_the_whole_tenant_are_backfilled(world: World) -> None:
    leave_wish(world.database, From.ACCOUNT, " A1 ", ADA)
    serve(world)
    assert world.rows("SELECT number FROM zuora_link ORDER BY 1") == [("A-S1",), ("A-S2",)]
    since = leave_wish(world.database, From.SINCE, "2999-01-01", ADA)
    whole = leave_wish(world.database, From.TENANT, "ignored", ADA)

    serve(world)

    assert (job(world.database, since).progress["asked"], job(world.database, whole).progress["asked"]) == (0, 3)
    assert len(world.rows("SELECT number FROM zuora_link")) == 3


def test_what_zuora_does_not_know_ends_with_the_reason_and_is_not_tried_for_ever(world: World) -> None:
    name = leave_wish(world.database, From.ACCOUNT, "A-NONE", ADA)

    serve(world)

    row = job(world.database, name)
    assert row.last_error == "Zuora does not know the account A-NONE."
    assert row.lease_until is None
    assert wishes(world.database) == []
    before = row.token
    serve(world)
    assert job(world.database, name).token == before


def test_what_is_paused_waits_and_goes_on_after(world: World) -> None:
    name = leave_wish(world.database, From.LIST, "A-S1", ADA)
    with world.database.transaction() as session:
        jobs.pause(session, name)
    serve(world)
    assert job(world.database, name).token == 0
    with world.database.transaction() as session:
        jobs.resume(session, name)

    serve(world)

    assert job(world.database, name).progress["done"] == 1


def test_a_scheduler_that_stops_puts_it_back_and_another_goes_on_asking_for_nothing_twice(world: World) -> None:
    name = leave_wish(world.database, From.LIST, "A-S1\nA-S2", ADA)
    loop = Scheduler(world.database, world.context.settings, (), errand=lambda stop: serve_wishes(world.context, stop))
    thread = threading.Thread(target=loop.run_errand)
    thread.start()  # no worker is there: it asks and waits
    done = threading.Event()
    while len(world.waiting()) < 2 and thread.is_alive():
        done.wait(0.05)
    loop.stop()
    thread.join(timeout=30)
    assert job(world.database, name).lease_until is None
    assert len(wishes(world.database)) == 1

    serve(world)

    assert job(world.database, name).progress["done"] == 2
    assert set(world.rows("SELECT requested_seq FROM sync_request")) == {(1,)}


def test_a_killed_schedulers_backfill_is_taken_by_another_when_its_lease_ends(world: World) -> None:
    name = leave_wish(world.database, From.LIST, "A-S1", ADA)
    dead = jobs.take(world.database, name)
    assert dead is not None
    serve(world)
    assert job(world.database, name).progress == {}
    world.execute("UPDATE job SET lease_until = {now} - 1")

    serve(world)

    assert job(world.database, name).progress["done"] == 1


def test_the_same_wish_again_is_the_same_backfill(database: Database) -> None:
    first = leave_wish(database, From.ACCOUNT, "A1", ADA)
    again = leave_wish(database, From.ACCOUNT, " A1", "bob@example.com")

    assert first == again == "backfill account A1"
    assert wishes(database) == [(first, "A1", "bob@example.com")]
    assert job(database, first).lease_until is None
    assert jobs.take(database, first) is not None
    assert name_of(From.LIST, "a") != name_of(From.LIST, "b")
    assert name_of(From.SINCE, "2026-01-01") == "backfill since 2026-01-01"


@pytest.mark.parametrize(
    ("source", "value", "says"),
    [
        (From.ACCOUNT, "", "Account"),
        (From.ACCOUNT, "a<b", "Account"),
        (From.SINCE, "yesterday", "YYYY-MM-DD"),
        (From.LIST, " \n ", "one a line"),
        (From.LIST, "A-S1\na?b", "key 2"),
        (From.LIST, "x" * 40_001, "sync-service backfill --file"),
    ],
)
def test_a_wish_that_names_nothing_is_refused_with_the_field(
    sqlite_database: Database, source: Any, value: str, says: str
) -> None:
    with pytest.raises(WishInvalid, match=says):
        leave_wish(sqlite_database, source, value, ADA)
    assert wishes(sqlite_database) == []


def test_a_dry_run_says_what_would_change_and_writes_nothing_else(world: World) -> None:
    world.sync("A-S1", "A-S2")
    world.do("renew", key="A-S1")
    before = world.rows("SELECT * FROM sync_request"), world.rows("SELECT * FROM sync_run")
    name = leave_wish(world.database, From.LIST, "A-S1\nA-S2\nA-S3\nUNKNOWN", ADA, is_dry_run=True)
    assert name.startswith("dry run list ")

    serve_wishes(world.context, threading.Event())

    told = job(world.database, name).progress
    assert (told["looked"], told["changed"], told["imported"], told["up_to_date"], told["failed"]) == (4, 1, 1, 1, 1)
    assert told["complete"] is True
    assert told["changes"]["term end dates changed"] == 1
    assert [key for key, _ in told["would_change"]] == ["A-S1", "A-S3"]
    assert "1 term end dates changed" in told["would_change"][0][1]
    assert [each["key"] for each in told["failures"]] == ["UNKNOWN"]
    assert (told["source"], told["value"]) == ("list", "A-S1\nA-S2\nA-S3\nUNKNOWN")
    assert (world.rows("SELECT * FROM sync_request"), world.rows("SELECT * FROM sync_run")) == before
    assert wishes(world.database) == []
    assert job(world.database, name).lease_until is None


def test_a_dry_run_of_very_many_looks_at_a_part_and_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync_service.jobs.backfill.wished.MAX_LOOKED_AT", 2)
    name = leave_wish(world.database, From.TENANT, "", ADA, is_dry_run=True)

    serve_wishes(world.context, threading.Event())

    told = job(world.database, name).progress
    assert (told["looked"], told["complete"]) == (2, False)


def test_a_dry_run_that_is_stopped_begins_anew_and_one_that_is_paused_waits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync_service.jobs.backfill.wished.SAVE_SECONDS", 0.0)
    name = leave_wish(world.database, From.TENANT, "", ADA, is_dry_run=True)
    stop = threading.Event()
    stop.set()
    lease = jobs.take(world.database, name)
    assert lease is not None
    (wish,) = [each for each in _read(world) if each.name == name]
    assert _look(world.context, wish, lease, stop) is False
    assert wishes(world.database)[0][0] == name

    lease = jobs.take(world.database, name)
    assert lease is not None
    with world.database.transaction() as session:
        jobs.pause(session, name)
    assert _look(world.context, wish, lease, threading.Event()) is False
    assert job(world.database, name).lease_until is None
    with world.database.transaction() as session:
        jobs.resume(session, name)
    serve_wishes(world.context, threading.Event())
    assert job(world.database, name).progress["complete"] is True


def test_a_backfill_tells_how_many_it_changed_and_by_which_name_its_runs_are_found(world: World) -> None:
    world.sync("A-S1", "A-S2")
    world.do("renew", key="A-S1")
    name = leave_wish(world.database, From.ACCOUNT, "A1", ADA)

    serve(world)

    told = job(world.database, name).progress
    assert (told["done"], told["changed"]) == (2, 1)
    found = world.rows("SELECT key FROM sync_run WHERE actor = :actor AND outcome = 'changed'", actor=told["actor"])
    assert found == [("A-S1",)]


def _read(world: World) -> list[BackfillWishRow]:
    with world.database.reading() as session:
        return read_wishes(session)
