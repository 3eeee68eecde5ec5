"""The tenant that the worked examples start from: Ada's subscription 39IEQEBLLT60 on account A00000007.

Rate plans: M Digital monthly (list 12 GBP), A annual, S seats per unit, U the add-on Audio, D a discount of 0 %,
G a gift for a year, C a goodwill one-off.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from hashlib import md5
from typing import Any
from zoneinfo import ZoneInfo

from sync_service.commerce import state as placing
from sync_service.commerce.catalog import Catalog, Offer, ProductCharge, RatePlan, read_offer
from sync_service.commerce.journeys import journeys
from sync_service.commerce.order import CatalogRef, Names, NewSubscription, Order, Refusal
from sync_service.commerce.payload import read_order
from sync_service.commerce.state import InStore, Options, State, missing
from sync_service.commerce.steps import Plan
from sync_service.zuora.payloads import read_subscription
from tests.order_bodies.bodies import BODIES

TODAY = date(2026, 12, 1)
LONDON = ZoneInfo("Europe/London")
NUMBER = "39IEQEBLLT60"
EXAMPLES: list[dict[str, Any]] = json.loads(BODIES.read_text(encoding="utf-8"))["examples"]

#: Every custom field that Limio recommends, the one on rate plans left out.
FIELDS = frozenset(
    {
        "Order.Source__c",
        "Order.InitiatedSource__c",
        "Subscription.CancellationReason__c",
        "DebitMemo.GiftCode__c",
    }
)
OPTIONS = Options(zone=LONDON, custom_fields=FIELDS)
COLLECTING = replace(OPTIONS, collect_payment=True)


def hex_of(word: str) -> str:
    """The id that `{word}` stands for."""
    return md5(word.encode(), usedforsecurity=False).hexdigest()


def with_ids(value: Any) -> Any:
    """`value` with an id in place of every `{word}`."""
    if isinstance(value, Mapping):
        return {key: with_ids(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [with_ids(each) for each in value]
    if isinstance(value, str) and value.startswith("{") and value.endswith("}"):
        return hex_of(value[1:-1])
    return value


def example(name: str) -> dict[str, Any]:
    """One of the worked examples."""
    return next(each for each in EXAMPLES if each["id"] == name)


def a_plan(letter: str, model: str, kind: str = "Recurring", *, list_price: str | None = None) -> RatePlan:
    prices = {"GBP": Decimal(list_price)} if list_price else {}
    charge = ProductCharge(id=hex_of(f"ch{letter}"), name=f"Charge {letter}", type=kind, model=model, prices=prices)
    return RatePlan(
        id=hex_of(f"rp{letter}"),
        product_id=f"product-{letter}",
        name=f"Plan {letter}",
        number=f"PRP-{letter}",
        charges=(charge,),
    )


PLANS = (
    a_plan("M", "FlatFee", list_price="12"),
    a_plan("A", "FlatFee"),
    a_plan("S", "PerUnit"),
    a_plan("U", "FlatFee"),
    a_plan("D", "DiscountPercentage"),
    a_plan("G", "FlatFee"),
    a_plan("C", "FlatFee", "OneTime"),
)


def months(length: int) -> dict[str, Any]:
    return {"renewal_type": "TERMED", "renewal_trigger": "EXTERNAL", "length": length, "type": "months"}


YEAR = {"renewal_type": "TERMED", "renewal_trigger": "EXTERNAL", "length": 1, "type": "years"}


def a_price(value: str, currency: str = "GBP", kind: str = "recurring") -> list[dict[str, Any]]:
    return [{"name": "charge_1", "label": "Charge 1", "type": kind, "value": value, "currencyCode": currency}]


EXTERNAL = [{"use_external_price": True, "currencyCode": "GBP"}]


def an_offer_document(digit: str, letter: str, record_type: str = "offer", **attributes: Any) -> dict[str, Any]:
    """An offer or add-on whose id and version consist of one digit, sold by the plan of `letter`."""
    return {
        "id": digit * 40,
        "version": digit * 40,
        "path": f"/offers2/{letter}",
        "name": f"Offer {letter}",
        "record_type": record_type,
        "status": "published",
        "data": {
            "attributes": attributes,
            "productBundles": [
                {"product_path": f"/products/{letter}", "rate_plan": f"Plan {letter}", "revenue_split": "100"}
            ],
        },
    }


MONTHLY = an_offer_document("1", "M", price__limio=a_price("17.50"), term__limio=months(1), autoRenew__limio=True)
ANNUAL = an_offer_document("2", "A", price__limio=a_price("100.00"), term__limio=YEAR, autoRenew__limio=True)
AUDIO = an_offer_document("3", "U", "add_on", price__limio=a_price("3.00"))
SAVE = an_offer_document(
    "4", "D", discount__limio={"value": "50", "termLength": 3, "termType": "months"}, price__limio=[]
)
SEATS = an_offer_document("5", "S", price__limio=a_price("15", "USD"), term__limio=months(12), autoRenew__limio=True)
GIFT = an_offer_document(
    "6", "G", price__limio=a_price("120"), term__limio=YEAR, is_gift__limio=True, autoRenew__limio=True
)
GOODWILL = an_offer_document("7", "C", price__limio=a_price("0", kind="onetime"))


def an_offer(document: Mapping[str, Any], **attributes: Any) -> Offer:
    data = document["data"]
    return read_offer({**document, "data": {**data, "attributes": {**data["attributes"], **attributes}}})


def a_catalog(*offers: Offer) -> Catalog:
    """The tenant's catalog, where `offers` take the place of those of the same id."""
    every = [read_offer(each) for each in (MONTHLY, ANNUAL, AUDIO, SAVE, SEATS, GIFT, GOODWILL)]
    return Catalog(
        items={offer.ref: offer for offer in (*every, *offers)},
        products={f"/products/{plan.name[-1]}": plan.product_id for plan in PLANS},
        rate_plans={plan.product_id: (plan,) for plan in PLANS},
    )


