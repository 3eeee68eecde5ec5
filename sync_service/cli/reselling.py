"""The part of the demo in which two partners sell on: at prices of their own, and neither sees what is the other's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click
import requests

from sync_service.cli.demo_setup import DemoSetup
from sync_service.cli.selling import indent, say, wait_until
from sync_service.queue.orders.lanes import OrderState, find_work
from sync_service.store.engine import Database
from zuora_emulator.control import control, show

_PRODUCT = "The Gazette"
_CUSTOMER = {"firstName": "Grace", "lastName": "Hopper", "email": "grace.hopper@example.org"}
_HOME = {"address1": "1 Navy Yard", "city": "London", "postalCode": "SE1 9SG", "country": "GB"}


def resell(stage: DemoSetup, database: Database) -> None:
    """An order of a partner that pays, an upgrade, a downgrade with its lock, and what another partner sees of it."""
    say("Two partners sell on: North pays for what it orders, Coast's customers pay themselves")
    control(stage.zuora, "create_account", number="A-NORTH", first_name="Nora", last_name="North", city="Leeds")
    north, coast = _Partner(stage, "North", "A-NORTH", "--pays"), _Partner(stage, "Coast", "A-COAST", "--customer-pays")
    _fill_catalog(stage, north.org, coast.org)
    click.echo("  catalog      Team at 12.00 for both, Business at 18.00 for North and at 15.00 for Coast")

    say("North orders three seats of Team for Grace")
    number = north.order(database, {**_sale(), "orderItems": [{"offer": {"id": "team"}, "quantity": 3}]})
    sold = _in_zuora(stage, number)
    click.echo(f"  in Zuora     {number} is {sold['name']}'s, and {sold['payer']} pays for it")

    say("She outgrows it: North upgrades her to Business, at North's price, at once")
    basket = north.open(number)
    click.echo(f"  may follow   {', '.join(_priced(basket['nextActions']['upgrades']))}")
    north.change(database, number, "business-north", 3)

    say("She wants Team back: that waits for the end of her term, and nothing else can be changed until then")
    north.open(number)
    north.change(database, number, "team", 3)
    locked = north.ask("POST", "/api/partner/mma/checkout", _checkout(number), status=423)
    click.echo(f"  answered     423, {locked['message']}")

    say("Coast tries to see her")
    listed = coast.ask("GET", "/api/partner/mma/subscriptions")["items"]
    click.echo(f"  its list     {len(listed)} subscriptions")
    mine = north.ask("GET", "/api/partner/mma/subscriptions")["items"][0]["id"]
    refused = coast.ask("GET", f"/api/partner/mma/subscriptions/{mine}", status=403)
    click.echo(f"  answered     403, {refused['message']}")
    hidden = coast.ask("POST", "/api/partner/mma/checkout", _checkout(number), status=404)
    click.echo(f"  answered     404, {hidden['error']}")


class _Partner:
    """An organisation, and the client that acts for it."""

    def __init__(self, stage: DemoSetup, name: str, account: str, who_pays: str) -> None:
        self.stage = stage
        self.name = name
        self.org = json.loads(stage.command("partner", "add", name, "--account", account, who_pays, "--json"))["id"]
        self.headers = stage.add_client(f"{name}'s shop", "--partner", self.org)

    def ask(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        """What it is answered; another status than expected ends the demo."""
        answer = requests.request(method, f"{self.stage.service}{path}", json=body, headers=self.headers, timeout=30)
        if answer.status_code != status:
            raise click.ClickException(f"{self.name}: {method} {path} was answered {answer.status_code}: {answer.text}")
        return answer.json()

    def open(self, number: str) -> Any:
        """A basket for a subscription."""
        return self.ask("POST", "/api/partner/mma/checkout", _checkout(number))

    def change(self, database: Database, number: str, offer: str, quantity: int) -> None:
        """Put an offer into the newest basket, show what the server makes of it, and order it."""
        item = {"orderItemActionType": "add", "type": "offer", "offerId": offer, "quantity": quantity}
        order = self.ask("PUT", "/api/partner/mma/checkout", _checkout(number, orderItems=[item]))["order"]
        for each in order["orderItems"]:
            day = each["effective_date"][:10]
            action, amount = each["orderItemActionType"], each["price"]["summary"]["headline"]
            click.echo(f"  {action:<12} {each['quantity']} x {each['name']:<10} {amount:>8} a month, from {day}")
        click.echo(f"  due today    {order['total']['amount']:.2f}, an estimate by days")
        self.order(database, {"order_type": "update_subscription", "checkoutId": order["checkoutId"]})

    def order(self, database: Database, payload: dict[str, Any]) -> str:
        """Place an order and wait until it is complete; the number of its subscription."""
        shown = self.ask("POST", "/api/partner/order", payload)
        click.echo(f"  {self.name} sent   POST /api/partner/order  {payload['order_type']}")
        wait_until(lambda: _is_complete(database, shown["id"]), "the order is complete and its subscription synced")
        click.echo(f"  complete     order {shown['order_reference']}")
        return str(shown["subscriptionReference"])


def _is_complete(database: Database, order_id: str) -> bool:
    with database.reading() as session:
        work = find_work(session, order_id)
        if work is not None and work.state in (OrderState.FAILED, OrderState.HELD):
            raise click.ClickException(f"The order is {work.state}: {work.error}")
        synced = "SELECT 1 FROM zuora_link WHERE number = :number AND read_began > :at"
        at = work.ended_at if work is not None else None
        values = {"number": work.subscription_number if work is not None else "", "at": at or 0}
        return at is not None and session.run(synced, values).first() is not None


def _in_zuora(stage: DemoSetup, number: str) -> dict[str, Any]:
    rows = show(stage.zuora, "subscriptions", limit=1000)["subscriptions"]
    found: dict[str, Any] = next(row for row in rows if row["number"] == number)
    return found


def _fill_catalog(stage: DemoSetup, north: str, coast: str) -> None:
    """Rate plans in Zuora, and the offers that lead to them."""
    for plan, price in (("Team", "12.00"), ("Business", "18.00")):
        control(stage.zuora, "product", product=_PRODUCT, plan=plan, price=price, model="PerUnit", unit="Seat")
    offers = [
        _offer("team", "Team", "12.00", north, coast, upgrades=["business-north", "business-coast"]),
        _offer("business-north", "Business", "18.00", north, downgrades=["team"]),
        _offer("business-coast", "Business", "15.00", coast, downgrades=["team"]),
    ]
    stage.command("load", "-", stdin="".join(f"{json.dumps(each)}\n" for each in offers))
    click.echo(indent(stage.command("catalog", "refresh")))


def _offer(
    id: str,
    plan: str,
    price: str,
    *partners: str,
    upgrades: list[str] | None = None,
    downgrades: list[str] | None = None,
) -> dict[str, Any]:
    """An offer in Limio's shape, for these partners."""
    attributes = {
        "price__limio": [{"name": "seat", "label": plan, "type": "recurring", "value": price, "currencyCode": "GBP"}],
        "term__limio": {"renewal_type": "TERMED", "renewal_trigger": "EXTERNAL", "length": 1, "type": "months"},
        "autoRenew__limio": True,
        "sales_channel__limio": ["Partner"],
        "eligible_partners__limio": list(partners),
        "allow_multibuy__limio": True,
        "upgrade_offers__limio": [{"id": each, "path": f"/offers2/{each}"} for each in upgrades or ()],
        "downgrade_offers__limio": [{"id": each, "path": f"/offers2/{each}"} for each in downgrades or ()],
    }
    bundle = {"product_path": f"/products/{_PRODUCT}", "rate_plan": plan, "revenue_split": "100"}
    return {
        "id": id,
        "version": "1",
        "path": f"/offers2/{id}",
        "name": plan,
        "type": "item",
        "record_type": "offer",
        "service": "limio",
        "status": "published",
        "data": {"record_type": "offer", "attributes": attributes, "productBundles": [bundle]},
    }


def _sale() -> dict[str, Any]:
    return {
        "order_type": "new",
        "customerDetails": _CUSTOMER,
        "billingDetails": {**_CUSTOMER, **_HOME},
        "payment": {"type": "invoice"},
        "checkoutId": "none",
        "country": "GB",
    }


def _checkout(number: str, **order: Any) -> dict[str, Any]:
    return {"order": {"forSubscription": {"name": number}, "order_type": "update_subscription", **order}}


def _priced(offers: list[dict[str, Any]]) -> Iterator[str]:
    for each in offers:
        yield f"{each['name']} at {each['price']['summary']['headline']}"
