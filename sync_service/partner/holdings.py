"""What a partner's basket is computed from: a subscription of its own as it stands, and what it may buy for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, tzinfo
from decimal import Decimal
from typing import Any

from sqlmodel import and_, col, or_, select

from sync_service.access.partner_scope import PartnerScope
from sync_service.commerce.basket.holding import Holding, Lock, pending_change, read_holding
from sync_service.commerce.basket.items import Basket, WantedItem, apply_items
from sync_service.commerce.basket.on_sale import Buyer, OffersOnSale
from sync_service.commerce.catalog import Catalog, Offer, charges_of
from sync_service.commerce.order import CannotBePlacedError, OrderType, Refusal
from sync_service.errors import SyncServiceError
from sync_service.partner.scope import scoped
from sync_service.queue.orders.lanes import OPEN_STATES, OrderState
from sync_service.store.engine import Session
from sync_service.store.object_rows import read_belongings
from sync_service.store.offers import newest_items, read_whole_catalog
from sync_service.store.reads import cancellation_day, read_link
from sync_service.store.tables import (
    AddOnRow,
    OrderWorkRow,
    ScheduleRow,
    SubscriptionOfferRow,
    SubscriptionRow,
    ZuoraLinkRow,
)
from sync_service.subscription.limio.documents import is_id


class SubscriptionUnknown(SyncServiceError):
    """Subscription not found"""

    code = "subscription unknown"


@dataclass(frozen=True, kw_only=True)
class OwnSubscription:
    """One of the partner's subscriptions, with what keeps it from being changed today."""

    document: Mapping[str, Any]
    holding: Holding
    schedule: Sequence[Mapping[str, Any]]
    lock: Lock | None


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What a basket is computed from: what is held, and what this partner may buy."""

    holding: Holding
    on_sale: OffersOnSale
    #: By the catalog's id, a unit for a period, where the catalog leaves the price to Zuora.
    rates: Mapping[str, Decimal]
    today: date

    def apply(self, wanted: Sequence[WantedItem]) -> Basket | Refusal:
        """The basket of all that is wanted, or why it cannot be."""
        return apply_items(self.holding, self.on_sale, wanted, self.today, self.rates)

    def paid_for(self, wanted: Sequence[WantedItem]) -> Ground:
        """The same for a new subscription, whose currency is that of the first item wanted."""
        first = self.on_sale.find(wanted[0].item_id) if wanted else None
        currency = first.currency if first else None
        holding = replace(self.holding, currency=currency)
        return replace(self, holding=holding, on_sale=self.on_sale.priced_in(currency))


def find_own(
    session: Session, scope: PartnerScope, *, id: str | None = None, name: str | None = None, lock: bool = False
) -> SubscriptionRow | None:
    """The partner's subscription of that id, else of that reference; None for all others, whosever they are.

    With `lock`, in a transaction, it stays as it is until that ends.
    """
    if id is not None and not is_id(id):
        return None
    named = scoped(scope, SubscriptionRow).where(
        SubscriptionRow.id == id if id is not None else SubscriptionRow.reference == name
    )
    if lock:
        named = named.with_for_update()
    return session.exec(named.limit(1), execution_options={"populate_existing": True}).first()


def look_at(session: Session, scope: PartnerScope, subscription_id: str, today: date, zone: tzinfo) -> OwnSubscription:
    """The partner's subscription on `today`, in the tenant's `zone`. Raises SubscriptionUnknown."""
    row = find_own(session, scope, id=subscription_id)
    if row is None:
        raise SubscriptionUnknown
    holding = read_own(session, row, today, zone)
    return OwnSubscription(
        document=row.document,
        holding=holding,
        schedule=read_belongings(session, ScheduleRow, row.id),
        lock=find_lock(session, row, holding, today),
    )


def read_own(session: Session, subscription: SubscriptionRow, today: date, zone: tzinfo) -> Holding:
    """What a subscription that was found in scope holds on `today`, in the tenant's `zone`."""
    return read_holding(
        subscription.document,
        read_belongings(session, SubscriptionOfferRow, subscription.id),
        read_belongings(session, AddOnRow, subscription.id),
        read_belongings(session, ScheduleRow, subscription.id),
        today,
        zone,
    )


def read_ground(
    session: Session, scope: PartnerScope, subscription: SubscriptionRow, today: date, zone: tzinfo
) -> Ground:
    """For a change of a subscription that was found in scope, on `today` in the tenant's `zone`."""
    return _stock(session, scope, read_own(session, subscription, today, zone), today)


def read_new_ground(session: Session, scope: PartnerScope, today: date, country: str | None = None) -> Ground:
    """For a new subscription in that country; None: in any."""
    return _stock(session, scope, Holding(country=country), today)


def _stock(session: Session, scope: PartnerScope, holding: Holding, today: date) -> Ground:
    catalog = read_whole_catalog(session)
    buyer = Buyer(partner_org=scope.partner_org, currency=holding.currency, country=holding.country)
    items = _shelved(catalog)
    rates = dict(_rates(catalog, items, holding.currency, today))
    return Ground(holding=holding, on_sale=OffersOnSale(items, buyer), rates=rates, today=today)


def _shelved(catalog: Catalog) -> tuple[Offer, ...]:
    """Each offer and add-on in its newest published version, and behind those what is not published any more."""
    published = {ref: offer for ref, offer in catalog.items.items() if offer.is_published}
    sold = newest_items(replace(catalog, items=published))
    ids = {offer.ref.id for offer in sold}
    return (*sold, *(offer for offer in newest_items(catalog) if offer.ref.id not in ids))


def find_lock(session: Session, subscription: SubscriptionRow, holding: Holding, today: date) -> Lock | None:
    """What keeps the subscription from being changed today."""
    number = subscription.reference or ""
    link = read_link(session, number)
    open_orders, cancelled_on = _open_orders(session, number, link), cancellation_day(link, subscription)
    return pending_change(holding, today, open_orders=open_orders, cancelled_on=cancelled_on)


def _open_orders(session: Session, number: str, link: ZuoraLinkRow | None) -> list[str]:
    """Orders that have not ended, and cancellations that no sync has read since."""
    unfinished = col(OrderWorkRow.state).in_([*OPEN_STATES, OrderState.HELD])
    unread = and_(
        col(OrderWorkRow.order_type) == OrderType.CANCEL_SUBSCRIPTION,
        col(OrderWorkRow.state) == OrderState.COMPLETE,
        col(OrderWorkRow.ended_at) > (link.read_began if link else 0),
    )
    found = select(OrderWorkRow.order_id).where(OrderWorkRow.subscription_number == number, or_(unfinished, unread))
    return list(session.exec(found.order_by(col(OrderWorkRow.submitted_at)).limit(1)))


def _rates(catalog: Catalog, items: tuple[Offer, ...], currency: str | None, today: date) -> list[tuple[str, Decimal]]:
    """Zuora's list price of what has one recurring charge and no price of Limio's."""
    found = []
    for offer in items:
        if not offer.has_external_price:
            continue
        try:
            charges = [charge for charge in charges_of(offer, catalog, today) if charge.type == "Recurring"]
        except CannotBePlacedError:
            continue
        price = charges[0].prices.get(currency or offer.currency or "") if len(charges) == 1 else None
        if price is not None and charges[0].model in ("FlatFee", "PerUnit"):
            found.append((offer.ref.id, price))
    return found
