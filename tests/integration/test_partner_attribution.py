"""Whose a subscription is survives syncs, loads and transfers; an import belongs to the partner that pays for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sync_service.commerce.order import CannotBePlacedError
from sync_service.partner.organisations import Organisation, Partners
from sync_service.queue.runs.history import read_runs
from sync_service.store.engine import Database
from sync_service.store.load_lines import load_objects
from sync_service.store.tables import OrderWorkRow, SubscriptionRow
from tests.shop_world import new_order, of_subscription, open_shop_world
from tests.sweep_world import World, open_world


@pytest.fixture
def world(database: Database) -> Iterator[World]:
    """Zuora with the partner's account, and a customer of it."""
    with open_world(database) as world:
        for number in ("A-N", "A-C", "A-ADA"):
            world.do("create_account", number=number, first_name="Ada", last_name=number, city="Leeds")
        yield world


def account_id(world: World, number: str) -> str:
    account = world.zuora.emulator.tenant.find_account(number)
    assert account is not None
    return str(account.id)


def add_partner(world: World, account: str, *, pays: bool = True) -> str:
    return add_org(world.database, account, pays=pays)


def whose(world: World, number: str) -> tuple[str | None, str | None, str | None]:
    """The partner of a subscription, of its customer and of its identity."""
    found = """
        SELECT s.partner_org, c.partner_org, i.partner_org FROM limio_subscription AS s
        JOIN limio_customer AS c ON c.id = s.customer JOIN limio_identity AS i ON i.id = s.owner
        WHERE s.reference = :number"""
    [(subscription, customer, identity)] = world.rows(found, number=number)
    return subscription, customer, identity


def test_example_34_an_import_belongs_to_the_partner_that_pays_for_it(world: World) -> None:
    north = add_partner(world, account_id(world, "A-N"))
    add_partner(world, account_id(world, "A-C"), pays=False)
    world.do("create_subscription", number="A-S1", account="A-ADA", invoice_owner="A-N", price="9.99")
    world.do("create_subscription", number="A-S2", account="A-C", price="9.99")

    world.sync("A-S1", "A-S2")

    assert whose(world, "A-S1") == (north, north, north)
    assert whose(world, "A-S2") == (None, None, None)  # its customers pay, so who pays says nothing


def test_a_partner_made_later_gets_what_it_pays_for_at_the_next_sync(world: World) -> None:
    world.do("create_subscription", number="A-S1", account="A-ADA", invoice_owner="A-N", price="9.99")
    world.sync("A-S1")
    assert whose(world, "A-S1") == (None, None, None)
    north = add_partner(world, account_id(world, "A-N"))

    world.sync("A-S1")

    assert whose(world, "A-S1") == (north, north, north)


def test_example_34_no_sync_and_no_load_takes_it_away(world: World) -> None:
    world.do("create_subscription", number="A-S1", account="A-ADA", price="9.99")
    world.sync("A-S1")
    north = add_partner(world, "A-elsewhere")
    Partners(world.database, "olga").assign("A-S1", north)
    world.do("auto_renew", key="A-S1", value="off")

    world.sync("A-S1")
    assert whose(world, "A-S1") == (north, north, north)

    [(document,)] = world.rows("SELECT document FROM limio_subscription")
    loaded = json.loads(document) if isinstance(document, str) else document
    load_objects(world.database, [json.dumps({**loaded, "updated": "2099-01-01T00:00:00.000Z", "name": "new"})])
    assert whose(world, "A-S1") == (north, north, north)


def test_example_34_a_transfer_leaves_it_with_its_partner_and_says_so(world: World) -> None:
    north = add_partner(world, account_id(world, "A-N"))
    world.do("create_subscription", number="A-S1", account="A-ADA", invoice_owner="A-N", price="9.99")
    world.sync("A-S1")
    world.do("transfer_owner", key="A-S1", account="A-C", invoice_owner="A-C")

    world.sync("A-S1")

    assert whose(world, "A-S1")[0] == north
    with world.database.reading() as session:
        [run, *_] = read_runs(session, "A-S1", 1)
    assert f"It moved to another account and still belongs to {north}" in " ".join((run.plan or {})["notes"])


