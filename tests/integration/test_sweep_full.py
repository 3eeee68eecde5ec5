"""The full sweep: everything is compared from the list itself, and what stands still costs no call of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import select

from sync_service.errors import LeaseLost
from sync_service.jobs.sweep.delta import sweep_delta
from sync_service.jobs.sweep.full import sweep_full
from sync_service.jobs.sweep.walk import PartWay
from sync_service.queue.claims import claim
from sync_service.queue.requests import Cause, Kind, Priority, enqueue, enqueue_many, fail
from sync_service.queue.runs.history import is_drift
from sync_service.store.engine import Database, connect
from sync_service.store.tables import SyncRunRow
from sync_service.subscription.trigger import Trigger
from tests.databases import new_sqlite
from tests.sweep_world import World, open_world
from zuora_emulator.bulk import Bulk
from zuora_emulator.fields import Refused

pytestmark = pytest.mark.either_database

#: A page and a bit.
SOME = Bulk(count=120, accounts=20)
#: Three pages and a bit.
MANY = Bulk(count=320)


@pytest.fixture
def world(database: Database) -> Iterator[World]:
    with open_world(database) as world:
        world.subscribe("A-S1", "A-S2", "A-S3")
        world.sync("A-S1", "A-S2", "A-S3")
        yield world


def long_ago(world: World) -> None:
    """The changes so far are older than any window of a delta sweep; only a full sweep still finds them."""
    world.keep_watermark("2032-01-01T00:00:00+00:00", ago_ms=0)


def test_what_stands_still_costs_a_99th_of_a_call_and_a_change_three_calls_more(database: Database) -> None:
    with open_world(database, bulk=SOME) as world:
        world.sync(*(SOME.number(place) for place in range(SOME.count)))
        objects = world.rows("SELECT id, updated FROM limio_subscription ORDER BY id")
        world.calls()

        report = world.sweep_all()

        assert world.calls() == 2  # 120 rows at 99 a page
        assert (report["pages"], report["calls"], report.get("marked", 0)) == (2, 2, 0)
        assert report["looked_at"] == {"subscriptions": 120, "accounts": 40, "contacts": 40}  # 20 of each on two pages
        assert world.waiting() == set()
        assert world.rows("SELECT id, updated FROM limio_subscription ORDER BY id") == objects
        assert world.rows("SELECT count(*) FROM sync_cause WHERE trigger = 'sweep'") == [(0,)]

        world.do("auto_renew", key=SOME.number(7), value="off")
        world.sweep_all()
        world.work()

        assert world.calls() <= 2 + 3


def test_changes_older_than_any_window_are_found(world: World) -> None:
    world.sweep()
    world.do("auto_renew", key="A-S1", value="off")
    world.do("change_contact", key="A-S2", city="York")
    long_ago(world)

    delta, full = world.sweep(), world.sweep_all()

    assert delta.get("marked", 0) == 0
    assert full["drift_numbers"] == ["A-S1", "A-S2"]
    assert world.waiting() == {"A-S1", "A-S2"}


def test_cancelled_subscriptions_are_compared_like_any_other(world: World) -> None:
    world.do("cancel", key="A-S1")
    world.sync("A-S1")
    assert world.sweep_all().get("marked", 0) == 0

    world.do("delete_order", key="A-S1")

    assert world.sweep_all()["drift_numbers"] == ["A-S1"]


def test_what_a_bill_run_touched_is_asked_for_once(world: World) -> None:
    world.pass_time(minutes=5)
    world.do("bill_run")

    first, second = world.sweep_all(), world.sweep_all()
    world.work()
    third = world.sweep_all()

    assert first["touched"] == 3
    assert [second.get("marked", 0), third.get("marked", 0)] == [0, 0]


def test_a_loaded_subscription_that_no_sync_has_read_is_asked_for(world: World) -> None:
    world.subscribe("A-S4")
    world.load("A-S4")

    report = world.sweep_all()

    assert world.waiting() == {"A-S4"}
    assert (report["first_read"], report.get("drift", 0)) == (1, 0)


def test_a_silent_change_of_a_number_that_no_sync_had_read_is_drift_once_it_is_read(world: World) -> None:
    world.subscribe("A-S4", "A-S5")
    world.sync("A-S4", "A-S5")
    world.execute("DELETE FROM zuora_link WHERE number IN ('A-S4', 'A-S5')")  # as Limio has them, before any sync
    world.do("change_price", key="A-S4", price="19.99")
    with world.database.reading() as session:
        began = session.now()

    report = world.sweep_all()
    world.work()

    assert (report["first_read"], report.get("drift", 0)) == (2, 0)
    with world.database.reading() as session:
        drift = select(SyncRunRow.key).where(is_drift(), SyncRunRow.ended_at >= began)
        assert session.exec(drift).all() == ["A-S4"]
    assert world.rows("SELECT key FROM sync_run WHERE outcome = 'changed' AND trigger = 'sweep'") == [("A-S4",)]


def test_a_number_whose_callout_was_accepted_is_no_drift_while_its_sync_fails(world: World) -> None:
    world.do("auto_renew", key="A-S1", value="off")
    with world.database.transaction() as session:
        enqueue(session, Kind.SUBSCRIPTION, "A-S1", Cause(Trigger.CALLOUT), priority=Priority.EVENT)
    (claimed,) = claim(world.database, 1, world.context.share)
    with world.database.transaction() as session:
        fail(session, claimed, error="no luck")

    report = world.sweep_all()

    assert (report["announced"], report.get("drift", 0)) == (1, 0)


def test_a_change_is_drift_where_the_last_callout_was_served_in_the_millisecond_in_which_it_came(world: World) -> None:
    world.do("auto_renew", key="A-S1", value="off")
    with world.database.transaction() as session:
        enqueue(session, Kind.SUBSCRIPTION, "A-S1", Cause(Trigger.CALLOUT), priority=Priority.EVENT)
    world.work()
    ((began,),) = world.rows("SELECT read_began FROM zuora_link WHERE number = 'A-S1'")
    world.execute(f"UPDATE sync_cause SET at = {began} WHERE trigger = 'callout'")
    world.do("auto_renew", key="A-S1", value="on")

    report = world.sweep_all()

    assert (report["drift"], report.get("announced", 0)) == (1, 0)


@pytest.mark.parametrize("outcome", ["held", "dropped"])
def test_what_a_person_has_to_decide_or_has_dropped_is_held_and_no_drift(world: World, outcome: str) -> None:
    world.do("cancel", key="A-S1")
    world.execute(
        "INSERT INTO sync_run (kind, key, seq_from, seq_to, outcome, began_at, ended_at, calls, change_count, drastic)"
        " VALUES ('subscription', 'A-S1', 1, 2, :outcome, {now}, {now}, 1, 3, TRUE)",
        outcome=outcome,
    )
    world.do("cancel", key="A-S2")

    report = world.sweep_all()

    assert (report["held"], report["drift"], report["drift_numbers"]) == (1, 1, ["A-S2"])


def test_what_is_gone_from_zuora_is_named_and_asked_for(world: World) -> None:
    world.do("forget", key="A-S2")

    report = world.sweep_all()

    assert report["absent_numbers"] == ["A-S2"]
    assert world.waiting() == {"A-S2"}


def test_of_many_that_are_gone_a_few_are_asked_for_since_not_found_in_a_row_is_the_tenants_trouble(
    world: World,
) -> None:
    numbers = [f"A-T{place}" for place in range(12)]
    world.subscribe(*numbers)
    world.sync(*numbers)
    for number in numbers:
        world.do("forget", key=number)

    report = world.sweep_all()
    world.work()

    assert report["absent"] == 12
    assert len(world.rows("SELECT 1 FROM sync_run WHERE error_code = 'gone from Zuora'")) == 5
    assert world.rows("SELECT trouble FROM zuora_limit") == [(0,)]


def test_a_new_version_is_not_taken_for_gone(world: World) -> None:
    for number in ("A-S1", "A-S2", "A-S3"):
        world.do("auto_renew", key=number, value="off")

    report = world.sweep_all()

    assert report.get("absent", 0) == 0
    assert report["drift"] == 3


def test_a_full_sweep_stopped_again_and_again_asks_for_everything_once(database: Database) -> None:
    with open_world(database, bulk=MANY) as world:
        numbers = {MANY.number(place) for place in range(MANY.count)}
        world.load(*numbers)
        world.do("fault", kind="server_error", path="object-query", probability=0.5)

        stops = 0
        while isinstance(world.stretch(sweep_full), PartWay):
            world.reopen()
            stops += 1

        assert stops > 0
        assert world.waiting() == numbers
        assert world.rows("SELECT count(*), count(DISTINCT key) FROM sync_cause") == [(320, 320)]


def test_a_page_that_was_done_and_not_saved_is_done_again_without_asking_twice(database: Database) -> None:
    with open_world(database, bulk=SOME) as world:
        world.load(*(SOME.number(place) for place in range(SOME.count)))
        lease = world.begin(sweep_full)
        world.execute("UPDATE job SET lease_until = {now} - 1")  # it hangs, and another takes over
        world.sweep_all()

        with pytest.raises(LeaseLost):
            sweep_full(world.context, lease)

        assert world.rows("SELECT count(*) FROM sync_cause") == [(120,)]


def test_a_cursor_that_zuora_no_longer_takes_begins_the_list_anew(database: Database) -> None:
    with open_world(database, bulk=MANY) as world:
        world.load(MANY.number(5), MANY.number(310))
        world.do("fault", kind="server_error", path="object-query", probability=0.5)
        while not world.rows("SELECT 1 FROM sync_request"):
            world.stretch(sweep_full)
            world.reopen()
        world.do("clear_faults")
        world.spoil_cursor(sweep_full)

        report = world.sweep_all()

        assert report["marked"] == 2
        assert world.waiting() == {MANY.number(5), MANY.number(310)}


def test_a_full_sweep_by_zoql_finds_the_same(world: World) -> None:
    world.do("fault", kind="error", path="object-query", code=50000010)
    assert world.sweep_all().get("marked", 0) == 0
    world.do("auto_renew", key="A-S1", value="off")
    world.do("change_contact", key="A-S2", city="York")

    report = world.sweep_all()

    assert report["source"] == "zoql"
    assert report["drift_numbers"] == ["A-S1", "A-S2"]
    assert world.sweep_all().get("marked", 0) == 0


@pytest.mark.parametrize(
    ("limio_format", "named"),
    [("", []), (r"A-S[0-9]+", ["A-S9"])],
)
def test_unknown_numbers_are_left_out_and_those_of_limios_form_are_named(
    database: Database, limio_format: str, named: list[str]
) -> None:
    with open_world(database, limio_reference_format=limio_format) as world:
        world.subscribe("A-S9")

        report = world.sweep_all()

        assert sum(report["left_out"].values()) == 1
        assert report.get("missing_from_load", []) == named
        assert world.waiting() == set()


def test_with_import_all_unknown_numbers_are_imported_but_for_the_young_the_echoed_and_the_over(
    database: Database,
) -> None:
    with open_world(database, import_unknown="all", bulk=Bulk(count=3)) as world:
        world.subscribe("A-S1")  # less than an hour old
        world.do("cancel", key="A-S90000001")
        world.execute(
            "INSERT INTO callout (received_at, key, verdict, reason, reason_code)"
            " VALUES ({now}, 'A-S90000002', 'ignored', 'echo: the order''s source is shop', 'echo')"
        )

        report = world.sweep_all()
        world.work()

        assert report["import"] == 1
        assert world.rows("SELECT reference FROM limio_subscription") == [("A-S90000000",)]


NUMBERS = ("A-S1", "A-S2", "A-S3")
CHANGES = st.tuples(
    st.sampled_from(NUMBERS),
    st.sampled_from(
        ["auto_renew", "cancel", "delete_order", "contact", "own contact", "other contact", "bill", "price"]
    ),
    st.integers(1, 99),
)


def happen(world: World, number: str, what: str, some: int) -> None:
    """Something happens in Zuora that no callout tells of; nothing where Zuora would refuse it."""
    renews = world.zuora.emulator.tenant.subscriptions[number].latest.auto_renew
    with suppress(Refused):
        match what:
            case "auto_renew":
                world.do("auto_renew", key=number, value="off" if renews else "on")
            case "cancel":
                world.do("cancel", key=number, on="term_end" if some % 2 else "today")
            case "delete_order":
                world.do("delete_order", key=number)
            case "contact":
                world.do("change_contact", key=number, city=f"City {some}")
            case "own contact":
                world.do("change_contact", key=number, of="subscription", which="sold_to", city=f"Own {some}")
            case "other contact":
                world.do("change_contact", key=number, which="bill_to", how="new", first_name=f"Name {some}")
            case "bill":
                world.do("bill_run", key=number)
            case "price":
                world.do("change_price", key=number, price=f"{some}.50")


@settings(max_examples=settings.default.max_examples // 4)  # each is a tenant, two sweeps and a sync of everything
@given(rounds=st.lists(st.lists(CHANGES, max_size=5), min_size=1, max_size=2), by_full=st.booleans())
def test_after_one_sweep_nothing_is_left_for_a_sync_of_everything_to_change(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[list[tuple[str, str, int]]], by_full: bool
) -> None:
    database = connect(new_sqlite(tmp_path_factory.mktemp("sweep") / "store.db"))
    with open_world(database) as world:
        world.subscribe(*NUMBERS)
        world.subscribe("A-S4", account="A-of-A-S1")
        world.sync(*NUMBERS, "A-S4")
        for changes in rounds:
            for number, what, some in changes:
                happen(world, number, what, some)
            world.sweep(sweep_full if by_full else sweep_delta)
            world.work()
            asked = [world.sweep(story).get("marked", 0) for story in (sweep_full, sweep_delta)]

            cause = Cause(Trigger.CLI)
            enqueue_many(database, Kind.SUBSCRIPTION, (*NUMBERS, "A-S4"), cause, priority=Priority.PERSON, full=True)
            world.work()

            left = world.rows(
                "SELECT key, outcome, plan FROM sync_run WHERE trigger = 'cli' AND outcome <> 'unchanged'"
            )
            assert left == []
            assert asked == [0, 0]
    database.engine.dispose()
