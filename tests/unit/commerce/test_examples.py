"""Every worked body is what the product makes of the order that it starts from."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from sync_service.commerce.fields import write_json
from sync_service.commerce.order import Refusal
from sync_service.commerce.outcome import complete
from sync_service.commerce.steps import Plan, Step, StepKind
from tests.unit.commerce import world
from tests.unit.commerce.world import (
    ANNUAL,
    COLLECTING,
    EXTERNAL,
    GIFT,
    GOODWILL,
    MONTHLY,
    NUMBER,
    OPTIONS,
    SEATS,
    a_catalog,
    a_price,
    a_subscription,
    an_offer,
    an_order,
    example,
    hex_of,
    in_store,
    months,
    names,
    ref,
    with_ids,
)

W = {"initiated_source": "shop", "source": "shop", "process_immediately": True}
SUB = {"forSubscription": {"name": NUMBER}}
PAY = {"payment": {"type": "zuora", "zuora": {"refId": "{pm}", "paymentGateway": "CreditCard_UK"}}}
E1 = example("E1")["limio_order"]
LAPSED = a_subscription(status="Active", autoRenew=False, termEndDate="2026-11-01", ratePlans=[], statusHistory=[])


def buy(*, order: Mapping[str, Any] | None = None, reference: str = "232POEEK2ABG", **how: Any) -> Plan | Refusal:
    return world.plan(an_order({**E1, **(order or {})}, names(reference, NUMBER)), **how)


def change(reference: str, order: Mapping[str, Any], **how: Any) -> Plan | Refusal:
    named = names(reference, how.pop("new", "3E2EQEBLLT60"))
    may_refund = how.pop("may_refund", False)
    return world.plan(an_order({**W, **SUB, **order}, named, may_refund=may_refund), **how)


def cheaper(price: str) -> Any:
    return a_catalog(an_offer(ANNUAL, price__limio=a_price(price)))


def e2() -> Plan | Refusal:
    external = an_offer(MONTHLY, price__limio=EXTERNAL, term__limio=months(12))
    return buy(order={"orderDate": "2026-12-15T00:00:00Z"}, catalog=a_catalog(external))


def e3() -> Plan | Refusal:
    options = replace(COLLECTING, one_account_per_owner=True, payment_profiles=True, advanced_payment_manager=True)
    zuora = {"account": world.an_account(defaultPaymentMethodId="another")}
    return buy(options=options, zuora=zuora)


def e4() -> Plan | Refusal:
    items = [{"offer": ref(SEATS), "quantity": 5, "addOns": [ref(world.AUDIO)]}]
    discount = {
        "name": "TEST",
        "productDetails": {"ratePlan": {"path": "Plan D"}, "product": {"path": "/products/D"}},
        "discountOverrides": {
            "discountType": "DiscountPercentage",
            "percentageDiscount": 10,
            "durationLength": 1,
            "durationType": "Months",
        },
    }
    return buy(order={"orderItems": items, "orderDiscount": discount})


def e5() -> Plan | Refusal:
    evergreen = {"renewal_type": "EVERGREEN"}
    offer = an_offer(MONTHLY, price__limio=EXTERNAL, term__limio=evergreen, requires_service_activation__limio=True)
    return buy(catalog=a_catalog(offer), options=COLLECTING)


def e6() -> Plan | Refusal:
    order = {**E1, "isGift": True, "orderItems": [{"offer": ref(GIFT), "quantity": 1}]}
    return world.plan(an_order(order, names("2AG0V1J7K3C0", "3C1EQEBLLT60", gift_code="7QK2M9X4")), options=COLLECTING)


def e7() -> Plan | Refusal:
    order = {
        "order_type": "new",
        **W,
        "isRedeem": True,
        "redeemCode": "7QK2M9X4",
        "orderItems": [{"offer": ref(GIFT), "quantity": 1}],
        "customerDetails": {"firstName": "Grace", "lastName": "Hopper", "email": "grace@example.com"},
        "country": "GB",
    }
    return world.plan(an_order(order, names("2B80V1J7K3C0", "3D5EQEBLLT60")))


def e9() -> Plan | Refusal:
    order = {"order_type": "change_offer", "change_type": "change_offer", "offer": ref(ANNUAL)}
    return change("2C50V1J7K3C0", order, options=COLLECTING)


def e10() -> Plan | Refusal:
    zuora = {
        "subscription": a_subscription(
            orderNumber="O-00000012",
            termEndDate="2027-01-16",
            statusHistory=[
                {"status": "Active", "startDate": "2026-03-01", "endDate": "2027-01-16"},
                {"status": "Cancelled", "startDate": "2027-01-16", "endDate": None},
            ],
        )
    }
    catalog = a_catalog(an_offer(MONTHLY, price__limio=a_price("15.75")))
    return change("2D20V1J7K3C0", {"order_type": "change_offer", "offer": ref(MONTHLY)}, zuora=zuora, catalog=catalog)


def from_file(name: str, reference: str, **how: Any) -> Callable[[], Plan | Refusal]:
    def make() -> Plan | Refusal:
        may_refund = how.pop("may_refund", False)
        order = an_order(example(name)["limio_order"], names(reference), may_refund=may_refund)
        return world.plan(order, **how)

    return make


def e14() -> Plan | Refusal:
    order = {"order_type": "cancel_subscription", "cancelDate": "2026-12-01", "data": {"reason": {"id": "moving"}}}
    return change("2G20V1J7K3C0", order, options=replace(OPTIONS, refund_cancelled=True), may_refund=True)


def e15() -> Plan | Refusal:
    order = {"order_type": "renew", "orderItems": [{"offer": ref(ANNUAL), "quantity": 1}]}
    return change("2H80V1J7K3C0", order, catalog=cheaper("90"), options=COLLECTING)


def e16() -> Plan | Refusal:
    order = {"order_type": "renew", "orderItems": [{"offer": ref(ANNUAL), "quantity": 1}], **PAY}
    return change("2H80V1J7K3C0", order, catalog=cheaper("90"), options=COLLECTING, zuora={"subscription": LAPSED})


def e17() -> Plan | Refusal:
    return change("2J50V1J7K3C0", {"order_type": "refund", "offer": ref(GOODWILL), "amount": 5})


def e18() -> Plan | Refusal:
    held = f"subscription_offer-{hex_of(SEATS['id'])}"
    day = "2026-12-01"
    updates = [
        {"type": "remove", "record_type": "offer", "id": held, "quantity": 5, "effective_date": day},
        {"type": "add", "record_type": "offer", **ref(SEATS), "quantity": 8, "effective_date": day},
    ]
    order = {"order_type": "update_subscription", "updates": updates}
    return change("2K20V1J7K3C0", order, store=in_store(SEATS), zuora={"subscription": a_subscription("S")})


def paying(**options: Any) -> Callable[[], Plan | Refusal]:
    def make() -> Plan | Refusal:
        return change("2L00V1J7K3C0", {"order_type": "change_payment", **PAY}, options=replace(OPTIONS, **options))

    return make


def e21() -> Plan | Refusal:
    order = {"order_type": "change_default_payment", "payment": {"type": "zuora", "zuora": {"refId": "{pm}"}}}
    return change("2L10V1J7K3C0", order, options=replace(OPTIONS, disable_auto_pay=True))


def e24() -> Plan | Refusal:
    order = {
        "order_type": "credit_memo",
        "offer": ref(GOODWILL),
        "amount": 12,
        "data": {"reason": {"id": "Service outage"}},
    }
    return change("2M50V1J7K3C0", order)


#: The example, what makes it, and which of the plan's steps it is.
CASES: list[tuple[str, Callable[[], Plan | Refusal], int]] = [
    ("E1", lambda: buy(options=COLLECTING), 0),
    ("E2", e2, 0),
    ("E3", e3, 1),
    ("E4", e4, 0),
    ("E5", e5, 0),
    ("E6a", e6, 0),
    ("E6b", e6, 1),
    ("E6c", e6, 2),
    ("E7", e7, 0),
    ("E8", from_file("E8", "2C50V1J7K3C0", options=COLLECTING), 0),
    ("E9", e9, 0),
    ("E10", e10, 1),
    ("E11", from_file("E11", "2E80V1J7K3C0"), 0),
    ("E12", from_file("E12", "2F50V1J7K3C0"), 0),
    ("E13", from_file("E13", "2G20V1J7K3C0"), 0),
    ("E14a", e14, 0),
    ("E14b", e14, 1),
    ("E15", e15, 0),
    ("E16", e16, 0),
    ("E17a", e17, 0),
    ("E17b", e17, 1),
    ("E18", e18, 0),
    ("E19a", from_file("E19a", "2L20V1J7K3C0"), 0),
    ("E19b", from_file("E19a", "2L20V1J7K3C0"), 1),
    ("E20a", paying(), 0),
    ("E20b", paying(), 1),
    ("E20c", paying(payment_profiles=True), 1),
    ("E20d", paying(advanced_payment_manager=True), 1),
    ("E21", e21, 0),
    ("E22", from_file("E22", "2L80V1J7K3C0"), 0),
    ("E23", from_file("E23", "2L90V1J7K3C0"), 0),
    ("E24", e24, 0),
]
#: What Zuora answered to the steps before.
ANSWERS: dict[str, Mapping[str, Any]] = {
    "preview": {"success": True, "previewResult": {"invoices": [{"amount": -8.47}]}},
    "delivery_contact": {"success": True, "id": hex_of("contact")},
}


def checked(made: Plan | Refusal) -> Plan:
    assert isinstance(made, Plan), made
    return made


def sent(made: Plan | Refusal, index: int) -> Step:
    """The step as it goes to Zuora."""
    step = complete(checked(made).steps[index], ANSWERS)
    assert step is not None
    return step


def test_every_worked_body_has_its_case() -> None:
    assert [name for name, _, _ in CASES] == [each["id"] for each in world.EXAMPLES]


@pytest.mark.parametrize(("name", "make", "index"), CASES, ids=[name for name, _, _ in CASES])
def test_the_body_is_the_worked_one(name: str, make: Callable[[], Plan | Refusal], index: int) -> None:
    wanted = example(name)

    step = sent(make(), index)

    assert json.loads(write_json(step.body)) == with_ids(wanted["body"])
    assert step.method == wanted["method"]
    assert re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", wanted["path"]), step.path)


def test_a_reactivation_deletes_the_cancellation_first_and_can_put_it_back() -> None:
    deletion, change_ = checked(e10()).steps

    assert (deletion.method, deletion.path) == ("DELETE", "/v1/orders/O-00000012")
    assert change_.undo is None
    undo = deletion.undo
    assert undo is not None
    assert undo.body is not None
    assert undo.kind is StepKind.UNDO
    assert undo.body["orderNumber"] == "2D20V1J7K3C0-C"
    [action] = undo.body["subscriptions"][0]["orderActions"]
    assert action["cancelSubscription"]["cancellationEffectiveDate"] == "2027-01-16"


def test_the_card_of_a_hosted_page_is_given_to_the_account_before_the_order_uses_it() -> None:
    associate, order = checked(e3()).steps

    assert (associate.method, associate.path) == ("PUT", f"/v1/payment-methods/{hex_of('pm')}")
    assert associate.body == {"accountKey": "A00000007"}
    assert order.name == "order"


def test_the_renewal_of_a_gift_begins_at_its_end_and_is_not_billed_today() -> None:
    store = in_store()
    data = {**(store.subscription or {})["data"], "attributes": {"gift": True}}
    gift = replace(store, subscription={**(store.subscription or {}), "data": data})
    order = {"order_type": "renew", "orderItems": [{"offer": ref(ANNUAL), "quantity": 1}], **PAY}

    [step] = checked(change("2H80V1J7K3C0", order, store=gift, options=COLLECTING)).steps

    assert step.body is not None
    assert step.body["processingOptions"] == {"runBilling": False, "collectPayment": False}
    [action] = step.body["subscriptions"][0]["orderActions"]
    assert {each["triggerDate"] for each in action["triggerDates"]} == {"2027-03-01"}


def test_an_owner_whose_account_has_another_currency_gets_a_new_one() -> None:
    options = replace(COLLECTING, one_account_per_owner=True)

    [step] = checked(buy(options=options, zuora={"account": world.an_account(currency="EUR")})).steps

    assert json.loads(write_json(step.body)) == with_ids(example("E1")["body"])
