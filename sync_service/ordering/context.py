"""What placing orders works with: the store, Zuora, the settings, and all that was read to decide the steps.

What was only asked of Zuora for an order is kept without the answers, for people who look into it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sync_service.commerce.case import Case
from sync_service.commerce.fields import read_json
from sync_service.commerce.order import Order
from sync_service.commerce.payload import read_order
from sync_service.commerce.state import MAX_ROUNDS, SUBSCRIPTION, missing
from sync_service.errors import NotFoundInZuora, PayloadInvalid, SyncServiceError
from sync_service.queue.limit import Share
from sync_service.queue.orders.lanes import read_names
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.store.tables import OrderWorkRow
from sync_service.zuora.client import ZuoraClient
from sync_service.zuora.payloads import read_subscription
from sync_service.zuora.reading import Reading

#: The latest of an order that are kept.
MAX_KEPT = 50


@dataclass(kw_only=True)
class OrderRead:
    """One call that changes nothing; `at` is the database's clock in ms."""

    at: int
    path: str
    ms: int = 0
    #: `answered`, or the code of the error.
    status: str = "answered"


@dataclass
class Looks:
    """The calls of one turn, which began at `began` by the database's clock, in ms."""

    began: int
    made: list[OrderRead] = field(default_factory=list)
    _started: float = field(default_factory=time.monotonic)

    @contextmanager
    def look(self, path: str) -> Iterator[OrderRead]:
        """Around the call."""
        look = OrderRead(at=self.began + self._elapsed(), path=path)
        self.made.append(look)
        try:
            yield look
        except SyncServiceError as error:
            look.status = error.code
            raise
        finally:
            look.ms = self.began + self._elapsed() - look.at

    def keep(self, work: OrderWorkRow) -> None:
        """Put them into the order's row, which the caller's transaction holds."""
        work.looks = [*work.looks, *map(asdict, self.made)][-MAX_KEPT:]
        self.made.clear()

    def _elapsed(self) -> int:
        return int((time.monotonic() - self._started) * 1000)


def look_as_callout(look: dict[str, Any], at: str) -> dict[str, Any]:
    """As Limio's process event lists a call."""
    return {
        "at": at,
        "step": "read",
        "method": "GET",
        "endpoint": look["path"],
        "ms": look["ms"],
        "sends": 1,
        "status": look["status"],
        "request": None,
        "response": None,
        "error": None,
    }


@dataclass(frozen=True, kw_only=True)
class OrderContext:
    """The store, Zuora, and the settings that decide."""

    database: Database
    zuora: ZuoraClient
    settings: Settings

    @property
    def share(self) -> Share:
        """How much of the tenant we may use."""
        return Share.of(self.settings)


def order_of(context: OrderContext, work: OrderWorkRow) -> Order:
    """The order as it was accepted. Raises PayloadInvalid where this release reads it no more."""
    zone = context.settings.tenant_time_zone
    order = read_order(read_json(work.payload), zone, may_refund=work.may_refund)
    if not isinstance(order, Order):
        raise PayloadInvalid("The order as stored cannot be read: " + " ".join(each.message for each in order.problems))
    return replace(order, names=read_names(work), payer_account=work.payer_account)


def meet(case: Case, reading: Reading, looks: Looks) -> Case:
    """The case with all that has to be known of Zuora, round by round.

    Raises what `Reading.call` raises, and PayloadInvalid.
    """
    for _ in range(MAX_ROUNDS):
        wanted = missing(case.order, case.state, case.options, case.today)
        if not wanted:
            return case
        found = dict(case.state.zuora)
        for read in wanted:
            try:
                with looks.look(read.path):
                    found[read.name] = reading.call("GET", read.path)
            except NotFoundInZuora:
                found[read.name] = None
        answer = found.get(SUBSCRIPTION)
        subscription = read_subscription(answer) if answer is not None else None
        case = replace(case, state=replace(case.state, zuora=found, subscription=subscription))
    return case
