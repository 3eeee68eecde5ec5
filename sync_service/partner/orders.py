"""Orders that a partner places: a new subscription, a cancellation, and what a basket became; and where each stands.

Of an order's payload only the fields are read that a partner may fill; who it is for, what it costs and who pays come
from the store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from sync_service.access.partner_scope import PartnerScope
from sync_service.commerce.basket.items import ITEMS, WantedItem
from sync_service.commerce.basket.on_sale import OffersOnSale
from sync_service.commerce.fields import write_json
from sync_service.commerce.order import (
    CannotBePlacedError,
    CatalogRef,
    Order,
    OrderItem,
    OrderType,
    Problem,
    ProblemCode,
    Refusal,
    UpdateAction,
    refuse,
)
from sync_service.commerce.payload import read_order
from sync_service.partner.basket_rows import Agent, BasketUnknown, find_basket, tracking_of
from sync_service.partner.baskets import Baskets, SubscriptionLocked
from sync_service.partner.holdings import Ground, find_own, read_new_ground
from sync_service.partner.scope import scoped
from sync_service.queue import questions as asks
from sync_service.queue.limit import Share, read_limit
from sync_service.queue.orders.acceptance import LOCK_TIMEOUT_MS, OrderRequest, claim_request, place_order
from sync_service.queue.orders.lanes import OrderState
from sync_service.settings import Settings
from sync_service.store.effects import find_paying_account, new_id
from sync_service.store.engine import Database, Session
from sync_service.store.tables import BasketRow, IdentityRow, OrderRow, OrderWorkRow
from sync_service.subscription.limio.documents import is_id

#: What a partner's orders may say; nothing else of a payload is kept.
_COMMON = ("order_type", "external_id", "tracking", "process_immediately")
_NEW = (
    "orderItems",
    "customerDetails",
    "billingDetails",
    "deliveryDetails",
    "payment",
    "checkoutId",
    "country",
    "owner",
    "orderDate",
    "autoRenew",
)
#: Of a new order that buys a basket: what the order says, else the basket.
_TOLD = ("external_id", "tracking", "country")
_CANCELLED = ("forSubscription", "subscriptionId", "subscriptionRef", "cancelDate", "data", "reason")
#: What would change such an order if it were read: better said than left out.
_NOT_TAKEN = ("orderDiscount", "isGift", "isRedeem", "giftCode", "redeemCode")
#: Marks an order as ours in Zuora, so that its callouts are echoes.
_SHOP = {"source": "shop", "initiated_source": "shop"}


class PartnerOrders:
    """Places orders for whom they belong to."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._baskets = Baskets(database, settings)

    def place(self, agent: Agent, payload: Mapping[str, Any], asked: OrderRequest, *, client: str) -> OrderWorkRow:
        """Make the order durable for `client`; the same request, or the same basket, again gives the same order.

        An `update_subscription` order is its basket, named by `checkoutId`: whatever else it says is not read. A `new`
        order whose `checkoutId` is a basket buys what that holds. One transaction: everything is checked again and one
        order placed, or nothing is. Raises CannotBePlacedError with everything that is wrong, OtherBody,
        SubscriptionLocked.
        """
        with self._database.transaction(lock_timeout_ms=LOCK_TIMEOUT_MS) as session:
            row = _find_basket(session, agent, payload, lock=True)
            order_id = new_id("order")
            known = row.order_id if row is not None else None
            known = known or claim_request(session, asked, order_id)
            if known != order_id:
                return _read_ordered(session, known)
            work = place_order(
                session,
                self._settings,
                self._read_order(session, agent, payload, row, lock=True),
                order_id=order_id,
                client=client,
                partner_org=agent.scope.partner_org,
            )
            if row is not None:
                row.state, row.order_id = "completed", work.order_id
                session.add(row)
            return work

    def ask_preview(self, agent: Agent, payload: Mapping[str, Any], *, most: int = asks.MAX_OPEN_OF_A_CLIENT) -> int:
        """Leave the question what the order would cost for a worker; returns its id.

        Raises CannotBePlacedError, SubscriptionLocked, TooManyAsked.
        """
        with self._database.transaction(lock_timeout_ms=LOCK_TIMEOUT_MS) as session:
            order = self.check(session, agent, payload)
            payer = find_paying_account(session, agent.scope.partner_org) if order.type is OrderType.NEW else None
            question = write_json({"order": order.document, "payer_account": payer})
            return asks.leave(session, asks.ORDER, "", agent.subject, question=question, most=most)

    def find_faults(self, agent: Agent, basket_id: str | None) -> tuple[Problem, ...]:
        """Why a basket of either kind cannot be ordered as it was seen; empty if it can. Raises BasketUnknown."""
        with self._database.reading() as session:
            row = find_basket(session, agent, basket_id)
            if row.state != "active":
                return (Problem(field="checkoutId", code=ProblemCode.NOT_ALLOWED, message="This basket was ordered."),)
            try:
                self._baskets.to_order(session, agent, row)
            except CannotBePlacedError as error:
                return error.problems
            except SubscriptionLocked as error:
                return (Problem(field="forSubscription", code=ProblemCode.PENDING_CHANGE, message=str(error)),)
        return ()

    def check(self, session: Session, agent: Agent, payload: Mapping[str, Any]) -> Order:
        """The order of a payload, if this partner may place it now. Raises as `place` does."""
        return self._read_order(session, agent, payload, _find_basket(session, agent, payload))

    def _read_order(
        self, session: Session, agent: Agent, payload: Mapping[str, Any], row: BasketRow | None, *, lock: bool = False
    ) -> Order:
        taken = [name for name in _NOT_TAKEN if payload.get(name)]
        if taken:
            raise refuse(taken[0], ProblemCode.NOT_ALLOWED, f"{taken[0]}: a partner's order takes none; leave it out.")
        basket = {} if row is None else self._read_basket(session, agent, row, lock)
        match payload.get("order_type"):
            case OrderType.UPDATE_SUBSCRIPTION:
                order = self._read({"order_type": OrderType.UPDATE_SUBSCRIPTION.value}, (), basket)
            case OrderType.NEW:
                order = self._read(payload, _NEW, basket)
                self._check_purchase(session, agent.scope, order)
            case OrderType.CANCEL_SUBSCRIPTION:
                order = self._read_cancellation(session, agent.scope, payload)
            case _:
                words = f"{OrderType.NEW}, {OrderType.UPDATE_SUBSCRIPTION} or {OrderType.CANCEL_SUBSCRIPTION}"
                raise refuse("order_type", ProblemCode.UNSUPPORTED, f"order_type must be {words}.")
        return order

    def _read_basket(self, session: Session, agent: Agent, row: BasketRow, lock: bool) -> dict[str, Any]:
        """What the basket says of its order. Raises as `Baskets.to_order` does."""
        named = {
            "checkoutId": row.document["order"]["checkoutId"],
            **({"external_id": row.external_id} if row.external_id else {}),
        }
        tracking = tracking_of(row)
        with _basket_named():
            said = self._baskets.to_order(session, agent, row, lock=lock)
        return {**named, **({"tracking": tracking} if tracking else {}), **said}

    def _read(self, payload: Mapping[str, Any], names: tuple[str, ...], basket: Mapping[str, Any]) -> Order:
        """The order of what a partner may say, and of its basket. Raises CannotBePlacedError."""
        said = {name: payload[name] for name in (*_COMMON, *names) if name in payload}
        told = {name: said[name] for name in _TOLD if said.get(name)}
        order = read_order({**said, **basket, **told, **_SHOP}, self._settings.tenant_time_zone)
        if isinstance(order, Refusal):
            raise CannotBePlacedError(*order.problems)
        return order

    def _read_cancellation(self, session: Session, scope: PartnerScope, payload: Mapping[str, Any]) -> Order:
        named = self._read(payload, _CANCELLED, {}).subscription_key or ""
        own = find_own(session, scope, id=named) or find_own(session, scope, name=named)
        if own is None:
            raise refuse("forSubscription", ProblemCode.UNKNOWN, f"There is no subscription {named}.")
        rest = tuple(name for name in _CANCELLED if not name.startswith("subscription"))
        return self._read(payload, rest, {"forSubscription": {"id": own.id, "name": own.reference}})

    def _check_purchase(self, session: Session, scope: PartnerScope, order: Order) -> None:
        """Everything is sold to this partner, now, in that quantity, and to a customer of its own."""
        today = self._settings.day_at(session.now())
        if order.owner is not None and not _is_own_customer(session, scope, order.owner):
            raise refuse("owner", ProblemCode.UNKNOWN, f"There is no customer {order.owner}.")
        if order.start is not None and order.start < today:
            raise refuse("orderDate", ProblemCode.INVALID, "orderDate must not lie in the past.")
        ground = read_new_ground(session, scope, today)
        for index, item in enumerate(order.items):
            _check_item(ground, item, f"orderItems[{index}]")


