"""What a partner may read. Every function takes a PartnerScope first and begins with it; filters only narrow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from sqlmodel import col, func, or_, select
from sqlmodel.sql.expression import SelectOfScalar

from sync_service.access.partner_scope import NoPartner, PartnerScope
from sync_service.commerce.basket.shown import without_others
from sync_service.errors import SyncServiceError
from sync_service.queue.questions import InvoicesAsked, PdfAsked, ask_for_invoices, ask_for_pdf
from sync_service.store.cursors import ObjectPage, make_cursor, open_cursor
from sync_service.store.engine import Session
from sync_service.store.object_rows import read_belongings, read_page
from sync_service.store.tables import (
    AddOnRow,
    AttributedObject,
    CustomerRow,
    PartnerOrgRow,
    ScheduleRow,
    SubscriptionOfferRow,
    SubscriptionRow,
)
from sync_service.subscription.limio.columns import fold
from sync_service.subscription.limio.documents import data_of, is_id

Row = TypeVar("Row", bound=AttributedObject)

#: Invoices on a page: as many as Object Query gives at most.
MAX_PAGE = 99
#: Of a customer's subscriptions the newest that are asked about: each is a call of its own.
MAX_SUBSCRIPTIONS = 25
#: Longer than any name or email address.
_MAX_WANTED = 254


class NotThePartners(SyncServiceError):
    """Partner does not have access to this subscription."""

    code = "not the partner's"


def scoped(scope: PartnerScope, row_class: type[Row]) -> SelectOfScalar[Row]:
    """The partner's objects of one kind: what every other question of a partner's begins with."""
    return select(row_class).where(row_class.partner_org == scope.partner_org)


def list_subscriptions(
    session: Session, scope: PartnerScope, *, owner: str | None, limit: int, query_more: str | None = None
) -> ObjectPage:
    """Up to `limit` of the partner's subscriptions in the order of their ids, of one `owner` (`id-…`) if given.

    A cursor is good for the list that gave it: this organisation's, with this owner. Raises CursorInvalid.
    """
    what = f"subscription {scope.partner_org} {owner or ''}"
    found = scoped(scope, SubscriptionRow)
    if owner is not None:
        if not is_id(owner):
            return ObjectPage(items=(), query_more=None)
        found = found.where(SubscriptionRow.owner == owner)
    rows, more = read_page(session, found, SubscriptionRow, what, limit, query_more)
    return ObjectPage(items=tuple(without_others(row.document) for row in rows), query_more=more)


def list_customers(
    session: Session, scope: PartnerScope, *, wanted: str | None, limit: int, query_more: str | None = None
) -> tuple[ObjectPage, int]:
    """Up to `limit` of the partner's customers in the order of their ids, and how many there are in all.

    With `wanted` only those that have this text in name or email address, whatever its case and accents. A cursor is
    good for the list that gave it. Raises CursorInvalid.
    """
    what = f"customer {scope.partner_org} {wanted or ''}"
    found = scoped(scope, CustomerRow)
    if wanted:
        if len(wanted) > _MAX_WANTED or not wanted.isprintable():
            return ObjectPage(items=(), query_more=None), 0
        folded = fold(wanted)
        places = (col(CustomerRow.name_folded), col(CustomerRow.email_folded))
        found = found.where(or_(*(place.contains(folded, autoescape=True) for place in places)))
    hits = session.exec(select(func.count()).select_from(found.subquery())).one()
    rows, more = read_page(session, found, CustomerRow, what, limit, query_more)
    return ObjectPage(items=tuple(_without_payment(row.document) for row in rows), query_more=more), hits


def read_customer(session: Session, scope: PartnerScope, customer_id: str) -> dict[str, Any] | None:
    """The partner's customer (`cus-…`); None where the partner has none of this id, even if another has."""
    if not is_id(customer_id):
        return None
    row = session.exec(scoped(scope, CustomerRow).where(CustomerRow.id == customer_id)).one_or_none()
    return _without_payment(row.document) if row else None


def _without_payment(document: Mapping[str, Any]) -> dict[str, Any]:
    """A customer's document without the payment method that is hers."""
    data = {name: value for name, value in data_of(document).items() if name != "defaultPaymentMethodId"}
    return {**document, "data": data}


def read_subscription(session: Session, scope: PartnerScope, subscription_id: str) -> dict[str, Any] | None:
    """The partner's subscription with its schedule, offers and add-ons; None where there is no such subscription.

    As Limio's partner API answers it; never with payment methods. Raises NotThePartners where there is one that is
    another partner's, or no partner's.
    """
    if not is_id(subscription_id):
        return None
    row = session.exec(scoped(scope, SubscriptionRow).where(SubscriptionRow.id == subscription_id)).one_or_none()
    if row is None:
        if session.get(SubscriptionRow, subscription_id) is not None:
            raise NotThePartners
        return None
    return {
        "subscription": without_others(row.document),
        "schedule": read_belongings(session, ScheduleRow, row.id),
        "offers": [without_others(each) for each in read_belongings(session, SubscriptionOfferRow, row.id)],
        "addOns": [without_others(each) for each in read_belongings(session, AddOnRow, row.id)],
    }


def find_numbers(
    session: Session, scope: PartnerScope, *, owner: str | None = None, subscription: str | None = None
) -> tuple[str, ...]:
    """Zuora's numbers of the partner's subscriptions of that owner (`id-…`), or of that id; none of anyone else's."""
    if not all(is_id(each) for each in (owner, subscription) if each is not None):
        return ()
    found = scoped(scope, SubscriptionRow).where(col(SubscriptionRow.reference).is_not(None))
    if owner is not None:
        found = found.where(SubscriptionRow.owner == owner)
    if subscription is not None:
        found = found.where(SubscriptionRow.id == subscription)
    newest = found.order_by(col(SubscriptionRow.created).desc(), col(SubscriptionRow.id)).limit(MAX_SUBSCRIPTIONS)
    return tuple(row.reference for row in session.exec(newest) if row.reference)


def ask_for_own(
    session: Session,
    scope: PartnerScope,
    actor: str,
    *,
    size: int = MAX_PAGE,
    query_more: str | None = None,
    numbers: tuple[str, ...] = (),
) -> int:
    """Leave the question for a page of the organisation's invoices; those of the subscriptions `numbers` all at once.

    Raises TooManyAsked, CursorInvalid, NoPartner.
    """
    cursor = open_cursor(_list_of(scope), query_more) if query_more else None
    account = _account_of(session, scope)
    asked = InvoicesAsked(account=account, subscriptions=numbers, cursor=cursor, size=min(size, MAX_PAGE))
    return ask_for_invoices(session, asked, actor)


def ask_for_own_pdf(session: Session, scope: PartnerScope, actor: str, invoice_id: str) -> int:
    """Leave the question for the PDF of an invoice of the organisation's. Raises TooManyAsked, NoPartner."""
    return ask_for_pdf(session, PdfAsked(account=_account_of(session, scope), invoice=invoice_id), actor)


def more_of(scope: PartnerScope, cursor: str | None) -> str | None:
    """The cursor of the next page: good for this organisation alone."""
    return make_cursor(_list_of(scope), cursor) if cursor else None


def _list_of(scope: PartnerScope) -> str:
    return f"invoice {scope.partner_org}"


def _account_of(session: Session, scope: PartnerScope) -> str:
    row = session.get(PartnerOrgRow, scope.partner_org)
    if row is None:
        raise NoPartner
    return row.zuora_account_id
