"""Orders that cannot be: each is answered clearly, nothing of it is stored, and Zuora is not asked."""

from __future__ import annotations

import json
from typing import Any

from sync_service.access.clients import ORDER_SCOPE
from sync_service.store.engine import Database
from sync_service.store.load_lines import load_objects
from sync_service.store.tables import GiftCodeRow, SubscriptionRow
from sync_service.subscription.limio.documents import set_value
from tests.integration.web.conftest import build
from tests.shop_world import NUMBER, ShopWorld, new_order, of_subscription, open_shop_world
from tests.webhook_world import add_endpoint
from zuora_emulator.shop import limio_catalog, offer_ref

IN_EUROS = {"id": "e" * 40, "version": "e" * 40}
#: Tables that a request itself may touch.
_OF_THE_DOOR = frozenset({"oauth_client", "throttle"})


def everything(database: Database) -> dict[str, list[str]]:
    """All rows of all tables."""
    tables = [each for each in SubscriptionRow.metadata.sorted_tables if each.name not in _OF_THE_DOOR]
    with database.reading() as session:
        return {each.name: sorted(map(str, session.connection().execute(each.select()))) for each in tables}


def sell_in_euros(world: ShopWorld) -> None:
    """Limio's catalog gets “Print” for euros."""
    printed = next(each for each in limio_catalog() if each["name"] == "Print" and each["record_type"] == "offer")
    price = {**printed["data"]["attributes"]["price__limio"][0], "currencyCode": "EUR"}
    offer = set_value({**printed, **IN_EUROS}, "data.attributes.price__limio", [price])
    load_objects(world.database, [json.dumps(offer)])


def change(world: ShopWorld, number: str, path: str, value: Any) -> None:
    """Limio has another value in the subscription."""
    with world.database.transaction() as session:
        (row,) = [each for each in world.rows(SubscriptionRow) if each.reference == number]
        row = session.merge(row)
        row.document = set_value(row.document, path, value)


def sell(world: ShopWorld, offer: str = "Digital Monthly", **more: Any) -> str:
    """A sale, by a card of its own; its subscription's number."""
    card = world.do("payment_method")["id"]
    payment = {"type": "zuora", "zuora": {"refId": card, "paymentGateway": "CreditCard_UK"}}
    work = world.place(new_order(offer, payment=payment, **more))
    assert work.state == "complete", work.error
    return str(work.names["subscriptions"][0]["reference"])


def redeem_a_gift(world: ShopWorld) -> dict[str, Any]:
    """A redemption that has been placed."""
    sell(world, "Gift of a year", isGift=True)
    (code,) = world.rows(GiftCodeRow)
    redemption = {**new_order("Gift of a year"), "isRedeem": True, "redeemCode": code.code}
    del redemption["payment"]
    assert world.place(redemption).state == "complete"
    return redemption


def test_an_order_that_cannot_be_is_answered_clearly_and_leaves_no_trace(sqlite_database: Database) -> None:
    add_endpoint(sqlite_database, "http://127.0.0.1:9/limio")
    with open_shop_world(sqlite_database) as world:
        sell_in_euros(world)
        imported, changing = sell(world), sell(world)
        change(world, imported, "data.attributes.external", True)
        change(world, changing, "data.pendingRenewalChange", "2199-01-01")
        ending = sell(world)
        assert world.place(of_subscription("cancel_subscription", ending)).state == "complete"
        one_more = [{"type": "add", "record_type": "offer", **offer_ref("Print"), "quantity": 1}]
        only_gone = [{"type": "remove", "record_type": "offer", "id": offer_ref("Digital Monthly")["id"]}]
        two = [{"offer": offer_ref("Digital Monthly"), "quantity": 2}]
        nameless = {"customerDetails": {"company": "Engines"}, "billingDetails": {"city": "London", "country": "GB"}}
        unknown = {"offer": {"id": "0" * 40, "version": "0" * 40}, "quantity": 1}
        other_version = {"offer": {**offer_ref("Print"), "version": "0" * 40}, "quantity": 1}
        wrong: dict[str, tuple[dict[str, Any], int, str]] = {
            "offer": (new_order(orderItems=[unknown]), 404, "orderItems[0].offer"),
            "version": (new_order(orderItems=[other_version]), 404, "orderItems[0].offer"),
            "subscription": (of_subscription("renew", "UNKNOWN"), 404, "forSubscription"),
            "currency": (of_subscription("change_offer", offer=IN_EUROS), 400, "offer"),
            "imported": (of_subscription("renew", imported), 400, "forSubscription"),
            "pending": (of_subscription("change_offer", changing, offer=offer_ref("Print")), 423, "forSubscription"),
            "cancelled": (of_subscription("update_subscription", ending, updates=one_more), 423, "forSubscription"),
            "only removed": (of_subscription("update_subscription", updates=only_gone), 400, "updates"),
            "no units": (new_order(orderItems=two), 400, "orderItems[0].quantity"),
            "no person": (new_order(**nameless), 400, "customerDetails"),
            "owner": (new_order(owner="id-1\n2"), 400, "owner"),
            "refund": (of_subscription("refund", NUMBER, offer=offer_ref("Goodwill"), amount="999"), 400, "amount"),
            "gift": (redeem_a_gift(world), 400, "redeemCode"),
        }
        web = build(sqlite_database)
        headers = web.token(ORDER_SCOPE, name="shop")
        before, calls = everything(sqlite_database), world.zuora.emulator.traffic.listed()["total"]

        answers = {
            name: web.client.post("/api/order", json=payload, headers=headers)
            for name, (payload, _, _) in wrong.items()
        }

        seen = {name: (each.status_code, each.json["errors"][0]["field"]) for name, each in answers.items()}
        assert seen == {name: (status, field) for name, (_, status, field) in wrong.items()}
        assert all(each.json["message"] for each in answers.values())
        assert everything(sqlite_database) == before
        assert world.zuora.emulator.traffic.listed()["total"] == calls
