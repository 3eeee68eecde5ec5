"""Limio's object reads over the local store: one object, a page of them, everything related to one.

Limio's objects API: `GET /objects/limio/{path_type}/{id}`, `…?limit&queryMore`, `…/{id}/related`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import union
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from sync_service.errors import SyncServiceError
from sync_service.store.cursors import CursorInvalid, ObjectPage
from sync_service.store.engine import Session
from sync_service.store.object_rows import OBJECT_ROWS, read_addresses, read_belongings, read_page
from sync_service.store.tables import (
    AddressRow,
    CustomerRow,
    IdentityRow,
    LimioObject,
    OrderRow,
    RelationRow,
    SubscriptionRow,
)
from sync_service.subscription.plan import plural

#: The most objects in one page.
MAX_ON_A_PAGE = 1000

#: Subscriptions whose objects one page of related objects holds. An owner may have thousands.
MAX_RELATED_SUBSCRIPTIONS = 50

#: What Limio calls each record type in an address; the singular forms are taken too.
_PLURALS = {plural(record_type): record_type for record_type in OBJECT_ROWS}
#: Limio's other path types, of which this store holds nothing.
_EMPTY_TYPES = frozenset({"user_entitlements", "user_entitlement", "promo_codes_v2"})
#: What hangs on a subscription but its addresses, which it may share in two ways.
_OWNED_BY_SUBSCRIPTION = tuple(
    row for row in OBJECT_ROWS.values() if row not in (IdentityRow, CustomerRow, SubscriptionRow, AddressRow)
)


class UnknownObjectType(SyncServiceError):
    """Limio has no objects of this type."""

    code = "unknown object type"


def read_object(session: Session, path_type: str, object_id: str) -> dict[str, Any] | None:
    """The object as Limio shows it; None where there is none. Raises UnknownObjectType."""
    row_class = _row_class(path_type)
    row = session.get(row_class, object_id) if row_class else None
    return dict(row.document) if row else None


def list_objects(session: Session, path_type: str, limit: int, query_more: str | None = None) -> ObjectPage:
    """Up to `limit` objects (1 to 1000) in the order of their ids, after those of the page that gave `query_more`.

    An object that stays in the store is on exactly one page, whatever is written meanwhile.
    Raises UnknownObjectType and CursorInvalid.
    """
    row_class = _row_class(path_type)
    if row_class is None:
        if query_more:
            raise CursorInvalid
        return ObjectPage(items=())
    limit = max(1, min(limit, MAX_ON_A_PAGE))
    rows, more = read_page(session, select(row_class), row_class, row_class.record_type_name, limit, query_more)
    return ObjectPage(items=tuple(dict(row.document) for row in rows), query_more=more)


def read_related(session: Session, path_type: str, object_id: str, query_more: str | None = None) -> ObjectPage | None:
    """Everything that is related to the object; None where the object is unknown.

    In pages of so many subscriptions with all that belongs to them, in the order of their ids; people who belong to
    subscriptions of several pages are on each of them.

    A subscription: its people, orders, offers, add-ons, addresses, schedule, payment methods and events. A customer,
    an identity or an order: its subscriptions and what is related to those. Anything else: its subscriptions, their
    owner and customer. Raises UnknownObjectType and CursorInvalid.
    """
    row_class = _row_class(path_type)
    row = session.get(row_class, object_id) if row_class else None
    if row is None:
        return None
    theirs, what = _subscriptions_of(row), f"related to {row.id}"
    subscriptions, more = read_page(session, theirs, SubscriptionRow, what, MAX_RELATED_SUBSCRIPTIONS, query_more)
    found: list[dict[str, Any]] = [dict(subscription.document) for subscription in subscriptions]
    found += _people(session, [row, *subscriptions])
    if isinstance(row, SubscriptionRow | CustomerRow | IdentityRow | OrderRow):
        for subscription in subscriptions:
            found += _belongings(session, subscription)
    return ObjectPage(items=_without_repeats(found, row), query_more=more)


def _row_class(path_type: str) -> type[LimioObject] | None:
    if path_type in _EMPTY_TYPES:
        return None
    record_type = _PLURALS.get(path_type, path_type)
    if record_type not in OBJECT_ROWS:
        raise UnknownObjectType(f"Limio has no objects of the type {path_type!r}.")
    return OBJECT_ROWS[record_type]


def _subscriptions_of(row: LimioObject) -> SelectOfScalar[SubscriptionRow]:
    if isinstance(row, SubscriptionRow):
        return select(SubscriptionRow).where(SubscriptionRow.id == row.id)
    # One list of ids, so that the databases begin with the few and not with all subscriptions.
    ids = [
        select(RelationRow.subscription_id).where(RelationRow.object_id == row.id),
        select(SubscriptionRow.id).where(SubscriptionRow.id == row.subscription_id),
    ]
    if isinstance(row, CustomerRow):
        ids.append(select(SubscriptionRow.id).where(SubscriptionRow.customer == row.id))
    elif isinstance(row, IdentityRow):
        ids.append(select(SubscriptionRow.id).where(SubscriptionRow.owner == row.id))
    elif isinstance(row, OrderRow):
        ids.append(select(SubscriptionRow.id).where(SubscriptionRow.order_id == row.id))
    return select(SubscriptionRow).where(col(SubscriptionRow.id).in_(union(*ids)))


def _people(session: Session, rows: Iterable[LimioObject]) -> list[dict[str, Any]]:
    owners = {row.owner for row in rows} - {None}
    customers = {row.customer for row in rows if isinstance(row, SubscriptionRow)} - {None}
    people: list[LimioObject] = [
        *session.exec(select(CustomerRow).where(col(CustomerRow.id).in_(customers)).order_by(col(CustomerRow.id))),
        *session.exec(select(IdentityRow).where(col(IdentityRow.id).in_(owners)).order_by(col(IdentityRow.id))),
    ]
    return [dict(person.document) for person in people]


def _belongings(session: Session, subscription: SubscriptionRow) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    order = session.get(OrderRow, subscription.order_id) if subscription.order_id else None
    if order is not None:
        found.append(dict(order.document))
    for row_class in _OWNED_BY_SUBSCRIPTION:
        found += read_belongings(session, row_class, subscription.id)
    return found + list(read_addresses(session, subscription.id))


def _without_repeats(found: Iterable[Mapping[str, Any]], row: LimioObject) -> tuple[dict[str, Any], ...]:
    """One address used in two ways is two items, as in Limio; anything else that several ways lead to is one."""
    once: dict[tuple[Any, ...], dict[str, Any]] = {}
    for document in found:
        key = (document.get("id"), document.get("relationship_type"))
        if document.get("id") != row.id:
            once.setdefault(key, dict(document))
    return tuple(once.values())
