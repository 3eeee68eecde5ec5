"""Baskets in the store: whose they are, how many there may be, and for how long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

from sqlmodel import col, select

from sync_service.access.partner_scope import PartnerScope
from sync_service.commerce.basket.items import Basket, WantedItem, refuse
from sync_service.commerce.basket.placement import SeenItem, find_changes, lines_of
from sync_service.commerce.order import CannotBePlacedError, Refusal, UpdateAction
from sync_service.errors import SyncServiceError
from sync_service.store.engine import Database, Session
from sync_service.store.tables import BasketRow

#: How long a basket lives after it was last written.
LIFE_MS = 24 * 3_600_000
#: More active baskets of one user or client there never are: the oldest one gives way.
MAX_ACTIVE = 20

#: No external id is longer, and no id of ours.
_MAX_NAME = 128

_FORGET = "DELETE FROM basket WHERE expires_at < {now}"


class BasketUnknown(SyncServiceError):
    """There is no such basket, or it has expired: open one."""

    code = "basket unknown"


@dataclass(frozen=True)
class Agent:
    """Who acts for a partner: an API client or a user, by id."""

    scope: PartnerScope
    subject: str


def find_basket(
    session: Session, agent: Agent, basket_id: str | None, *, buys: bool | None = None, lock: bool = False
) -> BasketRow:
    """The basket of that id, made by any agent of the organisation; without an id the agent's newest active one.

    With `buys` one that buys a new subscription, or that does not. One that buys is also named by its `external_id`,
    the newest where several have it (Limio's page "Partner checkout": it becomes the `checkoutId`). Raises
    BasketUnknown, also for what is another organisation's or expired.
    """
    own = select(BasketRow).where(
        BasketRow.partner_org == agent.scope.partner_org,
        BasketRow.expires_at > session.now(),
        BasketRow.state != "superseded",
    )
    if buys is not None:
        own = own.where(col(BasketRow.subscription_id).is_(None) == buys)
    named = []
    if basket_id is None:
        named.append(own.where(BasketRow.subject == agent.subject, BasketRow.state == "active"))
    elif 0 < len(basket_id) <= _MAX_NAME and basket_id.isprintable():
        named.append(own.where(BasketRow.id == basket_id))
        if buys is not False:
            named.append(own.where(BasketRow.external_id == basket_id, col(BasketRow.subscription_id).is_(None)))
    for each in named:
        newest = each.order_by(col(BasketRow.updated_at).desc(), col(BasketRow.id)).limit(1)
        asked = newest.with_for_update() if lock else newest
        row = session.exec(asked, execution_options={"populate_existing": True}).first()
        if row is not None:
            return row
    raise BasketUnknown


def new_basket(agent: Agent, subscription_id: str | None, now: int) -> BasketRow:
    """A row, not yet in any session; `now` is the database's clock."""
    return BasketRow(
        id=f"basket-{uuid4().hex}",
        partner_org=agent.scope.partner_org,
        subject=agent.subject,
        subscription_id=subscription_id,
        state="active",
        created_at=now,
        updated_at=now,
        expires_at=now + LIFE_MS,
    )


def fill(row: BasketRow, wanted: Sequence[WantedItem], basket: Basket, shown: Mapping[str, Any], now: int) -> None:
    """Let the row hold what is wanted, what its user saw of it, and what was answered; it lives on from now."""
    row.wanted = [asdict(each) for each in wanted]
    row.seen = [asdict(line) for line in lines_of(basket)]
    row.document = {**row.document, **shown}
    row.updated_at, row.expires_at = now, now + LIFE_MS


def wanted_of(row: BasketRow) -> list[WantedItem]:
    """What was wanted, as sent last."""
    return [WantedItem(**{**each, "action": UpdateAction(each["action"])}) for each in row.wanted]


def check_seen(row: BasketRow, now: Basket | Refusal) -> Basket:
    """The basket as it is now, if that is what its user saw. Raises CannotBePlacedError with what has changed."""
    changed = find_changes([SeenItem(**each) for each in row.seen], now)
    if changed or isinstance(now, Refusal):
        raise CannotBePlacedError(*changed)
    if not now.items:
        refuse("The basket is empty.")
    return now


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
        if of_the_same or kept >= MAX_ACTIVE - 1:
            row.state = "superseded"
            session.add(row)
        else:
            kept += 1
    session.flush()


def forget_baskets(database: Database) -> int:
    """Delete expired baskets; returns how many. Repeatable."""
    with database.transaction() as session:
        return session.run(_FORGET).rowcount


def tracking_of(row: BasketRow) -> dict[str, Any]:
    """What its maker wants to find again in the order, in Limio and in Zuora."""
    tracking = row.document.get("journey", {}).get("tracking")
    return tracking if isinstance(tracking, dict) else {}
