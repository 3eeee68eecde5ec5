"""A partner's subscriptions: `GET /api/partner/mma/subscriptions` and `/{id}` (Limio's partner API)."""

from __future__ import annotations

from flask import Blueprint, Response, request

from sync_service.partner.reading import NotThePartners, list_subscriptions, read_subscription
from sync_service.store.engine import Database
from sync_service.store.pages import CursorInvalid
from sync_service.web.answers import answer
from sync_service.web.paging import read_limit
from sync_service.web.partner.auth import PartnerAuth, partner_scope

DEFAULT_LIMIT, MAX_LIMIT = 40, 100
#: As the specification has it; no longer id is asked of the database.
MAX_ID = 64


def mma_blueprint(database: Database, auth: PartnerAuth) -> Blueprint:
    """The list and one subscription, of the organisation that the token names."""
    blueprint = Blueprint("partner_mma", __name__, url_prefix="/api/partner/mma")

    auth.guard(blueprint)

    @blueprint.get("/subscriptions")
    def subscriptions() -> Response:
        owner, query_more = request.args.get("ownerId"), request.args.get("queryMore") or None
        limit = read_limit(DEFAULT_LIMIT, MAX_LIMIT)
        if owner is not None and not _is_id(owner):
            return answer(200, {"items": []})
        with database.reading() as session:
            page = list_subscriptions(session, partner_scope(), owner=owner, limit=limit, query_more=query_more)
        more = {} if page.query_more is None else {"queryMore": page.query_more}
        return answer(200, {"items": list(page.items), **more})

    @blueprint.get("/subscriptions/<subscription_id>")
    def subscription(subscription_id: str) -> Response:
        detail = None
        if _is_id(subscription_id):
            with database.reading() as session:
                detail = read_subscription(session, partner_scope(), subscription_id)
        if detail is None:
            return answer(404, {"message": "Subscription not found."})
        return answer(
            200,
            {
                "subscription": detail.subscription,
                "schedule": detail.schedule,
                "offers": detail.offers,
                "addOns": detail.add_ons,
            },
        )

    @blueprint.errorhandler(NotThePartners)
    def forbid(error: NotThePartners) -> Response:
        return answer(403, {"message": str(error)})

    @blueprint.errorhandler(CursorInvalid)
    def refuse(error: CursorInvalid) -> Response:
        return answer(400, {"message": str(error)})

    return blueprint


def _is_id(text: str) -> bool:
    return 0 < len(text) <= MAX_ID and text.isprintable()
