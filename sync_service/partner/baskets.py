"""A partner's baskets: opened for a subscription of its own, changed, and ordered, once.

What is wanted is computed anew at every change, and once more when it is ordered: what a user has seen is ordered as it
was seen, or not at all (Limio's page "Update subscription", and its partner API).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sync_service.access.partner_scope import PartnerScope
from sync_service.commerce.basket.holding import Holding
from sync_service.commerce.basket.items import Basket, WantedItem, apply_items, check_holding, refuse
from sync_service.commerce.basket.lock import Lock
from sync_service.commerce.basket.placement import to_order
from sync_service.commerce.basket.shown import show_checkout
from sync_service.commerce.options import Options
from sync_service.commerce.order import CannotBePlacedError, Order, Refusal, UpdateAction
from sync_service.commerce.payload import read_order
from sync_service.errors import SyncServiceError
from sync_service.partner.basket_rows import (
    Agent,
    BasketUnknown,
    check_seen,
    fill,
    find_basket,
    make_room,
    new_basket,
    read_ordered,
    wanted_of,
)
from sync_service.partner.holdings import Stock, find_lock, find_own, read_own, read_stock
from sync_service.queue.order_lanes import hold_lane
from sync_service.queue.submission import LOCK_TIMEOUT_MS, place_order
from sync_service.settings import Settings
from sync_service.store.effects import new_id
from sync_service.store.engine import Database, Session
from sync_service.store.tables import BasketRow, OrderWorkRow, SubscriptionRow
from sync_service.subscription.limio.documents import timestamp_of


class SubscriptionUnknown(SyncServiceError):
    """Subscription not found"""

    code = "subscription unknown"


class SubscriptionLocked(SyncServiceError):
    """A change is pending; `lock` says which, and until when."""

    code = "subscription locked"

    def __init__(self, lock: Lock) -> None:
        super().__init__(lock.message)
        self.lock = lock


@dataclass(frozen=True, kw_only=True)
class Opening:
    """What a basket is opened with. One of `id` and `name`: the subscription's id or reference."""

    id: str | None = None
    name: str | None = None
    external_id: str | None = None
    wanted: tuple[WantedItem, ...] = ()
    #: An offer to begin with, where `wanted` adds none.
    preselected: str | None = None
    #: Kept with the basket and shown again.
    journey: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class BasketView:
    """A basket as its owner sees it. `document` has `order`, `nextActions` and `journey` of Limio's checkout."""

    id: str
    subscription_id: str | None
    #: The owner of the subscription (`id-…`).
    owner: str | None
    is_completed: bool
    order_id: str | None
    document: dict[str, Any]


