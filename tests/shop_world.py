"""Limio's shop, our service and the emulated Zuora with its first customers, in one process: orders go all the way."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import count
from typing import Any

from sqlmodel import SQLModel

from sync_service.commerce.order import Order
from sync_service.commerce.payload import read_order
from sync_service.ordering.context import OrderContext
from sync_service.ordering.placing import run_claim
from sync_service.ordering.previews import answer_preview, refresh_catalog
from sync_service.queue.orders.acceptance import OrderRequest, take_order
from sync_service.queue.orders.lanes import find_work
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.store.load_lines import load_objects
from sync_service.store.tables import OrderWorkRow
from sync_service.sync.attempt import SyncContext
from sync_service.sync.worker import Ordering, Worker
from sync_service.zuora.client import ZuoraClient
from tests.databases import read_table
from zuora_emulator.limio_objects import limio_objects
from zuora_emulator.server import Options, Running, start
from zuora_emulator.shop import CARDS, offer_ref
from zuora_emulator.zuora_api import CLIENT_ID, CLIENT_SECRET

ADDRESS = {
    "firstName": "Ada",
    "lastName": "Lovelace",
    "address1": "1 High Street",
    "city": "London",
    "postalCode": "SE1 3ER",
    "country": "GB",
}
#: A seed of the emulator's that Limio ordered: monthly, active.
NUMBER = "4F7K2M9QH0B1"
#: Each order is one of its own.
_KEYS = count()


def new_order(offer: str = "Digital Monthly", card: str = "good", **changed: Any) -> dict[str, Any]:
    """A new subscription as a shop orders it."""
    return {
        "order_type": "new",
        "orderItems": [{"offer": offer_ref(offer), "quantity": 1}],
        "billingDetails": ADDRESS,
        "customerDetails": {"firstName": "Ada", "lastName": "Lovelace", "email": "ada@example.com"},
        "payment": {"type": "zuora", "zuora": {"refId": CARDS[card], "paymentGateway": "CreditCard_UK"}},
        "checkoutId": "basket-22e3d318-92e2-4909-b59c-1265623bc3f6",
        "country": "GB",
        **changed,
    }


def of_subscription(order_type: str, number: str = NUMBER, **more: Any) -> dict[str, Any]:
    """An order that changes a subscription."""
    return {"order_type": order_type, "forSubscription": {"name": number}, **more}


@dataclass
class ShopWorld:
    """All three, and what tests say of them."""

    zuora: Running
    context: OrderContext

    @property
    def database(self) -> Database:
        return self.context.database

    def submit(self, payload: Mapping[str, Any], *, partner_org: str | None = None) -> str:
        """Accept an order, for a partner where one is named; its id."""
        key = f"k{next(_KEYS)}"
        order = read_order(dict(payload), self.context.settings.tenant_time_zone, may_refund=True)
        assert isinstance(order, Order), order
        asked = OrderRequest(client="shop", key=key, body=json.dumps(payload).encode())
        return take_order(
            self.database, self.context.settings, order, asked, client="shop", partner_org=partner_org
        ).order_id

    def place(self, payload: Mapping[str, Any]) -> OrderWorkRow:
        """Submit an order, and let workers do all that waits: the order, and the syncs after it."""
        order_id = self.submit(payload)
        self.work()
        return self.order(order_id)

    def work(self) -> None:
        """Workers do all that waits; what backs off is due as soon as Zuora has done what it was late with."""
        for _ in range(30):
            self.take_what_is_due()
            self.zuora.emulator.finish_late(10)
            with self.database.transaction() as session:
                session.run("UPDATE zuora_limit SET trouble = 0, open_until = NULL, doubtful = '[]'")
                waiting = session.run("UPDATE sync_request SET due_at = 1 WHERE due_at IS NOT NULL").rowcount
            if not waiting:
                return
        raise AssertionError("work goes on for ever")

    def take_what_is_due(self) -> None:
        """Workers do what is due now; what Zuora does not answer waits."""
        self.worker().run_until_idle()

    def worker(self, threads: int = 4) -> Worker:
        """One that syncs and places orders."""
        return Worker(self._syncing(), threads, self._ordering())

    @property
    def today(self) -> date:
        """The tenant's day."""
        return self.zuora.emulator.tenant.today

    def order(self, order_id: str) -> OrderWorkRow:
        with self.database.reading() as session:
            work = find_work(session, order_id)
        assert work is not None
        return work

    def rows(self, row_class: type[SQLModel]) -> list[Any]:
        return read_table(self.database, row_class)

    def do(self, action: str, /, **values: Any) -> dict[str, Any]:
        """Something happens in Zuora."""
        return self.zuora.emulator.actions.do(action, values)

    def ask(self, path: str) -> dict[str, Any]:
        """What Zuora says."""
        return self.context.zuora.reading().call("GET", path)

    def sync(self) -> SyncContext:
        return self._syncing()

    def _syncing(self) -> SyncContext:
        return SyncContext(database=self.database, zuora=self.context.zuora, settings=self.context.settings)

    def _ordering(self) -> Ordering:
        return Ordering(place=partial(run_claim, self.context), preview=partial(answer_preview, self.context))


@contextmanager
def open_shop_world(database: Database, *, today: date | None = None, **settings: Any) -> Iterator[ShopWorld]:
    """The world on `database`: the emulator's first tenant, what Limio holds of it, and Zuora's rate plans."""
    zuora = start(Options(today=today))
    client = ZuoraClient(zuora.url, CLIENT_ID, CLIENT_SECRET)
    chosen = Settings(**settings)
    context = OrderContext(database=database, zuora=client, settings=chosen)
    try:
        load_objects(database, (json.dumps(each) for each in limio_objects(zuora.emulator.tenant.today)))
        refresh_catalog(database, client, context.share)
        yield ShopWorld(zuora, context)
    finally:
        client.close()
        zuora.stop()
