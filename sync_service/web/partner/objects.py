"""What a partner reads: `GET /api/partner/mma/subscriptions`, `/{id}`, `/customer`, `/invoices` and their PDFs.

Sources: Limio's partner API and its page "Partner objects". The path of the invoices is our inference.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from sync_service.partner.scope import (
    NotThePartners,
    ask_for_own,
    ask_for_own_pdf,
    find_numbers,
    list_customers,
    list_subscriptions,
    more_of,
    read_subscription,
)
from sync_service.store.cursors import CursorInvalid
from sync_service.store.engine import Database
from sync_service.subscription.limio.documents import is_id
from sync_service.web.answers import answer, answer_page, read_limit
from sync_service.web.partner.auth import PartnerAuth, agent, partner_scope
from sync_service.web.waiting import Answered, Questions, pdf_of

DEFAULT_LIMIT, MAX_LIMIT = 40, 100


def partner_objects_blueprint(database: Database, questions: Questions, auth: PartnerAuth) -> Blueprint:
    """Subscriptions, customers and invoices of the organisation that the token names.

    Invoices are read from Zuora at every call.
    """
    blueprint = Blueprint("partner_objects", __name__, url_prefix="/api/partner")

    auth.guard(blueprint)

    @blueprint.get("/mma/subscriptions")
    def subscriptions() -> Response:
        with database.reading() as session:
            return answer_page(
                list_subscriptions(session, partner_scope(), owner=request.args.get("ownerId"), **_asked())
            )

    @blueprint.get("/mma/subscriptions/<subscription_id>")
    def subscription(subscription_id: str) -> Response:
        with database.reading() as session:
            found = read_subscription(session, partner_scope(), subscription_id)
        return answer(200, found) if found is not None else answer(404, {"message": "Subscription not found."})

    @blueprint.get("/customer")
    def customers() -> Response:
        with database.reading() as session:
            page, hits = list_customers(session, partner_scope(), wanted=request.args.get("filter"), **_asked())
        return answer_page(page, hits=hits)

    @blueprint.errorhandler(NotThePartners)
    def forbid(error: NotThePartners) -> Response:
        return answer(403, {"message": str(error)})

    _add_invoices(blueprint, database, questions)
    return blueprint


def _add_invoices(blueprint: Blueprint, database: Database, questions: Questions) -> None:
    @blueprint.get("/invoices")
    def invoices() -> Response:
        size, cursor = read_limit(DEFAULT_LIMIT, MAX_LIMIT, "pageSize"), request.args.get("cursor") or None
        owner, subscription = request.args.get("ownerId"), request.args.get("subscriptionId")
        scope, actor = partner_scope(), agent().subject
        numbers: tuple[str, ...] = ()
        if owner is not None or subscription is not None:
            with database.reading() as session:
                numbers = find_numbers(session, scope, owner=owner, subscription=subscription)
            if not numbers:
                return answer(200, {"items": []})
        asked = questions.ask(
            lambda session: ask_for_own(session, scope, actor, size=size, query_more=cursor, numbers=numbers)
        )
        if asked.found is None:
            return _missing(asked)
        more = more_of(scope, asked.found.get("cursor"))
        return answer(200, {"items": asked.found.get("invoices", []), **({"cursor": more} if more else {})})

    @blueprint.get("/invoices/<invoice_id>/pdf")
    def invoice_pdf(invoice_id: str) -> Response:
        scope, actor = partner_scope(), agent().subject
        if not is_id(invoice_id):
            return _missing(Answered(None, is_missing=True))
        asked = questions.ask(lambda session: ask_for_own_pdf(session, scope, actor, invoice_id))
        return pdf_of(asked) or _missing(asked)

    @blueprint.errorhandler(CursorInvalid)
    def refuse(error: CursorInvalid) -> Response:
        name = "cursor" if request.endpoint == "partner_objects.invoices" else "queryMore"
        return answer(400, {"message": str(error).replace("queryMore", name)})


def _asked() -> dict[str, Any]:
    return {"limit": read_limit(DEFAULT_LIMIT, MAX_LIMIT), "query_more": request.args.get("queryMore") or None}


def _missing(asked: Answered) -> Response:
    if asked.is_missing:
        return answer(404, {"message": "Invoice not found."})
    return answer(502, {"message": "Zuora has not answered in time. Please ask again."})
