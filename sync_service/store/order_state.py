"""What the store holds around an order: its subscription with all that belongs to it, the account, a gift code."""

from __future__ import annotations

from sqlmodel import col, select

from sync_service.commerce.order import Order
from sync_service.commerce.state import InStore
from sync_service.store.engine import Session
from sync_service.store.object_rows import find_subscription, read_addresses, read_belongings
from sync_service.store.reads import cancellation_day, read_link, resolve_key
from sync_service.store.tables import (
    AddOnRow,
    CustomerRow,
    GiftCodeRow,
    LimioObject,
    PaymentMethodRow,
    ScheduleRow,
    SubscriptionOfferRow,
    SubscriptionRow,
    ZuoraLinkRow,
)
from sync_service.subscription.plan import Document


def read_in_store(session: Session, order: Order, *, lock: bool = False) -> InStore:
    """Limio's objects around `order`, and the Zuora account that it concerns as far as a sync has read it.

    With `lock`, in a transaction, no other order of the subscription or with the gift code is accepted until that ends.
    """
    subscription = _find(session, order.subscription_key) if order.subscription_key else None
    if lock and subscription is not None:
        # People first, as every writer of both takes them.
        _hold(session, CustomerRow, subscription.customer)
        _hold(session, SubscriptionRow, subscription.id)
    code = order.redeem_code or order.gift_code
    if lock and code:
        held = select(GiftCodeRow).where(GiftCodeRow.code == code).with_for_update()
        session.exec(held.execution_options(populate_existing=True)).first()
    if subscription is None:
        return InStore(
            customer=_customer_of(session, order.owner) if order.owner else None,
            gift_code=_find_gift_code(session, code),
            account_number=_newest_account(session, order.owner) if order.owner else None,
        )
    link = read_link(session, subscription.reference or "")
    customer = session.get(CustomerRow, subscription.customer) if subscription.customer else None
    return InStore(
        subscription=subscription.document,
        offers=tuple(read_belongings(session, SubscriptionOfferRow, subscription.id)),
        add_ons=tuple(read_belongings(session, AddOnRow, subscription.id)),
        addresses=read_addresses(session, subscription.id),
        schedule=tuple(read_belongings(session, ScheduleRow, subscription.id)),
        payment_methods=tuple(read_belongings(session, PaymentMethodRow, subscription.id)),
        customer=customer.document if customer else None,
        gift_code=_find_gift_code(session, code) or _gift_code_of(session, subscription.id),
        account_number=link.account_number if link else None,
        cancelled_on=cancellation_day(link, subscription),
    )


def _hold(session: Session, row_class: type[LimioObject], object_id: str | None) -> None:
    """Lock the row, and read it anew."""
    if object_id is not None:
        session.get(row_class, object_id, with_for_update=True, populate_existing=True)


def _find(session: Session, key: str) -> SubscriptionRow | None:
    """By any name that the store knows of it."""
    number = resolve_key(session, key)
    return find_subscription(session, number) if number else None


def _find_gift_code(session: Session, code: str | None) -> Document | None:
    if not code:
        return None
    return session.exec(select(GiftCodeRow.document).where(GiftCodeRow.code == code)).first()


def _gift_code_of(session: Session, subscription_id: str) -> Document | None:
    return session.exec(
        select(GiftCodeRow.document).where(GiftCodeRow.subscription_id == subscription_id).limit(1)
    ).first()


def _customer_of(session: Session, owner: str) -> Document | None:
    """Who bought before is the same customer."""
    theirs = select(CustomerRow.document).where(CustomerRow.owner == owner)
    return session.exec(theirs.order_by(col(CustomerRow.created), col(CustomerRow.id)).limit(1)).first()


def _newest_account(session: Session, owner: str) -> str | None:
    """The account of the owner's newest subscription that is not cancelled, as syncs have read it."""
    accounts = (
        select(col(ZuoraLinkRow.account_number))
        .join(SubscriptionRow, col(ZuoraLinkRow.subscription_id) == col(SubscriptionRow.id))
        .where(SubscriptionRow.owner == owner, col(ZuoraLinkRow.account_number).is_not(None))
        .order_by(col(ZuoraLinkRow.cancelled), col(ZuoraLinkRow.started_on).desc(), col(ZuoraLinkRow.number).desc())
    )
    return session.exec(accounts.limit(1)).first()
