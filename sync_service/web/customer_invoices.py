"""Invoices of a customer: `GET /api/customers/{id}/invoices` for other systems, and whom the admin pages ask for them.

A worker reads them from Zuora at every call, one paying account at a time. The address is ours: Limio has none.
"""

from __future__ import annotations

from flask import Blueprint, Response, request
from sqlmodel import col, select
from werkzeug.exceptions import NotFound

from sync_service.access.clients import OBJECTS_SCOPE
from sync_service.queue.questions import MAX_OPEN_OF_A_CLIENT, InvoicesAsked, TooManyAsked, ask_for_invoices
from sync_service.store.engine import Database, Session
from sync_service.store.tables import CustomerRow, SubscriptionRow, ZuoraLinkRow
from sync_service.web.answers import RETRY_SECONDS, answer
from sync_service.web.auth import BearerAuth
from sync_service.web.waiting import Questions

#: Subscriptions of a customer whose invoices are looked for.
MAX_SUBSCRIPTIONS = 25


def invoices_blueprint(database: Database, questions: Questions, bearer: BearerAuth) -> Blueprint:
    """The invoices of one customer, of the account that is asked for, else of the first that pays."""
    blueprint = Blueprint("invoices", __name__, url_prefix="/api")

    @blueprint.get("/customers/<customer_id>/invoices")
    def of_customer(customer_id: str) -> Response:
        client = bearer.admit(request, OBJECTS_SCOPE)
        with database.reading() as session:
            payers = read_payers(session, find_customer(session, customer_id).id)
        account = request.args.get("account") or next(iter(payers), "")
        if payers and account not in payers:
            raise NotFound("This account pays for none of the customer's subscriptions.")
        known = [{"id": each, "number": links[0].account_number} for each, links in payers.items()]
        if not payers:
            return answer(200, {"items": [], "accounts": known})
        asked = InvoicesAsked(account=account, subscriptions=tuple(link.number for link in payers[account]))
        found = questions.ask(
            lambda session: ask_for_invoices(session, asked, client.client_id, most=MAX_OPEN_OF_A_CLIENT)
        ).found
        if found is None:
            return answer(502, {"message": "Zuora has not answered in time. Please ask again."})
        return answer(200, {"items": found["invoices"], "account": account, "accounts": known})

    @blueprint.errorhandler(TooManyAsked)
    def too_many(error: TooManyAsked) -> Response:
        return answer(429, {"message": str(error)}, {"Retry-After": str(RETRY_SECONDS)})

    return blueprint


def find_customer(session: Session, customer_id: str) -> CustomerRow:
    """The customer of that id (`cus-…`). Raises NotFound."""
    row = session.get(CustomerRow, customer_id) if customer_id.isprintable() else None
    if row is None:
        raise NotFound("The store has no such customer.")
    return row


def read_payers(session: Session, customer_id: str) -> dict[str, list[ZuoraLinkRow]]:
    """The accounts that pay for the customer's first MAX_SUBSCRIPTIONS subscriptions, with these."""
    held, link = SubscriptionRow, ZuoraLinkRow
    theirs = select(held.id).where(held.customer == customer_id).order_by(col(held.id)).limit(MAX_SUBSCRIPTIONS)
    payers: dict[str, list[ZuoraLinkRow]] = {}
    for each in session.exec(select(link).where(col(link.subscription_id).in_(theirs)).order_by(col(link.number))):
        if account := each.payer_id or each.account_id:
            payers.setdefault(account, []).append(each)
    return payers