def test_what_a_partner_orders_anew_is_its_own_with_the_customer(sqlite_database: Database) -> None:
    with open_shop_world(sqlite_database) as shop:
        coast = add_org(sqlite_database, "A-C", pays=False)

        shop.submit(new_order(), partner_org=coast)
        shop.work()

        for table in ("limio_order", "limio_identity", "limio_customer", "limio_subscription"):
            with sqlite_database.reading() as session:
                owners = session.run(f"SELECT DISTINCT partner_org FROM {table} WHERE partner_org IS NOT NULL").all()
            assert [owner for (owner,) in owners] == [coast], table


INVOICE = {"payment": {"type": "invoice"}}


def test_a_partner_that_pays_orders_under_its_account_for_the_customers(sqlite_database: Database) -> None:
    with open_shop_world(sqlite_database) as shop:
        shop.do("create_account", number="A-N", first_name="Nora", last_name="North", city="Leeds")
        north = add_org(sqlite_database, "A-N", pays=True)

        order = shop.order(shop.submit(new_order(**INVOICE), partner_org=north))
        shop.work()

        order = shop.order(order.order_id)
        assert (order.state, order.error) == ("complete", None)
        in_zuora = shop.ask(f"/v1/subscriptions/{order.subscription_number}")
        assert in_zuora["invoiceOwnerAccountNumber"] == "A-N"
        owner = shop.ask(f"/v1/accounts/{in_zuora['accountNumber']}")
        assert owner["basicInfo"]["name"] == "Ada Lovelace"
        assert owner["billToContact"]["personalEmail"] == "ada@example.com"
        [row] = [row for row in shop.rows(SubscriptionRow) if row.reference == order.subscription_number]
        assert (row.partner_org, row.status) == (north, "active")

        # A change of it is placed under the account that pays: Zuora refuses any other.
        change = shop.place(of_subscription("cancel_subscription", order.subscription_number or ""))
        assert (change.state, change.error) == ("complete", None)
        assert [each for each in shop.zuora.emulator.tenant.orders if each == change.number]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "must be of the type invoice"),
        ({**INVOICE, "isGift": True}, "no gifts"),
    ],
)
def test_a_partner_that_pays_pays_by_invoice_and_gives_nothing(
    sqlite_database: Database, changed: dict[str, Any], words: str
) -> None:
    with open_shop_world(sqlite_database) as shop:
        north = add_org(sqlite_database, "A-N", pays=True)

        with pytest.raises(CannotBePlacedError, match=words):
            shop.submit(new_order(**changed), partner_org=north)
        assert shop.rows(OrderWorkRow) == []


@pytest.mark.parametrize(
    ("currency", "words"), [("EUR", "in EUR, and what it orders in GBP"), (None, "no account A-N")]
)
def test_an_order_that_the_partners_account_cannot_pay_fails_in_words(
    sqlite_database: Database, currency: str | None, words: str
) -> None:
    with open_shop_world(sqlite_database) as shop:
        if currency:
            shop.do("create_account", number="A-N", first_name="Nora", last_name="North", currency=currency)
        north = add_org(sqlite_database, "A-N", pays=True)

        order_id = shop.submit(new_order(**INVOICE), partner_org=north)
        shop.work()

        order = shop.order(order_id)
        assert order.state == "failed"
        assert words in (order.error or "")


def test_who_pays_is_settled_when_an_order_is_placed(sqlite_database: Database) -> None:
    """A change of the organisation touches later orders only."""
    with open_shop_world(sqlite_database) as shop:
        shop.do("create_account", number="A-N", first_name="Nora", last_name="North")
        north = add_org(sqlite_database, "A-N", pays=True)
        order_id = shop.submit(new_order(**INVOICE), partner_org=north)

        changed = Organisation(name="N", zuora_account_id="A-N", is_invoice_owner=False)
        Partners(sqlite_database, "olga").change(north, changed)
        shop.work()

        number = shop.order(order_id).subscription_number
        assert shop.ask(f"/v1/subscriptions/{number}")["invoiceOwnerAccountNumber"] == "A-N"


def add_org(database: Database, account: str, *, pays: bool) -> str:
    organisation = Organisation(name=account, zuora_account_id=account, is_invoice_owner=pays)
    return Partners(database, "olga").add(organisation).id
