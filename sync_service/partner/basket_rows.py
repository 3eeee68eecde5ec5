"""Baskets in the store: whose they are, how many there may be, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import col, select

from sync_service.access.partner_scope import PartnerScope
from sync_service.errors import SyncServiceError
from sync_service.store.engine import Database, Session
from sync_service.store.tables import BasketRow, OrderWorkRow

#: How long a basket lives after it was last written.
LIFE_MS = 24 * 3_600_000
#: More active baskets of one user or client there never are: the oldest one gives way.
MOST_ACTIVE = 20

_FORGET = "DELETE FROM basket WHERE expires_at < {now}"


class BasketUnknown(SyncServiceError):
    """There is no such basket, or it has expired: open one."""

    code = "basket unknown"


@dataclass(frozen=True)
class Agent:
    """Who acts for a partner: an API client or a user, by id."""

    scope: PartnerScope
    subject: str


def find_basket(session: Session, agent: Agent, basket_id: str | None, *, lock: bool = False) -> BasketRow:
    """The basket of that id, whoever of the organisation made it; without an id the agent's newest active one.

    Only one that changes a subscription. Raises BasketUnknown, also for what is another organisation's or expired.
    """
    own = select(BasketRow).where(
        BasketRow.partner_org == agent.scope.partner_org,
        BasketRow.expires_at > session.now(),
        BasketRow.state != "superseded",
        col(BasketRow.subscription_id).is_not(None),
    )
    if basket_id is None:
        own = own.where(BasketRow.subject == agent.subject, BasketRow.state == "active")
    else:
        own = own.where(BasketRow.id == basket_id)
    if lock:
        own = own.with_for_update()
    newest = own.order_by(col(BasketRow.updated_at).desc(), col(BasketRow.id)).limit(1)
    row = session.exec(newest, execution_options={"populate_existing": True}).first()
    if row is None:
        raise BasketUnknown
    return row


def make_room(session: Session, agent: Agent, subscription_id: str | None) -> None:
    """Let the agent's older basket of this subscription give way, and the oldest ones where there are too many."""
    theirs = select(BasketRow).where(
        BasketRow.partner_org == agent.scope.partner_org,
        BasketRow.subject == agent.subject,
        BasketRow.state == "active",
        BasketRow.expires_at > session.now(),
    )
    newest = session.exec(theirs.order_by(col(BasketRow.updated_at).desc(), col(BasketRow.id)).with_for_update()).all()
    kept = 0
    for row in newest:
        of_the_same = subscription_id is not None and row.subscription_id == subscription_id
        if of_the_same or kept >= MOST_ACTIVE - 1:
            row.state = "superseded"
            session.add(row)
        else:
            kept += 1
    session.flush()


def forget_baskets(database: Database) -> int:
    """Delete expired baskets; returns how many. Repeatable."""
    with database.transaction() as session:
        return session.run(_FORGET).rowcount


def read_ordered(session: Session, row: BasketRow) -> OrderWorkRow:
    """The order that a basket became. Raises BasketUnknown where it was forgotten since."""
    work = session.get(OrderWorkRow, row.order_id)
    if work is None:
        raise BasketUnknown
    return work
