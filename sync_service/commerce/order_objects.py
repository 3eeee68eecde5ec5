"""Limio's objects as an order makes and changes them: values that placing writes with its submit or its finish.

Shapes are those that Limio's objects API answers with. Decided in `submission` and `ending`. Terms and schedule of
a subscription that Zuora has are never here, nor its status once it has been active: the sync that follows an order
brings them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sync_service.commerce.catalog import Offer
from sync_service.commerce.fields import write_json
from sync_service.commerce.offer_terms import LENGTHS, UNITS
from sync_service.commerce.order import CONTACT_NAMES, Names, NewSubscription, Order, OrderContact
from sync_service.commerce.pricing import unit_price
from sync_service.commerce.state import InStore
from sync_service.commerce.steps import Step
from sync_service.subscription.limio.documents import data_of, midnight, part_of, read_day
from sync_service.subscription.plan import Document
from sync_service.subscription.schedule.money import as_json_number, format_amount, parse_amount


@dataclass(frozen=True, kw_only=True)
class NewObject:
    """A new object. Without an `id` the store gives one, and always the rest of the envelope."""

    record_type: str
    document: Document
    id: str | None = None
    #: The subscription that it belongs to.
    subscription_id: str | None = None
    #: Nothing happens where the id is there already (an owner who bought before).
    unless_there: bool = False


@dataclass(frozen=True, kw_only=True)
class ObjectChange:
    """Other values in an object that exists: dotted path (`data.end`, `status`) to the new value."""

    record_type: str
    id: str
    values: Mapping[str, Any]


Effect = NewObject | ObjectChange


#: What a hosted page tells of a method that people see, and what finds it again.
_KEPT_OF_A_METHOD = frozenset({"refId", "paymentGateway", "result", "success", "id", "reference"})
_SYMBOLS = {"GBP": "£", "EUR": "€", "USD": "$"}


def order_object(order: Order, store: InStore, subscription_ids: Sequence[str]) -> Document:
    """The order itself: its payload, without card secrets, and the names of what it makes.

    Numbers stay numbers, for people and webhooks to see; what is placed is read from the exact payload.
    """
    names = order.named
    new = {"sub_reference": names.subscriptions[0].reference} if names.subscriptions else {}
    related = {"related": subscription_ids[0]} if subscription_ids else {}
    customer = names.customer or (store.customer or {}).get("id")
    return {
        "reference": names.reference,
        "status": "submitted",
        "owner": names.owner,
        **({"customer": customer} if customer else {}),
        **related,
        "data": {**json.loads(write_json(order.document)), "order_reference": names.reference, **new},
    }


def event_object(order: Order, subscription_ids: Sequence[str]) -> Document:
    """The event that says that the order came in: `order.` and the order's type."""
    return {
        "status": "submitted",
        "data": {
            "type": f"order.{order.type}",
            "message": "Order Received",
            "order": order.named.order_id,
            "event": {"subscriptions": [{"id": each} for each in subscription_ids]},
        },
    }


def subscription_object(order: Order, new: NewSubscription, offer: Offer, index: int, at: str) -> Document:
    """A subscription that is not in Zuora yet: `initial`."""
    names, item = order.named, order.items[index]
    start = start_of(order, at)
    return {
        "reference": new.reference,
        "name": new.reference,
        "status": "initial",
        "owner": names.owner,
        "customer": names.customer,
        "start": start,
        "ref": f"{names.order_id}/{new.item_id}",
        "data": {
            "id": new.item_id,
            "name": offer.name,
            "quantity": as_json_number(item.quantity),
            "startDate": start,
            "price": price_of(offer, item.quantity),
            **({"purchaseCountry": order.country} if order.country else {}),
            "attributes": {
                "gift": order.is_gift or order.is_redeem or offer.is_gift,
                "external": False,
                **({"autoRenew": order.auto_renew} if order.auto_renew is not None else {}),
            },
            "addOns": [],
            "tracking": dict(order.tracking),
            "products": _products(offer),
        },
    }


def offer_object(
    offer: Offer,
    *,
    start: str,
    quantity: Decimal | int,
    order: Order,
    item_id: str | None = None,
    end: date | None = None,
) -> Document:
    """A subscription_offer: the whole offer, and from when to when it holds."""
    return {
        "status": "active",
        "data": {
            "name": offer.name,
            "start": start,
            **({"end": end.isoformat()} if end else {}),
            "price": price_of(offer, Decimal(quantity)),
            "offer": offer.document,
            "quantity": as_json_number(Decimal(quantity)),
            "addOns": [],
            **({"id": item_id} if item_id else {}),
            "tracking": dict(order.tracking),
            "products": _products(offer),
            "record_subtype": "discount" if offer.is_discount else "base",
        },
    }


