"""What Limio's store gets when an order has ended: complete, or failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sync_service.commerce import order_objects
from sync_service.commerce.catalog import Catalog, Offer, find_item, read_offer
from sync_service.commerce.order import PERSON_NAMES, ItemUpdate, Order, OrderContact, OrderType, UpdateAction
from sync_service.commerce.order_objects import Effect, NewObject, ObjectChange
from sync_service.commerce.state import InStore, goes_on, is_discount
from sync_service.commerce.steps import Step
from sync_service.commerce.submission import FREE, REDEEMED, VOID, change_gift_code, new_subscriptions
from sync_service.subscription.limio.documents import data_of, midnight, part_of
from sync_service.subscription.plan import Document

#: A step that was answered, with its answer.
Answered = tuple[Step, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class _End:
    """A good order at its end."""

    order: Order
    store: InStore
    catalog: Catalog
    steps: Sequence[Answered]
    at: str
    today: date

    def day_of(self, action: str) -> date:
        """The day on which an action of the order that was sent takes effect."""
        return next((day for step, _ in self.steps if (day := order_objects.action_day(step, action))), self.today)

    def has_sent(self, action: str) -> bool:
        return any(action in order_objects.action_types(step) for step, _ in self.steps)

    @property
    def subscription_id(self) -> str | None:
        return str(self.store.subscription["id"]) if self.store.subscription else None

    def change(self, record_type: str, document: Document | None, values: Mapping[str, Any]) -> Iterator[Effect]:
        """Other values in an object, where the store has it."""
        if document and values:
            yield ObjectChange(record_type=record_type, id=str(document["id"]), values=values)

    def create(self, record_type: str, document: Document) -> NewObject:
        return NewObject(record_type=record_type, document=document, subscription_id=self.subscription_id)

    def new_offer(self, offer: Offer, day: date, quantity: Decimal | int, until: date | None = None) -> NewObject:
        """An offer of the subscription from `day` on."""
        start = midnight(day)
        document = order_objects.offer_object(offer, start=start, quantity=quantity, order=self.order, end=until)
        return self.create("subscription_offer", document)

    def addresses(self) -> Iterator[Effect]:
        """Those that a change brings along."""
        for role, person in (("billing", self.order.billing), ("delivery", self.order.delivery)):
            if person:
                yield self.address(person, role)

    def address(self, person: OrderContact, role: str) -> NewObject:
        """As Zuora got it: where the order says nothing, the new contact keeps name, email and phones of the old."""
        document = order_objects.address_object(person, role, self.at)
        sent = next((step.body for step, _ in self.steps if step.name == f"{role}_contact" and step.body), {})
        kept = {key: sent[name] for _, key, name in PERSON_NAMES if sent.get(name)}
        return self.create("address", {**document, "data": {**kept, **document["data"]}})


def completed(
    order: Order, store: InStore, catalog: Catalog, steps: Sequence[Answered], *, at: str, today: date
) -> tuple[Effect, ...]:
    """In the transaction that finishes a good order; `steps` as they were sent and answered.

    `at` is Limio's timestamp of it, `today` the day in the tenant's zone.
    """
    end = _End(order=order, store=store, catalog=catalog, steps=steps, at=at, today=today)
    done = ObjectChange(record_type="order", id=order.named.order_id, values={"status": "complete"})
    finish = _BY_TYPE.get(order.type)
    return (done, *(finish(end) if finish else ()))


def failed(order: Order, store: InStore) -> tuple[Effect, ...]:
    """In the transaction that ends an order that was refused, by us or by Zuora."""
    names = order.named
    effects: list[Effect] = [ObjectChange(record_type="order", id=names.order_id, values={"status": "failed"})]
    if order.is_redeem and store.gift_code:
        effects.append(change_gift_code(store, FREE, {"data.reservedBy": None}))
    if names.gift_code:
        effects.append(
            ObjectChange(record_type="gift_code", id=order_objects.gift_code_id(names), values={"status": VOID})
        )
    if order.type is OrderType.CHANGE_PAYMENT and names.payment_method:
        effects.append(
            ObjectChange(record_type="payment_method", id=names.payment_method, values={"status": "inactive"})
        )
    return tuple(effects)


def _finish_purchase(end: _End) -> Iterator[Effect]:
    names = end.order.named
    if names.gift_code:
        # A gift's subscription stays `initial`: its code is what was bought.
        yield ObjectChange(record_type="gift_code", id=order_objects.gift_code_id(names), values={"status": FREE})
        return
    for new in names.subscriptions:
        yield ObjectChange(record_type="subscription", id=new.id, values={"status": _status(end)})
    if end.order.is_redeem and end.store.gift_code:
        values = {"data.reservedBy": None, "data.redeemedBy": names.order_id}
        yield change_gift_code(end.store, REDEEMED, values)


def _finish_renewal(end: _End) -> Iterator[Effect]:
    if end.has_sent("CreateSubscription"):
        yield from new_subscriptions(end.order, end.catalog, at=end.at, status=_status(end))
        return
    if end.has_sent("AddProduct"):
        yield from _replace_offers(end, end.day_of("AddProduct"))
    day = end.day_of("RenewSubscription").isoformat()
    yield from end.change("subscription", end.store.subscription, {"data.pendingRenewalChange": day})


def _status(end: _End) -> str:
    """Zuora makes a pending order of what waits for its activation."""
    return "pending" if any(answer.get("status") == "Pending" for _, answer in end.steps) else "active"


def _finish_switch(end: _End) -> Iterator[Effect]:
    yield from _replace_offers(end, end.day_of("AddProduct"))
    yield from end.addresses()


def _replace_offers(end: _End, day: date) -> Iterator[Effect]:
    """The present offers end on the day on which the new one begins, and so do add-ons that do not go with it."""
    item = end.order.items[0]
    offer = find_item(end.catalog, item.offer, "offer")
    for document in end.store.offers:
        if not is_discount(document) and goes_on(document, day):
            yield _end_on(document, day)
    for document in end.store.add_ons:
        if goes_on(document, day) and not offer.goes_with(read_offer(part_of(data_of(document), "add_on"))):
            yield _end_on(document, day)
    yield end.new_offer(offer, day, item.quantity)


def _finish_update(end: _End) -> Iterator[Effect]:
    for update in end.order.updates:
        day = update.effective or end.today
        if update.action is UpdateAction.ADD:
            yield _added(end, update, day)
            continue
        for document in end.store.offers if update.record_type == "offer" else end.store.add_ons:
            if update.item.id in (document.get("id"), _catalog_id(document)) and goes_on(document, day):
                yield _end_on(document, day)


def _added(end: _End, update: ItemUpdate, day: date) -> NewObject:
    offer = find_item(end.catalog, update.item, "updates")
    quantity = update.quantity or 1
    if update.record_type == "offer":
        return end.new_offer(offer, day, quantity)
    start = midnight(day)
    return end.create("add_on", order_objects.add_on_object(offer, start=start, quantity=quantity))


def _finish_addition(end: _End) -> Iterator[Effect]:
    item = end.order.items[0]
    offer = find_item(end.catalog, item.offer, "offer")
    day = end.day_of("AddProduct")
    yield end.new_offer(offer, day, item.quantity, order_objects.end_of_discount(offer, day))


def _finish_address(end: _End) -> Iterator[Effect]:
    if end.order.address and end.order.address_type:
        yield end.address(end.order.address, end.order.address_type)


def _finish_payment(end: _End) -> Iterator[Effect]:
    new = end.order.named.payment_method
    for document in end.store.payment_methods:
        if document.get("status") == "active" and document.get("id") != new:
            yield from end.change("payment_method", document, {"status": "inactive"})
    if new:
        yield from end.change("customer", end.store.customer, {"data.defaultPaymentMethodId": new})
    yield from end.addresses()


def _finish_default(end: _End) -> Iterator[Effect]:
    method = end.order.payment.method_id if end.order.payment else None
    ours = next((each for each in end.store.payment_methods if order_objects.zuora_id(each) == method), None)
    if ours:
        yield from end.change("customer", end.store.customer, {"data.defaultPaymentMethodId": ours["id"]})


def _finish_details(end: _End) -> Iterator[Effect]:
    values = {f"data.{key}": value for key, value in order_objects.customer_values(end.order).items()}
    yield from end.change("customer", end.store.customer, values)


def _finish_gift_refund(end: _End) -> Iterator[Effect]:
    yield from end.change("subscription", end.store.subscription, {"status": "cancelled"})
    if end.store.gift_code:
        yield change_gift_code(end.store, VOID, {})


def _end_on(document: Document, day: date) -> ObjectChange:
    values = {"data.end": day.isoformat()}
    return ObjectChange(record_type=str(document["record_type"]), id=str(document["id"]), values=values)


def _catalog_id(document: Document) -> Any:
    data = data_of(document)
    return (data.get("offer") or data.get("add_on") or {}).get("id")


#: Every other type leaves its order and its event, and what the sync brings.
_BY_TYPE: Mapping[OrderType, Callable[[_End], Iterator[Effect]]] = {
    OrderType.NEW: _finish_purchase,
    OrderType.CHANGE_OFFER: _finish_switch,
    OrderType.ADD_OFFER: _finish_addition,
    OrderType.UPDATE_SUBSCRIPTION: _finish_update,
    OrderType.RENEW: _finish_renewal,
    OrderType.CHANGE_ADDRESS: _finish_address,
    OrderType.CHANGE_PAYMENT: _finish_payment,
    OrderType.CHANGE_EXTERNAL_PAYMENT: _finish_payment,
    OrderType.CHANGE_DEFAULT_PAYMENT: _finish_default,
    OrderType.UPDATE_CUSTOMER_DETAILS: _finish_details,
    OrderType.GIFT_REFUND: _finish_gift_refund,
}
