"""Invoices of the organisation's Zuora account, of all or of one subscription, and their PDFs: read at every look."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, render_template, request
from werkzeug.exceptions import NotFound, ServiceUnavailable

from sync_service.partner.reading import ask_for_own, ask_for_own_of, ask_for_own_pdf, more_of
from sync_service.store.engine import Database
from sync_service.web.asked import Questions, pdf_of
from sync_service.web.partner.portal.customers import is_id
from sync_service.web.partner.portal.session import person, scope
from sync_service.web.partner.portal.subscriptions import find_subscription

PAGE = 40
#: The same whether there is none or it is another's.
NO_INVOICE = "You have no invoice by this id."
_AWAY = "Zuora has not answered in time, so the invoice cannot be shown just now. Please try again in a moment."


def attach(blueprint: Blueprint, database: Database, questions: Questions) -> None:
    """Add the pages."""

    @blueprint.get("/invoices")
    def invoices() -> Response:
        whose, actor, cursor = scope(), person().user_id, request.args.get("queryMore") or None
        asked = questions.ask(lambda session: ask_for_own(session, whose, actor, size=PAGE, query_more=cursor))
        found = asked.found
        more = more_of(whose, found.get("cursor")) if found else None
        return _page(None if found is None else found["invoices"], more=more, held=None)

    @blueprint.get("/subscriptions/<subscription_id>/invoices")
    def invoices_of(subscription_id: str) -> Response:
        whose, actor = scope(), person().user_id
        with database.reading() as session:
            document = find_subscription(session, whose, subscription_id).subscription
        number = str(document.get("reference") or "")
        asked = questions.ask(lambda session: ask_for_own_of(session, whose, actor, number))
        found = asked.found
        held = {"id": subscription_id, "reference": number}
        return _page(None if found is None else found["invoices"], more=None, held=held)

    @blueprint.get("/invoices/<invoice_id>/pdf")
    def invoice_pdf(invoice_id: str) -> Response:
        if not is_id(invoice_id):
            raise NotFound(NO_INVOICE)
        whose, actor = scope(), person().user_id
        asked = questions.ask(lambda session: ask_for_own_pdf(session, whose, actor, invoice_id))
        if asked.is_missing:
            raise NotFound(NO_INVOICE)
        pdf = pdf_of(asked)
        if pdf is None:
            raise ServiceUnavailable(_AWAY)
        return pdf


def _page(rows: list[dict[str, str]] | None, *, more: str | None, held: dict[str, str] | None) -> Response:
    """The list; None: Zuora has not answered, and the page says so."""
    page = render_template("partner/invoices.html", rows=rows, more=more, held=held)
    return make_response(page, 503 if rows is None else 200)
