"""Which partner organisation a subscription belongs to, with its customer and its identity.

Orders set it, an import by who pays, and operators. No sync takes it away: if a subscription moves to another payer, a
person decides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlmodel import select

from sync_service.store.effects import Written
from sync_service.store.engine import Session
from sync_service.store.object_rows import OBJECT_ROWS
from sync_service.store.tables import AttributedObject, CustomerRow, IdentityRow, PartnerOrgRow, SubscriptionRow

# In the order in which writers of several rows lock them.
_FIRST_ATTRIBUTION = tuple(
    f"UPDATE {table} SET partner_org = :partner_org WHERE id = :id AND partner_org IS NULL"  # noqa: S608 - our tables
    for table in ("limio_identity", "limio_customer", "limio_subscription")
)


def attribute_first(
    session: Session, subscription_id: str, partner_org: str, *, owner: str | None, customer: str | None
) -> None:
    """Let a subscription that belongs to no partner belong to the one that pays for it, with its people. Repeatable."""
    ids = (owner, customer, subscription_id)
    for statement, id_ in zip(_FIRST_ATTRIBUTION, ids, strict=True):
        session.run(statement, {"partner_org": partner_org, "id": id_})


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
