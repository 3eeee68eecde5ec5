"""The part of the demo in which Limio's shop sells: orders into Zuora, a kill in the middle, and the webhooks of it."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import click
import requests

from sync_service.cli.demo_setup import DemoSetup
from sync_service.queue.orders.lanes import OrderState, list_work
from sync_service.store.engine import Database
from sync_service.store.tables import OrderWorkRow
from zuora_emulator.control import control, show
from zuora_emulator.shop import CARDS, offer_ref

#: The settings of the service that this part needs.
SETTINGS = {
    "ORDER_COLLECT_PAYMENT": "on",
    "ORDER_REFUND_CANCELLED": "on",
    "ORDER_CUSTOM_FIELDS": "Order.Source__c,Order.InitiatedSource__c,Subscription.CancellationReason__c",
    "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
}
#: How long Zuora keeps its answer back while the worker is killed, in seconds.
_WITHHELD = 2.0
_PATIENCE = 60.0
_WHO = {"firstName": "Ada", "lastName": "Lovelace"}
_HOME = {"address1": "1 High Street", "city": "London", "postalCode": "SE1 3ER", "country": "GB"}
_END_LEASES = "UPDATE sync_request SET lease_until = {now} WHERE kind = 'order' AND lease_until > {now}"


def sell(setup: DemoSetup, database: Database) -> None:
    """A sale, a switch during which the worker is killed, and a cancellation with its refund."""
    today = datetime.now(UTC).date().isoformat()
    with _listening() as (address, heard):
        say("Limio's shop opens: it may order, and another system hears of it by webhook")
        click.echo(indent(setup.command("catalog", "refresh")))
        setup.command("webhooks", "add", address)
        shop = _Shop(setup)
        say("Ada subscribes to the monthly plan and pays by card")
        number = shop.order({**_sale(), "process_immediately": True})
        of = {"forSubscription": {"name": number}, "data": {"reason": {"id": "too-expensive"}}}
        say("She switches to the annual plan; the worker dies while Zuora's answer is on its way")
        switch = {"order_type": "change_offer", "offer": offer_ref("Digital Annual"), "effectiveDate": today}
        _kill_in_the_middle(setup, database, shop, {**switch, **of})
        say("She cancels today, and what she has paid for the days to come goes back to her card")
        shop.order({"order_type": "cancel_subscription", "cancelDate": today, **of, "process_immediately": True})
        for kind, amount in show(setup.zuora, "money")["sums"].items():
            click.echo(f"  Zuora's books  {kind:<16} {amount}")
        say("The webhooks that went out, each signed")
        wait_until(lambda: len(heard) >= _FEWEST, "the webhooks arrive")
        for headers in heard:
            signature = headers["webhook-signature"]
            click.echo(f"  {headers['X-Limio-Event']:<28} {headers['webhook-id']}  {signature[:16]}…")


#: Three orders were submitted, and a subscription and a customer made.
_FEWEST = 5


class _Shop:
    """A client that orders."""

    def __init__(self, setup: DemoSetup) -> None:
        self.url = setup.service
        self.headers = setup.add_client("shop", *_scopes("create", "preview", "update_refund"))

    def order(self, payload: Mapping[str, Any]) -> str:
        """Send an order, show it and its answer; the number of its subscription."""
        said = {"initiated_source": "shop", "source": "shop", **payload}
        answer = requests.post(f"{self.url}/api/order", json=said, headers=self.headers, timeout=60)
        if answer.status_code != 200:
            raise click.ClickException(f"The order was answered {answer.status_code}: {answer.text}")
        shown = answer.json()
        click.echo(f"  Limio sent   POST /api/order  {payload['order_type']}")
        click.echo(f"  answered     200, order {shown['order_reference']} is {shown['status']}")
        return str(shown["subscriptionReference"])


def _kill_in_the_middle(setup: DemoSetup, database: Database, shop: _Shop, payload: Mapping[str, Any]) -> None:
    control(setup.zuora, "fault", kind="lose_answer", path="POST /v1/orders$", count=1, seconds=_WITHHELD)
    placed = int(show(setup.zuora)["orders"])
    shop.order(payload)
    wait_until(lambda: not show(setup.zuora, "faults")["faults"], "the order reaches Zuora")
    worker = _worker_of(setup)
    os.kill(worker, signal.SIGKILL)
    click.echo(f"  kill -9      the worker, process {worker}; `run` starts another one")
    wait_until(lambda: int(show(setup.zuora)["orders"]) > placed, "Zuora has placed the order")
    with database.transaction() as session:
        session.run(_END_LEASES)
    click.echo("  lease        what the dead worker held is free after 90 s; the demo does not wait for that")
    wait_until(lambda: _last_order(database).state == OrderState.COMPLETE, "another worker ends the order")
    number = _last_order(database).number
    click.echo(indent(_calls(setup, number)))
    more = int(show(setup.zuora)["orders"]) - placed
    if more != 1:
        raise click.ClickException(f"The switch is in Zuora {more} times.")
    click.echo(f"  in Zuora     {number} once: the new worker asked for its number and took what was there")


def _worker_of(setup: DemoSetup) -> int:
    """The process that `run` said it has started last as a worker."""
    said = re.sub(r"\x1b\[[0-9;]*m", "", (setup.folder / "run.log").read_text(encoding="utf-8"))
    lines = [line for line in said.splitlines() if "process_started" in line and "part=worker" in line]
    pids = [found[1] for line in lines if (found := re.search(r"pid=(\d+)", line))]
    return int(pids[-1])


def _last_order(database: Database) -> OrderWorkRow:
    with database.reading() as session:
        return list_work(session, limit=1)[0]


def _calls(setup: DemoSetup, number: str) -> str:
    """The lines of `orders show` that tell of calls, without their bodies."""
    lines = setup.command("orders", "show", number).splitlines()
    return "\n".join(line.strip() for line in lines if re.search(r": (GET|POST|PUT|DELETE) /", line))


def _sale() -> dict[str, Any]:
    return {
        "order_type": "new",
        "orderItems": [{"offer": offer_ref("Digital Monthly"), "quantity": 1}],
        "billingDetails": {**_WHO, **_HOME},
        "customerDetails": {**_WHO, "email": "ada.lovelace@example.org"},
        "payment": {"type": "zuora", "zuora": {"refId": CARDS["good"], "paymentGateway": "CreditCard_UK"}},
        "checkoutId": "basket-demo",
        "country": "GB",
    }


def _scopes(*names: str) -> Iterator[str]:
    for name in names:
        yield from ("--scope", f"api/order:{name}")


@contextmanager
def _listening() -> Iterator[tuple[str, list[Mapping[str, str]]]]:
    """Another system: the address that it hears at, and the headers of what it heard."""
    heard: list[Mapping[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            heard.append(dict(self.headers))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hooks", heard
        finally:
            server.shutdown()


def wait_until(holds: Callable[[], object], what: str) -> None:
    """Raises ClickException where that takes too long."""
    deadline = time.monotonic() + _PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise click.ClickException(f"Not in time: {what}.")
        time.sleep(0.1)


def say(title: str) -> None:
    """A heading of the tour."""
    click.secho(f"\n{title}", bold=True)


def indent(text: str) -> str:
    """Each line under its heading."""
    return "\n".join(f"  {line}" for line in text.splitlines())
