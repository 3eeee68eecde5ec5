"""What partners order goes all the way: into the emulated Zuora, under the account that pays, and back by a sync.

The subscriptions of the worked examples stand in Zuora too: N's account A-N pays, its customers own them.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from typing import Any

import pytest

from sync_service.commerce.fields import read_json
from sync_service.ordering.previews import refresh_catalog
from sync_service.partner import orders
from sync_service.partner.organisations import Partners
from sync_service.queue.orders.acceptance import place_order
from sync_service.store.engine import Database
from sync_service.store.tables import (
    CalloutRow,
    CustomerRow,
    IdentityRow,
    OrderRow,
    OrderWorkRow,
    SubscriptionOfferRow,
    SubscriptionRow,
)
from tests.integration.web.conftest import ZUORA, Web, build
from tests.integration.web.partner_shop import Shop, add, opening
from tests.integration.web.portal import PortalVisitor, text_of
from tests.partner_catalog import PRODUCT
from tests.partner_world import TODAY, PartnerWorld, open_partner_world, stop_clock
from tests.shop_world import ShopWorld, open_shop_world

PRICES = {"Team": 12, "Business": 18, "Solo": 5, "AU": 2, "PR": 3}
ORDER = "/api/partner/order"


class Reselling:
    """Partners, their front ends, our service and Zuora, on 26 November 2026 and later."""

    def __init__(self, zuora: ShopWorld, web: Web, world: PartnerWorld, patch: pytest.MonkeyPatch) -> None:
        self.zuora, self.web, self.world, self._patch = zuora, web, world, patch

    def shop(self, partner: str = "N") -> Shop:
        return Shop(self.web, self.world.headers[partner])

    def order(self, payload: dict[str, Any], partner: str = "N", status: int = 200) -> Any:
        answer = self.web.client.post(ORDER, json=payload, headers=self.world.headers[partner])
        assert answer.status_code == status, answer.text
        return answer.json

    def submit(self, shop: Shop) -> Any:
        return self.order({"order_type": "update_subscription", "checkoutId": shop.cookie})

    def in_zuora(self, order_number: str) -> tuple[str, list[tuple[str, str]]]:
        """The account that an order stands under, and the types and days of what it does."""
        order = self.zuora.ask(f"/v1/orders/{order_number}")["order"]
        [part] = order["subscriptions"]
        actions = [(each["type"], each["triggerDates"][0]["triggerDate"]) for each in part["orderActions"]]
        return order["existingAccountNumber"], actions

    def let_pass(self, day: date) -> None:
        self.zuora.do("advance", to=day.isoformat())
        stop_clock(self._patch, day)

    def rows(self, row_class: Any) -> list[Any]:
        return self.web.rows(row_class)


@contextmanager
def open_reselling(database: Database, patch: pytest.MonkeyPatch) -> Iterator[Reselling]:
    product = PRODUCT.rpartition("/")[2]
    stop_clock(patch)
    with open_shop_world(database, today=TODAY) as zuora:
        for name, price in PRICES.items():
            zuora.do("product", product=product, plan=name, price=str(price), model="PerUnit", unit="Seat")
        for number in ("A-N", "A-ADA", "A-BEA"):
            zuora.do("create_account", number=number, first_name=number[2:].title(), last_name="Byron", city="Leeds")
        seats = {"product": product, "model": "PerUnit", "start": "2026-11-01"}
        bought = {"term": "1", "invoice_owner": "A-N", **seats}
        zuora.do(
            "create_subscription",
            number="N1TEAM000001",
            account="A-ADA",
            name="Team",
            price="12",
            quantity="5",
            **bought,
        )
        zuora.do(
            "create_subscription",
            number="N2TEAM000002",
            account="A-BEA",
            name="Business",
            price="18",
            quantity="2",
            **bought,
        )
        for number, name, price, quantity in (("N1TEAM000001", "PR", "3", "5"), ("N2TEAM000002", "AU", "2", "2")):
            more = {"name": name, "price": price, "quantity": quantity, "on": "2026-11-01"}
            zuora.do("add_product", key=number, product=product, model="PerUnit", **more)
        web = build(database)
        world = open_partner_world(database, web.client)
        refresh_catalog(database, zuora.context.zuora, zuora.context.share)
        yield Reselling(zuora, web, world, patch)


@pytest.fixture
def reselling(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reselling]:
    with open_reselling(sqlite_database, monkeypatch) as world:
        yield world


def test_example_24_an_upgrade_stands_in_zuora_under_the_account_that_pays(reselling: Reselling) -> None:
    shop = reselling.shop()
    shop.open()
    shop.order(add("Business", 5))
    submitted = reselling.submit(shop)

    reselling.zuora.work()

    again = reselling.submit(shop)
    assert again == {**submitted, "status": "complete"}
    account, actions = reselling.in_zuora(submitted["order_reference"])
    today = TODAY.isoformat()
    assert account == "A-N"
    assert actions == [
        ("TermsAndConditions", today),
        ("RemoveProduct", today),
        ("RemoveProduct", today),
        ("AddProduct", today),
    ]
    opened = reselling.shop().open()
    assert opened.json["order"]["forSubscriptionOffer"] == {"offerId": "business"}
    assert opened.json["nextActions"]["subscriptionAddOns"] == []


def test_example_22_a_quantity_is_one_change_of_the_product(reselling: Reselling) -> None:
    shop = reselling.shop()
    shop.open()
    shop.order(add("Team", 7))
    submitted = reselling.submit(shop)

    reselling.zuora.work()

    assert reselling.submit(shop)["status"] == "complete"
    assert reselling.in_zuora(submitted["order_reference"]) == ("A-N", [("UpdateProduct", TODAY.isoformat())])


def test_example_26_a_downgrade_waits_locks_and_lifts_on_its_day(reselling: Reselling) -> None:
    shop = reselling.shop()
    shop.open("sub-2")
    shop.order(add("Team", 2), id="sub-2")
    submitted = reselling.submit(shop)
    reselling.zuora.work()

    assert reselling.submit(shop)["status"] == "complete"
    _, actions = reselling.in_zuora(submitted["order_reference"])
    assert {day for _, day in actions} == {"2026-12-01"}
    held = {
        row.document["data"]["name"]: (row.document["data"]["start"][:10], row.document["data"].get("end"))
        for row in reselling.rows(SubscriptionOfferRow)
        if row.subscription_id == "sub-2"
    }
    assert held == {"Business": ("2026-11-01", "2026-12-01"), "Team": ("2026-12-01", None)}
    locked = reselling.shop().open("sub-2")
    assert (locked.status_code, "from 2026-12-01" in locked.json["message"]) == (423, True)

    reselling.let_pass(date(2026, 12, 1))
    reselling.zuora.work()
    opened = reselling.shop().open("sub-2")
    assert opened.status_code == 200
    assert opened.json["order"]["forSubscriptionOffer"] == {"offerId": "team"}


def test_example_26_the_callout_of_our_own_order_is_an_echo(reselling: Reselling) -> None:
    shop = reselling.shop()
    shop.open("sub-2")
    shop.order(add("Team", 2), id="sub-2")
    submitted = reselling.submit(shop)
    reselling.zuora.work()

    body = {"orderNumber": submitted["order_reference"]}
    headers = {**ZUORA, "Zuora-Notification-Id": "1"}
    place = "/api/plugins/zuora/sync/subscription/N2TEAM000002"
    answer = reselling.web.client.post(place, json=body, headers=headers)

    assert answer.json["status"] == "ignored"
    [callout] = reselling.rows(CalloutRow)
    assert callout.reason_code == "echo"


def bought(**order: Any) -> dict[str, Any]:
    """A new subscription for Grace."""
    person = {"firstName": "Grace", "lastName": "Hopper", "email": "grace@example.com"}
    address = {**person, "address1": "1 Navy Yard", "city": "London", "postalCode": "SE1", "country": "GB"}
    return {
        "order_type": "new",
        "orderItems": [{"offer": {"id": "team", "version": "1"}, "quantity": 3}],
        "customerDetails": person,
        "billingDetails": address,
        "payment": {"type": "invoice"},
        "checkoutId": "none",
        "country": "GB",
        **order,
    }


def customers(reselling: Reselling, partner: str, wanted: str) -> Any:
    place = f"/api/partner/customer?filter={wanted}"
    return reselling.web.client.get(place, headers=reselling.world.headers[partner]).json


def test_example_27_what_the_partner_buys_is_owned_by_the_customer_and_paid_by_the_partner(
    reselling: Reselling,
) -> None:
    submitted = reselling.order(bought())
    reselling.zuora.work()

    number = submitted["subscriptionReference"]
    in_zuora = reselling.zuora.ask(f"/v1/subscriptions/{number}")
    assert in_zuora["invoiceOwnerAccountNumber"] == "A-N"
    assert in_zuora["accountNumber"] != "A-N"
    assert in_zuora["accountName"] == "Grace Hopper"
    north = reselling.world.orgs["N"]
    [subscription] = [row for row in reselling.rows(SubscriptionRow) if row.reference == number]
    theirs = (subscription.owner, subscription.customer, submitted["id"], subscription.id)
    for kind in (IdentityRow, CustomerRow, OrderRow, SubscriptionRow):
        assert [row.partner_org for row in reselling.rows(kind) if row.id in theirs] == [north], kind
    assert customers(reselling, "N", "grace")["hits"] == 1
    assert customers(reselling, "C", "grace") == {"items": [], "hits": 0}


def test_example_27_a_customer_who_pays_has_an_account_of_her_own(reselling: Reselling) -> None:
    submitted = reselling.order(bought(), partner="C")
    reselling.zuora.work()

    in_zuora = reselling.zuora.ask(f"/v1/subscriptions/{submitted['subscriptionReference']}")
    assert in_zuora["invoiceOwnerAccountNumber"] == in_zuora["accountNumber"]
    assert in_zuora["accountName"] == "Grace Hopper"
    assert customers(reselling, "C", "grace")["hits"] == 1


@pytest.mark.parametrize("external", [{}, {"external_id": "E-1" + "x" * 125}])
def test_a_basket_of_a_new_subscription_is_bought_once_as_it_was_seen(
    reselling: Reselling, external: dict[str, str]
) -> None:
    """Its own id names it, and where it was given one its `external_id`."""
    headers, client = reselling.world.headers["N"], reselling.web.client
    items = [{"offer": {"id": "team"}, "quantity": 3}, {"offer": {"id": "pr"}, "type": "add_on"}]
    begun = {"order": {"orderItems": items[:1], "country": "GB", **external}}
    opened = client.post("/api/partner/checkout/initiate", json=begun, headers=headers).json
    name = external.get("external_id", opened["id"])
    wanted = {"order": {"orderItems": items, "checkoutId": name}}
    changed = client.put("/api/partner/checkout/update", json=wanted, headers=headers)
    assert changed.status_code == 200, changed.text
    assert changed.json["id"] == opened["id"]
    assert changed.json["order"]["checkoutId"] == name
    assert changed.json["order"]["total"]["orderTotal"] == 39  # 3 * 12 + 3
    coasts = client.put("/api/partner/checkout/update", json=wanted, headers=reselling.world.headers["C"])
    assert coasts.status_code == 404
    named = {"order": {"checkoutId": name}}
    valid = client.post("/api/partner/checkout/validate", json=named, headers=headers).json
    assert valid == {"valid": True, "errors": []}

    order = bought(checkoutId=name, orderItems=[])
    first, second = reselling.order(order), reselling.order(order)
    reselling.zuora.work()

    assert first == second
    in_zuora = reselling.zuora.ask(f"/v1/subscriptions/{first['subscriptionReference']}")
    plans = {each["ratePlanName"]: each["ratePlanCharges"][0]["quantity"] for each in in_zuora["ratePlans"]}
    assert plans == {"Team": 3, "PR": 1}
    again = client.post("/api/partner/checkout/validate", json=named, headers=headers).json
    assert again["errors"][0]["message"] == "This basket was ordered."


def test_example_28_what_is_not_sold_to_a_partner_is_refused(reselling: Reselling) -> None:
    def refused(status: int, partner: str = "C", **changed: Any) -> str:
        return str(reselling.order(bought(**changed), partner, status)["message"])

    business = [{"offer": {"id": "business"}, "quantity": 1}]
    assert "not sold to you" in refused(400, orderItems=business)
    assert "Business" not in refused(400, orderItems=business)
    assert "in version 0" in refused(404, orderItems=[{"offer": {"id": "team", "version": "0"}, "quantity": 1}])
    assert "is published" in refused(404, partner="N", orderItems=[{"offer": {"id": "unpublished"}, "quantity": 1}])
    here = reselling.world.catalog["Team"]
    attributes = {**here["data"]["attributes"], "allowed_countries__limio": ["GB"]}
    reselling.world.publish({**here, "data": {**here["data"], "attributes": attributes}})
    french = {**bought()["billingDetails"], "country": "FR"}
    assert "not sold in FR" in refused(400, billingDetails=french)
    assert "take" in refused(400, orderDiscount={"productDetails": {}})
    assert "must not lie in the past" in refused(400, orderDate="2026-11-25")
    assert "1 to 10" in refused(400, orderItems=[{"offer": {"id": "team"}, "quantity": 11}])


def test_example_29_a_cancellation_locks_until_the_term_has_ended(reselling: Reselling) -> None:
    cancel = {"order_type": "cancel_subscription", "forSubscription": {"id": "sub-1"}}
    others, none = (
        reselling.order({**cancel, "forSubscription": {"id": id}}, partner, status=404)["message"]
        for id, partner in (("sub-1", "C"), ("sub-none", "C"))
    )
    assert others.replace("sub-1", "") == none.replace("sub-none", "")
    submitted = reselling.order(cancel)
    locked = reselling.shop().open()
    assert (locked.status_code, submitted["id"] in locked.json["message"]) == (423, True)

    reselling.zuora.work()

    [subscription] = [row for row in reselling.rows(SubscriptionRow) if row.id == "sub-1"]
    assert (subscription.status, subscription.term_end) == ("active", date(2026, 12, 1))
    locked = reselling.shop().open()
    assert locked.status_code == 423
    assert "cancelled on 2026-12-01" in locked.json["message"]
    account, _ = reselling.in_zuora(submitted["order_reference"])
    assert account == "A-N"


def test_example_38_while_zuora_is_away_an_order_waits(reselling: Reselling) -> None:
    shop = reselling.shop()
    shop.open()
    shop.order(add("Business", 5))
    reselling.zuora.do("fault", kind="reset")
    submitted = reselling.submit(shop)
    assert submitted["status"] == "submitted"
    reselling.zuora.take_what_is_due()
    assert reselling.submit(shop) == submitted
    [waiting] = reselling.rows(OrderWorkRow)
    assert (waiting.state, waiting.error is not None) == ("waiting", True)

    reselling.zuora.do("clear_faults")
    reselling.zuora.work()

    assert reselling.submit(shop)["status"] == "complete"


def test_a_death_in_the_middle_of_a_submission_leaves_the_basket_as_it_was(
    reselling: Reselling, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = reselling.shop()
    shop.open()
    shop.order(add("Business", 5))

    def die(*given: Any, **named: Any) -> None:
        place_order(*given, **named)
        raise SystemExit

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(orders, "place_order", die)
        reselling.submit(shop)
    assert reselling.rows(OrderWorkRow) == []
    assert shop.ask("GET").json["completed"] is False

    submitted = reselling.submit(shop)
    reselling.zuora.work()
    assert reselling.submit(shop) == {**submitted, "status": "complete"}
    assert len(reselling.rows(OrderWorkRow)) == 1


def test_a_preview_tells_what_an_order_would_cost_and_places_nothing(reselling: Reselling) -> None:
    shop = reselling.shop()
    shop.open()
    shop.order(add("Business", 5))

    for payload in ({"order_type": "update_subscription", "checkoutId": shop.cookie}, bought()):
        with ThreadPoolExecutor(1) as threads:
            asking = threads.submit(
                shop.client.post, f"{ORDER}/preview", json=payload, headers=reselling.world.headers["N"]
            )
            while not asking.done():
                reselling.zuora.take_what_is_due()
        answer = asking.result()
        assert answer.status_code == 200, answer.text
        assert answer.json["schedule"]
    assert reselling.rows(OrderWorkRow) == []


def test_the_page_before_an_order_says_whether_the_amount_is_zuoras_or_our_estimate(
    reselling: Reselling, sqlite_database: Database
) -> None:
    web = build(sqlite_database, partner_code_in_log=True)
    Partners(sqlite_database, "test").add_user(reselling.world.orgs["N"], "ann@north.example")
    ann = PortalVisitor(web.client)
    ann.log_in("ann@north.example")
    basket = ann.post("/subscriptions/sub-1/change").headers["Location"].removeprefix("/partner")
    ann.post(basket, {"offer": "business", "quantity-business": "5"})

    with ThreadPoolExecutor(1) as threads:
        asking = threads.submit(ann.get, f"{basket}/review")
        while not asking.done():
            reselling.zuora.take_what_is_due()
    known = text_of(asking.result())
    with sqlite_database.transaction() as session:
        session.run("UPDATE zuora_limit SET open_until = {now} + 30 * 86400000")
    away = text_of(ann.get(f"{basket}/review"))
    with sqlite_database.transaction() as session:
        session.run("UPDATE zuora_limit SET open_until = NULL")
    impatient = PortalVisitor(build(sqlite_database, wait_limit_seconds=0).client)
    cookie = ann.client.get_cookie("sync_partner", path="/partner")
    assert cookie
    impatient.client.set_cookie("sync_partner", cookie.value, path="/partner")
    silent = text_of(impatient.get(f"{basket}/review"))

    assert "Due today is what Zuora says it will bill for this order." in known
    assert "Due today £2.50" not in known
    assert "Due today £2.50" in away
    assert "our estimate by days, without tax: Zuora cannot be reached just now" in away
    assert "our estimate by days, without tax: Zuora has not answered yet" in silent
    assert reselling.rows(OrderWorkRow) == []


def test_tracking_of_a_basket_reaches_the_order_the_subscription_and_the_account_in_zuora(reselling: Reselling) -> None:
    client, headers = reselling.web.client, reselling.world.headers["N"]
    tracking = {"accountId": "0017x00000ABCDE", "campaign": "autumn"}
    items = [{"offer": {"id": "team"}, "quantity": 3}]
    opened = client.post(
        "/api/partner/checkout/initiate",
        json={"order": {"orderItems": items, "tracking": {"campaign": "summer"}}},
        headers=headers,
    ).json
    named = {"orderItems": items, "checkoutId": opened["id"], "tracking": tracking}
    assert client.put("/api/partner/checkout/update", json={"order": named}, headers=headers).status_code == 200

    submitted = reselling.order({**bought(checkoutId=opened["id"]), "orderItems": []})
    reselling.zuora.work()

    [work] = reselling.rows(OrderWorkRow)
    assert read_json(work.payload)["tracking"] == tracking
    assert reselling.zuora.ask(f"/v1/subscriptions/{submitted['subscriptionReference']}")
    account = reselling.zuora.ask(f"/v1/subscriptions/{submitted['subscriptionReference']}")["accountNumber"]
    assert reselling.zuora.ask(f"/v1/accounts/{account}")["basicInfo"]["crmId"] == tracking["accountId"]


def test_tracking_of_a_change_is_that_of_its_basket_whatever_the_order_says(
    reselling: Reselling,
) -> None:
    shop = reselling.shop()
    opened = shop.ask("POST", {**opening("sub-1"), "tracking": {"ltm_channel": "partner"}})
    shop.cookie = opened.json["order"]["checkoutId"]
    assert opened.json["journey"]["tracking"] == {"ltm_channel": "partner"}
    shop.order(add("Business", 5))

    reselling.order({"order_type": "update_subscription", "checkoutId": shop.cookie, "tracking": {"ltm_channel": "x"}})

    [work] = reselling.rows(OrderWorkRow)
    assert read_json(work.payload)["tracking"] == {"ltm_channel": "partner"}
