"""Writing what an order does to Limio's objects, and which partner organisation they belong to.

`commerce.order_objects` decided what to write; it goes into the caller's transaction. Orders set the organisation of a
subscription with its customer and its identity, an import by who pays, and operators. No sync takes it away: if a
subscription moves to another payer, a person decides.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlmodel import select

from sync_service.commerce.order_objects import Effect, NewObject, ObjectChange
from sync_service.errors import ConflictInStore
from sync_service.store.apply import RowChange, write_rows
from sync_service.store.engine import Session
from sync_service.store.object_rows import OBJECT_ROWS, column_values, write_document
from sync_service.store.statement import table_of
from sync_service.store.tables import (
    AttributedObject,
    CustomerRow,
    IdentityRow,
    LimioObject,
    PartnerOrgRow,
    SubscriptionRow,
)
from sync_service.subscription.limio.documents import (
    REFERENCE_BITS,
    Birth,
    complete,
    id_of,
    reference_of,
    set_value,
    timestamp_of,
)
from sync_service.subscription.plan import as_json


@dataclass(frozen=True, kw_only=True)
class Written:
    """One object that was written, and how."""

    record_type: str
    id: str
    created: bool
    #: As it stands now.
    document: dict[str, Any]


def new_id(record_type: str) -> str:
    """An id that no Limio object has yet."""
    return id_of(record_type, uuid4().hex)


def new_reference() -> str:
    """A reference that no Limio object has yet: twelve digits at random."""
    return reference_of(secrets.randbits(REFERENCE_BITS))


def apply_effects(
    session: Session, effects: Iterable[Effect], *, at: int, owner: str | None, customer: str | None
) -> list[Written]:
    """Write `effects` one after another; `at` is the database's clock in ms, `owner` and `customer` are the order's.

    A change that changes nothing writes nothing. Raises ConflictInStore where an object to be changed is gone.
    """
    written: list[Written] = []
    for effect in effects:
        if isinstance(effect, NewObject):
            if effect.unless_there and session.get(OBJECT_ROWS[effect.record_type], effect.id) is not None:
                continue
            made = _create(session, effect, at=at, owner=owner, customer=customer)
            written.append(Written(record_type=effect.record_type, id=made["id"], created=True, document=made))
        else:
            row = _change(session, effect, at=at)
            if row is not None:
                changed = dict(row.document)
                written.append(Written(record_type=row.record_type_name, id=row.id, created=False, document=changed))
    session.flush()
    return written


def _create(session: Session, effect: NewObject, *, at: int, owner: str | None, customer: str | None) -> dict[str, Any]:
    birth = Birth(
        id=effect.id or new_id(effect.record_type),
        reference=new_reference(),
        relationship_id=f"rel-{uuid4().hex}",
        at=timestamp_of(at),
        owner=owner,
        customer=customer,
        subscription_id=effect.subscription_id,
    )
    document = complete(effect.record_type, effect.document, birth)
    values = column_values(effect.record_type, document, synced_at=at)
    if "subscription_id" in table_of(OBJECT_ROWS[effect.record_type]).columns:
        values.setdefault("subscription_id", effect.subscription_id)
    write_rows(session, [RowChange(record_type=effect.record_type, id=birth.id, values=values, is_new=True)])
    return document


def _change(session: Session, effect: ObjectChange, *, at: int) -> LimioObject | None:
    row = session.get(OBJECT_ROWS[effect.record_type], effect.id, with_for_update=True, populate_existing=True)
    if row is None:
        raise ConflictInStore(f"{effect.id} is no longer in the store.")
    document = row.document
    for path, value in effect.values.items():
        document = set_value(document, path, as_json(value))
    if document == row.document:
        return None
    write_document(row, {**document, "updated": timestamp_of(at)}, synced_at=at)
    return row


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
