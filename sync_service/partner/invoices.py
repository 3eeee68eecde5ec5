"""Which invoices a partner may ask for: those of its own Zuora account, and no other's."""

from __future__ import annotations

from sync_service.access.partner_scope import NoPartner, PartnerScope
from sync_service.queue.invoices import InvoicesAsked, PdfAsked, ask_for_invoices, ask_for_pdf
from sync_service.store.engine import Session
from sync_service.store.pages import make_cursor, open_cursor
from sync_service.store.tables import PartnerOrgRow

#: Invoices on a page: as many as Object Query gives at most.
MAX_PAGE = 99


def ask_for_own(session: Session, scope: PartnerScope, actor: str, *, size: int, query_more: str | None = None) -> int:
    """Leave the question for a page of the organisation's invoices. Raises TooManyAsked, CursorInvalid, NoPartner."""
    cursor = open_cursor(_list_of(scope), query_more) if query_more else None
    asked = InvoicesAsked(account=_account_of(session, scope), cursor=cursor, size=min(size, MAX_PAGE))
    return ask_for_invoices(session, asked, actor)


def ask_for_own_of(session: Session, scope: PartnerScope, actor: str, number: str) -> int:
    """Leave the question for the organisation's invoices with a line of the subscription of that Zuora number."""
    return ask_for_invoices(session, InvoicesAsked(account=_account_of(session, scope), subscription=number), actor)


def ask_for_own_pdf(session: Session, scope: PartnerScope, actor: str, invoice_id: str) -> int:
    """Leave the question for the PDF of an invoice of the organisation's."""
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
