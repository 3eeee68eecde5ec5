"""Orders of all types by chance, while workers are killed and Zuora gets everything wrong at once."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from threading import Thread
from typing import Any

from tests.acceptance.comparing import find_stale
from tests.acceptance.processes import wait_until
from tests.acceptance.service import Service
from tests.acceptance.shop import Shop

#: The share of Zuora's calls that each kind of trouble gets.
SHARE = 0.03
#: What each kind needs to be felt without taking its time.
TROUBLES: dict[str, dict[str, Any]] = {
    "latency": {"seconds": 0.05, "up_to": 0.2},
    "hang": {"seconds": 0.3},
    "reset": {},
    "cut": {},
    "trickle": {"seconds": 0.3},
    "rate_limit": {"retry_after": 1},
    "concurrency": {"retry_after": 1},
    "server_error": {},
    "html": {},
    "error": {},
    "unsuccessful": {},
    "lock": {},
    "garbage": {},
    "unauthorized": {},
    "lose_answer": {},
    "finish_later": {"seconds": 0.2, "up_to": 0.6},
    "decline": {},
    "tax_error": {},
    "refund_error": {},
}
#: While Zuora gets everything wrong one order at a time goes on: for how long all are waited for, in seconds.
PATIENCE = 1800.0
_ENDED = ("complete", "failed", "held")
_ORDER = "POST /v1/orders"
#: What Zuora's control side shows of its money, and the bodies of our answered calls by order and call.
Ledger = dict[str, list[dict[str, Any]]]
Done = dict[tuple[str, str], Any]


@dataclass
class StormReport:
    """What was done, and what was wrong with it."""

    orders: int = 0
    refused: int = 0
    #: The same as one just before, by chance: no order of their own.
    repeated: int = 0
    kills: int = 0
    states: Counter[str] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def run_storm(service: Service, seed: int, *, orders: int, subscriptions: int, kills: int, workers: int) -> StormReport:
    """`orders` in all, the first of which make the subscriptions; the service's workers run when this returns."""
    chance, report = Random(seed), StormReport()
    shop = Shop(service)
    service.start_all(workers=workers)
    service.tenant.send_callouts_to(service.url)
    for _ in range(subscriptions):
        shop.place(shop.new())
    _wait_until_all_ended(service)
    numbers = [
        str(row[0]) for row in service.rows("SELECT subscription_number FROM order_work WHERE state = 'complete'")
    ]
    if len(numbers) != subscriptions:
        report.wrong.append(f"{len(numbers)} of {subscriptions} subscriptions were made")
    for kind, fields in TROUBLES.items():
        service.tenant.do("fault", kind=kind, probability=SHARE, **fields)
    wanted = orders - subscriptions
    killer = Thread(target=_kill_workers, args=(service, Random(seed), kills, workers, wanted, report))
    killer.start()
    known: set[str] = set()
    for _ in range(wanted):
        answer = shop.send(_any_order(shop, chance, numbers))
        report.refused += answer.status_code in (400, 404, 423)
        if answer.status_code == 200:
            report.repeated += answer.json()["id"] in known
            known.add(answer.json()["id"])
        elif answer.status_code not in (400, 404, 423, 502):
            report.wrong.append(f"an order was answered {answer.status_code}: {answer.text}")
    killer.join()
    _wait_until_all_ended(service)
    faults = service.tenant.show("faults")["faults"]
    report.troubles.update({each["kind"]: each["seen"] for each in faults})
    service.tenant.do("clear_faults")
    service.settle(seconds=120, time_passes=True)
    _count(service, report)
    report.wrong += _unlike_zuora(service)
    report.wrong += find_stale(service, numbers)
    return report


def _any_order(shop: Shop, chance: Random, numbers: list[str]) -> dict[str, Any]:
    """Any order for any subscription, or for a new customer; some cards are declined."""
    makers: tuple[Callable[[str], dict[str, Any]], ...] = (
        lambda _: shop.new(card=shop.card(**chance.choice(({}, {}, {"declines": "Insufficient funds"})))),
        lambda _: shop.gift(),
        lambda number: shop.switch(number, chance.choice(("Digital Annual", "Print", "Digital Monthly"))),
        shop.add_on,
        shop.stay,
        lambda number: shop.cancel(number, days=chance.choice((0, 10))),
        shop.renew,
        lambda number: shop.move(number, f"{chance.randrange(1000)} Low Road"),
        shop.pay_by,
        lambda number: shop.rename(number, f"Ada {chance.choice(('King', 'Byron', 'Noel'))}"),
        lambda number: shop.refund(number, f"{chance.randrange(1, 500) / 100:.2f}"),
        lambda number: shop.credit(number, f"{chance.randrange(100, 500) / 100:.2f}"),
    )
    return chance.choice(makers)(chance.choice(numbers))


