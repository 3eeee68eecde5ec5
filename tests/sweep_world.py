"""A Zuora tenant, a store and the sweeps between them: what sweep tests say of the world.

The tenant is the emulator over HTTP; the store is read from it by real syncs, so that a sweep compares with what a sync
truly leaves behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sync_service.cli.contexts import open_ordering
from sync_service.jobs.sweep.delta import sweep_delta
from sync_service.jobs.sweep.full import sweep_full
from sync_service.jobs.sweep.walk import PartWay
from sync_service.queue.jobs import JobLease, done, ensure_job, put_back, run_soon, take
from sync_service.queue.requests import Cause, Kind, Priority, enqueue_many
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.store.tables import JobRow, SubscriptionRow
from sync_service.subscription.trigger import Trigger
from sync_service.sync.attempt import SyncContext
from sync_service.sync.worker import Worker
from sync_service.zuora.client import ZuoraClient
from zuora_emulator.bulk import Bulk
from zuora_emulator.server import Options, Running, start
from zuora_emulator.zuora_api import CLIENT_ID, CLIENT_SECRET

Story = Callable[[SyncContext, JobLease], Mapping[str, Any] | PartWay]


@dataclass
class World:
    """Zuora on one side, the store on the other."""

    zuora: Running
    context: SyncContext

    @property
    def database(self) -> Database:
        return self.context.database

    def do(self, action: str, /, **values: Any) -> dict[str, Any]:
        """Something happens in Zuora, and no callout goes anywhere."""
        return self.zuora.emulator.actions.do(action, values)

    def pass_time(self, **time: float) -> None:
        """Zuora's clock goes on by that much. Its update times have whole seconds: two changes in one look like one."""
        tenant = self.zuora.emulator.tenant
        before = tenant.now
        tenant.now = lambda: before() + timedelta(**time)  # type: ignore[method-assign]

    def load(self, *numbers: str) -> None:
        """Limio has these, and no sync has read them."""
        with self.database.transaction() as session:
            for number in numbers:
                session.add(SubscriptionRow(id=f"sub-{number}", reference=number, document={}))

    def subscribe(self, *numbers: str, account: str | None = None) -> None:
        """New subscriptions, each on an account of its own unless one is named."""
        for number in numbers:
            owner = account or f"A-of-{number}"
            if self.zuora.emulator.tenant.find_account(owner) is None:
                self.zuora.emulator.actions.do(
                    "create_account", {"number": owner, "first_name": "Ada", "last_name": number, "city": "Leeds"}
                )
            self.do("create_subscription", number=number, account=owner, price="9.99")

    def sync(self, *numbers: str) -> None:
        """An operator asks for these by name, and workers sync all that waits."""
        cause = Cause(Trigger.BACKFILL)
        enqueue_many(self.database, Kind.SUBSCRIPTION, numbers, cause, priority=Priority.JOB)
        self.work()

    def work(self) -> None:
        """Workers sync all that waits."""
        Worker(self.context, 4, open_ordering(self.context)).run_until_idle()

    def sweep(self, story: Story = sweep_delta) -> dict[str, Any]:
        """One whole sweep under its job's lease; its report."""
        while isinstance(result := self.stretch(story), PartWay):
            assert result.error is None, result.error
        return dict(result)

    def sweep_all(self) -> dict[str, Any]:
        """One whole full sweep."""
        return self.sweep(sweep_full)

    def stretch(self, story: Story = sweep_delta) -> Mapping[str, Any] | PartWay:
        """One stretch of a sweep, as a scheduler runs it."""
        lease = self.begin(story)
        result = story(self.context, lease)
        if isinstance(result, PartWay):
            put_back(self.database, lease, error=result.error)
        else:
            done(self.database, lease, next_due_in_ms=0, progress=result)
        return result

    def begin(self, story: Story) -> JobLease:
        """The right to run a sweep, from its cursor on."""
        ensure_job(self.database, story.__name__)
        with self.database.transaction() as session:
            run_soon(session, story.__name__)
        lease = take(self.database, story.__name__)
        assert lease is not None
        return lease

    def reopen(self) -> None:
        """The pause that Zuora's trouble brought is over."""
        self.execute("UPDATE zuora_limit SET trouble = 0, open_until = NULL")

    def keep_watermark(self, zuora: str, *, ago_ms: int) -> None:
        """The last delta sweep began so long ago, when Zuora's clock said that."""
        with self.database.transaction() as session:
            row = session.get(JobRow, sweep_delta.__name__)
            assert row is not None
            row.progress = {"watermark": {"zuora": zuora, "ours": session.now() - ago_ms}}

    def spoil_cursor(self, story: Story) -> None:
        """Zuora's cursor in the job's own becomes one that Zuora does not know."""
        with self.database.transaction() as session:
            row = session.get(JobRow, story.__name__)
            assert row is not None
            row.cursor = {**row.cursor, "place": "bm8gY3Vyc29y"}

    def calls(self) -> int:
        """What Zuora was asked since the last call of this."""
        listed = self.zuora.emulator.traffic.listed()
        self.zuora.emulator.traffic.reset()
        return sum(count for route, count in listed["calls"].items() if "/oauth/" not in route)

    def waiting(self) -> set[str]:
        """The numbers that wait for a sync."""
        return {row[0] for row in self.rows("SELECT key FROM sync_request WHERE due_at IS NOT NULL")}

    def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """What a SELECT says."""
        with self.database.reading() as session:
            return [tuple(row) for row in session.run(statement, values)]

    def execute(self, statement: str, **values: Any) -> None:
        """Change the store behind the product's back; {now} is the database's clock."""
        with self.database.transaction() as session:
            session.run(statement, values)


@contextmanager
def open_world(database: Database, *, bulk: Bulk | None = None, **settings: Any) -> Iterator[World]:
    """A world on `database`, its tenant empty but for `bulk`."""
    zuora = start(Options(seeds="none", bulk=bulk, time_zone="Europe/London"))
    client = ZuoraClient(zuora.url, CLIENT_ID, CLIENT_SECRET)
    chosen = Settings(tenant_time_zone=ZoneInfo("Europe/London"), **settings)
    try:
        yield World(zuora, SyncContext(database=database, zuora=client, settings=chosen))
    finally:
        client.close()
        zuora.stop()