def ref(document: Mapping[str, Any]) -> dict[str, str]:
    """How an order names an offer."""
    return {"id": document["id"], "version": document["version"]}


def names(reference: str, *numbers: str, gift_code: str | None = None) -> Names:
    subscriptions = tuple(
        NewSubscription(id=f"sub-{hex_of(number)}", reference=number, item_id=hex_of(number)) for number in numbers
    )
    return Names(
        order_id=f"order-{hex_of(reference)}",
        reference=reference,
        owner=f"id-{hex_of(reference)}",
        customer=f"cus-{hex_of(reference)}",
        subscriptions=subscriptions,
        gift_code=gift_code,
    )


def a_charge(letter: str, number: str, **values: Any) -> dict[str, Any]:
    return {
        "number": number,
        "productRatePlanChargeId": hex_of(f"ch{letter}"),
        "type": "Recurring",
        "model": "FlatFee",
        "quantity": 1,
        "effectiveStartDate": "2026-03-01",
        "effectiveEndDate": "2027-03-01",
        "chargedThroughDate": "2026-12-16",
        **values,
    }


def a_rate_plan(letter: str, number: str, charge: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "subscriptionRatePlanNumber": number,
        "productRatePlanId": hex_of(f"rp{letter}"),
        "ratePlanName": f"Plan {letter}",
        "ratePlanCharges": [charge],
    }


def a_subscription(base: str = "M", **values: Any) -> dict[str, Any]:
    """39IEQEBLLT60 as Zuora answers it: base plan SRP-00000001, Audio SRP-00000002, a term until 2027-03-01."""
    charge = a_charge(base, "C-00000001", **({"model": "PerUnit", "quantity": 5} if base == "S" else {}))
    return {
        "success": True,
        "id": hex_of("subV"),
        "subscriptionNumber": NUMBER,
        "version": 1,
        "accountNumber": "A00000007",
        "invoiceOwnerAccountNumber": "A00000007",
        "status": "Active",
        "termType": "TERMED",
        "subscriptionStartDate": "2026-03-01",
        "termStartDate": "2026-03-01",
        "termEndDate": "2027-03-01",
        "autoRenew": True,
        "renewalTerm": 12,
        "currency": "GBP",
        "orderNumber": "O-00000011",
        "statusHistory": [
            {"status": "Active", "startDate": "2026-03-01", "endDate": "2027-03-01"},
            {"status": "OutOfTerm", "startDate": "2027-03-01", "endDate": None},
        ],
        "ratePlans": [
            a_rate_plan(base, "SRP-00000001", charge),
            a_rate_plan("U", "SRP-00000002", a_charge("U", "C-00000002")),
        ],
        **values,
    }


ADA = {
    "id": hex_of("ada"),
    "firstName": "Ada",
    "lastName": "Lovelace",
    "address1": "1 High Street",
    "city": "London",
    "zipCode": "SE1 3ER",
    "country": "United Kingdom",
    "personalEmail": "ada@example.com",
}


