"""A basket becomes an order, once, and only as it was seen; and what else a partner may order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import pytest
from werkzeug.test import TestResponse

from sync_service.commerce.fields import read_json
from sync_service.store.tables import BasketRow, OrderRow, OrderWorkRow
from tests.integration.web.conftest import Web
from tests.integration.web.partner_shop import Shop, add, shown
from tests.partner_catalog import item, sold_with
from tests.partner_world import PartnerWorld, open_partner_world, stop_clock

pytestmark = pytest.mark.either_database

ORDER = "/api/partner/order"
WITHOUT_DATE = "You have a pending change to your subscription. Try again when {} is done."


@pytest.fixture
def world(sqlite_web: Web, monkeypatch: pytest.MonkeyPatch) -> PartnerWorld:
    stop_clock(monkeypatch)
    return open_partner_world(sqlite_web.database, sqlite_web.client)


@pytest.fixture
def shop(sqlite_web: Web, world: PartnerWorld) -> Shop:
    return Shop(sqlite_web, world.headers["N"])


def submit(shop: Shop, **changed: Any) -> TestResponse:
    order = {"order_type": "update_subscription", "checkoutId": shop.cookie, **changed}
    return shop.client.post(ORDER, json=order, headers=shop.headers)


def test_example_24_a_basket_becomes_one_order(shop: Shop, world: PartnerWorld) -> None:
    shop.open(external_id="EXT-1")
    shop.order(add("Business", 5))

    answer = submit(shop)

    assert answer.status_code == 200, answer.text
    [work] = shop.web.rows(OrderWorkRow)
    assert answer.json == {
        "id": work.order_id,
        "order_reference": work.number,
        "status": "submitted",
        "external_id": "EXT-1",
        "subscriptionReference": "N1TEAM000001",
        "owner": "id-ada",
    }
    updates = read_json(work.payload)["updates"]
    assert [(each["type"], each["id"], each["quantity"]) for each in updates] == [
        ("add", "business", 5),
        ("remove", "subscription_offer-team-1", 5),
        ("remove", "add_on-pr-1", 5),
    ]
    [stored] = [row for row in shop.web.rows(OrderRow) if row.id == work.order_id]
    assert (stored.partner_org, stored.document["data"]["checkoutId"]) == (world.orgs["N"], shop.cookie)
    assert work.client == "shop of N"


def test_example_24_twice_is_the_same_order_and_the_same_answer(shop: Shop) -> None:
    shop.open()
    shop.order(add("Business", 5))

    assert submit(shop).json == submit(shop).json == submit(shop, external_id="sent with another body").json
    assert len(shop.web.rows(OrderWorkRow)) == 1


def test_example_24_twice_at_once_is_one_order(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_clock(monkeypatch)
    shop = Shop(web, open_partner_world(web.database, web.client).headers["N"])
    shop.open()
    shop.order(add("Business", 5))

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: submit(shop), range(4)))

    assert [answer.status_code for answer in answers] == [200] * 4
    assert len({answer.json["id"] for answer in answers}) == 1
    assert len(web.rows(OrderWorkRow)) == 1


def test_of_two_baskets_of_a_subscription_one_is_ordered(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two people of one organisation: the second waits for the first and is told of its order."""
    stop_clock(monkeypatch)
    world = open_partner_world(web.database, web.client)
    first, second = Shop(web, world.headers["N"]), Shop(web, world.log_in(web.client, "N", "another shop"))
    for shop in (first, second):
        shop.open()
        shop.order(add("Business", 5))

    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(submit, [first, second]))

    assert sorted(answer.status_code for answer in answers) == [200, 423]
    assert len(web.rows(OrderWorkRow)) == 1


def test_example_25_what_was_ordered_can_be_looked_at_and_no_more(shop: Shop) -> None:
    shop.open()
    shop.order(add("Business", 5))
    order_id = submit(shop).json["id"]

    looked = shop.ask("GET")
    assert looked.json["completed"] is True
    assert shown(looked.json)[0][:3] == ("add", "business", 5)
    assert shop.put(add("Business", 4)).status_code == 400
    locked = Shop(shop.web, shop.headers).open()
    assert (locked.status_code, locked.json["message"]) == (423, WITHOUT_DATE.format(order_id))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"status": "draft"}, "Business is not sold to you"),
        ({"version": "2", "updated": "2026-11-26T12:00:00.000Z", "price": "19"}, "is now 95.00; it was 90.00"),
    ],
)
def test_example_23_what_changed_since_it_was_seen_is_named_and_the_basket_stays(
    shop: Shop, world: PartnerWorld, changed: dict[str, Any], words: str
) -> None:
    shop.open()
    shop.order(add("Business", 5))
    price = changed.pop("price", "18")
    anew = item("Business", price, world.orgs["N"], cross_sell_addons__limio=sold_with("AU"))
    world.publish({**anew, **changed})

    refused = submit(shop)

    assert refused.status_code == 400
    assert words in refused.json["message"]
    assert [row.state for row in shop.web.rows(BasketRow)] == ["active"]
    assert shop.web.rows(OrderWorkRow) == []


def test_a_lock_that_came_meanwhile_keeps_the_basket(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_clock(monkeypatch, date(2026, 12, 10))
    shop.open("sub-4")
    shop.order(add("Business", 1), id="sub-4")
    stop_clock(monkeypatch)

    answer = submit(shop)

    assert (answer.status_code, answer.json["status"]) == (423, 423)
    assert shop.web.rows(OrderWorkRow) == []


def test_an_empty_basket_is_no_order(shop: Shop) -> None:
    shop.open()

    assert submit(shop).status_code == 400
    assert submit(shop, checkoutId=None).json["errors"][0]["field"] == "checkoutId"


def test_a_basket_whose_subscription_went_to_another_is_gone(shop: Shop, world: PartnerWorld) -> None:
    shop.open()
    shop.order(add("Business", 5))
    world.assign("N1TEAM000001", "C")

    assert shop.ask("GET").status_code == 404
    assert submit(shop).status_code == 404
    assert shop.web.rows(OrderWorkRow) == []


@pytest.mark.parametrize("order_type", ["refund", "credit_memo", "change_payment", "renew", None, ["new"]])
def test_a_partner_places_three_kinds_of_orders(shop: Shop, order_type: Any) -> None:
    order = {"order_type": order_type, "forSubscription": {"id": "sub-1"}, "amount": 1}

    refused = shop.client.post(ORDER, json=order, headers=shop.headers)

    assert refused.status_code == 400
    assert "new, update_subscription or cancel_subscription" in refused.json["message"]


def test_example_29_a_partner_cancels_its_own(shop: Shop) -> None:
    order = {"order_type": "cancel_subscription", "forSubscription": {"name": "N1TEAM000001"}}

    answer = shop.client.post(ORDER, json=order, headers=shop.headers)

    assert answer.status_code == 200
    assert answer.json["subscriptionReference"] == "N1TEAM000001"
    [work] = shop.web.rows(OrderWorkRow)
    assert read_json(work.payload)["forSubscription"] == {"id": "sub-1", "name": "N1TEAM000001"}
    assert shop.open().status_code == 423
