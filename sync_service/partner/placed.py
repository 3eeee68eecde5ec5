"""A partner's orders after they were placed: where each stands."""

from __future__ import annotations

from dataclasses import dataclass

from sync_service.access.partner_scope import PartnerScope
from sync_service.partner.holdings import find_own
from sync_service.partner.reading import is_id, scoped
from sync_service.queue.limit import Share, read_limit
from sync_service.queue.order_lanes import OrderState
from sync_service.settings import Settings
from sync_service.store.engine import Session
from sync_service.store.tables import OrderRow, OrderWorkRow


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
