"""Invoices of the organisation's Zuora account, all or one customer's or subscription's, and their PDFs.

They are read at every look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response, make_response, render_template, request
from werkzeug.exceptions import NotFound, ServiceUnavailable

from sync_service.partner.holdings import SubscriptionUnknown
from sync_service.partner.scope import ask_for_own, ask_for_own_pdf, find_numbers, more_of
from sync_service.subscription.limio.documents import is_id
from sync_service.web.page_parts import get
from sync_service.web.partner.portal.acting import PortalPages
from sync_service.web.partner.portal.customers import find_customer
from sync_service.web.partner.portal.session import person, scope
from sync_service.web.waiting import pdf_of

PAGE = 40
#: The same whether there is none or it is another's.
NO_INVOICE = "You have no invoice by this id."
_AWAY = "Zuora has not answered in time, so the invoice cannot be shown just now. Please try again in a moment."


class PortalInvoicePages(PortalPages):
    """`/partner/invoices…`, and those of a customer and of a subscription."""

    @get("/invoices")
    def invoices(self) -> Response:
        """All of the organisation's account."""
        return self._list(query_more=request.args.get("queryMore") or None)

    @get("/customers/<customer_id>/invoices")
    def invoices_of_customer(self, customer_id: str) -> Response:
        """Those of one customer."""
        with self._database.reading() as session:
            customer = find_customer(session, scope(), customer_id)
            numbers = find_numbers(session, scope(), owner=customer.owner or "")
        return self._list(numbers, customer=customer) if numbers else _page((), customer=customer)

    @get("/subscriptions/<subscription_id>/invoices")
    def invoices_of(self, subscription_id: str) -> Response:
        """Those of one subscription."""
        with self._database.reading() as session:
            numbers = find_numbers(session, scope(), subscription=subscription_id)
        if not numbers:
            raise SubscriptionUnknown
        return self._list(numbers, held={"id": subscription_id, "reference": numbers[0]})

    def _list(self, numbers: tuple[str, ...] = (), *, query_more: str | None = None, **of: Any) -> Response:
        """The account's invoices, or those of the subscriptions `numbers`."""
        whose, actor = scope(), person().user_id
        found = self._context.questions.ask(
            lambda session: ask_for_own(session, whose, actor, size=PAGE, query_more=query_more, numbers=numbers)
        ).found
        if found is None:
            return _page(None, **of)
        return _page(found.get("invoices", ()), more=more_of(whose, found.get("cursor")), **of)

    @get("/invoices/<invoice_id>/pdf")
    def invoice_pdf(self, invoice_id: str) -> Response:
        """The PDF of one."""
        if not is_id(invoice_id):
            raise NotFound(NO_INVOICE)
        whose, actor = scope(), person().user_id
        asked = self._context.questions.ask(lambda session: ask_for_own_pdf(session, whose, actor, invoice_id))
        if asked.is_missing:
            raise NotFound(NO_INVOICE)
        pdf = pdf_of(asked)
        if pdf is None:
            raise ServiceUnavailable(_AWAY)
        return pdf


def _page(rows: Sequence[Mapping[str, str]] | None, **page: Any) -> Response:
    """The list; None: Zuora has not answered, and the page says so."""
    return make_response(render_template("partner/invoices.html", rows=rows, **page), 503 if rows is None else 200)
