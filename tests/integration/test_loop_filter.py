"""Leaving out the echoes of our own orders costs no change: after one sweep the store is as though none was left out.

Orders of our own and of others come in any order; their callouts are late, doubled, lost, or come while a sync runs.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest

from sync_service.settings import Settings
from sync_service.store import tables  # noqa: F401 - registers the tables
from sync_service.store.engine import connect
from sync_service.sync.attempt import SyncContext
from tests.databases import new_sqlite
from tests.integration.web.conftest import ZUORA, Web, build
from tests.sweep_world import World, open_world
from zuora_emulator.fields import Refused

NUMBERS = ("A-S1", "A-S2", "A-S3")
OURS = ("shop", "Salesforce")
OTHERS = (None, "csr", "online")
_ORDERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("auto_renew", {"value": "on"}),
    ("auto_renew", {"value": "off"}),
    ("renew", {}),
    ("cancel", {"on": "+20"}),
    ("withdraw_cancel", {"callout": True}),
    ("change_address", {"of": "subscription", "city": "York"}),
    ("change_address", {"of": "subscription", "city": "Hull"}),
    ("change_name", {"last_name": "Byron"}),
)


class Loop:
    """One tenant, and two services that hear of it: one leaves out echoes, the other takes everything."""

    def __init__(self, world: World, other: World, seed: int) -> None:
        self.filtering, self.taking_all = world, other
        self.chance = Random(seed)
        self._filtering = build(world.database)
        self._taking_all = build(other.database, ignored_sources=(), zuora_integration_users=())
        self._heard = 0
        self._late: list[tuple[str, bytes]] = []

    def order(self) -> None:
        """An order is placed; what the tenant refuses is none."""
        action, fields = self.chance.choice(_ORDERS)
        source = self.chance.choice(OURS + OTHERS)
        asked = {**fields, "key": self.chance.choice(NUMBERS)}
        if source is not None and action != "withdraw_cancel":
            asked["source"] = source
        try:
            self.filtering.do(action, **asked)
        except Refused:
            return
        self.filtering.pass_time(seconds=1)
        self._hear()

    def deliver(self) -> None:
        """One of the callouts that are on their way arrives, is lost, or arrives twice."""
        if not self._late:
            return
        path, body = self._late.pop(self.chance.randrange(len(self._late)))
        for _ in range(self.chance.choice((0, 1, 1, 2))):
            _post(self._filtering, path, body)

    def sync_some(self) -> None:
        """Workers take what waits."""
        self.filtering.work()

    def finish(self, how: str) -> None:
        """What is late never comes; a sweep, or a sync of every number, goes over all."""
        self.filtering.work()
        if how == "sweep":
            self.filtering.sweep()
            self.filtering.work()
        else:
            self.filtering.sync(*NUMBERS)
        self.taking_all.work()

    def _hear(self) -> None:
        """The service that takes everything hears it at once; the other one some time."""
        callouts = self.filtering.zuora.emulator.callouts.listed()
        for callout in callouts[self._heard :]:
            path, body = urlsplit(callout["url"]).path, callout["body"].encode()
            _post(self._taking_all, path, body)
            self._late.append((path, self._crossed(body)))
        self._heard = len(callouts)

    def _crossed(self, body: bytes) -> bytes:
        """Limio crosses its two fields, and templates name one of them or both."""
        said = json.loads(body)
        for name in self.chance.choice(((), ("OrderSource__c",), ("OrderInitiatedSource__c",))):
            said[name] = ""
        return json.dumps(said).encode()


@contextmanager
def open_loop(folder: Path, seed: int) -> Iterator[Loop]:
    """Both services have read the three subscriptions once."""
    databases = [connect(new_sqlite(folder / name)) for name in ("filtering.db", "taking-all.db")]
    with open_world(databases[0]) as world:
        world.zuora.emulator.callouts.change(account_events=True, drop_rate=1.0)
        world.subscribe(*NUMBERS)
        settings = Settings(tenant_time_zone=ZoneInfo("Europe/London"))
        other = World(world.zuora, SyncContext(database=databases[1], zuora=world.context.zuora, settings=settings))
        for each in (world, other):
            each.sync(*NUMBERS)
        world.zuora.emulator.callouts.change(url="http://zuora.invalid")
        yield Loop(world, other, seed)
    for database in databases:
        database.engine.dispose()


def _post(web: Web, path: str, body: bytes) -> None:
    answer = web.client.post(path, data=body, headers={**ZUORA, "Content-Type": "application/json"})
    assert answer.status_code == 200


def seen(world: World) -> dict[str, Any]:
    """What a reader of Limio sees of each subscription; ids and what is over and done with apart."""
    found: dict[str, Any] = {}
    for number, key, customer, *values in world.rows(
        "SELECT reference, id, customer, term_start, term_end, auto_renew, status, external FROM limio_subscription"
    ):
        payments: defaultdict[str, Decimal] = defaultdict(Decimal)
        for due, amount in world.rows(
            "SELECT due, amount FROM limio_schedule WHERE subscription_id = :key AND status = 'pending-external'",
            key=key,
        ):
            payments[str(due)] += Decimal(amount)
        addresses = {}
        for use, document in world.rows(
            "SELECT relationship_type, document FROM limio_address WHERE subscription_id = :key AND status = 'active'"
            " ORDER BY start",
            key=key,
        ):
            addresses[use] = {name: each for name, each in json.loads(document)["data"].items() if name != "start"}
        ((person,),) = world.rows("SELECT document FROM limio_customer WHERE id = :key", key=customer)
        data = json.loads(person)["data"]
        found[number] = (values, dict(payments), addresses, data.get("name"), data.get("email"))
    return found


@pytest.mark.parametrize(
    ("seed", "how"),
    [*((seed, "sweep") for seed in (1, 2, 4, 5, 6, 7)), *((seed, "sync of every number") for seed in (9, 11))],
)
def test_any_order_of_own_and_foreign_orders_ends_as_without_the_filter(tmp_path: Path, seed: int, how: str) -> None:
    with open_loop(tmp_path, seed) as loop:
        steps = [loop.order] * 12 + [loop.deliver] * 10 + [loop.sync_some] * 3
        loop.chance.shuffle(steps)

        for step in steps:
            step()
        loop.finish(how)

        assert seen(loop.filtering) == seen(loop.taking_all)
        assert len(seen(loop.filtering)) == 3
        # Otherwise nothing was proved.
        assert loop.filtering.rows("SELECT 1 FROM callout WHERE verdict = 'ignored' AND reason LIKE 'echo%'")
