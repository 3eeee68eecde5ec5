"""The rows of Limio's objects: which table holds which record type, and a document written with its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import CompoundSelect, bindparam, null, union_all
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from sync_service.store.cursors import make_cursor, open_cursor
from sync_service.store.engine import Session
from sync_service.store.tables import (
    AddOnRow,
    AddressRow,
    CustomerRow,
    EventRow,
    GiftCodeRow,
    IdentityRow,
    LimioObject,
    OrderRow,
    PaymentMethodRow,
    ProcessRow,
    RelationRow,
    ScheduleRow,
    SubscriptionOfferRow,
    SubscriptionRow,
    ZuoraLinkRow,
)
from sync_service.subscription.limio.columns import derive_columns
from sync_service.subscription.limio.documents import moment_of
from sync_service.subscription.plan import Document

Row = TypeVar("Row", bound=LimioObject)

#: Table by record type, in the order in which writers of several rows lock them.
OBJECT_ROWS: Mapping[str, type[LimioObject]] = {
    row.record_type_name: row
    for row in (
        IdentityRow,
        CustomerRow,
        SubscriptionRow,
        OrderRow,
        SubscriptionOfferRow,
        AddOnRow,
        AddressRow,
        ScheduleRow,
        PaymentMethodRow,
        GiftCodeRow,
        EventRow,
        ProcessRow,
    )
}

# Made once, as everywhere on a sync's way.
_REFERRED = (
    select(SubscriptionRow)
    .where(SubscriptionRow.reference == bindparam("number"))
    .order_by(col(SubscriptionRow.id))
    .limit(1)
)
#: Each address with the use that a relation makes of it, NULL where it is the subscription's own.
_ADDRESSES: CompoundSelect[*tuple[Any, ...]] = union_all(
    select(AddressRow.document, null(), null()).where(AddressRow.subscription_id == bindparam("subscription_id")),
    select(AddressRow.document, RelationRow.relationship_type, RelationRow.relationship_id)
    .join(RelationRow, col(RelationRow.object_id) == col(AddressRow.id))
    .where(RelationRow.subscription_id == bindparam("subscription_id"))
    .where(RelationRow.record_type == AddressRow.record_type_name),
)


def column_values(record_type: str, document: Document, *, synced_at: int | None) -> dict[str, Any]:
    """What a row of `document` holds, without its id; the subscription only if the document names it."""
    derived = derive_columns(record_type, document).values
    return {"document": dict(document), "synced_at": synced_at, **derived}


def new_row(record_type: str, document: Document, *, subscription_id: str | None, synced_at: int | None) -> LimioObject:
    """A row, not yet in any session, for a document that has its id."""
    values = {"subscription_id": subscription_id, **column_values(record_type, document, synced_at=synced_at)}
    return OBJECT_ROWS[record_type](id=document["id"], **values)


def write_document(row: LimioObject, document: Document, *, synced_at: int | None) -> tuple[str, ...]:
    """Let `row` hold `document`, columns and all; returns the paths of values that no column can hold.

    A subscription that the row already belongs to stays, unless the document names one itself.
    """
    columns = derive_columns(row.record_type_name, document)
    row.document = dict(document)
    row.synced_at = synced_at
    for name, value in columns.values.items():
        setattr(row, name, value)
    return columns.unfit


def find_subscription(session: Session, number: str) -> SubscriptionRow | None:
    """Limio's subscription of that Zuora number: the one linked to it, else the one whose reference it is."""
    link = session.get(ZuoraLinkRow, number)
    if link is not None and link.subscription_id is not None:
        return session.get(SubscriptionRow, link.subscription_id)
    return session.exec(_REFERRED, params={"number": number}).first()


def read_addresses(session: Session, subscription_id: str) -> tuple[dict[str, Any], ...]:
    """All addresses of a subscription, shared ones as this subscription uses them; the newest last."""
    rows = session.run(_ADDRESSES, {"subscription_id": subscription_id})
    return tuple(sorted((as_used(*row) for row in rows), key=age_of_address))


def read_page(
    session: Session, found: SelectOfScalar[Row], row_class: type[Row], what: str, limit: int, query_more: str | None
) -> tuple[Sequence[Row], str | None]:
    """Up to `limit` of these rows in the order of their ids, and the cursor of the next page of the list `what`.

    `query_more` is the cursor that the page before gave. Raises CursorInvalid.
    """
    if query_more is not None:
        found = found.where(col(row_class.id) > open_cursor(what, query_more))
    rows = session.exec(found.order_by(col(row_class.id)).limit(limit + 1)).all()
    return rows[:limit], make_cursor(what, rows[limit - 1].id) if len(rows) > limit else None


def read_belongings(session: Session, row_class: type[LimioObject], subscription_id: str) -> list[dict[str, Any]]:
    """The subscription's objects of one kind: its own in the order of their ids, then those that it shares."""
    own = select(row_class.document).where(row_class.subscription_id == subscription_id).order_by(col(row_class.id))
    return [*map(dict, session.exec(own)), *_read_shared(session, row_class, subscription_id)]


def _read_shared(session: Session, row_class: type[LimioObject], subscription_id: str) -> list[dict[str, Any]]:
    uses = session.exec(
        select(row_class.document, RelationRow.relationship_type, RelationRow.relationship_id)
        .join(RelationRow, col(RelationRow.object_id) == col(row_class.id))
        .where(RelationRow.subscription_id == subscription_id, RelationRow.record_type == row_class.record_type_name)
    )
    return [as_used(*use) for use in uses]


def as_used(document: Mapping[str, Any], relationship_type: str | None, relationship_id: str | None) -> dict[str, Any]:
    """A shared object as one of its subscriptions uses it."""
    if not relationship_type:
        return dict(document)
    return {**document, "relationship_type": relationship_type, "relationship_id": relationship_id}


def age_of_address(document: Mapping[str, Any]) -> tuple[str, str]:
    """For putting addresses in order: the newest last."""
    moment = moment_of(document.get("start"))
    return (moment.isoformat() if moment else "", str(document.get("id")))
