"""Orders that a partner places: a new subscription, a cancellation, and what a basket became.

Of an order's payload only the fields are read that a partner may fill; who it is for, what it costs and who pays come
from the store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from sync_service.access.partner_scope import PartnerScope
from sync_service.commerce.basket.on_sale import OffersOnSale, cross_sells
from sync_service.commerce.basket.quantity import read_quantity
from sync_service.commerce.catalog import Offer
from sync_service.commerce.exact import write_json
from sync_service.commerce.options import Options
from sync_service.commerce.order import CannotBePlacedError, CatalogRef, Order, OrderType, Problem, ProblemCode, Refusal
from sync_service.commerce.payload import read_order
from sync_service.partner.basket_rows import Agent, BasketUnknown, find_basket, read_ordered
from sync_service.partner.baskets import Baskets, SubscriptionLocked
from sync_service.partner.holdings import find_own, read_stock
from sync_service.partner.purchases import Purchases
from sync_service.partner.reading import scoped
from sync_service.queue import questions as asks
from sync_service.queue.submission import LOCK_TIMEOUT_MS, OrderRequest, claim_request, place_order
from sync_service.settings import Settings
from sync_service.store.attribution import find_paying_account
from sync_service.store.effects import new_id
from sync_service.store.engine import Database, Session
from sync_service.store.tables import BasketRow, IdentityRow, OrderWorkRow

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
_CANCELLED = ("forSubscription", "subscriptionId", "subscriptionRef", "cancelDate", "data", "reason")
#: What would change such an order if it were read: better said than left out.
_NOT_TAKEN = ("orderDiscount", "isGift", "isRedeem", "giftCode", "redeemCode")
#: Marks an order as ours in Zuora, so that its callouts are echoes.
_SHOP = {"source": "shop", "initiated_source": "shop"}


class PartnerOrders:
    """Places orders for whom they belong to."""

    def __init__(self, database: Database, settings: Settings, options: Options) -> None:
        self._database = database
        self._settings = settings
        self._options = options
        self._baskets = Baskets(database, settings, options)
        self._purchases = Purchases(database, settings)

    def place(self, agent: Agent, payload: Mapping[str, Any], asked: OrderRequest, *, client: str) -> OrderWorkRow:
        """Make the order durable; the same request again gives the same order.

        An `update_subscription` order is its basket, named by `checkoutId`: whatever else it says is not read. A `new`
        order whose `checkoutId` is a basket buys what that holds. Raises CannotBePlacedError with everything that is
        wrong, OtherBody, SubscriptionLocked.
        """
        if payload.get("order_type") == OrderType.UPDATE_SUBSCRIPTION:
            with _basket_named():
                return self._baskets.submit(agent, _basket_id(payload), client=client)
        with self._database.transaction(lock_timeout_ms=LOCK_TIMEOUT_MS) as session:
            row = _find_purchase(session, agent, payload, lock=True)
            if row is not None and row.order_id is not None:
                return read_ordered(session, row)
            order_id = new_id("order")
            known = claim_request(session, asked, order_id)
            if known != order_id:
                work = session.get(OrderWorkRow, known)
                assert work is not None  # noqa: S101 - it is kept longer than its request
                return work
            order = self._check(session, agent, payload, row)
            work = place_order(
                session,
                self._settings,
                self._options,
                order,
                order_id=order_id,
                client=client,
                partner_org=agent.scope.partner_org,
            )
            if row is not None:
                row.state, row.order_id = "completed", work.order_id
                session.add(row)
            return work

    def ask_preview(self, agent: Agent, payload: Mapping[str, Any]) -> int:
        """Leave the question what the order would cost for a worker; returns its id.

        Raises CannotBePlacedError, SubscriptionLocked, TooManyAsked.
        """
        with self._database.transaction(lock_timeout_ms=LOCK_TIMEOUT_MS) as session:
            order = self.check(session, agent, payload)
            payer = find_paying_account(session, agent.scope.partner_org) if order.type is OrderType.NEW else None
            question = write_json({"order": order.document, "payer_account": payer})
            return asks.leave(
                session, asks.ORDER, "", agent.subject, question=question, most=asks.MOST_OPEN_OF_A_CLIENT
            )

    def find_faults(self, agent: Agent, basket_id: str | None) -> tuple[Problem, ...]:
        """Why a basket of either kind cannot be ordered as it was seen; empty if it can. Raises BasketUnknown."""
        with self._database.reading() as session:
            try:
                row = find_basket(session, agent, basket_id)
            except BasketUnknown:
                row = find_basket(session, agent, basket_id, buys=True)
            if row.state != "active":
                return (Problem(field="checkoutId", code=ProblemCode.NOT_ALLOWED, message="This basket was ordered."),)
            try:
                if row.subscription_id is None:
                    self._purchases.check(session, agent, row)
                else:
                    self._baskets.check(session, agent, row.id)
            except CannotBePlacedError as error:
                return error.problems
            except SubscriptionLocked as error:
                return (Problem(field="forSubscription", code=ProblemCode.PENDING_CHANGE, message=str(error)),)
        return ()

    def check(self, session: Session, agent: Agent, payload: Mapping[str, Any]) -> Order:
        """The order of a payload, if this partner may place it now. Raises as `place` does."""
        if payload.get("order_type") == OrderType.UPDATE_SUBSCRIPTION:
            with _basket_named():
                return self._baskets.check(session, agent, _basket_id(payload))
        return self._check(session, agent, payload, _find_purchase(session, agent, payload))

    def _check(self, session: Session, agent: Agent, payload: Mapping[str, Any], row: BasketRow | None) -> Order:
        taken = [name for name in _NOT_TAKEN if payload.get(name)]
        if taken:
            _refuse(taken[0], ProblemCode.NOT_ALLOWED, f"{taken[0]}: a partner's order takes none; leave it out.")
        match payload.get("order_type"):
            case OrderType.NEW:
                bought = {} if row is None else {"orderItems": self._purchases.check(session, agent, row)}
                order = self._read(payload, _NEW, **bought)
                self._check_purchase(session, agent.scope, order)
            case OrderType.CANCEL_SUBSCRIPTION:
                order = self._read_cancellation(session, agent.scope, payload)
            case _:
                words = f"{OrderType.NEW}, {OrderType.UPDATE_SUBSCRIPTION} or {OrderType.CANCEL_SUBSCRIPTION}"
                _refuse("order_type", ProblemCode.UNSUPPORTED, f"order_type must be {words}.")
        return order

    def _read(self, payload: Mapping[str, Any], names: tuple[str, ...], **more: Any) -> Order:
        """The order of what a partner may say. Raises CannotBePlacedError."""
        said = {name: payload[name] for name in (*_COMMON, *names) if name in payload}
        order = read_order({**said, **more, **_SHOP}, self._options.zone)
        if isinstance(order, Refusal):
            raise CannotBePlacedError(*order.problems)
        return order

    def _read_cancellation(self, session: Session, scope: PartnerScope, payload: Mapping[str, Any]) -> Order:
        named = self._read(payload, _CANCELLED).subscription_key or ""
        own = find_own(session, scope, id=named) or find_own(session, scope, name=named)
        if own is None:
            _refuse("forSubscription", ProblemCode.UNKNOWN, f"There is no subscription {named}.")
        rest = tuple(name for name in _CANCELLED if not name.startswith("subscription"))
        return self._read(payload, rest, forSubscription={"id": own.id, "name": own.reference})

    def _check_purchase(self, session: Session, scope: PartnerScope, order: Order) -> None:
        """Everything is sold to this partner, now, in that quantity, and to a customer of its own."""
        now = session.now()
        today = self._settings.day_at(now)
        if order.owner is not None and not _is_own_customer(session, scope, order.owner):
            _refuse("owner", ProblemCode.UNKNOWN, f"There is no customer {order.owner}.")
        if order.start is not None and order.start < today:
            _refuse("orderDate", ProblemCode.INVALID, "orderDate must not lie in the past.")
        on_sale = read_stock(session, scope, currency=None, country=None, today=today).on_sale
        for index, item in enumerate(order.items):
            at = f"orderItems[{index}]"
            offer = _find_sold(on_sale, item.offer, "offer", f"{at}.offer")
            if item.quantity != item.quantity.to_integral_value():
                _refuse(f"{at}.quantity", ProblemCode.INVALID, "quantity must be a whole number.")
            read_quantity(offer, int(item.quantity), field=f"{at}.quantity")
            fitting = on_sale.named(cross_sells(offer))
            for position, ref in enumerate(item.add_ons):
                add_on = _find_sold(on_sale, ref, "add_on", f"{at}.addOns[{position}]")
                if add_on not in fitting:
                    message = f"{add_on.name} is not sold with {offer.name}."
                    _refuse(f"{at}.addOns[{position}]", ProblemCode.NOT_ALLOWED, message)


def _basket_id(payload: Mapping[str, Any]) -> str:
    """Raises CannotBePlacedError."""
    basket_id = payload.get("checkoutId")
    if not isinstance(basket_id, str) or not basket_id.isprintable():
        _refuse("checkoutId", ProblemCode.MISSING, "checkoutId is required: the id of the basket to order.")
    return basket_id


@contextmanager
def _basket_named() -> Iterator[None]:
    """A basket that is not there is a fault of the field that names it."""
    try:
        yield
    except BasketUnknown as error:
        _refuse("checkoutId", ProblemCode.UNKNOWN, str(error))


def _find_purchase(
    session: Session, agent: Agent, payload: Mapping[str, Any], *, lock: bool = False
) -> BasketRow | None:
    """The basket that a new order buys, where its `checkoutId` is one of the partner's; else the order says it all."""
    basket_id = payload.get("checkoutId")
    if payload.get("order_type") != OrderType.NEW or not isinstance(basket_id, str) or not basket_id.isprintable():
        return None
    try:
        return find_basket(session, agent, basket_id, buys=True, lock=lock)
    except BasketUnknown:
        return None


def _find_sold(on_sale: OffersOnSale, ref: CatalogRef, record_type: str, field: str) -> Offer:
    """The item in its published version. Raises CannotBePlacedError."""
    known = next((each for each in on_sale.items if each.ref.id == ref.id), None)
    if known is None or not known.is_published or ref.version not in (None, known.ref.version):
        version = f" in version {ref.version}" if ref.version else ""
        _refuse(field, ProblemCode.UNKNOWN, f"No offer or add-on {ref.id} is published{version}.")
    if not on_sale.sells(known) or known.record_type != record_type:
        _refuse(field, ProblemCode.NOT_ALLOWED, f"{on_sale.name_of(ref.id)} is not sold to you.")
    return known


def _is_own_customer(session: Session, scope: PartnerScope, owner: str) -> bool:
    return session.exec(scoped(scope, IdentityRow).where(IdentityRow.id == owner)).first() is not None


def _refuse(field: str, code: ProblemCode, message: str) -> NoReturn:
    raise CannotBePlacedError(Problem(field=field, code=code, message=message))
