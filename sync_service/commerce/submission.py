"""What Limio's store gets when an order is accepted: before Zuora was asked anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sync_service.commerce import order_objects
from sync_service.commerce.catalog import Catalog, Offer, find_item
from sync_service.commerce.order import NewSubscription, Order, OrderPayment, OrderType, payer_of, receiver_of
from sync_service.commerce.order_objects import Effect, NewObject, ObjectChange
from sync_service.commerce.state import InStore, Options

#: The states of a gift code: not to be redeemed yet or just now, to be redeemed, redeemed, never to be redeemed.
RESERVED, FREE, REDEEMED, VOID = "reserved", "free", "redeemed", "void"


@dataclass(frozen=True, kw_only=True)
class WantedNames:
    """Which names an order needs before it is accepted."""

    #: How many subscriptions it may make. A renewal reserves one: Zuora decides whether it is needed.
    subscriptions: int
    payment_method: bool
    #: A code is to be made for the gift that is bought.
    gift_code: bool


def wanted_names(order: Order, catalog: Catalog, options: Options) -> WantedNames:
    """What `order.names` must hold besides the order's own id and reference."""
    count = 0
    if order.type is OrderType.NEW:
        count = 1 if options.one_subscription_per_order else len(order.items)
    elif order.type is OrderType.RENEW:
        count = 1
    brings = order.type in (OrderType.NEW, OrderType.CHANGE_PAYMENT, OrderType.CHANGE_EXTERNAL_PAYMENT)
    return WantedNames(
        subscriptions=count,
        payment_method=bool(brings and order.payment and _is_kept(order.payment)),
        gift_code=is_gift_purchase(order, catalog),
    )


def _is_kept(payment: OrderPayment) -> bool:
    """A card of Zuora's, or a method of another kind; an invoice and a gift code are none."""
    return bool(payment.method_id) or payment.type not in ("zuora", "invoice", "gift", "free", None)


def is_gift_purchase(order: Order, catalog: Catalog) -> bool:
    """Whether the order buys a gift and does not redeem one."""
    if order.type is not OrderType.NEW or order.is_redeem:
        return False
    offers = (catalog.items.get(item.offer) for item in order.items)
    return order.is_gift or any(offer is not None and offer.is_gift for offer in offers)


def submitted(order: Order, store: InStore, catalog: Catalog, *, at: str) -> tuple[Effect, ...]:
    """In the transaction that accepts the order. `at`: Limio's timestamp of it."""
    return tuple(_submit(order, store, catalog, at))


def new_subscriptions(order: Order, catalog: Catalog, *, at: str, status: str) -> Iterator[Effect]:
    """Each subscription that the order makes, with its offers, add-ons and addresses.

    With one subscription for all offers, they all hang on it.
    """
    for index, new in enumerate(order.named.subscriptions):
        offer = find_item(catalog, order.items[index].offer, "orderItems")
        document = {**order_objects.subscription_object(order, new, offer, index, at), "status": status}
        yield NewObject(record_type="subscription", id=new.id, document=document)
        yield from _contents(order, catalog, new, offer, index, at)


def change_gift_code(store: InStore, status: str, values: Mapping[str, Any]) -> ObjectChange:
    """Another state of the gift code that the order redeems or takes back."""
    assert store.gift_code is not None  # noqa: S101 - the caller saw it
    return ObjectChange(record_type="gift_code", id=str(store.gift_code["id"]), values={"status": status, **values})


def _submit(order: Order, store: InStore, catalog: Catalog, at: str) -> Iterator[Effect]:
    names = order.named
    made = order.type is OrderType.NEW
    subscription_ids = [new.id for new in names.subscriptions] if made else own_id(store)
    first = subscription_ids[0] if subscription_ids else None
    if made:
        yield from _people(order)
    yield NewObject(
        record_type="order", id=names.order_id, document=order_objects.order_object(order, store, subscription_ids)
    )
    if made:
        yield from new_subscriptions(order, catalog, at=at, status="initial")
    if names.payment_method and order.payment:
        yield NewObject(
            record_type="payment_method",
            id=names.payment_method,
            document=order_objects.payment_object(order, at),
            subscription_id=first,
        )
    if names.gift_code and made:
        yield NewObject(
            record_type="gift_code",
            id=order_objects.gift_code_id(names),
            document=order_objects.gift_object(order, RESERVED),
            subscription_id=first,
        )
    if order.is_redeem and store.gift_code:
        yield change_gift_code(store, RESERVED, {"data.reservedBy": names.order_id})
    event = order_objects.event_object(order, subscription_ids)
    yield NewObject(record_type="event", id=order_objects.event_id(names), document=event, subscription_id=first)


def own_id(store: InStore) -> list[str]:
    """The id of the subscription that the order concerns, where the store has it."""
    return [str(store.subscription["id"])] if store.subscription else []


def _contents(
    order: Order, catalog: Catalog, new: NewSubscription, offer: Offer, index: int, at: str
) -> Iterator[Effect]:
    """Offers, add-ons and addresses of a new subscription."""
    shared = len(order.named.subscriptions) == 1
    for position, item in enumerate(order.items):
        if not shared and position != index:
            continue
        sold = offer if position == index else find_item(catalog, item.offer, "orderItems")
        start = order_objects.start_of(order, at)
        document = order_objects.offer_object(
            sold, start=start, quantity=item.quantity, item_id=new.item_id, order=order
        )
        yield NewObject(record_type="subscription_offer", document=document, subscription_id=new.id)
        for ref in item.add_ons:
            add_on = order_objects.add_on_object(find_item(catalog, ref, "orderItems.addOns"), start=start)
            yield NewObject(record_type="add_on", document=add_on, subscription_id=new.id)
    # As Zuora gets them, so that a sync finds nothing to change.
    for role, person in (("billing", order.billing and payer_of(order)), ("delivery", receiver_of(order))):
        if person:
            address = order_objects.address_object(person, role, at)
            yield NewObject(record_type="address", document=address, subscription_id=new.id)


def _people(order: Order) -> Iterator[Effect]:
    names = order.named
    if names.owner:
        yield NewObject(record_type="identity", id=names.owner, document={"status": "active"}, unless_there=True)
    if names.customer:
        document = order_objects.customer_object(order)
        yield NewObject(record_type="customer", id=names.customer, document=document, unless_there=True)
