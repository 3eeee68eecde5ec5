"""What must never reach Limio's customers by itself: an answer that cancels everything, and a foreign tenant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result

from sync_service.cli.contexts import open_ordering
from sync_service.cli.main import main
from sync_service.queue.requests import Cause, Kind, Priority, enqueue_many
from sync_service.queue.runs.held import ALWAYS_ALLOWED
from sync_service.store.engine import Database
from sync_service.subscription.trigger import Trigger
from sync_service.sync.worker import Worker
from tests.acceptance.comparing import find_stale
from tests.acceptance.first import postgresql_first
from tests.acceptance.processes import wait_until
from tests.acceptance.service import Service
from tests.queue_world import at_once
from tests.sweep_world import World, open_world
from zuora_emulator.bulk import Bulk
from zuora_emulator.zuora_api import CLIENT_ID, CLIENT_SECRET

BULK = Bulk(count=60, accounts=15)
NUMBERS = [BULK.number(place) for place in range(BULK.count)]
_COUNT = "SELECT key, outcome FROM sync_run WHERE drastic OR outcome IN ('held', 'released', 'dropped') ORDER BY id"


class Company:
    """A store that agrees with Zuora, and the commands of the people who look after it."""

    def __init__(self, world: World, database_url: str) -> None:
        self.world = world
        self._environ = {
            "DATABASE_URL": database_url,
            "ZUORA_BASE_URL": world.zuora.url,
            "ZUORA_CLIENT_ID": CLIENT_ID,
            "ZUORA_CLIENT_SECRET": CLIENT_SECRET,
        }

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(main, words, env=self._environ)

    def work(self) -> None:
        """Three workers of four threads take all that waits."""
        at_once([lambda: Worker(self.world.context, 4, open_ordering(self.world.context)).run_until_idle()] * 3)

    def ask_for_all(self) -> None:
        """Callouts name every number once more, and everything is read."""
        cause = Cause(Trigger.CALLOUT)
        enqueue_many(self.world.database, Kind.SUBSCRIPTION, NUMBERS, cause, priority=Priority.EVENT, full=True)
        self.work()

    def with_status(self, status: str) -> set[str]:
        rows = self.world.rows("SELECT reference FROM limio_subscription WHERE status = :status", status=status)
        return {row[0] for row in rows}

    def held(self) -> set[str]:
        return {row[0] for row in self.world.rows("SELECT key FROM sync_run WHERE outcome = 'held'")}


@pytest.fixture
def company(database: Database, database_url: str) -> Iterator[Company]:
    with open_world(database, bulk=BULK) as world:
        company = Company(world, database_url)
        world.sync(*NUMBERS)
        assert company.with_status("active") == set(NUMBERS)
        yield company


@postgresql_first
def test_of_an_answer_that_cancels_everything_fifty_plans_pass_and_people_decide_on_the_rest(company: Company) -> None:
    world = company.world
    assert world.do("storm", action="cancel", count=BULK.count)["done"] == BULK.count
    world.sweep()

    company.work()

    assert Counter(outcome for _, outcome in world.rows(_COUNT)) == {"changed": ALWAYS_ALLOWED, "held": 10}
    assert len(company.with_status("cancelled")) == ALWAYS_ALLOWED
    assert company.with_status("active") == company.held()

    released, dropped, *others = sorted(company.held())
    assert company.run("held", "release", released).exit_code == 0
    assert company.run("held", "drop", dropped).exit_code == 0
    company.ask_for_all()

    assert released in company.with_status("cancelled")
    assert company.with_status("active") == {dropped, *others}
    assert company.held() == set(others)
    outcomes = [outcome for key, outcome in world.rows(_COUNT) if key in (released, dropped)]
    assert sorted(outcomes) == ["changed", "dropped", "released"]

    assert company.run("sync", dropped).exit_code == 0  # a person's own decision
    assert dropped in company.with_status("cancelled")


@pytest.mark.parametrize("words", [["sync"], ["plan"]])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_command_with_the_credentials_of_another_tenant_reads_and_writes_nothing(
    company: Company, words: list[str]
) -> None:
    company.world.execute("INSERT INTO store_tenant (id, tenant, since) VALUES (1, 'tenant.7', {now})")
    company.world.do("auto_renew", key=NUMBERS[0], value="off")
    company.world.calls()

    told = company.run(*words, NUMBERS[0])

    assert told.exit_code == 1
    assert "The store was filled from tenant.7" in told.stderr
    assert "ZUORA_BASE_URL" in told.stderr
    assert company.world.calls() == 0
    assert company.world.waiting() == set()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_worker_under_whom_the_tenant_is_changed_stops_before_it_reads_anything(
    open_service: Callable[..., Service],
) -> None:
    service = open_service(subscriptions=12, accounts=3)
    service.start_all(workers=1)
    service.tenant.send_callouts_to(service.url)
    service.tell("backfill", "--yes")
    service.tenant.do("settings", tenant="77")
    service.tenant.do("expire_tokens")
    service.tenant.do("reset_counts")

    for number in service.tenant.numbers:
        service.tenant.do("auto_renew", key=number, value=False)
    service.tenant.wait_until_told()
    wait_until(lambda: service.one("SELECT trouble_code FROM zuora_limit") == "wrong tenant", "it is noticed")
    another = service.start("worker")

    assert another.wait() == 1
    assert "The store was filled from tenant.19, the credentials are those of tenant.77" in another.tail()
    assert service.waiting == 12
    assert service.rows("SELECT DISTINCT version FROM zuora_link") == [(1,)]
    assert [call for call in service.tenant.calls if "/v1/subscriptions/" in call] == []
    assert "tenant.77" in service.tell("status")["zuora"]["words"]

    service.tenant.do("settings", tenant="19")
    service.tenant.do("expire_tokens")
    service.settle(time_passes=True)
    assert find_stale(service, service.tenant.numbers) == []
    assert service.failed() == []
