"""A partner's baskets: what changes a subscription of its own, and what buys a new one.

What is wanted is computed anew at every change, and once more when it is ordered: what a user has seen is ordered as it
was seen, or not at all (Limio's pages "Update subscription" and "Partner checkout", and its partner API).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sync_service.access.partner_scope import PartnerScope
from sync_service.commerce.basket.holding import Lock
from sync_service.commerce.basket.items import WantedItem, check_holding, refuse
from sync_service.commerce.basket.placement import to_order
from sync_service.commerce.basket.shown import show_checkout
from sync_service.commerce.order import CannotBePlacedError, Refusal, UpdateAction
from sync_service.errors import SyncServiceError
from sync_service.partner.basket_rows import (
    Agent,
    BasketUnknown,
    check_seen,
    fill,
    find_basket,
    make_room,
    new_basket,
    wanted_of,
)
from sync_service.partner.holdings import (
    Ground,
    SubscriptionUnknown,
    find_lock,
    find_own,
    read_ground,
    read_new_ground,
)
from sync_service.queue.orders.acceptance import LOCK_TIMEOUT_MS
from sync_service.queue.orders.lanes import hold_lane
from sync_service.settings import Settings
from sync_service.store.engine import Database, Session
from sync_service.store.tables import BasketRow, SubscriptionRow
from sync_service.subscription.limio.documents import timestamp_of


class SubscriptionLocked(SyncServiceError):
    """A change is pending; `lock` says which, and until when."""

    code = "subscription locked"

    def __init__(self, lock: Lock) -> None:
        super().__init__(lock.message)
        self.lock = lock


@dataclass(frozen=True, kw_only=True)
class Opening:
    """What a basket is opened with. `id` or `name` (its reference) is the subscription; neither: it buys a new one."""

    id: str | None = None
    name: str | None = None
    #: Of a new subscription.
    country: str | None = None
    external_id: str | None = None
    wanted: tuple[WantedItem, ...] = ()
    #: An offer to begin with, where `wanted` adds none.
    preselected: str | None = None
    #: Kept with the basket and shown again; its `tracking` reaches the order.
    journey: dict[str, Any] = field(default_factory=dict)

    @property
    def buys(self) -> bool:
        """Whether a new subscription is bought."""
        return self.id is None and self.name is None


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
    """What partners are about to change and to buy."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def open(self, agent: Agent, opening: Opening) -> BasketView:
        """A new basket; an older one of the same agent and subscription gives way to it.

        Raises SubscriptionUnknown, SubscriptionLocked, and CannotBePlacedError where its items cannot be.
        """
        with self._database.transaction(lock_timeout_ms=LOCK_TIMEOUT_MS) as session:
            subscription = None
            if not opening.buys:
                subscription = find_own(session, agent.scope, id=opening.id, name=opening.name)
                if subscription is None:
                    raise SubscriptionUnknown
            ground = self._read_ground(session, agent.scope, subscription, opening.country)
            if subscription is not None:
                _check_lock(session, subscription, ground)
                check_holding(ground.holding)
            row = new_basket(agent, subscription.id if subscription else None, session.now())
            row.external_id, row.document = opening.external_id, {"journey": opening.journey}
            _fill(row, ground, [*_preselected(opening, ground), *opening.wanted], row.created_at)
            make_room(session, agent, row.subscription_id)
            session.add(row)
            return _view(row, subscription)

    def read(self, agent: Agent, basket_id: str | None = None, *, buys: bool = False) -> BasketView:
        """The basket of that id, else the agent's newest active one. Raises BasketUnknown."""
        with self._database.reading() as session:
            row = find_basket(session, agent, basket_id, buys=buys)
            return _view(row, _subscription_of(session, agent.scope, row))

    def change(
        self,
        agent: Agent,
        basket_id: str | None,
        wanted: Sequence[WantedItem],
        *,
        of: Opening | None = None,
        buys: bool = False,
        external_id: str | None = None,
        tracking: Mapping[str, Any] | None = None,
    ) -> BasketView:
        """Let the basket be all that is wanted and nothing else; `of` names the subscription that is meant.

        Raises BasketUnknown, and CannotBePlacedError, after which the basket is as before.
        """
        with self._database.transaction(lock_timeout_ms=LOCK_TIMEOUT_MS) as session:
            row = find_basket(session, agent, basket_id, buys=buys, lock=True)
            subscription = _subscription_of(session, agent.scope, row)
            if row.state != "active":
                refuse("This basket was ordered; open another.", field="order.checkoutId")
            if of is not None and subscription is not None and not _is_meant(of, subscription):
                refuse("This basket is for another subscription.", field="order.forSubscription")
            row.external_id = external_id or row.external_id
            if tracking:
                row.document = {**row.document, "journey": {**row.document["journey"], "tracking": dict(tracking)}}
            ground = self._read_ground(session, agent.scope, subscription, _country_of(row))
            _fill(row, ground, wanted, session.now())
            session.add(row)
            return _view(row, subscription)

    def to_order(self, session: Session, agent: Agent, row: BasketRow, *, lock: bool = False) -> dict[str, Any]:
        """What the basket says of its order, if it still is what its user saw; with `lock` it stays so until the end.

        Raises BasketUnknown, SubscriptionLocked, and CannotBePlacedError with what has changed.
        """
        subscription = _subscription_of(session, agent.scope, row)
        if subscription is not None and lock:
            hold_lane(session, subscription.reference or "")
            subscription = _subscription_of(session, agent.scope, row, lock=True)
        ground = self._read_ground(session, agent.scope, subscription, _country_of(row))
        if subscription is not None:
            _check_lock(session, subscription, ground)
        wanted = wanted_of(row)
        ground = ground if subscription is not None else ground.paid_for(wanted)
        return to_order(ground.holding, check_seen(row, ground.apply(wanted)))

    def _read_ground(
        self, session: Session, scope: PartnerScope, subscription: SubscriptionRow | None, country: str | None
    ) -> Ground:
        today = self._settings.day_at(session.now())
        if subscription is None:
            return read_new_ground(session, scope, today, country)
        return read_ground(session, scope, subscription, today, self._settings.tenant_time_zone)


