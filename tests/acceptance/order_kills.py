"""kill -9 at every step of every journey into Zuora: whatever dies, Zuora has each order, payment and refund once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.acceptance.comparing import find_stale
from tests.acceptance.processes import Child, wait_until
from tests.acceptance.service import Service
from tests.acceptance.shop import Shop

#: For how long Zuora keeps an answer back, in seconds: until the one who waits for it is killed.
_WITHHELD = 30.0


@dataclass(frozen=True)
class Journey:
    """An order, what has to be there before it, and the calls that change Zuora for it."""

    name: str
    #: Of the shop and of what `before` made.
    payload: Callable[..., dict[str, Any]]
    calls: tuple[str, ...]
    #: Makes what the order is about: a subscription unless it says otherwise.
    before: Callable[[Shop], tuple[str, ...]] = lambda shop: (shop.complete(shop.new()),)
    #: Whether the order's subscription is in Zuora: that of a gift never is.
    in_zuora: bool = True


def _nothing(_: Shop) -> tuple[str, ...]:
    return ()


def _cancelled(shop: Shop) -> tuple[str, ...]:
    number = shop.complete(shop.new())
    shop.complete(shop.cancel(number, days=20))
    return (number,)


def _gift_code(shop: Shop) -> tuple[str, ...]:
    return (shop.gift_code(shop.complete(shop.gift())),)


def _open_invoice(shop: Shop) -> tuple[str, ...]:
    """A subscription of a year with an invoice of its next month."""
    number = shop.complete(shop.new("Seats"))
    return number, shop.bill_next_month(number)


def _former_card(shop: Shop) -> tuple[str, ...]:
    """A subscription whose account still has the card that it was paid with at first."""
    card = shop.card()
    number = shop.complete(shop.new(card=card))
    shop.complete(shop.pay_by(number))
    return number, card


_ORDER = "POST /v1/orders$"
_MEMO, _REFUND = "POST /v1/credit-memos$", "POST /v1/credit-memos/.*/refund$"
JOURNEYS = (
    Journey("new", lambda shop: shop.new(), (_ORDER,), before=_nothing),
    Journey("switch", lambda shop, number: shop.switch(number), (_ORDER,)),
    Journey("cancel with refund", lambda shop, number: shop.cancel(number), (_ORDER,)),
    Journey(
        "gift",
        lambda shop: shop.gift(),
        ("POST /v1/accounts$", "POST /v1/debit-memos$", "POST /v1/debit-memos/.*/collect$"),
        before=_nothing,
        in_zuora=False,
    ),
    Journey("redemption", lambda shop, code: shop.redeem(code), (_ORDER,), before=_gift_code),
    Journey(
        "gift refund",
        lambda shop, number: shop.give_back(number),
        (_MEMO, _REFUND),
        before=lambda shop: (shop.complete(shop.gift()),),
        in_zuora=False,
    ),
    Journey(
        "re-activation",
        lambda shop, number: shop.switch(number, "Digital Monthly"),
        ("DELETE /v1/orders/", _ORDER),
        before=_cancelled,
    ),
    Journey("refund", lambda shop, number: shop.refund(number), (_MEMO, _REFUND)),
    Journey("add-on", lambda shop, number: shop.add_on(number), (_ORDER,)),
    Journey("cancel save", lambda shop, number: shop.stay(number), (_ORDER,)),
    Journey("renewal", lambda shop, number: shop.renew(number), (_ORDER,)),
    Journey("address", lambda shop, number: shop.move(number), ("POST /v1/contacts$", "PUT /v1/accounts/")),
    Journey("card", lambda shop, number: shop.pay_by(number), ("PUT /v1/payment-methods/", "PUT /v1/accounts/")),
    Journey("name", lambda shop, number: shop.rename(number), ("PUT /v1/contacts/",)),
    Journey("credit", lambda shop, number: shop.credit(number), (_MEMO,)),
    Journey(
        "seats",
        lambda shop, number: shop.seat(number, 8),
        (_ORDER,),
        before=lambda shop: (shop.complete(shop.new("Seats", quantity=5)),),
    ),
    Journey(
        "invoice",
        lambda shop, number, invoice: shop.pay_invoice(number, invoice),
        ("POST /v1/payments$",),
        before=_open_invoice,
    ),
    Journey(
        "default card",
        lambda shop, number, card: shop.prefer(number, card),
        ("PUT /v1/accounts/",),
        before=_former_card,
    ),
)


@dataclass(frozen=True)
class Point:
    """Where a worker is killed: as in holding.py, or by a fault of Zuora's while it waits for a call's answer."""

    name: str
    where: str
    pattern: str = ""


#: Once for an order.
OF_ORDERS = (
    Point("order taken, nothing read", "log", '"order_taken"'),
    Point("steps planned, not committed", "commit", r"UPDATE order_work SET steps"),
    Point("order ended, nothing written yet", "after", r"SET done_seq"),
    Point("all written, not committed", "commit", r"SET done_seq[\s\S]*limio_process"),
    Point("committed, nothing said yet", "log", '"order_turn_ended"'),
)
#: Once for each call.
OF_CALLS = (
    Point("call about to be noted", "commit", r"INSERT INTO order_step"),
    Point("bytes gone, nothing done", "hang"),
    Point("done, no answer yet", "lose_answer"),
    Point("answered, answer not committed", "commit", r"UPDATE order_step SET state"),
)


@dataclass(frozen=True)
class Kill:
    """A journey, a point in it, and which of its calls that is about, counted from 0."""

    journey: Journey
    point: Point
    call: int = 0

    def __str__(self) -> str:
        call = f" of {self.journey.calls[self.call]}" if self.point in OF_CALLS else ""
        return f"{self.journey.name}: {self.point.name}{call}"


def every_kill() -> list[Kill]:
    """All points of all journeys."""
    of_orders = [Kill(journey, point) for journey in JOURNEYS for point in OF_ORDERS]
    calls = [(journey, call) for journey in JOURNEYS for call in range(len(journey.calls))]
    return of_orders + [Kill(journey, point, call) for journey, call in calls for point in OF_CALLS]


def share_of_kills(first: int, count: int) -> Iterator[Kill]:
    """`count` of all kills from number `first` on, in an order by chance that is always the same."""
    kills = every_kill()
    Random(0).shuffle(kills)
    return (kills[(first + place) % len(kills)] for place in range(count))


def choose_kills(chance: Random, count: int) -> Iterator[Kill]:
    """So many by chance, each point once before any comes again, and no journey twice before all had their turn."""
    left = every_kill()
    chance.shuffle(left)
    points, journeys = Counter[str](), Counter[str]()
    for _ in range(min(count, len(left))):
        chosen = min(left, key=lambda each: (points[each.point.name], journeys[each.journey.name]))
        left.remove(chosen)
        points[chosen.point.name] += 1
        journeys[chosen.journey.name] += 1
        yield chosen


@dataclass
class OrderKillReport:
    """What was done and what was wrong with it."""

    kills: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class OrderKills:
    """Plays kills on a service; what a journey adds to Zuora is measured once without a kill."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.shop = Shop(service)
        self._added: dict[str, dict[str, int]] = {}

    def run(self, kills: Iterable[Kill]) -> OrderKillReport:
        """Kill after kill, each of the worker that places the order."""
        report = OrderKillReport()
        for kill in kills:
            report.kills[kill.point.name] += 1
            report.wrong += [f"{kill}: {line}" for line in self._play(kill)]
        return report

    def _play(self, kill: Kill) -> Iterator[str]:
        expected = self._measure(kill.journey)
        payload = self._prepare(kill.journey)
        before = self.shop.counts()
        self._lay(kill)
        order = self.shop.place(payload)
        for victim, pid in self._victims(kill):
            self.service.kill(victim, pid)
        self.service.tenant.do("clear_faults")
        self.service.start("worker", held=True)
        self.service.expire_leases()
        yield from self._judge(kill.journey, order, before, expected)

    def _judge(self, journey: Journey, order: str, before: dict[str, int], expected: dict[str, int]) -> Iterator[str]:
        state = self.shop.wait_until_ended(order)
        if state != "complete":
            yield f"the order is {state}:\n{self.shop.describe(order)}"
        self.service.settle(time_passes=True)
        added = _added(before, self.shop.counts())
        if added != expected:
            yield f"Zuora got {added} and not {expected}:\n{self.shop.describe(order)}"
        if journey.in_zuora:
            yield from find_stale(self.service, [self.shop.subscription_of(order)])

    def _measure(self, journey: Journey) -> dict[str, int]:
        """What the journey adds to Zuora where nothing is killed."""
        if journey.name not in self._added:
            payload = self._prepare(journey)
            before = self.shop.counts()
            self.shop.complete(payload)
            self.service.settle(time_passes=True)
            self._added[journey.name] = _added(before, self.shop.counts())
        return self._added[journey.name]

    def _prepare(self, journey: Journey) -> dict[str, Any]:
        """What is to be ordered, once all that it is about is there and has come to rest."""
        made = journey.before(self.shop)
        self.service.settle(time_passes=True)
        return journey.payload(self.shop, *made)

    def _lay(self, kill: Kill) -> None:
        path = kill.journey.calls[kill.call]
        if kill.point.where in ("hang", "lose_answer"):
            self.service.tenant.do("fault", kind=kill.point.where, path=path, count=1, seconds=_WITHHELD)
            return
        self.service.hold(kill.point.where, kill.point.pattern)

    def _victims(self, kill: Kill) -> list[tuple[Child, int | None]]:
        if kill.point.where not in ("hang", "lose_answer"):
            return [self.service.wait_until_held(str(kill))]

        def is_asked() -> bool:
            return not self.service.tenant.show("faults")["faults"]

        wait_until(is_asked, f"a worker makes the call: {kill}")
        return [(worker, None) for worker in self.service.running("worker")]


def _added(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: after[name] - count for name, count in before.items() if after[name] != count}