class Baskets:
    """Baskets that change a subscription."""

    def __init__(self, database: Database, settings: Settings, options: Options) -> None:
        self._database = database
        self._settings = settings
        self._options = options

    def open(self, agent: Agent, opening: Opening) -> BasketView:
        """A new basket; an older one of the same agent and subscription gives way to it.

        Raises SubscriptionUnknown, SubscriptionLocked, and CannotBePlacedError where its items cannot be.
        """
        with self._database.transaction(lock_timeout_ms=LOCK_TIMEOUT_MS) as session:
            subscription = find_own(session, agent.scope, id=opening.id, name=opening.name)
            if subscription is None:
                raise SubscriptionUnknown
            ground = self._read_ground(session, agent.scope, subscription)
            check_holding(ground.holding)
            _check_lock(session, subscription, ground)
            wanted = [*_preselected(opening, ground), *opening.wanted]
            now = session.now()
            row = new_basket(agent, subscription.id, now)
            row.document = {"journey": opening.journey}
            _fill(row, ground, wanted, opening.external_id, now)
            make_room(session, agent, subscription.id)
            session.add(row)
            return _view(row, subscription)

    def read(self, agent: Agent, basket_id: str | None = None) -> BasketView:
        """The basket of that id, else the agent's newest active one. Raises BasketUnknown."""
        with self._database.reading() as session:
            row = find_basket(session, agent, basket_id)
            subscription = _subscription_of(session, agent.scope, row)
            return _view(row, subscription)

    def change(
        self,
        agent: Agent,
        basket_id: str | None,
        wanted: Sequence[WantedItem],
        *,
        external_id: str | None = None,
        of: Opening | None = None,
    ) -> BasketView:
        """Let the basket be all that is wanted and nothing else; `of` names the subscription that is meant.

        Raises BasketUnknown, and CannotBePlacedError, after which the basket is as before.
        """
        with self._database.transaction(lock_timeout_ms=LOCK_TIMEOUT_MS) as session:
            row = find_basket(session, agent, basket_id, lock=True)
            subscription = _subscription_of(session, agent.scope, row)
            if row.state != "active":
                refuse("This basket was ordered; open another.", field="order.checkoutId")
            if of is not None and not _is_meant(of, subscription):
                refuse("This basket is for another subscription.", field="order.forSubscription")
            now = session.now()
            ground = self._read_ground(session, agent.scope, subscription)
            _fill(row, ground, wanted, external_id or row.external_id, now)
            session.add(row)
            return _view(row, subscription)

    def submit(self, agent: Agent, basket_id: str | None, *, client: str) -> OrderWorkRow:
        """Order what the basket holds, for `client`; a basket that was ordered gives its order again.

        One transaction: everything is checked again and one order placed, or nothing is. Raises BasketUnknown,
        SubscriptionLocked, and CannotBePlacedError with what has changed since it was seen.
        """
        with self._database.transaction(lock_timeout_ms=LOCK_TIMEOUT_MS) as session:
            row = find_basket(session, agent, basket_id, lock=True)
            subscription = _subscription_of(session, agent.scope, row)
            if row.order_id is not None:
                return read_ordered(session, row)
            hold_lane(session, subscription.reference or "")
            locked = find_own(session, agent.scope, id=subscription.id, lock=True)
            if locked is None:
                raise BasketUnknown
            order = self._order_of(session, agent, row, locked)
            work = place_order(
                session,
                self._settings,
                self._options,
                order,
                order_id=new_id("order"),
                client=client,
                partner_org=agent.scope.partner_org,
            )
            row.state, row.order_id = "completed", work.order_id
            session.add(row)
            return work

    def check(self, session: Session, agent: Agent, basket_id: str | None) -> Order:
        """The order that the basket would become now. Raises as `submit` does."""
        row = find_basket(session, agent, basket_id)
        subscription = _subscription_of(session, agent.scope, row)
        return self._order_of(session, agent, row, subscription)

    def _order_of(self, session: Session, agent: Agent, row: BasketRow, subscription: SubscriptionRow) -> Order:
        ground = self._read_ground(session, agent.scope, subscription)
        _check_lock(session, subscription, ground)
        basket = check_seen(row, ground.apply(wanted_of(row)))
        payload = to_order(ground.holding, basket, checkout_id=row.id, external_id=row.external_id)
        order = read_order(payload, self._options.zone)
        if isinstance(order, Refusal):
            raise CannotBePlacedError(*order.problems)
        return order

    def _read_ground(self, session: Session, scope: PartnerScope, subscription: SubscriptionRow) -> _Ground:
        now = session.now()
        today = self._settings.day_at(now)
        holding = read_own(session, subscription, today, self._options.zone)
        stock = read_stock(session, scope, currency=holding.currency, country=holding.country, today=today)
        return _Ground(holding=holding, stock=stock, today=today)


@dataclass(frozen=True, kw_only=True)
class _Ground:
    """What a basket is computed from."""

    holding: Holding
    stock: Stock
    today: date

    def apply(self, wanted: Sequence[WantedItem]) -> Basket | Refusal:
        return apply_items(self.holding, self.stock.on_sale, wanted, self.today, self.stock.rates)


def _subscription_of(session: Session, scope: PartnerScope, row: BasketRow) -> SubscriptionRow:
    """What the basket changes. Raises BasketUnknown where it has become another's since."""
    subscription = find_own(session, scope, id=row.subscription_id)
    if subscription is None:
        raise BasketUnknown
    return subscription


def _is_meant(of: Opening, subscription: SubscriptionRow) -> bool:
    return subscription.id == of.id if of.id is not None else subscription.reference == of.name


def _check_lock(session: Session, subscription: SubscriptionRow, ground: _Ground) -> None:
    lock = find_lock(session, subscription, ground.holding, ground.today)
    if lock is not None:
        raise SubscriptionLocked(lock)


def _preselected(opening: Opening, ground: _Ground) -> list[WantedItem]:
    """The offer to begin with, in the quantity that is held if it is sold in it, else in its least."""
    current = ground.holding.current
    adds = any(each.action is UpdateAction.ADD and each.record_type == "offer" for each in opening.wanted)
    if opening.preselected is None or adds or (current and current.offer.ref.id == opening.preselected):
        return []
    least = WantedItem(action=UpdateAction.ADD, record_type="offer", item_id=opening.preselected)
    same = WantedItem(**{**vars(least), "quantity": current.quantity if current else None})
    return [least if isinstance(ground.apply([same]), Refusal) else same]


def _fill(row: BasketRow, ground: _Ground, wanted: Sequence[WantedItem], external_id: str | None, now: int) -> None:
    """Let the row hold the basket of all that is wanted. Raises CannotBePlacedError."""
    basket = ground.apply(wanted)
    if isinstance(basket, Refusal):
        raise CannotBePlacedError(*basket.problems)
    row.external_id = external_id
    shown = show_checkout(
        ground.holding,
        basket,
        basket_id=row.id,
        external_id=external_id,
        today=ground.today,
        at=timestamp_of(now),
    )
    fill(row, wanted, basket, shown, now)


def _view(row: BasketRow, subscription: SubscriptionRow) -> BasketView:
    return BasketView(
        id=row.id,
        subscription_id=row.subscription_id,
        owner=subscription.owner,
        is_completed=row.order_id is not None,
        order_id=row.order_id,
        document=row.document,
    )