def _subscription_of(
    session: Session, scope: PartnerScope, row: BasketRow, *, lock: bool = False
) -> SubscriptionRow | None:
    """What the basket changes; None: it buys. Raises BasketUnknown where it has become another's since."""
    if row.subscription_id is None:
        return None
    subscription = find_own(session, scope, id=row.subscription_id, lock=lock)
    if subscription is None:
        raise BasketUnknown
    return subscription


def _country_of(row: BasketRow) -> str | None:
    country: str | None = row.document["order"].get("country")
    return country


def _is_meant(of: Opening, subscription: SubscriptionRow) -> bool:
    return subscription.id == of.id if of.id is not None else subscription.reference == of.name


def _check_lock(session: Session, subscription: SubscriptionRow, ground: Ground) -> None:
    lock = find_lock(session, subscription, ground.holding, ground.today)
    if lock is not None:
        raise SubscriptionLocked(lock)


def _preselected(opening: Opening, ground: Ground) -> list[WantedItem]:
    """The offer to begin with, in the quantity that is held if it is sold in it, else in its least."""
    current = ground.holding.current
    adds = any(each.action is UpdateAction.ADD and each.record_type == "offer" for each in opening.wanted)
    if opening.preselected is None or adds or (current and current.offer.ref.id == opening.preselected):
        return []
    least = WantedItem(action=UpdateAction.ADD, record_type="offer", item_id=opening.preselected)
    same = replace(least, quantity=current.quantity if current else None)
    return [least if isinstance(ground.apply([same]), Refusal) else same]


def _fill(row: BasketRow, ground: Ground, wanted: Sequence[WantedItem], now: int) -> None:
    """Let the row hold the basket of all that is wanted. Raises CannotBePlacedError."""
    ground = ground if row.subscription_id is not None else ground.paid_for(wanted)
    basket = ground.apply(wanted)
    if isinstance(basket, Refusal):
        raise CannotBePlacedError(*basket.problems)
    shown = show_checkout(
        ground.holding,
        basket,
        basket_id=row.id,
        external_id=row.external_id,
        today=ground.today,
        at=timestamp_of(now),
    )
    if row.subscription_id is None and row.external_id:
        shown["order"]["checkoutId"] = row.external_id
    fill(row, wanted, basket, shown, now)


def _view(row: BasketRow, subscription: SubscriptionRow | None) -> BasketView:
    return BasketView(
        id=row.id,
        subscription_id=row.subscription_id,
        owner=subscription.owner if subscription else None,
        is_completed=row.order_id is not None,
        order_id=row.order_id,
        document=row.document,
    )
