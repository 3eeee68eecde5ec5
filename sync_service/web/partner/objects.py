"""A partner's objects beside its subscriptions: `GET /api/partner/customer` (Limio's page "Partner objects")."""

from __future__ import annotations

from flask import Blueprint, Response, request

from sync_service.partner.reading import list_customers
from sync_service.store.engine import Database
from sync_service.store.pages import CursorInvalid
from sync_service.web.answers import answer
from sync_service.web.paging import read_limit
from sync_service.web.partner.gate import PartnerAuth, partner_scope
from sync_service.web.partner.mma import DEFAULT_LIMIT, MAX_LIMIT

#: Longer than any name or email address.
MAX_FILTER = 254


def partner_objects_blueprint(database: Database, gate: PartnerAuth) -> Blueprint:
    """The customers of the organisation that the token names."""
    blueprint = Blueprint("partner_objects", __name__, url_prefix="/api/partner")

    gate.guard(blueprint)

    @blueprint.get("/customer")
    def customers() -> Response:
        wanted, query_more = request.args.get("filter"), request.args.get("queryMore") or None
        limit = read_limit(DEFAULT_LIMIT, MAX_LIMIT)
        if wanted and (len(wanted) > MAX_FILTER or not wanted.isprintable()):
            return answer(200, {"items": [], "hits": 0})
        with database.reading() as session:
            page, hits = list_customers(session, partner_scope(), wanted=wanted, limit=limit, query_more=query_more)
        more = {} if page.query_more is None else {"queryMore": page.query_more}
        return answer(200, {"items": list(page.items), "hits": hits, **more})

    @blueprint.errorhandler(CursorInvalid)
    def refuse(error: CursorInvalid) -> Response:
        return answer(400, {"message": str(error)})

    return blueprint
