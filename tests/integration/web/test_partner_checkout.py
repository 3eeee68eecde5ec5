"""A partner's checkout, by the worked examples: both of its addresses, every status and every figure.

Figures are computed by hand: a period of 30 days (1 November to 1 December) of which 5 are left on 26 November.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from sync_service.partner.basket_rows import MAX_ACTIVE, forget_baskets
from sync_service.store.engine import Session
from sync_service.store.tables import BasketRow, OrderWorkRow
from tests.integration.web.conftest import Web
from tests.integration.web.partner_shop import MMA, Shop, add, ids, opening, remove, shown
from tests.partner_catalog import item, sold_with
from tests.partner_world import TODAY, PartnerWorld, open_partner_world, stop_clock

TERM_END = "2026-12-01T00:00:00Z"


@pytest.fixture
def world(sqlite_web: Web, monkeypatch: pytest.MonkeyPatch) -> PartnerWorld:
    stop_clock(monkeypatch)
    return open_partner_world(sqlite_web.database, sqlite_web.client)


@pytest.fixture
def shop(sqlite_web: Web, world: PartnerWorld) -> Shop:
    return Shop(sqlite_web, world.headers["N"])


def test_example_8_a_basket_shows_what_may_follow(shop: Shop) -> None:
    answer = shop.open()

    assert answer.status_code == 200
    said = answer.json
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"limio_state={said['order']['checkoutId']}; ")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax", "Max-Age=86400"} <= set(cookie.split("; "))
    assert said["order"]["checkoutId"].startswith("basket-")
    assert said["order"]["forSubscription"] == {"id": "sub-1", "name": "N1TEAM000001"}
    assert said["order"]["forSubscriptionOffer"] == {"offerId": "team"}
    assert said["order"]["orderItems"] == []
    assert said["order"]["total"] == {
        "currency": "GBP",
        "orderSubtotal": 0,
        "orderTotal": 0,
        "totalOrderDiscounts": 0,
        "amount": 0,
    }
    assert (said["order"]["country"], said["order"]["source"]) == ("GB", "shop")
    assert "effectiveDate" not in said["order"]
    following = said["nextActions"]
    assert ids(following["upgrades"]) == ["business"]
    assert ids(following["downgrades"]) == ["solo"]
    assert ids(following["crossSells"]) == ["au"]
    assert ids(following["subscriptionAddOns"]) == ["pr"]
    assert following["selectOffer"] is False
    assert following["upgrades"][0]["price"] == {
        "currency": "GBP",
        "amount": 18,
        "summary": {"headline": "£18.00", "subline": ""},
    }
    assert said["completed"] is False
    assert said["context"]["identity_id"] == "id-ada"


def test_example_9_a_subscription_goes_by_its_reference_too(shop: Shop) -> None:
    named = {"order": {"forSubscription": {"name": "N1TEAM000001"}, "order_type": "update_subscription"}}

    assert shop.ask("POST", named).json["order"]["forSubscription"]["id"] == "sub-1"


@pytest.mark.parametrize(
    ("order", "field"),
    [
        ({"forSubscription": {}}, "order.forSubscription.id"),
        ({"forSubscription": None}, "order.forSubscription"),
        ({"order_type": "new"}, "order.order_type"),
        ({"external_id": "a" * 129}, "order.external_id"),
        ({"external_id": "a b"}, "order.external_id"),
        ({"external_id": "a\n"}, "order.external_id"),
        ({"orderItems": [{"type": "offer"}]}, "order.orderItems[0].orderItemActionType"),
        ({"orderItems": [{"orderItemActionType": "add", "type": "offer"}]}, "order.orderItems[0].offerId"),
        ({"forSubscription": {"id": "sub-1\0"}}, "order.forSubscription.id"),
    ],
)
def test_example_9_a_body_that_is_wrong_names_the_field(shop: Shop, order: dict[str, Any], field: str) -> None:
    answer = shop.open(**order)

    assert answer.status_code == 400
    assert answer.json["error"].startswith(field)
    assert set(answer.json) == {"error"}
    assert "Set-Cookie" not in answer.headers


def test_example_10_anothers_subscription_is_not_found_like_none_at_all(shop: Shop) -> None:
    others, none = shop.open("sub-3"), shop.open("sub-none")

    assert others.status_code == none.status_code == 404
    assert others.data == none.data
    assert others.json == {"error": "Subscription not found"}
    assert "Set-Cookie" not in others.headers


def test_example_11_a_change_to_come_locks_until_its_day(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = shop.open("sub-4")

    assert locked.status_code == 423
    assert locked.json == {
        "status": 423,
        "message": "You have a pending change to your subscription. It can be changed again from 2026-12-10.",
    }
    stop_clock(monkeypatch, date(2026, 12, 9))
    assert shop.open("sub-4").status_code == 423
    stop_clock(monkeypatch, date(2026, 12, 10))
    opened = shop.open("sub-4")
    assert opened.status_code == 200
    assert opened.json["order"]["forSubscriptionOffer"] == {"offerId": "team"}


def test_example_11_an_imported_subscription_takes_no_commerce_actions(shop: Shop) -> None:
    answer = shop.open("sub-6")

    assert answer.status_code == 400
    assert "imported" in answer.json["error"]


@pytest.mark.parametrize("name", ["X-Limio-Recaptcha", "xLimioRecaptcha"])
def test_example_12_the_browsers_checkout_wants_a_captcha(shop: Shop, name: str) -> None:
    assert shop.ask("POST", opening("sub-1"), captcha=False).status_code == 400
    assert shop.ask("POST", opening("sub-1"), captcha=False, **{name: "a token"}).status_code == 200
    shop.place = MMA
    assert shop.ask("POST", opening("sub-1"), captcha=False).status_code == 200


def test_example_13_the_cookie_finds_the_basket_and_opens_nothing(shop: Shop, world: PartnerWorld) -> None:
    opened = shop.open().json

    again = shop.ask("GET")
    assert again.status_code == 200
    assert {**again.json, "context": None, "journey": None} == {**opened, "context": None, "journey": None}
    missing = {"error": "No basket found in landing state"}
    thief = Shop(shop.web, world.headers["C"])
    thief.cookie = shop.cookie
    assert (thief.ask("GET").status_code, thief.ask("GET").json) == (404, missing)
    assert thief.put(add("BusinessC", 1)).json == {"error": "Basket not found in landing state"}
    for cookie in (None, "basket-unknown", "%00", "x" * 5000):
        shop.cookie = cookie
        assert (shop.ask("GET").status_code, shop.ask("GET").json) == (404, missing)


def test_example_14_an_upgrade_is_priced_and_dated_by_the_server(shop: Shop) -> None:
    shop.open()

    said = shop.order(add("Business", 5))

    today = TODAY.isoformat()
    assert shown(said) == [
        ("add", "business", 5, 90, today),
        ("remove", "team", 5, 60, today),
        ("remove", "pr", 5, 15, today),
    ]
    assert said["order"]["total"] == {
        "currency": "GBP",
        "orderSubtotal": 90,
        "orderTotal": 90,
        "totalOrderDiscounts": 0,
        "amount": 2.5,  # 15.00 - 10.00 - 2.50 for 5 of 30 days
    }
    assert ids(said["nextActions"]["crossSells"]) == ["au"]
    line = said["order"]["orderItems"][0]["orderLineItem"]
    assert line == {
        "quantity": 5,
        "discount": 0,
        "unitAmount": 18,
        "amount": 90,
        "period": {"from": today, "to": "2026-12-01"},
        "prorated": 15,
    }


def test_example_15_two_offers_are_refused_and_the_basket_is_as_before(shop: Shop) -> None:
    shop.open()
    shop.order(add("Business", 5))

    refused = shop.put(add("Business", 5), add("Solo", 1))

    assert refused.status_code == 400
    assert "one offer at a time" in refused.json["error"]
    assert shown(shop.ask("GET").json)[0] == ("add", "business", 5, 90, TODAY.isoformat())


def test_example_16_a_basket_is_what_was_sent_last(shop: Shop) -> None:
    shop.open()
    shop.order(add("Business", 5))

    said = shop.order(add("AU", 5))

    assert shown(said) == [("add", "au", 5, 10, TODAY.isoformat())]
    assert said["order"]["total"]["amount"] == 1.67  # 10 * 5 / 30, half up


def test_example_17_an_offer_and_its_add_on(shop: Shop) -> None:
    shop.open()

    said = shop.order(add("Business", 5), add("AU", 5))

    assert ("add", "au", 5, 10, TODAY.isoformat()) in shown(said)
    assert ("remove", "pr", 5, 15, TODAY.isoformat()) in shown(said)
    assert said["order"]["total"]["orderTotal"] == 100


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([add("Business", 5), add("PR", 5)], "PR is not sold with Business"),
        ([remove("AU")], "does not have AU"),
        ([remove("Team")], "cancel it"),
        ([add("Business", 11)], "1 to 10"),
        ([add("Business", 0)], "order.orderItems[0].quantity"),
        ([add("Business", 1.5)], "order.orderItems[0].quantity"),
        ([add("Business", True)], "order.orderItems[0].quantity"),
        ([add("Business", "5")], "order.orderItems[0].quantity"),
        ([add("Solo", 2)], "one at a time"),
    ],
)
def test_examples_18_and_19_what_cannot_be_is_refused(shop: Shop, items: list[dict[str, Any]], words: str) -> None:
    shop.open()

    refused = shop.put(*items)

    assert refused.status_code == 400
    assert words in refused.json["error"]


def test_example_19_a_quantity_that_is_not_sent_is_one(shop: Shop) -> None:
    shop.open()

    one = shop.order(add("Business"))
    solo = shop.order(add("Solo", 1))

    assert shown(one)[0][:3] == ("add", "business", 1)
    assert one["order"]["total"]["amount"] == -9.5  # 3.00 - 10.00 - 2.50: a credit
    assert shown(solo)[0] == ("add", "solo", 1, 5, "2026-12-01")


def test_example_20_prices_and_dates_that_are_sent_count_for_nothing(shop: Shop) -> None:
    shop.open()
    honest = shop.order(add("Business", 5))

    sent = shop.order(
        add("Business", 5, price={"amount": 1}, effective_date="2030-01-01T00:00:00Z", id="mine", orderLineItem={})
    )

    assert {**sent, "context": None} == {**honest, "context": None}


def test_what_the_system_added_may_be_sent_back(shop: Shop) -> None:
    shop.open()
    first = shop.order(add("Business", 5))

    assert shop.order(*first["order"]["orderItems"])["order"] == first["order"]


def test_limios_own_shape_of_an_item_is_taken_too(shop: Shop) -> None:
    shop.open()

    said = shop.order({"orderItemActionType": "add", "type": "add_on", "offer": {"id": "au"}, "quantity": 5})

    assert said["order"]["orderItems"][0]["type"] == "addon"


def test_example_21_a_downgrade_waits_for_the_end_of_the_term(shop: Shop) -> None:
    opened = shop.open("sub-2").json
    assert (ids(opened["nextActions"]["upgrades"]), ids(opened["nextActions"]["downgrades"])) == ([], ["team"])

    said = shop.order(add("Team", 2), id="sub-2")

    assert [each["effective_date"] for each in said["order"]["orderItems"]] == [TERM_END, TERM_END]
    assert shown(said) == [("add", "team", 2, 24, "2026-12-01"), ("remove", "business", 2, 36, "2026-12-01")]
    assert (said["order"]["total"]["orderTotal"], said["order"]["total"]["amount"]) == (24, 0)
    assert said["order"]["effectiveDate"] == TERM_END


@pytest.mark.parametrize(("quantity", "day"), [(7, "2026-11-26"), (3, "2026-12-01")])
def test_example_22_more_seats_come_at_once_and_fewer_at_the_term_end(shop: Shop, quantity: int, day: str) -> None:
    shop.open()

    said = shop.order(add("Team", quantity))

    assert shown(said) == [("add", "team", quantity, 12 * quantity, day), ("remove", "team", 5, 60, day)]


def test_example_23_a_price_that_changed_shows_at_the_next_change(shop: Shop, world: PartnerWorld) -> None:
    shop.open()
    shop.order(add("Business", 5))
    dearer = item("Business", "19", world.orgs["N"], cross_sell_addons__limio=sold_with("AU"), version="2")
    world.publish({**dearer, "updated": "2026-11-26T12:00:00.000Z"})

    assert shown(shop.ask("GET").json)[0][3] == 90
    assert shown(shop.order(add("Business", 5)))[0][3] == 95


def test_a_basket_of_one_checkout_is_the_others_too(shop: Shop) -> None:
    shop.open()
    shop.order(add("Business", 5))
    basket = shop.cookie
    mma = Shop(shop.web, shop.headers, MMA)

    assert shown(mma.ask("GET").json)[0][:2] == ("add", "business")  # the newest
    mma.place = f"{MMA}?basket={basket}"
    found = shop.web.client.get(mma.place, headers=shop.headers).json
    assert found["order"]["checkoutId"] == basket
    mma.place = MMA
    assert shown(mma.order(add("AU", 5), checkoutId=basket)) == [("add", "au", 5, 10, TODAY.isoformat())]
    assert shown(shop.ask("GET").json) == [("add", "au", 5, 10, TODAY.isoformat())]


def test_without_a_basket_there_is_none_to_find(shop: Shop) -> None:
    mma = Shop(shop.web, shop.headers, MMA)

    assert mma.ask("GET").status_code == 404
    assert mma.put(add("Business", 5)).status_code == 404


def test_a_basket_is_not_changed_for_another_subscription(shop: Shop) -> None:
    shop.open()

    refused = shop.put(add("Business", 5), id="sub-2")

    assert refused.status_code == 400
    assert "another subscription" in refused.json["error"]


def test_a_basket_may_begin_with_items_or_with_an_offer(shop: Shop) -> None:
    assert shown(shop.open(orderItems=[add("AU", 5)]).json) == [("add", "au", 5, 10, TODAY.isoformat())]
    preselected = shop.open(forSubscriptionOffer={"offerId": "business"}).json
    assert shown(preselected)[0][:3] == ("add", "business", 5)  # as many as are held
    single = shop.open(forSubscriptionOffer={"offerId": "solo"}).json
    assert shown(single)[0][:3] == ("add", "solo", 1)  # sold one at a time
    assert shown(shop.open(forSubscriptionOffer={"offerId": "team"}).json) == []  # the present one


def test_example_35_a_basket_lives_a_day_after_it_was_last_written(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.open()
    at = 1_795_694_400_000
    monkeypatch.setattr(Session, "now", lambda _: at)
    shop.order(add("Business", 5))

    monkeypatch.setattr(Session, "now", lambda _: at + 24 * 3_600_000 - 1)
    assert shop.ask("GET").status_code == 200
    monkeypatch.setattr(Session, "now", lambda _: at + 24 * 3_600_000)
    assert shop.ask("GET").status_code == 404
    assert shop.put(add("Business", 5)).status_code == 404


def test_expired_baskets_are_forgotten(shop: Shop) -> None:
    shop.open()
    with shop.web.database.transaction() as session:
        session.run("UPDATE basket SET expires_at = 1")

    assert forget_baskets(shop.web.database) == 1
    assert shop.web.rows(BasketRow) == []


def test_a_new_basket_takes_the_place_of_the_one_before(shop: Shop) -> None:
    shop.open()
    first = shop.cookie
    shop.open()

    assert shop.ask("GET").status_code == 200
    shop.cookie = first
    assert shop.ask("GET").status_code == 404


def test_example_35_the_oldest_of_too_many_baskets_gives_way(shop: Shop) -> None:
    shop.open("sub-1")
    oldest = shop.cookie
    with shop.web.database.transaction() as session:  # each of a subscription of its own
        for number in range(MAX_ACTIVE - 1):
            session.run(
                "INSERT INTO basket (id, partner_org, subject, subscription_id, state, wanted, seen, document,"
                " created_at, updated_at, expires_at) SELECT :id, partner_org, subject, :id, state, wanted, seen,"
                " document, created_at, updated_at + :later, expires_at FROM basket WHERE id = :oldest",
                {"id": f"basket-{number}", "later": number + 1, "oldest": oldest},
            )
    shop.open("sub-2")

    states = {row.id: row.state for row in shop.web.rows(BasketRow)}
    assert list(states.values()).count("active") == MAX_ACTIVE
    assert states[oldest or ""] == "superseded"


def test_nothing_is_ordered_by_looking_and_changing(shop: Shop) -> None:
    shop.open()
    shop.order(add("Business", 5))

    assert shop.web.rows(OrderWorkRow) == []
