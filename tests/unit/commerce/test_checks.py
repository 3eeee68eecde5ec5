"""What our own store says against an order, before it is accepted."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from sync_service.commerce.case import Case
from sync_service.commerce.catalog import Catalog
from sync_service.commerce.checks import check
from sync_service.commerce.order import Problem, ProblemCode
from sync_service.commerce.state import InStore, State
from tests.unit.commerce.world import (
    ANNUAL,
    AUDIO,
    AUDIO_HELD,
    EXAMPLES,
    GIFT,
    GOODWILL,
    MONTHLY,
    NUMBER,
    OPTIONS,
    SAVE,
    SEATS,
    TODAY,
    a_catalog,
    a_plan,
    a_price,
    a_subscription_offer,
    an_offer,
    an_order,
    in_store,
    names,
    ref,
)

E1 = EXAMPLES[0]["limio_order"]
SUB = {"forSubscription": {"name": NUMBER}}
SWITCH = {"order_type": "change_offer", "offer": ref(ANNUAL), **SUB}
REDEMPTION = {
    "order_type": "new",
    "isRedeem": True,
    "redeemCode": "7QK2M9X4",
    "orderItems": [{"offer": ref(GIFT)}],
    "customerDetails": {"firstName": "Grace", "lastName": "Hopper"},
    "country": "GB",
}
NOWHERE = InStore()


def problems(
    payload: dict[str, Any], store: InStore | None = None, catalog: Catalog | None = None, today: date = TODAY
) -> tuple[Problem, ...]:
    """All that is wrong."""
    case = Case(
        order=an_order(payload, names("2C50V1J7K3C0", "3C1EQEBLLT60")),
        state=State(store=in_store() if store is None else store),
        catalog=catalog or a_catalog(),
        options=OPTIONS,
        today=today,
    )
    return check(case)


def found(
    payload: dict[str, Any], store: InStore | None = None, catalog: Catalog | None = None
) -> set[tuple[str, str]]:
    """The fields and codes of what is wrong."""
    return {(problem.field, problem.code) for problem in problems(payload, store, catalog)}


def with_subscription(**values: Any) -> InStore:
    store = in_store()
    return replace(store, subscription={**(store.subscription or {}), **values})


def a_code(status: str = "free", **data: Any) -> dict[str, Any]:
    return {"id": "gift_code-1", "record_type": "gift_code", "status": status, "data": {"code": "7QK2M9X4", **data}}


@pytest.mark.parametrize(
    ("payload", "store"),
    [
        (E1, NOWHERE),
        (SWITCH, None),
        ({"order_type": "cancel_subscription", "cancelDate": "2026-12-16", **SUB}, None),
        ({"order_type": "add_offer", "offer": ref(SAVE), **SUB}, None),
        ({"order_type": "refund", "offer": ref(GOODWILL), "amount": 17.5, **SUB}, None),
        (REDEMPTION, InStore(gift_code=a_code())),
        ({"order_type": "gift_refund", **SUB}, replace(in_store(), gift_code=a_code())),
    ],
)
def test_a_good_order_has_nothing_against_it(payload: dict[str, Any], store: InStore | None) -> None:
    assert found(payload, store) == set()


def test_an_unknown_version_of_an_offer_is_unknown() -> None:
    items = [{"offer": {"id": MONTHLY["id"], "version": "0" * 40}, "addOns": [{"id": "x", "version": "y"}]}]

    assert found({**E1, "orderItems": items}, NOWHERE) == {
        ("orderItems[0].offer", ProblemCode.UNKNOWN),
        ("orderItems[0].addOns[0]", ProblemCode.UNKNOWN),
    }


def test_what_is_no_longer_published_is_not_sold() -> None:
    archived = an_offer({**MONTHLY, "status": "archived"})

    assert found(E1, NOWHERE, a_catalog(archived)) == {("orderItems[0].offer", ProblemCode.UNKNOWN)}


@pytest.mark.parametrize(
    ("countries", "delivery", "refused"),
    [
        ([], None, False),
        (["GB", "FR"], None, False),
        (["FR"], None, True),
        (["FR"], {"firstName": "A", "lastName": "B", "country": "FR"}, False),
        ([{"id": "gb", "label": "United Kingdom"}], None, False),
        (["FR"], {"firstName": "A", "lastName": "B", "country": "France"}, False),
        (["France"], {"firstName": "A", "lastName": "B", "country": "fr"}, False),
    ],
)
def test_an_offer_is_sold_where_it_is_delivered_else_billed(countries: Any, delivery: Any, refused: bool) -> None:
    offer = an_offer(MONTHLY, allowed_countries__limio=countries)
    payload = {**E1, **({"deliveryDetails": delivery} if delivery else {})}

    assert bool(found(payload, NOWHERE, a_catalog(offer))) is refused


@pytest.mark.parametrize(
    ("quantity", "limits", "refused"),
    [
        (7, {}, False),
        (4, {"minimum_quantity": 5, "maximum_quantity": 20, "increment": 5}, True),
        (5, {"minimum_quantity": 5, "maximum_quantity": 20, "increment": 5}, False),
        (12, {"minimum_quantity": 5, "maximum_quantity": 20, "increment": 5}, True),
        (25, {"minimum_quantity": "5", "maximum_quantity": "20"}, True),
        (1000, {"minimum_quantity": 5}, False),
    ],
)
def test_a_quantity_is_a_minimum_and_steps_up_to_a_maximum(quantity: int, limits: Any, refused: bool) -> None:
    offer = an_offer(SEATS, default_quantity_options__limio=limits)
    payload = {**E1, "orderItems": [{"offer": ref(SEATS), "quantity": quantity}]}

    assert found(payload, NOWHERE, a_catalog(offer)) == (
        {("orderItems[0].quantity", ProblemCode.INVALID)} if refused else set()
    )


def test_only_what_counts_units_is_sold_in_a_quantity() -> None:
    five = {"offer": ref(MONTHLY), "quantity": 5}
    update = {"type": "add", "record_type": "add_on", **ref(AUDIO), "quantity": 2}

    assert found({**E1, "orderItems": [five]}, NOWHERE) == {("orderItems[0].quantity", ProblemCode.INVALID)}
    assert found({**SWITCH, "quantity": 5}) == {("quantity", ProblemCode.INVALID)}
    assert found({"order_type": "update_subscription", "updates": [update], **SUB}) == {
        ("updates[0].quantity", ProblemCode.INVALID)
    }


def test_a_quantity_says_nothing_of_a_discount_a_gift_and_a_plan_that_is_not_known_yet() -> None:
    save = {"order_type": "add_offer", "offer": ref(SAVE), "quantity": 2, **SUB}
    gifts = {**E1, "isGift": True, "orderItems": [{"offer": ref(GIFT), "quantity": 3}]}
    five = {**E1, "orderItems": [{"offer": ref(MONTHLY), "quantity": 5}]}

    assert found(save) == found(gifts, NOWHERE) == set()
    assert found(five, NOWHERE, replace(a_catalog(), rate_plans={})) == set()


@pytest.mark.parametrize(
    ("payload", "refused"),
    [
        ({**E1, "customerDetails": {"company": "Engines Ltd"}}, True),
        ({**E1, "customerDetails": {"company": "Engines Ltd", "firstName": "Ada", "lastName": "Lovelace"}}, False),
        ({**REDEMPTION, "customerDetails": {"company": "Engines Ltd"}}, True),
    ],
)
def test_a_new_account_needs_a_persons_name_also_a_companys(payload: dict[str, Any], refused: bool) -> None:
    payload = {**payload, "billingDetails": {"city": "London", "country": "GB"}}

    assert found(payload, InStore(gift_code=a_code())) == (
        {("customerDetails", ProblemCode.MISSING)} if refused else set()
    )


def test_the_account_that_an_owner_has_needs_no_name_again() -> None:
    payload = {**E1, "customerDetails": {"company": "Engines Ltd"}, "billingDetails": {"country": "GB"}}
    case = Case(
        order=an_order(payload, names("2C50V1J7K3C0", "3C1EQEBLLT60")),
        state=State(store=InStore(account_number="A00000007")),
        catalog=a_catalog(),
        options=replace(OPTIONS, one_account_per_owner=True),
        today=TODAY,
    )

    assert check(case) == ()


def test_a_payment_type_that_the_offer_does_not_take_is_refused() -> None:
    offer = an_offer(MONTHLY, payment_types__limio=["zuora_card", "invoice"])
    paypal = {**E1, "payment": {**E1["payment"], "paymentType": "zuora_paypal"}}

    assert found(paypal, NOWHERE, a_catalog(offer)) == {("payment.paymentType", ProblemCode.INVALID)}
    assert found(E1, NOWHERE, a_catalog(offer)) == set()


def test_an_unknown_subscription_is_unknown() -> None:
    assert ("forSubscription", ProblemCode.UNKNOWN) in found(SWITCH, NOWHERE)


@pytest.mark.parametrize("kind", ["cancel_subscription", "change_offer", "renew", "refund", "credit_memo"])
def test_an_imported_subscription_takes_no_commerce_order(kind: str) -> None:
    store = with_subscription(data={"attributes": {"external": True}})
    payload = {"order_type": kind, "offer": ref(GOODWILL), "amount": 5, **SUB}

    assert ("forSubscription", ProblemCode.NOT_ALLOWED) in found(payload, store)


def test_what_cannot_be_switched_to_is_refused() -> None:
    dollars = a_catalog(an_offer(ANNUAL, price__limio=a_price("100", "USD")))

    assert found({**SWITCH, "offer": ref(SAVE)}) == {("offer", ProblemCode.INVALID)}
    assert found(SWITCH, catalog=dollars) == {("offer", ProblemCode.NOT_ALLOWED)}
    assert found(SWITCH, with_subscription(status="cancelled")) == {("forSubscription", ProblemCode.NOT_ALLOWED)}


def test_a_subscription_whose_change_is_to_come_is_locked_until_then() -> None:
    waiting = replace(
        in_store(),
        offers=(
            a_subscription_offer(MONTHLY, end="2026-12-16"),
            a_subscription_offer(ANNUAL, start="2026-12-16T00:00:00.000Z"),
        ),
    )

    assert found(SWITCH, waiting) == {("forSubscription", ProblemCode.PENDING_CHANGE)}
    assert [each.message for each in problems(SWITCH, waiting)] == [
        "A change of this subscription takes effect on 2026-12-16; it can be changed again from then on."
    ]
    assert problems(SWITCH, waiting, today=date(2026, 12, 16)) == ()
    assert found({"order_type": "cancel_subscription", **SUB}, waiting) == set()


@pytest.mark.parametrize(
    "payload",
    [
        {"order_type": "add_offer", "offer": ref(SAVE), **SUB},
        {
            "order_type": "update_subscription",
            "updates": [{"type": "add", "record_type": "add_on", **ref(AUDIO)}],
            **SUB,
        },
    ],
)
def test_a_cancellation_to_come_stands_against_all_that_does_not_take_it_back(payload: dict[str, Any]) -> None:
    cancelled = replace(in_store(), cancelled_on=date(2027, 3, 1))

    assert [(each.field, each.code, each.message) for each in problems(payload, cancelled)] == [
        (
            "forSubscription",
            ProblemCode.PENDING_CHANGE,
            "The subscription is cancelled from 2027-03-01 on: a change_offer order takes that back.",
        )
    ]
    assert problems(SWITCH, cancelled) == problems({"order_type": "cancel_subscription", **SUB}, cancelled) == ()
    assert problems(payload, cancelled, today=date(2027, 3, 1)) == ()


def test_an_offer_is_replaced_and_not_only_removed() -> None:
    removal = {"type": "remove", "record_type": "offer", "id": MONTHLY["id"]}
    addition = {"type": "add", "record_type": "offer", **ref(ANNUAL)}
    update = {"order_type": "update_subscription", **SUB}

    assert found({**update, "updates": [removal]}) == {("updates", ProblemCode.NOT_ALLOWED)}
    assert found({**update, "updates": [removal, addition]}) == set()


def test_a_discount_to_come_locks_nothing() -> None:
    discounted = replace(
        in_store(),
        offers=(
            a_subscription_offer(MONTHLY),
            a_subscription_offer(SAVE, start="2026-12-16T00:00:00.000Z", record_subtype="discount"),
        ),
    )

    assert found(SWITCH, discounted) == set()


def test_a_renewal_to_come_locks_too() -> None:
    data = {**(in_store().subscription or {})["data"], "pendingRenewalChange": "2027-03-01"}

    assert found(SWITCH, with_subscription(data=data)) == {("forSubscription", ProblemCode.PENDING_CHANGE)}


@pytest.mark.parametrize(("amount", "refused"), [(17.5, False), (17.51, True)])
def test_no_more_is_refunded_than_the_active_offer_costs(amount: float, refused: bool) -> None:
    store = replace(in_store(), offers=(a_subscription_offer(MONTHLY, price={"amount": 17.5, "currency": "GBP"}),))
    payload = {"order_type": "refund", "offer": ref(GOODWILL), "amount": amount, **SUB}

    assert found(payload, store) == ({("amount", ProblemCode.INVALID)} if refused else set())


def test_a_credit_memo_is_of_one_or_more_and_not_for_what_never_began() -> None:
    memo = {"order_type": "credit_memo", "offer": ref(GOODWILL), **SUB}

    assert found({**memo, "amount": 0.5}) == {("amount", ProblemCode.INVALID)}
    assert found({**memo, "amount": 5}, with_subscription(status="initial")) == {
        ("forSubscription", ProblemCode.NOT_ALLOWED)
    }
    assert found({**memo, "amount": 5}, with_subscription(status="cancelled")) == set()


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (None, ("redeemCode", ProblemCode.UNKNOWN)),
        (a_code("redeemed"), ("redeemCode", ProblemCode.NOT_ALLOWED)),
        (a_code("reserved"), ("redeemCode", ProblemCode.NOT_ALLOWED)),
        (a_code("void"), ("redeemCode", ProblemCode.NOT_ALLOWED)),
        (a_code(expires="2026-11-30"), ("redeemCode", ProblemCode.NOT_ALLOWED)),
        (a_code(disallowed_countries=["GB"]), ("country", ProblemCode.NOT_ALLOWED)),
        (a_code(offer={"id": MONTHLY["id"]}), ("orderItems[0].offer", ProblemCode.INVALID)),
    ],
)
def test_a_gift_code_must_be_there_and_be_good(code: Any, problem: tuple[str, str]) -> None:
    assert found(REDEMPTION, InStore(gift_code=code)) == {problem}


def test_a_gift_code_is_not_redeemed_in_a_disallowed_country_that_is_called_by_its_name() -> None:
    payload = {**REDEMPTION, "country": "United Kingdom"}

    assert found(payload, InStore(gift_code=a_code(disallowed_countries=["GB"]))) == {
        ("country", ProblemCode.NOT_ALLOWED)
    }


def test_a_gift_takes_no_code_that_another_gift_has() -> None:
    gift = {**E1, "orderItems": [{"offer": ref(GIFT)}], "isGift": True, "giftCode": "7QK2M9X4"}

    assert found(gift, NOWHERE) == set()
    assert found(gift, InStore(gift_code=a_code("redeemed"))) == {("giftCode", ProblemCode.INVALID)}


def test_a_gift_is_refunded_only_while_its_code_is_free() -> None:
    refund = {"order_type": "gift_refund", **SUB}

    assert found(refund, replace(in_store(), gift_code=a_code("redeemed"))) == {
        ("subscriptionId", ProblemCode.NOT_ALLOWED)
    }
    assert found(refund, replace(in_store(), gift_code=a_code("void"))) == {("subscriptionId", ProblemCode.NOT_ALLOWED)}
    assert found(refund) == {("subscriptionId", ProblemCode.UNKNOWN)}


@pytest.mark.parametrize(
    ("quantity", "also", "refused"),
    [(2, [], True), (5, [], False), (None, [], False), (5, [3], False), (2, [3], False)],
)
def test_an_add_on_is_removed_whole_or_comes_back_in_another_quantity(
    quantity: int | None, also: list[int], refused: bool
) -> None:
    held = {**AUDIO_HELD, "data": {**AUDIO_HELD["data"], "quantity": 5}}
    number = {} if quantity is None else {"quantity": quantity}
    removal = {"type": "remove", "record_type": "add_on", "id": held["id"], **number}
    added = [{"type": "add", "record_type": "add_on", **ref(AUDIO), "quantity": each} for each in also]
    payload = {"order_type": "update_subscription", **SUB, "updates": [removal, *added]}

    counted = replace(a_catalog(), rate_plans={"product-U": (a_plan("U", "PerUnit"),)})

    assert found(payload, in_store(add_ons=(held,)), counted) == (
        {("updates[0].quantity", ProblemCode.NOT_ALLOWED)} if refused else set()
    )


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({**E1, "orderItems": [{"offer": ref(AUDIO)}]}, "orderItems[0].offer"),
        ({**E1, "orderItems": [{"offer": ref(MONTHLY), "addOns": [ref(ANNUAL)]}]}, "orderItems[0].addOns[0]"),
        ({**SWITCH, "offer": ref(AUDIO)}, "offer"),
        (
            {
                "order_type": "update_subscription",
                **SUB,
                "updates": [{"type": "add", "record_type": "add_on", **ref(ANNUAL)}],
            },
            "updates[0].id",
        ),
    ],
)
def test_an_add_on_takes_no_offers_place_and_no_offer_an_add_ons(payload: dict[str, Any], field: str) -> None:
    store = NOWHERE if payload["order_type"] == "new" else in_store()

    assert found(payload, store) == {(field, ProblemCode.INVALID)}


@pytest.mark.parametrize(
    ("currency", "amount", "refused"),
    [("GBP", 5.01, False), ("GBP", 5.001, True), ("JPY", 5.5, True), ("JPY", 5, False)],
)
@pytest.mark.parametrize("order_type", ["refund", "credit_memo"])
def test_an_amount_has_no_more_decimals_than_the_currency(
    order_type: str, currency: str, amount: float, refused: bool
) -> None:
    subscription = dict(in_store().subscription or {})
    price = {"data": {"price": {"amount": 900, "currency": currency}}}
    store = replace(in_store(), subscription=subscription | price)
    payload = {"order_type": order_type, "offer": ref(GOODWILL), "amount": amount, **SUB}

    assert found(payload, store) == ({("amount", ProblemCode.INVALID)} if refused else set())


def test_an_add_on_of_another_currency_is_refused() -> None:
    dollars = a_catalog(an_offer(AUDIO, price__limio=a_price("3", "USD")))
    updates = [{"type": "add", "record_type": "add_on", **ref(AUDIO)}]

    assert found({"order_type": "update_subscription", "updates": updates, **SUB}, catalog=dollars) == {
        ("updates[0].id", ProblemCode.NOT_ALLOWED)
    }


def test_everything_that_is_wrong_is_said_at_once() -> None:
    offer = an_offer(MONTHLY, allowed_countries__limio=["FR"], default_quantity_options__limio={"maximum_quantity": 1})
    payload = {**E1, "orderItems": [{"offer": ref(MONTHLY), "quantity": 2}, {"offer": {"id": "x"}}]}

    assert found(payload, NOWHERE, a_catalog(offer)) == {
        ("orderItems[0].offer", ProblemCode.NOT_ALLOWED),
        ("orderItems[0].quantity", ProblemCode.INVALID),
        ("orderItems[1].offer", ProblemCode.UNKNOWN),
    }
