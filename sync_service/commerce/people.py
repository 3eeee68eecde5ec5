"""Whom an order speaks of: who is billed, who gets what is bought, who redeems a gift."""

from __future__ import annotations

from dataclasses import replace

from sync_service.commerce.order import Order, OrderContact

_CONTACT = ("first_name", "last_name", "email", "work_email", "phone", "work_phone", "other_phone", "company")


def payer_of(order: Order) -> OrderContact:
    """Who is billed: the customer's name and ways of contact, at the billing address."""
    return _merge(order.billing, order.customer, order.country)


def receiver_of(order: Order) -> OrderContact | None:
    """Who gets it, where the order is delivered elsewhere: with the payer's name and email where it says none."""
    if order.delivery is None:
        return None
    payer, delivery = payer_of(order), _merge(order.delivery, None, order.country)
    names = ("first_name", "last_name", "email")
    return replace(delivery, **{name: getattr(delivery, name) or getattr(payer, name) for name in names})


def redeemer_of(order: Order) -> OrderContact:
    """Who redeems a gift."""
    return _merge(order.delivery or order.billing, order.customer or order.recipient, order.country)


def _merge(address: OrderContact | None, customer: OrderContact | None, country: str | None) -> OrderContact:
    """The address with the customer's name, email and telephones, the address's own where the customer has none."""
    where, who = address or OrderContact(), customer or OrderContact()
    merged = replace(where, **{name: getattr(who, name) or getattr(where, name) for name in _CONTACT})
    return replace(merged, country=where.country or country)
