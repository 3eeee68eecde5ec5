"""A partner's customers and invoices: `GET /api/partner/customer` and `/invoices`.

Source: Limio's page "Partner objects". The path of the invoices is our inference.
"""

from __future__ import annotations

from flask import Blueprint, Response, request

from sync_service.partner.reading import ask_for_own, ask_for_own_pdf, find_numbers, is_id, list_customers, more_of
from sync_service.store.cursors import CursorInvalid
from sync_service.store.engine import Database
from sync_service.web.answers import answer, read_limit
from sync_service.web.partner.auth import PartnerAuth, agent, partner_scope
from sync_service.web.partner.mma import DEFAULT_LIMIT, MAX_LIMIT
from sync_service.web.waiting import Answered, Questions, pdf_of


def partner_objects_blueprint(database: Database, auth: PartnerAuth) -> Blueprint:
    """The customers of the organisation that the token names."""
    blueprint = Blueprint("partner_objects", __name__, url_prefix="/api/partner")

    auth.guard(blueprint)

    @blueprint.get("/customer")
    def customers() -> Response:
        wanted, query_more = request.args.get("filter"), request.args.get("queryMore") or None
        limit = read_limit(DEFAULT_LIMIT, MAX_LIMIT)
        with database.reading() as session:
            page, hits = list_customers(session, partner_scope(), wanted=wanted, limit=limit, query_more=query_more)
        more = {} if page.query_more is None else {"queryMore": page.query_more}
        return answer(200, {"items": list(page.items), "hits": hits, **more})

    return blueprint


_AWAY = "Zuora has not answered in time. Please ask again."


def partner_invoices_blueprint(database: Database, questions: Questions, auth: PartnerAuth) -> Blueprint:
    """The invoices of the organisation that the token names, read from Zuora at every call."""
    blueprint = Blueprint("partner_invoices", __name__, url_prefix="/api/partner")

    auth.guard(blueprint)

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
        return answer(400, {"message": str(error).replace("queryMore", "cursor")})

    return blueprint


def _missing(asked: Answered) -> Response:
    if asked.is_missing:
        return answer(404, {"message": "Invoice not found."})
    return answer(502, {"message": _AWAY})
