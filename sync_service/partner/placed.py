"""A partner's orders after they were placed: where each stands."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import col

from sync_service.access.partner_scope import PartnerScope
from sync_service.partner.reading import scoped
from sync_service.queue.limit import Share, read_limit
from sync_service.queue.order_lanes import OrderState
from sync_service.settings import Settings
from sync_service.store.engine import Session
from sync_service.store.tables import OrderRow, OrderWorkRow, SubscriptionRow


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
    if session.exec(scoped(scope, OrderRow).where(OrderRow.id == order_id)).one_or_none() is None:
        return None
    work = session.get(OrderWorkRow, order_id)
    if work is None:
        return None
    limit = read_limit(session, Share.of(settings))
    number = work.subscription_number
    own = scoped(scope, SubscriptionRow).where(SubscriptionRow.reference == number).order_by(col(SubscriptionRow.id))
    subscription = session.exec(own.limit(1)).first() if number else None
    return PlacedOrder(
        id=work.order_id,
        reference=work.number,
        order_type=work.order_type,
        state=OrderState(work.state),
        subscription_reference=number,
        subscription_id=subscription.id if subscription else None,
        is_zuora_away=work.ended_at is None and (limit.is_paused or limit.row.trouble > 0),
    )