@contextmanager
def _basket_named() -> Iterator[None]:
    """A basket that is not there is a fault of the field that names it."""
    try:
        yield
    except BasketUnknown as error:
        raise refuse("checkoutId", ProblemCode.UNKNOWN, str(error)) from None


def _find_basket(session: Session, agent: Agent, payload: Mapping[str, Any], *, lock: bool = False) -> BasketRow | None:
    """The basket that the order is; None where a new order says it all, and for a cancellation.

    Raises CannotBePlacedError where a change names none of the partner's.
    """
    basket_id, order_type = payload.get("checkoutId"), payload.get("order_type")
    if order_type == OrderType.UPDATE_SUBSCRIPTION:
        if not isinstance(basket_id, str):
            raise refuse("checkoutId", ProblemCode.MISSING, "checkoutId is required: the id of the basket to order.")
        with _basket_named():
            return find_basket(session, agent, basket_id, buys=False, lock=lock)
    if order_type == OrderType.NEW and isinstance(basket_id, str):
        with suppress(BasketUnknown):
            return find_basket(session, agent, basket_id, buys=True, lock=lock)
    return None


def _read_ordered(session: Session, order_id: str) -> OrderWorkRow:
    """The order that the same request or basket became before. Raises CannotBePlacedError if it was forgotten since."""
    work = session.get(OrderWorkRow, order_id)
    if work is None:
        with _basket_named():
            raise BasketUnknown
    return work


