"""What our own store says against an order, before it is accepted: Zuora is not asked.

Sources: Limio's help on switches, cancellations, refunds, credit memos and gifts, as far as it states limits; where it
is silent the limit is what Zuora would refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, tzinfo
from decimal import Decimal
from typing import Any

from sync_service.commerce import wire
from sync_service.commerce.basket.holding import LockReason, pending_change, read_holding
from sync_service.commerce.case import Case
from sync_service.commerce.catalog import Catalog, Offer
from sync_service.commerce.order import (
    CannotBePlacedError,
    CatalogRef,
    ItemUpdate,
    Order,
    OrderType,
    Problem,
    ProblemCode,
    UpdateAction,
    payer_of,
    redeemer_of,
)
from sync_service.commerce.pricing import counts_units, unit_price
from sync_service.commerce.purchase import account_name
from sync_service.commerce.state import InStore, goes_on, is_discount
from sync_service.commerce.submission import is_gift_purchase
from sync_service.subscription.contacts import country_code
from sync_service.subscription.limio.documents import data_of, part_of, read_day
from sync_service.subscription.plan import Document
from sync_service.subscription.schedule.money import format_amount, parse_amount, round_amount

#: Types that a subscription without Limio's offers cannot take: it was imported ("limited functionality").
_COMMERCE = frozenset(OrderType) - {OrderType.NEW, OrderType.CANCEL_INTENT, OrderType.PAY_INVOICE}
#: Types that build on what the subscription is now, and so must wait for a change that is to come.
_LOCKED = frozenset({OrderType.CHANGE_OFFER, OrderType.ADD_OFFER, OrderType.UPDATE_SUBSCRIPTION, OrderType.RENEW})
#: Those of them that a coming cancellation stands against; a switch takes it back, and a gift is renewed all the same.
_NOT_WHEN_CANCELLED = frozenset({OrderType.ADD_OFFER, OrderType.UPDATE_SUBSCRIPTION})
#: Types whose item is what an amount is booked on: an offer or an add-on.
_OF_EITHER_KIND = frozenset({OrderType.REFUND, OrderType.CREDIT_MEMO})
#: The statuses that allow a credit memo; lapsed is active and out of its term.
_CREDITABLE = frozenset({"active", "cancelled"})


def check(case: Case) -> tuple[Problem, ...]:
    """Everything that is wrong, all at once; of the case's state only the store's part is asked."""
    order, store, catalog, today = case.order, case.state.store, case.catalog, case.today
    problems = [*_check_subscription(order, store, today, case.options.zone), *_check_items(case)]
    special = _BY_TYPE.get(order.type)
    if special:
        problems += special(case)
    if order.is_redeem:
        problems += _check_gift_code(order, store, today)
    elif order.type is OrderType.NEW and order.gift_code and store.gift_code is not None:
        problems.append(_problem("giftCode", ProblemCode.INVALID, "Another gift has this code."))
    if order.type is OrderType.NEW:
        problems += _check_person(case)
    if order.type is OrderType.NEW and order.payer_account:
        problems += _check_partner_pays(order, catalog)
    if order.type is OrderType.NEW and len(order.items) > 1 and (order.is_gift or order.is_redeem):
        problems.append(_problem("orderItems", ProblemCode.INVALID, "A gift is one offer."))
    return tuple(dict.fromkeys(problems))


def _check_subscription(order: Order, store: InStore, today: date, zone: tzinfo) -> Iterator[Problem]:
    if order.subscription_key is None:
        return
    if store.subscription is None:
        message = f"There is no subscription {order.subscription_key}."
        yield _problem("forSubscription", ProblemCode.UNKNOWN, message)
        return
    if order.type in _COMMERCE and part_of(data_of(store.subscription), "attributes").get("external") is True:
        message = "This subscription was imported from Zuora: Limio allows no commerce orders for it."
        yield _problem("forSubscription", ProblemCode.NOT_ALLOWED, message)
    held = read_holding(store.subscription, store.offers, store.add_ons, store.schedule, today, zone)
    cancelled_on = store.cancelled_on if order.type in _NOT_WHEN_CANCELLED else None
    lock = pending_change(held, today, cancelled_on=cancelled_on) if order.type in _LOCKED else None
    if lock:
        message = f"A change of this subscription takes effect on {lock.until}; it can be changed again from then on."
        if lock.reason is LockReason.CANCELLATION:
            message = f"The subscription is cancelled from {lock.until} on: a change_offer order takes that back."
        yield _problem("forSubscription", ProblemCode.PENDING_CHANGE, message)


def _check_items(case: Case) -> Iterator[Problem]:
    """Every offer and add-on that the order names: known, published, sold there, in that quantity."""
    order, catalog = case.order, case.catalog
    for index, item in enumerate(order.items):
        at = f"orderItems[{index}]" if order.type in (OrderType.NEW, OrderType.RENEW) else "offer"
        offer = catalog.items.get(item.offer)
        kind = None if order.type in _OF_EITHER_KIND else "offer"
        yield from _check_ref(offer, item.offer, at if at == "offer" else f"{at}.offer", kind)
        if offer:
            yield from _check_country(order, offer, at)
            yield from _check_quantity(case, offer, item.quantity, f"{at}.quantity" if at != "offer" else "quantity")
            yield from _check_payment_type(order, offer)
        for position, ref in enumerate(item.add_ons):
            yield from _check_ref(catalog.items.get(ref), ref, f"{at}.addOns[{position}]", "add_on")
    for index, update in enumerate(order.updates):
        if update.action == "add":
            offer = catalog.items.get(update.item)
            yield from _check_ref(offer, update.item, f"updates[{index}].id", update.record_type)
            if offer and update.quantity is not None:
                yield from _check_quantity(case, offer, update.quantity, f"updates[{index}].quantity")


def _check_ref(offer: Offer | None, ref: CatalogRef, field: str, kind: str | None) -> Iterator[Problem]:
    """`kind` is the record type that is wanted; None: either."""
    if offer is None:
        version = f" in version {ref.version}" if ref.version else ""
        yield _problem(field, ProblemCode.UNKNOWN, f"There is no offer or add-on {ref.id}{version}.")
    elif not offer.is_published:
        yield _problem(field, ProblemCode.UNKNOWN, f"{offer.label} is not published.")
    elif kind is not None and offer.record_type != kind:
        said, wanted = (each.replace("_", "-") for each in (offer.record_type, kind))
        yield _problem(field, ProblemCode.INVALID, f"{offer.label} is an {said}; here an {wanted} is wanted.")


def _check_country(order: Order, offer: Offer, at: str) -> Iterator[Problem]:
    """Where the offer is delivered to, else billed to."""
    allowed = offer.attributes.get("allowed_countries__limio")
    delivered = order.delivery.country if order.delivery else None
    country = delivered or (order.billing.country if order.billing else None) or order.country
    if isinstance(allowed, list) and allowed and country and _code(country) not in map(_code, allowed):
        yield _problem(f"{at}.offer", ProblemCode.NOT_ALLOWED, f"{offer.label} is not sold in {country}.")


def _code(country: Any) -> str:
    """The code of a country that is given by name, by code or as an object that has one."""
    if isinstance(country, Mapping):
        country = country.get("id") or country.get("value") or country.get("code")
    return country_code(str(country)) or str(country).upper()


def _check_quantity(case: Case, offer: Offer, quantity: Decimal, field: str) -> Iterator[Problem]:
    if why := offer.why_not_sold(quantity):
        yield _problem(field, ProblemCode.INVALID, f"{offer.label} {why}")
    elif quantity != 1 and _puts_plans(case, offer) and not counts_units(offer, case.catalog, case.today):
        yield _problem(field, ProblemCode.INVALID, f"{offer.label} counts no units, so its quantity must be 1.")


def _puts_plans(case: Case, offer: Offer) -> bool:
    """Whether the quantity goes to a rate plan: a discount has none, and a gift, a refund and a credit are memos."""
    is_memo = case.order.type in _OF_EITHER_KIND or is_gift_purchase(case.order, case.catalog)
    return not offer.is_discount and not is_memo


def _check_payment_type(order: Order, offer: Offer) -> Iterator[Problem]:
    allowed = offer.attributes.get("payment_types__limio")
    given = order.payment.payment_type if order.payment else None
    if given and isinstance(allowed, list) and allowed and given not in allowed:
        message = f"{offer.label} can be paid by: {', '.join(map(str, allowed))}."
        yield _problem("payment.paymentType", ProblemCode.INVALID, message)


def _check_person(case: Case) -> Iterator[Problem]:
    """A new account needs a person's name, also a company's."""
    order, options = case.order, case.options
    is_gift = order.is_redeem or is_gift_purchase(order, case.catalog)
    if not is_gift and options.one_account_per_owner and case.state.store.account_number:
        return
    try:
        account_name(redeemer_of(order) if order.is_redeem else payer_of(order))
    except CannotBePlacedError as error:
        yield from error.problems


def _check_partner_pays(order: Order, catalog: Catalog) -> Iterator[Problem]:
    """What the partner's account pays for needs no payment of the customer's."""
    if order.payment is None or "invoice" not in (order.payment.type, order.payment.payment_type):
        message = "The partner's account pays for this order: payment must be of the type invoice."
        yield _problem("payment.type", ProblemCode.INVALID, message)
    offers = [catalog.items.get(item.offer) for item in order.items]
    if order.is_gift or order.is_redeem or any(offer is not None and offer.is_gift for offer in offers):
        yield _problem("orderItems", ProblemCode.NOT_ALLOWED, "A partner that pays orders no gifts.")


def _check_switch(case: Case) -> Iterator[Problem]:
    """Only when active, not to a discount, never to another currency (Limio's help: cancel and buy anew)."""
    order, store, catalog = case.order, case.state.store, case.catalog
    if store.subscription and store.subscription.get("status") != "active":
        message = f"Only an active subscription can be switched; this one is {store.subscription.get('status')}."
        yield _problem("forSubscription", ProblemCode.NOT_ALLOWED, message)
    offer = catalog.items.get(order.items[0].offer) if order.items else None
    if offer is None:
        return
    if offer.is_discount:
        yield _problem("offer", ProblemCode.INVALID, f"{offer.label} is a discount: add it instead of switching to it.")
    current = _currency(store)
    if current and offer.currency and offer.currency != current:
        message = f"The subscription is in {current} and {offer.label} in {offer.currency}: cancel it and buy anew."
        yield _problem("offer", ProblemCode.NOT_ALLOWED, message)


def _check_updates(case: Case) -> Iterator[Problem]:
    current, updates = _currency(case.state.store), case.order.updates
    actions = {update.action for update in updates if update.record_type == "offer"}
    if actions == {UpdateAction.REMOVE}:
        message = "An offer can be replaced, not only removed: cancel the subscription instead."
        yield _problem("updates", ProblemCode.NOT_ALLOWED, message)
    for index, update in enumerate(updates):
        yield from _check_removal(case, update, f"updates[{index}].quantity")
        offer = case.catalog.items.get(update.item) if update.action == "add" else None
        if current and offer and offer.currency and offer.currency != current:
            message = f"The subscription is in {current} and {offer.label} in {offer.currency}."
            yield _problem(f"updates[{index}].id", ProblemCode.NOT_ALLOWED, message)


def _check_removal(case: Case, update: ItemUpdate, field: str) -> Iterator[Problem]:
    """Zuora removes a whole rate plan: what keeps some of an add-on's units says how many."""
    if (update.action, update.record_type) != ("remove", "add_on") or update.quantity is None:
        return
    for document in case.state.store.add_ons:
        inside = part_of(data_of(document), "add_on")
        if update.item.id not in (document.get("id"), inside.get("id")) or not goes_on(document, case.today):
            continue
        held = parse_amount(data_of(document).get("quantity")) or Decimal(1)
        comes_back = any(each.action == "add" and each.item.id == inside.get("id") for each in case.order.updates)
        if update.quantity < held and not comes_back:
            message = (
                f"The subscription has {held:f} of {inside.get('name')}: to keep some, add it with the quantity that"
                f" stays, {held - update.quantity:f}, besides removing it."
            )
            yield _problem(field, ProblemCode.NOT_ALLOWED, message)


def _check_cancellation(case: Case) -> Iterator[Problem]:
    end, day = read_day(data_of(case.state.store.subscription).get("termEndDate")), case.order.cancel_date
    if day and end and case.today <= end < day:
        message = f"cancelDate must not be after the end of the term, {end}."
        yield _problem("cancelDate", ProblemCode.INVALID, message)


def _check_decimals(case: Case) -> Iterator[Problem]:
    """An amount of money that the subscription's currency has."""
    amount, currency = case.order.amount, _currency(case.state.store)
    if amount is not None and currency and round_amount(amount, currency) != amount:
        message = f"amount has more decimals than {currency}: such as {format_amount(amount, currency)} is wanted."
        yield _problem("amount", ProblemCode.INVALID, message)


def _check_refund(case: Case) -> Iterator[Problem]:
    """At most the price of the active offer (Limio's refund subflow)."""
    yield from _check_decimals(case)
    store, amount = case.state.store, case.order.amount
    prices = [
        price
        for document in store.offers
        if not is_discount(document) and goes_on(document, case.today)
        if (price := _price(document, case.catalog)) is not None
    ]
    said = parse_amount(part_of(data_of(store.subscription), "price").get("amount"))
    highest = sum(prices, Decimal(0)) if prices else said
    if amount and highest is not None and amount > highest:
        yield _problem(
            "amount", ProblemCode.INVALID, f"At most the price of the active offer, {highest:f}, is refunded."
        )


def _check_credit_memo(case: Case) -> Iterator[Problem]:
    """At least 1, and only for Active, Cancelled or Lapsed (Limio's credit memo subflow)."""
    yield from _check_decimals(case)
    if case.order.amount is not None and case.order.amount < 1:
        yield _problem("amount", ProblemCode.INVALID, "A credit memo is of 1 or more.")
    status = (case.state.store.subscription or {}).get("status")
    if status and status not in _CREDITABLE:
        message = f"A credit memo needs an active, cancelled or lapsed subscription; this one is {status}."
        yield _problem("forSubscription", ProblemCode.NOT_ALLOWED, message)


def _check_gift_refund(case: Case) -> Iterator[Problem]:
    gift_code = case.state.store.gift_code
    if gift_code is None:
        yield _problem("subscriptionId", ProblemCode.UNKNOWN, "There is no gift code of this subscription.")
    elif gift_code.get("status") != "free":
        message = f"A gift can be refunded only while its code is free; this one is {_word_of(gift_code)}."
        yield _problem("subscriptionId", ProblemCode.NOT_ALLOWED, message)


def _check_gift_code(order: Order, store: InStore, today: date) -> Iterator[Problem]:
    """Exists, not expired, not redeemed, not in a country where it is disallowed (Limio's help on gifts)."""
    code = store.gift_code
    if code is None:
        yield _problem("redeemCode", ProblemCode.UNKNOWN, "There is no such gift code.")
        return
    if code.get("status") != "free":
        yield _problem("redeemCode", ProblemCode.NOT_ALLOWED, f"This gift code is {_word_of(code)}.")
    expires = read_day(data_of(code).get("expires"))
    if expires and expires < today:
        yield _problem("redeemCode", ProblemCode.NOT_ALLOWED, f"This gift code expired on {expires}.")
    disallowed = data_of(code).get(wire.DISALLOWED_COUNTRIES)
    if isinstance(disallowed, list) and order.country and _code(order.country) in map(_code, disallowed):
        yield _problem("country", ProblemCode.NOT_ALLOWED, f"This gift code cannot be redeemed in {order.country}.")
    given = (data_of(code).get("offer") or {}).get("id")
    if given and order.items and order.items[0].offer.id != given:
        yield _problem("orderItems[0].offer", ProblemCode.INVALID, "The gift code is for another offer.")


def _word_of(gift_code: Document) -> str:
    """What a gift code is that is not free."""
    return {"redeemed": "redeemed", "reserved": "not available just now"}.get(str(gift_code.get("status")), "void")


def _problem(field: str, code: ProblemCode, message: str) -> Problem:
    return Problem(field=field, code=code, message=message)


def _currency(store: InStore) -> str | None:
    price = part_of(data_of(store.subscription), "price")
    if price.get("currency"):
        return str(price["currency"])
    return next((str(data_of(each)["currency"]) for each in store.schedule if data_of(each).get("currency")), None)


def _price(document: Document, catalog: Catalog) -> Decimal | None:
    """What one of the subscription's offers costs a period."""
    said = parse_amount(part_of(data_of(document), "price").get("amount"))
    if said is not None:
        return said
    inside = part_of(data_of(document), "offer")
    offer = catalog.items.get(CatalogRef(id=str(inside.get("id")), version=inside.get("version")))
    return unit_price(offer) if offer else None


_BY_TYPE: Mapping[OrderType, Callable[[Case], Iterator[Problem]]] = {
    OrderType.CHANGE_OFFER: _check_switch,
    OrderType.UPDATE_SUBSCRIPTION: _check_updates,
    OrderType.CANCEL_SUBSCRIPTION: _check_cancellation,
    OrderType.REFUND: _check_refund,
    OrderType.CREDIT_MEMO: _check_credit_memo,
    OrderType.GIFT_REFUND: _check_gift_refund,
}
