"""Invoices of a subscription, imported ones too, and their PDFs: a worker reads them from Zuora at every look."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, render_template
from werkzeug.exceptions import NotFound, ServiceUnavailable

from sync_service.queue.questions import InvoicesAsked, PdfAsked, TooManyAsked, ask_for_invoices, ask_for_pdf
from sync_service.store.reads import read_link, resolve_key
from sync_service.store.tables import ZuoraLinkRow
from sync_service.subscription.keys import normalise_key
from sync_service.web.admin.context import PageContext
from sync_service.web.admin.guard import who
from sync_service.web.asked import Answered, Questions, pdf_of

_UNREAD = "Zuora was never read for this subscription: sync it first."
_AWAY = "Zuora has not answered in time. Please try again in a moment."


def attach(blueprint: Blueprint, context: PageContext, questions: Questions) -> None:
    """Add the pages."""

    def find_link(key: str) -> ZuoraLinkRow:
        with context.database.reading() as session:
            number = resolve_key(session, normalise_key(key))
            link = read_link(session, number) if number else None
        if link is None or not (link.payer_id or link.account_id):
            raise NotFound(_UNREAD)
        return link

    @blueprint.get("/subscriptions/<key>/invoices")
    def invoices(key: str) -> Response:
        link, actor = find_link(key), who().email
        question = InvoicesAsked(account=link.payer_id or link.account_id or "", subscriptions=(link.number,))
        try:
            asked = questions.ask(lambda session: ask_for_invoices(session, question, actor))
        except TooManyAsked:
            asked = Answered(None)
        rows = asked.found["invoices"] if asked.found is not None else None
        page = render_template("admin/invoices.html", key=key, number=link.number, rows=rows)
        return make_response(page, 503 if rows is None else 200)

    @blueprint.get("/subscriptions/<key>/invoices/<invoice_id>/pdf")
    def invoice_pdf(key: str, invoice_id: str) -> Response:
        link, actor = find_link(key), who().email
        question = PdfAsked(account=link.payer_id or link.account_id or "", invoice=invoice_id)
        try:
            asked = questions.ask(lambda session: ask_for_pdf(session, question, actor))
        except TooManyAsked:
            asked = Answered(None)
        if asked.is_missing:
            raise NotFound("This subscription's account has no such invoice, or the invoice has no PDF.")
        pdf = pdf_of(asked)
        if pdf is None:
            raise ServiceUnavailable(_AWAY)
        return pdf
