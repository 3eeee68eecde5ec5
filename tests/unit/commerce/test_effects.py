"""What Limio's store gets of an order: at submit, when it is complete, when it failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from sync_service.commerce.ending import completed, failed
from sync_service.commerce.order import Order, Refusal
from sync_service.commerce.order_objects import Effect, NewObject, ObjectChange
from sync_service.commerce.state import InStore
from sync_service.commerce.submission import submitted, wanted_names
from tests.unit.commerce import world
from tests.unit.commerce.world import (
    ANNUAL,
    AUDIO,
    AUDIO_HELD,
    EXAMPLES,
    GIFT,
    MONTHLY,
    NUMBER,
    OPTIONS,
    SAVE,
    SEATS,
    TODAY,
    a_catalog,
    a_subscription,
    a_subscription_offer,
    an_offer,
    an_order,
    hex_of,
    in_store,
    names,
    ref,
)

AT = "2026-12-01T10:00:00.000Z"
E1 = EXAMPLES[0]["limio_order"]
SUB = {"forSubscription": {"name": NUMBER}}
PAY = {"payment": {"type": "zuora", "zuora": {"refId": "{pm}", "paymentGateway": "CreditCard_UK", "token": "t"}}}
NOWHERE = InStore()
CUSTOMER = {"id": "cus-1", "record_type": "customer", "data": {"name": "Ada Lovelace"}}
OLD_CARD = {"id": "pm-old", "record_type": "payment_method", "status": "active", "data": {"zuora": {"refId": "old"}}}
HOLDING = replace(in_store(), customer=CUSTOMER, payment_methods=(OLD_CARD,))
CODE = {"id": "gift_code-1", "record_type": "gift_code", "status": "free", "data": {"code": "7QK2M9X4"}}


def order(payload: Mapping[str, Any], **named: Any) -> Order:
    given = replace(names("2C50V1J7K3C0", NUMBER), **named)
    return an_order(payload, given)


def created(effects: tuple[Effect, ...], record_type: str) -> list[NewObject]:
    return [each for each in effects if isinstance(each, NewObject) and each.record_type == record_type]


def changed(effects: tuple[Effect, ...], record_type: str) -> dict[str, Mapping[str, Any]]:
    return {
        each.id: each.values for each in effects if isinstance(each, ObjectChange) and each.record_type == record_type
    }


def at_submit(wished: Order, store: InStore = NOWHERE) -> tuple[Effect, ...]:
    return submitted(wished, store, a_catalog(), at=AT)


def at_the_end(wished: Order, store: InStore = HOLDING, **how: Any) -> tuple[Effect, ...]:
    """What is written once every step of the plan was answered well."""
    answer = how.pop("answer", {"success": True, "id": "x"})
    catalog = how.get("catalog") or a_catalog()
    plan = world.plan(wished, store=store, **how)
    assert not isinstance(plan, Refusal), plan
    return completed(wished, store, catalog, [(step, answer) for step in plan.steps], at=AT, today=TODAY)


def test_a_new_order_makes_everything_that_limio_shows_of_it() -> None:
    items = [{"offer": ref(MONTHLY), "quantity": 1, "addOns": [ref(AUDIO)]}]
    effects = at_submit(order({**E1, "orderItems": items}, payment_method="pm-1"))

    kinds = [each.record_type for each in effects]
    [subscription] = created(effects, "subscription")
    [offer] = created(effects, "subscription_offer")
    [event] = created(effects, "event")
    [wish] = created(effects, "order")
    assert kinds == [
        "identity",
        "customer",
        "order",
        "subscription",
        "subscription_offer",
        "add_on",
        "address",
        "payment_method",
        "event",
    ]
    assert subscription.document["status"] == "initial"
    assert subscription.document["reference"] == NUMBER
    assert subscription.document["ref"] == f"{wish.id}/{hex_of(NUMBER)}"
    assert offer.subscription_id == subscription.id
    assert offer.document["data"]["offer"] == MONTHLY
    assert offer.document["data"]["id"] == subscription.document["data"]["id"] == hex_of(NUMBER)
    assert event.document["data"]["type"] == "order.new"
    assert event.document["data"]["event"] == {"subscriptions": [{"id": subscription.id}]}
    assert (wish.document["status"], wish.document["data"]["external_id"]) == ("submitted", "EXT-1")


def test_the_address_is_kept_as_zuora_gets_it_so_that_a_sync_finds_nothing_to_change() -> None:
    elsewhere = {"address1": "2 Low Road", "city": "Leeds", "country": "GB"}

    billing, delivery = created(at_submit(order({**E1, "deliveryDetails": elsewhere})), "address")

    assert billing.document["data"] == {
        **E1["billingDetails"],
        "email": "ada@example.com",
        "phone": "+447700900001",
    }
    assert delivery.document["data"] == {
        **elsewhere,
        "firstName": "Ada",
        "lastName": "Lovelace",
        "email": "ada@example.com",
    }


def test_neither_token_nor_signature_gets_into_an_object() -> None:
    effects = at_submit(order({**E1, **PAY}, payment_method="pm-1"))

    [method] = created(effects, "payment_method")
    assert method.document["data"] == {
        "type": "zuora",
        "zuora": {"refId": hex_of("pm"), "paymentGateway": "CreditCard_UK"},
    }
    assert "token" not in str(effects)


def test_a_new_subscription_is_active_once_its_order_is_complete() -> None:
    effects = at_the_end(order(E1), NOWHERE)

    assert changed(effects, "order") == {f"order-{hex_of('2C50V1J7K3C0')}": {"status": "complete"}}
    assert changed(effects, "subscription") == {f"sub-{hex_of(NUMBER)}": {"status": "active"}}


def test_a_subscription_that_zuora_has_not_activated_is_pending() -> None:
    effects = at_the_end(order(E1), NOWHERE, answer={"status": "Pending"})

    assert changed(effects, "subscription") == {f"sub-{hex_of(NUMBER)}": {"status": "pending"}}


def test_of_a_failed_order_the_subscription_stays_initial() -> None:
    assert failed(order(E1), NOWHERE) == (
        ObjectChange(record_type="order", id=f"order-{hex_of('2C50V1J7K3C0')}", values={"status": "failed"}),
    )


def test_one_subscription_for_several_offers_holds_them_all() -> None:
    items = [{"offer": ref(MONTHLY)}, {"offer": ref(GIFT)}]

    effects = at_submit(order({**E1, "orderItems": items}))

    [subscription] = created(effects, "subscription")
    assert [each.subscription_id for each in created(effects, "subscription_offer")] == [subscription.id] * 2


def test_a_subscription_for_each_offer_holds_its_own() -> None:
    items = [{"offer": ref(MONTHLY)}, {"offer": ref(ANNUAL)}]
    two = names("2C50V1J7K3C0", NUMBER, "3C1EQEBLLT60")

    effects = at_submit(an_order({**E1, "orderItems": items}, two))

    offers = created(effects, "subscription_offer")
    assert [each.document["data"]["offer"] for each in offers] == [MONTHLY, ANNUAL]
    assert [each.subscription_id for each in offers] == [each.id for each in created(effects, "subscription")]


def test_a_gift_is_a_code_that_can_be_redeemed_once_it_is_paid() -> None:
    wished = order({**E1, "isGift": True, "orderItems": [{"offer": ref(GIFT)}]}, gift_code="7QK2M9X4")

    [code] = created(at_submit(wished), "gift_code")

    assert (code.document["status"], code.document["data"]["code"]) == ("reserved", "7QK2M9X4")
    assert code.document["data"]["debitMemoNumber"] == "DM-2C50V1J7K3C0"
    assert changed(at_the_end(wished, NOWHERE), "gift_code") == {code.id: {"status": "free"}}
    assert changed(at_the_end(wished, NOWHERE), "subscription") == {}
    assert changed(failed(wished, NOWHERE), "gift_code") == {code.id: {"status": "void"}}


def test_a_code_is_reserved_redeemed_and_free_again_after_a_failure() -> None:
    payload = {
        "order_type": "new",
        "isRedeem": True,
        "redeemCode": "7QK2M9X4",
        "orderItems": [{"offer": ref(GIFT)}],
        "customerDetails": {"firstName": "Grace", "lastName": "Hopper"},
        "country": "GB",
    }
    wished, store = order(payload), InStore(gift_code=CODE)
    order_id = f"order-{hex_of('2C50V1J7K3C0')}"

    assert changed(at_submit(wished, store), "gift_code") == {
        "gift_code-1": {"status": "reserved", "data.reservedBy": order_id}
    }
    assert changed(at_the_end(wished, store), "gift_code") == {
        "gift_code-1": {"status": "redeemed", "data.reservedBy": None, "data.redeemedBy": order_id}
    }
    assert changed(failed(wished, store), "gift_code") == {"gift_code-1": {"status": "free", "data.reservedBy": None}}


def test_a_switch_ends_the_old_offer_on_the_day_on_which_the_new_one_begins() -> None:
    fitting = a_catalog(an_offer(ANNUAL, cross_sell_addons__limio={"items": [{"id": "another"}]}))
    wished = order({"order_type": "change_offer", "offer": ref(ANNUAL), **SUB})

    effects = at_the_end(wished, catalog=fitting)

    [new] = created(effects, "subscription_offer")
    old = a_subscription_offer(MONTHLY)["id"]
    assert changed(effects, "subscription_offer") == {old: {"data.end": "2026-12-16"}}
    assert changed(effects, "add_on") == {AUDIO_HELD["id"]: {"data.end": "2026-12-16"}}
    assert new.document["data"]["start"] == "2026-12-16T00:00:00.000Z"
    assert new.document["data"]["offer"]["id"] == ANNUAL["id"]


def test_an_add_on_that_goes_with_the_new_offer_stays() -> None:
    fitting = a_catalog(an_offer(ANNUAL, cross_sell_addons__limio={"items": [{"id": AUDIO["id"]}]}))

    assert (
        changed(
            at_the_end(order({"order_type": "change_offer", "offer": ref(ANNUAL), **SUB}), catalog=fitting), "add_on"
        )
        == {}
    )


def test_add_ons_come_and_go_each_on_its_day() -> None:
    payload = world.example("E11")["limio_order"]

    effects = at_the_end(order(payload))

    [added] = created(effects, "add_on")
    assert added.document["data"]["start"] == "2026-12-01T00:00:00.000Z"
    assert changed(effects, "add_on") == {AUDIO_HELD["id"]: {"data.end": "2026-12-16"}}


def test_another_quantity_is_another_offer_of_the_subscription() -> None:
    day = {"effective_date": "2026-12-01"}
    updates = [
        {"type": "remove", "record_type": "offer", "id": SEATS["id"], **day},
        {"type": "add", "record_type": "offer", **ref(SEATS), "quantity": 8, **day},
    ]
    wished = order({"order_type": "update_subscription", "updates": updates, **SUB})
    store = replace(HOLDING, offers=(a_subscription_offer(SEATS),))

    effects = at_the_end(wished, store, zuora={"subscription": a_subscription("S")})

    [new] = created(effects, "subscription_offer")
    assert new.document["data"]["quantity"] == 8
    assert len(changed(effects, "subscription_offer")) == 1


@pytest.mark.parametrize("length", [3, "3", 3.0, "3.0"])
def test_a_cancel_save_is_a_discount_that_ends(length: Any) -> None:
    saving = an_offer(SAVE, discount__limio={"value": "50", "termLength": length, "termType": "months"})
    wished = order({"order_type": "add_offer", "offer": ref(SAVE), **SUB})
    effects = at_the_end(wished, catalog=a_catalog(saving))

    [discount] = created(effects, "subscription_offer")
    data = discount.document["data"]
    assert (data["record_subtype"], data["start"][:10], data["end"]) == ("discount", "2026-12-16", "2027-03-16")


@pytest.mark.parametrize(
    "payload",
    [
        {"order_type": "cancel_subscription", **SUB},
        {"order_type": "refund", "offer": ref(world.GOODWILL), "amount": 5, **SUB},
        {"order_type": "pay_invoice", "invoice": {"id": "{inv}"}, "payment": {"amount": 5}},
        {"order_type": "cancel_intent", **SUB},
    ],
)
def test_what_zuora_alone_changes_leaves_order_and_event(payload: dict[str, Any]) -> None:
    wished = order(payload)

    assert {each.record_type for each in at_submit(wished, HOLDING)} == {"order", "event"}
    assert [each.record_type for each in at_the_end(wished)] == ["order"]


def test_a_renewal_is_noted_until_its_day() -> None:
    wished = order({"order_type": "renew", "orderItems": [{"offer": ref(ANNUAL)}], **SUB})

    effects = at_the_end(wished)

    [new] = created(effects, "subscription_offer")
    assert new.document["data"]["start"][:10] == "2027-03-01"
    [values] = changed(effects, "subscription").values()
    assert values == {"data.pendingRenewalChange": "2027-03-01"}


def test_the_renewal_of_what_has_ended_makes_a_subscription_only_when_zuora_has_it() -> None:
    wished = order({"order_type": "renew", "orderItems": [{"offer": ref(ANNUAL)}], **SUB})
    lapsed = a_subscription(autoRenew=False, termEndDate="2026-11-01", statusHistory=[])

    [subscription] = created(at_the_end(wished, zuora={"subscription": lapsed}), "subscription")

    assert created(at_submit(wished, HOLDING), "subscription") == []
    assert (subscription.document["status"], subscription.document["reference"]) == ("active", NUMBER)


def test_a_new_address_is_another_object() -> None:
    payload = {"order_type": "change_address", "type": "delivery", "address": {"address1": "2 Low Road"}, **SUB}

    [address] = created(at_the_end(order(payload)), "address")

    assert (address.document["relationship_type"], address.document["start"]) == ("delivery", AT)
    assert address.document["data"] == {
        "address1": "2 Low Road",
        "firstName": "Ada",
        "lastName": "Lovelace",
        "email": "ada@example.com",
    }


def test_a_new_card_takes_the_place_of_the_old_one_once_zuora_has_it() -> None:
    wished = order({"order_type": "change_payment", **PAY, **SUB}, payment_method="pm-new")

    assert [each.id for each in created(at_submit(wished, HOLDING), "payment_method")] == ["pm-new"]
    effects = at_the_end(wished)
    assert changed(effects, "payment_method") == {"pm-old": {"status": "inactive"}}
    assert changed(effects, "customer") == {"cus-1": {"data.defaultPaymentMethodId": "pm-new"}}
    assert changed(failed(wished, HOLDING), "payment_method") == {"pm-new": {"status": "inactive"}}


def test_a_default_method_is_one_that_we_know() -> None:
    payload = {"order_type": "change_default_payment", "payment": {"type": "zuora", "zuora": {"refId": "old"}}, **SUB}

    assert changed(at_the_end(order(payload)), "customer") == {"cus-1": {"data.defaultPaymentMethodId": "pm-old"}}


def test_name_and_email_of_the_customer_follow() -> None:
    payload = world.example("E23")["limio_order"]

    assert changed(at_the_end(order(payload)), "customer") == {
        "cus-1": {
            "data.name": "Ada King",
            "data.firstName": "Ada",
            "data.lastName": "King",
            "data.email": "ada.king@example.com",
        }
    }


def test_a_gift_that_is_taken_back_is_cancelled_and_its_code_void() -> None:
    code = {**CODE, "data": {**CODE["data"], "debitMemoNumber": "DM-1"}}  # type: ignore[dict-item] # it is a dict
    store = replace(HOLDING, gift_code=code, offers=(a_subscription_offer(GIFT),))
    memo = {"accountNumber": "A00000007", "amount": 120, "balance": 0, "currency": "GBP"}

    effects = at_the_end(order({"order_type": "gift_refund", **SUB}), store, zuora={"gift_memo": memo})

    assert list(changed(effects, "subscription").values()) == [{"status": "cancelled"}]
    assert changed(effects, "gift_code") == {"gift_code-1": {"status": "void"}}


@pytest.mark.parametrize(
    ("payload", "options", "count"),
    [
        ({**E1, "orderItems": [{"offer": ref(MONTHLY)}, {"offer": ref(ANNUAL)}]}, OPTIONS, 2),
        (
            {**E1, "orderItems": [{"offer": ref(MONTHLY)}, {"offer": ref(ANNUAL)}]},
            replace(OPTIONS, one_subscription_per_order=True),
            1,
        ),
        ({"order_type": "renew", **SUB}, OPTIONS, 1),
        ({"order_type": "cancel_subscription", **SUB}, OPTIONS, 0),
    ],
)
def test_an_order_names_the_subscriptions_that_it_makes(payload: Any, options: Any, count: int) -> None:
    assert wanted_names(order(payload), a_catalog(), options).subscriptions == count


def test_a_gift_and_a_card_are_named_too() -> None:
    gift = {**E1, "orderItems": [{"offer": ref(GIFT)}]}

    assert wanted_names(order(gift), a_catalog(), OPTIONS).gift_code
    assert wanted_names(order(E1), a_catalog(), OPTIONS).payment_method
    assert not wanted_names(order({**E1, "payment": {"type": "invoice"}}), a_catalog(), OPTIONS).payment_method
