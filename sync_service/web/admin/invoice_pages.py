"""Invoices of a subscription, of a customer, and one by its number: a worker reads them from Zuora at every look."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from flask import Response, make_response, render_template, request
from sqlmodel import col, select
from werkzeug.exceptions import NotFound, ServiceUnavailable

from sync_service.queue.questions import (
    InvoicesAsked,
    PdfAsked,
    TooManyAsked,
    ask_for_invoice,
    ask_for_invoices,
    ask_for_pdf,
)
from sync_service.store.engine import Session
from sync_service.store.reads import read_link, resolve_key
from sync_service.store.tables import SubscriptionRow, ZuoraLinkRow
from sync_service.subscription.keys import normalise_key
from sync_service.web.admin.context import AdminPages
from sync_service.web.admin.customer_pages import MAX_SHOWN
from sync_service.web.admin.finding import complete
from sync_service.web.admin.guard import who
from sync_service.web.customer_invoices import MAX_SUBSCRIPTIONS, find_customer, read_payers
from sync_service.web.page_parts import get
from sync_service.web.waiting import Answered, pdf_of

_UNREAD = "Zuora was never read for this subscription: sync it first."
_NO_INVOICE = "Zuora has posted no invoice of this number."
_LONGEST_KEY = 100
_AWAY = "Zuora has not answered in time. Please try again in a moment."


class InvoicePages(AdminPages):
    """Invoices of a subscription, of a customer, and one by its number."""

    @get("/subscriptions/<key>/invoices")
    def invoices(self, key: str) -> Response:
        """Those of one subscription."""
        link = self._find_link(key)
        rows = self._ask_for_rows(link.payer_id or link.account_id or "", (link,))
        page = render_template("admin/invoices.html", key=key, number=link.number, rows=rows)
        return make_response(page, 503 if rows is None else 200)

    @get("/customers/<customer_id>/invoices")
    def customer_invoices(self, customer_id: str) -> Response:
        """Those of a customer, of one account at a time: Zuora is asked for each."""
        with self._database.reading() as session:
            customer = find_customer(session, customer_id)
            payers = read_payers(session, customer.id)
        chosen = request.args.get("account", "")
        account = chosen if chosen in payers else next(iter(payers), "")
        rows = self._ask_for_rows(account, payers[account]) if account else []
        page = render_template(
            "admin/invoices.html",
            customer=customer,
            accounts={each: links[0].account_number or each for each, links in payers.items()},
            account=account,
            key=payers[account][0].number if account else "",
            number="",
            first=MAX_SUBSCRIPTIONS if sum(map(len, payers.values())) >= MAX_SUBSCRIPTIONS else None,
            rows=rows,
        )
        return make_response(page, 503 if rows is None else 200)

    @get("/invoices/<key>")
    def invoice(self, key: str) -> Response:
        """One invoice by its number or id, with the subscriptions that its account pays for."""
        if not key.isprintable() or len(key) > _LONGEST_KEY:
            raise NotFound(_NO_INVOICE)
        actor = who().email
        asked = self._ask(lambda session: ask_for_invoice(session, key, actor))
        if asked.is_missing:
            raise NotFound(_NO_INVOICE)
        row = asked.found["invoice"] if asked.found is not None else None
        with self._database.reading() as session:
            links = _read_links_of(session, row["account"]) if row else []
            held = list(complete(session, _read_subscriptions(session, links)))
        page = render_template(
            "admin/invoice.html", key=key, row=row, links=links, held=held, zuora=self._context.zuora
        )
        return make_response(page, 503 if row is None else 200)

    @get("/subscriptions/<key>/invoices/<invoice_id>/pdf")
    def invoice_pdf(self, key: str, invoice_id: str) -> Response:
        """The PDF of an invoice, if it is of the account that pays for this subscription."""
        link, actor = self._find_link(key), who().email
        question = PdfAsked(account=link.payer_id or link.account_id or "", invoice=invoice_id)
        asked = self._ask(lambda session: ask_for_pdf(session, question, actor))
        if asked.is_missing:
            raise NotFound("This subscription's account has no such invoice, or the invoice has no PDF.")
        pdf = pdf_of(asked)
        if pdf is None:
            raise ServiceUnavailable(_AWAY)
        return pdf

    def _find_link(self, key: str) -> ZuoraLinkRow:
        with self._database.reading() as session:
            number = resolve_key(session, normalise_key(key))
            link = read_link(session, number) if number else None
        if link is None or not (link.payer_id or link.account_id):
            raise NotFound(_UNREAD)
        return link

    def _ask_for_rows(self, account: str, links: Sequence[ZuoraLinkRow]) -> Sequence[Mapping[str, str]] | None:
        """What the account was billed for these subscriptions; None where Zuora has not answered in time."""
        actor = who().email
        question = InvoicesAsked(account=account, subscriptions=tuple(link.number for link in links))
        asked = self._ask(lambda session: ask_for_invoices(session, question, actor))
        return asked.found["invoices"] if asked.found is not None else None

    def _ask(self, leave: Callable[[Session], int]) -> Answered:
        try:
            return self._context.questions.ask(leave)
        except TooManyAsked:
            return Answered(None)


def _read_links_of(session: Session, account_id: str) -> list[ZuoraLinkRow]:
    """The first subscriptions that an account pays for, or owns and pays for itself."""
    link = ZuoraLinkRow
    paid = session.exec(select(link).where(link.payer_id == account_id).order_by(col(link.number)).limit(MAX_SHOWN))
    owned = session.exec(select(link).where(link.account_id == account_id).order_by(col(link.number)).limit(MAX_SHOWN))
    found = {each.number: each for each in (*paid, *(each for each in owned if not each.payer_id))}
    return list(found.values())[:MAX_SHOWN]


def _read_subscriptions(session: Session, links: Sequence[ZuoraLinkRow]) -> list[SubscriptionRow]:
    ids = [link.subscription_id for link in links if link.subscription_id]
    row = SubscriptionRow
    return list(session.exec(select(row).where(col(row.id).in_(ids)).order_by(col(row.listed_number))))