def add_on_object(offer: Offer, *, start: str, quantity: Decimal | int = 1) -> Document:
    """An add-on of a subscription."""
    data = {"add_on": offer.document, "start": start, "quantity": as_json_number(Decimal(quantity))}
    return {"status": "active", "version": offer.ref.version, "data": data}


def address_object(person: OrderContact, role: str, at: str) -> Document:
    """An address; the newest `start` is the one that counts."""
    data = {key: getattr(person, name) for name, key, _ in CONTACT_NAMES} | {"company": person.company}
    kept = {key: value for key, value in data.items() if value}
    return {"status": "active", "relationship_type": role, "start": at, "data": kept}


def payment_object(order: Order, at: str) -> Document:
    """A payment method as the order brings it; of Zuora's its id there, never its token or signature."""
    kind = (order.payment.type if order.payment else None) or "zuora"
    given = part_of(part_of(order.document, "payment"), kind)
    kept = {key: value for key, value in given.items() if key in _KEPT_OF_A_METHOD}
    return {"status": "active", "type": kind, "start": at, "data": {"type": kind, kind: kept}}


def customer_object(order: Order) -> Document:
    """The customer whom a first order makes."""
    names = order.named
    method = {"defaultPaymentMethodId": names.payment_method} if names.payment_method else {}
    return {"status": "active", "owner": names.owner, "data": {**customer_values(order), **method}}


def customer_values(order: Order) -> dict[str, str]:
    """Name and email of the order's customer, else of who is billed."""
    person = order.customer or order.recipient or order.billing or OrderContact()
    values = {
        "name": " ".join(part for part in (person.first_name, person.last_name) if part) or None,
        "firstName": person.first_name,
        "lastName": person.last_name,
        "email": person.email,
    }
    return {key: value for key, value in values.items() if value}


def gift_object(order: Order, status: str) -> Document:
    """The code of a gift, with what it takes to redeem or to refund it."""
    names = order.named
    item = order.items[0]
    return {
        "status": status,
        "owner": names.owner,
        "data": {
            "code": names.gift_code,
            "offer": {"id": item.offer.id, "version": item.offer.version},
            "order": names.order_id,
            "subscription": names.subscriptions[0].id if names.subscriptions else None,
            "accountNumber": names.gift_account,
            "debitMemoNumber": names.gift_memo,
        },
    }


def gift_code_id(names: Names) -> str:
    """The id of the gift code that an order makes, from the order's own."""
    return f"gift_code-{names.order_id.removeprefix('order-')}"


def event_id(names: Names) -> str:
    """The id of the event that says that an order came in, from the order's own."""
    return f"event-{names.order_id.removeprefix('order-')}"


def zuora_id(payment_method: Document) -> Any:
    """Zuora's id of one of our payment methods."""
    return (data_of(payment_method).get("zuora") or {}).get("refId")


def start_of(order: Order, at: str) -> str:
    """When what the order buys begins, as a timestamp."""
    return midnight(order.start) if order.start else at


def end_of_discount(offer: Offer, day: date) -> date | None:
    """When a discount that began on `day` ends; None: it does not end by itself."""
    said = part_of(offer.attributes, "discount__limio")
    unit, length = LENGTHS.get(UNITS.get(str(said.get("termType")).lower(), "")), parse_amount(said.get("termLength"))
    return day + int(length) * unit if unit and length else None


def price_of(offer: Offer, quantity: Decimal) -> Document:
    """What people are shown; with Zuora's own price nothing, because Zuora's preview tells it."""
    unit, currency = unit_price(offer), offer.currency
    amount = (unit or Decimal(0)) * quantity
    headline = headline_of(amount, currency) if unit else ""
    price: dict[str, Any] = {"amount": as_json_number(amount), "summary": {"headline": headline}}
    return {**price, **({"currency": currency} if currency else {})}


def headline_of(amount: Decimal, currency: str | None) -> str:
    """An amount of money for people: £90.00."""
    text = format_amount(amount, currency)
    return f"{_SYMBOLS[currency]}{text}" if currency in _SYMBOLS else f"{currency or ''} {text}".strip()


def action_types(step: Step) -> set[str]:
    """The types of the order actions that a step sends."""
    return {action["type"] for action in _actions(step)}


def action_day(step: Step, kind: str) -> date | None:
    """The day of the first order action of that type that a step sends."""
    return next(
        (read_day(action["triggerDates"][0]["triggerDate"]) for action in _actions(step) if action["type"] == kind),
        None,
    )


def _actions(step: Step) -> list[Document]:
    subscriptions = (step.body or {}).get("subscriptions") or ()
    return [action for each in subscriptions for action in each.get("orderActions") or ()]


def _products(offer: Offer) -> list[Any]:
    products = data_of(offer.document).get("products")
    return list(products) if isinstance(products, list) else []