def _kill_workers(service: Service, chance: Random, kills: int, workers: int, orders: int, report: StormReport) -> None:
    """kill -9 to a worker by chance, spread over the orders as they come to their ends."""
    placed = "SELECT count(*) FROM order_work"
    begun = int(service.one(placed))
    for kill in range(kills):
        due = begun + (kill + 1) * orders * 0.8 / kills
        deadline = time.monotonic() + 60
        # Orders may be refused at once, so that fewer come than were sent.
        while int(service.one(placed)) < due and time.monotonic() < deadline:
            service.pass_time()
            time.sleep(0.05)
        running = service.running("worker")
        victim = chance.choice(running)
        victim.kill()
        report.kills += 1
        service.expire_leases()
        for _ in range(workers - len(service.running("worker"))):
            service.start("worker")


def _wait_until_all_ended(service: Service) -> None:
    def ended() -> bool:
        service.pass_time()
        return int(service.one("SELECT count(*) FROM order_work WHERE ended_at IS NULL")) == 0

    wait_until(ended, "every order has ended", PATIENCE)


def _count(service: Service, report: StormReport) -> None:
    for state, kind, error in service.rows("SELECT state, order_type, error FROM order_work"):
        report.orders += 1
        report.states[state] += 1
        report.types[kind] += 1
        if state not in _ENDED or (state != "complete" and not error):
            report.wrong.append(f"an order is {state} and says {error!r}")


def _unlike_zuora(service: Service) -> Iterator[str]:
    """Where our orders and Zuora's orders, memos, payments and refunds do not tell the same."""
    works = {row[0]: row for row in service.rows("SELECT number, state, order_type, order_id FROM order_work")}
    done = {
        (row[0], row[1]): json.loads(row[2] or "null")
        for row in service.rows(
            "SELECT order_work.number, order_step.method || ' ' || order_step.path, order_step.body FROM order_work"
            " JOIN order_step ON order_step.order_id = order_work.order_id WHERE order_step.state = 'answered'"
        )
    }
    uncertain = {number for number, row in works.items() if row[1] == "held"}
    in_zuora = {each["orderNumber"] for each in service.tenant.list_orders()}
    ordered = {number for number, call in done if call == _ORDER}
    taken_back = {call.rpartition("/")[2] for _, call in done if call.startswith("DELETE")}
    if lacking := ordered - in_zuora - taken_back:
        yield f"orders that Zuora never got: {sorted(lacking)}"
    if strange := (in_zuora & works.keys()) - ordered - uncertain:
        yield f"orders in Zuora that we take for refused: {sorted(strange)}"
    ledger = service.tenant.show("ledger")
    yield from _payments(ledger, done, uncertain)
    yield from _refunds(ledger, done, uncertain)


def _payments(ledger: Ledger, done: Done, uncertain: set[str]) -> Iterator[str]:
    """Each order paid once, what was invoiced for it; each debit memo paid once where we know of its collection."""
    paid = [each for each in ledger["payments"] if each["status"] == "Processed"]
    documents = Counter(number for each in paid for number in each["pays"])
    if twice := [number for number, count in documents.items() if count > 1]:
        yield f"paid twice: {twice}"
    invoiced = {each["order"]: each["amount"] for each in ledger["documents"] if each["kind"] == "Invoice"}
    for each in paid:
        if each["order"] and Decimal(invoiced[each["order"]]) != Decimal(each["amount"]):
            yield f"{each['order']} was paid {each['amount']} and invoiced {invoiced[each['order']]}"
    collected = {number.removeprefix("DM-") for number in documents if number.startswith("DM-")}
    known = {number for number, call in done if call.endswith("/collect")}
    if strange := (collected ^ known) - uncertain:
        yield f"gifts whose payment we do not know, or do not have: {sorted(strange)}"


def _refunds(ledger: Ledger, done: Done, uncertain: set[str]) -> Iterator[str]:
    """Every memo and refund that we know of is there with our amount, and none besides."""
    memos = {each["number"]: each for each in ledger["documents"] if each["kind"] != "Invoice"}
    for prefix in ("CM-", "DM-"):
        made = {number.removeprefix(prefix) for number in memos if number.startswith(prefix)}
        ours = {number for number, _ in done} | uncertain
        if strange := made - ours:
            yield f"memos in Zuora that we take for refused: {sorted(strange)}"
    for each in ledger["refunds"]:
        if each["status"] != "Processed":
            continue
        order = memos[each["memo"]]["order"]
        number = order or each["memo"].removeprefix("CM-")
        body = done.get((number, _ORDER if order else f"POST /v1/credit-memos/{each['memo']}/refund"))
        if body is None and number not in uncertain:
            yield f"a refund that we do not know of: {each}"
        elif body is not None:
            asked = body["processingOptions"]["refundAmount"] if order else body["totalAmount"]
            if Decimal(str(asked)) != Decimal(each["amount"]):
                yield f"{number}: {each['amount']} was refunded and {asked} asked for"
    refunded = Counter(each["memo"] for each in ledger["refunds"] if each["status"] == "Processed")
    if twice := [memo for memo, count in refunded.items() if count > 1]:
        yield f"refunded twice: {twice}"