def _check_item(ground: Ground, item: OrderItem, at: str) -> None:
    """The rules of baskets hold for what an order says by itself. Raises CannotBePlacedError."""
    _check_published(ground.on_sale, item.offer, f"{at}.offer")
    for position, ref in enumerate(item.add_ons):
        _check_published(ground.on_sale, ref, f"{at}.addOns[{position}]")
    if item.quantity != item.quantity.to_integral_value():
        raise refuse(f"{at}.quantity", ProblemCode.INVALID, "quantity must be a whole number.")
    wanted = [_add("offer", item.offer, int(item.quantity)), *(_add("add_on", ref, 1) for ref in item.add_ons)]
    found = ground.paid_for(wanted).apply(wanted)
    if isinstance(found, Refusal):
        raise CannotBePlacedError(*(replace(each, field=each.field.replace(ITEMS, at)) for each in found.problems))


def _add(record_type: str, ref: CatalogRef, quantity: int) -> WantedItem:
    return WantedItem(action=UpdateAction.ADD, record_type=record_type, item_id=ref.id, quantity=quantity)


def _check_published(on_sale: OffersOnSale, ref: CatalogRef, field: str) -> None:
    known = next((each for each in on_sale.published if each.ref.id == ref.id), None)
    if known is None or ref.version not in (None, known.ref.version):
        version = f" in version {ref.version}" if ref.version else ""
        raise refuse(field, ProblemCode.UNKNOWN, f"No offer or add-on {ref.id} is published{version}.")


def _is_own_customer(session: Session, scope: PartnerScope, owner: str) -> bool:
    return session.exec(scoped(scope, IdentityRow).where(IdentityRow.id == owner)).first() is not None


@dataclass(frozen=True, kw_only=True)
class PlacedOrder:
    """An order of the partner's."""

    id: str
    #: Limio's reference of the order.
    reference: str
    order_type: str
    state: OrderState
    #: Its subscription's reference, and its id once the store has it.
    subscription_reference: str | None
    subscription_id: str | None
    #: Zuora cannot be used just now: nothing is lost, and it is placed as soon as that is over.
    is_zuora_away: bool


def read_placed(session: Session, scope: PartnerScope, settings: Settings, order_id: str) -> PlacedOrder | None:
    """The partner's order; None where the partner has none of this id, even if another has."""
    own = scoped(scope, OrderRow).where(OrderRow.id == order_id)
    if not is_id(order_id) or session.exec(own).one_or_none() is None:
        return None
    work = session.get(OrderWorkRow, order_id)
    if work is None:
        return None
    number = work.subscription_number
    subscription = find_own(session, scope, name=number) if number else None
    return PlacedOrder(
        id=work.order_id,
        reference=work.number,
        order_type=work.order_type,
        state=OrderState(work.state),
        subscription_reference=number,
        subscription_id=subscription.id if subscription else None,
        is_zuora_away=work.ended_at is None and is_zuora_away(session, settings),
    )


def is_zuora_away(session: Session, settings: Settings) -> bool:
    """Whether Zuora cannot be used just now."""
    limit = read_limit(session, Share.of(settings))
    return limit.is_paused or limit.row.trouble > 0