def an_account(**billing: Any) -> dict[str, Any]:
    return {
        "success": True,
        "basicInfo": {"id": hex_of("account"), "accountNumber": "A00000007", "name": "Ada Lovelace"},
        "billingAndPayment": {"currency": "GBP", "defaultPaymentMethodId": hex_of("pm"), **billing},
        "billToContact": ADA,
        "soldToContact": ADA,
    }


GATEWAYS = {"success": True, "paymentgateways": [{"id": hex_of("gw"), "name": "CreditCard_UK", "isActive": True}]}
INVOICE = {"id": hex_of("inv"), "accountId": hex_of("account"), "status": "Posted", "balance": 17.5, "currency": "GBP"}
CANCEL_ORDER = {
    "orderNumber": "O-00000012",
    "status": "Completed",
    "subscriptions": [
        {
            "subscriptionNumber": NUMBER,
            "orderActions": [
                {
                    "type": "CancelSubscription",
                    "cancelSubscription": {
                        "cancellationPolicy": "SpecificDate",
                        "cancellationEffectiveDate": "2027-01-16",
                    },
                }
            ],
        }
    ],
}


def a_subscription_offer(document: Mapping[str, Any], **data: Any) -> dict[str, Any]:
    return {
        "id": f"subscription_offer-{hex_of(document['id'])}",
        "record_type": "subscription_offer",
        "status": "active",
        "data": {"offer": document, "start": "2026-03-01T00:00:00.000Z", "quantity": 1, **data},
    }


AUDIO_HELD = {
    "id": "add_on-00000000000000000000000000000000",
    "record_type": "add_on",
    "status": "active",
    "data": {"add_on": AUDIO, "start": "2026-03-01T00:00:00.000Z"},
}


def in_store(base: Mapping[str, Any] = MONTHLY, **values: Any) -> InStore:
    """What our store holds of 39IEQEBLLT60."""
    subscription = {
        "id": "sub-00000000000000000000000000000000",
        "record_type": "subscription",
        "reference": NUMBER,
        "status": "active",
        "owner": "id-00000000000000000000000000000000",
        "data": {"attributes": {"external": False, "gift": False}, "price": {"amount": 17.5, "currency": "GBP"}},
    }
    given: dict[str, Any] = {
        "subscription": subscription,
        "offers": (a_subscription_offer(base),),
        "add_ons": (AUDIO_HELD,),
        "account_number": "A00000007",
    }
    return InStore(**{**given, **values})


#: What Zuora answers to each read; a test that needs another one says so.
ZUORA: dict[str, Mapping[str, Any] | None] = {
    placing.SUBSCRIPTION: a_subscription(),
    placing.ACCOUNT: an_account(),
    placing.GATEWAYS: GATEWAYS,
    placing.INVOICE: INVOICE,
    placing.ORDERS: {"success": True, "orders": [CANCEL_ORDER]},
}


def an_order(payload: Mapping[str, Any], named: Names, **values: Any) -> Order:
    """The payload read, and named."""
    order = read_order(with_ids(dict(payload)), LONDON)
    assert isinstance(order, Order), order
    return replace(order, names=named, **values)


def a_state(store: InStore, answers: Mapping[str, Mapping[str, Any] | None]) -> State:
    """What an order meets once these were answered."""
    subscription = answers.get(placing.SUBSCRIPTION)
    return State(
        store=store, zuora=answers, subscription=read_subscription(subscription) if subscription is not None else None
    )


def plan(
    order: Order,
    *,
    store: InStore | None = None,
    zuora: Mapping[str, Mapping[str, Any] | None] | None = None,
    catalog: Catalog | None = None,
    options: Options = OPTIONS,
    today: date = TODAY,
) -> Plan | Refusal:
    """What `journeys` says once everything that it misses was read."""
    answers = {**ZUORA, **(zuora or {})}
    state = State(store=in_store() if store is None else store)
    for _ in range(placing.MAX_ROUNDS):
        wanted = missing(order, state, options, today)
        state = a_state(state.store, {**state.zuora, **{each.name: answers.get(each.name) for each in wanted}})
    assert not missing(order, state, options, today)
    return journeys(order, state, catalog or a_catalog(), options, today)


def ref_of(document: Mapping[str, Any]) -> CatalogRef:
    return CatalogRef(id=document["id"], version=document["version"])
