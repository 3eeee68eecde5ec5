"""Which partner organisation a subscription belongs to, with its customer and its identity.

Orders set it, an import by who pays, and operators. No sync takes it away: if a subscription moves to another payer, a
person decides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import bindparam
from sqlmodel import col, select

from sync_service.store.effects import Written
from sync_service.store.engine import Session
from sync_service.store.object_rows import OBJECT_ROWS, find_subscription
from sync_service.store.tables import AttributedObject, CustomerRow, IdentityRow, PartnerOrgRow, SubscriptionRow
from sync_service.subscription.plan import LimioState
from sync_service.subscription.zuora import ZuoraSubscription

# Made once, as everywhere on a sync's way.
_PAYER = (
    select(PartnerOrgRow.id)
    .where(col(PartnerOrgRow.is_invoice_owner).is_(True))
    .where(col(PartnerOrgRow.zuora_account_id).in_((bindparam("payer"), bindparam("number"))))
    .limit(2)
)


def find_paying_partner(session: Session, subscription: ZuoraSubscription) -> str | None:
    """The one organisation whose account Zuora sends the invoices of this subscription to; None for any other payer."""
    payer = subscription.invoice_owner_id or subscription.account_id
    number = subscription.account_number if payer == subscription.account_id else None
    found = session.exec(_PAYER, params={"payer": payer, "number": number}).all()
    return found[0] if len(found) == 1 else None


def attribute_by_payer(session: Session, subscription_id: str, subscription: ZuoraSubscription) -> None:
    """Let a subscription that belongs to no partner belong to the one that pays for it, where one does. Repeatable."""
    row = session.get(SubscriptionRow, subscription_id)
    if row is None or row.partner_org is not None:
        return
    partner_org = find_paying_partner(session, subscription)
    if partner_org is not None:
        attribute(session, row, partner_org)


def tell_of_move(session: Session, current: LimioState, subscription: ZuoraSubscription) -> tuple[str, ...]:
    """A note if a partner's subscription moved to another account in Zuora: whose it is now, a person decides."""
    moved = current.linked_account_id is not None and subscription.account_id not in (None, current.linked_account_id)
    row = find_subscription(session, subscription.number) if moved else None
    if row is None or row.partner_org is None:
        return ()
    return (f"It moved to another account and still belongs to {row.partner_org}: `partner assign` changes that.",)


def attribute(session: Session, subscription: SubscriptionRow, partner_org: str | None) -> None:
    """Let a subscription belong to `partner_org`, or to none, and its customer and identity with it.

    People who also have a subscription of another partner stay with that one.
    """
    before, subscription.partner_org = subscription.partner_org, partner_org
    session.flush()
    for person in _people(session, subscription):
        if person.partner_org in (None, before) and not _others_of(session, subscription, person, before):
            person.partner_org = partner_org


def attribute_order(
    session: Session, written: Iterable[Written], *, subscription_id: str | None, partner_org: str | None
) -> None:
    """Let what an order made belong to the partner that it is for, else to that of the subscription that it changes."""
    held = session.get(SubscriptionRow, subscription_id) if subscription_id else None
    theirs = partner_org or (held.partner_org if held else None)
    for each in written:
        row = session.get(OBJECT_ROWS[each.record_type], each.id) if theirs and each.created else None
        if isinstance(row, AttributedObject):
            row.partner_org = theirs


def why_not_for(session: Session, partner_org: str, *, subscription_id: str | None) -> str | None:
    """Why no order of this subscription, or of a new one, can be placed for a partner; None if one can."""
    org = session.get(PartnerOrgRow, partner_org) if partner_org.isprintable() else None
    if org is None or org.disabled_at is not None:
        return "There is no such partner organisation, or it is disabled."
    held = session.get(SubscriptionRow, subscription_id) if subscription_id else None
    if held is not None and held.partner_org != partner_org:
        return "The subscription is not this partner's."
    return None


def find_paying_account(session: Session, partner_org: str) -> str | None:
    """The account in Zuora, by id or number, of a partner that pays for what it orders; None if its customers pay."""
    org = session.get(PartnerOrgRow, partner_org) if partner_org.isprintable() else None
    return org.zuora_account_id if org is not None and org.is_invoice_owner else None


def _people(session: Session, subscription: SubscriptionRow) -> Collection[AttributedObject]:
    """In the order in which writers of several rows lock them."""
    found = (
        session.get(IdentityRow, subscription.owner, with_for_update=True) if subscription.owner else None,
        session.get(CustomerRow, subscription.customer, with_for_update=True) if subscription.customer else None,
    )
    return [person for person in found if person is not None]


def _others_of(session: Session, subscription: SubscriptionRow, person: AttributedObject, before: str | None) -> bool:
    """Whether the person has further subscriptions of the partner that this one leaves."""
    if before is None:
        return False
    theirs = SubscriptionRow.owner if isinstance(person, IdentityRow) else SubscriptionRow.customer
    others = select(SubscriptionRow.id).where(
        theirs == person.id, SubscriptionRow.partner_org == before, SubscriptionRow.id != subscription.id
    )
    return session.exec(others.limit(1)).first() is not None
