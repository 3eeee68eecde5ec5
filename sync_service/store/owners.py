"""Whose a Zuora account is in Limio, and which of a customer's accounts may write the customer's name and email."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from sqlalchemy import bindparam
from sqlmodel import col, select

from sync_service.store.engine import Session
from sync_service.store.tables import SubscriptionRow, ZuoraAccountRow, ZuoraLinkRow
from sync_service.subscription.zuora import ZuoraSubscription

# Made once, as everywhere on a sync's way: making a statement takes as long as running it.
_LOCKED_ACCOUNT = (
    select(ZuoraAccountRow)
    .where(ZuoraAccountRow.account_id == bindparam("account_id"))
    .with_for_update()
    .execution_options(populate_existing=True)
)
_OWNER_OF_LINKED = (
    select(col(SubscriptionRow.owner), col(SubscriptionRow.customer))
    .join(ZuoraLinkRow, col(ZuoraLinkRow.subscription_id) == col(SubscriptionRow.id))
    .where(ZuoraLinkRow.account_id == bindparam("account_id"), ZuoraLinkRow.number != bindparam("number"))
    .where(col(SubscriptionRow.owner).is_not(None))
    .order_by(col(ZuoraLinkRow.started_on).nulls_last(), col(ZuoraLinkRow.number))
    .limit(1)
)
_CLAIMANTS = (
    select(
        col(ZuoraLinkRow.number),
        col(ZuoraLinkRow.account_id),
        col(ZuoraLinkRow.started_on),
        col(ZuoraLinkRow.cancelled),
    )
    .join(SubscriptionRow, col(ZuoraLinkRow.subscription_id) == col(SubscriptionRow.id))
    .where(SubscriptionRow.customer == bindparam("customer_id"), ZuoraLinkRow.number != bindparam("left_out"))
)


@dataclass(frozen=True, kw_only=True)
class AccountOwner:
    """The identity and the customer that Limio keeps for one Zuora account; None where it has none yet."""

    owner: str | None = None
    customer: str | None = None


@dataclass(frozen=True)
class Claimant:
    """A subscription of a customer, seen as one whose account might write that customer."""

    number: str
    account_id: str | None
    started_on: date | None
    cancelled: bool


def lock_account(session: Session, account_id: str) -> ZuoraAccountRow:
    """The account's row, made where it is missing and locked until the transaction ends.

    Two runs that import two numbers of one account meet here: the second one sees the owner that the first one made.
    """
    values = {"account_id": account_id}
    row = session.exec(_LOCKED_ACCOUNT, params=values).one_or_none()
    if row is not None:
        return row
    session.run("INSERT INTO zuora_account (account_id) VALUES (:account_id) ON CONFLICT DO NOTHING", values)
    return session.exec(_LOCKED_ACCOUNT, params=values).one()


def find_account_owner(
    session: Session, account_id: str, *, number: str, siblings: Collection[str] = ()
) -> AccountOwner:
    """The owner of the account's other subscriptions, else the one that the account had before.

    `number` is left out; `siblings` are numbers that Zuora lists under the account and no sync may have read yet.
    """
    found = session.exec(_OWNER_OF_LINKED, params={"account_id": account_id, "number": number}).first()
    if found is None and siblings:
        loaded = (
            select(col(SubscriptionRow.owner), col(SubscriptionRow.customer))
            .where(col(SubscriptionRow.reference).in_([sibling for sibling in siblings if sibling != number]))
            .where(col(SubscriptionRow.owner).is_not(None))
            .order_by(col(SubscriptionRow.created), col(SubscriptionRow.id))
            .limit(1)
        )
        found = session.exec(loaded).first()
    if found is not None:
        owner, customer = found
        return AccountOwner(owner=owner, customer=customer)
    kept = session.get(ZuoraAccountRow, account_id)
    return AccountOwner(owner=kept.owner, customer=kept.customer) if kept else AccountOwner()


def claimant_of(subscription: ZuoraSubscription) -> Claimant:
    """How Zuora's answer makes a subscription take part; its top-level status turns on the day of the cancellation."""
    return Claimant(
        number=subscription.number,
        account_id=subscription.account_id,
        started_on=subscription.start,
        cancelled=subscription.status == "Cancelled",
    )


def claimant_of_link(link: ZuoraLinkRow) -> Claimant:
    """How the last good run of a number makes its subscription take part."""
    return Claimant(
        number=link.number, account_id=link.account_id, started_on=link.started_on, cancelled=link.cancelled
    )


def find_writer(session: Session, customer_id: str, ours: Claimant | None = None) -> Claimant | None:
    """Whose account writes the customer: the newest of its subscriptions that is not cancelled.

    `ours` stands in place of what the store knows of the same number. Where all are cancelled the newest one counts,
    so that the order of syncs makes no difference. None: no sync has read a subscription of this customer.
    """
    values = {"customer_id": customer_id, "left_out": ours.number if ours else ""}
    claimants = [Claimant(*row) for row in session.exec(_CLAIMANTS, params=values)] + ([ours] if ours else [])
    return max(claimants, key=_precedence, default=None)


def _precedence(claimant: Claimant) -> tuple[bool, date, str]:
    return (not claimant.cancelled, claimant.started_on or date.min, claimant.number)
