"""A backfill asks for everything once, however often it is stopped or killed, and ends when everything has ended."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sync_service.cli.contexts import open_ordering
from sync_service.cli.main import main
from sync_service.errors import BusyError, NotFoundInZuora
from sync_service.jobs.backfill.backfill import Backfill, Ending, Standing
from sync_service.jobs.backfill.ledger import Failure
from sync_service.jobs.backfill.sources import AccountKeys, FileKeys, ListingRefused, Source, TenantKeys
from sync_service.queue import jobs
from sync_service.queue.requests import Kind, fail
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.store.tables import SubscriptionRow
from sync_service.sync.attempt import SyncContext
from sync_service.sync.worker import Worker
from sync_service.zuora.client import ZuoraClient
from tests.queue_world import execute, finish, retry_later, rows, take
from tests.sweep_world import World, open_world
from zuora_emulator.bulk import Bulk
from zuora_emulator.zuora_api import CLIENT_ID, CLIENT_SECRET

pytestmark = pytest.mark.either_database

BULK = 12
#: The numbers that the emulator gives its bulk.
NUMBERS = {f"A-S9{place:07d}" for place in range(BULK)}


class Killed(BaseException):
    """The process ends here, as by kill -9: nothing below it may tidy up anything durable."""


class Listed:
    """A source of numbers that are at hand."""

    are_numbers = True
    position = None
    problems: tuple[Failure, ...] = ()

    def __init__(self, numbers: list[str]) -> None:
        self._numbers = numbers
        self.closed = False

    @property
    def rest(self) -> int:
        return len(self._numbers)

    def take(self, most: int) -> list[str] | None:
        taken, self._numbers = self._numbers[:most], self._numbers[most:]
        return taken or None

    def close(self) -> None:
        self.closed = True


def file_of(*lines: str) -> FileKeys:
    return FileKeys(io.BytesIO("\n".join(lines).encode()))


@contextmanager
def working(world: World) -> Iterator[None]:
    """A worker is at work meanwhile."""
    worker = Worker(world.context, 4, open_ordering(world.context))
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(timeout=30)


def tenant_keys(context: SyncContext) -> Callable[[str | None], Source]:
    return lambda position: TenantKeys(context, datetime.fromisoformat(position) if position else None)


def run(
    context: SyncContext,
    open_source: Callable[[str | None], Source],
    tell: Callable[[Standing], None] = lambda standing: None,
    *,
    stop: threading.Event | None = None,
    window: int = 2_000,
) -> Ending:
    work = Backfill(context, "backfill", open_source, "ada", window=window)
    return work.run(tell, stop or threading.Event())


def kill_at(count: int) -> Callable[[Standing], None]:
    """Dies once so many are settled."""

    def tell(standing: Standing) -> None:
        if standing.settled >= count:
            raise Killed

    return tell


def end_dead_lease(database: Database) -> None:
    """A process that was killed long ago."""
    execute(database, "UPDATE job SET lease_until = {now} - 1")


def queue_only(database: Database) -> SyncContext:
    """A context whose Zuora is never asked."""
    return SyncContext(database=database, zuora=ZuoraClient("", "", ""), settings=Settings())


def settle_all(database: Database) -> None:
    """Workers that find nothing to do serve whatever is due."""
    while claims := take(database, 500):
        for claim in claims:
            finish(database, claim)


# --- the whole tenant -----------------------------------------------------------------------------------------------


@pytest.fixture
def world(sqlite_database: Database) -> Iterator[World]:
    with open_world(sqlite_database, bulk=Bulk(count=BULK, accounts=4)) as world:
        yield world


@pytest.fixture
def any_world(database: Database) -> Iterator[World]:
    """The same on either database."""
    with open_world(database, bulk=Bulk(count=BULK, accounts=4)) as world:
        yield world


def test_a_backfill_that_is_killed_three_times_ends_complete_with_nothing_done_twice(any_world: World) -> None:
    world = any_world
    with working(world):
        for count in (2, 5, 9):
            with pytest.raises(Killed):
                run(world.context, tenant_keys(world.context), kill_at(count), window=3)
            end_dead_lease(world.database)

        ending = run(world.context, tenant_keys(world.context), window=3)

    assert ending.complete
    assert (ending.standing.asked, ending.standing.done, ending.standing.failed) == (BULK, BULK, 0)
    assert ending.ledger.read_outcomes() == {"imported": BULK}
    assert {row[0] for row in world.rows("SELECT reference FROM limio_subscription")} == NUMBERS
    assert world.rows("SELECT count(*) FROM limio_subscription") == [(BULK,)]
    assert world.rows("SELECT count(*) FROM limio_customer") == [(4,)]
    assert world.rows("SELECT count(*), count(DISTINCT key) FROM sync_cause") == [(BULK, BULK)]
    assert world.rows("SELECT key FROM sync_run GROUP BY key HAVING count(*) > 1") == []


def test_done_once_more_it_changes_nothing(world: World) -> None:
    with working(world):
        run(world.context, tenant_keys(world.context))
        before = world.rows("SELECT id, updated FROM limio_subscription ORDER BY id")

        ending = run(world.context, tenant_keys(world.context))

    assert ending.ledger.read_outcomes() == {"unchanged": BULK}
    assert world.rows("SELECT id, updated FROM limio_subscription ORDER BY id") == before


def test_only_what_zuora_updated_since_a_day_is_asked_for(world: World) -> None:
    world.pass_time(days=3)
    (changed,) = sorted(NUMBERS)[:1]
    since = world.zuora.emulator.tenant.now()
    world.do("renew", key=changed)

    with working(world):
        ending = run(world.context, lambda _: TenantKeys(world.context, since))

    assert ending.standing.asked == 1
    assert world.rows("SELECT key FROM sync_cause") == [(changed,)]


def test_where_object_query_is_off_zoql_lists_the_tenant(world: World) -> None:
    world.do("fault", kind="error", path="/object-query/subscriptions", code=50000040)

    with working(world):
        ending = run(world.context, tenant_keys(world.context))

    assert ending.complete
    assert ending.standing.asked == BULK


def test_where_nothing_lists_the_tenant_the_person_hears_how_to_do_without(world: World) -> None:
    world.do("fault", kind="error", path="/object-query|/v1/action", code=50000010)

    with pytest.raises(ListingRefused, match="--file"):
        run(world.context, tenant_keys(world.context))

    assert jobs.take(world.database, "backfill") is not None  # no process holds it any more


def test_while_zuora_is_in_trouble_it_waits_and_says_why(world: World) -> None:
    world.do("fault", kind="rate_limit", path="/object-query", count=1, retry_after=1000)
    told: set[str] = set()

    def tell(standing: Standing) -> None:
        if standing.obstacle:
            told.add(standing.obstacle)
            world.reopen()

    with working(world):
        ending = run(world.context, tenant_keys(world.context), tell)

    assert ending.standing.done == BULK
    assert any("API Rate limit exceeded" in words for words in told)


def test_the_rest_of_the_budget_is_left_to_people(sqlite_database: Database) -> None:
    with open_world(sqlite_database, bulk=Bulk(count=BULK), zuora_daily_calls=10) as world:
        with world.database.transaction() as session:
            session.run(
                "INSERT INTO zuora_limit (id, permitted, trouble, quiet, day, calls_today, claims)"
                " VALUES (1, 8, 0, 0, :day, 9, 0)",
                {"day": datetime.now(UTC).date()},
            )
        stop = threading.Event()
        told: list[str] = []

        def tell(standing: Standing) -> None:
            if standing.obstacle:
                told.append(standing.obstacle)
                stop.set()

        ending = run(world.context, tenant_keys(world.context), tell, stop=stop)

        assert not ending.complete
        assert "only what people ask for" in told[0]
        assert world.calls() == 0


# --- keys from a file, and of an account ----------------------------------------------------------------------------


def test_a_file_may_mix_names_of_every_kind_and_name_one_thing_twice(any_world: World) -> None:
    world = any_world
    world.sync("A-S90000001")
    ((limio_id,),) = world.rows("SELECT id FROM limio_subscription")
    version_id = "5b" + f"{3:030x}"  # the Zuora id that the emulator gives its fourth subscription
    keys = file_of("\ufeffA-S90000002", "", limio_id, " A-S90000001 ", "A-S90000002", version_id, "A-S90000003")

    with working(world):
        ending = run(world.context, lambda _: keys)

    assert ending.complete
    synced = world.rows("SELECT number FROM zuora_link ORDER BY number")
    assert synced == [("A-S90000001",), ("A-S90000002",), ("A-S90000003",)]
    assert ending.standing.failed == 0


def test_every_key_that_cannot_be_synced_is_reported_with_its_reason(world: World) -> None:
    with working(world):
        ending = run(world.context, lambda _: file_of("A-S90000001", "no one's", "A/B", "x" * 300))

    assert (ending.standing.done, ending.standing.failed) == (1, 1)
    assert list(ending.ledger.read_failures()) == [Failure("no one's", "Neither Limio nor Zuora knows this key.")]
    assert [each.key for each in ending.problems] == ["line 3: A/B", f"line 4: {'x' * 60}"]
    assert ending.problems[0].reason == "The key contains /"


def test_a_subscription_that_only_limio_knows_counts_as_such(world: World) -> None:
    world.load("GIFT00000001")

    with working(world):
        ending = run(world.context, lambda _: file_of("GIFT00000001"))

    assert ending.ledger.read_outcomes() == {"not in zuora": 1}


def test_an_account_gives_the_subscriptions_that_it_owns(world: World) -> None:
    with working(world):
        ending = run(world.context, lambda _: AccountKeys(world.context, "A90000003"))

    assert ending.standing.done == 3
    assert {row[0] for row in world.rows("SELECT number FROM zuora_link")} == {
        "A-S90000003",
        "A-S90000007",
        "A-S90000011",
    }


def test_an_account_that_zuora_lacks_ends_the_backfill_before_it_begins(world: World) -> None:
    with pytest.raises(NotFoundInZuora):
        run(world.context, lambda _: AccountKeys(world.context, "A-NONE"))

    assert jobs.take(world.database, "backfill") is not None


def test_standard_input_is_read_once_and_known_in_length() -> None:
    class Pipe(io.BytesIO):
        def seek(self, *_: Any) -> int:
            raise OSError("a pipe does not go back")

    keys = FileKeys(Pipe(b"one\ntwo\r\n\nthree"), once=True)

    assert keys.rest == 3
    assert keys.take(2) == ["one", "two"]
    assert (keys.take(2), keys.rest, keys.take(2)) == (["three"], 0, None)
    keys.close()


# --- the queue ------------------------------------------------------------------------------------------------------


def test_no_more_is_asked_for_at_a_time_than_the_window(database: Database) -> None:
    numbers = [f"A-S{place:05}" for place in range(500)]
    most = 0

    def tell(_: Standing) -> None:
        nonlocal most
        ((waiting,),) = rows(database, "SELECT count(*) FROM sync_request WHERE due_at IS NOT NULL")
        most = max(most, waiting)
        settle_all(database)

    source = Listed(numbers)
    ending = run(queue_only(database), lambda _: source, tell, window=100)

    assert ending.standing.done == 500
    assert most == 100
    assert source.closed


def test_what_is_tried_again_holds_up_nothing_else(database: Database) -> None:
    """Ten that fail do not use up a window of ten."""
    stop = threading.Event()
    told: list[Standing] = []

    def tell(standing: Standing) -> None:
        told.append(standing)
        for claim in take(database, 500):
            if claim.key.startswith("BAD"):
                retry_later(database, claim)
            else:
                finish(database, claim)
        if standing.done == 30:
            stop.set()

    numbers = [f"BAD-{place}" for place in range(10)] + [f"GOOD-{place}" for place in range(30)]
    ending = run(queue_only(database), lambda _: Listed(numbers), tell, stop=stop, window=10)

    assert not ending.complete
    assert (ending.standing.done, ending.standing.backing_off) == (30, 10)


def test_the_requests_are_those_of_a_job_and_read_everything(database: Database) -> None:
    stop = threading.Event()

    run(queue_only(database), lambda _: Listed(["A-S1"]), lambda _: stop.set(), stop=stop)

    assert rows(database, 'SELECT key, priority, "full" FROM sync_request') == [("A-S1", 2, 1)]
    ((trigger, actor),) = rows(database, "SELECT trigger, actor FROM sync_cause")
    assert trigger == "backfill"
    assert actor.startswith("ada (backfill ")


def test_stopped_it_keeps_its_place_and_lets_go_of_the_job(database: Database) -> None:
    context, stop = queue_only(database), threading.Event()
    first = run(context, lambda _: Listed(["A-S1", "A-S2"]), lambda _: stop.set(), stop=stop)
    assert not first.complete
    settle_all(database)

    second = run(context, lambda _: Listed(["A-S1", "A-S2"]))

    assert second.complete
    assert second.standing.done == 2
    assert rows(database, "SELECT max(requested_seq) FROM sync_request") == [(1,)]


def test_a_pause_from_elsewhere_stops_it_and_the_same_command_goes_on(database: Database) -> None:
    context = queue_only(database)

    def pause(_: Standing) -> None:
        with database.transaction() as session:
            jobs.pause(session, "backfill")

    paused = run(context, lambda _: Listed(["A-S1"]), pause)
    assert (paused.complete, paused.paused) == (False, True)
    settle_all(database)

    assert run(context, lambda _: Listed(["A-S1"])).complete


def test_two_processes_are_not_at_one_backfill(database: Database) -> None:
    jobs.ensure_job(database, "backfill")
    assert jobs.take(database, "backfill") is not None
    given_up = threading.Event()
    told: list[Standing] = []

    def tell(standing: Standing) -> None:
        told.append(standing)
        given_up.set()

    with pytest.raises(BusyError, match="Another process"):
        run(queue_only(database), lambda _: Listed(["A-S1"]), tell, stop=given_up)
    assert "waiting" in (told[0].obstacle or "")


def test_a_failure_that_was_put_right_since_is_none(database: Database) -> None:
    context, stop = queue_only(database), threading.Event()

    def give_up(_: Standing) -> None:
        for claim in take(database, 10):
            with database.transaction() as session:
                fail(session, claim, error="no hope")

    ending = run(context, lambda _: Listed(["A-S1", "A-S2"]), give_up, stop=stop)
    assert {each.key: each.reason for each in ending.ledger.read_failures()} == {"A-S1": "no hope", "A-S2": "no hope"}

    execute(database, "UPDATE sync_request SET done_seq = 1, failed_seq = 0 WHERE key = 'A-S1'")

    assert [each.key for each in ending.ledger.read_failures()] == ["A-S2"]
    assert ending.ledger.tally().done == 1


def test_more_failures_than_one_page_are_all_told(database: Database) -> None:
    numbers = [f"A-S{place:05}" for place in range(1_100)]

    def give_up(_: Standing) -> None:
        execute(
            database,
            "UPDATE sync_request SET failed_seq = requested_seq, due_at = NULL, waiting_since = NULL,"
            " last_error = 'no hope' WHERE due_at IS NOT NULL",
        )

    ending = run(queue_only(database), lambda _: Listed(numbers), give_up)

    assert [each.key for each in ending.ledger.read_failures()] == numbers
    assert ending.standing.failed == 1_100


def test_the_same_keys_under_another_kind_are_another_request(database: Database) -> None:
    """An alias that a file names and a number of the same text are told apart."""
    with database.transaction() as session:
        session.add(SubscriptionRow(id="sub-1", reference="KNOWN", document={}))
    stop = threading.Event()

    run(queue_only(database), lambda _: file_of("KNOWN", "UNKNOWN"), lambda _: stop.set(), stop=stop)

    assert sorted(rows(database, "SELECT kind, key FROM sync_request")) == [
        (Kind.ALIAS, "UNKNOWN"),
        (Kind.SUBSCRIPTION, "KNOWN"),
    ]


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def command(sqlite_url: str, sqlite_database: Database, tmp_path: Path) -> Iterator[Callable[..., Result]]:
    """`sync-service backfill` against a tenant with one subscription, on a store that Limio loads `A-S1` into."""
    empty = tmp_path / "numbers.txt"
    empty.touch()
    with open_world(sqlite_database) as world:
        world.subscribe("A-S1")
        environ = {
            "DATABASE_URL": sqlite_url,
            "ZUORA_BASE_URL": world.zuora.url,
            "ZUORA_CLIENT_ID": CLIENT_ID,
            "ZUORA_CLIENT_SECRET": CLIENT_SECRET,
        }

        def run(*, tenant: str = "tenant.19", loaded: bool = False) -> Result:
            world.execute("INSERT INTO store_tenant (id, tenant, since) VALUES (1, :tenant, {now})", tenant=tenant)
            if loaded:
                world.load("A-S1")
            told = CliRunner().invoke(main, ["backfill", "--file", str(empty)], env=environ)
            assert world.waiting() == set()
            return told

        yield run


def test_into_a_store_without_limios_objects_nothing_is_imported_unless_the_operator_says_so(
    command: Callable[..., Result],
) -> None:
    told = command()

    assert told.exit_code == 1
    assert "The store holds no object that Limio made" in told.stderr
    assert "--yes" in told.stderr


def test_if_limio_has_loaded_its_objects_no_question_is_asked(command: Callable[..., Result]) -> None:
    assert command(loaded=True).exit_code == 0


def test_credentials_of_another_tenant_end_it_before_it_begins(command: Callable[..., Result]) -> None:
    told = command(tenant="tenant.7", loaded=True)

    assert told.exit_code == 1
    assert "The store was filled from tenant.7" in told.stderr
